"""Memory for the table of clients."""

import os

import pytest
from workers import client_tables

from fastsmtp._clients import NOT_COUNTED
from fastsmtp.server.clients import ClientMemory, client_table


def test_there_is_a_region_for_each_worker() -> None:
    memory = ClientMemory(3, 10)
    assert client_table(memory.descriptor, 2).regions == 3
    with pytest.raises(ValueError, match="no region"):
        client_table(memory.descriptor, 3)
    memory.close()


def test_another_process_sees_it() -> None:
    memory = ClientMemory(2, 10)
    child = os.fork()
    if child == 0:
        client_table(memory.descriptor, 1).enter(4711, 100)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert client_table(memory.descriptor, 0).look(4711, 100) == (1, 1, 0)
    memory.close()


def test_who_is_gone_counts_no_more() -> None:
    memory = ClientMemory(2, 10)
    one, other = (client_table(memory.descriptor, region) for region in range(2))
    one.enter(4711, 100)
    one.join()
    other.enter(4711, 100)
    memory.release(0)
    assert other.look(4711, 100)[0] == 1
    assert other.open == 0
    memory.close()


def test_it_is_for_who_is_given_it() -> None:
    memory = ClientMemory(1, 10)
    assert not os.get_inheritable(memory.descriptor)
    memory.close()


def test_buckets_are_not_full_before_all_connections_are_there() -> None:
    connections = 5_000
    (table,) = client_tables(1, connections)
    spread = 0x9E37_79B9_7F4A_7C15  # as good as a hash
    slots = [table.enter(number * spread % 2**64, 100) for number in range(1, 2 * connections + 1)]
    assert slots.count(NOT_COUNTED) == 0
