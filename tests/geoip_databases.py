"""Databases in MaxMind's format, of networks that are made up."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from mmdb_writer import MMDBWriter
from netaddr import IPSet  # type: ignore[import-untyped] # it ships no types

__all__ = ["COUNTRIES", "PROVIDERS", "countries", "providers", "write_database"]

COUNTRIES: Final = {"192.0.2.0/24": "DE", "198.51.100.0/24": "FR", "2001:db8::/32": "SE"}
PROVIDERS: Final = {"192.0.2.0/25": 64496, "203.0.113.0/24": 64497}


def write_database(file: Path, kind: str, records: Mapping[str, dict[str, Any]], *, ip_version: int = 6) -> str:
    """A database, put in place by a rename; its path."""
    writer = MMDBWriter(ip_version, kind, ipv4_compatible=ip_version == 6)
    for network, record in records.items():
        writer.insert_network(IPSet([network]), record)
    beside = file.with_suffix(".new")
    writer.to_db_file(str(beside))
    beside.replace(file)
    return str(file)


def countries(folder: Path, countries: Mapping[str, str] = COUNTRIES) -> str:
    """As GeoLite2-Country has it; its path."""
    records = {network: {"country": {"iso_code": code}} for network, code in countries.items()}
    return write_database(folder / "country.mmdb", "GeoLite2-Country", records)


def providers(folder: Path, providers: Mapping[str, int] = PROVIDERS) -> str:
    """As GeoLite2-ASN has it, for IPv4 only; its path."""
    records = {network: {"autonomous_system_number": number} for network, number in providers.items()}
    return write_database(folder / "asn.mmdb", "GeoLite2-ASN", records, ip_version=4)
