"""The resolver of the server."""

from ipaddress import IPv4Address, IPv6Address
from typing import Literal, TypeVar

from fastsmtp.dns.names import is_dns_name
from fastsmtp.errors import DnsError
from fastsmtp.ports import DnsAnswer, Lookup, MailExchanger
from fastsmtp.smtp.transaction import Connection, Transaction

__all__ = ["CaresResolver"]

T = TypeVar("T")


class CaresResolver:
    """Knows the port and the names that can be asked; the servers that answer are still to come."""

    def addresses(
        self,
        name: str,
        _about: Connection | Transaction | None = None,
        /,
        *,
        version: Literal[4, 6] | None = None,  # noqa: ARG002 - the port has it
    ) -> Lookup[IPv4Address | IPv6Address]:
        """A and AAAA records, or only those of one version of IP."""
        return self._look_up(name)

    def mx(self, name: str, _about: Connection | Transaction | None = None, /) -> Lookup[MailExchanger]:
        """MX records, the most preferred first."""
        return self._look_up(name)

    def txt(self, name: str, _about: Connection | Transaction | None = None, /) -> Lookup[str]:
        """TXT records, the strings of each in one."""
        return self._look_up(name)

    def reverse(self, address: str, _about: Connection | Transaction | None = None, /) -> Lookup[str]:
        """The names of an IP address. Raises ValueError for what is none."""
        return self._look_up(address)

    def _look_up(self, name: str) -> Lookup[T]:
        if not is_dns_name(name):
            return DnsAnswer(exists=False)
        raise DnsError("no servers")
