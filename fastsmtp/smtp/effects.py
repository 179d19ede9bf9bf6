"""What a session asks of the world. It never calls up: it returns one of these and waits to be resumed."""

import enum
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

from fastsmtp.enums import quick
from fastsmtp.smtp.address import Address
from fastsmtp.smtp.replies import Reply
from fastsmtp.smtp.sasl import Credentials, KeysWanted, ScramKeys
from fastsmtp.smtp.transaction import Connection, Hello, Recipient, Transaction

__all__ = [
    "FLUSH",
    "Answer",
    "Ask",
    "ClientChanged",
    "Effect",
    "Ended",
    "Flush",
    "Stage",
    "StartTls",
    "VerbLine",
]


@quick
class Stage(enum.Enum):
    """The steps of a connection at which somebody may have an opinion; the value is the hook's name."""

    CONNECT = "on_connect"
    HELLO = "on_hello"
    AUTH = "on_auth"
    MAIL = "on_mail"
    RCPT = "on_rcpt"
    DATA = "on_data"
    HEADERS = "on_headers"
    MESSAGE = "on_message"
    QUEUE = "on_queue"
    STORED = "on_stored"
    RESET = "on_reset"
    DISCONNECT = "on_disconnect"
    VERB = "on_verb"
    VERDICT = "on_verdict"

    @property
    def label(self) -> str:
        """The name without `on_`: what metrics and tables show."""
        return self.value.removeprefix("on_")


class VerbLine(NamedTuple):
    """A command for `on_verb`: the verb in upper case and the text behind it."""

    verb: str
    argument: str


@dataclass(frozen=True)
class Ask:
    """Somebody has to answer before the dialogue goes on: `Session.resume(answer)`."""

    stage: Stage
    subject: Hello | Credentials | KeysWanted | Address | VerbLine | None = None


class Flush(NamedTuple):
    """So much has been said that it should be on its way before more is: `Session.take_output()`, then go on."""


FLUSH: Final = Flush()


@dataclass(frozen=True)
class Ended:
    """A transaction is over, for whatever reason (told, not asked: go on with `Session.advance()`)."""

    transaction: Transaction


class StartTls(NamedTuple):
    """Write what there is to be written, then shake hands: `Session.secured(facts)`, or close the connection.

    `discarded` octets came in plain text behind the command, and are no part of anything any more.
    """

    discarded: int


class ClientChanged(NamedTuple):
    """Another client is there in place of the `previous` one: `Session.resume(None)`, or with a reply that ends it."""

    previous: Connection


Effect: TypeAlias = Ask | Ended | Flush | StartTls | ClientChanged

Answer: TypeAlias = Reply | Recipient | ScramKeys | None
"""How an Ask is resumed: no opinion, a reply, a recipient that was accepted (RCPT), keys that were wanted (AUTH)."""
