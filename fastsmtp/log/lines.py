"""What is said of a transaction and of a connection."""

from typing import Any

from fastsmtp.log.encoding import iso_time
from fastsmtp.smtp.record import Result
from fastsmtp.smtp.tls import TlsFacts
from fastsmtp.smtp.transaction import Connection, Transaction

__all__ = ["connection_line", "transaction_line"]


def transaction_line(transaction: Transaction, *, time: float, duration_ns: int) -> dict[str, Any]:
    """What is logged of one transaction: `time` in seconds since the epoch is its end, `duration_ns` since MAIL."""
    connection = transaction.connection
    line: dict[str, Any] = {
        "time": iso_time(time),
        "event": "transaction",
        "id": transaction.id,
        "listener": connection.listener,
        "remote": connection.remote_address,
        "proxy": connection.proxy_address or None,
        "helo": connection.hello_name,
        "tls": _tls(connection.tls),
        "sender": str(transaction.sender),
        "recipients": [str(recipient.address) for recipient in transaction.recipients],
        "size": transaction.message.size,
        "duration_ms": round(duration_ns / 1e6, 3),
        "outcome": transaction.outcome,
        "reply": str(transaction.reply) if transaction.reply else None,
        "refused": [{"recipient": str(recipient), "reply": str(reply)} for recipient, reply in transaction.refusals],
        "results": _results(*connection.results, *transaction.results),
    }
    if connection.user:  # whoever logged in; hardly anybody does
        line["user"] = connection.user
    return line


def connection_line(connection: Connection, *, time: float) -> dict[str, Any]:
    """What is logged of a connection that was over before any transaction began, when a plugin had a say in it."""
    return {
        "time": iso_time(time),
        "event": "connection",
        "id": connection.id,
        "listener": connection.listener,
        "remote": connection.remote_address,
        "proxy": connection.proxy_address or None,
        "helo": connection.hello_name,
        "results": _results(*connection.results),
    }


def _tls(tls: TlsFacts | None) -> dict[str, Any] | None:
    if tls is None:
        return None
    line: dict[str, Any] = {"version": tls.version, "cipher": tls.cipher, "bits": tls.bits}
    if tls.server_name:
        line["server_name"] = tls.server_name
    if client := tls.client_certificate:
        line["client"] = {
            "subject": client.subject,
            "fingerprint": client.fingerprint,
            "verified": client.is_verified,
        }
    return line


def _results(*results: Result) -> list[dict[str, str]]:
    lines = []
    for result in results:
        line = {"plugin": result.plugin, "outcome": result.outcome, "evidence": result.evidence}
        if (found := result.authentication) is not None:  # whose word says more than our outcome: softfail, permerror
            line["authentication"] = f"{found.method}={found.result}"
        lines.append(line)
    return lines
