"""Enumerations for the hot path."""

import enum
from typing import TypeVar

__all__ = ["quick"]

Enumeration = TypeVar("Enumeration", bound=type[enum.Enum])


def quick(enumeration: Enumeration) -> Enumeration:
    """Class decorator: reach members, and hash them, without running Python code.

    In CPython 3.11 `State.MESSAGE` goes through a descriptor and a dictionary (209 ns here, 15 ns afterwards), and
    Enum hashes the name of a member (150 ns, 45 ns as an object). A session does dozens of both for each message.
    """
    for name, member in enumeration.__members__.items():
        type.__setattr__(enumeration, name, member)
    type.__setattr__(enumeration, "__hash__", object.__hash__)  # members are singletons: identity is equality
    return enumeration
