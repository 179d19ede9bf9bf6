"""Addresses as people type them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsmtp.directory.names import (
    AdminError,
    BadAddressError,
    MailboxNameError,
    read_address,
    read_domain,
    read_new_address,
)
from fastsmtp.smtp.address import Address


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        ("Example.TEST", "example.test"),
        ("B\u00dcCHER.test", "xn--bcher-kva.test"),
        ("XN--BCHER-KVA.test", "xn--bcher-kva.test"),
    ],
)
def test_domains_become_canonical(text: str, domain: str) -> None:
    assert read_domain(text) == domain


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("Joe@Example.Test", Address("Joe", "example.test")),
        ('"two words"@example.test', Address("two words", "example.test")),
        ('"a@b"@example.test', Address("a@b", "example.test")),
        ("Zoe\u0308@b\u00fccher.test", Address("Zo\u00eb", "xn--bcher-kva.test")),
    ],
)
def test_addresses(text: str, address: Address) -> None:
    assert read_address(text) == read_new_address(text) == address


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("two words@example.test", r"' ' \(U\+0020 SPACE\) cannot be in a user name"),
        ("joe\u200b@example.test", r"U\+200B ZERO WIDTH SPACE"),
        ("joe\u00a0@example.test", r"U\+00A0 NO-BREAK SPACE"),
        ("joe\n@example.test", r"U\+000A unnamed"),
        ("joe\udcff@example.test", r"U\+DCFF unnamed"),
        ("a@b@example.test", r"U\+0040 COMMERCIAL AT"),
        ("<joe@example.test>", r"U\+003C LESS-THAN SIGN"),
        ("joe@exam ple.test", r"U\+0020 SPACE\) cannot be in a domain name"),
        ("joe@[127.0.0.1]", r"U\+005B LEFT SQUARE BRACKET"),
        ("joe@example.test\0", r"U\+0000 unnamed"),
        ("joe@\u2603.test", r"U\+2603"),
        ("joe@-example.test", "not of the form user@domain"),
        ("joe..ann@example.test", "not of the form user@domain"),
        ("joe", "not of the form user@domain"),
        ("joe@", "not of the form user@domain"),
        ("@example.test", "not of the form user@domain"),
        ("", "not of the form user@domain"),
        ("x" * 250 + "@example.test", "too long"),
    ],
)
def test_what_is_wrong_with_an_address_is_named(text: str, complaint: str) -> None:
    with pytest.raises(BadAddressError, match=complaint):
        read_address(text)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "not a domain name"),
        ("example..test", "not a domain name"),
        ("example.test.", "not a domain name"),
        ("exam/ple.test", r"U\+002F SOLIDUS"),
        ("x" * 64 + ".test", "too long"),
    ],
)
def test_what_is_wrong_with_a_domain_is_named(text: str, complaint: str) -> None:
    with pytest.raises(BadAddressError, match=complaint):
        read_domain(text)


@pytest.mark.parametrize("text", ["a/b@example.test", '".hidden"@example.test', '".."@example.test', '""@example.test'])
def test_a_name_that_cannot_be_a_folder(text: str) -> None:
    read_address(text)
    with pytest.raises(MailboxNameError, match="cannot be called"):
        read_new_address(text)


@given(st.text() | st.builds("{}@{}".format, st.text(), st.text()))
def test_any_text_is_an_address_or_a_plain_complaint(text: str) -> None:
    for read in (read_address, read_domain):
        try:
            read(text)
        except AdminError as error:
            assert str(error)  # noqa: PT017 - both outcomes are fine
