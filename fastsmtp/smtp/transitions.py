"""The state machine of a session as a table, one for SMTP and one for LMTP; docs/session.md draws the former.

Read a row as: in this state, this verb leads to that state when it is accepted, or gets this reply and changes
nothing (RFC 5321 section 4.1.4). A verb that is in no row is unknown.

BDAT is another matter, since its octets follow whether it is right or not (RFC 3030 section 2): where it is refused,
they are dropped, and so is the message that they are a part of. Further chunks of it may be on their way.
"""

import enum
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal, NamedTuple, TypeAlias

from fastsmtp.enums import quick
from fastsmtp.smtp.replies import (
    CHUNKS_UNDER_WAY,
    HELLO_FIRST,
    HTTP_SPOKEN,
    LHLO_FIRST,
    LMTP_SPOKEN,
    MAIL_FIRST,
    NESTED_MAIL,
    NO_RECIPIENT_YET,
    NO_VALID_RECIPIENTS,
    NOT_OFFERED,
    TLS_FIRST,
    Reply,
)

__all__ = ["LMTP_TRANSITIONS", "TRANSITIONS", "Dropped", "State", "Target", "mermaid", "table_of"]


@quick
class State(enum.Enum):
    """Where a session is. The message is a state too, and so is an authentication: in them, nothing is a command.

    CHUNKS is between two chunks of a message, REFUSED where further chunks may come of one that was refused.
    """

    CONNECTED = "connected"
    GREETED = "greeted"
    SENDER = "sender given"
    RECIPIENTS = "recipients given"
    SASL = "authentication"
    MESSAGE = "message"
    CHUNKS = "between chunks"
    REFUSED = "chunk refused"
    CLOSED = "closed"


class Dropped(NamedTuple):
    """A chunk is dropped: then this is said, and that is the state.

    `is_error`: it was wrong in itself. `waiting` is how many recipients wait for a reply of their own (LMTP), `id` that
    of the transaction that is over by it; empty where there is none.
    """

    reply: Reply
    state: State
    is_error: bool = True
    waiting: int = 0
    id: str = ""


Target: TypeAlias = State | Reply | Dropped


# Defined by a standard, and not ours: expansion of lists, what is LMTP, the relics of RFC 821.
_NOT_OFFERED: Final = dict.fromkeys((b"LHLO", b"EXPN", b"ETRN", b"TURN", b"SEND", b"SOML", b"SAML"), NOT_OFFERED)
# A browser that was tricked into talking to port 25 must not get to its second line (ALPACA).
_HTTP: Final = dict.fromkeys((b"GET", b"POST", b"PUT", b"HEAD", b"OPTIONS", b"CONNECT", b"PATCH"), HTTP_SPOKEN)


def _row(stay: State, **verbs: Target) -> Mapping[bytes, Target]:
    """One state's row; NOOP, VRFY and HELP never touch a transaction, and may be said at any time."""
    row = {verb.encode(): target for verb, target in verbs.items()}
    anytime = {b"NOOP": stay, b"VRFY": stay, b"HELP": stay, b"QUIT": State.CLOSED}
    return MappingProxyType({**row, **anytime, **_NOT_OFFERED, **_HTTP})


_GREETED: Final = State.GREETED

TRANSITIONS: Final[Mapping[State, Mapping[bytes, Target]]] = MappingProxyType(
    {
        State.CONNECTED: _row(
            State.CONNECTED,
            HELO=_GREETED,
            EHLO=_GREETED,
            MAIL=HELLO_FIRST,
            RCPT=HELLO_FIRST,
            DATA=HELLO_FIRST,
            BDAT=Dropped(HELLO_FIRST, State.CONNECTED),
            RSET=State.CONNECTED,
            STARTTLS=HELLO_FIRST,
            AUTH=HELLO_FIRST,
        ),
        State.GREETED: _row(
            State.GREETED,
            HELO=_GREETED,
            EHLO=_GREETED,
            MAIL=State.SENDER,
            RCPT=MAIL_FIRST,
            DATA=MAIL_FIRST,
            BDAT=Dropped(MAIL_FIRST, State.REFUSED),
            RSET=_GREETED,
            STARTTLS=State.CONNECTED,
            AUTH=State.SASL,
        ),
        State.SENDER: _row(
            State.SENDER,
            HELO=_GREETED,
            EHLO=_GREETED,
            MAIL=NESTED_MAIL,
            RCPT=State.RECIPIENTS,
            DATA=NO_VALID_RECIPIENTS,
            BDAT=Dropped(NO_VALID_RECIPIENTS, State.REFUSED),
            RSET=_GREETED,
            STARTTLS=NESTED_MAIL,
            AUTH=NESTED_MAIL,  # RFC 4954 section 4
        ),
        State.RECIPIENTS: _row(
            State.RECIPIENTS,
            HELO=_GREETED,
            EHLO=_GREETED,
            MAIL=NESTED_MAIL,
            RCPT=State.RECIPIENTS,
            DATA=State.MESSAGE,
            BDAT=State.MESSAGE,
            RSET=_GREETED,
            STARTTLS=NESTED_MAIL,
            AUTH=NESTED_MAIL,  # RFC 4954 section 4
        ),
        State.CHUNKS: _row(
            State.CHUNKS,
            HELO=_GREETED,
            EHLO=_GREETED,
            MAIL=NESTED_MAIL,
            RCPT=CHUNKS_UNDER_WAY,
            DATA=CHUNKS_UNDER_WAY,
            BDAT=State.MESSAGE,
            RSET=_GREETED,
            STARTTLS=NESTED_MAIL,
            AUTH=NESTED_MAIL,
        ),
        State.REFUSED: _row(
            State.REFUSED,
            HELO=_GREETED,
            EHLO=_GREETED,
            MAIL=State.SENDER,
            RCPT=MAIL_FIRST,
            DATA=MAIL_FIRST,
            BDAT=State.REFUSED,
            RSET=_GREETED,
            STARTTLS=State.CONNECTED,
            AUTH=State.SASL,
        ),
    }
)


_LMTP_REPLIES: Final[Mapping[object, Reply]] = {HELLO_FIRST: LHLO_FIRST, NO_VALID_RECIPIENTS: NO_RECIPIENT_YET}


def _lmtp_row(row: Mapping[bytes, Target]) -> Mapping[bytes, Target]:
    """What LMTP makes of a row: another greeting (RFC 2033 section 4.1), 503 without a recipient (section 4.2)."""
    targets: dict[bytes, Target] = {}
    for verb, target in row.items():
        if isinstance(target, Dropped):
            targets[verb] = target._replace(reply=_LMTP_REPLIES.get(target.reply, target.reply))
        else:
            targets[verb] = _LMTP_REPLIES.get(target, target)
    return MappingProxyType({**targets, b"LHLO": _GREETED, b"HELO": LMTP_SPOKEN, b"EHLO": LMTP_SPOKEN})


LMTP_TRANSITIONS: Final[Mapping[State, Mapping[bytes, Target]]] = MappingProxyType(
    {state: _lmtp_row(row) for state, row in TRANSITIONS.items()}
)


_IN_THE_OPEN: Final = (b"NOOP", b"EHLO", b"LHLO", b"STARTTLS", b"QUIT")
"""What may be said in plain text where TLS is required (RFC 3207 section 4)."""


def _tls_first_row(state: State, row: Mapping[bytes, Target]) -> Mapping[bytes, Target]:
    kept = {verb: target for verb, target in row.items() if verb in _IN_THE_OPEN or verb in _HTTP}
    refused = dict.fromkeys(row, TLS_FIRST)
    return MappingProxyType({**refused, b"BDAT": Dropped(TLS_FIRST, state), **kept})


_TLS_FIRST_TABLES: Final = {
    protocol: MappingProxyType({state: _tls_first_row(state, row) for state, row in table.items()})
    for protocol, table in (("smtp", TRANSITIONS), ("lmtp", LMTP_TRANSITIONS))
}


# Plain dictionaries: every command looks something up, and through a proxy that is a call of a method.
_TABLES: Final = {
    (protocol, tls_first): {state: dict(row) for state, row in table.items()}
    for tls_first, tables in ((False, {"smtp": TRANSITIONS, "lmtp": LMTP_TRANSITIONS}), (True, _TLS_FIRST_TABLES))
    for protocol, table in tables.items()
}


def table_of(protocol: Literal["smtp", "lmtp"], *, tls_first: bool = False) -> dict[State, dict[bytes, Target]]:
    """The table of a session; with `tls_first`, that of one that must be encrypted and is not yet. Read it only."""
    return _TABLES[protocol, tls_first]


def mermaid() -> str:
    """The table as a Mermaid state diagram: the verbs that move, not those that stay or are refused."""
    names = {state: state.name.lower() for state in State}
    lines = ["stateDiagram-v2", f"    [*] --> {names[State.CONNECTED]}: 220"]
    for state, row in TRANSITIONS.items():
        moves: dict[State, list[str]] = {}
        for verb, target in row.items():
            if isinstance(target, Dropped) and target.state is not state:
                moves.setdefault(target.state, []).append(f"{verb.decode()} refused")
            elif isinstance(target, State) and verb not in (b"NOOP", b"VRFY", b"HELP"):
                moves.setdefault(target, []).append(verb.decode())
        lines += [f"    {names[state]} --> {names[target]}: {', '.join(verbs)}" for target, verbs in moves.items()]
    message = names[State.MESSAGE]
    lines.append(f"    {message} --> {names[State.GREETED]}: CRLF . CRLF, end of the LAST chunk")
    lines.append(f"    {message} --> {names[State.CHUNKS]}: end of another chunk")
    lines.append(f"    {message} --> {names[State.REFUSED]}: end of a refused chunk")
    lines.append(f"    {names[State.SASL]} --> {names[State.GREETED]}: 235, 535")
    lines.append(f"    {names[State.CLOSED]} --> [*]: 221")
    return "\n".join(lines)
