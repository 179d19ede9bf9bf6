"""The table of clients: one entry, many workers, a full bucket, real processes."""

import mmap
import multiprocessing
import os
from collections.abc import Callable, Sequence

import pytest

from fastsmtp._clients import NOT_COUNTED, WINDOW_S, ClientTable, memory_bytes, prepare

WAYS = 8
ALICE, BOB = 0x1111_0000, 0x2222_0001


def tables(workers: int = 1, clients: int = 64) -> list[ClientTable]:
    memory = bytearray(memory_bytes(workers, clients))
    prepare(memory, workers, clients)
    return [ClientTable(memory, worker) for worker in range(workers)]


def test_what_one_worker_counts_all_see() -> None:
    one, other = tables(2)
    one.enter(ALICE, 100)
    slot = other.enter(ALICE, 101)
    other.enter(BOB, 102)
    assert one.look(ALICE, 102) == other.look(ALICE, 102) == (2, 2, 0)
    assert one.look(BOB, 102) == (1, 1, 0)
    other.leave(slot, 103)
    assert one.look(ALICE, 103) == (1, 2, 0)


def test_a_client_that_nobody_has_seen() -> None:
    (table,) = tables()
    assert table.look(ALICE, 100) == (0, 0, 0)


def test_the_total_is_that_of_all() -> None:
    one, other = tables(2)
    assert (one.join(), other.join(), one.join(), other.open) == (1, 2, 3, 3)
    one.part()
    assert other.open == 2


def test_arrivals_slide() -> None:
    (table,) = tables()
    start = 10 * WINDOW_S
    for _ in range(6):
        table.enter(ALICE, start + WINDOW_S - 1)
    assert table.look(ALICE, start + WINDOW_S - 1)[1] == 6
    # From here on they are in the window before this one, and count for as much of it as is not over.
    seen = [table.look(ALICE, start + WINDOW_S + second)[1] for second in (0, 10, 30, 59, 60)]
    assert seen == [6, 5, 3, 0, 0]


def test_arrivals_do_not_run_over() -> None:
    (table,) = tables()
    for _ in range(1 << 20):
        slot = table.enter(ALICE, 600)
        table.leave(slot, 600)
    assert table.look(ALICE, 600) == (0, (1 << 20) - 1, 0)


def test_who_is_turned_away_has_not_come() -> None:
    (table,) = tables()
    slots = [table.enter(ALICE, 100) for _ in range(3)]
    table.take_back(slots[0], 100)
    assert table.look(ALICE, 100) == (2, 2, 0)
    table.take_back(slots[1], 100 + WINDOW_S)  # however late: the other windows stay as they are
    assert table.look(ALICE, 119) == (1, 2, 0)


def test_stored_mail_is_remembered_by_all() -> None:
    one, other = tables(2)
    slot = one.enter(ALICE, 100)
    other.enter(ALICE, 100)
    one.mark_stored(slot, 107)
    assert other.look(ALICE, 110) == (2, 2, 107)
    one.leave(slot, 111)
    assert other.look(ALICE, 1000)[2] == 107


def test_the_clock_may_start_at_zero() -> None:
    (table,) = tables()
    table.mark_stored(table.enter(ALICE, 0), 0)
    assert table.look(ALICE, 0)[2] > 0


def test_a_client_may_be_zero() -> None:
    (table,) = tables()
    table.leave(table.enter(0, 5), 5)
    table.enter(0, 6)
    assert table.look(0, 6)[:2] == (1, 2)


def test_a_full_bucket_forgets_who_came_longest_ago() -> None:
    (table,) = tables(clients=WAYS)
    for client in range(1, WAYS + 1):
        table.leave(table.enter(client, client), client)
    table.enter(99, 20)
    assert [table.look(client, 20)[1] for client in range(1, WAYS + 1)] == [0] + [1] * (WAYS - 1)
    assert table.look(99, 20) == (1, 1, 0)


def test_those_of_whom_mail_was_stored_are_forgotten_last() -> None:
    (table,) = tables(clients=WAYS)
    for client in range(1, WAYS + 1):
        slot = table.enter(client, client)
        if client < WAYS:
            table.mark_stored(slot, client)
        table.leave(slot, client)
    for stranger in range(100, 200):
        table.leave(table.enter(stranger, stranger), stranger)
    assert all(table.look(client, 200)[2] for client in range(1, WAYS))
    assert table.look(WAYS, 200) == (0, 0, 0)


def test_who_has_a_connection_is_not_forgotten() -> None:
    (table,) = tables(clients=WAYS)
    slots = [table.enter(client, 1) for client in range(1, WAYS + 1)]
    assert table.enter(99, 2) == NOT_COUNTED
    assert table.look(99, 2) == (0, 0, 0)
    table.leave(slots[3], 3)
    assert table.enter(99, 4) == slots[3]
    assert table.enter(98, 4) == NOT_COUNTED


def test_a_dead_worker_has_no_connections_and_its_clients_are_known_all_the_same() -> None:
    supervisor, dead = tables(2)
    dead.mark_stored(dead.enter(ALICE, 100), 101)
    dead.join()
    supervisor.enter(ALICE, 102)
    supervisor.join()
    supervisor.release(1)
    assert supervisor.look(ALICE, 102) == (1, 2, 101)
    assert supervisor.open == 1


def test_the_key_is_the_memorys_and_new_each_time() -> None:
    one, other = tables(2)
    assert one.hash_key == other.hash_key
    assert one.hash_key != tables()[0].hash_key
    assert len(one.hash_key) == 16
    assert one.regions == 2


def test_faults_of_a_caller() -> None:
    (table,) = tables(clients=WAYS)
    slot = table.enter(ALICE, 1)
    table.leave(slot, 2)
    for wrong in (slot, -1, WAYS):
        with pytest.raises(ValueError, match="nothing is open"):
            table.leave(wrong, 3)
        with pytest.raises(ValueError, match="nothing is open"):
            table.take_back(wrong, 3)
        with pytest.raises(ValueError, match="nothing is open"):
            table.mark_stored(wrong, 3)
    with pytest.raises(ValueError, match="no connection"):
        table.part()
    with pytest.raises(ValueError, match="no region"):
        table.release(1)
    assert table.look(ALICE, 3) == (0, 1, 0)


def test_memory_that_is_none_of_ours() -> None:
    with pytest.raises(ValueError, match="no table"):
        ClientTable(bytearray(4096), 0)
    with pytest.raises(ValueError, match="no table"):
        ClientTable(bytearray(8), 0)
    memory = bytearray(memory_bytes(1, WAYS))
    with pytest.raises(ValueError, match="another size"):
        prepare(memory, 2, WAYS)
    prepare(memory, 1, WAYS)
    with pytest.raises(ValueError, match="no region"):
        ClientTable(memory, 1)
    with pytest.raises(ValueError, match="another size"):
        ClientTable(memory + b"\0", 0)
    with pytest.raises(ValueError, match="clients"):
        memory_bytes(1, 0)
    with pytest.raises(BufferError):
        ClientTable(bytes(memory), 0)


def run_all(calls: Sequence[tuple[Callable[..., None], tuple[object, ...]]]) -> None:
    """Each call in a process of its own that shares our memory, all at the same time."""
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=function, args=arguments) for function, arguments in calls]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * len(processes)


def _come_and_go(memory: mmap.mmap, worker: int, rounds: int) -> None:
    """Runs in a process of its own: at any time one connection, or two, are open."""
    table = ClientTable(memory, worker)
    kept = table.enter(ALICE, 100)
    table.join()
    for _ in range(rounds):
        slot = table.enter(ALICE, 100)
        others = table.enter(BOB + worker, 100)
        table.join()
        open_ = table.look(ALICE, 100)[0]
        if not 2 <= open_ <= 2 * table.regions:
            os._exit(2)
        table.part()
        table.leave(others, 100)
        table.leave(slot, 100)
    table.mark_stored(kept, 100)


def test_real_processes_agree() -> None:
    workers, rounds = 4, 20_000
    memory = mmap.mmap(-1, memory_bytes(workers, 64))
    prepare(memory, workers, 64)
    run_all([(_come_and_go, (memory, worker, rounds)) for worker in range(workers)])
    table = ClientTable(memory, 0)
    assert table.look(ALICE, 100) == (workers, workers * (rounds + 1), 100)
    assert table.look(BOB + 1, 100) == (0, rounds, 0)
    assert table.open == workers


def _count_to_the_limit(memory: mmap.mmap, taken: mmap.mmap, worker: int, limit: int, rounds: int) -> None:
    """Take a place where there is one, as admission does, and never see more taken than there are."""
    table = ClientTable(memory, worker)
    for _ in range(rounds):
        slot = table.enter(ALICE, 100)
        if table.look(ALICE, 100)[0] > limit:
            table.take_back(slot, 100)
            continue
        taken[worker] = 1
        if sum(taken[:8]) > limit:
            os._exit(2)
        taken[worker] = 0
        table.leave(slot, 100)


def test_a_limit_is_never_passed_by_processes_that_come_at_the_same_time() -> None:
    workers, limit = 4, 2
    memory = mmap.mmap(-1, memory_bytes(workers, 64))
    taken = mmap.mmap(-1, 8)
    prepare(memory, workers, 64)
    run_all([(_count_to_the_limit, (memory, taken, worker, limit, 20_000)) for worker in range(workers)])
