"""xtext: how a parameter holds what a parameter cannot hold (RFC 3461 section 4)."""

import re

__all__ = ["decode_xtext"]

_hex_char = re.compile(rb"\+([0-9A-F]{2})").sub


def decode_xtext(text: bytes) -> bytes:
    """The octets that are meant: `+2B` is a plus sign. Raises ValueError for a plus sign that means nothing."""
    if b"+" not in text:
        return text
    if b"+" in _hex_char(b"", text):
        raise ValueError("a plus sign without its two digits")
    return _hex_char(lambda found: bytes.fromhex(found[1].decode()), text)
