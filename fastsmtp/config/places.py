"""Where things are: sockets to listen on, paths of a site, the directory's database."""

import ipaddress
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final, TypeAlias
from urllib.parse import parse_qsl, urlencode, urlsplit

from pydantic import PlainValidator, ValidationInfo

from fastsmtp.config.units import Spelling
from fastsmtp.smtp.address import AddressError, canonical_domain

__all__ = [
    "POSTGRES_FORM",
    "DirectoryUrl",
    "Door",
    "DoorAddress",
    "ListenAddress",
    "OptionalListenAddress",
    "OptionalPostgresUrl",
    "OptionalSitePath",
    "PostgresUrl",
    "SitePath",
    "SocketAddress",
    "SqliteUrl",
    "SystemdAddress",
    "UnixAddress",
    "directory_url",
    "parse_listen_address",
    "site_path",
]

PORT_MAX: Final = 65_535
UNIX_PATH_BYTES: Final = 107
"""What fits into `sun_path` before its NUL (unix(7))."""

# A password with `@`, `/`, `?` or `#` as they are would be cut in two, and one half be taken for something to show.
_is_postgres_url = re.compile(r"postgres(?:ql)?://(?:[^@/?#]*@)?[^@/?#]*(?:/[^@?#]*)?(?:\?[^@#]*)?").fullmatch

_is_descriptor_name = re.compile(r"[\x21-\x39\x3b-\x7e]{1,255}").fullmatch  # sd_listen_fds_with_names(3)

POSTGRES_FORM: Final = (
    "is not of the form postgresql://USER@HOST:PORT/DATABASE?NAME=VALUE;"
    " in a name or password, write @ as %40, / as %2F, ? as %3F, # as %23, % as %25, : as %3A"
)


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """A TCP address to listen on; port 0 takes any free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """`unix:PATH`: a Unix socket to listen on."""

    path: Path

    def __str__(self) -> str:
        return f"unix:{self.path}"


@dataclass(frozen=True, slots=True)
class SystemdAddress:
    """`systemd:NAME`: the sockets that systemd has made, as `FileDescriptorName=` calls them, wherever they listen."""

    name: str

    def __str__(self) -> str:
        return f"systemd:{self.name}"


Door: TypeAlias = ListenAddress | UnixAddress | SystemdAddress
"""Where a listener listens."""


def _is_host(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        try:
            canonical_domain(host)
        except AddressError:
            return False
        # What consists of digits and dots is an address with a mistake in it, not a name.
        return not host.replace(".", "").isdecimal()
    return True


def parse_listen_address(value: object) -> ListenAddress:
    """`HOST:PORT` or `[IPV6]:PORT`. Raises ValueError with a sentence for the operator."""
    host, colon, port = value.rpartition(":") if isinstance(value, str) else ("", "", "")
    bracketed = host.startswith("[") and host.endswith("]")
    name = host[1:-1] if bracketed else host
    good_port = port.isascii() and port.isdecimal() and len(port) <= 5 and int(port) <= PORT_MAX
    if not colon or not good_port or bracketed != (":" in name) or not _is_host(name):
        raise ValueError(f'{value!r} is no address to listen on; write "HOST:PORT" or "[IPV6]:PORT"')
    return ListenAddress(name, int(port))


def _optional_listen_address(value: object) -> ListenAddress | None:
    return None if value is False or value == "" else parse_listen_address(value)


def site_path(value: object, info: ValidationInfo) -> Path:
    """A path below the folder of the file that names it; `context["base"]` is that folder."""
    text = str(value) if isinstance(value, str | Path) else ""
    if not text or "\0" in text:
        raise ValueError(f"{value!r} is not a path; write text, absolute or relative to the folder of this file")
    context: dict[str, Any] = info.context or {}
    base: Path = context.get("base", Path())
    return base / text


def _optional_site_path(value: object, info: ValidationInfo) -> Path | None:
    return None if value == "" else site_path(value, info)


def _door(value: object, info: ValidationInfo) -> Door:
    if isinstance(value, Door):
        return value
    text = value if isinstance(value, str) else ""
    scheme, _, rest = text.partition(":")
    if scheme == "unix" and rest:
        address = UnixAddress(site_path(rest, info))
        if (octets := len(os.fsencode(address.path))) > UNIX_PATH_BYTES:
            raise ValueError(
                f"{address} has {octets} octets; the path of a Unix socket has at most {UNIX_PATH_BYTES}, "
                'so write a shorter one, like "unix:/run/fastsmtp/lmtp.sock"'
            )
        return address
    if scheme == "systemd":
        if not _is_descriptor_name(rest):
            raise ValueError(
                f'{value!r} names no sockets of systemd; write what FileDescriptorName= says, like "systemd:smtp"'
            )
        return SystemdAddress(rest)
    try:
        return parse_listen_address(value)
    except ValueError as error:
        raise ValueError(f'{error}, or "unix:PATH", or "systemd:NAME"') from None


@dataclass(frozen=True, slots=True)
class SqliteUrl:
    """`sqlite:PATH`: a directory in a file."""

    path: Path

    def __str__(self) -> str:
        return f"sqlite:{self.path}"


@dataclass(frozen=True, slots=True)
class PostgresUrl:
    """`postgresql://USER@HOST/DATABASE`: a directory in a database, as libpq reads such a URL.

    As text it has no password, for logs and messages; `dsn` is all of it.
    """

    dsn: str = field(repr=False)

    @property
    def makes_sense(self) -> bool:
        """Whether it can be read in one way only; else it should not even be shown."""
        try:
            urlsplit(self.dsn)
        except ValueError:
            return False
        return _is_postgres_url(self.dsn) is not None

    def __str__(self) -> str:
        parts = urlsplit(self.dsn)
        login, at, place = parts.netloc.rpartition("@")
        query = urlencode([(key, value) for key, value in parse_qsl(parts.query) if "password" not in key])
        name = login.partition(":")[0]
        return f"{parts.scheme}://{name}{at}{place}{parts.path}" + (f"?{query}" if query else "")


def _postgres_url(text: str) -> PostgresUrl:
    url = PostgresUrl(text)
    if not url.makes_sense:
        raise ValueError(f"this {POSTGRES_FORM}")  # not the text itself: it may have a password in it
    return url


def _optional_postgres_url(value: object) -> PostgresUrl | None:
    return None if value == "" else _postgres_url(value if isinstance(value, str) else "")


def directory_url(value: object, info: ValidationInfo) -> SqliteUrl | PostgresUrl:
    """A file or a database. Raises ValueError with a sentence for the operator."""
    text = value if isinstance(value, str) else ""
    scheme, _, rest = text.partition(":")
    if scheme == "sqlite" and rest:
        return SqliteUrl(site_path(rest, info))
    if scheme in {"postgresql", "postgres"}:
        return _postgres_url(text)
    raise ValueError('this names no directory; write "sqlite:PATH" or "postgresql://USER@HOST/DATABASE"')


SitePath = Annotated[Path, PlainValidator(site_path), Spelling("path")]
OptionalSitePath = Annotated[Path | None, PlainValidator(_optional_site_path), Spelling("path")]
SocketAddress = Annotated[ListenAddress, PlainValidator(parse_listen_address), Spelling("address")]
DoorAddress = Annotated[Door, PlainValidator(_door), Spelling('address, `"unix:PATH"` or `"systemd:NAME"`')]
OptionalListenAddress = Annotated[
    ListenAddress | None, PlainValidator(_optional_listen_address), Spelling("address, or `false`")
]
OptionalPostgresUrl = Annotated[PostgresUrl | None, PlainValidator(_optional_postgres_url), Spelling("URL")]
DirectoryUrl = Annotated[SqliteUrl | PostgresUrl, PlainValidator(directory_url), Spelling("URL")]
