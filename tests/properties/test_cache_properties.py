"""A cache and its backend answer as the backend alone: with changes, crowds, and outages in any order."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from fastsmtp.directory.cache import CachedDirectory
from fastsmtp.directory.memory import MemoryDirectory
from fastsmtp.errors import DirectoryAwayError, DirectoryError
from fastsmtp.ports import Found, Whereabouts
from fastsmtp.smtp.address import Address, parse_mailbox
from fastsmtp.stats import Stats
from fastsmtp.testing.world import SettableClock

# What is said to somebody: an answer, or the sentence of an error.
Said: TypeAlias = Whereabouts | str

LOCALS = ("a", "A", "b", "b+t", "c", "postmaster")
DOMAINS = ("one.test", "two.test", "three.test")
MAILBOXES = tuple(f"{local}@{domain}" for local in ("a", "b", "c") for domain in DOMAINS)

addresses = st.builds(Address, st.sampled_from(LOCALS), st.sampled_from((*DOMAINS, "alias.test", "foreign.test")))
mailboxes = st.sampled_from(MAILBOXES)
domains = st.sampled_from(DOMAINS)


class Backend:
    """Directories in memory that can be away, and that answer later while `gate` is closed."""

    def __init__(self) -> None:
        self.memory = MemoryDirectory(postmaster=Address("a", "one.test"))
        self.is_away = False
        self.gate: asyncio.Event | None = None

    def locate(self, address: Address) -> Whereabouts | Awaitable[Whereabouts]:
        if self.gate is None:
            return self._answer(address)
        try:
            said: Whereabouts | DirectoryError = self._answer(address)
        except DirectoryError as error:
            said = error
        return self._later(said, self.gate)

    async def open(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        """Nothing to close."""

    def _answer(self, address: Address) -> Whereabouts:
        if self.is_away:
            raise DirectoryError("away")
        return self.memory.locate(address)

    async def _later(self, said: Whereabouts | DirectoryError, gate: asyncio.Event) -> Whereabouts:
        await gate.wait()
        if isinstance(said, DirectoryError):
            raise said
        return said


class NotifiedCache(RuleBasedStateMachine):
    """Answers live long, and the cache is told of every change."""

    ttl_s = 60.0
    negative_ttl_s = 10.0
    is_told = True

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.backend = Backend()
        self.clock = SettableClock()
        self.cache = CachedDirectory(
            self.backend,
            entries=30,
            ttl_s=self.ttl_s,
            negative_ttl_s=self.negative_ttl_s,
            stale_ttl_s=3600,
            clock=self.clock,
            stats=Stats(),
            retry_s=0.0,
        )

    def teardown(self) -> None:
        self.runner.run(self.cache.close())
        self.runner.close()

    # --- changes ------------------------------------------------------------------------------------------------------

    @rule(mailbox=mailboxes, can_receive=st.booleans())
    def user(self, mailbox: str, can_receive: bool) -> None:
        self.backend.memory.add_user(mailbox, can_receive=can_receive)
        self.tell(mailbox.partition("@")[2])

    @rule(mailbox=mailboxes)
    def user_goes(self, mailbox: str) -> None:
        try:
            self.backend.memory.remove_user(mailbox)
        except KeyError:
            return
        self.tell(mailbox.partition("@")[2])

    @rule(name=st.sampled_from((*MAILBOXES, *(f"*@{domain}" for domain in DOMAINS))), mailbox=mailboxes)
    def alias(self, name: str, mailbox: str) -> None:
        self.backend.memory.add_alias(name, mailbox)
        self.tell(name.partition("@")[2])

    @rule(domain=domains)
    def domain_alias(self, domain: str) -> None:
        self.backend.memory.add_domain_alias("alias.test", domain)
        self.tell(domain)

    @rule(domain=domains, is_active=st.booleans())
    def domain(self, domain: str, is_active: bool) -> None:
        self.backend.memory.add_domain(domain, is_active=is_active)
        self.tell(domain)

    @rule(domain=domains)
    def domain_goes(self, domain: str) -> None:
        try:
            self.backend.memory.remove_domain(domain)
        except KeyError:
            return
        self.tell(domain)

    @rule(seconds=st.sampled_from((1, 9, 11, 61)))
    def time_passes(self, seconds: int) -> None:
        self.clock.advance(seconds)

    # --- questions ----------------------------------------------------------------------------------------------------

    @precondition(lambda self: not self.backend.is_away)
    @rule(address=addresses)
    def ask(self, address: Address) -> None:
        assert self.runner.run(self.said(address)) == self.truth(address)

    @precondition(lambda self: not self.backend.is_away)
    @rule(
        early=st.lists(addresses, max_size=4),
        late=st.lists(addresses, max_size=4),
        mailbox=mailboxes,
        is_cancelled=st.booleans(),
    )
    def ask_in_a_crowd(self, early: list[Address], late: list[Address], mailbox: str, is_cancelled: bool) -> None:
        """Some ask, somebody comes or goes, others ask; then the backend answers."""

        async def crowd() -> None:
            gate = self.backend.gate = asyncio.Event()
            before = [self.truth(address) for address in early]
            asked_early = [asyncio.ensure_future(self.said(address)) for address in early]
            await asyncio.sleep(0)
            if is_cancelled and asked_early:
                asked_early[0].cancel()
            self.user(mailbox, not isinstance(self.truth(parse_mailbox(mailbox)), Found))
            asked_late = [asyncio.ensure_future(self.said(address)) for address in late]
            await asyncio.sleep(0)
            gate.set()
            early_said = await asyncio.gather(*asked_early, return_exceptions=True)
            late_said = await asyncio.gather(*asked_late)
            self.backend.gate = None
            for address, truth, said in zip(early, before, early_said, strict=True):
                assert said in (truth, self.truth(address)) or isinstance(said, asyncio.CancelledError)
            for address, said in zip(late, late_said, strict=True):
                is_right = said == self.truth(address)
                was_right = not self.is_told and said in before
                assert is_right or was_right

        self.runner.run(crowd())

    # --- outages ------------------------------------------------------------------------------------------------------

    @rule()
    def goes_away(self) -> None:
        self.backend.is_away = True

    @precondition(lambda self: self.backend.is_away)
    @rule(address=addresses, is_slow=st.booleans())
    def ask_nobody(self, address: Address, is_slow: bool) -> None:
        async def asked() -> Said:
            if is_slow:
                self.backend.gate = asyncio.Event()
                self.backend.gate.set()
            said = await self.said(address)
            self.backend.gate = None
            return said

        said = self.runner.run(asked())
        # Nobody is refused who exists, and who is not remembered shall come again.
        assert isinstance(said, Found) or said in ("away", self.truth(address))

    @precondition(lambda self: self.backend.is_away)
    @rule()
    def comes_back(self) -> None:
        async def back() -> None:
            deadline = time.monotonic() + 10
            while self.cache.is_degraded:
                assert time.monotonic() < deadline
                await asyncio.sleep(0)

        self.backend.is_away = False
        self.runner.run(back())

    # --- what is said ------------------------------------------------------------------------------------------------

    def tell(self, domain: str) -> None:
        if self.is_told:
            self.cache.changed(domain)

    def truth(self, address: Address) -> Said:
        """What the backend says, were it there."""
        return said_by(lambda: self.backend.memory.locate(address))

    async def said(self, address: Address) -> Said:
        """What the cache says."""
        try:
            answer = self.cache.locate(address)
            return answer if isinstance(answer, Whereabouts) else await answer
        except DirectoryAwayError:
            return "away"
        except DirectoryError as error:
            return str(error)


class UnnotifiedCache(NotifiedCache):
    """Answers have no lifetime, and nobody tells of changes."""

    ttl_s = 0.0
    negative_ttl_s = 0.0
    is_told = False


def said_by(locate: Callable[[], Whereabouts]) -> Said:
    try:
        return locate()
    except DirectoryError as error:
        return str(error)


TestNotifiedCache = NotifiedCache.TestCase
TestUnnotifiedCache = UnnotifiedCache.TestCase
TestNotifiedCache.settings = TestUnnotifiedCache.settings = settings(
    max_examples=100, stateful_step_count=40, deadline=None
)
