"""A transaction that is played to the plugins of a configuration, and leaves nothing behind.

Real are the configuration, the plugins and their options, the directory, the DNS and the time. What plugins share
(token buckets, records with lifetimes) begins empty and is forgotten; nothing is stored, logged or counted anywhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from fastsmtp.config.listeners import ListenerEntry
from fastsmtp.config.model import Settings
from fastsmtp.directory.backend import cached_directory, stored_lists
from fastsmtp.dns.resolver import CachedResolver
from fastsmtp.errors import FastsmtpError, StartError
from fastsmtp.log.encoding import encode_line
from fastsmtp.log.lines import connection_line, transaction_line
from fastsmtp.pipeline.chain import Chain
from fastsmtp.pipeline.loader import LoadedPlugin
from fastsmtp.pipeline.pipeline import Pipeline
from fastsmtp.plugin import Address, Services
from fastsmtp.ports import Directory, Found, Mailbox
from fastsmtp.records.record import connection_record, transaction_record
from fastsmtp.records.story import tell
from fastsmtp.server.build import session_options
from fastsmtp.server.clock import SystemClock
from fastsmtp.smtp.tls import TlsFacts
from fastsmtp.state.memory import MemoryBuckets, MemoryRecords
from fastsmtp.testing.client import Client, Heard
from fastsmtp.testing.site import Site

__all__ = ["Part", "Performance", "Rehearsal"]

_TLS: Final = TlsFacts("TLSv1.3", "TLS_AES_256_GCM_SHA384", 256)
_RECORD_BYTES: Final = 1 << 24


@dataclass(frozen=True, slots=True)
class Part:
    """What the client says: `sender` and `recipients` as between the brackets, `message` with any line ends."""

    ip: str
    hello: str
    sender: str
    recipients: Sequence[str]
    message: bytes
    user: str = ""
    tls: bool = False


@dataclass(slots=True)
class Performance:
    """What came of it: commands with what was heard, the reply that decided it, the story, and fields to be added."""

    said: list[tuple[str, Heard]] = field(default_factory=list)
    story: dict[str, Any] = field(default_factory=dict)
    added: str = ""

    @property
    def verdict(self) -> Heard:
        """The reply to the message, or that on which nothing could follow."""
        return self.said[-1][1]


class _Everybody:
    """A directory to which everybody is known: where one plugin is asked, it alone shall decide."""

    def locate(self, address: Address) -> Found:
        return Found((Mailbox(address.domain, address.folded_local),))

    async def open(self) -> None: ...

    async def close(self) -> None: ...


class Rehearsal(Site):
    """Use it in a `with` statement. With `anybody` every recipient is known. Raises StartError, DirectoryError."""

    def __init__(
        self, settings: Settings, entry: ListenerEntry, plugins: list[LoadedPlugin], *, anybody: bool = False
    ) -> None:
        clock = SystemClock()
        super().__init__(directory=_Everybody() if anybody else None)
        self._settings, self._entry, self._system_clock = settings, entry, clock
        self._real_directory = cached_directory(settings.directory, settings.postmaster, clock, self.stats)
        if not anybody:
            self.directory = self._real_directory
        self.plugins = plugins
        chain = Chain(plugins, self.stats, clock, remembers=True)
        directory: Directory = self.directory
        self.pipeline = Pipeline(chain, directory, self.store, self.stats)
        self.options = session_options(settings, entry, self.pipeline)
        self.buckets, self.records = MemoryBuckets(clock), MemoryRecords(clock)
        self._real_lists = stored_lists(settings.directory)

    @property
    def _services(self) -> Services:
        return Services(
            directory=self._real_directory,
            clock=self._system_clock,
            hostname=self._settings.hostname,
            buckets=self.buckets,
            records=self.records,
            resolver=CachedResolver(self._settings.dns, self._system_clock, self.stats),
            lists=self._real_lists,
        )

    async def _start(self) -> None:
        if self.directory is not self._real_directory:
            await self._real_directory.open()
        try:
            await super()._start()
        except FastsmtpError:
            raise
        except Exception as error:  # whatever a plugin raises, the operator reads one sentence
            raise StartError(f"a plugin does not start: {type(error).__name__}: {error}") from error

    async def _stop(self) -> None:
        await super()._stop()
        await self._real_lists.close()
        if self.directory is not self._real_directory:
            await self._real_directory.close()

    def play(self, part: Part) -> Performance:
        """One transaction, as far as it gets."""
        performance = Performance()
        client = self.connect(part.ip, tls=_TLS if part.tls else None, listener=self._entry.title)
        performance.said.append(("connect", client.greeting))
        if client.greeting.code < 400:
            self._talk(client, part, performance)
        connection = client.connection
        client.disconnect()
        now = self._system_clock.time()
        if self.transactions:
            transaction = self.transactions[-1]
            record = transaction_record(transaction_line(transaction, time=now, duration_ns=0), transaction)
            performance.added = transaction.message.added.decode("utf-8", "backslashreplace")
        else:
            record = connection_record(connection_line(connection, time=now), connection)
        performance.story = tell(orjson.loads(encode_line(record, _RECORD_BYTES)))
        return performance

    def _talk(self, client: Client, part: Part, performance: Performance) -> None:
        """Ends with the reply that decides."""

        def say(line: str) -> Heard:
            heard = client.command(line)
            performance.said.append((line, heard))
            return heard

        verb = "LHLO" if self._entry.protocol == "lmtp" else "EHLO"
        if say(f"{verb} {part.hello}").code >= 400:
            return
        client.connection.user = part.user
        if say(f"MAIL FROM:<{part.sender}>").code >= 400:
            return
        heard = [say(f"RCPT TO:<{recipient}>") for recipient in part.recipients if client.is_open]
        if any(one.code < 400 for one in heard) and client.is_open:
            performance.said += [("message", one) for one in client.data_each(part.message)]
