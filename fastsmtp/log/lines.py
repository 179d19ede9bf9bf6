"""What is said of a transaction and of a connection."""

from typing import Any, Final

from fastsmtp.log.encoding import encode_value, iso_time, quoted
from fastsmtp.smtp.record import Result
from fastsmtp.smtp.tls import TlsFacts
from fastsmtp.smtp.transaction import Connection, Recipient, Transaction

__all__ = ["connection_line", "encode_transaction", "transaction_line"]


_EMPTY: Final = '""'


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
        "duration_ms": (duration_ns + 500) // 1_000 / 1_000,
        "outcome": transaction.outcome,
        "reply": str(transaction.reply) if transaction.reply else None,
        "refused": _refused(transaction),
        "results": _results(*connection.results, *transaction.results),
    }
    if connection.user:  # whoever logged in; hardly anybody does
        line["user"] = connection.user
    return line


def encode_transaction(transaction: Transaction, *, time: float, duration_ns: int) -> bytes:
    """`transaction_line` in JSON, without a dictionary in between: it is there for every message."""
    connection = transaction.connection
    hello = connection.hello
    microseconds = (duration_ns + 500) // 1_000
    milliseconds = microseconds // 1_000
    tls = "null" if connection.tls is None else encode_value(_tls(connection.tls)).decode()
    reply = "null" if transaction.reply is None else quoted(str(transaction.reply))
    refused = encode_value(_refused(transaction)).decode() if transaction.refusals else "[]"
    results = ",".join([_written(result) for result in (*connection.results, *transaction.results)])
    user = f',"user":{quoted(connection.user)}' if connection.user else ""
    return (
        f'{{"time":"{iso_time(time)}","event":"transaction","id":{quoted(transaction.id)}'
        f',"listener":{quoted(connection.listener)},"remote":{quoted(connection.remote_address)}'
        f',"proxy":{quoted(connection.proxy_address) if connection.proxy_address else "null"}'
        f',"helo":{quoted(hello.name) if hello is not None else _EMPTY},"tls":{tls}'
        f',"sender":{quoted(str(transaction.sender))},"recipients":[{_recipients(transaction.recipients)}]'
        f',"size":{transaction.message.size},"duration_ms":{milliseconds}.{microseconds - milliseconds * 1_000:03}'
        f',"outcome":{quoted(transaction.outcome)},"reply":{reply},"refused":{refused},"results":[{results}]{user}}}'
    ).encode("ascii")


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


def _recipients(recipients: list[Recipient]) -> str:
    if len(recipients) == 1:
        return quoted(str(recipients[0].address))
    return ",".join([quoted(str(recipient.address)) for recipient in recipients])


def _refused(transaction: Transaction) -> list[dict[str, str]]:
    return [{"recipient": str(recipient), "reply": str(reply)} for recipient, reply in transaction.refusals]


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
    return [_result(result) for result in results]


def _result(result: Result) -> dict[str, str]:
    line = {"plugin": result.plugin, "outcome": result.outcome, "evidence": result.evidence}
    if (found := result.authentication) is not None:  # whose word says more than our outcome: softfail, permerror
        line["authentication"] = f"{found.method}={found.result}"
    return line


def _written(result: Result) -> str:
    """In JSON, which is made once."""
    if not result.written:
        object.__setattr__(result, "written", encode_value(_result(result)).decode())
    return result.written
