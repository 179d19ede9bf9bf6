import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsmtp.log.encoding import LINE_BYTES, encode_line, iso_time

PRINTABLE = set(range(0x20, 0x7F))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "1970-01-01T00:00:00.000Z"), (1_700_000_000.1239, "2023-11-14T22:13:20.123Z")],
)
def test_time_is_utc_with_milliseconds(seconds: float, text: str) -> None:
    assert iso_time(seconds) == text


@given(st.text())
def test_no_text_forges_a_line_or_speaks_to_the_terminal(text: str) -> None:
    encoded = encode_line({"helo": text, text: 1})
    assert set(encoded) <= PRINTABLE
    assert json.loads(encoded)["helo"] == text


@given(st.binary())
def test_no_octets_do_either(octets: bytes) -> None:
    encoded = encode_line({"helo": octets, "sender": octets.decode("utf-8", "surrogateescape")})
    assert set(encoded) <= PRINTABLE
    assert json.loads(encoded).keys() == {"helo", "sender"}


def test_dangerous_characters_are_escaped() -> None:
    assert encode_line({"a": "\r\n\x1b[2J\x7f\x9b\u2028\u202e\u061c\U000e0041é"}) == (
        rb'{"a":"\r\n\u001b[2J\u007f\u009b\u2028\u202e\u061c\udb40\udc41\u00e9"}'
    )


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("caf\udce9", "caf\\udce9"),
        (b"caf\xe9", "caf\\xe9"),
        (2**70, str(2**70)),
        (Path("/var/mail"), "/var/mail"),
        (ValueError("no"), "no"),
        ({"deep": ["\udcff", {1: None}]}, {"deep": ["\\udcff", {"1": None}]}),
        ((1.5, True), [1.5, True]),
    ],
)
def test_what_json_does_not_know_is_written_as_text(value: object, shown: object) -> None:
    assert json.loads(encode_line({"key": value})) == {"key": shown}


def test_a_line_may_be_as_long_as_the_limit() -> None:
    line = {"text": "x" * (LINE_BYTES - len(b'{"text":""}'))}
    assert len(encode_line(line)) == LINE_BYTES
    assert json.loads(encode_line(line)) == line


def test_a_line_that_is_too_long_keeps_what_is_short() -> None:
    line = {
        "event": "transaction",
        "sender": "joe@example.org",
        "recipients": [f"user{number}@example.org" for number in range(5000)],
        "results": [{"plugin": "p", "evidence": "y" * 100_000}],
        "size": 1,
    }
    shown = json.loads(encode_line(line))
    assert shown["shortened"] is True
    assert (shown["event"], shown["sender"], shown["size"]) == ("transaction", "joe@example.org", 1)
    assert shown["recipients"][:2] == ["user0@example.org", "user1@example.org"]
    *names, rest = shown["recipients"]
    assert rest == f"and {5000 - len(names)} more"
    [result] = shown["results"]
    assert result["evidence"].startswith("yyyy")
    assert result["evidence"].endswith("y...")


values = st.recursive(
    st.text(max_size=300) | st.binary(max_size=300) | st.integers() | st.none(),
    lambda inner: st.lists(inner, max_size=30) | st.dictionaries(st.text(max_size=5), inner, max_size=5),
)


@given(
    st.dictionaries(st.text(max_size=20) | st.sampled_from(["time", "event", "id"]), values), st.integers(1000, 3000)
)
def test_no_line_is_longer_than_asked_for(line: dict[str, Any], limit: int) -> None:
    encoded = encode_line(line, limit)
    assert len(encoded) <= limit
    assert set(encoded) <= PRINTABLE
    shown = json.loads(encoded)
    assert shown.get("shortened") is True or shown.keys() == set(json.loads(encode_line(line, 10**9)))
