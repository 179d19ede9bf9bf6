"""The attributes of XCLIENT: every value, every fault."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsmtp.smtp.claims import XCLIENT_ATTRIBUTES, Claim, parse_xclient
from fastsmtp.smtp.commands import CommandError


@pytest.mark.parametrize(
    ("argument", "fields"),
    [
        (b"NAME=spike.example ADDR=168.100.189.2", {"name": "spike.example", "address": "168.100.189.2"}),
        (b"name=a_b.example addr=192.0.2.1", {"name": "a_b.example", "address": "192.0.2.1"}),
        (b"ADDR=IPV6:2001:db8::1", {"address": "2001:db8::1"}),
        (b"ADDR=ipv6:2001:DB8:0::1", {"address": "2001:db8::1"}),
        (b"ADDR=2001:db8::1", {"address": "2001:db8::1"}),
        (b"ADDR=IPv6:::ffff:192.0.2.1", {"address": "192.0.2.1"}),
        (b"ADDR=[UNAVAILABLE] NAME=[TEMPUNAVAIL] PORT=[unavailable]", {"address": "", "name": "", "port": 0}),
        (b"ADDR=+5BUNAVAILABLE+5D", {"address": ""}),
        (b"PORT=0", {"port": 0}),
        (b"PORT=65535 DESTPORT=00025", {"port": 65_535, "local_port": 25}),
        (b"DESTADDR=203.0.113.25", {"local_address": "203.0.113.25"}),
        (b"DESTADDR=[UNAVAILABLE] DESTPORT=[UNAVAILABLE]", {"local_address": "", "local_port": 0}),
        (b"PROTO=SMTP", {"protocol": "SMTP"}),
        (b"PROTO=esmtp HELO=client.example", {"protocol": "ESMTP", "hello": "client.example"}),
        (b"HELO=[192.0.2.1]", {"hello": "[192.0.2.1]"}),
        (b"HELO=[UNAVAILABLE] PROTO=[UNAVAILABLE]", {"hello": ""}),
        (b"LOGIN=ann+40example.org", {"login": "ann@example.org"}),
        (b"LOGIN=ann@example.org", {"login": "ann@example.org"}),
        (b"LOGIN=a=b", {"login": "a=b"}),
        (b"LOGIN=J+C3+BCrgen", {"login": "Jürgen"}),
        (b"LOGIN=[UNAVAILABLE]", {"login": ""}),
        (b"  PORT=1 \t PORT=2 ", {"port": 2}),
    ],
)  # fmt: skip
def test_what_is_said(argument: bytes, fields: dict[str, Any]) -> None:
    assert parse_xclient(argument) == Claim(**fields)


@pytest.mark.parametrize(
    ("argument", "reply"),
    [
        (b"", "501 5.5.4 Syntax: XCLIENT attribute=value ..."),
        (b" ", "501 5.5.4 Syntax: XCLIENT attribute=value ..."),
        (b"NAME", "501 5.5.4 Syntax: XCLIENT attribute=value ..."),
        (b"NAME=", "501 5.5.4 Syntax: XCLIENT attribute=value ..."),
        (b"=a.example", "501 5.5.4 Syntax: XCLIENT attribute=value ..."),
        (b"NAME=a.example ADDR", "501 5.5.4 Syntax: XCLIENT attribute=value ..."),
        (b"NAME=\xc3\xbc.example", "501 5.5.4 Syntax: XCLIENT attribute=value ..."),
        (b"SOURCE=LOCAL", "501 5.5.4 XCLIENT has no attribute SOURCE"),
        (b"NAME=-a.example", "501 5.5.4 Bad value of the XCLIENT attribute NAME"),
        (b"NAME=a..example", "501 5.5.4 Bad value of the XCLIENT attribute NAME"),
        (b"NAME=a+0Ab", "501 5.5.4 Bad value of the XCLIENT attribute NAME"),
        (b"NAME=" + b"a." * 130 + b"b", "501 5.5.4 Bad value of the XCLIENT attribute NAME"),
        (b"NAME=[192.0.2.1]", "501 5.5.4 Bad value of the XCLIENT attribute NAME"),
        (b"NAME=a+b", "501 5.5.4 Bad value of the XCLIENT attribute NAME"),
        (b"ADDR=[192.0.2.1]", "501 5.5.4 Bad value of the XCLIENT attribute ADDR"),
        (b"ADDR=192.0.2", "501 5.5.4 Bad value of the XCLIENT attribute ADDR"),
        (b"ADDR=192.0.2.01", "501 5.5.4 Bad value of the XCLIENT attribute ADDR"),
        (b"ADDR=IPV6:192.0.2.1", "501 5.5.4 Bad value of the XCLIENT attribute ADDR"),
        (b"ADDR=IPV6:fe80::1%eth0", "501 5.5.4 Bad value of the XCLIENT attribute ADDR"),
        (b"ADDR=+FF", "501 5.5.4 Bad value of the XCLIENT attribute ADDR"),
        (b"PORT=65536", "501 5.5.4 Bad value of the XCLIENT attribute PORT"),
        (b"PORT=-1", "501 5.5.4 Bad value of the XCLIENT attribute PORT"),
        (b"PORT=1_0", "501 5.5.4 Bad value of the XCLIENT attribute PORT"),
        (b"DESTPORT=smtp", "501 5.5.4 Bad value of the XCLIENT attribute DESTPORT"),
        (b"DESTADDR=here", "501 5.5.4 Bad value of the XCLIENT attribute DESTADDR"),
        (b"PROTO=LMTP", "501 5.5.4 Bad value of the XCLIENT attribute PROTO"),
        (b"HELO=two+20words", "501 5.5.4 Bad value of the XCLIENT attribute HELO"),
        (b"HELO=" + b"x" * 256, "501 5.5.4 Bad value of the XCLIENT attribute HELO"),
        (b"HELO=a+0D+0AMAIL", "501 5.5.4 Bad value of the XCLIENT attribute HELO"),
        (b"LOGIN=a+00", "501 5.5.4 Bad value of the XCLIENT attribute LOGIN"),
        (b"LOGIN=+FF", "501 5.5.4 Bad value of the XCLIENT attribute LOGIN"),
        (b"LOGIN=" + b"x" * 256, "501 5.5.4 Bad value of the XCLIENT attribute LOGIN"),
    ],
)
def test_what_is_wrong(argument: bytes, reply: str) -> None:
    with pytest.raises(CommandError) as caught:
        parse_xclient(argument)
    assert str(caught.value.reply) == reply


WORDS = st.sampled_from(
    [f"{name}=".encode() for name in XCLIENT_ATTRIBUTES.split()] + [b"IPV6:", b"+0A", b" ", b"[UNAVAILABLE]"]
)


@given(st.lists(st.one_of(WORDS, st.binary(max_size=8)), max_size=12))
def test_nothing_that_breaks_a_line_gets_through(pieces: list[bytes]) -> None:
    try:
        claim = parse_xclient(b"".join(pieces))
    except CommandError:
        return
    for text in (claim.name, claim.address, claim.hello, claim.login, claim.local_address):
        assert text is None or text.isprintable()
