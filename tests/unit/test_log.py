import asyncio
import json
import logging
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsmtp.log import FLUSH_BYTES, LineLog, LogHandler, encode_line, iso_time, transaction_line
from fastsmtp.smtp.address import NULL_SENDER, Address
from fastsmtp.smtp.record import Result
from fastsmtp.smtp.replies import USER_UNKNOWN, Reply
from fastsmtp.smtp.tls import ClientCertificate, TlsFacts
from fastsmtp.smtp.transaction import Connection, Hello, Recipient, Transaction

STORED = Reply(250, "2.0.0", "stored as 1a2b")
TERMINAL = {*range(0x20), 0x7F, *range(0x80, 0xA0), 0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A)}


def fail(text: str) -> None:
    raise ValueError(text)


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "mx.log"


@pytest.fixture
def log(file: Path) -> Iterator[LineLog]:
    log = LineLog.open(file)
    yield log
    log.close()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "1970-01-01T00:00:00.000Z"), (1_700_000_000.1239, "2023-11-14T22:13:20.123Z")],
)
def test_time_is_utc_with_milliseconds(seconds: float, text: str) -> None:
    assert iso_time(seconds) == text


@given(st.text())
def test_no_text_forges_a_line_or_speaks_to_the_terminal(text: str) -> None:
    encoded = encode_line({"helo": text, text: 1})

    assert encoded.endswith(b"}\n")
    assert not TERMINAL & set(map(ord, encoded[:-1].decode()))
    assert json.loads(encoded)["helo"] == text


def test_dangerous_characters_are_escaped() -> None:
    assert encode_line({"a": "\r\n\x1b[2J\x7f\x9b\u2028\u202e"}) == (
        rb'{"a":"\r\n\u001b[2J\u007f\u009b\u2028\u202e"}' + b"\n"
    )


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("caf\udce9", "caf\\udce9"),
        (b"caf\xe9", "caf\\xe9"),
        (2**70, str(2**70)),
        (Path("/var/mail"), "/var/mail"),
        (ValueError("no"), "no"),
        ({"deep": ["\udcff", {1: None}]}, {"deep": ["\\udcff", {"1": None}]}),
        ((1.5, True), [1.5, True]),
    ],
)
def test_what_json_does_not_know_is_written_as_text(value: object, shown: object) -> None:
    assert json.loads(encode_line({"key": value})) == {"key": shown}


def test_without_a_loop_every_line_is_written_at_once(log: LineLog, file: Path) -> None:
    log.write({"n": 1})
    assert lines(file) == [{"n": 1}]


def test_a_file_is_appended_to_and_not_for_everybody(file: Path) -> None:
    for number in (1, 2):
        log = LineLog.open(file)
        log.write({"n": number})
        log.close()

    assert lines(file) == [{"n": 1}, {"n": 2}]
    assert file.stat().st_mode & 0o007 == 0


def test_lines_are_gathered_and_written_soon(file: Path) -> None:
    async def scenario() -> None:
        log = LineLog.open(file, asyncio.get_running_loop())
        log.write({"n": 1})
        log.write({"n": 2})
        assert lines(file) == []
        async with asyncio.timeout(10):
            while not lines(file):  # noqa: ASYNC110 - a file tells nobody that it has grown
                await asyncio.sleep(0.01)
        assert lines(file) == [{"n": 1}, {"n": 2}]
        log.write({"n": 3})
        log.close()
        assert lines(file)[2:] == [{"n": 3}]

    asyncio.run(scenario())


def test_many_lines_are_written_before_the_time_is_over(file: Path) -> None:
    async def scenario() -> None:
        log = LineLog.open(file, asyncio.get_running_loop())
        log.write({"text": "x" * FLUSH_BYTES})
        assert len(lines(file)) == 1
        log.close()

    asyncio.run(scenario())


def test_lost_lines_are_counted_and_said(capsys: pytest.CaptureFixture[str]) -> None:
    reader, writer = os.pipe()
    log = LineLog(writer)
    os.close(reader)
    log.write({"n": 1})  # nobody reads: EPIPE
    log.write({"n": 2})
    reader, second = os.pipe()
    os.dup2(second, writer)
    log.write({"n": 3})
    log.close()
    received = os.read(reader, 4096).splitlines()
    for descriptor in (reader, second, writer):
        os.close(descriptor)

    notice, line = map(json.loads, received)
    assert (notice["event"], notice["level"], notice["lines"]) == ("log_lost", "error", 2)
    assert line == {"n": 3}
    assert capsys.readouterr().err == "fastsmtp: log lines are being lost: Broken pipe\n"


def test_a_pipe_that_does_not_block_is_waited_for() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    log = LineLog(writer)
    received = bytearray()

    def read() -> None:
        while piece := os.read(reader, 65_536):
            received.extend(piece)

    thread = threading.Thread(target=read)
    thread.start()
    log.write({"text": "x" * 1_000_000})
    os.close(writer)
    thread.join(timeout=30)
    os.close(reader)

    assert json.loads(received) == {"text": "x" * 1_000_000}


def test_logging_becomes_lines(log: LineLog, file: Path) -> None:
    logger = logging.getLogger("fastsmtp.test")

    with LogHandler(log).installed("info"):
        logger.debug("not this")
        logger.warning("plugin %s is slow", "greylist", extra={"plugin": "greylist", "time": "never", "event": "slow"})
        try:
            fail("evil\nline")
        except ValueError:
            logging.getLogger("somewhere.else").exception("it broke")
    logger.warning("nobody listens any more")

    warning, error = lines(file)
    assert warning.pop("time").endswith("Z")
    assert warning == {
        "level": "warning",
        "event": "slow",
        "message": "plugin greylist is slow",
        "plugin": "greylist",
    }
    assert (error["level"], error["event"], error["message"]) == ("error", "somewhere.else", "it broke")
    assert error["traceback"].startswith("Traceback (most recent call last):")
    assert error["traceback"].endswith("ValueError: evil\nline\n")


def test_the_level_is_put_back(log: LineLog) -> None:
    before = logging.getLogger().level, list(logging.getLogger().handlers)
    with LogHandler(log).installed("debug"):
        assert logging.getLogger("fastsmtp.test").isEnabledFor(logging.DEBUG)
    assert (logging.getLogger().level, logging.getLogger().handlers) == before


def test_a_record_that_cannot_be_formatted_does_not_raise(
    log: LineLog, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    LogHandler(log).handle(logging.makeLogRecord({"msg": "%d", "args": ("no number",)}))

    assert lines(file) == []
    assert "TypeError" in capsys.readouterr().err


def test_logging_from_another_thread_goes_through_the_loop(file: Path) -> None:
    async def scenario() -> None:
        log = LineLog.open(file, asyncio.get_running_loop())
        with LogHandler(log).installed("info"):
            await asyncio.to_thread(logging.getLogger("fastsmtp.test").warning, "from a thread")
            await asyncio.sleep(0)
        log.close()

    asyncio.run(scenario())

    assert [line["message"] for line in lines(file)] == ["from a thread"]


def test_a_transaction_is_one_line() -> None:
    connection = Connection(
        "c1", "192.0.2.7", 50_000, "192.0.2.1", 25, listener="mx", hello=Hello("EHLO", "client.example")
    )
    transaction = Transaction("1a2b", connection, sender=Address("joe", "example.com"))
    transaction.recipients.append(Recipient(Address("Al ice", "example.org")))
    transaction.message.append(b"Subject: x\n\n")
    transaction.message.size = 14
    transaction.results.append(Result("headers", "pass", "all there"))
    transaction.refusals.append((Address("eve", "example.org"), USER_UNKNOWN))
    transaction.reply, transaction.outcome = STORED, "stored"

    assert transaction_line(transaction, time=1.5, duration_ns=1_234_567) == {
        "time": "1970-01-01T00:00:01.500Z",
        "event": "transaction",
        "id": "1a2b",
        "listener": "mx",
        "remote": "192.0.2.7",
        "proxy": None,
        "helo": "client.example",
        "tls": None,
        "sender": "joe@example.com",
        "recipients": ['"Al ice"@example.org'],
        "size": 14,
        "duration_ms": 1.235,
        "outcome": "stored",
        "reply": "250 2.0.0 stored as 1a2b",
        "refused": [{"recipient": "eve@example.org", "reply": "550 5.1.1 No such user here"}],
        "results": [{"plugin": "headers", "outcome": "pass", "evidence": "all there"}],
    }


def test_a_transaction_says_how_it_was_encrypted() -> None:
    connection = Connection("c1", "192.0.2.7", 50_000, "192.0.2.1", 25)
    connection.tls = TlsFacts("TLSv1.3", "TLS_AES_128_GCM_SHA256", 128)
    transaction = Transaction("1a2b", connection)
    basic = {"version": "TLSv1.3", "cipher": "TLS_AES_128_GCM_SHA256", "bits": 128}
    assert transaction_line(transaction, time=0.0, duration_ns=0)["tls"] == basic

    shown = ClientCertificate("CN=client", "CN=authority", (), "ab" * 32, is_verified=True)
    connection.tls = TlsFacts("TLSv1.3", "TLS_AES_128_GCM_SHA256", 128, "mx.example.test", shown)
    assert transaction_line(transaction, time=0.0, duration_ns=0)["tls"] == {
        **basic,
        "server_name": "mx.example.test",
        "client": {"subject": "CN=client", "fingerprint": "ab" * 32, "verified": True},
    }


def test_a_transaction_says_who_had_logged_in() -> None:
    connection = Connection("c1", "192.0.2.7", 50_000, "192.0.2.1", 25)
    assert "user" not in transaction_line(Transaction("1a2b", connection), time=0.0, duration_ns=0)
    connection.user = "joe@example.test"
    assert transaction_line(Transaction("1a2b", connection), time=0.0, duration_ns=0)["user"] == "joe@example.test"


def test_a_transaction_without_an_end() -> None:
    transaction = Transaction("1a2b", Connection("c1", "::1", 1, "::1", 25), sender=NULL_SENDER)

    line = transaction_line(transaction, time=0.0, duration_ns=0)

    assert (line["helo"], line["sender"], line["recipients"], line["reply"]) == ("", "", [], None)
