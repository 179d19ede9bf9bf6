"""The table of clients beside lists of everything that happened."""

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from fastsmtp._clients import WINDOW_S, ClientTable, memory_bytes, prepare

WORKERS = 3
# Few enough that no bucket is ever full: what is forgotten then is in tests/unit/test__clients.py.
CLIENTS = [0, 1, 8, 64, 0xDEAD_BEEF, 2**64 - 1]

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("enter"), st.integers(0, WORKERS - 1), st.sampled_from(CLIENTS)),
        st.tuples(st.just("leave"), st.integers(0, 1000), st.none()),
        st.tuples(st.just("take back"), st.integers(0, WORKERS - 1), st.sampled_from(CLIENTS)),
        st.tuples(st.just("store"), st.integers(0, 1000), st.none()),
        st.tuples(st.just("die"), st.integers(0, WORKERS - 1), st.none()),
        st.tuples(st.just("wait"), st.sampled_from([0, 1, 7, 29, 60, 61, 119, 120, 500, 100_000]), st.none()),
    ),
    max_size=60,
)


def known_as(client: int) -> int:
    """Nought is no name in the table, so whoever has it shares that of one."""
    return client or 1


@dataclass
class Oracle:
    """Open connections as (worker, client, slot), arrivals as (client, second), and when mail was stored."""

    open: list[tuple[int, int, int]] = field(default_factory=list)
    arrivals: list[tuple[int, int]] = field(default_factory=list)
    stored: dict[int, int] = field(default_factory=dict)

    def look(self, client: int, now: int) -> tuple[int, int, int]:
        name = known_as(client)
        window = now // WINDOW_S
        current = sum(1 for who, when in self.arrivals if who == name and when // WINDOW_S == window)
        before = sum(1 for who, when in self.arrivals if who == name and when // WINDOW_S == window - 1)
        left = WINDOW_S - now % WINDOW_S
        open_ = sum(1 for _, who, _ in self.open if who == name)
        return open_, (current * WINDOW_S + before * left) // WINDOW_S, self.stored.get(name, 0)


@settings(max_examples=300, deadline=None)
@given(steps=STEPS, start=st.integers(1, 2**31))
def test_like_the_lists(steps: list[tuple[str, int, int | None]], start: int) -> None:
    memory = bytearray(memory_bytes(WORKERS, 512))
    prepare(memory, WORKERS, 512)
    tables = [ClientTable(memory, worker) for worker in range(WORKERS)]
    oracle = Oracle()
    now = start
    for what, number, client in steps:
        if what == "wait":
            now += number
        elif what == "die":
            tables[(number + 1) % WORKERS].release(number)
            oracle.open = [place for place in oracle.open if place[0] != number]
        elif client is not None:
            slot = tables[number].enter(client, now)
            if what == "enter":
                tables[number].join()
                oracle.open.append((number, known_as(client), slot))
                oracle.arrivals.append((known_as(client), now))
            else:
                tables[number].take_back(slot, now)
        elif oracle.open:
            index = number % len(oracle.open)
            worker, name, slot = oracle.open[index]
            if what == "leave":
                tables[worker].leave(slot, now)
                tables[worker].part()
                del oracle.open[index]
            else:
                tables[worker].mark_stored(slot, now)
                oracle.stored[name] = now
        for known in CLIENTS:
            assert tables[number % WORKERS].look(known, now) == oracle.look(known, now)
        assert tables[0].open == len(oracle.open)
