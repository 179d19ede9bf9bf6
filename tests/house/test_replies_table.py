"""The table of replies is sound: each one well-formed on the wire, named once, different from the others, and given."""

import re
from itertools import combinations
from pathlib import Path

import pytest

from fastsmtp.smtp import replies
from fastsmtp.smtp.replies import REPLY_LINE_BYTES, Reply

ROOT = Path(__file__).parents[2]
TABLE = {name: value for name, value in vars(replies).items() if isinstance(value, Reply)}
every_reply = pytest.mark.parametrize("reply", TABLE.values(), ids=TABLE.keys())

# RFC 5321 section 4.2.3
CODES = {220, 221, 250, 252, 354, 421, 450, 451, 452, 500, 501, 502, 503, 550, 552, 553, 554}
CODES |= {530}  # RFC 3207 section 4
CODES |= {235, 454, 504, 535, 538}  # RFC 4954 sections 4 and 6


def test_the_table_is_there() -> None:
    assert len(TABLE) > 30
    assert all(name.isupper() for name in TABLE)


@every_reply
def test_wire(reply: Reply) -> None:
    enhanced = f"{re.escape(reply.enhanced)} " if reply.enhanced else ""
    assert re.fullmatch(rf"{reply.code} {enhanced}[\x21-\x7e][\x20-\x7e]*\r\n", reply.wire.decode("ascii"))
    assert len(reply.wire) <= REPLY_LINE_BYTES
    assert reply.text in reply.wire.decode("ascii")


@every_reply
def test_the_code_is_one_of_the_standard(reply: Reply) -> None:
    assert reply.code in CODES


@every_reply
def test_the_enhanced_status_goes_with_the_code(reply: Reply) -> None:
    # Neither the greeting nor 3xx have one (RFC 2034 section 4); everything else does.
    if reply.code == 354:
        assert reply.enhanced == ""
    else:
        assert re.fullmatch(rf"{reply.code // 100}\.[0-7]\.\d+", reply.enhanced)


@every_reply
def test_who_hears_421_or_221_is_cut_off(reply: Reply) -> None:
    # ... and whoever cannot be understood any more.
    lost = (replies.CHUNK_LOST, replies.PIPELINED_TOO_MUCH)
    assert reply.closes is (reply.code in (221, 421) or reply in lost)


@every_reply
def test_who_may_try_again_is_told_so_by_the_code(reply: Reply) -> None:
    if re.search(r"\b(again|later)\b", reply.text):
        assert not reply.is_permanent


def test_no_two_say_the_same() -> None:
    same = [(one, other) for one, other in combinations(TABLE, 2) if TABLE[one].text == TABLE[other].text]
    assert same == []


def test_every_reply_is_given_by_somebody() -> None:
    sources = [path.read_text() for path in (ROOT / "fastsmtp").rglob("*.py") if path.name != "replies.py"]
    unused = [name for name in TABLE if not any(re.search(rf"\b{name}\b", source) for source in sources)]
    assert unused == []
