"""Sockets bound, on TCP and on Unix, or an error that says which one and why."""

import grp
import os
import pwd
import socket
import stat
from pathlib import Path
from typing import Any

import pytest
from ports import free_port

from fastsmtp.config.listeners import ListenerEntry
from fastsmtp.config.places import ListenAddress, UnixAddress
from fastsmtp.errors import StartError
from fastsmtp.server.sockets import BoundSocket, bind, set_owner_and_mode, unix_faults


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
    port = free_port()  # one that the kernel gives out for IPv6 may be somebody's for IPv4
    with bind(entry(f"[::]:{port}")).socket as six, bind(entry(f"0.0.0.0:{port}")).socket as four:
        assert six.getsockname()[1] == four.getsockname()[1] == port


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

    chmod = os.chmod

    def look_and_change(file: str, mode: int) -> None:
        seen.append(stat.S_IMODE(path.stat().st_mode))
        chmod(file, mode)

    monkeypatch.setattr(os, "chmod", look_and_change)
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
    with pytest.raises(StartError, match=r"there is no folder .*/nowhere; make it"):
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


def test_what_a_link_leads_to_is_not_changed(tmp_path: Path) -> None:
    """Somebody who owns the folder may try to have root give away what is not theirs."""
    (tmp_path / "precious").touch(mode=0o600)
    (tmp_path / "s").symlink_to(tmp_path / "precious")
    for path in ("s", "precious"):
        address = UnixAddress(tmp_path / path)
        with pytest.raises(StartError, match=r"cannot give unix:.* its owner and mode: File exists"):
            set_owner_and_mode(entry(str(address), socket_mode="0666"), address, (1, 1))
    assert stat.S_IMODE((tmp_path / "precious").stat().st_mode) == 0o600


def test_a_unix_socket_belongs_to_who_serves(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may give a socket away")
    bound = bind(entry(f"unix:{tmp_path}/s", socket_group="daemon"), default_owner=(65_534, 65_534))
    status = (tmp_path / "s").stat()
    bound.close()
    assert status.st_uid == 65_534
    assert status.st_gid == grp.getgrnam("daemon").gr_gid


def test_beside_another_one() -> None:
    first = bind(entry("127.0.0.1:0"))
    with first.socket, bind(entry("127.0.0.1:0"), first).socket as second:
        assert second.getsockname() == first.socket.getsockname()


def test_beside_another_server_there_is_no_place() -> None:
    """SO_REUSEPORT would let two servers of one user share a port, and nobody would know who gets the mail."""
    other = bind(entry("127.0.0.1:0"))
    with other.socket:
        other.socket.listen()
        with pytest.raises(StartError, match="Address already in use"):
            bind(entry(str(other.address)))


def test_a_server_that_is_dying_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    dying = bind(entry("127.0.0.1:0"))
    dying.socket.listen()
    monkeypatch.setattr("fastsmtp.server.sockets.time.sleep", lambda _: dying.close())
    bound = bind(entry(str(dying.address)))
    assert bound.address == dying.address
    bound.close()


def test_only_systemd_makes_sockets_of_systemd() -> None:
    with pytest.raises(StartError, match="systemd:smtp: only systemd can make its sockets"):
        bind(entry("systemd:smtp"))


def test_what_can_be_seen_beforehand(tmp_path: Path) -> None:
    assert list(unix_faults(entry(f"unix:{tmp_path}/s"))) == []
    assert list(unix_faults(entry("192.0.2.1:25"))) == []
    wrong = entry(f"unix:{tmp_path}/run/s", socket_user="no-such-user", socket_group="no-such-group")
    assert list(unix_faults(wrong)) == [
        f"cannot listen on unix:{tmp_path}/run/s: there is no folder {tmp_path}/run; make it, or change the address",
        f"unix:{tmp_path}/run/s: there is no user 'no-such-user'; change socket_user",
        f"unix:{tmp_path}/run/s: there is no group 'no-such-group'; change socket_group",
    ]
    assert list(tmp_path.iterdir()) == []
