"""Memory for the table of clients."""

import os

import pytest

from fastsmtp._clients import NOT_COUNTED, ClientTable
from fastsmtp.server.clients import new_client_memory


def test_there_is_a_region_for_each_worker() -> None:
    table = ClientTable(new_client_memory(3, 10), 2)
    assert table.regions == 3
    with pytest.raises(ValueError, match="no region"):
        ClientTable(new_client_memory(3, 10), 3)


def test_a_child_sees_it() -> None:
    memory = new_client_memory(2, 10)
    child = os.fork()
    if child == 0:
        ClientTable(memory, 1).enter(4711, 100)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert ClientTable(memory, 0).look(4711, 100) == (1, 1, 0)


def test_buckets_are_not_full_before_all_connections_are_there() -> None:
    connections = 5_000
    table = ClientTable(new_client_memory(1, connections), 0)
    spread = 0x9E37_79B9_7F4A_7C15  # as good as a hash
    slots = [table.enter(number * spread % 2**64, 100) for number in range(1, 2 * connections + 1)]
    assert slots.count(NOT_COUNTED) == 0
