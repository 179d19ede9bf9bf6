"""Messages as they come: each is stored exactly, whatever is in it."""

from collections.abc import Iterator
from importlib.resources import files
from typing import Final

import pytest
from integration.clients import trace
from integration.clients.raw import RawClient
from integration.clients.senders import stuffed
from integration.server import ServerProcess, running_server
from messages import Sample, large, samples
from properties.oracle import message

CORPUS: Final = "test.test_email"
"""CPython's own test messages; Debian has them in a package of their own."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    any_header = {"limits.header_size": "4MiB", "limits.header_fields": 0}
    with running_server(tmp_path_factory.mktemp("site"), any_header) as server:
        yield server


@pytest.fixture(scope="module")
def client(server: ServerProcess) -> Iterator[RawClient]:
    """One connection for all of them."""
    with RawClient(server.connect()) as client:
        assert client.say(b"EHLO client.example.org").startswith(b"250-")
        yield client
        assert client.say(b"QUIT").startswith(b"221 ")


def delivered(client: RawClient, server: ServerProcess, content: bytes) -> bytes:
    """Deliver to Alice, and take the file out of the mailbox: what it has below the trace fields."""
    transaction_id = client.deliver(content)
    [file] = (server.mailbox("alice@example.test") / "new").iterdir()
    stored = file.read_bytes()
    assert file.name.endswith(f",S={len(stored)}")
    file.unlink()
    split = trace.split(stored)
    assert split.id == transaction_id
    assert split.return_path == "ann@example.org"
    return split.content


@pytest.mark.parametrize("sample", list(samples()), ids=str)
def test_stored_as_sent(sample: Sample, client: RawClient, server: ServerProcess) -> None:
    assert delivered(client, server, sample.content) == sample.stored


def test_large_messages_do_not_pile_up(client: RawClient, server: ServerProcess) -> None:
    sample = large(10_000_000)
    assert delivered(client, server, sample.content) == sample.stored
    before = server.memory_bytes()
    for _ in range(8):
        assert delivered(client, server, sample.content) == sample.stored
    assert server.memory_bytes() < before + 2 * len(sample.content)


def test_corpus_of_cpython(client: RawClient, server: ServerProcess) -> None:
    pytest.importorskip(CORPUS, reason=f"no {CORPUS} in this Python: apt-get install libpython3.11-testsuite")
    # Pictures and sounds lie there, too; as messages they are a good deal worse than anything that people send.
    corpus = [entry for entry in (files(CORPUS) / "data").iterdir() if entry.is_file()]
    assert len(corpus) > 40
    for entry in corpus:
        content = entry.read_bytes()
        if entry.name.endswith(".txt"):
            content = content.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        if not content.endswith(b"\r\n"):
            content += b"\r\n"
        assert delivered(client, server, content) == expected(content), entry.name


def expected(content: bytes) -> bytes:
    """What is stored of a message, by the oracle of the parser, and without the Return-Path fields of its header."""
    ended = message(stuffed(content))
    assert ended
    lines = ended.stored[: ended.header_octets].splitlines(keepends=True)
    kept: list[bytes] = []
    dropping = False
    for line in lines:
        if not line.startswith((b" ", b"\t")):
            dropping = line.lower().startswith(b"return-path:")
        if not dropping:
            kept.append(line)
    return b"".join(kept) + ended.stored[ended.header_octets :]
