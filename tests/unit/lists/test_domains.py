"""The longest name decides."""

import pytest

from fastsmtp.lists.domains import DomainMap, parse_domain

NAMES = ("example.org", "mail.example.org", ".example.net", "test")


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("example.org", "example.org"),
        ("a.b.example.org", "example.org"),
        ("x.mail.example.org", "mail.example.org"),
        ("notexample.org", None),
        ("example.net", None),
        ("a.example.net", ".example.net"),
        ("org", None),
        ("a.test", "test"),
        ("[192.0.2.1]", None),
        ("", None),
    ],
)
def test_find(name: str, found: str | None) -> None:
    assert DomainMap((name, name) for name in NAMES).find(name) == found


def test_names_that_stand_for_themselves_only() -> None:
    exact = DomainMap(((name, name) for name in NAMES), exact=True)
    assert [exact.find(name) for name in ("example.org", "a.example.org", "a.example.net")] == [
        "example.org",
        None,
        ".example.net",
    ]


def test_what_is_said_of_below_is_more_specific_there() -> None:
    both = DomainMap([("example.org", "all"), (".example.org", "below")])
    assert (both.find("example.org"), both.find("a.example.org")) == ("all", "below")


def test_whether_there_is_anything_in_it() -> None:
    assert not DomainMap[str]()
    assert DomainMap([("a", "a")])


@pytest.mark.parametrize(
    ("text", "domain"),
    [("Example.ORG", "example.org"), (".Example.org", ".example.org"), ("bücher.example", "xn--bcher-kva.example")],
)
def test_parse_domain(text: str, domain: str) -> None:
    assert parse_domain(text) == domain


@pytest.mark.parametrize("text", ["", ".", "..a", "a b", "*.example.org"])
def test_what_is_no_domain(text: str) -> None:
    with pytest.raises(ValueError, match="is not a domain name"):
        parse_domain(text)
