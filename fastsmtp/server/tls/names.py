"""Which certificate is for which name (RFC 6066 section 3, RFC 6125 section 6.4)."""

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from fastsmtp.server.tls.certificates import Certificate

__all__ = ["ByName", "host_name"]

_is_host_name = re.compile(r"[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?\Z").match
_NAME_MAX: Final = 255

T = TypeVar("T")


def host_name(asked: str) -> str:
    """The name that a client asks for, in lower case; empty for one that nobody can have."""
    return asked.lower().rstrip(".") if len(asked) <= _NAME_MAX and _is_host_name(asked) else ""


class ByName(Generic[T]):
    """What `make` makes of the certificates, one for those with the same names: RSA for some clients, EC for others.

    `first` is for all names that nobody else has.
    """

    def __init__(self, certificates: Sequence["Certificate"], make: Callable[[Sequence["Certificate"]], T]) -> None:
        groups: dict[frozenset[str], list[Certificate]] = {}
        for certificate in certificates:
            groups.setdefault(certificate.names, []).append(certificate)
        self.all = [make(group) for group in groups.values()]
        self.first = self.all[0]
        self._by_name: dict[str, T] = {}
        for names, made in zip(groups, self.all, strict=True):
            for name in names:
                self._by_name.setdefault(name, made)

    def get(self, name: str) -> T | None:
        """The one for a `host_name`."""
        exact = self._by_name.get(name)
        return exact if exact is not None else self._by_name.get(f"*.{name.partition('.')[2]}")
