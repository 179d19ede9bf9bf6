"""A segment of the journal is read as the description of the format says, whatever octets a crash has left in it."""

import struct
import zlib

from fuzz.cutting import split
from segments import BLOCK, Record, decode, encode

from fastsmtp._salvage import Salvage, next_header, whole_records
from fastsmtp.delivery.records import EVERYTHING, Copy, Damage, Stretch, read_stretches

LAP = 1
PLAIN, SEALED, BEHIND_ANOTHER = range(3)


def check(data: bytes) -> None:
    """The first octet says how: as a segment, as what follows the header of a record, or as that behind another one."""
    (how, copies), octets = split(data, 2)
    how %= 3
    if how == PLAIN:
        check_segment(octets)
        return
    before = encode([Copy(b"d", b"u", b"n", b"")], b"content", LAP, 0) if how == BEHIND_ANOTHER else b""
    check_segment(before + sealed(octets, copies, len(before)) + bytes(BLOCK))


def sealed(octets: bytes, copies: int, offset: int) -> bytes:
    """A record with the right header."""
    length = 32 + len(octets)
    checked = struct.pack("<IIQQ", length, copies, LAP, offset) + octets
    return b"FSJ1" + struct.pack("<I", zlib.crc32(checked)) + checked + bytes(-length % 8)


def check_segment(segment: bytes) -> None:
    """All that is found is what is there, and none of it is found twice."""
    for place in range(0, len(segment), 7):
        assert next_header(segment, place, LAP, 0) >= place
        assert whole_records(segment, place, LAP, len(segment)) >= place
    end = 0
    for item in read_stretches(segment, EVERYTHING):
        if isinstance(item, Damage):
            assert item.size > 0
            continue
        assert item.position.offset >= end
        end = item.end
        check_stretch(segment, item)


def check_stretch(segment: bytes, stretch: Stretch) -> None:
    """Its records, and what a recovery makes of them."""
    lap, offset = stretch.position
    records: list[Record] = []
    while offset < stretch.end:
        record, offset = decode(segment, lap, offset)
        records.append(record)
    assert offset == stretch.end
    salvage = Salvage(-1, [(segment, stretch.position.offset, stretch.end)])
    wanted = [(copy, record.content) for record in records for copy in record.copies]
    assert salvage.records == len(records)
    assert len(salvage) == len(wanted)
    assert sorted(salvage.left()) == sorted(wanted)
    for copy, _ in wanted:
        for name in (copy.domain, copy.user, copy.name):
            assert 0 < len(name) <= 255
            assert name not in (b".", b"..")
            assert not {b"/"[0], 0} & {*name}
