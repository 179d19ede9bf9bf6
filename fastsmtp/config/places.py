"""Where things are: sockets to listen on, paths of a site, the directory's database."""

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import PlainValidator, ValidationInfo

from fastsmtp.config.units import Spelling
from fastsmtp.smtp.address import AddressError, canonical_domain

__all__ = [
    "DirectoryUrl",
    "ListenAddress",
    "LogDestination",
    "OptionalListenAddress",
    "SitePath",
    "SocketAddress",
    "SqliteUrl",
    "parse_listen_address",
]

PORT_MAX: Final = 65_535


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """A TCP address to listen on; port 0 takes any free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


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


def _site_path(value: object, info: ValidationInfo) -> Path:
    """A path below the folder of the file that names it; `context["base"]` is that folder."""
    text = str(value) if isinstance(value, str | Path) else ""
    if not text or "\0" in text:
        raise ValueError(f"{value!r} is not a path; write text, absolute or relative to the folder of this file")
    context: dict[str, Any] = info.context or {}
    base: Path = context.get("base", Path())
    return base / text


def _log_destination(value: object, info: ValidationInfo) -> Path | Literal["stdout"]:
    return "stdout" if value == "stdout" else _site_path(value, info)


@dataclass(frozen=True, slots=True)
class SqliteUrl:
    """`sqlite:PATH`: a directory in a file."""

    path: Path

    def __str__(self) -> str:
        return f"sqlite:{self.path}"


def _directory_url(value: object, info: ValidationInfo) -> SqliteUrl:
    scheme, _, rest = value.partition(":") if isinstance(value, str) else ("", "", "")
    if scheme in {"postgresql", "postgres"}:
        raise ValueError('the PostgreSQL directory is not in this release; write "sqlite:PATH"')
    if scheme != "sqlite" or not rest:
        raise ValueError(f'{value!r} names no directory; write "sqlite:PATH"')
    return SqliteUrl(_site_path(rest, info))


SitePath = Annotated[Path, PlainValidator(_site_path), Spelling("path")]
SocketAddress = Annotated[ListenAddress, PlainValidator(parse_listen_address), Spelling("address")]
OptionalListenAddress = Annotated[
    ListenAddress | None, PlainValidator(_optional_listen_address), Spelling("address, or `false`")
]
LogDestination = Annotated[Path | Literal["stdout"], PlainValidator(_log_destination), Spelling('`"stdout"` or path')]
DirectoryUrl = Annotated[SqliteUrl, PlainValidator(_directory_url), Spelling("URL")]
