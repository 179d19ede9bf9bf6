"""The verb BDAT: a message in chunks of known size (RFC 3030 section 2).

A chunk that is refused is read to its end and dropped, and then comes the reply. What it belonged to is over by that: a
message with a hole in it is none. The chunks behind it hear the same, since the client may have sent them already.
"""

from typing import Final

from fastsmtp.smtp import replies
from fastsmtp.smtp.commands import CommandError, parse_bdat
from fastsmtp.smtp.data import refusal_to_start
from fastsmtp.smtp.dialogue import Dialogue
from fastsmtp.smtp.effects import Answer, Ask, Stage
from fastsmtp.smtp.replies import Reply
from fastsmtp.smtp.transitions import Dropped, State

__all__ = ["bdat", "end_of_chunk", "end_of_dropped_chunk"]

_CHUNKS, _GREETED, _MESSAGE, _REFUSED = State.CHUNKS, State.GREETED, State.MESSAGE, State.REFUSED
_ON_DATA: Final = Stage.DATA


def bdat(dialogue: Dialogue, argument: bytes) -> None:
    """BDAT, in whatever state: a chunk follows."""
    try:
        octets, is_last = parse_bdat(argument)
    except CommandError as error:
        dialogue.error(error.reply)
        return
    target = dialogue.transitions[dialogue.state][b"BDAT"]
    hello = dialogue.connection.hello
    if isinstance(target, Dropped):
        _drop(dialogue, octets, target, is_last=is_last)
    elif target is _REFUSED:
        if dialogue.permits_talk():
            _refuse(dialogue, octets, dialogue.reception.dropped.reply, is_last=is_last)
    elif hello is None or "CHUNKING" not in hello.extensions:
        _drop(dialogue, octets, Dropped(replies.NOT_OFFERED, _REFUSED), is_last=is_last)
    elif is_last is None:
        _drop(dialogue, octets, Dropped(replies.BAD_CHUNK, _REFUSED), is_last=is_last)
    elif dialogue.state is _CHUNKS:
        _take(dialogue, octets, is_last=is_last)
    elif _ON_DATA in dialogue.asks:
        _ask(dialogue, octets, is_last=is_last)
    else:
        _data_answered(dialogue, octets, None, is_last=is_last)


def _ask(dialogue: Dialogue, octets: int, *, is_last: bool) -> None:
    dialogue.ask(Ask(_ON_DATA), lambda dialogue, answer: _data_answered(dialogue, octets, answer, is_last=is_last))


def _data_answered(dialogue: Dialogue, octets: int, answer: Answer, *, is_last: bool) -> None:
    refusal = refusal_to_start(dialogue, answer)
    if refusal is not None:
        _refuse(dialogue, octets, refusal, is_last=is_last)
        return
    transaction = dialogue.current()
    dialogue.reception.start_chunks(transaction.message, is_binary=transaction.body == "BINARYMIME")
    _take(dialogue, octets, is_last=is_last)


def _take(dialogue: Dialogue, octets: int, *, is_last: bool) -> None:
    copies = len(dialogue.current().recipients)
    refusal = dialogue.reception.start_chunk(octets, copies, is_last=is_last)
    if refusal is not None:
        _refuse(dialogue, octets, refusal, is_last=is_last)
        return
    dialogue.state = _MESSAGE


def _refuse(dialogue: Dialogue, octets: int, refusal: Reply, *, is_last: bool | None) -> None:
    _drop(dialogue, octets, Dropped(refusal, _REFUSED, is_error=False), is_last=is_last)


def _drop(dialogue: Dialogue, octets: int, dropped: Dropped, *, is_last: bool | None) -> None:
    transaction, reception = dialogue.transaction, dialogue.reception
    if transaction is not None:
        waiting = len(transaction.recipients) if transaction.replies_each else 0
        dropped = dropped._replace(waiting=waiting, id=transaction.id)
    elif dialogue.state is _REFUSED:
        dropped = dropped._replace(waiting=reception.dropped.waiting, id=reception.dropped.id)
    if dropped.state is _REFUSED and is_last:
        dropped = dropped._replace(state=_GREETED)
    reception.drop_chunk(octets, dropped)
    dialogue.state = _MESSAGE


def end_of_dropped_chunk(dialogue: Dialogue) -> None:
    """All of it has come, and is gone."""
    reply, state, is_error, waiting, id_ = dialogue.reception.dropped
    dialogue.state = state
    if is_error:
        dialogue.error(reply, id_)
    else:
        dialogue.reply(reply, id_)
    if state is _GREETED and not dialogue.closing:  # it was the last one: each recipient waits for a reply
        for _ in range(waiting - 1):
            dialogue.reply(reply, id_)
    if dialogue.transaction is not None:
        dialogue.settle(reply)


def end_of_chunk(dialogue: Dialogue) -> None:
    """All of it has come, and it was not the last one."""
    reception = dialogue.reception
    refusal = reception.check()
    if refusal is not None:
        transaction = dialogue.current()
        waiting = len(transaction.recipients) if transaction.replies_each else 0
        reception.dropped = Dropped(refusal, _REFUSED, is_error=False, waiting=waiting, id=transaction.id)
        end_of_dropped_chunk(dialogue)
        return
    dialogue.state = _CHUNKS
    dialogue.reply(Reply(250, "2.0.0", f"{reception.chunk} octets received"))
