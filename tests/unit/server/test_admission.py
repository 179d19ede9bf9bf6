"""Who gets in, and who hears what instead."""

import pytest
from admissions import KNOWN_S, admission
from workers import client_tables

from fastsmtp.server.admission import NOWHERE, Admission, Place
from fastsmtp.smtp import replies
from fastsmtp.smtp.replies import Reply
from fastsmtp.stats import Stats

NOW = 600


def place_of(door: Admission, address: str, now: int = NOW) -> Place:
    place = door.enter(address, now)
    assert isinstance(place, Place)
    return place


def counted(stats: Stats) -> dict[str, int]:
    """What is not nought of limits and of what was shed."""
    families = [
        family for family in stats.families() if family.name in ("fastsmtp_limits_total", "fastsmtp_shed_total")
    ]
    cells = {values[0]: index for family in families for values, index in family.children.items()}
    return {name: stats.cells[index] for name, index in cells.items() if stats.cells[index]}


def test_in_all() -> None:
    stats = Stats()
    door = admission(stats, connections=2)
    first = place_of(door, "192.0.2.1")
    place_of(door, "127.0.0.1")
    assert door.enter("198.51.100.1", NOW) is replies.TOO_MANY_CONNECTIONS
    assert door.open == 2
    door.go(first, NOW)
    place_of(door, "198.51.100.1")
    assert counted(stats) == {"connections": 1}


def test_of_one_address() -> None:
    stats = Stats()
    door = admission(stats, connections_per_address=2)
    place = place_of(door, "192.0.2.1")
    place_of(door, "192.0.2.1")
    assert door.enter("192.0.2.1", NOW) is replies.TOO_MANY_OF_ADDRESS
    place_of(door, "192.0.2.2")
    assert door.open == 3
    door.go(place, NOW)
    place_of(door, "192.0.2.1")
    assert counted(stats) == {"connections_per_address": 1}


def test_of_one_network() -> None:
    stats = Stats()
    door = admission(stats, connections_per_network=2)
    place_of(door, "192.0.2.1")
    place_of(door, "192.0.2.255")
    assert door.enter("192.0.2.3", NOW) is replies.TOO_MANY_OF_NETWORK
    place_of(door, "192.0.3.1")
    assert counted(stats) == {"connections_per_network": 1}


def test_a_host_has_64_bits_of_ipv6_and_a_site_48() -> None:
    door = admission(connections_per_address=1, connections_per_network=2)
    place_of(door, "2001:db8:1:1::1")
    assert door.enter("2001:db8:1:1:ffff::2", NOW) is replies.TOO_MANY_OF_ADDRESS
    place_of(door, "2001:db8:1:2::1")
    assert door.enter("2001:db8:1:3::1", NOW) is replies.TOO_MANY_OF_NETWORK
    place_of(door, "2001:db8:2:1::1")


def test_an_ipv4_client_of_an_ipv6_socket_is_the_same_one() -> None:
    door = admission(connections_per_address=1)
    place_of(door, "::ffff:192.0.2.1")
    assert door.enter("192.0.2.1", NOW) is replies.TOO_MANY_OF_ADDRESS


def test_how_often() -> None:
    stats = Stats()
    door = admission(stats, arrivals_per_address=3, arrivals_per_network=5)
    for _ in range(3):
        door.go(place_of(door, "192.0.2.1"), NOW)
    assert [door.enter("192.0.2.1", NOW) for _ in range(4)] == [replies.TOO_OFTEN_FROM_ADDRESS] * 4
    for _ in range(2):
        door.go(place_of(door, "192.0.2.2"), NOW)
    assert door.enter("192.0.2.3", NOW) is replies.TOO_OFTEN_FROM_NETWORK
    # Who was turned away has not come: a third of a minute later one of the three has been forgotten.
    place_of(door, "192.0.2.1", NOW + 60 + 20)
    assert counted(stats) == {"arrivals_per_address": 4, "arrivals_per_network": 1}


def test_no_limit_is_nought() -> None:
    door = admission(
        connections_per_address=0, connections_per_network=0, arrivals_per_address=0, arrivals_per_network=0
    )
    for _ in range(100):
        place_of(door, "192.0.2.1")


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "192.0.2.200", "", "/run/client.sock"])
def test_who_is_exempt_or_has_no_address_is_only_counted_in_all(address: str) -> None:
    door = admission(connections_per_address=1, exempt=["127.0.0.0/8", "::1", "192.0.2.192/26"])
    assert [door.enter(address, NOW) for _ in range(3)] == [NOWHERE] * 3
    door.overload.look({"lag": 100.0}, 0)
    door.overload.look({"lag": 100.0}, 1)
    assert door.enter(address, NOW) == NOWHERE
    assert door.open == 4
    door.stored(NOWHERE, NOW)
    door.go(NOWHERE, NOW)
    assert door.open == 3


def overloaded(door: Admission) -> Admission:
    door.overload.look({"connections": 2.0}, 0)
    return door


def test_in_overload_strangers_have_to_wait() -> None:
    stats = Stats()
    door = admission(stats)
    known = place_of(door, "192.0.2.1")
    door.stored(known, NOW)
    door.go(known, NOW)
    overloaded(door)
    assert door.enter("198.51.100.1", NOW) is replies.STRANGERS_WAIT
    place_of(door, "192.0.2.1")
    place_of(door, "192.0.2.77")  # its neighbour
    assert counted(stats) == {"stranger": 1}
    assert door.enter("192.0.2.1", NOW + int(KNOWN_S) + 1) is replies.STRANGERS_WAIT


def test_an_open_connection_makes_nobody_known() -> None:
    door = admission()
    place_of(door, "192.0.2.1")
    overloaded(door)
    assert door.enter("192.0.2.1", NOW) is replies.STRANGERS_WAIT


def test_another_worker_knows_whose_mail_was_stored_and_how_many_there_are() -> None:
    one, other = (admission(Stats(), table, connections_per_address=2) for table in client_tables(2, 100))
    place = place_of(one, "192.0.2.1")
    one.stored(place, NOW)
    overloaded(other)
    place_of(other, "192.0.2.1")
    assert other.enter("192.0.2.1", NOW) is replies.TOO_MANY_OF_ADDRESS
    one.go(place, NOW)
    place_of(other, "192.0.2.1")


def test_in_two_steps_for_who_speaks_for_another_client_first() -> None:
    door = admission(connections=1, connections_per_address=0)
    assert door.come("198.51.100.1") is None
    assert door.come("198.51.100.1") is replies.TOO_MANY_CONNECTIONS
    place = door.admit("192.0.2.1", NOW)
    assert isinstance(place, Place)
    door.go(place, NOW)
    assert door.open == 0


def test_no_more_than_there_are_descriptors_for() -> None:
    stats = Stats()
    full = admission(stats)
    door = Admission(
        client_tables(1, 10)[0],
        full._limits,  # noqa: SLF001 - any will do
        full.overload,
        full.refusals,
        known_s=1,
        descriptors=100,
    )
    assert isinstance(door.enter("192.0.2.1", NOW, 99), Place)
    assert door.enter("192.0.2.2", NOW, 100) is replies.TOO_MANY_CONNECTIONS
    assert counted(stats) == {"descriptors": 1}
    assert door.open == 1


def test_who_finds_the_table_full_gets_in_uncounted() -> None:
    """The limits of each client are not worth turning a good one away; that of all still holds."""
    (table,) = client_tables(1, 1)
    for client in range(1, 9):
        table.enter(client, NOW)
    door = admission(Stats(), table, connections_per_address=1)
    for _ in range(3):
        assert door.enter("192.0.2.1", NOW) == NOWHERE
    assert door.open == 3


def test_every_refusal_closes() -> None:
    door = admission(connections=1)
    place_of(door, "192.0.2.1")
    refusal = door.enter("192.0.2.1", NOW)
    assert isinstance(refusal, Reply)
    assert refusal.closes


def test_who_is_known() -> None:
    door = admission(Stats(), exempt=["127.0.0.0/8"])
    place = place_of(door, "192.0.2.1")
    assert not door.is_known("192.0.2.1", place, NOW)
    door.stored(place, NOW)
    end = NOW + int(KNOWN_S)
    for address in ("192.0.2.1", "192.0.2.77"):  # and a neighbour
        assert door.is_known(address, place_of(door, address, end), end)
        assert not door.is_known(address, place_of(door, address, end + 1), end + 1)
    assert door.is_known("127.0.0.1", place_of(door, "127.0.0.1"), NOW)
    assert door.is_known("", place_of(door, ""), NOW)
