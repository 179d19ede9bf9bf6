"""Records; those that are none are in tests/vectors/spf.toml."""

from contextlib import suppress

import pytest

from fastsmtp.spf.macros import SpfSyntaxError
from fastsmtp.spf.record import is_record, mask_of, parse_explanation, parse_record


@pytest.mark.parametrize("text", ["v=spf1", "v=spf1 ", "V=SPF1 -all", "v=spf1 nonsense"])
def test_records_are_known_by_their_beginning(text: str) -> None:
    assert is_record(text)


@pytest.mark.parametrize("text", ["", "v=spf", "v=spf10", "v=spf1-all", " v=spf1", "v=spf1\n", "spf2.0/mfrom -all"])
def test_what_begins_otherwise_is_no_record(text: str) -> None:
    assert not is_record(text)


def test_terms_keep_their_order_and_their_text() -> None:
    record = parse_record(
        "v=spf1 A:example.com/24//64  -Ip4:192.0.2.77/24 ~MX ?exists:%{i}.example exp=e.example -ALL x=%{d}"
    )
    assert [(one.name, one.result, one.text) for one in record.mechanisms] == [
        ("a", "pass", "A:example.com/24//64"),
        ("ip4", "fail", "-Ip4:192.0.2.77/24"),
        ("mx", "softfail", "~MX"),
        ("exists", "neutral", "?exists:%{i}.example"),
        ("all", "fail", "-ALL"),
    ]
    assert record.mechanisms[0].prefixes == (24, 64)
    assert record.mechanisms[1].network == (4, 0xFFFFFF00, 0xC0000200)
    assert record.redirect is None
    assert record.explanation is not None


def test_mask_of() -> None:
    assert [mask_of(prefix, 32) for prefix in (0, 1, 24, 32)] == [0, 0x80000000, 0xFFFFFF00, 0xFFFFFFFF]


def test_a_record_is_parsed_once_and_a_large_one_is_not_kept() -> None:
    text = "v=spf1 ip4:192.0.2.1 -all"
    assert parse_record(text) is parse_record(text)
    large = "v=spf1" + " ip4:192.0.2.1" * 200
    assert len(parse_record(large).mechanisms) == 200
    assert parse_record(large) is not parse_record(large)


@pytest.mark.parametrize(
    "term",
    ["a:" + "a" * 60_000, "a:" + "a-" * 30_000 + ".com", "a" * 60_000, "a:x" + "/1" * 30_000, "x=" + "%{d" * 20_000],
)
def test_long_terms_take_no_long(term: str) -> None:
    with suppress(SpfSyntaxError):
        parse_record(f"v=spf1 {term}")


def test_an_explanation_may_have_blanks() -> None:
    assert parse_explanation("See %{c} there").letters == {"c"}
    with pytest.raises(SpfSyntaxError):
        parse_explanation("100%")


def test_a_record_longer_than_anybody_needs_is_none() -> None:
    term = " ip4:192.0.2.1"
    most = "v=spf1" + term * (4090 // len(term))
    assert parse_record(most).mechanisms
    with pytest.raises(SpfSyntaxError, match="more than 4096 characters"):
        parse_record(most + term)
