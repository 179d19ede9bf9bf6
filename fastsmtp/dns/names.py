"""What can be asked at all (RFC 1035 sections 2.3.4 and 3.1)."""

import re
from typing import Final

__all__ = ["can_be_asked", "is_dns_name"]

NAME_OCTETS: Final = 253
"""Without the dot at the end; on the wire it is two octets more."""

# Any octet may be in a label; what we ask is printable and needs no escapes. `_` and more are real (SPF macros).
_labels = re.compile(r"(?:[!-\-/-\[\]-~]{1,63}\.)*[!-\-/-\[\]-~]{1,63}").fullmatch

# c-ares asks about these, and about nothing else.
_askable = re.compile(r"[a-z0-9._/*-]+").fullmatch


def is_dns_name(name: str) -> bool:
    """Whether the DNS can have this name: labels of 1 to 63 octets, 253 in all; printable ASCII, no backslash."""
    return len(name) <= NAME_OCTETS and _labels(name) is not None


def can_be_asked(name: str) -> bool:
    """Whether c-ares asks about this name (in lower case), which is one that the DNS can have."""
    return _askable(name) is not None
