"""What listeners offer: certificates that are looked at again and again, and taken anew when they have changed."""

import asyncio
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fastsmtp.config.tls import TlsSettings
from fastsmtp.errors import ConfigurationError
from fastsmtp.ports import Clock
from fastsmtp.server.tls.contexts import make_context
from fastsmtp.server.tls.handshake import Handshake, TlsStats
from fastsmtp.server.tls.layer import Context
from fastsmtp.smtp.transaction import Connection

if TYPE_CHECKING:
    from fastsmtp.server.tls.certificates import Certificate

__all__ = ["TlsCertificates", "TlsOffer"]

_NS_PER_S: Final = 1_000_000_000
_CELL_MAX: Final = 2**63 - 1

_log = logging.getLogger("fastsmtp.tls")


@dataclass(slots=True)
class TlsOffer:
    """One listener's. `context` is for the next connection, and another object once certificates have changed.

    `is_implicit`: the connection begins with the handshake (RFC 8314 section 3), else with STARTTLS.
    """

    context: Context
    is_implicit: bool
    handshake_s: float
    stats: TlsStats
    clock: Clock

    def begin(self, connection: Connection) -> Handshake:
        """A handshake begins."""
        return Handshake(connection, self.stats, self.clock)


class TlsCertificates:
    """The certificates of a worker, and what its listeners offer with them."""

    def __init__(self, settings: TlsSettings, stats: TlsStats, clock: Clock) -> None:
        """Raises ConfigurationError."""
        self._settings = settings
        self._clock = clock
        self._stats = stats
        self._offers: list[TlsOffer] = []
        self._watching: asyncio.Task[None] | None = None
        self._seen = self._look()
        self._certificates = _read(settings)
        self._tell(self._certificates)

    def offer(self, *, implicit: bool = False) -> TlsOffer:
        """One for a listener, which shares context and tickets with no other. Raises ConfigurationError."""
        context = make_context(self._settings, self._certificates)
        offer = TlsOffer(context, implicit, self._settings.handshake_timeout, self._stats, self._clock)
        self._offers.append(offer)
        return offer

    def start(self) -> None:
        """Begin to look whether the files change."""
        if self._settings.reload_interval > 0:
            self._watching = asyncio.get_running_loop().create_task(self._watch())

    async def stop(self) -> None:
        """Look no more."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
            self._watching = None

    async def reload(self) -> bool:
        """Take the files as they are now; whether that could be done. Connections that are open keep what they have."""
        try:
            certificates, contexts = await asyncio.to_thread(self._make)
        except ConfigurationError as error:
            _log.error("new certificates are not usable, the old ones stay", extra={"problems": error.problems})
            return False
        for offer, context in zip(self._offers, contexts, strict=True):
            offer.context = context
        self._certificates = certificates
        _log.info("new certificates", extra={"certificates": [str(one.files) for one in certificates]})
        self._tell(certificates)
        return True

    def _make(self) -> tuple[list["Certificate"], list[Context]]:
        certificates = _read(self._settings)
        return certificates, [make_context(self._settings, certificates) for _ in self._offers]

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._settings.reload_interval)
            seen = await asyncio.to_thread(self._look)
            if seen != self._seen:
                self._seen = seen  # what is broken is told of once, and tried again when it changes again
                await self.reload()

    def _look(self) -> list[tuple[int, ...]]:
        """What changes when a file does."""
        return list(map(_look, self._files()))

    def _files(self) -> Iterator[Path]:
        for files in self._settings.certificates:
            yield files.certificate
            yield files.key
        if self._settings.client_authorities is not None:
            yield self._settings.client_authorities

    def _tell(self, certificates: list["Certificate"]) -> None:
        """Metrics and the log: when they expire, and what an operator should mend."""
        now = self._clock.time()
        for certificate in certificates:
            # In nanoseconds, as everything in seconds is counted; some certificates are meant to outlive that.
            self._stats.cells[self._stats.expiry[str(certificate.files)]] = min(
                int(certificate.expires) * _NS_PER_S, _CELL_MAX
            )
            # An expired one still encrypts, and a worker that starts at night must not stay down for a date.
            if ailment := certificate.ailment(now):
                _log.error(ailment)
            for warning in filter(None, (certificate.warning(now), *certificate.warnings)):
                _log.warning(warning)


def _read(settings: TlsSettings) -> list["Certificate"]:
    # Late: who offers no encryption need not wait for the library to be imported.
    from fastsmtp.server.tls.certificates import read_certificates

    return read_certificates(settings)


def _look(path: Path) -> tuple[int, ...]:
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
