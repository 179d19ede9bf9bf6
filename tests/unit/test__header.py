"""Fields of a header in one pass, beside the same in plain Python."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsmtp._header import begins_line, split_header


def in_python(raw: bytes) -> list[tuple[bytes, bytes]]:
    fields: list[tuple[bytes, list[bytes]]] = []
    is_open = False
    for line in raw.split(b"\n"):
        if line.startswith((b" ", b"\t")):
            if is_open:
                fields[-1][1].append(line.strip(b" \t\r"))
            continue
        name, colon, value = line.partition(b":")
        name = name.rstrip(b" \t")
        is_open = bool(colon and name)
        if is_open:
            fields.append((name.lower(), [value.strip(b" \t\r")]))
    return [(name, b" ".join(lines).strip(b" ")) for name, lines in fields]


@pytest.mark.parametrize(
    ("raw", "fields"),
    [
        (b"", []),
        (b"Subject: hello\n\n", [(b"subject", b"hello")]),
        (b"Subject: hello", [(b"subject", b"hello")]),
        (b"SUBJECT \t:\thello \n", [(b"subject", b"hello")]),
        (b"Subject: a\n b\n\t c \nTo:\n d\n", [(b"subject", b"a b c"), (b"to", b"d")]),
        (b" folds nothing\nno field\n either\n: no name\nA:\n", [(b"a", b"")]),
        (b"X-\xff\x00Y: \xc3\xa9\x00\r\n", [(b"x-\xff\x00y", b"\xc3\xa9\x00")]),
    ],
)
def test_fields(raw: bytes, fields: list[tuple[bytes, bytes]]) -> None:
    assert split_header(raw) == fields == in_python(raw)


@given(
    st.lists(st.sampled_from([b"\n", b"\n", b" ", b"\t", b"\r", b":", b"Ab", b"\xff", b"\x00", b"a:b"])).map(b"".join)
)
def test_it_is_what_plain_python_finds(raw: bytes) -> None:
    assert split_header(raw) == in_python(raw)


def test_many_folds_take_no_longer_than_their_octets() -> None:
    ((_, value),) = split_header(b"a:" + b"\n b" * 100_000)
    assert len(value) == 2 * 100_000 - 1


def test_only_bytes() -> None:
    with pytest.raises(TypeError):
        split_header("a: b")  # type: ignore[arg-type] # as it says


@pytest.mark.parametrize(
    ("raw", "is_there"),
    [
        (b"", False),
        (b"Return-Path: <>", True),
        (b"a: b\nrETURN-pATH:\n", True),
        (b"a: return-path\n", False),
        (b"a: b\n return-path: folded\n", False),
        (b"a: b\nreturn-pat", False),
        (b"a: b\nreturn-path", True),
        (b"return@path: b\nreturn\x0dpath\n", False),
    ],
)
def test_whether_a_line_begins_with_a_name(raw: bytes, is_there: bool) -> None:
    assert begins_line(raw, b"return-path") is is_there


@given(st.binary(max_size=100), st.sampled_from([b"a", b"ab", b"-"]))
def test_whether_a_line_begins_with_anything(raw: bytes, name: bytes) -> None:
    assert begins_line(raw, name) == any(line.lower().startswith(name) for line in raw.split(b"\n"))
