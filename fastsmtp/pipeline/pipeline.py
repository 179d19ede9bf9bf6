"""Answers what a session asks: plugins first, then what is built in (the directory at RCPT, the store at the end)."""

import logging
from collections.abc import Awaitable, Mapping
from typing import Final

from fastsmtp.errors import DirectoryAwayError, DirectoryError
from fastsmtp.pipeline.chain import Chain, Decision
from fastsmtp.pipeline.login import LoginDesk
from fastsmtp.plugin import Address, Connection, Credentials, Recipient, Reply, Stage, Transaction
from fastsmtp.ports import Directory, Elsewhere, Found, MessageStore, NoDomain, NoUser, Quotas, Whereabouts
from fastsmtp.smtp.effects import Answer, Ask, VerbLine
from fastsmtp.smtp.replies import DIRECTORY_TROUBLE, FORWARDING_REFUSED, RECIPIENT_OK, RELAYING_DENIED, USER_UNKNOWN
from fastsmtp.smtp.sasl import KeysWanted
from fastsmtp.stats import Stats

__all__ = ["Pipeline"]

_log = logging.getLogger("fastsmtp.pipeline")

# A tuple, since `Found | NoUser | NoDomain` would be a new object at every question.
_WHEREABOUTS: Final = (Found, NoUser, NoDomain, Elsewhere)

_RCPT: Final = Stage.RCPT  # 14 ns instead of 208 through the class (CPython 3.11), for every message
_MAIL: Final = Stage.MAIL
_DATA: Final = Stage.DATA
_HEADERS: Final = Stage.HEADERS
_MESSAGE: Final = Stage.MESSAGE
_QUEUE: Final = Stage.QUEUE
_STORED: Final = Stage.STORED
_RESET: Final = Stage.RESET

_REFUSALS: Final[Mapping[type[Whereabouts], tuple[str, Reply]]] = {
    NoUser: ("no_user", USER_UNKNOWN),
    NoDomain: ("no_domain", RELAYING_DENIED),
    Elsewhere: ("elsewhere", FORWARDING_REFUSED),
}

LOOKUPS: Final = ("found", "no_user", "no_domain", "elsewhere", "trouble")


class Pipeline:
    """One per worker. `answer` returns the answer where it is known, and an awaitable where somebody has to wait.

    Without `quotas` nothing is refused at RCPT because a mailbox is full; the store may do so at the end. Without a
    `login_desk` nobody logs in.
    """

    def __init__(
        self,
        chain: Chain,
        directory: Directory,
        store: MessageStore,
        stats: Stats,
        quotas: Quotas | None = None,
        login_desk: LoginDesk | None = None,
    ) -> None:
        self._chain = chain
        self._directory = directory
        self._store = store
        self._quotas = quotas
        self._login_desk = login_desk
        self._cells = stats.cells
        family = stats.counter(
            "fastsmtp_lookups_total", "Recipients looked up in the directory, by what it said.", result=LOOKUPS
        )
        self._lookups = {result: stats.cell(family, result) for result in LOOKUPS}
        self._mail_guards = chain.guards(Stage.MAIL)
        self._rcpt_guards = chain.guards(Stage.RCPT)
        self._data_guards = chain.guards(Stage.DATA)
        self._headers_guards = chain.guards(Stage.HEADERS)
        self._message_guards = chain.guards(Stage.MESSAGE)
        self._queue_hooks = Stage.QUEUE in chain.stages
        self._tells_end = bool({Stage.STORED, Stage.RESET} & chain.stages)

    @property
    def asks(self) -> frozenset[Stage]:
        """The stages about which a session has to ask."""
        built_in = {Stage.RCPT, Stage.QUEUE} | ({Stage.AUTH} if self._login_desk is not None else set())
        return self._chain.stages | built_in

    def answer(self, ask: Ask, connection: Connection, transaction: Transaction | None) -> Answer | Awaitable[Answer]:
        """What is to be said to this Ask. Nothing is raised, now or later."""
        stage, subject = ask.stage, ask.subject
        if transaction is not None:
            if stage is _RCPT and isinstance(subject, Address):
                return self._rcpt(transaction, subject)
            if stage is _QUEUE:
                return self._queue(transaction)
            if stage is _MAIL:
                return self._mail(transaction, self._chain.ask_all(self._mail_guards, (transaction, subject)))
            if stage is _DATA:
                return _reply(self._chain.ask_all(self._data_guards, (transaction,)))
            if stage is _HEADERS:
                return _reply(self._chain.ask_all(self._headers_guards, (transaction, transaction.message.header)))
            if stage is _MESSAGE:
                return _reply(self._chain.ask_all(self._message_guards, (transaction, transaction.message)))
        if isinstance(subject, VerbLine):
            return _reply(self._chain.ask(stage, connection, subject.verb, subject.argument))
        if subject is None:
            return _reply(self._chain.ask(stage, connection))
        if self._login_desk is not None and isinstance(subject, Credentials | KeysWanted):
            if isinstance(subject, KeysWanted):
                return self._login_desk.keys(connection, subject)
            return self._login_desk.answer(connection, subject)
        return _reply(self._chain.ask(stage, connection, subject))

    def ended(self, transaction: Transaction) -> None:
        """A transaction is over: tell those who want to know."""
        if not self._tells_end:
            return
        if transaction.outcome == "stored":
            self._chain.tell(_STORED, transaction, transaction.reply)
        self._chain.tell(_RESET, transaction)

    def disconnected(self, connection: Connection) -> None:
        """The client is gone."""
        self._chain.tell(Stage.DISCONNECT, connection)

    async def settle(self) -> None:
        """Wait for plugins that were told something and are still at it."""
        await self._chain.settle()

    # --- MAIL --------------------------------------------------------------------------------------------------------

    def _mail(self, transaction: Transaction, decision: Decision | Awaitable[Decision]) -> Answer | Awaitable[Answer]:
        if not isinstance(decision, tuple):
            return self._mail_later(transaction, decision)
        reply, transaction.sender = decision
        return reply

    async def _mail_later(self, transaction: Transaction, pending: Awaitable[Decision]) -> Answer:
        reply, transaction.sender = await pending
        return reply

    # --- RCPT --------------------------------------------------------------------------------------------------------

    def _rcpt(self, transaction: Transaction, recipient: Address) -> Answer | Awaitable[Answer]:
        connection = transaction.connection
        if connection.naughty is not None and not (recipient.is_postmaster or connection.is_exempt):
            return connection.naughty
        if self._rcpt_guards:
            decision = self._chain.ask_all(self._rcpt_guards, (transaction, recipient))
            if not isinstance(decision, tuple):
                return self._rcpt_later(transaction, decision)
            return self._rcpt_decided(transaction, decision)
        return self._locate(transaction, recipient, None)

    async def _rcpt_later(self, transaction: Transaction, pending: Awaitable[Decision]) -> Answer:
        answer = self._rcpt_decided(transaction, await pending)
        return await answer if isinstance(answer, Awaitable) else answer

    def _rcpt_decided(self, transaction: Transaction, decision: Decision) -> Answer | Awaitable[Answer]:
        reply, recipient = decision
        if reply is not None and not reply.is_positive:
            return reply
        return self._locate(transaction, recipient, reply)

    def _locate(
        self, transaction: Transaction, recipient: Address, accepted: Reply | None
    ) -> Answer | Awaitable[Answer]:
        try:
            whereabouts = self._directory.locate(recipient)
        except DirectoryError as error:
            return self._trouble(transaction, recipient, error)
        if isinstance(whereabouts, _WHEREABOUTS):
            return self._located(transaction, recipient, accepted, whereabouts)
        return self._locate_later(transaction, recipient, accepted, whereabouts)

    async def _locate_later(
        self, transaction: Transaction, recipient: Address, accepted: Reply | None, pending: Awaitable[Whereabouts]
    ) -> Answer:
        try:
            whereabouts = await pending
        except DirectoryError as error:
            return self._trouble(transaction, recipient, error)
        answer = self._located(transaction, recipient, accepted, whereabouts)
        return await answer if isinstance(answer, Awaitable) else answer

    def _located(
        self, transaction: Transaction, recipient: Address, accepted: Reply | None, whereabouts: Whereabouts
    ) -> Answer | Awaitable[Answer]:
        if isinstance(whereabouts, Found):
            self._cells[self._lookups["found"]] += 1
            found = Recipient(recipient, whereabouts.mailboxes, accepted or RECIPIENT_OK)
            for mailbox in whereabouts.mailboxes:
                if mailbox.quota_bytes is not None:
                    return self._admit(found, transaction.declared_size)
            return found
        result, refusal = _REFUSALS[type(whereabouts)]
        self._cells[self._lookups[result]] += 1
        return refusal if accepted is None else Recipient(recipient, (), accepted)

    def _admit(self, found: Recipient, size: int | None) -> Answer | Awaitable[Answer]:
        """The recipient, unless a mailbox is too full for so many octets."""
        if self._quotas is None:
            return found
        refusal = self._quotas.admits(found.mailboxes, size)
        if refusal is None:
            return found
        return refusal if isinstance(refusal, Reply) else self._admit_later(found, refusal)

    async def _admit_later(self, found: Recipient, pending: Awaitable[Reply | None]) -> Answer:
        refusal = await pending
        return found if refusal is None else refusal

    def _trouble(self, transaction: Transaction, recipient: Address, error: DirectoryError) -> Reply:
        """Nobody knows: the client shall come again, and an operator shall hear of it."""
        self._cells[self._lookups["trouble"]] += 1
        if not isinstance(error, DirectoryAwayError):  # of which the log has heard when it began
            facts = {"id": transaction.id, "recipient": str(recipient), "error": str(error)}
            _log.error("directory trouble", extra=facts)
        return DIRECTORY_TROUBLE

    # --- the end of the message --------------------------------------------------------------------------------------

    def _queue(self, transaction: Transaction) -> Answer | Awaitable[Answer]:
        if self._queue_hooks:
            decision = self._chain.ask(Stage.QUEUE, transaction, transaction.message)
            if not isinstance(decision, tuple):
                return self._queue_later(transaction, decision)
            if decision[0] is not None:
                return decision[0]
        return self._store.store(transaction)

    async def _queue_later(self, transaction: Transaction, pending: Awaitable[Decision]) -> Answer:
        reply, _ = await pending
        if reply is not None:
            return reply
        stored = self._store.store(transaction)
        return stored if isinstance(stored, Reply) else await stored


def _reply(decision: Decision | Awaitable[Decision]) -> Answer | Awaitable[Answer]:
    """What a stage says, now or later."""
    return decision[0] if isinstance(decision, tuple) else _reply_later(decision)


async def _reply_later(pending: Awaitable[Decision]) -> Answer:
    return (await pending)[0]
