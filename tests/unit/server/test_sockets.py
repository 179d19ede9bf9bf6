"""Sockets bound, on TCP and on Unix, or an error that says which one and why."""

import os
import pwd
import socket
import stat
from pathlib import Path
from typing import Any

import pytest

from fastsmtp.config.listeners import ListenerEntry
from fastsmtp.config.places import ListenAddress
from fastsmtp.errors import StartError
from fastsmtp.server.sockets import BoundSocket, bind


def entry(address: str, **keys: Any) -> ListenerEntry:
    return ListenerEntry.model_validate({"address": address, **keys})


def port_of(bound: BoundSocket) -> int:
    assert isinstance(bound.address, ListenAddress)
    return bound.address.port


def test_bind_takes_a_free_port() -> None:
    bound = bind(entry("127.0.0.1:0"))
    with bound.socket:
        assert bound.address == ListenAddress("127.0.0.1", bound.socket.getsockname()[1])
        assert port_of(bound) > 0
        assert not bound.socket.getblocking()


def test_ipv4_and_ipv6_share_a_port() -> None:
    six = bind(entry("[::]:0"))
    with six.socket, bind(entry(f"0.0.0.0:{port_of(six)}")).socket as four:
        assert four.getsockname()[1] == port_of(six)


def test_a_taken_port_names_itself() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StartError, match=rf"cannot listen on 127\.0\.0\.1:{port}: Address already in use"):
            bind(entry(f"127.0.0.1:{port}"))


def test_an_address_that_is_not_ours() -> None:
    with pytest.raises(StartError, match=r"cannot listen on 192\.0\.2\.1:0"):
        bind(entry("192.0.2.1:0"))


@pytest.mark.parametrize(("mode", "umask"), [("0660", 0o077), ("0666", 0o777), ("0600", 0o000)])
def test_a_unix_socket_has_its_mode_whatever_the_umask(tmp_path: Path, mode: str, umask: int) -> None:
    path = tmp_path / "smtp.sock"
    before = os.umask(umask)
    try:
        bound = bind(entry(f"unix:{path}", socket_mode=mode))
    finally:
        os.umask(before)

    found = path.stat()
    assert stat.S_ISSOCK(found.st_mode)
    assert stat.S_IMODE(found.st_mode) == int(mode, 8)
    bound.close()
    assert not path.exists()


def test_nobody_gets_in_before_the_mode_is_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "smtp.sock"
    seen: list[int] = []

    chmod = Path.chmod

    def look_and_change(self: Path, mode: int) -> None:
        seen.append(stat.S_IMODE(self.stat().st_mode))
        chmod(self, mode)

    monkeypatch.setattr(Path, "chmod", look_and_change)
    before = os.umask(0)
    try:
        bind(entry(f"unix:{path}")).close()
    finally:
        os.umask(before)
    assert seen == [0]


def test_owner_and_group_by_name(tmp_path: Path) -> None:
    me = pwd.getpwuid(os.getuid()).pw_name
    bound = bind(entry(f"unix:{tmp_path}/s", socket_user=me))
    assert (tmp_path / "s").stat().st_uid == os.getuid()
    bound.close()


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"socket_user": "no-such-user"}, "there is no user 'no-such-user'; change socket_user"),
        ({"socket_group": "no-such-group"}, "there is no group 'no-such-group'; change socket_group"),
    ],
)
def test_an_owner_who_does_not_exist_leaves_nothing(tmp_path: Path, keys: dict[str, str], sentence: str) -> None:
    with pytest.raises(StartError, match=sentence):
        bind(entry(f"unix:{tmp_path}/s", **keys))
    assert list(tmp_path.iterdir()) == []


def test_a_socket_that_nobody_listens_on_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    stale = path.stat().st_ino, path.stat().st_mtime_ns

    bound = bind(entry(f"unix:{path}"))

    assert (path.stat().st_ino, path.stat().st_mtime_ns) != stale
    bound.close()


def test_a_socket_that_somebody_listens_on_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as alive:
        alive.bind(str(path))
        alive.listen()
        with pytest.raises(StartError, match=rf"cannot listen on unix:{path}: Address already in use"):
            bind(entry(f"unix:{path}"))
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))


def test_what_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "s"
    path.write_text("precious")
    with pytest.raises(StartError, match=rf"cannot listen on unix:{path}: File exists"):
        bind(entry(f"unix:{path}"))
    assert path.read_text() == "precious"


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="No such file or directory"):
        bind(entry(f"unix:{tmp_path}/nowhere/s"))


def test_the_socket_of_a_successor_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "s"
    first = bind(entry(f"unix:{path}"))
    second = bind(entry(f"unix:{path}"))  # the first one does not listen yet, so it looks stale
    first.close()
    assert path.exists()
    second.close()
    assert not path.exists()
    second.remove_file()  # gone is gone
