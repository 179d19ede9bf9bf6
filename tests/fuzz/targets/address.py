"""A path is what the grammar says, canonical, and comes back from its text; anything else is an AddressError."""

from ipaddress import IPv4Address, IPv6Address

from fuzz import path_grammar
from fuzz.cutting import split

from fastsmtp.smtp.address import (
    DOMAIN_OCTETS,
    LABEL_OCTETS,
    PATH_OCTETS,
    Address,
    AddressError,
    canonical_domain,
    fold,
    parse_forward_path,
    parse_mailbox,
    parse_reverse_path,
)


def check(data: bytes) -> None:
    """The first octet says whether SMTPUTF8 was given."""
    (given,), argument = split(data, 1)
    smtputf8 = bool(given & 1)
    shape = path_grammar.read_path(argument)
    for parse in (parse_forward_path, parse_reverse_path):
        try:
            address, rest = parse(argument, smtputf8=smtputf8)
        except AddressError:
            assert shape is None or not is_good(shape, argument)
            continue
        end = len(argument) - len(rest)
        if shape is None:
            special = b"<>" if parse is parse_reverse_path else b"<postmaster>"
            assert argument[:end].lower() == special
        else:
            assert end == shape.end <= PATH_OCTETS
        assert argument.endswith(rest)
        assert smtputf8 or address.is_ascii
        check_address(address)
    text = argument.decode(errors="surrogateescape")
    try:
        check_address(parse_mailbox(text))
    except AddressError:
        return


def is_good(path: path_grammar.Path, argument: bytes) -> bool:
    """Whether nothing but the grammar could be wrong with it; of other than ASCII one cannot know."""
    if path.end > PATH_OCTETS or not argument[: path.end].isascii():
        return False
    domain = path.domain.decode()
    if not domain.startswith("["):
        return len(domain) <= DOMAIN_OCTETS and all(len(label) <= LABEL_OCTETS for label in domain.split("."))
    inner = domain[1:-1]
    try:
        IPv6Address(inner[5:]) if inner[:5].lower() == "ipv6:" else IPv4Address(inner)
    except ValueError:
        return False
    return True


def check_address(address: Address) -> None:
    """It can be written, read again, compared, and put into a header or a path of the file system."""
    octets = str(address).encode()
    assert not any(octet < 0x20 or octet == 0x7F for octet in octets)
    assert address.domain.isascii()
    assert len(address.domain) <= DOMAIN_OCTETS
    assert "/" not in address.domain
    assert fold(address.folded_local) == address.folded_local
    if address.domain and not address.domain.startswith("["):
        assert canonical_domain(address.domain) == address.domain == address.domain.lower()
    if address.domain and len(octets) <= PATH_OCTETS - 2:  # A-labels can be longer than what they stand for
        assert parse_mailbox(str(address)) == address
