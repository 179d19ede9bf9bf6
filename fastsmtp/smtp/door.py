"""Before the greeting: whoever has an opinion about the client is asked."""

from collections.abc import Callable

from fastsmtp.smtp.dialogue import Dialogue
from fastsmtp.smtp.effects import Answer, Ask, Stage
from fastsmtp.smtp.replies import Reply

__all__ = ["ask_at_door", "greet"]

_ON_CONNECT = Stage.CONNECT


def ask_at_door(dialogue: Dialogue, let_in: Callable[[Dialogue], None]) -> None:
    """Ask about the client; where nobody refuses it, go on with `let_in`."""
    if _ON_CONNECT in dialogue.asks:
        dialogue.ask(Ask(_ON_CONNECT), lambda dialogue, answer: _answered(dialogue, answer, let_in))
    else:
        let_in(dialogue)


def _answered(dialogue: Dialogue, answer: Answer, let_in: Callable[[Dialogue], None]) -> None:
    if isinstance(answer, Reply) and not answer.is_positive:
        # At the door there are two codes to say no (section 3.1, section 3.8).
        code, enhanced = (554, answer.enhanced) if answer.is_permanent else (421, answer.enhanced)
        dialogue.reply(Reply(code, enhanced, answer.text, closes=True))
    else:
        let_in(dialogue)


def greet(dialogue: Dialogue) -> None:
    """Say who we are (RFC 5321 section 3.1)."""
    dialogue.reply(dialogue.options.greeting)
