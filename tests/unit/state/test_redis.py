"""State at a Redis that is really there, and then is not."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from record_stores import SCENARIOS, Scenario, add, play, score, text
from redis_server import RedisServer, running_redis

from fastsmtp.config.rates import parse_rate
from fastsmtp.config.state import RedisUrl
from fastsmtp.errors import StateError
from fastsmtp.state.host import BucketMemory, HostBuckets, bucket_table
from fastsmtp.state.link import Link
from fastsmtp.state.records import Batch, RecordStore
from fastsmtp.state.redis import RedisBuckets, RedisStore, redis_link
from fastsmtp.state.several_hosts import SeveralHostsBuckets
from fastsmtp.stats import Stats
from fastsmtp.testing import SettableClock

RATE = parse_rate("3/hour")
TIMEOUT_S = 3.0


def link_to(server: RedisServer, stats: Stats | None = None) -> Link:  # type: ignore[type-arg]  # of a private class
    return redis_link(RedisUrl(server.url), TIMEOUT_S, stats or Stats())


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_it_is_a_store(tmp_path: Path, scenario: Scenario) -> None:
    with running_redis(tmp_path) as server:
        play(lambda: RedisStore(link_to(server)), scenario)


def test_what_has_ended_is_dropped_by_the_server(tmp_path: Path) -> None:
    async def scenario(store: RecordStore) -> None:
        now = time.time()
        await store.write(Batch(texts={f"key {number}": ("x", now + 0.05) for number in range(1200)}))
        await add(store, "a", 1, now - 17 * 3600)
        await store.purge(now)
        async with asyncio.timeout(10):
            while await text(store, "key 7", now) is not None:  # noqa: ASYNC110 - another process has to get on
                await asyncio.sleep(0.01)
        assert await score(store, "a", now) == 0.0

    with running_redis(tmp_path) as server:
        play(lambda: RedisStore(link_to(server)), scenario)


class Host:
    """One of several."""

    def __init__(self, server: RedisServer) -> None:
        memory = BucketMemory(1024)
        self.stats = Stats()
        self.clock = SettableClock()
        self.here = HostBuckets(bucket_table(memory.descriptor), self.clock, self.stats)
        memory.close()
        self.link = link_to(server, self.stats)
        self.buckets = SeveralHostsBuckets(self.here, RedisBuckets(self.link))

    async def take(self, key: str, tokens: int = 1) -> float:
        wait_s = self.buckets.take(key, RATE, tokens)
        return wait_s if isinstance(wait_s, float) else await wait_s

    def count(self, result: str) -> int:
        (family,) = [one for one in self.stats.families() if one.name == "fastsmtp_state_queries_total"]
        return self.stats.cells[family.children[(result,)]]


def play_hosts(server: RedisServer, scenario: Callable[[Host, Host], Awaitable[None]]) -> None:
    async def main() -> None:
        one, other = Host(server), Host(server)
        await one.link.open()
        await other.link.open()
        try:
            async with asyncio.timeout(60):
                await scenario(one, other)
        finally:
            await one.link.close()
            await other.link.close()
        assert len(asyncio.all_tasks()) == 1, "nothing is left behind"

    asyncio.run(main())


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - what is waited for is the state of a link
            await asyncio.sleep(0.01)


def test_hosts_take_out_of_one_bucket(tmp_path: Path) -> None:
    async def scenario(one: Host, other: Host) -> None:
        assert [await one.take("a"), await other.take("a"), await one.take("a")] == [0.0] * 3
        assert await one.take("a", 0) == pytest.approx(1200, abs=5)
        assert await other.take("a") == pytest.approx(1200, abs=5)
        other.buckets.give_back("a", RATE)
        async with asyncio.timeout(10):
            while await one.take("a") != 0.0:  # noqa: ASYNC110 - another process has to get on
                await asyncio.sleep(0.01)
        assert await other.take("b") == 0.0
        assert await other.take("b", 4) == float("inf")

    with running_redis(tmp_path) as server:
        play_hosts(server, scenario)


def test_what_a_host_alone_has_had_is_not_asked_for(tmp_path: Path) -> None:
    async def scenario(one: Host, other: Host) -> None:
        assert [await one.take("a") for _ in range(3)] == [0.0] * 3
        asked = one.count("ok")
        assert await one.take("a") == 1200.0
        assert one.count("ok") == asked

    with running_redis(tmp_path) as server:
        play_hosts(server, scenario)


@pytest.mark.parametrize("how", ["kill", "freeze"])
def test_one_that_is_away_leaves_each_host_its_own(tmp_path: Path, how: str, caplog: pytest.LogCaptureFixture) -> None:
    """Killed or frozen in the middle: bounded time, the buckets of the host, said once, and back when it is back."""

    async def scenario(one: Host, other: Host) -> None:
        assert await one.take("a") == 0.0
        getattr(server, how)()
        begun = time.monotonic()
        assert await asyncio.gather(*(one.take("b") for _ in range(50))) == [*[0.0] * 3, *[1200.0] * 47]
        assert time.monotonic() - begun < 20 * TIMEOUT_S, "they wait beside each other, and not one after another"
        assert not one.link.is_there
        assert isinstance(one.buckets.take("c", RATE), float), "nobody waits for who is away"
        store = RedisStore(one.link)
        with pytest.raises(StateError, match="is away"):
            await store.text("a", 0)
        if how == "kill":
            await asyncio.to_thread(server.start)
        else:
            server.thaw()
        await until(lambda: one.link.is_there)
        assert await one.take("d") == 0.0
        assert await one.take("c") == 0.0

    with caplog.at_level(logging.INFO, "fastsmtp.state"), running_redis(tmp_path) as server:
        play_hosts(server, scenario)
    said = [record.message for record in caplog.records]
    assert said.count("state is away") - said.count("state is back") in (0, 1), "the other host never asked"
    assert said[:2] == ["state is away", "state is back"]


def test_it_may_come_later(tmp_path: Path) -> None:
    async def scenario(one: Host, other: Host) -> None:
        assert not one.link.is_there
        assert await one.take("a") == 0.0
        await asyncio.to_thread(server.start)
        await until(lambda: one.link.is_there)
        assert await one.take("a") == 0.0

    with running_redis(tmp_path) as server:
        server.kill()
        play_hosts(server, scenario)


def test_one_that_cannot_be_written_is_away(tmp_path: Path) -> None:
    async def scenario(one: Host, other: Host) -> None:
        server.run("REPLICAOF", "127.0.0.1", "1")
        assert await one.take("a") == 0.0, "what this host says"
        with pytest.raises(StateError, match=r"is away: .*(read only|MASTER)"):
            await RedisStore(one.link).write(Batch(texts={"a": ("x", time.time() + 60)}))
        server.run("REPLICAOF", "NO", "ONE")
        await until(lambda: one.link.is_there)

    with running_redis(tmp_path) as server:
        play_hosts(server, scenario)


def test_a_restart_between_two_questions_is_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(one: Host, other: Host) -> None:
        assert await one.take("a") == 0.0
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)
        assert await one.take("b") == 0.0
        assert one.link.is_there

    with caplog.at_level(logging.INFO, "fastsmtp.state"), running_redis(tmp_path) as server:
        play_hosts(server, scenario)
    assert caplog.records == []


def test_a_password(tmp_path: Path) -> None:
    async def scenario(store: RecordStore) -> None:
        await store.write(Batch(texts={"a": ("one", time.time() + 60)}))
        assert await text(store, "a", 0) == "one"

    async def refused(store: RecordStore) -> None:
        with pytest.raises(StateError) as caught:
            await text(store, "a", 0)
        assert "wrong-one" not in str(caught.value)

    with running_redis(tmp_path, "--requirepass", "secret") as server:
        for password, wanted in (("secret", scenario), ("wrong-one", refused)):
            url = RedisUrl(f"valkey://:{password}@127.0.0.1:{server.port}")
            play(lambda url=url: RedisStore(redis_link(url, TIMEOUT_S, Stats())), wanted)  # type: ignore[misc]
