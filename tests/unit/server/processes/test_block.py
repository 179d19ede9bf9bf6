"""The memory of a worker's counts, written here and read through a second mapping, as two processes do."""

import logging
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from fastsmtp.server.processes.block import WIDEST, BlockReader, SharedBlock
from fastsmtp.stats import CELLS, Family, Stats


@pytest.fixture
def reader() -> Iterator[BlockReader]:
    reader = BlockReader("test")
    yield reader
    reader.close()


def block(reader: BlockReader) -> SharedBlock:
    """What a worker makes of the descriptors that it inherits."""
    return SharedBlock(*map(os.dup, reader.descriptors))


def totals(reader: BlockReader) -> dict[str, dict[tuple[str, ...], list[int]]]:
    return {
        family.name: {values: list(counts) for values, counts in children.items()}
        for family, children in reader.totals()
    }


def test_what_is_counted_is_seen_at_once(reader: BlockReader) -> None:
    stats = Stats(block(reader))
    cell = stats.cell(stats.counter("mails_total", "Mails.", kind=("in", "out")), "out")
    assert totals(reader) == {"mails_total": {("in",): [0], ("out",): [0]}}
    stats.cells[cell] += 2
    assert totals(reader) == {"mails_total": {("in",): [0], ("out",): [2]}}


def test_families_are_as_they_were_declared(reader: BlockReader) -> None:
    stats = Stats(block(reader))
    declared = [
        stats.counter("mails_total", "Mails.", kind=("in",)),
        stats.gauge("free", "Free.", merge="least", disk=("a", "b")),
        stats.histogram("seconds", "Time.", bounds=(10, 20), stage=("rcpt",)),
    ]
    assert [family for family, _ in reader.totals()] == declared


def test_histograms_are_whole(reader: BlockReader) -> None:
    stats = Stats(block(reader))
    timer = stats.timer(stats.histogram("seconds", "Time.", bounds=(10, 20)))
    for value in (5, 15, 25):
        timer.observe(value)
    assert totals(reader) == {"seconds": {(): [1, 1, 1, 45]}}


def test_a_new_child_is_seen_later(reader: BlockReader) -> None:
    stats = Stats(block(reader))
    family = stats.counter("replies_total", "Replies.", code=("250",))
    assert totals(reader) == {"replies_total": {("250",): [0]}}
    stats.cells[stats.cell(family, "5\u00e9\n")] += 1
    assert totals(reader) == {"replies_total": {("250",): [0], ("5\u00e9\n",): [1]}}


def test_half_a_line_is_no_line(reader: BlockReader) -> None:
    """A worker that is killed while it tells of a family has told nothing; one that goes on has told it."""
    stats = Stats(block(reader))
    stats.counter("first_total", "First.", kind=("a",))
    names = reader.descriptors[1]
    os.write(names, b'["second_total", "Second.", "counter", []')
    assert list(totals(reader)) == ["first_total"]
    assert list(totals(reader)) == ["first_total"]
    os.write(names, b', [], "sum"]\n["second_total", [], 200]\n')
    assert totals(reader) == {"first_total": {("a",): [0]}, "second_total": {(): [0]}}


def test_the_beat(reader: BlockReader) -> None:
    written = block(reader)
    assert reader.beat_ns == 0
    written.beat(12_345_678_901)
    assert reader.beat_ns == 12_345_678_901
    assert totals(reader) == {}


def test_nothing_is_counted_over_another(reader: BlockReader) -> None:
    stats = Stats(block(reader))
    widths = [stats.histogram(f"h{number}", "H.", bounds=tuple(range(number)), kind=("a", "b")) for number in range(50)]
    cells = [at for family in widths for first in family.children.values() for at in range(first, first + family.width)]
    assert len(cells) == len(set(cells))
    for number, cell in enumerate(cells):
        stats.cells[cell] = number
    assert [count for _, children in reader.totals() for counts in children.values() for count in counts] == [
        *range(len(cells))
    ]


def test_a_full_block_counts_on_and_says_so_once(reader: BlockReader, caplog: pytest.LogCaptureFixture) -> None:
    stats = Stats(block(reader))
    full = stats.counter("full_total", "Full.", number=[str(number) for number in range(CELLS // WIDEST + 1)])
    wide = Family("wide", "Wide.", "histogram", ("number",), tuple(range(WIDEST - 2)))
    with caplog.at_level(logging.ERROR):
        for number in range(CELLS // WIDEST + 2):
            cell = stats.cell(wide, str(number))
            assert cell + wide.width <= CELLS
            stats.cells[cell] += 1
    [record] = caplog.records
    assert record.getMessage() == "there is no room for more metrics: wide is not counted"
    assert all(count == 0 for _, children in reader.totals() for counts in children.values() for count in counts[1:])
    assert len(totals(reader)["wide"]) < CELLS // WIDEST
    assert len(totals(reader)["full_total"]) == len(full.children)


def test_a_child_may_not_be_too_wide(reader: BlockReader) -> None:
    stats = Stats(block(reader))
    with pytest.raises(ValueError, match="h has 121 cells"):
        stats.cell(stats.histogram("h", "H.", bounds=tuple(range(WIDEST - 1))))


def test_another_process_counts(reader: BlockReader) -> None:
    """And is killed: what it has counted is there."""
    script = (
        "import os, sys\n"
        "from fastsmtp.server.processes.block import SharedBlock\n"
        "from fastsmtp.stats import Stats\n"
        "stats = Stats(SharedBlock(int(sys.argv[1]), int(sys.argv[2])))\n"
        "cell = stats.cell(stats.counter('mails_total', 'Mails.'))\n"
        "for _ in range(1000): stats.cells[cell] += 1\n"
        "os.kill(os.getpid(), 9)\n"
    )
    arguments = list(map(str, reader.descriptors))
    done = subprocess.run([sys.executable, "-c", script, *arguments], pass_fds=reader.descriptors, check=False)
    assert done.returncode == -9
    assert totals(reader) == {"mails_total": {(): [1000]}}
