"""What is kept of a transaction and of a connection: the line of the log, and what would be too much for that.

In it `answers` and `connection_answers` are as guards remember them (`smtp.record.Answered`), of which the first
`connection_results` of the results are about; `records.story` turns it into what people and programs read.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from fastsmtp.log.encoding import encode_value, quoted
from fastsmtp.smtp.record import Answered
from fastsmtp.smtp.replies import RECIPIENT_OK, Reply
from fastsmtp.smtp.transaction import Connection, RefusedCommand, Transaction

__all__ = ["connection_record", "encode_record", "transaction_record"]

_RCPT: Final = b"RCPT"


def transaction_record(line: Mapping[str, Any], transaction: Transaction) -> dict[str, Any]:
    """`line` is the one of the log."""
    record = {**line, **_more(transaction)}
    if transaction.connection.answers:
        record["connection_answers"] = transaction.connection.answers
    return record


def encode_record(line: bytes, transaction: Transaction) -> bytes:
    """The same in JSON, of the line in JSON."""
    connection = transaction.connection
    more = _more(transaction)
    if connection.answers:
        answers = _connection_answers(connection, connection.answers)
        return b'%b,"connection_answers":%b,%b' % (line[:-1], answers, encode_value(more)[1:])
    if len(more) == 1:  # as it is where no plugin has a say
        return line[:-1] + f',"connection":{quoted(connection.id)}}}'.encode("ascii")
    return b"%b,%b" % (line[:-1], encode_value(more)[1:])


@dataclass(slots=True)
class _Encoded:
    """A note of a connection: its first answers in JSON, which are the same for each message."""

    count: int
    answers: bytes


def _connection_answers(connection: Connection, answers: list[Answered]) -> bytes:
    encoded = connection.notes.get(_Encoded)
    if encoded is None or encoded.count != len(answers):
        encoded = _Encoded(len(answers), encode_value(answers))
        connection.notes.put(encoded)
    return encoded.answers


def _more(transaction: Transaction) -> dict[str, Any]:
    """What is in neither the line of the log nor the answers about the connection."""
    connection = transaction.connection
    record: dict[str, Any] = {"connection": connection.id}
    if connection.results:
        record["connection_results"] = len(connection.results)
    if transaction.answers:
        record["answers"] = transaction.answers
    if connection.remote_name:
        record["remote_name"] = connection.remote_name
    for recipient in transaction.recipients:
        if recipient.reply is not RECIPIENT_OK:
            record["replies"] = [str(each.reply) for each in transaction.recipients]
            break
    if transaction.refused_commands:
        said = [reply for _, reply in transaction.refusals]
        if transaction.reply is not None:
            said.append(transaction.reply)
        if others := _others(transaction.refused_commands, said):
            record["refused_commands"] = others
    return record


def connection_record(line: Mapping[str, Any], connection: Connection) -> dict[str, Any]:
    """Of one without a transaction, or with refusals outside of one."""
    refused = connection.refused_commands or []
    is_permanent = any(reply.is_permanent for _, reply in refused)
    record = {
        **line,
        "connection": connection.id,
        "outcome": "refused" if is_permanent else "deferred" if refused else "left",
        "connection_results": len(connection.results),
    }
    if connection.remote_name:
        record["remote_name"] = connection.remote_name
    if connection.user:
        record["user"] = connection.user
    if connection.answers:
        record["connection_answers"] = connection.answers
    if refused:
        record["refused_commands"] = _others(refused, ())
    return record


def _others(refused: list[RefusedCommand], said: list[Reply] | tuple[()]) -> list[tuple[str, str]]:
    """Verb and reply of the commands whose refusal is not among these: recipients, and the last word on the message."""
    return [
        (verb.decode("ascii", "replace"), str(reply))
        for verb, reply in refused
        if not any(reply is one for one in said)
    ]
