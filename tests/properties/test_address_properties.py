"""Whatever is a path comes back from its text, and whatever is none is an AddressError and nothing else."""

from hypothesis import assume, given
from hypothesis import strategies as st

from fastsmtp._parser import is_dot_string, plain_path
from fastsmtp.smtp.address import (
    DOMAIN_OCTETS,
    PATH_OCTETS,
    Address,
    AddressError,
    canonical_domain,
    fold,
    parse_forward_path,
    parse_mailbox,
    parse_reverse_path,
)

ATEXT = "abcXYZ0189!#$%&'*+-/=?^_`{|}~"
BEYOND_ASCII = "éÉüß用例\u0301\u212a\u037e\u0430\uff41\u200b"
atoms = st.text(ATEXT + BEYOND_ASCII, min_size=1, max_size=8)
dot_strings = st.lists(atoms, min_size=1, max_size=3).map(".".join)
quoted_strings = st.lists(
    st.sampled_from([*'abc .@<>,;:()[]"\\', *BEYOND_ASCII]).map(lambda char: f"\\{char}" if char in '"\\' else char)
    | st.sampled_from(["\\a", "\\ ", "\\@"]),
    max_size=10,
).map(lambda content: '"' + "".join(content) + '"')

labels = st.from_regex(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,10}[A-Za-z0-9_])?", fullmatch=True)
idn_labels = st.sampled_from(["bücher", "BÜCHER", "bu\u0308cher", "例え", "παράδειγμα", "пример", "straße"])
plain_domains = st.lists(labels, min_size=1, max_size=4).map(".".join)
idn_domains = st.lists(idn_labels, min_size=1, max_size=3).map(".".join)
literals = st.ip_addresses(v=4).map(lambda ip: f"[{ip}]") | st.ip_addresses(v=6).map(lambda ip: f"[IPv6:{ip}]")

mailboxes = st.tuples(dot_strings | quoted_strings, plain_domains | idn_domains | literals).map("@".join)
routes = st.just("") | st.lists(plain_domains, min_size=1, max_size=3).map(
    lambda hops: ",".join(f"@{hop}" for hop in hops) + ":"
)
tails = st.sampled_from([b"", b" SIZE=1", b">", b"junk", b"\0"])

# Random bytes that come close: every fragment means something to the grammar.
FRAGMENTS = [b"<", b">", b"@", b",", b":", b".", b"-", b'"', b"\\", b"[", b"]", b"a", b"a.example", b"postmaster", b" "]
FRAGMENTS += [
    b"1.2.3.4",
    b"IPv6:",
    b"::1",
    b"\0",
    b"\r",
    b"\n",
    b"\x7f",
    b"\xc3\xa9",
    b"\xc3",
    b"\xed\xa0\x80",
    b"xn--",
]
close_bytes = st.lists(st.sampled_from(FRAGMENTS), max_size=12).map(b"".join) | st.binary(max_size=40)


@given(mailboxes, routes, tails)
def test_a_path_comes_back_from_its_text(mailbox: str, route: str, tail: bytes) -> None:
    path = f"<{route}{mailbox}>".encode()
    assume(len(path) <= PATH_OCTETS)
    address, rest = parse_forward_path(path + tail, smtputf8=True)
    assert rest == tail
    assert parse_reverse_path(path + tail, smtputf8=True) == (address, tail)
    assert parse_mailbox(mailbox) == address
    assume(len(str(address).encode()) <= PATH_OCTETS - 2)  # A-labels can be longer than what they stand for
    assert parse_mailbox(str(address)) == address
    assert parse_forward_path(f"<{address}>".encode(), smtputf8=not address.is_ascii) == (address, b"")


@given(mailboxes)
def test_an_address_is_canonical(mailbox: str) -> None:
    assume(len(mailbox.encode()) <= PATH_OCTETS - 2)
    address = parse_mailbox(mailbox)
    assert address.domain.isascii()
    assert len(address.domain) <= DOMAIN_OCTETS
    if not address.domain.startswith("["):
        assert address.domain == address.domain.lower()
        assert canonical_domain(address.domain) == address.domain
        assert canonical_domain(address.unicode_domain) == address.domain
    assert fold(address.folded_local) == address.folded_local


@given(close_bytes, st.booleans())
def test_anything_else_is_an_address_error(argument: bytes, smtputf8: bool) -> None:
    for parse in (parse_forward_path, parse_reverse_path):
        for candidate in (argument, b"<" + argument + b">", b"<a@" + argument + b">", b"<" + argument + b"@x.example>"):
            try:
                address, rest = parse(candidate, smtputf8=smtputf8)
            except AddressError:
                continue
            assert candidate.endswith(rest)
            assert candidate[: len(candidate) - len(rest)].endswith(b">")
            assert_printable(address)
            assert smtputf8 or address.is_ascii


@given(close_bytes, plain_domains)
def test_what_is_read_without_the_grammar_is_what_the_grammar_reads(noise: bytes, domain: str) -> None:
    for path in (b"<" + noise + b"@" + domain.encode() + b">", b"<a." + noise, b"<a@" + noise + b">", noise):
        plain = plain_path(path)
        if plain is None:
            continue
        local, host, end = plain
        by_grammar = parse_reverse_path(b"<@relay.example:" + path[1:])  # a route is left to the grammar
        assert by_grammar == (Address(local, host), path[end:])
        assert is_dot_string(local)


@given(st.lists(st.text(ATEXT, min_size=1, max_size=8), min_size=1, max_size=3).map(".".join), plain_domains, tails)
def test_nearly_every_path_needs_no_grammar(local: str, domain: str, tail: bytes) -> None:
    path = f"<{local}@{domain}>".encode()
    assert plain_path(path + tail) == (local, domain.lower(), len(path))


@given(dot_strings | quoted_strings | close_bytes.map(lambda raw: raw.decode(errors="surrogateescape")))
def test_a_local_part_that_is_a_dot_string_is_written_without_quotes(text: str) -> None:
    is_quoted = text != "" and str(Address(text, "x.example")).startswith('"')
    assert is_dot_string(text) == (text.isascii() and text != "" and not is_quoted)


@given(close_bytes.map(lambda raw: raw.decode(errors="surrogateescape")) | st.text(max_size=30))
def test_whatever_an_operator_types_is_a_mailbox_or_an_address_error(text: str) -> None:
    for candidate in (text, f"a@{text}", f"{text}@x.example"):
        try:
            assert_printable(parse_mailbox(candidate))
        except AddressError:
            continue


def assert_printable(address: Address) -> None:
    """No control character of ASCII is in an address, and it can be written as UTF-8."""
    assert not any(byte < 0x20 or byte == 0x7F for byte in str(address).encode())
