"""What strangers do to a server, while good mail goes on beside it: memory stays bounded, and the mail gets through.

`make test` does it on a small scale; `make test-attacks` does all of it, and prints the figures of docs/attacks.md.
Everything comes from 127.0.0.1, which no limit of clients holds for: what is seen here is what is behind those limits.
"""

import itertools
import os
import selectors
import socket
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import pytest
from integration.clients.good_mail import GoodMail
from integration.clients.swarm import Swarm, total
from integration.server import DEADLINE_S, ServerProcess, running_server, serve_command, wait_until
from refusals import plain

from fastsmtp.directory.admin import SqliteAdmin
from fastsmtp.directory.schemes import hash_password
from fastsmtp.smtp.replies import AUTH_FAILED, AUTH_TROUBLE

IS_FULL: Final = os.environ.get("ATTACKS") == "full"
LOOK_S: Final = 10.0 if IS_FULL else 1.0
"""For how long good mail is counted, without the attack and with it."""

KIB: Final = 1024
MIB: Final = 1024 * KIB
TOO_MANY: Final = "452 4.3.1 Too many messages are arriving at once, try again later"
ENVELOPE: Final = b"EHLO c.example\r\nMAIL FROM:<ann@example.org>\r\nRCPT TO:<alice@example.test>\r\nDATA\r\n"

NO_LIMIT: Final = {"limits.commands": 0, "limits.nonmail_commands": 0}
"""A session may go on for ever, so that it is seen what would be if it did."""


def scale(small: int, full: int) -> int:
    return full if IS_FULL else small


def goes_on(war: float, peace: float) -> bool:
    """Whether good mail gets through beside an attack; how fast is seen on a machine that does nothing else."""
    return war > (peace / 4 if IS_FULL else 0)


def report(attack: str, **figures: object) -> None:
    """One line, to be seen with `pytest -s`."""
    shown = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in figures.items())
    print(f"\n{attack}: {shown}", end=" ", flush=True)  # noqa: T201 - the figures are what it is run for


def worker(server: ServerProcess) -> int:
    """The process that speaks with clients."""
    [pid] = server.workers()
    return pid


class Memory:
    """By how much a server grows at most, and how much of that it keeps, from here to the end of the block."""

    def __init__(self, server: ServerProcess) -> None:
        self._server = server
        self.peak = self.kept = 0

    def __enter__(self) -> Self:
        self._before = self._server.memory_bytes()
        Path(f"/proc/{worker(self._server)}/clear_refs").write_text("5")  # proc(5): begin to look for the peak anew
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        status = Path(f"/proc/{worker(self._server)}/status").read_text()
        peak = next(int(line.split()[1]) * KIB for line in status.splitlines() if line.startswith("VmHWM:"))
        self.peak = peak - self._before
        self.kept = self._server.memory_bytes() - self._before


@contextmanager
def attacked(folder: Path, settings: Mapping[str, object] | None = None) -> Iterator[ServerProcess]:
    """A server that has seen some clients already; afterwards nothing is left, and nothing of ours has failed."""
    with running_server(folder / "site", settings) as server:
        with Swarm(server, 100) as first:
            first.say(ENVELOPE + b"Subject: first\r\n\r\n.\r\nQUIT\r\n")
            first.hear(DEADLINE_S, "closed", 100)
        wait_until(lambda: server.metric("fastsmtp_connections") == 0)
        before = server.descriptors()
        yield server
        wait_until(lambda: server.metric("fastsmtp_connections") == 0, "everybody is gone")
        wait_until(lambda: server.descriptors() <= before, "descriptors are given back")
        wait_until(lambda: server.metric("fastsmtp_message_memory_bytes") == 0, "nothing is held")
        assert server.unfinished() == []
        assert server.metric("fastsmtp_internal_errors_total") == 0


def test_slowloris(tmp_path: Path) -> None:
    """Half of them send a command and half a message, an octet at a time; none of that buys time."""
    count = scale(300, 2_000)
    patience_s = int(2 * LOOK_S) + 6  # on a busy machine they need a while to come
    settings = {"timeouts.command": patience_s, "timeouts.data": patience_s, "limits.data_rate": 100}
    with attacked(tmp_path, settings) as server, Memory(server) as memory, GoodMail(server) as mail:
        peace = mail.rate(LOOK_S)
        with Swarm(server, count // 2) as in_command, Swarm(server, count // 2) as in_message:
            in_message.say(ENVELOPE)
            in_message.hear(DEADLINE_S, "354", count // 2)
            begun = time.monotonic()
            war = 0.0
            while in_command.say(b"N") + in_message.say(b"x"):  # as long as somebody is there
                assert time.monotonic() < begun + DEADLINE_S
                war = max(war, mail.rate(1))
            cut = in_command.hear(DEADLINE_S) + in_message.hear(DEADLINE_S)
        took = time.monotonic() - begun
    assert cut["421 4.4.2 Waited too long for you"] == count // 2
    assert cut["421 4.4.2 Your message comes too slowly"] == count // 2
    assert cut["closed"] == count
    assert memory.peak / count < 16 * KIB
    assert mail.summary["refusals"] == {}
    assert goes_on(war, peace)
    report(
        f"Slowloris, {count} connections",
        rate_before=round(peace),
        rate_beside=round(war),
        worst_s=round(mail.summary["worst_s"], 2),
        cut_within_s=round(took),
        bytes_each=round(memory.peak / count),
    )


def test_idle_connections(tmp_path: Path) -> None:
    count = scale(1_000, 10_000)
    with attacked(tmp_path, {"limits.connections": count + 100}) as server:
        with GoodMail(server) as mail:
            peace = mail.rate(LOOK_S)
        with Memory(server) as memory, Swarm(server, count) as idle:
            idle.say(b"EHLO client.example\r\n")
            idle.hear(DEADLINE_S, "250 ", count)
        with Swarm(server, count) as idle, GoodMail(server) as mail:
            idle.say(b"EHLO client.example\r\n")
            war = mail.rate(LOOK_S)
            busy_s = cpu_s(server)
            seconds = LOOK_S
        with Swarm(server, count):
            busy_s = cpu_s(server)
            time.sleep(seconds)
            busy_s = cpu_s(server) - busy_s
    each = memory.peak / count
    assert each < 6 * KIB
    assert mail.summary["refusals"] == {}
    report(
        f"{count} idle connections",
        bytes_each=round(each),
        rate_before=round(peace),
        rate_beside=round(war),
        worst_s=round(mail.summary["worst_s"], 2),
        cpu_percent_when_all_is_quiet=round(100 * busy_s / seconds, 1),
    )


def cpu_s(server: ServerProcess) -> float:
    """What the process has used, user and system."""
    fields = Path(f"/proc/{worker(server)}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_an_endless_line(tmp_path: Path) -> None:
    size = scale(32, 1_024) * MIB
    with (
        attacked(tmp_path) as server,
        Memory(server) as memory,
        GoodMail(server) as mail,
        server.connect() as client,
        client.makefile("rb") as replies,
    ):
        begun = time.monotonic()
        for _ in range(size // MIB):
            client.sendall(b"x" * MIB)
        seconds = time.monotonic() - begun
        client.sendall(b"\r\nQUIT\r\n")
        assert [line[:3] for line in replies] == [b"220", b"500", b"221"]
    assert memory.peak < 8 * MIB
    assert mail.summary["refusals"] == {}
    report(
        f"a command line of {size // MIB} MiB",
        peak_KiB=memory.peak // KIB,
        MiB_a_second=round(size / MIB / seconds),
        worst_s=round(mail.summary["worst_s"], 2),
    )


@pytest.mark.parametrize("line", [b"X-Header: of the usual length, more or less\r\n", b"x" * 64 * KIB])
def test_an_endless_header(tmp_path: Path, line: bytes) -> None:
    size = scale(64, 1_024) * MIB
    with (
        attacked(tmp_path) as server,
        Memory(server) as memory,
        GoodMail(server) as mail,
        server.connect() as client,
        client.makefile("rb") as replies,
    ):
        client.sendall(ENVELOPE)
        portion = line * (MIB // len(line))
        for _ in range(size // MIB):
            client.sendall(portion)
        client.sendall(b"\r\n.\r\nQUIT\r\n")
        assert [said[:9] for said in replies][-2:] == [b"552 5.3.4", b"221 2.0.0"]
    assert memory.peak < 8 * MIB
    assert mail.summary["refusals"] == {}
    report(
        f"a header of {size // MIB} MiB in {'lines' if len(line) < KIB else 'one line'}",
        peak_KiB=memory.peak // KIB,
        worst_s=round(mail.summary["worst_s"], 2),
    )


@pytest.mark.parametrize("announced", ["20_000_000", "3_000_000_000", "18_446_744_073_709_551_620", "1e400"])
def test_chunks_of_another_size_than_announced(tmp_path: Path, announced: str) -> None:
    """Nothing is reserved for what is only announced; what comes of it is dropped where it would be too much."""
    size = scale(64, 512) * MIB
    octets = b"1" + b"0" * 400 if announced == "1e400" else announced.replace("_", "").encode()
    with attacked(tmp_path) as server, Memory(server) as memory, GoodMail(server) as mail:
        with server.connect() as client, suppress(ConnectionError):
            client.sendall(ENVELOPE.removesuffix(b"DATA\r\n") + b"BDAT %s\r\n" % octets)
            for _ in range(size // MIB):
                client.sendall(b"x" * 1_022 * KIB + b"\r\n")
        wait_until(lambda: server.metric("fastsmtp_connections") <= 4)
        wait_until(lambda: sum_of_ended(server) >= 1)
        assert server.messages("alice@example.test")[100:] == []
    assert memory.peak < 8 * MIB
    assert mail.summary["refusals"] == {}
    report(
        f"BDAT of {announced} octets, {size // MIB} MiB come",
        peak_KiB=memory.peak // KIB,
        worst_s=round(mail.summary["worst_s"], 2),
    )


def sum_of_ended(server: ServerProcess) -> float:
    """Transactions that did not end well."""
    return sum(
        server.metric("fastsmtp_transactions_total", outcome=outcome)
        for outcome in ("deferred", "lost", "refused", "reset")
    )


def test_very_many_very_small_chunks(tmp_path: Path) -> None:
    count = scale(20_000, 200_000)
    with (
        attacked(tmp_path, NO_LIMIT) as server,
        Memory(server) as memory,
        GoodMail(server) as mail,
        server.connect() as client,
        client.makefile("rb") as replies,
    ):
        client.sendall(ENVELOPE.removesuffix(b"DATA\r\n"))
        for _ in range(count // 1_000):
            client.sendall(b"BDAT 1\r\nx" * 1_000)
            for _ in range(1_000):
                while not replies.readline().startswith((b"250 2.0.0 1 ", b"4", b"5")):
                    pass
    assert memory.peak < 8 * MIB
    assert mail.summary["refusals"] == {}
    report(f"{count} chunks of one octet", peak_KiB=memory.peak // KIB, worst_s=round(mail.summary["worst_s"], 2))


def test_a_hundred_thousand_recipients(tmp_path: Path) -> None:
    count = scale(10_000, 100_000)
    with (
        attacked(tmp_path, NO_LIMIT) as server,
        Memory(server) as memory,
        GoodMail(server) as mail,
        server.connect() as client,
        client.makefile("rb") as replies,
        suppress(ConnectionError),
    ):
        client.sendall(ENVELOPE.removesuffix(b"DATA\r\n"))
        while replies.readline()[:9] != b"250 2.1.5":
            pass
        codes: dict[bytes, int] = {}
        for first in range(0, count, 500):
            client.sendall(
                b"".join(b"RCPT TO:<nobody%d@example.test>\r\n" % number for number in range(first, first + 500))
            )
            for _ in range(500):
                code = replies.readline()[:9]
                codes[code] = codes.get(code, 0) + 1
    assert memory.peak < 8 * MIB
    assert mail.summary["refusals"] == {}
    report(f"{count} RCPTs", peak_KiB=memory.peak // KIB, replies=codes, worst_s=round(mail.summary["worst_s"], 2))


def test_aborted_messages_of_ten_megabytes(tmp_path: Path) -> None:
    """Their octets go into files without a name, which are gone with the connection."""
    count, together, size = scale(20, 1_000), 20, 10 * MIB
    with attacked(tmp_path, NO_LIMIT) as server, Memory(server) as memory, GoodMail(server) as mail:
        peace = mail.rate(LOOK_S)
        begun, stored = time.monotonic(), server.metric("fastsmtp_transactions_total", outcome="stored")
        most_open = 0
        for _ in range(count // together):
            clients = [server.connect() for _ in range(together)]
            for client in clients:
                client.sendall(ENVELOPE + b"Subject: large\r\n\r\n")
            for _ in range(size // MIB):
                for client in clients:
                    client.sendall(b"x" * 1_022 * KIB + b"\r\n")
            most_open = max(most_open, server.descriptors())
            for client in clients:
                client.close()
        seconds = time.monotonic() - begun
        war = (server.metric("fastsmtp_transactions_total", outcome="stored") - stored) / seconds
        wait_until(lambda: server.metric("fastsmtp_transactions_total", outcome="lost") == count)
        assert list((server.mail_root / ".spool").iterdir()) == []
    assert memory.peak < 48 * MIB
    assert memory.kept < 24 * MIB
    assert mail.summary["refusals"] == {}
    report(
        f"{count} aborted messages of 10 MiB, {together} at a time",
        peak_MiB=memory.peak // MIB,
        kept_MiB=memory.kept // MIB,
        MiB_a_second=round(count * size / MIB / seconds),
        rate_before=round(peace),
        rate_beside=round(war),
        worst_s=round(mail.summary["worst_s"], 2),
    )


def test_messages_that_are_begun_and_not_finished(tmp_path: Path) -> None:
    """More of them than there is memory: those that lie there make room for those that move."""
    count, limit = scale(100, 1_000), scale(8, 64) * MIB
    with attacked(tmp_path, {"limits.message_memory": limit}) as server, Memory(server) as memory:
        mail = GoodMail(server)
        with mail, Swarm(server, count) as stalled:
            peace = mail.rate(LOOK_S)
            stalled.say(ENVELOPE)
            stalled.hear(DEADLINE_S, "354", count)
            most = 0.0
            for _ in range(20):
                stalled.say(b"y" * 10 * KIB + b"\r\n")
                most = max(most, server.metric("fastsmtp_message_memory_bytes"))
            wait_until(lambda: server.metric("fastsmtp_message_memory_bytes") <= limit, "there is room again")
            war = mail.rate(LOOK_S)
            ended = server.metric("fastsmtp_limits_total", limit="message_memory")
            stalled.say(b".\r\n")
            answers = stalled.hear(DEADLINE_S, times=count)
    assert ended > 0
    assert most <= 1.5 * limit + MIB
    assert memory.peak < 3 * limit + 16 * MIB
    assert goes_on(war, peace)
    assert total(answers, "452 4.3.1") + total(answers, "250 2.0.0 stored") == count
    report(
        f"{count} messages of 200 KiB that stop, with {limit // MIB} MiB for all",
        most_held_MiB=round(most / MIB, 1),
        peak_MiB=memory.peak // MIB,
        ended=int(total(answers, "452 4.3.1")),
        rate_before=round(peace),
        rate_beside=round(war),
        refused_good_ones=mail.summary["refusals"],
        worst_s=round(mail.summary["worst_s"], 2),
    )


def test_more_connections_than_there_are_descriptors_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each hears why it does not get in; deliveries go on; nobody spins."""
    most, count = 200, 300
    limited = ["prlimit", f"--nofile={most}:{most}"]
    monkeypatch.setattr("integration.server.serve_command", lambda site: limited + serve_command(site))
    with attacked(tmp_path, NO_LIMIT) as server:
        refused = server.metric("fastsmtp_limits_total", limit="descriptors")
        with Swarm(server, 50), GoodMail(server, on_each=1_000_000) as mail, Swarm(server, count) as crowd:
            turned_away = crowd.greetings["421 4.3.2 Too many connections, come again later"]
            assert total(crowd.greetings, "220 ") + turned_away == count
            assert turned_away >= count - most // 2
            war = mail.rate(LOOK_S)
            before = cpu_s(server)
            quiet = mail.rate(1)
            busy = cpu_s(server) - before
        assert war > 0
        assert quiet > 0
        assert busy < 0.9
        assert mail.summary["refusals"] == {}
        assert server.metric("fastsmtp_limits_total", limit="descriptors") - refused == turned_away

        def told(message: str) -> int:
            return [line["message"] for line in server.log_lines("fastsmtp.server")].count(message)

        assert told("not enough open files for limits.connections") == 1
        wait_until(lambda: told("clients were turned away") >= 1, "it is told, once a minute")
    report(f"{count} connections with {most} descriptors", turned_away=turned_away, rate_beside=round(war))


def guess(guessers: Swarm, is_over: Callable[[], bool]) -> Counter[str]:
    """Each guesses, hears the answer, and guesses again until it is over; all that they heard."""
    heard: Counter[str] = Counter()
    names = itertools.cycle((b"alice@example.test", b"nobody@example.test"))
    with selectors.DefaultSelector() as selector:
        for guesser in guessers.sockets:
            selector.register(guesser, selectors.EVENT_READ)
            guesser.send(b"AUTH PLAIN " + b64encode(b"\0%s\0guess" % next(names)) + b"\r\n")
        while selector.get_map():
            for key, _ in selector.select(DEADLINE_S):
                one: object = key.fileobj
                assert isinstance(one, socket.socket)
                heard.update(map(plain, one.recv(65_536).decode().splitlines()))
                if is_over():
                    selector.unregister(one)
                else:
                    one.send(b"AUTH PLAIN " + b64encode(b"\0%s\0guess" % next(names)) + b"\r\n")
    return heard


def test_guesses_of_passwords(tmp_path: Path) -> None:
    """Known and unknown names, as fast as the server answers. One is checked at a time; the others hear so."""
    count = scale(50, 500)
    settings = {"auth.enabled": True, "auth.require_tls": False, "auth.tries": 1_000_000}
    with attacked(tmp_path, settings) as server, Memory(server) as memory, GoodMail(server) as mail:
        with SqliteAdmin(server.folder / "directory.db") as admin:
            admin.set_password("alice@example.test", hash_password("another"))
        peace = mail.rate(LOOK_S)
        with Swarm(server, count) as guessers, ThreadPoolExecutor(1) as beside:
            guessers.say(b"EHLO c.example\r\n")
            guessers.hear(DEADLINE_S, "250 ", count)
            rate = beside.submit(mail.rate, LOOK_S)
            heard = guess(guessers, rate.done)
            war = rate.result()
    assert set(heard) == {str(AUTH_FAILED), str(AUTH_TROUBLE)}
    assert war > 0
    assert memory.peak < 64 * MIB + count * 512 * KIB  # what Argon2id takes for one
    assert mail.summary["refusals"] == {}
    report(
        f"{count} clients that guess passwords",
        checked_a_second=round(heard[str(AUTH_FAILED)] / LOOK_S),
        put_off_a_second=round(heard[str(AUTH_TROUBLE)] / LOOK_S),
        MiB=round(memory.peak / MIB),
        rate_before=round(peace),
        rate_beside=round(war),
        worst_s=round(mail.summary["worst_s"], 2),
    )


def test_replies_that_nobody_reads(tmp_path: Path) -> None:
    count = scale(50, 500)
    with (
        attacked(tmp_path, {**NO_LIMIT, "timeouts.command": "5s"}) as server,
        Memory(server) as memory,
        GoodMail(server) as mail,
    ):
        peace = mail.rate(LOOK_S)
        with Swarm(server, count, receive_bytes=4_096) as deaf:
            begun = time.monotonic()
            while time.monotonic() < begun + LOOK_S:
                deaf.say(b"HELP\r\n" * 5_000)
            war = mail.rate(LOOK_S)
            wait_until(
                lambda: server.metric("fastsmtp_limits_total", limit="reading_time") >= count, "they are cut off"
            )
    assert memory.peak / count < 512 * KIB
    assert goes_on(war, peace)
    assert set(mail.summary["refusals"]) <= {TOO_MANY}
    report(
        f"{count} clients that ask and never read",
        KiB_each=round(memory.peak / count / KIB),
        rate_before=round(peace),
        rate_beside=round(war),
        refused_good_ones=mail.summary["refusals"],
        worst_s=round(mail.summary["worst_s"], 2),
    )
