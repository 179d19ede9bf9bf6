"""Reading segments that an encoder of our own has written, and a crash or a bad disk has changed."""

import os
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import pytest
from segments import BLOCK, Record, Segment, encode, read_records

from fastsmtp._maildir import JOURNAL, Delivery, Journal, commit
from fastsmtp.delivery.records import EVERYTHING, Copy, Damage, Position, Stretch, read_stretches

ALICE = Copy(b"example.test", b"alice", b"1.M1P1Q1.host", b"Delivered-To: alice\n")
BOB = Copy(b"example.test", b"bob", b"1.M1P1Q2.host", b"")


def message(size: int = 100, *copies: Copy) -> tuple[Sequence[Copy], bytes]:
    return copies or (ALICE,), os.urandom(size)


def contents(data: bytes, since: Position = EVERYTHING) -> list[bytes | Damage]:
    return [item if isinstance(item, Damage) else item.content for item in read_records(data, since)]


def test_what_was_written_is_read() -> None:
    segment = Segment(8 * BLOCK, lap=7)
    first = segment.batch(((ALICE, BOB), b"one\n"), ((BOB,), b""))
    second = segment.batch(((), b"nobody's"))
    assert list(read_records(bytes(segment.data))) == [
        Record(Position(7, first[0]), (ALICE, BOB), b"one\n"),
        Record(Position(7, first[1]), (BOB,), b""),
        Record(Position(7, second[0]), (), b"nobody's"),
    ]
    assert second == [BLOCK]


def test_whole_records_are_one_stretch() -> None:
    segment = Segment(16 * BLOCK, lap=7)
    first = segment.batch(message(), message(), message())  # the next batch begins with a block of its own
    second = segment.batch(message(BLOCK), message())
    data = bytes(segment.data)
    end = first[-1] + (first[1] - first[0])
    assert list(read_stretches(data)) == [
        Stretch(Position(7, 0), end),
        Stretch(Position(7, second[0]), segment.offset),
    ]
    assert next(read_stretches(data, Position(7, first[1]))) == Stretch(Position(7, first[1]), end)


def test_a_segment_can_be_full_to_its_last_byte() -> None:
    size = BLOCK - len(encode((ALICE,), b"", 1, 0))
    segment = Segment(2 * BLOCK)
    batches = [message(size), message(size)]
    for batch in batches:
        segment.batch(batch)
    assert segment.offset == len(segment.data)
    assert contents(bytes(segment.data)) == [content for _, content in batches]


@pytest.mark.parametrize("size", [0, 1, 31, 32, BLOCK, 3 * BLOCK + 1])
def test_nothing_is_in_zeros(size: int) -> None:
    assert contents(bytes(size)) == []


def test_only_what_is_not_safe_is_read() -> None:
    segment = Segment(8 * BLOCK, lap=7)
    messages = [message() for _ in range(4)]
    offsets = [*segment.batch(*messages[:2]), *segment.batch(*messages[2:])]
    data = bytes(segment.data)
    for number, offset in enumerate(offsets):
        assert contents(data, Position(7, offset)) == [content for _, content in messages[number:]]
    assert contents(data, Position(6, 5 * BLOCK)) == [content for _, content in messages]
    assert contents(data, segment.position) == []
    assert contents(data, Position(8, 0)) == []


@pytest.mark.parametrize("tear", ["cut", "zeros", "noise"])
def test_a_torn_tail_is_normal_wherever_it_is_torn(tear: str) -> None:
    segment = Segment(4 * BLOCK)
    whole = message()
    segment.batch(whole)
    torn = ((ALICE, BOB), os.urandom(300) + b".")
    [offset] = segment.batch(torn)
    length = int.from_bytes(segment.data[offset + 8 : offset + 12], "little")
    for kept in range(length):
        data = bytearray(segment.data)
        if tear == "cut":
            del data[offset + kept :]
        else:
            rest = len(data) - offset - kept
            data[offset + kept :] = bytes(rest) if tear == "zeros" else b"\xa5" * rest
        assert contents(bytes(data)) == [whole[1]], kept


def test_a_torn_batch_is_no_damage() -> None:
    # The blocks of a batch reach the disk in any order, so later ones may be there without the first.
    segment = Segment(16 * BLOCK)
    whole = message()
    segment.batch(whole)
    messages = [message(3000) for _ in range(5)]
    first = segment.batch(*messages)[0]
    segment.data[first : first + BLOCK] = bytes(BLOCK)
    found = contents(bytes(segment.data))
    assert found[0] == whole[1]
    assert not [item for item in found if isinstance(item, Damage)]


def test_older_laps_behind_the_tail_are_nothing() -> None:
    segment = Segment(64 * BLOCK, lap=3)
    old = [message(1000 * number % 9000) for number in range(30)]
    segment.batch(*old)
    for offset in range(0, segment.offset, BLOCK):
        assert segment.data[offset : offset + BLOCK] != bytes(BLOCK)
    segment.begin(7)
    assert contents(bytes(segment.data), Position(4, 0)) == []
    new = []
    for number in range(8):
        new += [message(700 * number), message()]
        segment.batch(*new[-2:])
        # The last one stands in the middle of what was there before.
        assert contents(bytes(segment.data), Position(4, 0)) == [content for _, content in new]


@pytest.mark.parametrize("since", [EVERYTHING, Position(1, 0)])
@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("place", [0, 4, 8, 12, 24, 40, 150])
def test_a_damaged_record_hides_no_other(since: Position, number: int, place: int) -> None:
    segment = Segment(16 * BLOCK)
    messages = [message(200, ALICE, BOB) for _ in range(3)]
    offsets = segment.batch(*messages)
    behind = message()
    segment.batch(behind)
    segment.data[offsets[number] + place] ^= 0x40
    found = contents(bytes(segment.data), since)
    damage = Damage(Position(1, offsets[number]), BLOCK - offsets[number])
    before, after = messages[:number], messages[number + 1 :]
    reachable = [] if place == 8 else [content for _, content in after]
    assert found == [*(content for _, content in before), *reachable, damage, behind[1]]


def test_a_batch_that_is_not_there_is_damage() -> None:
    segment = Segment(16 * BLOCK)
    first = message()
    segment.batch(first)
    [gone] = segment.batch(message(2 * BLOCK))
    last = message()
    [end] = segment.batch(last)
    segment.data[gone:end] = os.urandom(end - gone)
    assert contents(bytes(segment.data)) == [first[1], Damage(Position(1, gone), end - gone), last[1]]


def test_a_first_record_that_is_not_there_is_damage() -> None:
    segment = Segment(16 * BLOCK, lap=9)
    segment.batch(message())
    last = message()
    segment.batch(last)
    segment.data[:BLOCK] = bytes(BLOCK)
    assert contents(bytes(segment.data), Position(8, 0)) == [Damage(Position(9, 0), BLOCK), last[1]]


def test_damage_of_what_is_safe_does_not_matter() -> None:
    segment = Segment(16 * BLOCK)
    segment.batch(message(), message())
    segment.data[0] ^= 1
    safe = segment.position
    last = message()
    segment.batch(last)
    assert contents(bytes(segment.data), safe) == [last[1]]


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("name", [b"", b".", b"..", b"../x", b"/etc", b"a\0b", b"x" * 256])
def test_a_copy_never_leaves_the_root(place: int, name: bytes) -> None:
    fields = list(ALICE)
    fields[place] = name
    segment = Segment(4 * BLOCK)
    wrong = ((BOB, Copy._make(fields)), b"content")
    right = message()
    segment.batch(wrong, right)
    found = contents(bytes(segment.data))
    size = 32 + 2 * 12 + sum(map(len, BOB)) + sum(map(len, fields)) + len(b"content")
    assert found == [Damage(Position(1, 0), size), right[1]]


@pytest.mark.parametrize("name", [b"...", b".a", b"..a", b"a\nb", b"\xff", b"x" * 255])
def test_a_copy_may_have_any_name_that_is_one(name: bytes) -> None:
    segment = Segment(BLOCK)
    copy = Copy(name, name, name, b"")
    segment.batch(((copy,), b""))
    [record] = read_records(bytes(segment.data))
    assert isinstance(record, Record)
    assert record.copies == (copy,)


@pytest.mark.parametrize("copies", [2, 0xFFFFFFFF])
def test_more_copies_than_there_is_room_for_are_damage(copies: int) -> None:
    record = bytearray(encode((ALICE,), b"", 1, 0))
    length = int.from_bytes(record[8:12], "little")
    struct.pack_into("<I", record, 12, copies)
    struct.pack_into("<I", record, 4, zlib.crc32(record[8:length]))
    assert contents(bytes(record)) == [Damage(Position(1, 0), length)]


def test_it_reads_what_the_batch_writer_writes(tmp_path: Path) -> None:
    path = tmp_path / "segment-0"
    path.write_bytes(bytes(64 * BLOCK))
    root = os.open(tmp_path, os.O_RDONLY)
    segment = os.open(path, os.O_RDWR)
    journal = Journal([segment], 64 * BLOCK, 41, 4 * BLOCK)
    model = Segment(64 * BLOCK, lap=41)
    for number in range(3):
        messages = [
            (
                (ALICE._replace(name=b"%d.%d" % (number, size)), BOB._replace(name=b"%d.%d" % (number, size))),
                b"x" * size,
            )
            for size in (0, 1, 5000)
        ]
        batch = [Delivery(copies, [content[:1], content[1:]]) for copies, content in messages]
        assert commit(root, batch, JOURNAL, journal) == [None] * len(batch)
        model.batch(*messages)
        assert journal.position == model.position
    os.close(segment)
    os.close(root)
    assert path.read_bytes() == model.data
    assert len(list(read_records(path.read_bytes()))) == 9
