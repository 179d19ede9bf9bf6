"""AUTH: a client says who it is, and proves it (RFC 4954)."""

from typing import Any, Final

from fastsmtp import _parser
from fastsmtp.smtp import replies
from fastsmtp.smtp.dialogue import Dialogue
from fastsmtp.smtp.effects import Answer, Ask, Stage
from fastsmtp.smtp.options import AuthOptions
from fastsmtp.smtp.replies import Reply
from fastsmtp.smtp.sasl import Credentials, ResponseError, ScramKeys, decode_response
from fastsmtp.smtp.transitions import State

__all__ = ["auth", "take_response", "take_response_fault"]

_GREETED, _SASL = State.GREETED, State.SASL
_ON_AUTH: Final = Stage.AUTH
_COMPLETE: Final = ("PLAIN",)
"""With an initial response nothing is asked any more."""
_TOO_LONG: Final = _parser.LineFault.TOO_LONG


def auth(dialogue: Dialogue, argument: bytes) -> None:
    """AUTH: an exchange begins, in which nothing is a command."""
    dialogue.forget_used_input()  # a password may have come with the command
    options, connection = dialogue.options.auth, dialogue.connection
    if options is not None and "AUTH" not in dialogue.extensions:
        dialogue.error(replies.AUTH_NEEDS_TLS)
    elif options is None or connection.hello is None or "AUTH" not in connection.hello.extensions:
        dialogue.error(replies.NOT_OFFERED)
    elif connection.user:
        dialogue.error(replies.AUTHENTICATED_ALREADY)
    elif dialogue.wrong_passwords >= options.tries:
        dialogue.reply(replies.TOO_MANY_TRIES)
    else:
        _begin(dialogue, options, connection.hello.extensions["AUTH"], argument)


def _begin(dialogue: Dialogue, options: AuthOptions, offered: str, argument: bytes) -> None:
    words = argument.split()
    if not 1 <= len(words) <= 2:
        dialogue.error(replies.BAD_AUTH_SYNTAX)
        return
    name = words[0].decode("ascii", "replace").upper()
    mechanism = options.mechanisms.get(name)
    if mechanism is None or name not in offered.split():  # a plugin may have offered less
        dialogue.error(replies.UNKNOWN_MECHANISM)
        return
    initial = None
    if len(words) == 2:
        try:
            # "=" is an initial response of no octets, for which a command has no other way (section 4).
            initial = b"" if words[1] == b"=" else decode_response(words[1])
        except ResponseError:
            dialogue.error(replies.BAD_RESPONSE)
            return
    # RFC 4954 section 4: the last command of a group, but where it is complete by itself.
    if (initial is None or name not in _COMPLETE) and not dialogue.permits_input():
        return
    dialogue.exchange = mechanism(initial)
    dialogue.state = _SASL
    _go_on(dialogue, None)


def take_response(dialogue: Dialogue, line: bytes) -> None:
    """The client has answered the challenge."""
    dialogue.forget_used_input()
    dialogue.verb = b"AUTH"
    if line == b"*":
        _fail(dialogue, replies.AUTH_CANCELLED)
        return
    try:
        response = decode_response(line)
    except ResponseError:
        _fail(dialogue, replies.BAD_RESPONSE)
        return
    _go_on(dialogue, response)


def take_response_fault(dialogue: Dialogue, fault: _parser.LineFault) -> None:
    """What should be an answer is not even a line."""
    dialogue.forget_used_input()
    dialogue.verb = b"AUTH"
    _fail(dialogue, replies.AUTH_LINE_TOO_LONG if fault is _TOO_LONG else replies.BAD_RESPONSE)


def _go_on(dialogue: Dialogue, answer: Any) -> None:
    """Give the mechanism what it has asked for; what it wants next."""
    exchange = dialogue.exchange
    if exchange is None:
        raise RuntimeError("nobody authenticates himself")
    try:
        wanted = exchange.send(answer)
    except StopIteration as end:
        credentials: Credentials = end.value
        dialogue.ask(Ask(_ON_AUTH, credentials), lambda dialogue, answer: _answered(dialogue, credentials, answer))
    except ResponseError:
        _fail(dialogue, replies.BAD_RESPONSE)
    else:
        if isinstance(wanted, bytes):
            dialogue.challenge(wanted)
        else:
            dialogue.ask(Ask(_ON_AUTH, wanted), _keys_given)


def _keys_given(dialogue: Dialogue, answer: Answer) -> None:
    if isinstance(answer, ScramKeys):
        _go_on(dialogue, answer)
    else:
        _end(dialogue)
        dialogue.reply(answer if isinstance(answer, Reply) else replies.AUTH_TROUBLE)


def _answered(dialogue: Dialogue, credentials: Credentials, answer: Answer) -> None:
    credentials.forget_password()
    _end(dialogue)
    reply = answer if isinstance(answer, Reply) else replies.AUTH_FAILED
    if reply.is_positive:
        dialogue.connection.user = credentials.user
        reply = replies.AUTHENTICATED  # section 6 has no other
    elif reply.is_permanent:
        dialogue.wrong_passwords += 1
    dialogue.reply(reply)


def _fail(dialogue: Dialogue, reply: Reply) -> None:
    """The exchange is over, and it was wrong in itself."""
    _end(dialogue)
    dialogue.error(reply)


def _end(dialogue: Dialogue) -> None:
    dialogue.exchange = None
    dialogue.state = _GREETED
