from email import message_from_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.load.messages import MAIL_MIX, Weighted, mix, of_size, on_wire, parse_size

LEAST = 600


@given(octets=st.integers(LEAST, 20_000))
def test_has_the_size_that_was_asked_for(octets: int) -> None:
    sent = on_wire(octets)
    assert len(sent) == octets + len(b".\r\n")
    assert sent.endswith(b"\r\n.\r\n")
    assert b"\r\n." not in sent[:-5]  # nothing to stuff, no end before the end
    assert b"\n" not in sent.replace(b"\r\n", b"")


def test_is_a_message() -> None:
    parsed = message_from_bytes(of_size(4096))
    assert not parsed.defects
    assert parsed["From"] == "A Sender <sender@load.example>"
    assert max(map(len, of_size(4096).splitlines())) <= 100


def test_the_least_is_a_header_and_a_line() -> None:
    assert on_wire(1) == on_wire(2)
    assert len(on_wire(1)) < LEAST


@pytest.mark.parametrize(("text", "octets"), [("4096", 4096), ("4KiB", 4096), ("25MiB", 25 * 2**20)])
def test_parse_size(text: str, octets: int) -> None:
    assert parse_size(text) == octets


@pytest.mark.parametrize("text", ["", "KiB", "4KB", "-1", "4 KiB", "4.5KiB"])
def test_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="is no size"):
        parse_size(text)


def test_mix() -> None:
    assert mix("1KiB:3,2KiB") == (Weighted(1024, 3), Weighted(2048, 1))
    assert mix("mail") is MAIL_MIX


def test_the_mail_mix_is_what_it_says() -> None:
    total = sum(part.weight for part in MAIL_MIX)
    octets = sum(part.octets * part.weight for part in MAIL_MIX)
    assert round(octets / total / 1024) == 95
    assert sum(part.weight for part in MAIL_MIX if part.octets <= 12 * 1024) / total > 0.5
    large = [part for part in MAIL_MIX if part.octets >= 2**20]
    assert sum(part.weight for part in large) / total == 0.03
    assert round(sum(part.octets * part.weight for part in large) / octets, 2) == 0.59
