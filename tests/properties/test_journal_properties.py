"""Any messages in, the same out; nothing else ever comes out, whatever happened to the segment."""

import os
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st
from segments import BLOCK, Record, Segment, read_records, slot

from fastsmtp._maildir import JOURNAL, Delivery, Journal, commit
from fastsmtp.delivery.checkpoint import Checkpoint
from fastsmtp.delivery.records import EVERYTHING, Copy, Damage, Position

Message = tuple[list[Copy], bytes]

SEGMENT_BYTES = 32 * BLOCK
LAP = 0x0123_4567_89AB
NOBODY = Copy(b"", b"", b"", b"")

names = st.binary(min_size=1, max_size=20).filter(lambda name: name not in (b".", b"..") and not {0, 47} & {*name})
copies = st.builds(Copy, names, names, names, st.binary(max_size=60))
messages = st.tuples(st.lists(copies, max_size=3), st.binary(max_size=300) | st.just(bytes(5000)))
batches = st.lists(st.lists(messages, min_size=1, max_size=3), max_size=5)


def segment_of(given_batches: list[list[Message]], lap: int = LAP) -> Segment:
    segment = Segment(SEGMENT_BYTES, lap)
    for batch in given_batches:
        segment.batch(*batch)
    return segment


def records(data: bytes | bytearray, since: Position = EVERYTHING) -> list[Message]:
    found = [item for item in read_records(bytes(data), since) if isinstance(item, Record)]
    return [(list(record.copies), record.content) for record in found]


def damages(data: bytes | bytearray) -> list[Damage]:
    return [item for item in read_records(bytes(data)) if isinstance(item, Damage)]


@given(batches)
def test_the_same_comes_out(given_batches: list[list[Message]]) -> None:
    segment = segment_of(given_batches)
    assert records(segment.data) == [message for batch in given_batches for message in batch]
    assert damages(segment.data) == []


@given(batches, batches)
def test_only_the_last_lap_comes_out(older: list[list[Message]], newer: list[list[Message]]) -> None:
    segment = segment_of(older)
    segment.begin(LAP + 4)
    for batch in newer:
        segment.batch(*batch)
    found = list(read_records(bytes(segment.data), Position(LAP + 1, 0)))
    assert not [item for item in found if isinstance(item, Damage)]
    assert records(segment.data, Position(LAP + 1, 0)) == [message for batch in newer for message in batch]


@given(batches.filter(bool), st.data())
def test_a_flipped_bit_is_noticed(given_batches: list[list[Message]], data: st.DataObject) -> None:
    whole = [message for batch in given_batches for message in batch]
    segment = Segment(SEGMENT_BYTES, LAP)
    offsets = [offset for batch in given_batches for offset in segment.batch(*batch)]
    segment.batch(([], b"the end"))
    number = data.draw(st.integers(0, len(offsets) - 1))
    length = int.from_bytes(segment.data[offsets[number] + 8 : offsets[number] + 12], "little")
    place = offsets[number] * 8 + data.draw(st.integers(0, length * 8 - 1))
    segment.data[place // 8] ^= 1 << place % 8
    found = records(segment.data)
    assert found.pop() == ([], b"the end")
    # Whoever stands in the same batch behind a length that is wrong may be hidden with it, the other batches never.
    assert len(found) < len(whole)
    remaining = iter(whole)
    assert all(message in remaining for message in found)
    first = [batch for batch in given_batches if not any(message is whole[number] for message in batch)]
    assert all(message in found for batch in first for message in batch)
    [damage] = damages(segment.data)
    assert damage.position == (LAP, offsets[number])


@given(st.binary(max_size=200), st.integers(0, 3 * BLOCK), batches)
def test_noise_is_no_record(noise: bytes, place: int, given_batches: list[list[Message]]) -> None:
    segment = segment_of(given_batches)
    segment.data[place : place + len(noise)] = noise
    whole = [message for batch in given_batches for message in batch]
    assert all(message in whole for message in records(segment.data[:SEGMENT_BYTES]))


def deliverable(given_batches: list[list[Message]]) -> list[list[Message]]:
    """These messages, each to somebody, in mailboxes that can be made and with names that are nowhere else."""
    number = count()
    return [
        [
            ([Copy(b"domain", b"user", b"%d" % next(number), copy.head) for copy in copies or [NOBODY]], content)
            for copies, content in batch
        ]
        for batch in given_batches
    ]


@given(batches.map(deliverable))
def test_the_batch_writer_writes_what_the_format_says(given_batches: list[list[Message]]) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "segment"
        path.write_bytes(bytes(SEGMENT_BYTES))
        root = os.open(folder, os.O_RDONLY)
        descriptor = os.open(path, os.O_RDWR)
        try:
            journal = Journal([descriptor], SEGMENT_BYTES, LAP, SEGMENT_BYTES)
            for batch in given_batches:
                commit(root, [Delivery(copies, [content]) for copies, content in batch], JOURNAL, journal)
        finally:
            os.close(descriptor)
            os.close(root)
        model = segment_of(given_batches)
        same = path.read_bytes() == model.data  # no diff, please
        assert same
        assert journal.position == (model.position if model.offset else (LAP, 0))


positions = st.builds(Position, st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))


@given(positions, positions, st.integers(1, 2**63), st.integers(0, 31 * 8 + 7))
def test_a_damaged_slot_leaves_the_other(older: Position, newer: Position, generation: int, bit: int) -> None:
    slots = [slot(generation, older), slot(generation + 1, newer)]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "checkpoint"
        for damaged in (None, 0, 1):
            written = [bytearray(content) for content in slots]
            if damaged is not None:
                written[damaged][bit // 8] ^= 1 << bit % 8
            if generation % 2:
                written.reverse()
            path.write_bytes(b"".join(written))
            with Checkpoint(path) as checkpoint:
                assert checkpoint.position == (older if damaged == 1 else newer)
