"""Sockets of a generation: one for each slot and listener, the same ones after a reload, nobody dropped."""

import os
import socket
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from refusals import without_id

from fastsmtp.config.listeners import ListenerEntry
from fastsmtp.config.places import ListenAddress
from fastsmtp.errors import StartError
from fastsmtp.server.processes.activation import ActivatedSocket
from fastsmtp.server.processes.doors import Doors, make_doors
from fastsmtp.server.sockets import BoundSocket, bind
from fastsmtp.smtp.replies import SHUTTING_DOWN


def entry(address: str, **keys: Any) -> ListenerEntry:
    return ListenerEntry.model_validate({"address": address, **keys})


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def make(
    stack: ExitStack,
    addresses: Sequence[str],
    slots: int,
    known: Doors | None = None,
    activated: Sequence[ActivatedSocket] = (),
) -> Doors:
    doors = make_doors([entry(address) for address in addresses], slots, activated, known)
    stack.callback(doors.close)
    return doors


def where(descriptor: int) -> tuple[str, int]:
    with socket.socket(fileno=os.dup(descriptor)) as one:
        host, port = one.getsockname()[:2]
        return host, port


def is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def test_a_socket_for_each_slot_at_one_address(stack: ExitStack) -> None:
    doors = make(stack, ["127.0.0.1:0", "[::1]:0"], 3)
    every = [doors.of(slot) for slot in range(3)]
    assert [[len(listener) for listener in of] for of in every] == [[1, 1]] * 3
    descriptors = [descriptor for of in every for listener in of for descriptor in listener]
    assert len(set(descriptors)) == 6
    for listener in (0, 1):
        assert len({where(of[listener][0]) for of in every}) == 1
    assert [list(doors.own(slot)) for slot in range(3)] == [[(0, of[0][0]), (1, of[1][0])] for of in every]


def test_nobody_listens_before_a_worker_does(stack: ExitStack) -> None:
    doors = make(stack, ["127.0.0.1:0"], 2)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(where(doors.of(0)[0][0]))


def test_a_unix_socket_is_shared(stack: ExitStack, tmp_path: Path) -> None:
    doors = make(stack, [f"unix:{tmp_path}/s", "127.0.0.1:0"], 2)
    assert doors.of(0)[0] == doors.of(1)[0]
    assert [listener for listener, _ in doors.own(0)] == [1]
    doors.close()
    assert list(tmp_path.iterdir()) == []


def test_a_reload_keeps_what_it_can(stack: ExitStack, tmp_path: Path) -> None:
    before = make(stack, ["127.0.0.1:0", f"unix:{tmp_path}/s", "127.0.0.2:0"], 2)
    after = make(stack, [f"unix:{tmp_path}/s", "127.0.0.1:0", "127.0.0.3:0"], 2, before)
    for slot in range(2):
        assert after.of(slot)[0] == before.of(slot)[1]
        assert after.of(slot)[1] == before.of(slot)[0]
    gone = [before.of(slot)[2][0] for slot in range(2)]
    before.close(after)
    assert not any(map(is_open, gone))
    assert all(is_open(descriptor) for slot in range(2) for listener in after.of(slot) for descriptor in listener)
    assert (tmp_path / "s").exists()


def test_a_unix_socket_may_get_another_mode(stack: ExitStack, tmp_path: Path) -> None:
    before = make_doors([entry(f"unix:{tmp_path}/s", socket_mode="0600")], 1)
    stack.callback(before.close)
    after = make_doors([entry(f"unix:{tmp_path}/s", socket_mode="0666")], 1, (), before)
    assert after.of(0) == before.of(0)
    assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o600
    after.set_owners_and_modes()
    assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o666


def test_the_same_address_twice(stack: ExitStack) -> None:
    before = make(stack, ["127.0.0.1:0", "127.0.0.1:0"], 1)
    after = make(stack, ["127.0.0.1:0", "127.0.0.1:0"], 1, before)
    assert after.of(0) == before.of(0)
    assert len(set(after.of(0))) == 2


def test_what_cannot_be_had_leaves_everything_as_it_was(stack: ExitStack) -> None:
    before = make(stack, ["127.0.0.1:0"], 1)
    (taken,) = [stack.enter_context(socket.create_server(("127.0.0.1", 0)))]
    opened = {path.name for path in Path("/proc/self/fd").iterdir()}
    with pytest.raises(StartError, match="Address already in use"):
        make(stack, ["127.0.0.1:0", "127.0.0.2:0", f"127.0.0.1:{taken.getsockname()[1]}"], 2, before)
    assert {path.name for path in Path("/proc/self/fd").iterdir()} == opened
    assert is_open(before.of(0)[0][0])


def test_fewer_workers_take_all_sockets(stack: ExitStack) -> None:
    """Whoever waits at the socket of a slot that is gone is heard all the same."""
    before = make(stack, ["127.0.0.1:0"], 5)
    after = make(stack, ["127.0.0.1:0"], 2, before)
    every = [before.of(slot)[0][0] for slot in range(5)]
    assert [after.of(slot)[0] for slot in range(2)] == [tuple(every[0::2]), tuple(every[1::2])]
    again = make(stack, ["127.0.0.1:0"], 5, after)
    assert [again.of(slot)[0][0] for slot in range(5)] == every


def test_more_workers_have_more_sockets(stack: ExitStack) -> None:
    before = make(stack, ["127.0.0.1:0"], 1)
    after = make(stack, ["127.0.0.1:0"], 3, before)
    every = [after.of(slot)[0] for slot in range(3)]
    assert every[0] == before.of(0)[0]
    assert len(set(every)) == 3
    assert len({where(descriptor) for (descriptor,) in every}) == 1


def test_workers_share_what_cannot_be_multiplied(stack: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Port 25 after root has been given up, say."""

    def forbidden(one: ListenerEntry, beside: BoundSocket | None = None, **_: object) -> BoundSocket:
        if beside is not None:
            raise StartError("Permission denied")
        return bind(one)

    before = make(stack, ["127.0.0.1:0"], 2)
    monkeypatch.setattr("fastsmtp.server.processes.doors.bind", forbidden)
    after = make(stack, ["127.0.0.1:0"], 5, before)
    (first,), (second,) = (before.of(slot)[0] for slot in range(2))
    assert [after.of(slot)[0][0] for slot in range(5)] == [first, second, first, second, first]
    assert list(after.own(0)) == []


def test_who_waits_at_a_door_that_closes_hears_why(stack: ExitStack) -> None:
    doors = make(stack, ["127.0.0.1:0"], 1)
    (descriptor,) = doors.of(0)[0]
    doors.entrances[0].sockets[0].socket.listen()
    with socket.create_connection(where(descriptor), timeout=20) as client:
        doors.close()
        assert without_id(client.recv(1000)) == SHUTTING_DOWN.wire
        assert client.recv(1000) == b""


# --- systemd's sockets ------------------------------------------------------------------------------------------------


def listening(stack: ExitStack, host: str = "127.0.0.1", name: str = "", *, both: bool = False) -> ActivatedSocket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.create_server((host, 0), family=family, dualstack_ipv6=both)
    stack.callback(made.close)
    return ActivatedSocket(made, name)


def test_by_address(stack: ExitStack) -> None:
    given = listening(stack)
    doors = make(stack, ["127.0.0.1:0", str(given.address)], 2, activated=[given])
    assert [doors.of(slot)[1] for slot in range(2)] == [(given.socket.fileno(),)] * 2
    assert [listener for listener, _ in doors.own(0)] == [0]
    assert doors.entrances[1].sockets[0].address == given.address


def test_by_name(stack: ExitStack, tmp_path: Path) -> None:
    given = [listening(stack, name="smtp"), listening(stack, name="smtp"), listening(stack, "::1", name="smtp")]
    entries = [entry(f"unix:{tmp_path}/s"), entry("192.0.2.1:25", name="smtp")]
    doors = make_doors(entries, 2, given)
    stack.callback(doors.close)
    assert doors.of(0)[1] == tuple(one.socket.fileno() for one in given)


def test_by_the_name_that_is_its_address(stack: ExitStack) -> None:
    given = [listening(stack, name="smtp"), listening(stack, "::1", name="smtp"), listening(stack, name="other")]
    doors = make(stack, ["systemd:smtp", str(given[2].address)], 2, activated=given)
    assert (
        doors.of(0)
        == doors.of(1)
        == tuple(tuple(one.socket.fileno() for one in given if one.name == name) for name in ("smtp", "other"))
    )
    assert [one.address for one in doors.entrances[0].sockets] == [one.address for one in given[:2]]


def test_a_name_that_systemd_does_not_know(stack: ExitStack) -> None:
    given = listening(stack, name="stmp")
    with pytest.raises(StartError, match=r"systemd:smtp: systemd has given no socket of this name \(there are stmp\)"):
        make(stack, ["systemd:smtp", str(given.address)], 1, activated=[given])
    with pytest.raises(StartError, match=r"there are none"):
        make(stack, ["systemd:smtp"], 1)


def test_a_reload_keeps_the_sockets_of_systemd_open(stack: ExitStack) -> None:
    given = listening(stack, name="smtp")
    before = make(stack, ["systemd:smtp"], 1, activated=[given])
    after = make(stack, ["systemd:smtp"], 2, before, activated=[given])
    before.close(after)
    assert is_open(given.socket.fileno())
    assert after.of(0) == before.of(0) == ((given.socket.fileno(),),)


def test_one_for_both_families(stack: ExitStack) -> None:
    given = listening(stack, "::", both=True)
    assert isinstance(given.socket.getsockname()[1], int)
    port = given.socket.getsockname()[1]
    alone = make(stack, [f"0.0.0.0:{port}"], 1, activated=[given])
    assert alone.of(0) == ((given.socket.fileno(),),)
    both = make(stack, [f"0.0.0.0:{port}", f"[::]:{port}"], 1, activated=[given])
    assert both.of(0) == ((), (given.socket.fileno(),))


def test_one_for_nobody_is_told(stack: ExitStack) -> None:
    given = listening(stack)
    with pytest.raises(StartError, match=rf"systemd has made a socket on {given.address}, and no listener is there"):
        make(stack, ["127.0.0.1:0"], 1, activated=[given])


def test_who_waits_at_one_of_systemd_waits_for_the_next_server(stack: ExitStack) -> None:
    given = listening(stack)
    kept = stack.enter_context(given.socket.dup())
    doors = make(stack, [str(given.address)], 1, activated=[given])
    with socket.create_connection(given.socket.getsockname(), timeout=20) as client:
        doors.close()
        server, _ = kept.accept()
        server.sendall(b"220 ")
        server.close()
        assert client.recv(10) == b"220 "


def test_where_it_has_come_to_listen(stack: ExitStack) -> None:
    doors = make(stack, ["127.0.0.1:0"], 1)
    address = doors.entrances[0].sockets[0].address
    assert isinstance(address, ListenAddress)
    assert (address.host, address.port) == where(doors.of(0)[0][0])
