"""The verb DATA, and what is asked about a message before, while and after it comes (RFC 5321 section 4.1.1.4)."""

from fastsmtp.smtp import replies
from fastsmtp.smtp.dialogue import Dialogue
from fastsmtp.smtp.effects import Answer, Ask, Stage
from fastsmtp.smtp.replies import Reply
from fastsmtp.smtp.transitions import State

__all__ = ["data", "end_of_data", "refusal_to_start", "take_piece"]

_MESSAGE = State.MESSAGE
_ON_DATA, _ON_HEADERS, _ON_MESSAGE, _ON_QUEUE = Stage.DATA, Stage.HEADERS, Stage.MESSAGE, Stage.QUEUE


def data(dialogue: Dialogue, argument: bytes) -> None:
    """DATA: the message follows."""
    if argument:
        dialogue.error(replies.NO_ARGUMENT)
    elif dialogue.current().body == "BINARYMIME":
        dialogue.error(replies.NEEDS_BDAT)
    elif not dialogue.permits_input():
        pass
    elif _ON_DATA in dialogue.asks:
        dialogue.ask(Ask(_ON_DATA), _data_answered)
    else:
        _data_answered(dialogue, None)


def _data_answered(dialogue: Dialogue, answer: Answer) -> None:
    refusal = refusal_to_start(dialogue, answer)
    if refusal is not None:
        dialogue.conclude(refusal)
        return
    dialogue.reception.start(dialogue.current().message)
    dialogue.state = _MESSAGE
    dialogue.reply(replies.START_DATA)


def refusal_to_start(dialogue: Dialogue, answer: Answer) -> Reply | None:
    """Why the message need not be sent, or None; `answer` is that of `on_data`."""
    if isinstance(answer, Reply) and not answer.is_positive:
        return answer
    transaction = dialogue.current()
    declared = transaction.declared_size
    if declared is not None and not dialogue.reception.has_room(declared * len(transaction.recipients)):
        return replies.STORE_FULL
    return dialogue.options.load.refusal()


def take_piece(dialogue: Dialogue, piece: bytes) -> None:
    """A piece of the message has come."""
    if dialogue.reception.take(piece) and _ON_HEADERS in dialogue.asks:
        dialogue.ask(Ask(_ON_HEADERS), _headers_answered)


def _headers_answered(dialogue: Dialogue, answer: Answer) -> None:
    if isinstance(answer, Reply) and not answer.is_positive:
        dialogue.reception.refuse(answer)


def end_of_data(dialogue: Dialogue) -> None:
    """The message is complete: refuse it, or find somebody who takes it."""
    dialogue.verb = b"message"
    transaction = dialogue.current()
    message = transaction.message
    refusal = dialogue.reception.finish(len(transaction.recipients))
    if refusal is not None:
        dialogue.conclude_message(refusal)
    elif not message.header_complete and _ON_HEADERS in dialogue.asks:
        # No empty line came: all of it is header, and only now is that known.
        message.header_complete = True
        dialogue.ask(Ask(_ON_HEADERS), _late_headers_answered)
    else:
        message.header_complete = True
        _ask_message(dialogue)


def _late_headers_answered(dialogue: Dialogue, answer: Answer) -> None:
    if isinstance(answer, Reply) and not answer.is_positive:
        dialogue.conclude_message(answer)
    else:
        _ask_message(dialogue)


def _ask_message(dialogue: Dialogue) -> None:
    if _ON_MESSAGE in dialogue.asks:
        dialogue.ask(Ask(_ON_MESSAGE), _message_answered)
    else:
        _message_answered(dialogue, None)


def _message_answered(dialogue: Dialogue, answer: Answer) -> None:
    if isinstance(answer, Reply) and not answer.is_positive:
        dialogue.conclude_message(answer)
    elif _ON_QUEUE in dialogue.asks:
        dialogue.ask(Ask(_ON_QUEUE), _queue_answered)
    else:
        _queue_answered(dialogue, None)


def _queue_answered(dialogue: Dialogue, answer: Answer) -> None:
    dialogue.conclude_message(answer if isinstance(answer, Reply) else replies.NOBODY_TOOK_IT)
