"""The load generator against servers that run: the floor, which believes everything, and some that do not."""

import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from benchmarks.floors import USERS, running

from bench.load.generator import Load, LoadResult, recipients_file, run
from bench.load.messages import Weighted, of_size
from bench.peers.floor import Floor, Null

FEW = Load(messages=40, connections=4)


@pytest.fixture
def recipients(tmp_path: Path) -> Path:
    return recipients_file(tmp_path, [f"{user}@bench.example" for user in USERS])


@pytest.fixture
def send(tmp_path: Path, recipients: Path) -> Iterator[Callable[..., LoadResult]]:
    """To a server that only answers."""
    with running(Null(), tmp_path) as server:
        yield lambda load, **rest: run(server.address, load, recipients, tmp_path, **rest)


@pytest.mark.parametrize(
    "load",
    [
        FEW,
        replace(FEW, pipelining=True),
        replace(FEW, recipients_each=3),
        replace(FEW, recipients_each=3, pipelining=True),
        replace(FEW, threads=3),
        replace(FEW, connections=1),
        replace(FEW, sources=3),
        replace(FEW, mix=(Weighted(1000, 1), Weighted(100_000, 1))),
    ],
    ids=repr,
)
def test_everything_asked_for_is_sent_and_counted(load: Load, send: Callable[..., LoadResult]) -> None:
    for lmtp in (False, True):
        done = send(load, lmtp=lmtp)
        assert done.messages == len(done.latencies) == 40
        assert done.connects == load.connections
        assert (done.refused_4xx, done.refused_5xx, done.lost, done.unsent, done.refusal) == (0, 0, 0, 0, "")
        assert not done.abandoned
        assert done.seconds > 0
        assert done.cpu_s > 0


def test_messages_on_a_connection_are_bounded(send: Callable[..., LoadResult]) -> None:
    done = send(replace(FEW, per_connection=1))
    assert done.messages == 40
    assert 40 <= done.connects <= 44  # some come back, and find nothing more to do


def test_connections_without_a_message(send: Callable[..., LoadResult]) -> None:
    done = send(replace(FEW, no_mail=True))
    assert (done.messages, done.connects, done.octets) == (40, 40, 0)
    assert len(done.latencies) == 40


def test_a_mix_is_a_mix(send: Callable[..., LoadResult]) -> None:
    done = send(Load(messages=400, mix=(Weighted(1000, 3), Weighted(2000, 1))))
    stuffed_end = 3
    large = (done.octets - 400 * (1000 + stuffed_end)) / 1000
    assert 60 < large < 140  # a hundred are to be expected; the seed is always the same


def test_open_loop_sends_what_is_due(send: Callable[..., LoadResult]) -> None:
    done = send(Load(seconds=0.5, rate=200, connections=10))
    assert done.messages == 100
    assert done.unsent == 0


def test_open_loop_counts_from_the_intended_time(tmp_path: Path, recipients: Path) -> None:
    """A server that does nothing for half a second: all that was due meanwhile has waited, not only what was sent."""
    server = Scripted({})
    server.pause_s = 0.5
    with serving(server) as address:
        done = run(address, Load(seconds=1, rate=100, connections=2), recipients, tmp_path)
    assert done.messages == 100
    assert done.latencies.percentile_ms(100) >= 500
    waited = sum(count for value_ns, count in done.latencies.buckets() if value_ns > 100e6)
    assert waited >= 30  # a closed loop would have seen two


def test_what_is_stored_is_what_was_sent(tmp_path: Path, recipients: Path) -> None:
    with running(Floor("floor"), tmp_path) as server:
        done = run(server.address, replace(FEW, recipients_each=2), recipients, tmp_path)
        files = list(server.site.mail.glob("*/*/new/*"))
        assert len(files) == 2 * done.messages == server.peer.stored(server.site)
        assert {path.parent.parent.name for path in files} == set(USERS)
        sent = of_size(4096).replace(b"\n", b"\r\n")
        assert {path.read_bytes() for path in files} == {sent}
        assert not list(server.site.mail.glob("*/*/tmp/*"))


class Scripted(socketserver.ThreadingTCPServer):
    """Answers each verb as told, everything else with 250; an empty reply hangs up. One message may take its time."""

    block_on_close = True
    daemon_threads = False
    greeting = "220 here"
    pause_s = 0.0

    def __init__(self, replies: Mapping[str, str]) -> None:
        super().__init__(("127.0.0.1", 0), Conversation)
        self.replies = replies
        self.messages = 0
        self.lock = threading.Lock()

    @property
    def address(self) -> str:
        host, port = self.socket.getsockname()
        return f"{host}:{port}"


class Conversation(socketserver.StreamRequestHandler):
    server: Scripted

    def handle(self) -> None:
        with suppress(ConnectionError):
            self.say(self.server.greeting)
            while line := self.rfile.readline():
                verb = line[:4].decode().strip().upper()
                reply = self.server.replies.get(verb, "354 go" if verb == "DATA" else "250 ok")
                if not reply:
                    return
                self.say(reply)
                if reply.startswith("354"):
                    while self.rfile.readline() not in {b".\r\n", b""}:
                        pass
                    self.take()
                    self.say(self.server.replies.get(".", "250 stored"))

    def take(self) -> None:
        with self.server.lock:
            self.server.messages += 1
            if self.server.messages == 10:
                time.sleep(self.server.pause_s)  # the stall that is to be seen

    def say(self, reply: str) -> None:
        self.wfile.write(f"{reply}\r\n".encode())


@contextmanager
def serving(server: Scripted) -> Iterator[str]:
    with server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.address
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("pipelining", [False, True])
@pytest.mark.parametrize(
    ("replies", "kind", "refusal"),
    [
        ({"MAIL": "451 4.3.0 later"}, "refused_4xx", "451 4.3.0 later"),
        ({"RCPT": "452 4.5.3 full"}, "refused_4xx", "452 4.5.3 full"),
        ({"RCPT": "550 5.1.1 nobody", "DATA": "503 nobody"}, "refused_5xx", "550 5.1.1 nobody"),
        ({"DATA": "554 no"}, "refused_5xx", "554 no"),
        ({".": '554 5.6.0 "never"'}, "refused_5xx", '554 5.6.0 "never"'),
        ({"MAIL": "421 bye"}, "lost", "421 bye"),
        ({"DATA": ""}, "lost", "the server hung up"),
    ],
    ids=str,
)
def test_what_goes_wrong_is_counted(
    replies: dict[str, str], kind: str, refusal: str, pipelining: bool, tmp_path: Path, recipients: Path
) -> None:
    with serving(Scripted(replies)) as address:
        load = Load(messages=10, connections=2, pipelining=pipelining)
        tolerant = run(address, replace(load, tolerate=10), recipients, tmp_path)
        strict = run(address, load, recipients, tmp_path)
    assert getattr(tolerant, kind) == 10
    assert (tolerant.messages, tolerant.refusal.strip(), tolerant.abandoned) == (0, refusal, False)
    assert getattr(strict, kind) >= 1
    assert strict.abandoned


@pytest.mark.parametrize(("greeting", "refusal"), [("554 go away", "554 go away"), ("421 later", "421 later")])
def test_a_server_that_does_not_want_us(greeting: str, refusal: str, tmp_path: Path, recipients: Path) -> None:
    server = Scripted({})
    server.greeting = greeting
    with serving(server) as address:
        done = run(address, FEW, recipients, tmp_path)
    assert done.abandoned
    assert done.refusal.strip() == refusal


def test_nobody_there(tmp_path: Path, recipients: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        done = run(f"127.0.0.1:{unused.getsockname()[1]}", FEW, recipients, tmp_path)
    assert done.abandoned
    assert done.refusal == "connect: Connection refused"
