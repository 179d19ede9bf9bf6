"""xtext, decoded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsmtp.smtp.xtext import decode_xtext


@pytest.mark.parametrize(
    ("text", "octets"),
    [(b"", b""), (b"plain", b"plain"), (b"a+2Bb", b"a+b"), (b"+3D+00+FF", b"=\0\xff"), (b"+2B2B", b"+2B")],
)
def test_decoded(text: bytes, octets: bytes) -> None:
    assert decode_xtext(text) == octets


@pytest.mark.parametrize("text", [b"+", b"a+", b"+2", b"+2b", b"+GG", b"++2B", b"+ 1"])
def test_no_xtext(text: bytes) -> None:
    with pytest.raises(ValueError, match="plus sign"):
        decode_xtext(text)


@given(st.binary())
def test_there_and_back(octets: bytes) -> None:
    assert decode_xtext(b"".join(b"+%02X" % octet for octet in octets)) == octets
