"""One JSON object a line, in ASCII, whatever a client wrote into it.

JSON escapes the control characters of ASCII, and what is no ASCII is escaped here: no client can forge a line,
speak to the terminal of who reads the log, or write what looks like something else.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

import orjson

__all__ = ["LINE_BYTES", "encode_line", "encode_value", "iso_time", "quoted", "shortened"]

LINE_BYTES: Final = 65_536

# How much of a text and of a list is kept in a line that is too long, until it is not; of a list a quarter of that.
_KEPT: Final = (4096, 1024, 256, 64, 16, 4)
_KEPT_AT_LAST: Final = ("time", "level", "event", "id")

_not_plain = re.compile(r"[^\x20-\x7e]")


def iso_time(seconds: float) -> str:
    """Seconds since the epoch as ISO 8601 in UTC, with milliseconds."""
    milliseconds = int(seconds * 1000)
    return f"{_iso_second(milliseconds // 1000)}.{milliseconds % 1000:03d}Z"


@lru_cache(maxsize=8)
def _iso_second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def encode_line(line: Mapping[str, Any], limit: int = LINE_BYTES) -> bytes:
    """One JSON object without a line end. Whatever JSON cannot hold is written as text.

    When it would be longer than `limit` octets, texts and lists are cut, and `shortened` is true in it.
    """
    return shortened(encode_value(line), limit)


def shortened(encoded: bytes, limit: int) -> bytes:
    """The same object where it is no longer than `limit` octets, else one in which texts and lists are cut."""
    return encoded if len(encoded) <= limit else _shorten(orjson.loads(encoded), limit)


def encode_value(value: object) -> bytes:
    """JSON in ASCII, however long. Whatever JSON cannot hold is written as text."""
    try:
        encoded = orjson.dumps(value, default=_as_text)
    except TypeError:  # lone surrogates (undecodable bytes), huge integers, keys that are no text
        encoded = orjson.dumps(_plain(value))
    if not encoded.isascii() or b"\x7f" in encoded:
        encoded = _not_plain.sub(_escape, encoded.decode()).encode()
    return encoded


def quoted(text: str) -> str:
    """A text as JSON has it, in ASCII."""
    for char in text:
        if char < " " or char > "~" or char in ('"', "\\"):
            return encode_value(text).decode()
    return f'"{text}"'


def _as_text(value: object) -> str:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)


def _plain(value: object) -> Any:
    if value is None or isinstance(value, bool | float) or (isinstance(value, int) and -(2**63) <= value < 2**64):
        return value
    if isinstance(value, Mapping):
        return {_plain(str(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return _as_text(value).encode("utf-8", "backslashreplace").decode()


def _escape(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


def _shorten(line: dict[str, Any], limit: int) -> bytes:
    for kept in _KEPT:
        encoded = encode_value({**_cut(line, kept), "shortened": True})
        if len(encoded) <= limit:
            return encoded
    least = {key: line[key] for key in _KEPT_AT_LAST if isinstance(line.get(key), str)}
    return encode_value({**_cut(least, _KEPT[-2]), "shortened": True})


def _cut(value: Any, kept: int) -> Any:
    if isinstance(value, str):
        return value if len(value) <= kept else f"{value[:kept]}..."
    if isinstance(value, dict):
        return {key: _cut(item, kept) for key, item in value.items()}
    if isinstance(value, list):
        first = [_cut(item, kept) for item in value[: kept // 4]]
        return first if len(first) == len(value) else [*first, f"and {len(value) - len(first)} more"]
    return value
