"""The log: one JSON object a line, and where lines go."""

from fastsmtp.log.destination import open_log, socket_of
from fastsmtp.log.handler import LogHandler
from fastsmtp.log.line_log import LineLog
from fastsmtp.log.lines import connection_line, encode_transaction, transaction_line

__all__ = [
    "LineLog",
    "LogHandler",
    "connection_line",
    "encode_transaction",
    "open_log",
    "socket_of",
    "transaction_line",
]
