"""The HTTP side: /metrics for Prometheus, /healthz for whoever restarts us, /readyz for whoever sends traffic."""

import os
from collections.abc import Callable
from typing import Final

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from fastsmtp.config.places import ListenAddress
from fastsmtp.errors import StartError

__all__ = ["MetricsServer"]

_SHUTDOWN_S: Final = 1.0
"""How long a scrape that is under way may take when we stop."""


class MetricsServer:
    """Serves the registry on one address.

    Healthy while `ailment()` is an empty text, ready while `weakness()` is.
    """

    def __init__(
        self,
        listen: ListenAddress,
        registry: CollectorRegistry,
        *,
        ailment: Callable[[], str],
        weakness: Callable[[], str],
    ) -> None:
        self._listen = listen
        self._registry = registry
        self._ailment = ailment
        self._weakness = weakness
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen. Raises StartError when the address cannot be had."""
        application = web.Application()
        application.router.add_get("/metrics", self._metrics)
        application.router.add_get("/healthz", self._health)
        application.router.add_get("/readyz", self._readiness)
        self._runner = web.AppRunner(application, access_log=None, handle_signals=False, shutdown_timeout=_SHUTDOWN_S)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._listen.host, self._listen.port).start()
        except OSError as error:
            await self.close()
            reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
            raise StartError(
                f"cannot listen on {self._listen} for metrics: {reason}; change [metrics] listen, or end what is there"
            ) from error

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that it listens on, once started."""
        if self._runner is None:
            raise RuntimeError("the metrics server is not started")
        host, port = self._runner.addresses[0][:2]
        return host, port

    async def close(self) -> None:
        """Stop listening and let go of everything; twice does no harm."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _metrics(self, request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(self._registry), headers={"Content-Type": content_type})

    async def _health(self, _request: web.Request) -> web.Response:
        return _verdict(self._ailment())

    async def _readiness(self, _request: web.Request) -> web.Response:
        return _verdict(self._weakness())


def _verdict(problem: str) -> web.Response:
    return web.Response(text=f"{problem or 'ok'}\n", status=503 if problem else 200)
