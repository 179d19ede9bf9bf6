"""Asking the DNS."""

import ipaddress
from typing import Annotated, Any

from pydantic import PlainValidator, Strict

from fastsmtp.config.places import ListenAddress, parse_listen_address
from fastsmtp.config.table import Table, default
from fastsmtp.config.units import Duration, Size, Spelling

__all__ = ["DnsServer", "DnsSettings"]

DNS_PORT = 53


def _server(value: Any) -> ListenAddress:
    text = value if isinstance(value, str) else ""
    try:
        return ListenAddress(str(ipaddress.ip_address(text)), DNS_PORT)
    except ValueError:
        pass
    try:
        address = parse_listen_address(text)
        ipaddress.ip_address(address.host)
    except ValueError:
        address = ListenAddress("", 0)
    if not address.port:
        raise ValueError(f'{value!r} is no DNS server; write its address, like "192.0.2.53" or "127.0.0.1:5353"')
    return address


DnsServer = Annotated[ListenAddress, PlainValidator(_server), Spelling("address")]
"""A server by its IP address; port 53 where none is given."""


class DnsSettings(Table):
    """The DNS, for plugins that ask it. Best is a recursive server of your own: block lists refuse public ones."""

    servers: Annotated[tuple[DnsServer, ...], Strict(strict=False), Spelling("list of addresses")] = default(
        [], "Recursive servers, with or without a port. None: those of the system, in /etc/resolv.conf."
    )
    timeout: Duration = default(
        "4s",
        "How long one question may take, repetitions included; then it is trouble, for which nobody is refused. Keep "
        "`budget` below the `timeout` of plugins.",
        gt=0,
        le=60,
    )
    budget: Duration = default(
        "8s",
        "How long a connection, and each transaction in it, may wait for the DNS in all; then whatever is not "
        "remembered is trouble at once.",
        gt=0,
    )
    cache_entries: int = default(50_000, "Answers kept in memory, in each worker.", ge=1)
    cache_size: Size = default(
        "64MiB", "Memory for them, in each worker, about; what is wanted least goes first.", ge=65_536
    )
    ttl_min: Duration = default("5s", "An answer is believed so long at least, whatever its TTL.", ge=0)
    ttl_max: Duration = default("1h", "And no longer than this.", ge=0)
    negative_ttl: Duration = default(
        "5s",
        "That there is no such name or record is remembered so long at most. Then c-ares is asked again, which does "
        "not ask a server before the zone's own time is over (the minimum of its SOA, RFC 2308; an hour at most).",
        ge=0,
    )
    failure_ttl: Duration = default(
        "10s", "How long trouble is remembered before the same is asked again (RFC 9520: 1 s at least).", ge=1, le=300
    )
