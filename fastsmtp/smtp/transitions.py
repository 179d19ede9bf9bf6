"""The state machine of a session as a table; docs/session.md draws it.

Read a row as: in this state, this verb leads to that state when it is accepted, or gets this reply and changes
nothing (RFC 5321 section 4.1.4). A verb that is in no row is unknown.
"""

import enum
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from fastsmtp.enums import quick
from fastsmtp.smtp.replies import (
    HELLO_FIRST,
    HTTP_SPOKEN,
    MAIL_FIRST,
    NESTED_MAIL,
    NO_VALID_RECIPIENTS,
    NOT_OFFERED,
    Reply,
)

__all__ = ["TRANSITIONS", "State", "mermaid"]


@quick
class State(enum.Enum):
    """Where a session is. The message itself is a state too: in it, nothing is a command."""

    CONNECTED = "connected"
    GREETED = "greeted"
    SENDER = "sender given"
    RECIPIENTS = "recipients given"
    MESSAGE = "message"
    CLOSED = "closed"


# Defined by a standard, and not ours: expansion of lists, the extensions of their own issue, the relics of RFC 821.
_NOT_OFFERED: Final = dict.fromkeys(
    (b"EXPN", b"AUTH", b"BDAT", b"ETRN", b"TURN", b"SEND", b"SOML", b"SAML"), NOT_OFFERED
)
# A browser that was tricked into talking to port 25 must not get to its second line (ALPACA).
_HTTP: Final = dict.fromkeys((b"GET", b"POST", b"PUT", b"HEAD", b"OPTIONS", b"CONNECT", b"PATCH"), HTTP_SPOKEN)


def _row(stay: State, **verbs: State | Reply) -> Mapping[bytes, State | Reply]:
    """One state's row; NOOP, VRFY and HELP never touch a transaction, and may be said at any time."""
    row = {verb.encode(): target for verb, target in verbs.items()}
    anytime = {b"NOOP": stay, b"VRFY": stay, b"HELP": stay, b"QUIT": State.CLOSED}
    return MappingProxyType({**row, **anytime, **_NOT_OFFERED, **_HTTP})


_GREETED: Final = State.GREETED

TRANSITIONS: Final[Mapping[State, Mapping[bytes, State | Reply]]] = MappingProxyType(
    {
        State.CONNECTED: _row(
            State.CONNECTED,
            HELO=_GREETED,
            EHLO=_GREETED,
            MAIL=HELLO_FIRST,
            RCPT=HELLO_FIRST,
            DATA=HELLO_FIRST,
            RSET=State.CONNECTED,
            STARTTLS=HELLO_FIRST,
        ),
        State.GREETED: _row(
            State.GREETED,
            HELO=_GREETED,
            EHLO=_GREETED,
            MAIL=State.SENDER,
            RCPT=MAIL_FIRST,
            DATA=MAIL_FIRST,
            RSET=_GREETED,
            STARTTLS=State.CONNECTED,
        ),
        State.SENDER: _row(
            State.SENDER,
            HELO=_GREETED,
            EHLO=_GREETED,
            MAIL=NESTED_MAIL,
            RCPT=State.RECIPIENTS,
            DATA=NO_VALID_RECIPIENTS,
            RSET=_GREETED,
            STARTTLS=NESTED_MAIL,
        ),
        State.RECIPIENTS: _row(
            State.RECIPIENTS,
            HELO=_GREETED,
            EHLO=_GREETED,
            MAIL=NESTED_MAIL,
            RCPT=State.RECIPIENTS,
            DATA=State.MESSAGE,
            RSET=_GREETED,
            STARTTLS=NESTED_MAIL,
        ),
    }
)


def mermaid() -> str:
    """The table as a Mermaid state diagram: the verbs that move, not those that stay or are refused."""
    names = {state: state.name.lower() for state in State}
    lines = ["stateDiagram-v2", f"    [*] --> {names[State.CONNECTED]}: 220"]
    for state, row in TRANSITIONS.items():
        moves: dict[State, list[str]] = {}
        for verb, target in row.items():
            if isinstance(target, State) and verb not in (b"NOOP", b"VRFY", b"HELP"):
                moves.setdefault(target, []).append(verb.decode())
        lines += [f"    {names[state]} --> {names[target]}: {', '.join(verbs)}" for target, verbs in moves.items()]
    lines.append(f"    {names[State.MESSAGE]} --> {names[State.GREETED]}: CRLF . CRLF")
    lines.append(f"    {names[State.CLOSED]} --> [*]: 221")
    return "\n".join(lines)
