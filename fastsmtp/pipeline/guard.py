"""One hook of one plugin behind a guard: whatever it does, an answer comes out, in time and counted."""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping
from copy import copy
from functools import partial
from typing import Any, Final, TypeAlias

from fastsmtp.pipeline.loader import LoadedPlugin
from fastsmtp.plugin import Address, Connection, Credentials, Hello, Naughty, Reply, Stage, Transaction
from fastsmtp.ports import Clock
from fastsmtp.smtp.record import ANSWERS_KEPT, Asked, Result
from fastsmtp.smtp.replies import LOCAL_TROUBLE
from fastsmtp.stats import Stats

__all__ = ["AnyOpinion", "Guard", "HookFaultError", "ShadowGuard", "describe"]

AnyOpinion: TypeAlias = Reply | Naughty | Address | Mapping[Address, Reply] | None

ANSWERS: Final = ("none", "accept", "defer", "reject", "naughty", "rewrite", "per_recipient", "fault")

_REFUSED_ON_FAULT: Final = Reply(554, "5.3.0", "Refused: a check of ours could not be made")

_log = logging.getLogger("fastsmtp.pipeline")

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
        self._remembers = remembers and stage not in _TOLD_STAGES
        self._asked: Asked = (loaded.name, stage.label, loaded.mode == "shadow")
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

    def call(self, *args: Any) -> AnyOpinion | Awaitable[AnyOpinion]:
        """The opinion, or an awaitable of it that raises nothing."""
        begun = self._now()
        try:
            opinion = self._hook(*args)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - a guard is there for whatever is raised
            return self._fault(error, args[0], begun)
        if opinion is None:
            self._cells[self._counts["none"]] += 1
            took = self._now() - begun
            self._seconds.observe(took)
            if self._remembers:
                self._remember(args[0], None, took)
            return None
        if not isinstance(opinion, Reply | Naughty | Address) and inspect.isawaitable(opinion):
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

    def _settle(self, opinion: AnyOpinion | Awaitable[AnyOpinion], about: object, begun: int) -> AnyOpinion:
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
        took = self._now() - begun
        self._seconds.observe(took)
        if self._remembers:
            self._remember(about, None if opinion is None else describe(opinion), took)
        return opinion

    def _remember(self, about: Any, answer: str | None, took_ns: int) -> None:
        answers = about.answers
        if answers is None:
            about.answers = answers = []
        if len(answers) < (ANSWERS_KEPT // 2 if answer is None else ANSWERS_KEPT):
            answers.append((self._asked, answer, took_ns, len(about.results)))

    def _fault(self, error: BaseException, about: object, begun: int) -> AnyOpinion:
        """Log the fault once, with its traceback, and give the operator's answer to faults; the client sees no text."""
        self._cells[self._counts["fault"]] += 1
        took = self._now() - begun
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

    def call(self, *args: Any) -> AnyOpinion | Awaitable[AnyOpinion]:
        """As for every guard."""
        take_back = _memory_of(args)
        opinion = super().call(*args)
        if opinion is None or isinstance(opinion, Reply | Naughty | Address | Mapping):
            take_back()
            return opinion
        return self._forget_later(opinion, take_back)

    @staticmethod
    async def _forget_later(pending: Awaitable[AnyOpinion], take_back: Callable[[], None]) -> AnyOpinion:
        try:
            return await pending
        finally:
            take_back()


def _memory_of(args: tuple[Any, ...]) -> Callable[[], None]:
    """Puts back what a hook can change in what it was given: a Hello's extensions, Credentials, a Message's fields, and
    what others believe of a client.
    """
    connection = args[0].connection if isinstance(args[0], Transaction) else args[0]
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
        case (Transaction() as transaction, *_):
            message = transaction.message
            return partial(message.take_back, message.remember())
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
