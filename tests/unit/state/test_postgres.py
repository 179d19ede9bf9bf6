"""State in a PostgreSQL that is really there, and then is not."""

import asyncio
import time

import postgres
import pytest
from record_stores import SCENARIOS, Scenario, add, play, score, text

from fastsmtp.config.places import PostgresUrl
from fastsmtp.config.rates import parse_rate
from fastsmtp.errors import StateError
from fastsmtp.state.memory import MemoryBuckets
from fastsmtp.state.postgres import PostgresBuckets, PostgresStore, postgres_link
from fastsmtp.state.records import Batch, RecordStore
from fastsmtp.state.several_hosts import SeveralHostsBuckets
from fastsmtp.stats import Stats
from fastsmtp.testing import SettableClock

RATE = parse_rate("3/hour")
TIMEOUT_S = 5.0


@pytest.fixture(scope="module")
def url() -> str:
    return postgres.shared_server().new_database()


def store(url: str, most: int = 1000) -> PostgresStore:
    return PostgresStore(postgres_link(PostgresUrl(url), TIMEOUT_S, Stats()), most)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_it_is_a_store(scenario: Scenario) -> None:
    url = postgres.shared_server().new_database()
    play(lambda: store(url), scenario)


def test_hosts_begin_at_the_same_time_and_add_up() -> None:
    url = postgres.shared_server().new_database()

    async def scenario(one: RecordStore) -> None:
        others = [store(url) for _ in range(4)]
        await asyncio.gather(*(other.open() for other in others))
        now = time.time()
        await asyncio.gather(*(add(other, "a", 1, now) for other in others for _ in range(5)))
        assert await score(one, "a", now) == 20.0
        await asyncio.gather(*(other.close() for other in others))

    play(lambda: store(url), scenario)


def test_what_has_ended_goes_and_what_is_too_much(url: str) -> None:
    async def scenario(one: RecordStore) -> None:
        now = time.time()
        ended = {f"ended {number}": ("x", now - 1) for number in range(2500)}
        lives = {f"lives {number}": ("x", now + 100 + number) for number in range(1500)}
        await one.write(Batch(texts=ended | lives))
        await add(one, "gone", 1, now - 17 * 3600)
        await add(one, "here", 1, now)
        await one.purge(now)
        assert await asyncio.to_thread(postgres.query, url, "SELECT count(*) FROM fastsmtp_text") == [(1500,)]
        assert await asyncio.to_thread(postgres.query, url, "SELECT key FROM fastsmtp_score") == [("here",)]
        await asyncio.to_thread(postgres.run, url, "ANALYZE fastsmtp_text")
        await one.purge(now)
        found = await asyncio.to_thread(postgres.query, url, "SELECT count(*), min(until) FROM fastsmtp_text")
        assert found == [(1000, pytest.approx(now + 600, abs=1))]

    play(lambda: store(url), scenario)


def test_hosts_take_out_of_one_bucket(url: str) -> None:
    async def main() -> None:
        links = [postgres_link(PostgresUrl(url), TIMEOUT_S, Stats()) for _ in range(3)]
        for link in links:
            await link.open()
        one, other, third = (
            SeveralHostsBuckets(MemoryBuckets(SettableClock()), PostgresBuckets(link)) for link in links
        )

        async def take(buckets: SeveralHostsBuckets, key: str, tokens: int = 1) -> float:
            wait_s = buckets.take(key, RATE, tokens)
            return wait_s if isinstance(wait_s, float) else await wait_s

        taken = await asyncio.gather(*(take(host, "a") for host in (one, other, third) for _ in range(3)))
        assert sorted(taken)[:4] == [0.0, 0.0, 0.0, pytest.approx(1200, abs=10)]
        assert await take(one, "a", 0) == pytest.approx(1200, abs=10)
        assert await take(one, "b", 0) == 0.0
        assert await take(other, "b", 3) == 0.0
        assert await take(third, "b", 1) == pytest.approx(1200, abs=10)
        other.give_back("b", RATE)
        async with asyncio.timeout(10):
            while await take(third, "b") != 0.0:  # noqa: ASYNC110 - another process has to get on
                await asyncio.sleep(0.01)
        for link in links:
            await link.close()

    asyncio.run(main())


@pytest.mark.parametrize("how", ["kill", "freeze"])
def test_one_that_is_away_is_not_waited_for(how: str) -> None:
    server = postgres.started_server()
    url = server.new_database()

    async def main() -> None:
        link = postgres_link(PostgresUrl(url), TIMEOUT_S, Stats())
        await link.open()
        one = PostgresStore(link, 1000)
        buckets = SeveralHostsBuckets(MemoryBuckets(SettableClock()), PostgresBuckets(link))
        if how == "kill":
            await asyncio.to_thread(server.stop)
        else:
            server.freeze()
        begun = time.monotonic()
        answers = await asyncio.gather(*(text(one, "a", 0) for _ in range(20)), return_exceptions=True)
        assert all(isinstance(answer, StateError) for answer in answers)
        assert time.monotonic() - begun < 20 * TIMEOUT_S, "they wait beside each other, and not one after another"
        assert isinstance(buckets.take("z", RATE), float), "nobody waits for who is away"
        assert [buckets.take("a", RATE) for _ in range(4)] == [0.0, 0.0, 0.0, 1200.0]
        if how == "kill":
            await asyncio.to_thread(server.start)
        else:
            server.thaw()
        async with asyncio.timeout(30):
            while not link.is_there:  # noqa: ASYNC110 - what is waited for is the state of a link
                await asyncio.sleep(0.01)
        await one.write(Batch(texts={"a": ("one", time.time() + 60)}))
        assert await text(one, "a", time.time()) == "one"
        await link.close()
        assert len(asyncio.all_tasks()) == 1, "nothing is left behind"

    try:
        asyncio.run(main())
    finally:
        server.remove()
