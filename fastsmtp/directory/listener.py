"""Hears what PostgreSQL tells of changes (LISTEN), on a connection of its own, and notices when that is cut."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from fastsmtp.backoff import backoff_s
from fastsmtp.config.places import PostgresUrl
from fastsmtp.directory.connect import TROUBLE, Connection, connect, is_pooled, reason
from fastsmtp.errors import DirectoryError
from fastsmtp.smtp.address import canonical_domain

__all__ = ["CHANNEL", "Listener"]

CHANNEL: Final = "fastsmtp_directory"
"""What the triggers of schema/postgres notify; the payload is the name of a domain, or empty for anything."""

KEEPALIVE_S: Final = 5.0
"""How often the server is asked whether it is still there, in seconds."""

_log = logging.getLogger("fastsmtp.directory")


class Listener:
    """Calls `changed` with a canonical domain, or with None when anything may have changed.

    None is also said each time that the connection was made, since nobody knows what was missed before.
    """

    def __init__(
        self,
        url: PostgresUrl,
        changed: Callable[[str | None], None],
        *,
        connect_timeout_s: float,
        statement_timeout_s: float,
        keepalive_s: float = KEEPALIVE_S,
    ) -> None:
        self._url = url
        self._changed = changed
        self._connect_timeout_s = connect_timeout_s
        self._statement_timeout_s = statement_timeout_s
        self._keepalive_s = keepalive_s

    async def run(self) -> None:
        """Listen until cancelled, connecting anew as often as it takes; not behind a pooler, which swallows it all."""
        failures = 0
        while True:
            try:
                connection = await connect(self._url, self._connect_timeout_s)
                try:
                    async with asyncio.timeout(self._statement_timeout_s):
                        pooled = await is_pooled(connection)
                        if not pooled:
                            await connection.add_listener(CHANNEL, self._hear)
                    if pooled:
                        self._complain("a pooler stands before the server")
                        return
                    if failures:
                        _log.info("directory tells of changes again")
                    failures = 0
                    self._changed(None)
                    await self._keep(connection)
                    error = "the connection is gone"
                finally:
                    connection.terminate()
            except DirectoryError as trouble:
                error = str(trouble)
            except TROUBLE as trouble:
                error = reason(trouble, self._statement_timeout_s)
            failures += 1
            if failures == 1:
                self._complain(error)
            await asyncio.sleep(backoff_s(failures))

    async def _keep(self, connection: Connection) -> None:
        """Ask now and then, until there is no answer: a connection that was cut says nothing by itself."""
        lost = asyncio.Event()
        connection.add_termination_listener(lambda _: lost.set())
        while not connection.is_closed():
            with suppress(TimeoutError):
                async with asyncio.timeout(self._keepalive_s):
                    await lost.wait()
                    return
            async with asyncio.timeout(self._statement_timeout_s):
                await connection.fetch("SELECT 1")

    def _hear(self, _connection: Connection, _pid: int, _channel: str, payload: str) -> None:
        try:
            domain = canonical_domain(payload) if payload else None
        except ValueError:
            domain = None
        self._changed(domain)

    def _complain(self, error: str) -> None:
        # From now on, what is cached is believed for its lifetime.
        _log.warning("directory does not tell of changes", extra={"error": error})
