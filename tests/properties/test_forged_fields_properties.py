"""No Authentication-Results in our name survives, however it comes and whoever reads the header."""

import re
from collections.abc import Iterator
from email import message_from_bytes
from email.policy import compat32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsmtp.testing import Site

OURS = b"mx.example.test; spf=pass"
HEADER_SIZES = (60, 200, 262_144)

fragments = st.sampled_from(
    [
        b"Authentication-Results: " + OURS,
        b"AUTHENTICATION-results",
        b":",
        b" " + OURS,
        b"Subject: hi",
        b"X: " + 40 * b"x",
        300 * b"x",
        b"\r\n",
        b"\r\n",
        b"\n",
        b"\r",
        b" ",
        b"\t",
        b".",
        b"\0",
    ]
)
contents = st.lists(fragments, max_size=30).map(b"".join)


def readers(stored: bytes) -> Iterator[bytes]:
    """The values of the fields, as readers see them who do not agree what a line or a field is."""
    if stored[:1] in (b" ", b"\t"):
        return  # it would continue our last field, so that the store puts an empty line before it: all of it is body
    yield from (
        value.encode("utf-8", "surrogateescape")
        for name, value in message_from_bytes(stored, policy=compat32).raw_items()
        if name.lower().rstrip() == "authentication-results"
    )
    for line_end in (rb"\n", rb"\r\n|\n|\r"):
        header: list[bytes] = []
        for line in re.split(line_end, stored):
            if not line:
                break
            if line[:1] in (b" ", b"\t") and header:
                header[-1] += line
            else:
                header.append(line)
        for field in header:  # unfolded before the colon is looked for
            name, _, value = field.partition(b":")
            if name.rstrip().lower() == b"authentication-results":  # a blank in front makes it a continuation
                yield value


def is_forged(value: bytes) -> bool:
    return value.strip(b" \t\r\n").startswith(OURS)


@pytest.fixture(scope="module", params=[262_144, 0], ids=["memory", "spool"])
def sites(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[int, Site]]:
    from contextlib import ExitStack

    from fastsmtp.delivery.spool import SpoolFolder

    spool = SpoolFolder(tmp_path_factory.mktemp("spool"))
    spool.open()
    with ExitStack() as stack:
        yield {
            size: stack.enter_context(
                Site(
                    ["authentication_results"],
                    header_size=size,
                    header_fields=10,
                    spool_above=request.param,
                    make_spool=spool.new,
                )
            )
            for size in HEADER_SIZES
        }


@given(
    content=contents,
    size=st.sampled_from(HEADER_SIZES),
    cuts=st.lists(st.integers(0, 400), max_size=8).map(sorted),
    how=st.sampled_from(["DATA", "BDAT", "BINARYMIME"]),
)
def test_no_forged_field_survives(sites: dict[int, Site], content: bytes, size: int, cuts: list[int], how: str) -> None:
    site = sites[size]
    client = site.connect()
    client.hello()
    client.mail("ann@example.org", *(["BODY=BINARYMIME"] if how == "BINARYMIME" else []))
    client.rcpt("user@example.test")
    ends = [*(cut for cut in cuts if cut < len(content)), len(content)]
    pieces = [content[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]
    if how == "DATA":
        client.feed(b"DATA\r\n")
        for piece in pieces:
            client.feed(piece)
        client.feed(b"\r\n.\r\n")
    else:
        for piece in pieces:
            client.feed(b"BDAT %d\r\n" % len(piece))
            client.feed(piece)
        client.feed(b"BDAT 0 LAST\r\n")
    client.disconnect()
    last = site.transactions[-1]
    assert last.outcome in ("stored", "refused")
    if last.outcome == "stored":
        assert not [value for value in readers(bytes(last.message)) if is_forged(value)]


def test_the_readers_notice() -> None:
    field = b"Authentication-Results: " + OURS
    for stored in (field, b"A: b\n" + field, b"A: b\r" + field + b"\n\n", field.replace(b":", b"\n :")):
        assert any(map(is_forged, readers(stored)))
    for stored in (b"A: b\n\n" + field, b" " + field):
        assert not any(map(is_forged, readers(stored)))
