"""Records as a server writes them."""

from pathlib import Path
from typing import Any

import orjson

from fastsmtp.log.encoding import iso_time
from fastsmtp.records.file import RecordFile

__all__ = ["NOW", "identifier", "record", "write"]

NOW = 1_790_000_000.0


def identifier(when_s: float = NOW, suffix: str = "00P3G6") -> str:
    """An id that was given out then."""
    digits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    value = int(when_s * 1_000_000)
    return "".join(digits[value >> shift & 31] for shift in range(55, -5, -5)) + suffix


def record(when_s: float = NOW, **facts: Any) -> dict[str, Any]:
    """One of a transaction."""
    return {
        "time": iso_time(when_s),
        "event": "transaction",
        "id": identifier(when_s),
        "connection": identifier(when_s - 1, "00AAAA"),
        "listener": "0.0.0.0:25",
        "remote": "192.0.2.1",
        "proxy": None,
        "helo": "mx.example.net",
        "tls": None,
        "sender": "ann@example.net",
        "recipients": ["alice@example.test"],
        "size": 1234,
        "duration_ms": 1.5,
        "outcome": "stored",
        "reply": f"250 2.0.0 stored as {identifier(when_s)}",
        "refused": [],
        "results": [],
        **facts,
    }


def write(path: Path, *records: dict[str, Any], now_s: float = NOW) -> None:
    """A file with these, in one batch."""
    with RecordFile(path, 1e9, 1 << 30) as file:
        file.append([orjson.dumps(one) for one in records], now_s)
