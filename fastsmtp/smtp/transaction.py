"""The facts of a connection and of one mail transaction, as the session learns them and plugins read them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, TypeAlias

from fastsmtp.smtp.address import NULL_SENDER, Address
from fastsmtp.smtp.message import Message
from fastsmtp.smtp.record import Answered, Notes, Result
from fastsmtp.smtp.replies import RECIPIENT_OK, Reply
from fastsmtp.smtp.tls import TlsFacts

__all__ = [
    "REFUSALS_KEPT",
    "TRANSACTION_OUTCOMES",
    "Connection",
    "Hello",
    "Mailbox",
    "Recipient",
    "RefusedCommand",
    "Transaction",
    "TransactionOutcome",
]

TransactionOutcome = Literal["open", "stored", "deferred", "refused", "reset", "lost"]
TRANSACTION_OUTCOMES: Final[tuple[TransactionOutcome, ...]] = ("stored", "deferred", "refused", "reset", "lost")

REFUSALS_KEPT: Final = 100

RefusedCommand: TypeAlias = tuple[bytes, Reply]
"""The verb, or the moment in its place, and what the client heard."""


@dataclass
class Hello:
    """One HELO or EHLO: the verb, the name that the client gave, and (EHLO) what we are about to offer."""

    verb: str
    name: str
    extensions: dict[str, str] = field(default_factory=dict)

    def offer(self, keyword: str, parameters: str = "") -> None:
        """Add an extension to the answer, or give it other parameters."""
        self.extensions[keyword.upper()] = parameters

    def withdraw(self, keyword: str) -> None:
        """Take an extension off the answer; its parameters, and BDAT with CHUNKING, are then refused."""
        self.extensions.pop(keyword.upper(), None)
        if keyword.upper() == "CHUNKING":
            self.extensions.pop("BINARYMIME", None)  # RFC 3030 section 3: never without it


@dataclass(eq=False)
class Connection:
    """One connection. `hello` is None until the client has greeted; `naughty` is a refusal kept for RCPT,
    `naughty_by` whose; `naughty_observed` says that it is about what we have seen, and not about what the client said.

    `remote_address` is empty for a client on a Unix socket, whose path `local_address` then is. `listener` is the name
    of the listener through which it came, `proxy_address` the proxy that said who it is (by the PROXY protocol or by
    XCLIENT), else empty, and `remote_name` the name of its host, if a proxy has looked it up.
    `tls` is how it is encrypted, None while it is not. With it comes a new beginning: what the client said before is
    forgotten (RFC 3207 section 4.2). `user` is who has logged in (AUTH), as a canonical address, and empty when nobody
    has. `early_talker` says that the client spoke before it was greeted, which RFC 5321 section 4.3.1 forbids;
    `pipelined_too_much` that it did not wait for a reply where RFC 2920 section 3.1 wants it to. `refused_commands` are
    the first hundred outside of a transaction; `answers` are what plugins said, where somebody keeps records.
    `is_known` says that mail of it, or of a neighbour, was stored lately (`overload.known`), or that it is counted
    nowhere (`limits.exempt`, a Unix socket). `is_trusted` is for plugins to set: the operator vouches for this client.
    """

    id: str
    remote_address: str
    remote_port: int
    local_address: str
    local_port: int
    hello: Hello | None = None
    tls: TlsFacts | None = None
    user: str = ""
    naughty: Reply | None = None
    naughty_by: str = ""
    naughty_observed: bool = False
    early_talker: bool = False
    pipelined_too_much: bool = False
    is_known: bool = False
    is_trusted: bool = False
    listener: str = ""
    proxy_address: str = ""
    remote_name: str = ""
    notes: Notes = field(default_factory=Notes)
    results: list[Result] = field(default_factory=list)
    refused_commands: list[RefusedCommand] | None = None
    answers: list[Answered] | None = None

    @property
    def is_exempt(self) -> bool:
        """Whether it is no stranger to be checked: somebody vouches for it, or it has logged in."""
        return self.is_trusted or bool(self.user)

    @property
    def hello_name(self) -> str:
        """What the client called itself; empty before HELO or EHLO."""
        return self.hello.name if self.hello else ""


class Mailbox(NamedTuple):
    """Where a copy goes: the folder names below the mail root (canonical domain, folded user name).

    `quota_bytes` is how many octets it may hold, None for as many as there are.
    """

    domain: str
    user: str
    quota_bytes: int | None = None


@dataclass
class Recipient:
    """One accepted recipient: the address of the RCPT command and, once the directory said so, its mailboxes.

    `mailboxes` has one, or more for an alias; none where a plugin accepted an address that the directory does not know.
    `reply` is what the client hears. `refusal` is why this one does not get the message where the others do, which
    only LMTP can say (`Transaction.replies_each`).
    """

    address: Address
    mailboxes: tuple[Mailbox, ...] = ()
    reply: Reply = RECIPIENT_OK
    refusal: Reply | None = None


class Transaction:
    """One mail transaction, from MAIL to its end (RFC 5321 section 3.3).

    `declared_size` is the SIZE parameter in octets, None when the client gave none. `refusals` has the first hundred
    recipients that were refused. `reply` is the last word that the client heard on the whole, None while it is open and
    when it ended without one (RSET, lost connection). `begun_ns` is the first question about it on the monotonic clock
    of the edge. `require_tls` is what the sender wants of whoever sends the message on (RFC 8689), which we do not.
    With `replies_each` (LMTP) every recipient hears his own reply to the message, and some may be refused while others
    get it. `refused_commands` are the first hundred, whatever they were; None when there was none. `answers` are those
    of plugins, where somebody keeps records.
    """

    def __init__(
        self,
        id_: str,
        connection: Connection,
        sender: Address = NULL_SENDER,
        declared_size: int | None = None,
        body: str = "7BIT",
        smtputf8: bool = False,
        require_tls: bool = False,
        recipients: list[Recipient] | None = None,
    ) -> None:
        self.id = id_
        self.connection = connection
        self.sender = sender
        self.declared_size = declared_size
        self.body = body
        self.smtputf8 = smtputf8
        self.require_tls = require_tls
        self.recipients = [] if recipients is None else recipients
        self.refusals: list[tuple[Address, Reply]] = []
        self.message = Message()
        self.notes = Notes()
        self.results: list[Result] = []
        self.reply: Reply | None = None
        self.outcome: TransactionOutcome = "open"
        self.begun_ns = 0
        self.replies_each = False
        self.refused_commands: list[RefusedCommand] | None = None
        self.answers: list[Answered] | None = None

    @property
    def remaining(self) -> list[Recipient]:
        """The recipients who are to get the message: all but those who were refused one by one."""
        return [recipient for recipient in self.recipients if recipient.refusal is None]

    def refuse_each(self, refusals: Mapping[Address, Reply]) -> Reply | None:
        """Refuse these recipients (`replies_each`); when nobody is left, a reply that refuses the whole message."""
        for recipient in self.recipients:
            reply = refusals.get(recipient.address)
            if reply is not None and not reply.is_positive and recipient.refusal is None:
                recipient.refusal = reply
        return None if self.remaining else next(recipient.refusal for recipient in self.recipients)
