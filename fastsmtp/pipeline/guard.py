"""One hook of one plugin behind a guard: whatever it does, an answer comes out, in time and counted."""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping
from copy import copy
from functools import partial
from typing import Any, Final, TypeAlias

from fastsmtp.pipeline.loader import LoadedPlugin
from fastsmtp.plugin import Address, Credentials, Hello, Naughty, Reply, Stage
from fastsmtp.ports import Clock
from fastsmtp.smtp.record import ANSWERS_KEPT, Asked, Result
from fastsmtp.smtp.replies import LOCAL_TROUBLE
from fastsmtp.smtp.transaction import Connection, Transaction
from fastsmtp.stats import Stats

__all__ = ["AnyOpinion", "Guard", "HookFaultError", "ShadowGuard", "describe"]

AnyOpinion: TypeAlias = Reply | Naughty | Address | Mapping[Address, Reply] | None

ANSWERS: Final = ("none", "accept", "defer", "reject", "naughty", "rewrite", "per_recipient", "fault")

_REFUSED_ON_FAULT: Final = Reply(554, "5.3.0", "Refused: a check of ours could not be made")

_log = logging.getLogger("fastsmtp.pipeline")

# Tuples and numbers, since `Reply | Naughty` would be a new object at every question.
_VALUES: Final = (Reply, Naughty, Address)
_OPINIONS: Final = (Reply, Naughty, Address, Mapping)
_KEPT: Final = ANSWERS_KEPT
_SILENT_KEPT: Final = ANSWERS_KEPT // 2

# The types that a hook may answer at a stage; a Reply and None are fine everywhere.
_PATH_STAGES: Final = (Stage.MAIL, Stage.RCPT)
_TOLD_STAGES: Final = (Stage.STORED, Stage.RESET, Stage.DISCONNECT, Stage.VERDICT)


class HookFaultError(Exception):
    """A hook answered what no hook may answer at its stage."""


class Guard:
    """Calls one hook. An exception, a timeout or a nonsensical answer becomes the answer that `on_fault` asks for."""

    def __init__(
        self, loaded: LoadedPlugin, stage: Stage, stats: Stats, clock: Clock, *, remembers: bool = False
    ) -> None:
        """`remembers`: answers are kept with what they are about, for its record."""
        self.loaded = loaded
        self.stage = stage
        self.is_shadow = loaded.mode == "shadow"
        self.ended_ns = 0  # when the last call was over that had to wait for nothing
        self._remembers = remembers and stage not in _TOLD_STAGES
        self._asked: Asked = (loaded.name, stage.label, self.is_shadow)
        self.spares_exempt = loaded.plugin.spares_exempt
        self._hook: Callable[..., AnyOpinion | Awaitable[AnyOpinion]] = getattr(loaded.plugin, stage.value)
        self._now = clock.monotonic_ns
        self._cells = stats.cells
        answers = stats.counter(
            "fastsmtp_plugin_answers_total",
            "Answers of plugins by stage; in shadow mode they were recorded and not acted on.",
            plugin=[loaded.name],
            stage=[stage.label],
            mode=[loaded.mode],
            answer=ANSWERS,
        )
        self._counts = {
            answer: stats.cell(answers, loaded.name, stage.label, loaded.mode, answer) for answer in ANSWERS
        }
        self._none = self._counts["none"]
        self._seconds = stats.timer(
            stats.histogram(
                "fastsmtp_plugin_seconds",
                "Time that a hook took, waiting included.",
                plugin=[loaded.name],
                stage=[stage.label],
            ),
            loaded.name,
            stage.label,
        )

    def call(self, args: tuple[Any, ...], begun: int) -> AnyOpinion | Awaitable[AnyOpinion]:
        """The opinion, or an awaitable of it that raises nothing. `begun` is the time, in nanoseconds."""
        try:
            opinion = self._hook(*args)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - a guard is there for whatever is raised
            return self._fault(error, args[0], begun)
        if opinion is None:
            self.ended_ns = self._now()
            took = self.ended_ns - begun
            self._seconds.observe_and_count(took, self._none)
            if self._remembers:
                self._remember(args[0], None, took)
            return None
        if not isinstance(opinion, _VALUES) and inspect.isawaitable(opinion):
            self.ended_ns = self._now()
            return self._wait(opinion, args[0], begun)
        return self._settle(opinion, args[0], begun)

    async def _wait(self, pending: Awaitable[AnyOpinion], about: object, begun: int) -> AnyOpinion:
        try:
            async with asyncio.timeout(self.loaded.timeout_s) as limit:
                opinion = await pending
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise  # it is we who are not wanted any more
            return self._fault(error, about, begun)  # the plugin awaited something that was cancelled
        except Exception as error:  # noqa: BLE001 - as above
            if limit.expired():
                error.add_note(f"no answer within {self.loaded.timeout_s:g} s")
            return self._fault(error, about, begun)
        return self._settle(opinion, about, begun)

    def _settle(self, opinion: AnyOpinion | Awaitable[AnyOpinion], about: Any, begun: int) -> AnyOpinion:
        """Count an answer, and see that it is one."""
        match opinion:
            case None:
                answer = "none"
            case _ if self.stage in _TOLD_STAGES:
                return self._fault(HookFaultError(f"{self.stage.value} is told, not asked: {opinion!r}"), about, begun)
            case Reply():
                answer = "accept" if opinion.is_positive else "reject" if opinion.is_permanent else "defer"
            case Naughty():
                answer = "naughty"
            case Address() if self.stage in _PATH_STAGES:
                answer = "rewrite"
            case Mapping() if self.stage is Stage.MESSAGE and _answers_recipients(opinion):
                answer = "per_recipient"
            case _:
                return self._fault(HookFaultError(f"{opinion!r} is no answer to {self.stage.value}"), about, begun)
        self._cells[self._counts[answer]] += 1
        self.ended_ns = self._now()
        took = self.ended_ns - begun
        self._seconds.observe(took)
        if self._remembers:
            self._remember(about, None if opinion is None else describe(opinion), took)
        return opinion

    def _remember(self, about: Connection | Transaction, answer: str | None, took_ns: int) -> None:
        if isinstance(about, Transaction):
            transaction = about
            if transaction.answers is None:
                transaction.answers = []
            answers, found = transaction.answers, len(transaction.results)
        else:
            connection = about
            if connection.answers is None:
                connection.answers = []
            answers, found = connection.answers, len(connection.results)
        if len(answers) < (_SILENT_KEPT if answer is None else _KEPT):
            answers.append((self._asked, answer, took_ns, found))

    def _fault(self, error: BaseException, about: object, begun: int) -> AnyOpinion:
        """Log the fault once, with its traceback, and give the operator's answer to faults; the client sees no text."""
        self._cells[self._counts["fault"]] += 1
        self.ended_ns = self._now()
        took = self.ended_ns - begun
        self._seconds.observe(took)
        _log.error(
            "plugin fault",
            exc_info=error,
            extra={"plugin": self.loaded.name, "stage": self.stage.label, "id": getattr(about, "id", "")},
        )
        if isinstance(about, Connection | Transaction):
            about.results.append(Result(self.loaded.name, "error", f"{self.stage.label}: {type(error).__name__}"))
            if self._remembers:
                self._remember(about, f"fault {type(error).__name__}", took)
        if self.stage in _TOLD_STAGES or self.loaded.on_fault == "pass":
            return None
        return _REFUSED_ON_FAULT if self.loaded.on_fault == "reject" else LOCAL_TROUBLE


def describe(opinion: Reply | Naughty | Address | Mapping[Address, Reply]) -> str:
    """An opinion in one line, for the record."""
    match opinion:
        case Naughty():
            return f"naughty {opinion.reply}"
        case Mapping():
            return "; ".join(f"{address}: {reply}" for address, reply in opinion.items())
        case Address():
            return f"rewrite to <{opinion}>"
        case _:
            return str(opinion)


class ShadowGuard(Guard):
    """The guard of a plugin in shadow mode: what its hook did to connection, greeting or message is taken back."""

    def call(self, args: tuple[Any, ...], begun: int) -> AnyOpinion | Awaitable[AnyOpinion]:
        """As for every guard."""
        about = args[0]
        if isinstance(about, Transaction):
            return self._call_in_transaction(about, args, begun)
        take_back = _memory_of(args)
        opinion = Guard.call(self, args, begun)
        if opinion is None or isinstance(opinion, _OPINIONS):
            take_back()
            return opinion
        return self._forget_later(opinion, take_back)

    def _call_in_transaction(
        self, transaction: Transaction, args: tuple[Any, ...], begun: int
    ) -> AnyOpinion | Awaitable[AnyOpinion]:
        """The same without closures, for every message."""
        connection = transaction.connection
        is_trusted, remote_name, fields = connection.is_trusted, connection.remote_name, transaction.message.remember()
        opinion = Guard.call(self, args, begun)
        if opinion is None or isinstance(opinion, _OPINIONS):
            _take_back(transaction, is_trusted, remote_name, fields)
            return opinion
        return self._forget_later(opinion, partial(_take_back, transaction, is_trusted, remote_name, fields))

    @staticmethod
    async def _forget_later(pending: Awaitable[AnyOpinion], take_back: Callable[[], None]) -> AnyOpinion:
        try:
            return await pending
        finally:
            take_back()


def _take_back(transaction: Transaction, is_trusted: bool, remote_name: str, fields: tuple[int, list[bytes]]) -> None:
    """Puts back what a hook can change in a transaction: a Message's fields, and what others believe of a client."""
    connection = transaction.connection
    connection.is_trusted, connection.remote_name = is_trusted, remote_name
    transaction.message.take_back(fields)


def _memory_of(args: tuple[Any, ...]) -> Callable[[], None]:
    """Puts back what a hook can change outside of one: a Hello's extensions, Credentials, and what others believe of a
    client.
    """
    connection = args[0]
    take_back = _memory_of_what_was_given(args)
    if not isinstance(connection, Connection):
        return take_back
    is_trusted, remote_name = connection.is_trusted, connection.remote_name

    def take_all_back() -> None:
        connection.is_trusted, connection.remote_name = is_trusted, remote_name
        take_back()

    return take_all_back


def _memory_of_what_was_given(args: tuple[Any, ...]) -> Callable[[], None]:
    match args:
        case (Connection(), Hello() as hello):
            return partial(setattr, hello, "extensions", dict(hello.extensions))
        case (Connection(), Credentials() as credentials):
            return partial(_restore, credentials, copy(credentials))
        case _:
            return _nothing


def _restore(credentials: Credentials, before: Credentials) -> None:
    credentials.user, credentials.password, credentials.is_proven = before.user, before.password, before.is_proven
    before.forget_password()


def _nothing() -> None:
    """Nothing to take back."""


def _answers_recipients(opinion: Mapping[Any, Any]) -> bool:
    """Whether a mapping is what it should be; plugins may be untyped."""
    return all(isinstance(address, Address) and isinstance(reply, Reply) for address, reply in opinion.items())
