"""STARTTLS: what was said in plain text ends here, and a new dialogue begins (RFC 3207)."""

from typing import Final

from fastsmtp.smtp import replies
from fastsmtp.smtp.dialogue import Dialogue
from fastsmtp.smtp.effects import Answer, StartTls
from fastsmtp.smtp.transitions import State, table_of

__all__ = ["forget", "starttls"]

_CONNECTED: Final = State.CONNECTED


def starttls(dialogue: Dialogue, argument: bytes) -> None:
    """STARTTLS: the 220 is the last thing in plain text, and the line the last one that was read in it."""
    hello = dialogue.connection.hello
    if argument:
        dialogue.error(replies.NO_ARGUMENT)  # RFC 3207 section 4
    elif dialogue.connection.tls is not None:
        dialogue.error(replies.TLS_ON_ALREADY)  # section 4.2
    elif hello is None or "STARTTLS" not in hello.extensions:
        dialogue.error(replies.NOT_OFFERED)
    else:
        dialogue.reply(replies.READY_FOR_TLS)
        # Whatever lies there was not encrypted, so nobody knows who wrote it: not even half a line of it may stay.
        dialogue.ask(StartTls(dialogue.discard_input()), _secured_instead)


def _secured_instead(_: Dialogue, answer: Answer) -> None:
    raise RuntimeError(f"StartTls is answered by secured(), not by {answer!r}")


def forget(dialogue: Dialogue) -> None:
    """Back to the beginning, in TLS: nothing that the client said before counts (RFC 3207 section 4.2).

    What we have seen of it stays: where it comes from, how it behaved, how many bad commands and passwords it sent.
    """
    connection = dialogue.connection
    connection.hello = None
    connection.user = ""
    if not connection.naughty_observed:
        connection.naughty, connection.naughty_by = None, ""
    dialogue.state = _CONNECTED
    dialogue.extensions = dialogue.options.tls_extensions
    dialogue.transitions = table_of(dialogue.options.protocol)
