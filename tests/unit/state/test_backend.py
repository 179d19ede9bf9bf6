"""The state that a configuration asks for."""

import asyncio
import sys
import time
from collections.abc import Awaitable
from pathlib import Path

import postgres
import pytest
from redis_server import running_redis

from fastsmtp.config.rates import Rate
from fastsmtp.config.state import StateSettings
from fastsmtp.errors import ConfigurationError, StateError
from fastsmtp.state.backend import State, look_at, state
from fastsmtp.state.memory import MemoryBuckets
from fastsmtp.stats import Stats
from fastsmtp.testing import SettableClock


def settings(folder: Path, **data: object) -> StateSettings:
    return StateSettings.model_validate(data, context={"base": folder})


def made(given: StateSettings) -> State:
    clock = SettableClock(now=time.time())  # a server has a clock of its own
    return state(given, MemoryBuckets(clock), clock, Stats())


def test_a_file(tmp_path: Path) -> None:
    async def scenario() -> str | None:
        records = made(settings(tmp_path)).records
        assert not (tmp_path / "state.db").exists()
        await records.open()
        records.put("a", "one", 60)
        await records.close()
        again = made(settings(tmp_path)).records
        await again.open()
        found = again.get("a")
        await again.close()
        assert not isinstance(found, asyncio.Future)
        return str(found)

    assert asyncio.run(look_at(settings(tmp_path))) == f"sqlite:{tmp_path / 'state.db'} will be made"
    assert asyncio.run(scenario()) == "one"
    assert asyncio.run(look_at(settings(tmp_path))) == f"sqlite:{tmp_path / 'state.db'}"


def test_a_file_that_cannot_be_made(tmp_path: Path) -> None:
    nowhere = settings(tmp_path, url="sqlite:nowhere/state.db")
    with pytest.raises(StateError, match="its folder is not there"):
        asyncio.run(look_at(nowhere))
    with pytest.raises(StateError, match="cannot use the state"):
        asyncio.run(made(nowhere).records.open())


def test_a_server(tmp_path: Path) -> None:
    async def scenario(url: str) -> None:
        given = settings(tmp_path, url=url)
        assert await look_at(given) == url
        found = made(given)
        await found.open()
        await found.records.open()
        assert found.buckets.take("a", Rate(1, 60.0, 1), 2) == float("inf")
        found.records.put("a", "one", 60)
        await found.close()
        again = made(given)
        await again.open()
        await again.records.open()
        answer = again.records.get("a")
        assert isinstance(answer, Awaitable)
        assert await answer == "one"
        await again.close()

    asyncio.run(scenario(postgres.shared_server().new_database()))
    with running_redis(tmp_path) as server:
        asyncio.run(scenario(server.url))
        given = settings(tmp_path, url=server.url)
    with pytest.raises(StateError, match=r"the state redis://127.0.0.1:\d+/0 is away: "):
        asyncio.run(look_at(given))


def test_without_the_client_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "fastsmtp.state.redis", raising=False)
    monkeypatch.setitem(sys.modules, "redis", None)
    monkeypatch.setitem(sys.modules, "redis.asyncio", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'fastsmtp-mx\[redis\]'"):
        made(settings(tmp_path, url="valkey://cache.example"))
