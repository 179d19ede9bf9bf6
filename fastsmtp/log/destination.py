"""Where the log goes, by its settings."""

import asyncio
from pathlib import Path

from fastsmtp.config.log import LogSettings
from fastsmtp.errors import StartError
from fastsmtp.log.journald import JOURNALD_SOCKET, JournaldSink
from fastsmtp.log.line_log import LineLog
from fastsmtp.log.stream import STDOUT_DESCRIPTOR, StreamSink
from fastsmtp.log.syslog_socket import SYSLOG_SOCKET, SyslogSink

__all__ = ["open_log", "socket_of"]


def open_log(settings: LogSettings, loop: asyncio.AbstractEventLoop | None = None) -> LineLog:
    """The log that these settings ask for. Raises StartError for a file that cannot be written.

    That nobody listens on a socket is no reason not to start: who listens there may be started later, or anew.
    """
    match settings.destination:
        case "stdout":
            return LineLog(StreamSink(STDOUT_DESCRIPTOR), loop)
        case "syslog":
            return LineLog(SyslogSink(settings.socket or SYSLOG_SOCKET, settings.facility), loop)
        case "journald":
            return LineLog(JournaldSink(settings.socket or JOURNALD_SOCKET), loop)
        case path:
            try:
                return LineLog.open(path, loop)
            except OSError as error:
                raise StartError(f"cannot write the log {path}: {error.strerror}") from error


def socket_of(settings: LogSettings) -> Path | None:
    """Where somebody has to listen, if lines go to a socket."""
    usual = {"syslog": SYSLOG_SOCKET, "journald": JOURNALD_SOCKET}.get(str(settings.destination))
    return usual and (settings.socket or usual)
