"""Which addresses are meant."""

import re
from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from fastsmtp.lists.addresses import AddressEntries, AddressList, find_in, parse_address_entry
from fastsmtp.smtp.address import Address, parse_mailbox


def found(entries: list[str], address: str, *, subdomains: bool = True) -> str | None:
    entry = AddressList(map(parse_address_entry, entries), subdomains=subdomains).find(parse_mailbox(address))
    return None if entry is None else entry.text


@pytest.mark.parametrize(
    ("entry", "meant", "not_meant"),
    [
        ("Ann@Example.org", ["ann@example.org", "ANN@example.ORG"], ["ann@a.example.org", "xann@example.org"]),
        ("example.org", ["a@example.org", "a@b.example.org"], ["a@notexample.org", "a@org"]),
        ("@example.org", ["a@example.org", "a@b.example.org"], ["a@example.net"]),
        (".example.org", ["a@b.example.org"], ["a@example.org"]),
        ("Sales@", ["sales@example.org", "SALES@example.net"], ["sale@example.org"]),
        ("news-*@*.example.org", ["news-@a.example.org", "NEWS-1@b.a.example.org"], ["news-1@example.org"]),
        ("*@*.test", ["a@b.test"], ["a@test", "a@b.test.example"]),
        ("a*a@example.org", ["aa@example.org", "axa@example.org"], ["a@example.org"]),
        ("/b[0-9]+@.*/", ["b1@example.org", "B22@example.org"], ["b@example.org", "xb1@example.org"]),
        ("bücher.example", ["a@xn--bcher-kva.example"], []),
        ('"a b"@example.org', ['"a b"@example.org'], ["ab@example.org"]),
    ],
)
def test_the_forms(entry: str, meant: list[str], not_meant: list[str]) -> None:
    assert [address for address in [*meant, *not_meant] if found([entry], address)] == meant


@pytest.mark.parametrize("exception", ["good@example.org", "good@", "g*d@example.org", "/good.*/"])
def test_exceptions_win_wherever_they_stand(exception: str) -> None:
    for entries in ([f"!{exception}", "example.org"], ["*@example.org", f"!{exception}"]):
        assert found(entries, "good@example.org") is None
        assert found(entries, "bad@example.org") is not None


def test_the_most_specific_entry_is_the_one() -> None:
    entries = ["*@example.org", "example.org", "a@", "a@example.org"]
    assert found(entries, "a@example.org") == "a@example.org"
    assert found(entries, "b@example.org") == "example.org"


def test_domains_without_what_is_below_them() -> None:
    assert found(["example.org"], "a@b.example.org", subdomains=False) is None
    assert found(["example.org"], "a@example.org", subdomains=False) == "example.org"


@pytest.mark.parametrize(
    ("line", "text", "reason"),
    [
        ("a@b.example  Go away, please", "a@b.example", "Go away, please"),
        ("*@b.example no", "*@b.example", "no"),
        ("/a [0-9]@x/ no mail", "/a [0-9]@x/", "no mail"),
        ("b.example", "b.example", ""),
    ],
)
def test_reasons(line: str, text: str, reason: str) -> None:
    entry = parse_address_entry(line)
    assert (entry.text, entry.reason) == (text, reason)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("", "'' is not a domain name"),
        ("a b", None),
        ("@", "'' is not a domain name"),
        ("a..b@example.org", "is not of the form user@domain"),
        ("*.example.org", "write one with an @"),
        ("/a(/", "is no regular expression"),
        ("/(a+)+@b/", "repeats a group"),
        ("/(a|aa)*@b/", "repeats a group"),
        ("/(a){9}@b/", "repeats a group"),
        ("/.*.*.*.*@b/", "repeats 4 times"),
        ("/" + "a?" * 9 + "a" * 9 + "@b/", "has 9 times"),
        ("/" + "(a|a)" * 9 + "@b/", "has 9 times"),
        ("/.*-.*@(a|b|c|d|e|f)/", "has 5 times . and ., which may take long; with its repeats at most 4 do"),
        ("/" + "a" * 201 + "/", "at most 200 characters, not 201"),
        ("/a", "stands between two slashes"),
    ],
)
def test_entries_that_cannot_be_meant(line: str, problem: str | None) -> None:
    if problem is None:
        assert parse_address_entry(line).reason == "b"
        return
    with pytest.raises(ValueError, match=problem):
        parse_address_entry(line)


def test_characters_of_a_class_do_not_repeat() -> None:
    assert found([r"/[*+{]\*\+[]*]@b/"], "*+@b") is None
    assert found([r"/[*+{]\*x@b/"], "+*x@b") is not None


def test_question_marks_that_make_nothing_optional() -> None:
    assert found(["/(?:a)(?:b)(?:c)(?:d)(?:e)(?:f)(?:g)(?:h)(?:i).*?j+?@b/"], "abcdefghij@b") is not None
    assert found(["/(mail|mx|smtp)[0-9]?@b/"], "mx1@b") is not None


@given(st.text("ab*", min_size=1, max_size=12), st.text("ab", min_size=1, max_size=20))
def test_wildcards_are_those_of_the_shell(pattern: str, local: str) -> None:
    meant = AddressList([parse_address_entry(f"*{pattern}@example.org")]).find(Address(local, "example.org"))
    assert (meant is not None) == fnmatchcase(local, f"*{pattern}")


@given(st.from_regex(re.compile(r"[a-c.*+?()|\[\]{}0-9^-]{1,12}"), fullmatch=True))
def test_no_expression_that_is_taken_takes_long(text: str) -> None:
    """Not a stopwatch: whatever is taken has few repeats, none of a group, and few choices."""
    try:
        entry = parse_address_entry(f"/{text}/")
    except ValueError:
        return
    AddressList([entry]).find(Address("a" * 200, "a.example"))


def test_several_lists_are_as_one() -> None:
    first = AddressList(map(parse_address_entry, ["a.example first", "!good@b.example"]))
    second = AddressList(map(parse_address_entry, ["a.example second", "b.example", "!good@a.example"]))

    def reason(text: str) -> str | None:
        found = find_in([first, second], parse_mailbox(text))
        return None if found is None else found.reason

    addresses = ("x@a.example", "x@b.example", "good@a.example", "good@b.example", "x@c.example")
    assert [reason(address) for address in addresses] == ["first", "", None, None, None]


def test_as_an_option() -> None:
    option = TypeAdapter(AddressEntries)
    made = option.validate_python(["example.org", "!ann@example.org"])
    assert [made.find(parse_mailbox(f"{local}@example.org")) is not None for local in ("ann", "ben")] == [False, True]
    assert option.validate_python(made) is made
    for wrong, words in ((["a@@b"], "a@@b"), ("example.org", "is no list of entries"), ([1], "is no list of entries")):
        with pytest.raises(ValidationError, match=words):
            option.validate_python(wrong)
