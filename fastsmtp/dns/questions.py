"""The kinds of questions, and what they come to."""

from typing import Final, Literal, TypeAlias

__all__ = ["KINDS", "RESULTS", "TROUBLE", "Kind"]

Kind: TypeAlias = Literal["A", "AAAA", "MX", "TXT", "PTR"]
"""The type of a record."""

KINDS: Final[tuple[Kind, ...]] = ("A", "AAAA", "MX", "TXT", "PTR")

TROUBLE: Final = ("timeout", "server failure", "refused", "no server", "bad answer", "alias loop", "other trouble")
"""What a DnsError about a question that was asked says."""

RESULTS: Final = ("found", "no name", "no data", *TROUBLE)
"""What a question that was asked comes to."""
