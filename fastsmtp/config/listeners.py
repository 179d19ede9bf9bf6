"""Where clients come in: the short form `[listen] smtp`, and `[[listener]]` for one that differs from the others."""

import re
from collections.abc import Sequence
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, PlainValidator, Strict

from fastsmtp.config.networks import Networks
from fastsmtp.config.places import DoorAddress, SocketAddress
from fastsmtp.config.table import Table, default
from fastsmtp.config.units import Spelling

__all__ = ["ListenSettings", "ListenerEntry", "users_of"]

_NAME: Final = re.compile(r"(?:[A-Za-z0-9][A-Za-z0-9._-]{0,63})?\Z")
_MODE: Final = re.compile(r"0?[0-7]{3}\Z")


def _name(text: str) -> str:
    if not _NAME.match(text):
        raise ValueError(f'{text!r} is no name; write up to 64 letters, digits, "-", "_" and ".", like "submission"')
    return text


def _mode(value: object) -> int:
    if not isinstance(value, str) or not _MODE.match(value):
        raise ValueError(f'{value!r} is no mode of a file; write three octal digits in quotes, like "0660"')
    return int(value, 8)


def _plugin_names(value: object) -> tuple[str, ...] | None:
    if value == "all":
        return None
    if isinstance(value, list | tuple) and all(isinstance(name, str) for name in value):
        return tuple(value)
    raise ValueError(f'{value!r} names no plugins; write "all", or a list like ["loop", "headers"]')


def _auth(value: object) -> bool | None:
    if value == "auto":
        return None
    if isinstance(value, bool):
        return value
    raise ValueError(f'{value!r} does not say whether AUTH is offered; write true, false or "auto"')


class ListenSettings(Table):
    """Where SMTP is spoken."""

    smtp: Annotated[tuple[SocketAddress, ...], Strict(strict=False), Spelling("list of addresses")] = default(
        ["0.0.0.0:25", "[::]:25"],
        "Addresses to listen on, each a listener with every default. Port 0 takes any free port. Where there are "
        "`[[listener]]` tables, the default is none.",
    )
    workers: int = default(0, "Worker processes beside the supervisor; 0 is one per core.", ge=0, le=512)
    backlog: int = default(1024, "Connections that the kernel keeps waiting for us, at each listener.", ge=1, le=65_535)


class ListenerEntry(Table):
    """One listener that differs from those in `[listen]`, by where it listens or by what runs there."""

    name: Annotated[str, AfterValidator(_name)] = default(
        "", "What log, metrics and plugins call it. Empty: its address."
    )
    address: DoorAddress = Field(description="Where it listens. A Unix socket is made at start and removed at the end.")
    protocol: Literal["smtp", "lmtp"] = default(
        "smtp",
        '"lmtp" is for mail servers in front, such as Postfix: each recipient hears a reply of his own (RFC 2033).',
    )
    tls: Literal["auto", "off", "starttls", "required", "implicit"] = default(
        "auto",
        '"auto" is "starttls" where `[tls]` has a certificate, else "off"; with "required" nothing else may come '
        "before STARTTLS, which strangers on port 25 cannot be asked for (RFC 3207 section 4); "
        '"implicit" begins with the handshake, as on port 465.',
    )
    auth: Annotated[bool | None, PlainValidator(_auth), Spelling('`"auto"`, or true or false')] = default(
        "auto", 'Whether AUTH is offered here; "auto" is what `[auth] enabled` says.'
    )
    proxy: Networks = default(
        [],
        'Proxies, by network or address ("unix": those on a Unix socket), whose connections begin with a header of '
        "the PROXY protocol that says who the client is; from others it is an unknown command.",
    )
    xclient: Networks = default(
        [],
        'Clients, by network or address ("unix": those on a Unix socket), who may say by XCLIENT for whom they speak; '
        "for others it is an unknown command.",
    )
    plugins: Annotated[tuple[str, ...] | None, PlainValidator(_plugin_names), Spelling('`"all"`, or list of names')] = (
        default("all", "Which `[[plugin]]` entries run here; their order is that of the file.")
    )
    socket_mode: Annotated[int, PlainValidator(_mode), Spelling("octal digits")] = default(
        "0660", "Who may connect to a Unix socket, as for `chmod`."
    )
    socket_user: str = default("", "The owner of a Unix socket, by name. Empty: the user who runs the server.")
    socket_group: str = default("", "Its group. Empty: the group that runs the server.")

    @property
    def title(self) -> str:
        """What log, metrics and plugins call it."""
        return self.name or str(self.address)

    def has_plugin(self, name: str) -> bool:
        """Whether the plugin of this name runs here."""
        return self.plugins is None or name in self.plugins


def users_of(plugin: str, listeners: Sequence[ListenerEntry]) -> list[str] | None:
    """The listeners that have this plugin, by name; None for all of them."""
    users = [entry.title for entry in listeners if entry.has_plugin(plugin)]
    return None if len(users) == len(listeners) else users
