"""Say from which country and network provider a client comes, and refuse some of them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from fastsmtp.plugin import (
    Action,
    Connection,
    Naughty,
    Plugin,
    PluginLoadError,
    Reply,
    Services,
    SitePath,
    WatchedFile,
    act,
    packed_address,
)

__all__ = ["GeoIp", "Options"]


class Database(Protocol):
    """What we need of a maxminddb.Reader."""

    def get(self, ip_address: str) -> Any:
        """The record of an address, or None."""
        ...


@dataclass(frozen=True, slots=True)
class Options:
    """Countries are two letters of ISO 3166-1, providers the numbers of their autonomous systems."""

    files: tuple[SitePath, ...]
    deny_countries: frozenset[str] = frozenset()
    allow_countries: frozenset[str] = frozenset()
    deny_asns: frozenset[int] = frozenset()
    action: Action = "naughty"
    reason: str = "Mail from your network is not taken here"

    def __post_init__(self) -> None:
        if not self.files:
            raise ValueError("`files` names at least one database")
        if self.deny_countries and self.allow_countries:
            raise ValueError("give `allow_countries` or `deny_countries`: what is not allowed is denied")
        for option in ("deny_countries", "allow_countries"):
            object.__setattr__(self, option, frozenset(map(_country, getattr(self, option))))


class GeoIp(Plugin[Options]):
    """Records from which country and network provider a client comes, and refuses those that you name.

    * `files`: databases in MaxMind's format, such as GeoLite2-Country and GeoLite2-ASN, or DB-IP's; each is read again
      when it changes.
    * `deny_countries`: clients from there are refused.
    * `allow_countries`: clients from anywhere else are. Who is in no database comes from nowhere, and is let in.
    * `deny_asns`: clients of these providers are refused.
    * `action` ("naughty"): at RCPT; "reject" or "defer" in place of the greeting, "record" not at all.
    * `reason`: what the client hears.

    It needs the package maxminddb: `pip install 'fastsmtp-mx[geoip]'`. Databases are kept in memory, in each worker.
    """

    spares_exempt = True

    def __init__(self, options: Options, name: str) -> None:
        super().__init__(options, name)
        self._databases = [WatchedFile(file, _open) for file in options.files]

    async def start(self, services: Services) -> None:
        for database in self._databases:
            database.start()

    async def stop(self) -> None:
        for database in self._databases:
            await database.stop()

    def on_connect(self, connection: Connection) -> Reply | Naughty | None:
        address = connection.remote_address
        if not packed_address(address):
            return None
        try:
            country, asn = _merge(_find(database.value, address.partition("%")[0]) for database in self._databases)
        except Exception as error:  # noqa: BLE001 - whatever a damaged file leads its reader to; mail goes on
            self.record(connection, "error", f"a damaged database: {type(error).__name__}")
            return None
        if not country and not asn:
            self.record(connection, "skip", "in no database")
            return None
        options = self.options
        is_abroad = bool(options.allow_countries and country) and country not in options.allow_countries
        is_denied = country in options.deny_countries or asn in options.deny_asns or is_abroad
        evidence = " ".join(filter(None, (country, f"AS{asn}" if asn else "")))
        self.record(connection, "fail" if is_denied else "pass", evidence)
        return act(options.action, options.reason) if is_denied else None


def _find(database: Database, address: str) -> Any:
    try:
        return database.get(address)
    except ValueError:  # an IPv6 address, and a database for IPv4 only
        return None


def _merge(records: Iterable[Any]) -> tuple[str, int]:
    """Country and provider, as far as the databases know them; what is of another kind counts as unknown."""
    country, asn = "", 0
    for record in records:
        if not isinstance(record, Mapping):
            continue
        where = record.get("country") or record.get("registered_country")
        if isinstance(where, Mapping) and isinstance(code := where.get("iso_code"), str):
            country = country or code
        if isinstance(number := record.get("autonomous_system_number"), int):
            asn = asn or number
    return country, asn


def _open(file: Path | None) -> Database:
    """Raises OSError, and ValueError for what is no database."""
    try:
        import maxminddb
    except ImportError as error:
        raise PluginLoadError("geoip needs the package maxminddb: pip install 'fastsmtp-mx[geoip]'") from error
    if file is None:
        raise ValueError("no file")
    try:
        # Not mapped into memory: whoever writes over the file in place would end the worker with SIGBUS.
        return maxminddb.open_database(file, maxminddb.MODE_MEMORY)
    except (maxminddb.InvalidDatabaseError, UnicodeDecodeError, LookupError) as error:
        raise ValueError(f"{file} is no database in MaxMind's format: {error}") from None


def _country(text: str) -> str:
    if len(text) != 2 or not text.isascii() or not text.isalpha():
        raise ValueError(f'{text!r} is no country; write two letters of ISO 3166-1, like "DE"')
    return text.upper()
