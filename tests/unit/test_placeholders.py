"""Words in braces."""

import pytest

from fastsmtp.placeholders import check_placeholders, fill


def test_words_that_are_known() -> None:
    check_placeholders("{client} is not {domain}, {} and { client }", ("client", "domain"))
    with pytest.raises(ValueError, match=r"there is no {clien}; there are {client}, {domain}"):
        check_placeholders("{client} {clien}", ("client", "domain"))


def test_values_take_their_place_once() -> None:
    assert fill("{a} and {b}, {c}", {"a": "{b}", "b": "x"}) == "{b} and x, {c}"
