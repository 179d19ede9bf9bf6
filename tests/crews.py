"""Real worker processes for tests, and what a supervisor does for them."""

import asyncio
import os
import smtplib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from workers import addresses

from fastsmtp.config.model import Settings
from fastsmtp.delivery.keeper import JournalKeeper
from fastsmtp.server.clients import ClientMemory
from fastsmtp.server.processes.crew import Crew, Generation, Inheritance
from fastsmtp.server.processes.doors import Doors, make_doors
from fastsmtp.server.processes.seats import Seats
from fastsmtp.server.processes.tally import Tally
from fastsmtp.state.host import BucketMemory

__all__ = [
    "DEADLINE_S",
    "Stage",
    "descriptors",
    "doors_of",
    "is_stopped",
    "name_of",
    "play",
    "plugin",
    "send",
    "sockets_of",
    "wait_until",
]

DEADLINE_S = 60.0


async def wait_until(condition: Callable[[], bool]) -> None:
    """Let the loop turn until the condition holds."""
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110 - of another process nothing comes but what one looks at
            await asyncio.sleep(0.02)


def descriptors() -> list[str]:
    """The files and sockets that this process has open."""
    return sorted(path.name for path in Path("/proc/self/fd").iterdir())


def is_stopped(pid: int) -> bool:
    """Whether SIGSTOP has reached it: every thread of it stands still."""
    states = [path.read_text().rpartition(")")[2].split()[0] for path in Path(f"/proc/{pid}/task").glob("*/stat")]
    return set(states) == {"T"}


def name_of(pid: int) -> str:
    """What `top` calls a process."""
    return Path(f"/proc/{pid}/comm").read_text().strip()


def sockets_of(pid: int) -> set[str]:
    """What a process has open, by their numbers: `socket:[4711]`."""
    found = set()
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed while we look
            found.add(str(path.readlink()))
    return found


def doors_of(doors: Doors) -> set[str]:
    """The sockets at which is listened, in the same way."""
    return {
        f"socket:[{os.fstat(one.socket.fileno()).st_ino}]" for entrance in doors.entrances for one in entrance.sockets
    }


def send(address: tuple[str, int]) -> None:
    """One message for alice."""
    with smtplib.SMTP(*address, timeout=DEADLINE_S) as client:
        client.sendmail("a@example.org", "alice@example.test", b"Subject: x\r\n\r\ny\r\n")


class Stage:
    """A crew with all that it needs, and generations for it."""

    def __init__(self, settings: Settings, slots: int) -> None:
        self.keeper = JournalKeeper(settings.maildir)
        self.keeper.lock()
        self.seats = Seats(8, self.keeper.recover_ring)
        self.tally = Tally()
        self.clients = ClientMemory(8, 100)
        self.buckets = BucketMemory(1024)
        self.died: list[int] = []
        inheritance = Inheritance(lambda: self.keeper.descriptor, self.clients.descriptor, self.buckets.descriptor)
        self.crew = Crew(self.seats, self.tally, inheritance, self.died.append)
        self.first = Generation(1, settings, make_doors(settings.listeners, slots))
        self.doors = [self.first.doors]
        self.slots = slots

    @property
    def address(self) -> tuple[str, int]:
        """Where the first generation listens."""
        return addresses(self.first.doors)[0]

    def next(self, settings: Settings, slots: int | None = None) -> Generation:
        """A generation with other settings at the same doors."""
        self.doors.append(make_doors(settings.listeners, slots or self.slots, (), self.first.doors))
        return Generation(2, settings, self.doors[-1])

    async def open(self) -> None:
        """The first workers serve."""
        ready = asyncio.get_running_loop().create_future()
        ready.set_result(None)
        await self.crew.open(self.first, self.slots, ready)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator["Stage"]:
        """The same; all are gone afterwards."""
        try:
            await self.open()
            yield self
        finally:
            await self.close()

    def _close_doors(self) -> None:
        for doors in self.doors:
            doors.close()

    async def close(self) -> None:
        """Everybody ends."""
        await self.crew.close(self._close_doors)
        await self.seats.close()
        self.clients.close()
        self.buckets.close()
        self.keeper.close()


def play(settings: Settings, slots: int, scenario: Callable[[Stage], Awaitable[None]]) -> None:
    """Run a scenario with so many workers that serve."""

    async def main() -> None:
        stage = Stage(settings, slots)
        async with stage.opened():
            await scenario(stage)

    asyncio.run(main())


def plugin(folder: Path, name: str, body: str) -> None:
    """A plugin in a file of `plugin_path`."""
    (folder / f"{name}.py").write_text(
        "import asyncio, os, time\nfrom pathlib import Path\nfrom fastsmtp.plugin import *\n"
        f"class Local(Plugin[NoOptions]):\n{body}\n"
    )
