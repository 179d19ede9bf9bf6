import socket
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastsmtp.log.datagram import DatagramSocket


def listen(path: Path, kind: socket.SocketKind = socket.SOCK_DGRAM) -> socket.socket:
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, kind)
    listener.bind(str(path))
    listener.settimeout(10)
    return listener


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def sender(path: Path) -> Iterator[DatagramSocket]:
    sender = DatagramSocket(path, end=b"\0")
    yield sender
    sender.close()


def test_each_message_is_a_datagram(path: Path, sender: DatagramSocket) -> None:
    with listen(path) as listener:
        messages = deque([b"one", b"x" * 100_000])
        sender.write(messages)
        assert not messages
        assert [listener.recv(200_000) for _ in range(2)] == [b"one", b"x" * 100_000]


def test_a_stream_has_ends(path: Path, sender: DatagramSocket) -> None:
    with listen(path, socket.SOCK_STREAM) as listener:
        listener.listen()
        sender.write(deque([b"one", b"two"]))
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(10)
            assert connection.recv(8, socket.MSG_WAITALL) == b"one\0two\0"


def test_a_stream_is_an_error_where_there_is_none(path: Path) -> None:
    with listen(path, socket.SOCK_STREAM) as listener:
        listener.listen()
        with pytest.raises(OSError, match="Protocol wrong type"):
            DatagramSocket(path).write(deque([b"one"]))


def test_who_was_started_anew_hears_the_next_message(path: Path, sender: DatagramSocket) -> None:
    with listen(path) as listener:
        sender.write(deque([b"one"]))
        assert listener.recv(100) == b"one"
    messages = deque([b"two", b"three"])
    with pytest.raises(OSError, match=r"refused|No such file"):
        sender.write(messages)
    assert list(messages) == [b"two", b"three"]
    with listen(path) as listener:
        sender.write(messages)
        assert [listener.recv(100), listener.recv(100)] == [b"two", b"three"]
        with listen(path) as successor:
            listener.close()
            sender.write(deque([b"four"]))
            assert successor.recv(100) == b"four"


def test_connecting_anew(path: Path, sender: DatagramSocket) -> None:
    with listen(path) as listener:
        sender.write(deque([b"one"]))
        with listen(path) as successor:
            sender.reopen()
            sender.write(deque([b"two"]))
            assert (listener.recv(100), successor.recv(100)) == (b"one", b"two")


def test_nobody_listens(path: Path, sender: DatagramSocket) -> None:
    for _ in range(2):
        with pytest.raises(FileNotFoundError):
            sender.write(deque([b"one"]))
