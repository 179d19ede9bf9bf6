"""The plugins of each stage in the order of the configuration: the first opinion wins.

An answer that is there at once never makes a task; what has to wait becomes one coroutine for the rest of the stage.
"""

import asyncio
from collections.abc import Awaitable, Iterable, Mapping
from typing import Any, Final, TypeAlias

from fastsmtp.pipeline.guard import AnyOpinion, Guard, ShadowGuard, describe
from fastsmtp.pipeline.loader import LoadedPlugin
from fastsmtp.plugin import Address, Naughty, Reply, Stage, Verdict
from fastsmtp.ports import Clock
from fastsmtp.smtp.record import Result
from fastsmtp.smtp.transaction import Connection, Transaction
from fastsmtp.stats import Stats

__all__ = ["Chain", "Decision"]

Decision: TypeAlias = tuple[Reply | None, Any]
"""What a stage came to: the winning reply or None, and its subject, which at MAIL and RCPT may have been rewritten."""

# Up to RCPT a naughty mark can wait for RCPT; later there is nothing left to wait for.
_BEFORE_RCPT: Final = (Stage.CONNECT, Stage.HELLO, Stage.AUTH, Stage.MAIL, Stage.VERB)


# A tuple, since `Reply | Naughty` would be a new object at every question.
_OPINIONS: Final = (Reply, Naughty, Address, Mapping)


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
        self._now = clock.monotonic_ns
        self._background: set[asyncio.Task[None]] = set()

    @property
    def stages(self) -> frozenset[Stage]:
        """The stages at which somebody has a hook."""
        return frozenset(self._hooks)

    def guards(self, stage: Stage) -> tuple[Guard, ...]:
        """Those of a stage, in order: who asks it for every message looks them up once."""
        return self._hooks.get(stage, ())

    def ask(self, stage: Stage, about: Connection | Transaction, *subject: Any) -> Decision | Awaitable[Decision]:
        """What the plugins of this stage say to `subject`."""
        return self.ask_all(self._hooks.get(stage, ()), (about, *subject))

    def ask_all(self, guards: tuple[Guard, ...], args: tuple[Any, ...]) -> Decision | Awaitable[Decision]:
        """The same of the `guards` of a stage; what they are asked about is the first of `args`."""
        return self._go_on(guards, 0, args)

    def _go_on(self, guards: tuple[Guard, ...], first: int, args: tuple[Any, ...]) -> Decision | Awaitable[Decision]:
        connection = _connection_of(args[0])
        begun = self._now()
        for index in range(first, len(guards)):
            guard = guards[index]
            if guard.spares_exempt and (connection.is_trusted or connection.user):
                continue
            opinion = guard.call(args, begun)
            begun = guard.ended_ns  # one look at the clock for each
            if opinion is None:
                continue
            if not isinstance(opinion, _OPINIONS):
                return self._wait(guards, index, args, opinion)
            reply, args = self._weigh(guard, args, opinion)
            if reply is not None:
                return reply, _subject(args)
            begun = self._now()
        return None, _subject(args)

    async def _wait(
        self, guards: tuple[Guard, ...], index: int, args: tuple[Any, ...], pending: Awaitable[AnyOpinion]
    ) -> Decision:
        opinion = await pending
        if opinion is not None:
            reply, args = self._weigh(guards[index], args, opinion)
            if reply is not None:
                return reply, _subject(args)
        rest = self._go_on(guards, index + 1, args)
        return rest if isinstance(rest, tuple) else await rest

    def _weigh(
        self, guard: Guard, args: tuple[Any, ...], opinion: Reply | Naughty | Address | Mapping[Address, Reply]
    ) -> tuple[Reply | None, tuple[Any, ...]]:
        """What an opinion does: the reply that ends the stage (or None), and what to go on with."""
        about, name, shadow = args[0], guard.loaded.name, guard.is_shadow
        connection, transaction = _connection_of(about), about if isinstance(about, Transaction) else None
        self.tell(Stage.VERDICT, Verdict(name, guard.stage, opinion, shadow, connection, transaction))
        if shadow:
            about.results.append(Result(name, "skip", f"shadow {guard.stage.label}: {describe(opinion)}"))
            return None, args
        match opinion:
            case Address():
                return None, (about, opinion, *args[2:])
            case Naughty() if guard.stage in _BEFORE_RCPT:
                _attribute(about, name, guard.stage, opinion)
                _mark(connection, name, opinion, is_observed=opinion.is_observed or guard.stage is Stage.CONNECT)
                return None, args
            case Naughty():
                if opinion.is_observed:
                    _mark(connection, name, opinion, is_observed=True)
                # The recipients are there: the mail of who is exempt goes on, and postmaster's; other's ends here.
                if connection.is_exempt or (
                    transaction is not None and _only_postmaster(guard.stage, transaction, args)
                ):
                    return None, args
                _attribute(about, name, guard.stage, opinion)
                if transaction is not None and transaction.replies_each and guard.stage is not Stage.RCPT:
                    return transaction.refuse_each(_all_but_postmaster(transaction, opinion.reply)), args
                return opinion.reply, args
            case Reply():
                if not opinion.is_positive:
                    _attribute(about, name, guard.stage, opinion)
                return opinion, args
            case _:
                refusal = _strictest(opinion.values())
                if refusal is not None:
                    _attribute(about, name, guard.stage, opinion)
                    if transaction is not None and transaction.replies_each:
                        refusal = transaction.refuse_each(opinion)
                return refusal, args

    def tell(self, stage: Stage, *args: Any) -> None:
        """Tell every plugin of the stage; whoever has to wait does so beside the dialogue."""
        for guard in self._hooks.get(stage, ()):
            pending = guard.call(args, self._now())
            if pending is not None and not isinstance(pending, _OPINIONS):
                task = asyncio.ensure_future(_finish(pending))
                self._background.add(task)
                task.add_done_callback(self._background.discard)

    async def settle(self) -> None:
        """Wait for what was told and is still being worked on (each within its plugin's timeout)."""
        while self._background:
            await asyncio.gather(*self._background)


def _connection_of(about: Connection | Transaction) -> Connection:
    if isinstance(about, Transaction):
        transaction = about
        return transaction.connection
    return about


def _subject(args: tuple[Any, ...]) -> Any:
    return args[1] if len(args) > 1 else None


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


def _only_postmaster(stage: Stage, transaction: Transaction, args: tuple[Any, ...]) -> bool:
    if stage is Stage.RCPT:
        return isinstance(args[1], Address) and args[1].is_postmaster
    return all(recipient.address.is_postmaster for recipient in transaction.recipients)


def _all_but_postmaster(transaction: Transaction, refusal: Reply) -> Mapping[Address, Reply]:
    addresses = (recipient.address for recipient in transaction.recipients)
    return {address: refusal for address in addresses if not address.is_postmaster}


def _strictest(opinions: Iterable[Reply]) -> Reply | None:
    """One reply for all recipients: the first 5xx, else the first 4xx, else no opinion (see `on_message`)."""
    refusals = [reply for reply in opinions if not reply.is_positive]
    return next((reply for reply in refusals if reply.is_permanent), refusals[0] if refusals else None)
