"""Distinct facts have distinct keys."""

import re

from hypothesis import example, given
from hypothesis import strategies as st

from fastsmtp.state_keys import state_key

# Blanks, what escapes look like, and halves of surrogates, which stores spell with a backslash.
PART = st.text(st.sampled_from('ab @*"\\250cu\udc80d') | st.characters(), max_size=12)
PARTS = st.lists(PART, min_size=1, max_size=4)


def parts_of(key: str) -> list[str]:
    return [re.sub(r"\\(20|5c)", lambda found: {"20": " ", "5c": "\\"}[found[1]], part) for part in key.split(" ")]


def test_what_needs_no_escape_stands_as_it_is() -> None:
    assert state_key("karma", "192.0.2.0/24", "*") == "karma 192.0.2.0/24 *"
    assert state_key("greylist", "", "a b\\@example.org") == r"greylist  a\20b\5c@example.org"


@given(PARTS)
def test_the_parts_come_out_again(parts: list[str]) -> None:
    assert parts_of(state_key(*parts)) == parts


@given(PARTS, PARTS)
@example(["a b", "c"], ["a", "b c"])
@example(["a", "b"], ["a", "b", ""])
@example(["\\20"], [" "])
@example(["\udc80"], ["\\udc80"])
def test_distinct_parts_have_distinct_keys_as_stores_spell_them_too(one: list[str], other: list[str]) -> None:
    spelled = [state_key(*parts).encode("utf-8", "backslashreplace") for parts in (one, other)]
    assert (spelled[0] == spelled[1]) == (one == other)


@given(PARTS, PARTS)
def test_a_key_of_keys_is_the_key_of_all_parts(some: list[str], more: list[str]) -> None:
    assert f"{state_key(*some)} {state_key(*more)}" == state_key(*some, *more)
