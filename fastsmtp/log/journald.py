"""Lines to journald with their values as fields, by its native protocol (https://systemd.io/JOURNAL_NATIVE_PROTOCOL/)."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import orjson

from fastsmtp.log.datagram import DatagramSocket
from fastsmtp.log.encoding import encode_line
from fastsmtp.log.sink import priority

__all__ = ["JOURNALD_SOCKET", "JournaldSink"]

JOURNALD_SOCKET: Final = Path("/run/systemd/journal/socket")

_PREFIX: Final = "FASTSMTP_"
_NAME_LENGTH: Final = 64

# Longer ones are cut by journalctl and by what forwards them; with its fields, such a line fits into a datagram.
_MESSAGE_BYTES: Final = 48 * 1024

_HAS_ITS_OWN: Final = {"time", "level"}

_not_a_name = re.compile(r"[^A-Z0-9_]")


class JournaldSink(DatagramSocket):
    """MESSAGE is the line; each of its texts and numbers is a field, and so is each text of a list."""

    def __init__(self, path: Path = JOURNALD_SOCKET) -> None:
        super().__init__(path)

    def encode(self, line: Mapping[str, Any]) -> bytes:
        """One entry. No value has a line end in it, so the simple form will do for all."""
        message = encode_line(line, _MESSAGE_BYTES).decode()
        fields = [f"MESSAGE={message}", f"PRIORITY={priority(line)}", "SYSLOG_IDENTIFIER=fastsmtp"]
        # Of the line as it was written: whatever is in it is plain text, and not too much.
        for key, value in orjson.loads(message).items():
            if key not in _HAS_ITS_OWN:
                name = (_PREFIX + _not_a_name.sub("_", key.upper()))[:_NAME_LENGTH]
                fields += [f"{name}={text}" for text in _texts(value)]
        return "\n".join(fields).encode() + b"\n"


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            if isinstance(item, str):
                yield from _texts(item)
    elif isinstance(value, str):
        yield encode_line({"": value})[len(b'{"":"') : -len(b'"}')].decode()
    elif value is not None and not isinstance(value, dict):
        yield orjson.dumps(value).decode()
