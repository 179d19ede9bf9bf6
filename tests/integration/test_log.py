"""The log of a real server: rotated files, syslog, journald, readers that stop or go away, clients that mean harm."""

import fcntl
import json
import os
import re
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from signal import SIGTERM, SIGUSR1
from typing import Any, Final

import pytest
from integration.clients.raw import RawClient
from integration.server import DEADLINE_S, ServerProcess, make_site, serve_command, wait_until
from ports import free_port

LISTENER: Final = '[[listener]]\nname = "local"\naddress = "unix:smtp.sock"\n'
PROCESSES: Final = 3
"""Two workers and their supervisor; each says once that it is in trouble."""


@contextmanager
def server(
    folder: Path, settings: Mapping[str, object], stdout: int | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A server of two workers that listens on `folder`/smtp.sock; at the end it stops with exit code 0."""
    settings = {"listen.smtp": [], "listen.workers": 2, **settings}
    configuration = make_site(folder, settings, ["alice@example.test"], LISTENER)
    with (folder / "stderr").open("wb") as errors:
        process = subprocess.Popen(
            serve_command(configuration), stdin=subprocess.DEVNULL, stdout=stdout or subprocess.DEVNULL, stderr=errors
        )
    try:
        wait_until(lambda: process.poll() is not None or is_listening(folder), "the server starts")
        assert process.poll() is None, (folder / "stderr").read_text()
        yield process
        process.send_signal(SIGTERM)
        assert process.wait(DEADLINE_S) == 0, (folder / "stderr").read_text()
    finally:
        process.kill()
        process.wait()


def is_listening(folder: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(folder / "smtp.sock")) == 0


def connect(folder: Path) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(DEADLINE_S)
    client.connect(str(folder / "smtp.sock"))
    return client


def deliver(folder: Path, count: int = 1) -> list[str]:
    """So many messages are taken; their ids."""
    with RawClient(connect(folder)) as client:
        assert client.say(b"EHLO client.example.org").startswith(b"250-")
        return [client.deliver(b"Subject: x\r\n\r\nbody\r\n") for _ in range(count)]


def lines(*files: Path) -> list[dict[str, Any]]:
    """Those that are whole: while a server writes, the last one may not be."""
    texts = [file.read_text() for file in files if file.exists()]
    return [json.loads(line) for text in texts for line in text.splitlines(keepends=True) if line[-1] == "\n"]


def transactions(found: list[dict[str, Any]]) -> list[str]:
    return [line["id"] for line in found if line["event"] == "transaction"]


def test_a_file_is_rotated_under_load_and_no_line_is_lost(tmp_path: Path) -> None:
    file = tmp_path / "mx.log"
    sent: list[str] = []
    enough = threading.Event()

    def send() -> None:
        while not enough.is_set():
            sent.extend(deliver(tmp_path, 10))

    with server(tmp_path, {"log.destination": "mx.log"}) as process:
        sender = threading.Thread(target=send)
        sender.start()
        try:
            for number in range(5):
                wait_until(lambda: bool(transactions(lines(file))), "the file is written to")
                file.rename(tmp_path / f"mx.log.{number}")
                process.send_signal(SIGUSR1)
                wait_until(file.exists, "it is opened anew")
        finally:
            enough.set()
            sender.join()
    moved = [tmp_path / f"mx.log.{number}" for number in range(5)]
    assert sorted(transactions(lines(*moved, file))) == sorted(sent)
    assert all(transactions(lines(each)) for each in moved)
    assert file.stat().st_mode & 0o077 == 0


@contextmanager
def listening(path: Path) -> Iterator[socket.socket]:
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(path))
        listener.settimeout(DEADLINE_S)
        yield listener


def syslog_line(message: bytes) -> dict[str, Any]:
    found = re.fullmatch(rb"<(\d+)>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d fastsmtp\[\d+\]: (\{.*\})", message)
    assert found, message
    line: dict[str, Any] = json.loads(found[2])
    assert int(found[1]) == 2 * 8 + {"info": 6, "warning": 4, "error": 3}[line.get("level", "info")]
    return line


def journald_line(message: bytes) -> dict[str, Any]:
    fields = [field.partition("=")[::2] for field in message.decode("ascii").splitlines()]
    line: dict[str, Any] = json.loads(dict(fields)["MESSAGE"])
    assert dict(fields)["SYSLOG_IDENTIFIER"] == "fastsmtp"
    assert dict(fields)["FASTSMTP_EVENT"] == line["event"]
    assert [value for name, value in fields if name == "FASTSMTP_RECIPIENTS"] == line.get("recipients", [])
    return line


@pytest.mark.parametrize(("destination", "parse"), [("syslog", syslog_line), ("journald", journald_line)])
def test_a_socket_hears_every_line_and_may_be_started_anew(
    tmp_path: Path, destination: str, parse: Callable[[bytes], dict[str, Any]]
) -> None:
    def hear(listener: socket.socket, beginning: str) -> None:
        while not parse(listener.recv(100_000)).get("message", "").startswith(beginning):
            pass

    def next_transaction(listener: socket.socket) -> tuple[str, list[int]]:
        lost = []
        while True:
            line = parse(listener.recv(100_000))
            if line["event"] == "log_lost":
                lost.append(line["lines"])
            if line["event"] == "transaction":
                return line["id"], lost

    path = tmp_path / "log.sock"
    # One worker: who has lost lines says so, and with two it may be the other one that takes the next mail.
    settings = {"log.destination": destination, "log.socket": "log.sock", "listen.workers": 1}
    metrics = ("127.0.0.1", free_port())
    settings["metrics.listen"] = f"127.0.0.1:{metrics[1]}"
    with listening(path) as listener, server(tmp_path, settings) as process:
        hear(listener, "started")  # the supervisor has nothing more to say
        if os.geteuid() == 0:
            hear(listener, "the server runs as root")
        [first] = deliver(tmp_path)
        assert next_transaction(listener) == (first, [])
        listener.close()
        path.unlink()
        deliver(tmp_path, 2)
        said = ServerProcess(tmp_path, process, [], metrics)
        wait_until(lambda: said.metric("fastsmtp_log_lines_lost_total") == 2, "the lines are missed")
        assert said.stderr().count("log lines are being lost") == 1
        with listening(path) as successor:
            ids = deliver(tmp_path, 2)
            found = [next_transaction(successor)]
            while found[-1][0] != ids[-1]:
                found.append(next_transaction(successor))
            assert [number for number, _ in found][-2:] == ids
            assert found[0][1] == [2]  # what was lost is said before anything else


def test_a_reader_that_stops_does_not_stop_the_mail(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    with server(tmp_path, {}, writer) as process:
        ids = deliver(tmp_path, 200)  # far more lines than the pipe has room for
        assert len(list((tmp_path / "mail/example.test/alice/new").iterdir())) == 200
        os.close(writer)
        received = bytearray()

        def read() -> None:
            with suppress(OSError):
                while piece := os.read(reader, 65_536):
                    received.extend(piece)

        reading = threading.Thread(target=read)
        reading.start()
        process.send_signal(SIGTERM)
        assert process.wait(DEADLINE_S) == 0
    reading.join(DEADLINE_S)
    os.close(reader)
    assert transactions([json.loads(line) for line in received.splitlines()]) == ids


def test_a_reader_that_never_comes_back_does_not_keep_the_server(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    with server(tmp_path, {}, writer):
        deliver(tmp_path, 50)
    os.close(writer)
    os.close(reader)


def test_a_reader_that_is_gone_does_not_stop_the_mail(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    with server(tmp_path, {}, writer):
        os.close(writer)
        assert os.read(reader, 1)
        os.close(reader)
        deliver(tmp_path, 20)
        wait_until(lambda: "log lines are being lost: Broken pipe" in (tmp_path / "stderr").read_text())
        deliver(tmp_path, 20)
    assert (tmp_path / "stderr").read_text().count("log lines are being lost") <= PROCESSES


def test_a_full_disk_does_not_stop_the_mail(tmp_path: Path) -> None:
    (tmp_path / "mx.log").symlink_to("/dev/full")
    with server(tmp_path, {"log.destination": "mx.log"}):
        deliver(tmp_path, 20)
        wait_until(lambda: "log lines are being lost: No space left" in (tmp_path / "stderr").read_text())
    assert (tmp_path / "stderr").read_text().count("log lines are being lost") <= PROCESSES


EVIL: Final = (
    b'"\x1b[2J\x1b]0;owned\x07"',
    "\u202egro.elpmaxe\u2066\u200b\u061c".encode(),
    b'x","level":"critical","event":"forged',
    b"\xff\xfe\x80\x9b31m",
    b"a\rb\x0bc\x0cd\x85e",
    "\u2028\u2029\U000e0041\U0001f4a9".encode(),
)


@pytest.mark.parametrize("evil", EVIL)
def test_no_client_forges_a_line_or_speaks_to_the_terminal(tmp_path: Path, evil: bytes) -> None:
    with server(tmp_path, {"log.destination": "mx.log"}):
        for says in (
            [
                b"EHLO " + evil,
                b"MAIL FROM:<" + evil + b"@example.org> SMTPUTF8",
                b"RCPT TO:<" + evil + b"@example.test>",
            ],
            [b"HELO x", b"MAIL FROM:<>", b"RCPT TO:<alice@example.test> " + evil, evil + b" x", b"VRFY " + evil],
            [b"EHLO [" + evil + b"]", b'MAIL FROM:<"' + evil + b'"@x.example> BODY=' + evil, b"RSET", evil],
        ):
            with RawClient(connect(tmp_path)) as client:
                for line in says:
                    client.say(line)
        ids = deliver(tmp_path)
        with RawClient(connect(tmp_path)) as client:
            client.say(b"EHLO x")
            ids.append(client.deliver(b"Subject: " + evil.replace(b"\r", b"") + b"\r\n\r\n" + evil + b"\r\n"))
    output = (tmp_path / "mx.log").read_bytes()
    assert set(output) <= {*range(0x20, 0x7F), 0x0A}
    found = lines(tmp_path / "mx.log")
    assert {line["event"] for line in found} <= {"transaction", "connection", "fastsmtp.server", "fastsmtp.delivery"}
    assert set(ids) <= set(transactions(found))
