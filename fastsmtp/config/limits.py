"""What a client may ask for, and how long it may take."""

from fastsmtp.config.table import Table, default
from fastsmtp.config.units import Duration, Size

__all__ = ["LimitSettings", "TimeoutSettings"]


class LimitSettings(Table):
    """What one client may ask for. Whoever asks for more hears a reply that says so."""

    message_size: Size = default(
        "25MiB", "Largest message in octets, offered as SIZE; a larger one is refused with 552.", ge=1
    )
    recipients: int = default(
        100, "Recipients of one message; the next one is deferred with 452, so that the client sends again.", ge=1
    )
    command_line: Size = default(
        2048, "Longest command line in octets, CRLF included; a longer one is an error.", ge=512
    )
    header_size: Size = default(
        "256KiB",
        "Octets that are read as header; a longer header is taken, and what is behind them counts as body.",
        ge=1,
    )
    errors: int = default(20, "Bad commands in one connection; with the next one it is closed with 421.", ge=1)
    connections: int = default(10_000, "Connections at once; the next client hears 421 and may come again later.", ge=1)


class TimeoutSettings(Table):
    """How long we wait."""

    command: Duration = default("5m", "For the next command (RFC 5321 section 4.5.3.2.7).", gt=0)
    data: Duration = default("3m", "For the next piece of a message.", gt=0)
    drain: Duration = default("30s", "For open connections to end after SIGTERM; then they are closed with 421.", ge=0)
