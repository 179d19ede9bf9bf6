"""Text of strangers in header fields."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsmtp.smtp.field_text import plain_text, quoted


@pytest.mark.parametrize(
    ("text", "ascii_text", "utf8_text"),
    [
        ("plain", "plain", "plain"),
        ("a\r\nb\0\x7f\u2028", "a??b???", "a??b???"),
        ("jörg", "j?rg", "jörg"),
        ("\ud800\u202e", "??", "??"),
        ("x" * 400, "x" * 300, "x" * 300),
        ("é" * 400, "?" * 300, "é" * 150),
        ("x" + "é" * 400, "x" + "?" * 299, "x" + "é" * 149),
    ],
)
def test_plain_text(text: str, ascii_text: str, utf8_text: str) -> None:
    assert plain_text(text) == ascii_text
    assert plain_text(text, utf8=True) == utf8_text


@pytest.mark.parametrize(
    ("plain", "written"),
    [
        ("token", "token"),
        ("192.0.2.1", "192.0.2.1"),
        ("", '""'),
        ("two words", '"two words"'),
        ("a@b", '"a@b"'),
        ('say "hi" \\', '"say \\"hi\\" \\\\"'),
    ],
)
def test_quoted(plain: str, written: str) -> None:
    assert quoted(plain) == written


@given(st.text())
def test_nothing_leaves_its_quotes(text: str) -> None:
    written = quoted(plain_text(text, utf8=True))
    assert len(written.encode()) <= 602
    if written.startswith('"'):
        inside = written[1:-1].replace("\\\\", "").replace('\\"', "")
        assert '"' not in inside
        assert "\\" not in inside
    else:
        assert not set(written) & set('()<>@,;:\\"/[]?= ')
