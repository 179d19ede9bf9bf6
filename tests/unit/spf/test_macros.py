"""Macro strings; what they expand to in a check is in tests/vectors/spf.toml."""

import pytest

from fastsmtp.spf.macros import EXPLANATION_LETTERS, SpfSyntaxError, parse_macros

VALUES = {"s": "strong-bad@email.example.com", "l": "strong-bad", "o": "email.example.com", "d": "email.example.com"}
VALUES |= {"i": "192.0.2.3", "v": "in-addr", "c": "192.0.2.3"}


# The examples of RFC 7208 section 7.4, and what they leave out.
@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("%{s}", "strong-bad@email.example.com"),
        ("%{o}", "email.example.com"),
        ("%{d4}", "email.example.com"),
        ("%{d2}", "example.com"),
        ("%{d1}", "com"),
        ("%{dr}", "com.example.email"),
        ("%{d2r}", "example.email"),
        ("%{l-}", "strong.bad"),
        ("%{lr-}", "bad.strong"),
        ("%{l1r-}", "strong"),
        ("%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com"),
        ("%{lr-}.lp.%{ir}.%{v}._spf.%{d2}", "bad.strong.lp.3.2.0.192.in-addr._spf.example.com"),
        ("%{D}%{S}", "email.example.comstrong-bad%40email.example.com"),
        ("%{s.-+,/_=@}", None),
        ("%{s.-}", "strong.bad@email.example.com"),
        ("%{d999}", "email.example.com"),
        ("%%%_%-", "% %20"),
        ("", ""),
        ("no macro", "no macro"),
    ],
)
def test_expand(text: str, expanded: str | None) -> None:
    if expanded is None:
        with pytest.raises(SpfSyntaxError):
            parse_macros(text)
        return
    assert parse_macros(text).expand(VALUES.__getitem__) == expanded


@pytest.mark.parametrize(
    "text", ["%", "%d", "%{", "%{}", "%{d", "%{x}", "%{d0}", "%{d00r}", "%{dx}", "%{rd}", "a%(d)", "é", "a\tb", "%{c}"]
)
def test_what_is_no_macro_string(text: str) -> None:
    with pytest.raises(SpfSyntaxError, match="no macro"):
        parse_macros(text)


def test_some_macros_are_for_explanations_only() -> None:
    assert parse_macros("%{c}", EXPLANATION_LETTERS).expand(VALUES.__getitem__) == "192.0.2.3"
    assert parse_macros("%{C}%{d}", EXPLANATION_LETTERS).letters == {"c", "d"}


def test_long_texts_take_no_long() -> None:
    assert parse_macros("a" * 60_000 + "%{d}").expand(VALUES.__getitem__).endswith("aemail.example.com")
    with pytest.raises(SpfSyntaxError):
        parse_macros("%{d" + "-" * 60_000)
