"""Text of strangers in header fields that have a grammar: values of Authentication-Results and Received-SPF."""

import re
from typing import Final

__all__ = ["plain_text", "quoted"]

_TEXT_OCTETS: Final = 300  # with each of them escaped, and a name before it, still a line of less than 998

_is_token = re.compile(r"[!#$%&'*+.0-9A-Z^_`a-z{|}~-]+").fullmatch  # RFC 2045 section 5.1


def plain_text(text: str, *, utf8: bool = False) -> str:
    """Text that fits into a line of a header field, cut at 300 octets. What cannot be there is `?`.

    Without `utf8` that is all that is not ASCII; with it the message has to be internationalized (RFC 6532).
    """
    if len(text) <= _TEXT_OCTETS and text.isascii() and text.isprintable():  # as nearly every one is
        return text
    plain = "".join(char if char.isprintable() and (utf8 or char.isascii()) else "?" for char in text)
    return plain.encode()[:_TEXT_OCTETS].decode(errors="ignore")


def quoted(plain: str) -> str:
    """Plain text as a token, or, where it is none, in double quotes (RFC 5322 section 3.2.4)."""
    if _is_token(plain):
        return plain
    escaped = plain.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
