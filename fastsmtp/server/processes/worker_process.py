"""A worker as its supervisor sees it: started, heard of, told what to do, and gone.

A worker is a fresh interpreter, so that after a reload it has the plugins of now, and nothing of before.
"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from fastsmtp.config.model import Settings
from fastsmtp.errors import ConfigurationError, FastsmtpError, StartError
from fastsmtp.server.processes.block import BlockReader
from fastsmtp.server.processes.control import Line
from fastsmtp.server.processes.handover import Handover, give
from fastsmtp.server.processes.interpreter import Interpreter

__all__ = ["Post", "WorkerProcess"]

_ABORT_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Post:
    """What a worker is started for; `sockets`, `lock`, `clients` and `buckets` are as in its Handover."""

    settings: Settings
    generation: int
    slot: int
    seat: int
    sockets: tuple[tuple[int, ...], ...]
    lock: int | None
    clients: int
    buckets: int


class WorkerProcess:
    """One process. `loaded` is done when it has its plugins, `serving` when it takes connections; both fail with the
    error that the operator is to read. `deaf` is done when it listens nowhere any more, `ended` when it is gone, with
    what there is to say of that.
    """

    def __init__(self, post: Post, ahead: Interpreter | None = None) -> None:
        """Start it, if it has not been started `ahead`; from `go` on it may deliver. Raises StartError."""
        self.post = post
        self.silent_looks = 0
        self.disk_has_failed = False
        self.ailment = ""
        self.weakness = ""
        self.cpu_ns = 0
        self.exit_code: int | None = None
        loop = asyncio.get_running_loop()
        self.loaded: asyncio.Future[None] = loop.create_future()
        self.serving: asyncio.Future[None] = loop.create_future()
        self.deaf: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[str] = loop.create_future()
        for future in (self.loaded, self.serving):
            future.add_done_callback(_look_at)
        self._served_s = 0.0
        self._last_beat = 0
        self._has_gone = False
        self.is_told_to_end = False
        self._is_in_order = False
        self._failure: FastsmtpError | None = None
        self._kill_timer: asyncio.TimerHandle | None = None
        self.block = BlockReader(f"fastsmtp worker {post.slot}")
        try:
            interpreter = ahead or Interpreter.start()
            try:
                self._hand_over(interpreter)
            except BaseException:
                interpreter.end()
                raise
        except OSError as error:
            self.block.close()
            raise StartError(f"cannot start a worker, {sys.executable}: {error.strerror}") from error
        self._process = interpreter.process
        self.pid = self._process.pid
        self._line = Line(interpreter.line, self._hear, lambda: None)
        self._pidfd = os.pidfd_open(self.pid)
        loop.add_reader(self._pidfd, self._reap)

    def _hand_over(self, interpreter: Interpreter) -> None:
        post = self.post
        handover = Handover(
            post.settings,
            post.generation,
            post.slot,
            post.seat,
            *self.block.descriptors,
            post.sockets,
            post.lock,
            post.clients,
            post.buckets,
        )
        with suppress(BrokenPipeError, ConnectionResetError):  # gone already: `_reap` has the story
            give(handover, interpreter.line)

    @property
    def is_serving(self) -> bool:
        """Whether it takes connections."""
        return self.serving.done() and self.serving.exception() is None and not self.is_told_to_end and self.is_alive

    @property
    def is_alive(self) -> bool:
        """Whether the process is there."""
        return not self.ended.done()

    @property
    def left_in_order(self) -> bool:
        """Whether nothing of it has to be recovered, now that it is gone."""
        return not self._has_gone or self._is_in_order or self._failure is not None

    @property
    def lived_s(self) -> float:
        """How long it has served, in seconds; 0 when it never has."""
        return time.monotonic() - self._served_s if self._served_s else 0.0

    def look(self) -> int:
        """Called once a second: how many looks ago its event loop last turned. 0 before it serves.

        Not by the clock: when all of us are stopped for a while, nobody hangs.
        """
        beat = self.block.beat_ns if self.is_alive else 0
        self.silent_looks = self.silent_looks + 1 if beat and beat == self._last_beat else 0
        self._last_beat = beat
        return self.silent_looks

    def go(self) -> None:
        """What was in its ring is recovered: it may deliver."""
        self._has_gone = True
        self._line.say({"do": "go"})

    def close_doors(self) -> None:
        """Take nothing new; clients hear nothing of it yet. `deaf` will be done."""
        if self._has_gone:
            self._line.say({"do": "close_doors"})
        else:
            self._is_deaf()

    def drain(self, within_s: float, kill_after_s: float, grace_s: float = 0.0) -> None:
        """Take nothing new, finish what is under way, end; whoever is still there after `kill_after_s` is killed.

        In the first `grace_s` clients are not told, and later on their transactions may go on.
        """
        if not self._has_gone:
            self.kill()
        elif not self.is_told_to_end:
            self.is_told_to_end = True
            self._line.say({"do": "drain", "within_s": within_s, "grace_s": grace_s})
            self._kill_timer = asyncio.get_running_loop().call_later(kill_after_s, self.kill)

    def hurry(self) -> None:
        """End the drain."""
        self._line.say({"do": "hurry"})

    def reopen_log(self) -> None:
        """The log file was moved away."""
        self._line.say({"do": "reopen"})

    def adopt(self, slot: int, listener: int, descriptor: int) -> None:
        """Take connections from a socket of another slot, too."""
        self._line.say({"do": "adopt", "slot": slot, "listener": listener}, [descriptor])

    def give_back(self, slot: int) -> None:
        """That slot has a worker again."""
        self._line.say({"do": "give_back", "slot": slot})

    def kill(self) -> None:
        """End it now."""
        self._signal(signal.SIGKILL)

    def abort(self) -> None:
        """The same, after it has said on standard error where each of its threads is."""
        self._signal(signal.SIGABRT)
        if self._kill_timer is None:
            self._kill_timer = asyncio.get_running_loop().call_later(_ABORT_S, self.kill)

    def _signal(self, number: signal.Signals) -> None:
        if self.is_alive:
            # Not by its number: Popen would ask how it is, and take the news from `_reap`.
            signal.pidfd_send_signal(self._pidfd, number)

    def _hear(self, message: Mapping[str, Any], _descriptors: Sequence[int]) -> None:
        match message["event"]:
            case "loaded":
                self.loaded.set_result(None)
            case "serving":
                self._served_s = time.monotonic()
                self.serving.set_result(None)
            case "deaf":
                self._is_deaf()
            case "health":
                self.ailment, self.weakness = message["ailment"], message["weakness"]
                self.disk_has_failed = message["disk_has_failed"]
            case "failed":
                problems = message["problems"]
                is_configuration = message["is_configuration"]
                self._failure = ConfigurationError(problems) if is_configuration else StartError(problems[0])
            case "closed":
                self._is_in_order = message["in_order"]

    def _is_deaf(self) -> None:
        if not self.deaf.done():
            self.deaf.set_result(None)

    def _reap(self) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._line.hear_out()
        self._line.close()
        if self._kill_timer is not None:
            self._kill_timer.cancel()
        _, status, usage = os.wait4(self.pid, 0)
        self.cpu_ns = int((usage.ru_utime + usage.ru_stime) * 1e9)
        self.exit_code = self._process.returncode = os.waitstatus_to_exitcode(status)
        story = _story(self.exit_code)
        failure = self._failure or StartError(f"worker {self.post.slot} {story} before it served")
        for future in (self.loaded, self.serving):
            if not future.done():
                future.set_exception(failure)
        self._is_deaf()
        self.ended.set_result(story)


def _story(exit_code: int) -> str:
    if exit_code >= 0:
        return f"ended with exit code {exit_code}"
    try:
        return f"was killed by {signal.Signals(-exit_code).name}"
    except ValueError:
        return f"was killed by signal {-exit_code}"


def _look_at(future: asyncio.Future[None]) -> None:
    """Whoever waits for it hears of the exception, and nobody has to wait."""
    if not future.cancelled():
        future.exception()
