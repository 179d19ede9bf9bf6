"""Whom a client says that it speaks for: the attributes of XCLIENT.

The command is Postfix's, XCLIENT_README of its sources. Who may give it is not decided here.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Final

from fastsmtp.smtp.commands import CommandError, parse_hello
from fastsmtp.smtp.replies import Reply
from fastsmtp.smtp.xtext import decode_xtext

__all__ = ["XCLIENT_ATTRIBUTES", "Claim", "parse_xclient"]

XCLIENT_ATTRIBUTES: Final = "NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT"

_BAD_SYNTAX: Final = Reply(501, "5.5.4", "Syntax: XCLIENT attribute=value ...")
_PORT_MAX: Final = 65_535
_LOGIN_MAX: Final = 255

# Nobody knows it, for now or for good. Either way it is not known.
_UNAVAILABLE: Final = (b"[UNAVAILABLE]", b"[TEMPUNAVAIL]")
_IPV6: Final = b"IPV6:"

_match_attribute = re.compile(
    rb"([A-Za-z]+)=([\x21-\x7e]+)\Z"
).match  # old clients do not encode, so any value may come
_match_port = re.compile(rb"[0-9]{1,5}\Z").match
_LABEL = rb"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_match_name = re.compile(rb"(?=.{1,255}\Z)" + _LABEL + rb"(?:\." + _LABEL + rb")*\.?\Z").match


@dataclass(slots=True)
class Claim:
    """What is said of the client: None is nothing said, empty text (or port 0) that nobody knows.

    `protocol` is SMTP or ESMTP; `login` is who has logged in to whoever says so.
    """

    name: str | None = None
    address: str | None = None
    port: int | None = None
    protocol: str | None = None
    hello: str | None = None
    login: str | None = None
    local_address: str | None = None
    local_port: int | None = None


def parse_xclient(argument: bytes) -> Claim:
    """`attribute=value`, one or more. Raises CommandError."""
    claim = Claim()
    words = argument.split()
    if not words:
        raise CommandError(_BAD_SYNTAX)
    for word in words:
        found = _match_attribute(word)
        if found is None:
            raise CommandError(_BAD_SYNTAX)
        name = found[1].decode().upper()
        if name not in _ATTRIBUTES:
            raise CommandError(Reply(501, "5.5.4", f"XCLIENT has no attribute {name}"))
        field, read, unknown = _ATTRIBUTES[name]
        try:
            value = decode_xtext(found[2])
            setattr(claim, field, unknown if value.upper() in _UNAVAILABLE else read(value))
        except ValueError:
            raise CommandError(Reply(501, "5.5.4", f"Bad value of the XCLIENT attribute {name}")) from None
    return claim


def _address(value: bytes) -> str:
    """An IP address, that of version 6 behind `IPV6:` (not every client writes it)."""
    if value[: len(_IPV6)].upper() == _IPV6:
        value = value[len(_IPV6) :]
    elif b":" not in value:
        return str(IPv4Address(value.decode("ascii")))
    address = IPv6Address(value.decode("ascii"))
    if address.scope_id is not None:
        raise ValueError("nobody else knows a scope")
    return str(address.ipv4_mapped or address)


def _port(value: bytes) -> int:
    if not _match_port(value) or int(value) > _PORT_MAX:
        raise ValueError("not a port")
    return int(value)


def _name(value: bytes) -> str:
    if not _match_name(value):
        raise ValueError("not the name of a host")
    return value.decode()


def _protocol(value: bytes) -> str:
    if value.upper() not in (b"SMTP", b"ESMTP"):
        raise ValueError("not a protocol")
    return value.upper().decode()


def _login(value: bytes) -> str:
    login = value.decode()
    if not login.isprintable() or len(value) > _LOGIN_MAX:
        raise ValueError("not a name")
    return login


# attribute: the field of the claim, how its value is read, and what [UNAVAILABLE] is
_ATTRIBUTES: Final[Mapping[str, tuple[str, Callable[[bytes], Any], str | int | None]]] = {
    "NAME": ("name", _name, ""),
    "ADDR": ("address", _address, ""),
    "PORT": ("port", _port, 0),
    "PROTO": ("protocol", _protocol, None),
    "HELO": ("hello", parse_hello, ""),
    "LOGIN": ("login", _login, ""),
    "DESTADDR": ("local_address", _address, ""),
    "DESTPORT": ("local_port", _port, 0),
}
