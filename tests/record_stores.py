"""What every store of records has to do, whatever it is made of."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from inspect import isawaitable

import pytest

from fastsmtp.state.records import Addition, Batch, RecordStore

HOUR = 3600.0

Scenario = Callable[[RecordStore], Awaitable[None]]


async def text(store: RecordStore, key: str, now_s: float) -> str | None:
    found = store.text(key, now_s)
    return await found if isawaitable(found) else found


async def score(store: RecordStore, key: str, now_s: float) -> float:
    found = store.score(key, HOUR, now_s)
    return await found if isawaitable(found) else found


async def add(store: RecordStore, key: str, amount: float, at_s: float) -> None:
    await store.write(Batch(additions={key: Addition(amount, HOUR, at_s)}))


async def texts_live_for_their_time(store: RecordStore) -> None:
    now = time.time()
    await store.write(Batch(texts={"a": ("one", now + 60), "b": ("\udc80 é", now + 60), "": ("", now + 60)}))
    assert await text(store, "a", now) == "one"
    assert await text(store, "", now) == ""
    assert await text(store, "c", now) is None
    await store.write(Batch(texts={"a": ("two", now + 60)}))
    assert await text(store, "a", now) == "two"
    await store.write(Batch(texts={"a": ("three", now - 1)}))
    assert await text(store, "a", now) is None


async def scores_decay(store: RecordStore) -> None:
    now = time.time()
    assert await score(store, "a", now) == 0.0
    await add(store, "a", 8, now - 2 * HOUR)
    assert await score(store, "a", now) == pytest.approx(2.0, rel=0.01)
    await add(store, "a", -1, now)
    assert await score(store, "a", now) == pytest.approx(1.0, rel=0.01)
    assert await score(store, "b", now) == 0.0


async def text_and_score_of_one_name_are_two_things(store: RecordStore) -> None:
    now = time.time()
    await store.write(Batch({"a": ("one", now + 60)}, {"a": Addition(3.0, HOUR, now)}))
    assert await text(store, "a", now) == "one"
    assert await score(store, "a", now) == pytest.approx(3.0, rel=0.01)


SCENARIOS = [texts_live_for_their_time, scores_decay, text_and_score_of_one_name_are_two_things]


def play(make: Callable[[], RecordStore], scenario: Scenario) -> None:
    async def main() -> None:
        store = make()
        await store.open()
        try:
            async with asyncio.timeout(30):
                await scenario(store)
        finally:
            await store.close()

    asyncio.run(main())
