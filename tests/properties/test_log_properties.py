"""Whatever clients say, in whatever is logged of them: each line is one JSON object in printable ASCII."""

import asyncio
import json
from pathlib import Path
from tempfile import TemporaryDirectory

from connections import Rig
from hypothesis import example, given
from hypothesis import strategies as st

from fastsmtp.log import LineLog
from fastsmtp.log.encoding import encode_line
from fastsmtp.log.journald import JournaldSink
from fastsmtp.log.lines import connection_line, encode_transaction, transaction_line
from fastsmtp.log.syslog_socket import SyslogSink
from fastsmtp.smtp.address import Address
from fastsmtp.smtp.record import Result
from fastsmtp.smtp.replies import Reply
from fastsmtp.smtp.transaction import Connection, Hello, Transaction

PRINTABLE = frozenset(range(0x20, 0x7F))

octets = st.binary(max_size=80) | st.text(max_size=40).map(lambda text: text.encode("utf-8", "surrogatepass"))
commands = st.sampled_from(
    [
        b"EHLO %b",
        b"HELO %b",
        b"MAIL FROM:<%b>",
        b"MAIL FROM:<%b@example.org> SMTPUTF8",
        b'MAIL FROM:<"%b"@example.org>',
        b"MAIL FROM:<>",
        b"RCPT TO:<alice@example.test>",
        b"RCPT TO:<%b>",
        b"RCPT TO:<%b@example.test> NOTIFY=%b",
        b"DATA",
        b"%b\r\n.",
        b"RSET",
        b"%b",
    ]
)


@given(st.lists(st.tuples(commands, octets), max_size=12))
def test_no_client_writes_anything_else(said: list[tuple[bytes, bytes]]) -> None:
    async def play(file: Path) -> None:
        log = LineLog.open(file)
        protocol, _ = Rig(log).connect()
        for command, value in said:
            protocol.data_received(command.replace(b"%b", value) + b"\r\n")
        protocol.connection_lost(None)
        log.close()

    with TemporaryDirectory() as folder:
        file = Path(folder) / "log"
        asyncio.run(play(file))
        output = file.read_bytes()
    assert set(output) <= PRINTABLE | {0x0A}
    for line in output.split(b"\n")[:-1]:
        assert isinstance(json.loads(line), dict)


# What a peer, a plugin or a certificate has said, as text that nobody has looked at.
texts = st.text(st.characters(exclude_categories=()), max_size=80)


@example("", "\ud800", "", "", "")
@given(texts, texts, texts, texts, texts)
def test_nor_do_what_they_are_called_and_what_is_said_of_them(
    hello: str, local: str, domain: str, evidence: str, reply: str
) -> None:
    connection = Connection("C1", hello, 1, "192.0.2.2", 25, hello=Hello("EHLO", hello))
    connection.results.append(Result(hello, "fail", evidence))
    transaction = Transaction("T1", connection, sender=Address(local, domain))
    transaction.refusals.append((Address(local, domain), Reply(550, "5.7.1", reply)))
    encoded = encode_transaction(transaction, time=0.0, duration_ns=0)
    assert set(encoded) <= PRINTABLE
    assert json.loads(encoded) == json.loads(encode_line(transaction_line(transaction, time=0.0, duration_ns=0)))
    for line in (
        transaction_line(transaction, time=0.0, duration_ns=0),
        connection_line(connection, time=0.0),
        {"event": "x", "message": evidence, "traceback": reply, hello: domain},
    ):
        written = SyslogSink(Path("x"), "mail").encode(line)
        assert set(written) <= PRINTABLE
        assert isinstance(json.loads(written[written.index(b"{") :]), dict)
        for field in JournaldSink(Path("x")).encode(line).split(b"\n"):
            assert set(field) <= PRINTABLE
