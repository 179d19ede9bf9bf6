"""The first words of a connection from a proxy; with them it becomes the connection of the client that they name."""

import asyncio
import logging
from dataclasses import dataclass
from typing import Final, cast

from fastsmtp.config.networks import NetworkSet, packed_address
from fastsmtp.server.admission import NOWHERE
from fastsmtp.server.connection import ConnectionProtocol
from fastsmtp.server.deadlines import NEVER
from fastsmtp.server.endpoints import Endpoints, descriptor_of, endpoints
from fastsmtp.server.proxy.header import ProxyError, read_header
from fastsmtp.server.service import Service
from fastsmtp.stats import Stats

__all__ = ["ProxyPolicy", "ProxyProtocol", "ProxyStats"]

RESULTS: Final = ("v1", "v2", "itself", "malformed", "late", "none")

_log = logging.getLogger("fastsmtp.proxy")


class ProxyStats:
    """What came of the headers that listed proxies owe us."""

    def __init__(self, stats: Stats) -> None:
        self._cells = stats.cells
        family = stats.counter(
            "fastsmtp_proxy_headers_total",
            "Connections of listed proxies, by their PROXY header: its version, a check that the proxy makes for "
            "itself, or none that holds.",
            result=RESULTS,
        )
        self._results = {result: stats.cell(family, result) for result in RESULTS}

    def count(self, result: str) -> None:
        """One more."""
        self._cells[self._results[result]] += 1


@dataclass(frozen=True, slots=True)
class ProxyPolicy:
    """One listener's: whose connections begin with a header, and how many seconds that may take."""

    proxies: NetworkSet
    header_s: float
    stats: ProxyStats


class ProxyProtocol(asyncio.Protocol):
    """The transport's other end until the header is there. `deadline` is read by Deadlines.

    Nothing is said to who does not speak the protocol: it is a proxy that is not set up right, and no mail client.
    """

    __slots__ = ("_data", "_ends", "_policy", "_service", "_shared", "_transport", "deadline")

    held_octets: Final = 0
    begun_ns: Final = 0

    def __init__(self, service: Service, policy: ProxyPolicy) -> None:
        self.deadline = NEVER
        self._service = service
        self._shared = service.shared
        self._policy = policy
        self._data = bytearray()

    # --- what the event loop calls -----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = cast("asyncio.Transport", transport)
        self._ends = endpoints(transport)
        if packed_address(self._ends.remote_address) not in self._policy.proxies:
            client = ConnectionProtocol(self._service)
            self._transport.set_protocol(cast("asyncio.Protocol", client))
            client.connection_made(transport)
            return
        refusal = self._shared.admission.come(self._ends.remote_address, descriptor_of(transport))
        if refusal is not None:
            ConnectionProtocol(self._service).turn_away(self._transport, self._ends, refusal)
            return
        self._shared.open.add(self)
        self.deadline = self._shared.loop.time() + self._policy.header_s

    def data_received(self, data: bytes) -> None:
        self._data += data
        try:
            found = read_header(self._data)
        except ProxyError as fault:
            self._fail("malformed", str(fault))
            return
        if found is None:
            return
        header, length = found
        if header.ends is None:
            self._policy.stats.count("itself")
            self._hand_over(self._ends, "", length)
        else:
            self._policy.stats.count(f"v{header.version}")
            self._hand_over(header.ends, self._ends.remote_address, length)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - why it went does not matter to us
        if self.deadline != NEVER:  # it was not we who closed; many a health check only connects
            self._policy.stats.count("none")
        self.deadline = NEVER
        self._leave()

    # --- what Deadlines and the server call --------------------------------------------------------------------------

    def expire(self) -> None:
        """No header in time."""
        self._fail("late", f"no PROXY header within {self._policy.header_s:g} s")

    def drain(self, *, finishing: bool = False) -> None:  # noqa: ARG002 - nothing has begun
        """There is no client yet to whom anything could be said."""
        self.abort()

    def cut(self) -> None:
        """The same."""
        self.abort()

    def abort(self) -> None:
        """Close without a word."""
        self.deadline = NEVER
        self._transport.abort()

    def shed(self) -> None:
        """There is none."""

    # --- ends --------------------------------------------------------------------------------------------------------

    def _fail(self, result: str, sentence: str) -> None:
        self._policy.stats.count(result)
        _log.warning(sentence, extra={"proxy": self._ends.remote_address, "listener": self._service.name})
        self.abort()

    def _hand_over(self, ends: Endpoints, proxy_address: str, length: int) -> None:
        """The client takes the transport, and what came behind the header."""
        rest = bytes(self._data[length:])
        self._shared.open.discard(self)
        client = ConnectionProtocol(self._service)
        self._transport.set_protocol(cast("asyncio.Protocol", client))
        client.proxied(self._transport, ends, proxy_address, has_talked=bool(rest))
        if rest:
            # With TLS from the start it is not the client itself that reads now, and who was turned away does not.
            cast("asyncio.Protocol", self._transport.get_protocol()).data_received(rest)

    def _leave(self) -> None:
        self._shared.open.discard(self)
        self._shared.admission.go(NOWHERE, self._shared.now_s())
        if not self._shared.open:
            self._shared.emptied.set()
