"""One handshake, from its first byte to how it ended: metrics, and a line in the log that somebody can learn from."""

import logging
from collections.abc import Sequence
from typing import Final

from fastsmtp.ports import Clock
from fastsmtp.server.tls.facts import tls_facts
from fastsmtp.server.tls.layer import Endpoint
from fastsmtp.smtp.tls import TlsFacts
from fastsmtp.smtp.transaction import Connection
from fastsmtp.stats import Stats

__all__ = ["Handshake", "TlsStats"]

_VERSIONS: Final = ("TLSv1.2", "TLSv1.3")
_FAILURES: Final = ("failed", "left", "timeout")

_log = logging.getLogger("fastsmtp.tls")


class TlsStats:
    """The cells that handshakes count in, and where it stands when certificates expire."""

    def __init__(self, stats: Stats, certificates: Sequence[str] = ()) -> None:
        self.cells = stats.cells
        handshakes = stats.counter(
            "fastsmtp_tls_handshakes_total",
            "TLS handshakes by how they ended: `completed`, `failed` (no version or suite in common, or an alert), "
            "`left` (the client hung up), `timeout`; the version is known of those that were completed.",
            result=(),
            version=(),
        )
        self.completed = {version: stats.cell(handshakes, "completed", version) for version in _VERSIONS}
        self.failures = {result: stats.cell(handshakes, result, "") for result in _FAILURES}
        seconds = stats.histogram(
            "fastsmtp_tls_handshake_seconds",
            "Duration of the handshakes that were completed, the network's and the client's share included.",
            version=_VERSIONS,
        )
        self.seconds = {version: stats.timer(seconds, version) for version in _VERSIONS}
        self.discarded = stats.cell(
            stats.counter(
                "fastsmtp_starttls_discarded_bytes_total",
                "Octets thrown away that came in plain text behind a STARTTLS: an attack, or a broken client.",
            )
        )
        expiry = stats.gauge(
            "fastsmtp_tls_certificate_expiry_seconds",
            "When a certificate expires, in seconds since the epoch, by its file.",
            merge="least",
            certificate=certificates,
        )
        self.expiry = {certificate: stats.cell(expiry, certificate) for certificate in certificates}


class Handshake:
    """That of `connection`; it has begun. One of the methods is called, once."""

    __slots__ = ("_begun_ns", "_clock", "_connection", "_stats")

    def __init__(self, connection: Connection, stats: TlsStats, clock: Clock) -> None:
        self._connection = connection
        self._stats = stats
        self._clock = clock
        self._begun_ns = clock.monotonic_ns()

    def completed(self, tls: Endpoint) -> TlsFacts:
        """It is complete: the facts."""
        facts = tls_facts(tls)
        self._stats.cells[self._stats.completed[facts.version]] += 1
        self._stats.seconds[facts.version].observe(self._clock.monotonic_ns() - self._begun_ns)
        return facts

    def failed(self, reason: str) -> None:
        """Nothing came of it; `reason` is OpenSSL's word for it, empty when the client left."""
        self._count("failed" if reason else "left")
        # Scanners come and go; two that do not understand each other are worth a line.
        level = logging.INFO if reason else logging.DEBUG
        _log.log(level, "TLS handshake failed", extra=self._facts(reason or "the client hung up"))

    def timed_out(self) -> None:
        """It took too long."""
        self._count("timeout")
        _log.debug("TLS handshake failed", extra=self._facts("it took too long"))

    def _count(self, result: str) -> None:
        self._stats.cells[self._stats.failures[result]] += 1

    def _facts(self, reason: str) -> dict[str, str]:
        return {"id": self._connection.id, "remote": self._connection.remote_address, "reason": reason}
