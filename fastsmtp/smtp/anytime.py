"""What may be said at any time and touches nothing: NOOP, VRFY, HELP, the verbs nobody knows; and QUIT.

Nobody needs these, so plugins may have them (the hook `on_verb`).
"""

from typing import Final

from fastsmtp.smtp import replies
from fastsmtp.smtp.dialogue import Dialogue
from fastsmtp.smtp.effects import Answer, Ask, Stage, VerbLine
from fastsmtp.smtp.replies import Reply

__all__ = ["any_verb"]

_COMMANDS: Final = "MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT"
_HELP: Final = {
    "smtp": Reply(214, "2.0.0", f"Commands: HELO EHLO {_COMMANDS}\nThis is fastsmtp; see RFC 5321"),
    "lmtp": Reply(214, "2.0.0", f"Commands: LHLO {_COMMANDS}\nThis is fastsmtp; see RFC 2033"),
}
_TALK: Final = frozenset({b"NOOP", b"VRFY", b"HELP"})
_ON_VERB: Final = Stage.VERB


def any_verb(dialogue: Dialogue, argument: bytes) -> None:
    """A verb that plugins may have."""
    if dialogue.verb in _TALK and not dialogue.permits_talk():
        return
    if _ON_VERB in dialogue.asks:
        line = VerbLine(dialogue.verb.decode("ascii", "replace"), argument.decode("utf-8", "replace"))
        dialogue.ask(Ask(_ON_VERB, line), lambda dialogue, answer: _answered(dialogue, argument, answer))
    else:
        _answered(dialogue, argument, None)


def _answered(dialogue: Dialogue, argument: bytes, answer: Answer) -> None:
    verb = dialogue.verb
    if isinstance(answer, Reply) and verb != b"QUIT":
        dialogue.reply(answer)
    elif verb == b"QUIT":
        _quit(dialogue, argument)
    elif verb == b"NOOP":
        dialogue.reply(replies.OK)
    elif verb == b"HELP":
        dialogue.reply(_HELP[dialogue.options.protocol])
    elif verb == b"VRFY":
        # The same for every name: nobody learns who exists (section 7.3).
        dialogue.reply(replies.CANNOT_VRFY) if argument else dialogue.error(replies.NEEDS_ARGUMENT)
    else:
        dialogue.unknown()


def _quit(dialogue: Dialogue, argument: bytes) -> None:
    if argument:
        dialogue.error(replies.NO_ARGUMENT)
        return
    dialogue.end("reset")
    dialogue.reply(replies.BYE)
