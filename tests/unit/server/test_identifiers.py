"""Names: unique, sortable, and readable on the telephone."""

from itertools import islice

from fastsmtp.server.identifiers import Identifiers

ALPHABET = set("0123456789ABCDEFGHJKMNPQRSTVWXYZ")


def test_names_are_eighteen_digits_of_crockford() -> None:
    assert all(len(name) == 18 and set(name) <= ALPHABET for name in islice(Identifiers(lambda: 1.7e9), 100))


def test_names_of_one_microsecond_differ_and_sort() -> None:
    names = list(islice(Identifiers(lambda: 1.7e9), 1000))
    assert len(set(names)) == 1000
    assert names == sorted(names)


def test_later_names_sort_behind_earlier_ones() -> None:
    times = iter([1.0, 2.0, 1_700_000_000.0, 4_000_000_000.0])
    names = list(islice(Identifiers(lambda: next(times)), 4))
    assert names == sorted(names)


def test_a_clock_set_back_repeats_nothing() -> None:
    times = iter([2000.0, 1000.0, 1000.0])
    names = list(islice(Identifiers(lambda: next(times)), 3))
    assert len(set(names)) == 3
    assert names == sorted(names)


def test_workers_differ() -> None:
    suffixes = {next(Identifiers(lambda: 1.7e9, seat))[12:14] for seat in range(1024)}
    assert len(suffixes) == 1024


def test_hosts_differ() -> None:
    suffixes = {next(Identifiers(lambda: 1.7e9))[14:] for _ in range(50)}
    assert len(suffixes) > 40  # four digits: a million
