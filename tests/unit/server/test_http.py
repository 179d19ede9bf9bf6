import asyncio
import socket
from collections.abc import Awaitable, Callable

import aiohttp
import pytest

from fastsmtp.config.places import ListenAddress
from fastsmtp.errors import StartError
from fastsmtp.server.http import MetricsServer
from fastsmtp.stats import Stats

FREE = ListenAddress("127.0.0.1", 0)


def serving(
    scenario: Callable[[str, aiohttp.ClientSession], Awaitable[None]], *, ailment: str = "", weakness: str = ""
) -> None:
    async def run() -> None:
        stats = Stats()
        stats.counter("fastsmtp_messages_total", "Messages.")
        server = MetricsServer(
            FREE, stats, ailment=lambda: ailment, weakness=lambda: weakness, status_page=lambda: "<!doctype html>"
        )
        await server.bind()
        await server.serve()
        host, port = server.address
        try:
            async with aiohttp.ClientSession() as client:
                await scenario(f"http://{host}:{port}", client)
        finally:
            await server.close()

    asyncio.run(run())


def test_metrics_as_text() -> None:
    async def scenario(url: str, client: aiohttp.ClientSession) -> None:
        async with client.get(f"{url}/metrics") as response:
            assert response.status == 200
            assert response.headers["Content-Type"].startswith("text/plain; version=")
            assert "\nfastsmtp_messages_total 0.0\n" in await response.text()

    serving(scenario)


def test_the_status_page() -> None:
    async def scenario(url: str, client: aiohttp.ClientSession) -> None:
        async with client.get(f"{url}/") as response:
            assert response.status == 200
            assert response.headers["Content-Type"] == "text/html; charset=utf-8"
            assert response.headers["Content-Security-Policy"].startswith("default-src 'none'; ")
            assert await response.text() == "<!doctype html>"

    serving(scenario)


def test_metrics_as_openmetrics_where_the_client_asks() -> None:
    async def scenario(url: str, client: aiohttp.ClientSession) -> None:
        accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
        async with client.get(f"{url}/metrics", headers=accept) as response:
            assert response.headers["Content-Type"].startswith("application/openmetrics-text")
            assert (await response.text()).endswith("# EOF\n")

    serving(scenario)


@pytest.mark.parametrize(("ailment", "status", "text"), [("", 200, "ok\n"), ("draining", 503, "draining\n")])
def test_health(ailment: str, status: int, text: str) -> None:
    async def scenario(url: str, client: aiohttp.ClientSession) -> None:
        async with client.get(f"{url}/healthz") as response:
            assert (response.status, await response.text()) == (status, text)

    serving(scenario, ailment=ailment)


def test_a_weak_server_is_healthy_and_not_ready() -> None:
    async def scenario(url: str, client: aiohttp.ClientSession) -> None:
        async with client.get(f"{url}/healthz") as response:
            assert (response.status, await response.text()) == (200, "ok\n")
        async with client.get(f"{url}/readyz") as response:
            assert (response.status, await response.text()) == (503, "degraded\n")

    serving(scenario, weakness="degraded")


def test_there_is_nothing_else() -> None:
    async def scenario(url: str, client: aiohttp.ClientSession) -> None:
        async with client.get(f"{url}/metric") as response:
            assert response.status == 404
        async with client.post(f"{url}/metrics") as response:
            assert response.status == 405

    serving(scenario)


def test_a_taken_port_is_a_sentence() -> None:
    async def scenario() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            listen = ListenAddress("127.0.0.1", taken.getsockname()[1])
            server = MetricsServer(listen, Stats(), ailment=lambda: "", weakness=lambda: "", status_page=lambda: "")
            with pytest.raises(StartError, match=rf"cannot listen on {listen} for metrics: Address already in use"):
                await server.bind()
            with pytest.raises(RuntimeError, match="no address"):
                _ = server.address
            with pytest.raises(RuntimeError, match="no address"):
                await server.serve()
            await server.close()

    asyncio.run(scenario())
