"""The plugins of each stage in the order of the configuration: the first opinion wins.

An answer that is there at once never makes a task; what has to wait becomes one coroutine for the rest of the stage.
"""

import asyncio
from collections.abc import Awaitable, Iterable, Mapping
from typing import Any, Final, TypeAlias

from fastsmtp.pipeline.guard import AnyOpinion, Guard, ShadowGuard, describe
from fastsmtp.pipeline.loader import LoadedPlugin
from fastsmtp.plugin import Address, Connection, Naughty, Reply, Stage, Transaction, Verdict
from fastsmtp.ports import Clock
from fastsmtp.smtp.record import Result
from fastsmtp.stats import Stats

__all__ = ["Chain", "Decision"]

Decision: TypeAlias = tuple[Reply | None, Any]
"""What a stage came to: the winning reply or None, and its subject, which at MAIL and RCPT may have been rewritten."""

# Up to RCPT a naughty mark can wait for RCPT; later there is nothing left to wait for.
_BEFORE_RCPT: Final = (Stage.CONNECT, Stage.HELLO, Stage.AUTH, Stage.MAIL, Stage.VERB)


class Chain:
    """All hooks of all plugins, resolved once."""

    def __init__(self, plugins: Iterable[LoadedPlugin], stats: Stats, clock: Clock, *, remembers: bool = False) -> None:
        """`remembers`: what is said is kept with the connection or transaction that it is about."""
        hooks: dict[Stage, list[Guard]] = {}
        for loaded in plugins:
            guard = ShadowGuard if loaded.mode == "shadow" else Guard
            for stage in loaded.stages:
                hooks.setdefault(stage, []).append(guard(loaded, stage, stats, clock, remembers=remembers))
        self._hooks = {stage: tuple(guards) for stage, guards in hooks.items()}
        self._background: set[asyncio.Task[None]] = set()

    @property
    def stages(self) -> frozenset[Stage]:
        """The stages at which somebody has a hook."""
        return frozenset(self._hooks)

    def ask(self, stage: Stage, about: Connection | Transaction, *subject: Any) -> Decision | Awaitable[Decision]:
        """What the plugins of this stage say to `subject`."""
        return self._go_on(stage, 0, about, subject)

    def _go_on(
        self, stage: Stage, first: int, about: Connection | Transaction, subject: tuple[Any, ...]
    ) -> Decision | Awaitable[Decision]:
        guards = self._hooks.get(stage, ())
        for index in range(first, len(guards)):
            if guards[index].spares_exempt and _connection_of(about).is_exempt:
                continue
            opinion = guards[index].call(about, *subject)
            if opinion is None:
                continue
            if not isinstance(opinion, Reply | Naughty | Address | Mapping):
                return self._wait(stage, index, about, subject, opinion)
            reply, subject = self._weigh(guards[index], about, subject, opinion)
            if reply is not None:
                return reply, subject[0] if subject else None
        return None, subject[0] if subject else None

    async def _wait(
        self,
        stage: Stage,
        index: int,
        about: Connection | Transaction,
        subject: tuple[Any, ...],
        pending: Awaitable[AnyOpinion],
    ) -> Decision:
        opinion = await pending
        if opinion is not None:
            reply, subject = self._weigh(self._hooks[stage][index], about, subject, opinion)
            if reply is not None:
                return reply, subject[0] if subject else None
        rest = self._go_on(stage, index + 1, about, subject)
        return rest if isinstance(rest, tuple) else await rest

    def _weigh(
        self,
        guard: Guard,
        about: Connection | Transaction,
        subject: tuple[Any, ...],
        opinion: Reply | Naughty | Address | Mapping[Address, Reply],
    ) -> tuple[Reply | None, tuple[Any, ...]]:
        """What an opinion does: the reply that ends the stage (or None), and the subject to go on with."""
        name, shadow = guard.loaded.name, guard.loaded.mode == "shadow"
        connection, transaction = _connection_of(about), about if isinstance(about, Transaction) else None
        self.tell(Stage.VERDICT, Verdict(name, guard.stage, opinion, shadow, connection, transaction))
        if shadow:
            about.results.append(Result(name, "skip", f"shadow {guard.stage.label}: {describe(opinion)}"))
            return None, subject
        match opinion:
            case Address():
                return None, (opinion, *subject[1:])
            case Naughty() if guard.stage in _BEFORE_RCPT:
                _attribute(about, name, guard.stage, opinion)
                _mark(connection, name, opinion, is_observed=opinion.is_observed or guard.stage is Stage.CONNECT)
                return None, subject
            case Naughty():
                if opinion.is_observed:
                    _mark(connection, name, opinion, is_observed=True)
                # The recipients are there: the mail of who is exempt goes on, and postmaster's; other's ends here.
                if connection.is_exempt or (
                    transaction is not None and _only_postmaster(guard.stage, transaction, subject)
                ):
                    return None, subject
                _attribute(about, name, guard.stage, opinion)
                if transaction is not None and transaction.replies_each and guard.stage is not Stage.RCPT:
                    return transaction.refuse_each(_all_but_postmaster(transaction, opinion.reply)), subject
                return opinion.reply, subject
            case Reply():
                if not opinion.is_positive:
                    _attribute(about, name, guard.stage, opinion)
                return opinion, subject
            case _:
                refusal = _strictest(opinion.values())
                if refusal is not None:
                    _attribute(about, name, guard.stage, opinion)
                    if transaction is not None and transaction.replies_each:
                        refusal = transaction.refuse_each(opinion)
                return refusal, subject

    def tell(self, stage: Stage, *args: Any) -> None:
        """Tell every plugin of the stage; whoever has to wait does so beside the dialogue."""
        for guard in self._hooks.get(stage, ()):
            pending = guard.call(*args)
            if pending is not None and not isinstance(pending, Reply | Naughty | Address | Mapping):
                task = asyncio.ensure_future(_finish(pending))
                self._background.add(task)
                task.add_done_callback(self._background.discard)

    async def settle(self) -> None:
        """Wait for what was told and is still being worked on (each within its plugin's timeout)."""
        while self._background:
            await asyncio.gather(*self._background)


def _connection_of(about: Connection | Transaction) -> Connection:
    return about.connection if isinstance(about, Transaction) else about


def _attribute(
    about: Connection | Transaction, name: str, stage: Stage, opinion: Reply | Naughty | Mapping[Address, Reply]
) -> None:
    """See that the record says who refused, where the plugin has not just written its own evidence."""
    if not about.results or about.results[-1].plugin != name:
        about.results.append(Result(name, "fail", f"{stage.label}: {describe(opinion)}"))


def _mark(connection: Connection, name: str, mark: Naughty, *, is_observed: bool) -> None:
    """The first mark counts, unless STARTTLS would forget it and not this one."""
    if connection.naughty is None or (is_observed and not connection.naughty_observed):
        connection.naughty, connection.naughty_by, connection.naughty_observed = mark.reply, name, is_observed


async def _finish(pending: Awaitable[AnyOpinion]) -> None:
    await pending


def _only_postmaster(stage: Stage, transaction: Transaction, subject: tuple[Any, ...]) -> bool:
    if stage is Stage.RCPT:
        return isinstance(subject[0], Address) and subject[0].is_postmaster
    return all(recipient.address.is_postmaster for recipient in transaction.recipients)


def _all_but_postmaster(transaction: Transaction, refusal: Reply) -> Mapping[Address, Reply]:
    addresses = (recipient.address for recipient in transaction.recipients)
    return {address: refusal for address in addresses if not address.is_postmaster}


def _strictest(opinions: Iterable[Reply]) -> Reply | None:
    """One reply for all recipients: the first 5xx, else the first 4xx, else no opinion (see `on_message`)."""
    refusals = [reply for reply in opinions if not reply.is_positive]
    return next((reply for reply in refusals if reply.is_permanent), refusals[0] if refusals else None)
