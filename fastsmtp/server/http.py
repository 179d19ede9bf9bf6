"""The HTTP side: /metrics for Prometheus, /healthz for whoever restarts us, /readyz for whoever sends traffic,
and a page for people.

Its libraries take as long to import as a worker takes to start: they are imported beside the workers, once the address
is ours.
"""

import asyncio
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from fastsmtp.config.places import ListenAddress
from fastsmtp.errors import StartError
from fastsmtp.stats import Source

if TYPE_CHECKING:
    from aiohttp import web

__all__ = ["MetricsServer"]

_SHUTDOWN_S: Final = 1.0
"""How long a scrape that is under way may take when we stop."""

_PAGE_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class MetricsServer:
    """Shows what `source` counts on one address: `bind`, then `serve`.

    Healthy while `ailment()` is an empty text, ready while `weakness()` is; `status_page()` is HTML.
    """

    def __init__(
        self,
        listen: ListenAddress,
        source: Source,
        *,
        ailment: Callable[[], str],
        weakness: Callable[[], str],
        status_page: Callable[[], str],
    ) -> None:
        self._listen = listen
        self._source = source
        self._ailment = ailment
        self._weakness = weakness
        self._status_page = status_page
        self._server: asyncio.Server | None = None
        self._runner: web.AppRunner | None = None

    async def bind(self) -> None:
        """Have the address. Raises StartError when it cannot be had."""
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(
                self._connected, self._listen.host, self._listen.port, start_serving=False
            )
        except OSError as error:
            raise self._refused(error) from error

    async def serve(self) -> None:
        """Answer there. Raises StartError."""
        if self._server is None:
            raise RuntimeError("the metrics server has no address")
        application = await asyncio.to_thread(self._application)
        from aiohttp import web

        self._runner = web.AppRunner(application, access_log=None, handle_signals=False, shutdown_timeout=_SHUTDOWN_S)
        await self._runner.setup()
        try:
            await self._server.start_serving()
        except OSError as error:
            raise self._refused(error) from error

    @property
    def address(self) -> tuple[str, int]:
        """Host and port, once bound."""
        if self._server is None:
            raise RuntimeError("the metrics server has no address")
        host, port = self._server.sockets[0].getsockname()[:2]
        return host, port

    async def close(self) -> None:
        """Stop listening and let go of everything; twice does no harm."""
        if self._server is not None:
            self._server.close()
            self._server = None
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def _connected(self) -> asyncio.BaseProtocol:
        if self._runner is None or self._runner.server is None:
            raise RuntimeError("the metrics server does not serve")
        return self._runner.server()

    def _refused(self, error: OSError) -> StartError:
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
        return StartError(
            f"cannot listen on {self._listen} for metrics: {reason}; change [metrics] listen, or end what is there"
        )

    def _application(self) -> "web.Application":
        from aiohttp import web
        from prometheus_client.exposition import choose_encoder

        from fastsmtp.metrics import build_registry

        registry = build_registry(self._source)

        async def status(_request: web.Request) -> web.Response:
            return web.Response(text=self._status_page(), content_type="text/html", headers=_PAGE_HEADERS)

        async def metrics(request: web.Request) -> web.Response:
            encode, content_type = choose_encoder(request.headers.get("Accept", ""))
            return web.Response(body=encode(registry), headers={"Content-Type": content_type})

        async def health(_request: web.Request) -> web.Response:
            return verdict(self._ailment())

        async def readiness(_request: web.Request) -> web.Response:
            return verdict(self._weakness())

        def verdict(problem: str) -> web.Response:
            return web.Response(text=f"{problem or 'ok'}\n", status=503 if problem else 200)

        application = web.Application()
        application.router.add_get("/", status)
        application.router.add_get("/metrics", metrics)
        application.router.add_get("/healthz", health)
        application.router.add_get("/readyz", readiness)
        return application
