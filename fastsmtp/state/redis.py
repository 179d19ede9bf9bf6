"""State at a Valkey or Redis server: records and buckets in keys that end by themselves, changed by small scripts.

A script is one step for everybody, and its time is the server's, so that the clocks of hosts need not agree.
"""

import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from itertools import islice
from typing import Any, Final

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from fastsmtp.config.state import RedisUrl
from fastsmtp.ports import Rate
from fastsmtp.state.link import Link
from fastsmtp.state.records import FORGOTTEN_HALF_LIVES, Batch, decayed
from fastsmtp.stats import Stats

__all__ = ["RedisBuckets", "RedisStore", "redis_link"]

_CONNECTIONS: Final = 8
_AT_ONCE: Final = 500
"""Changes that are sent together; there are other questions than ours."""

_TAKE: Final = """
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local interval, burst, tokens = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local full = math.max(now, tonumber(redis.call('GET', KEYS[1]) or 0))
local early = full + (math.max(tokens, 1) - burst) * interval - now
if early > 0 then return math.ceil(early) end
if tokens > 0 then
  full = full + tokens * interval
  redis.call('SET', KEYS[1], string.format('%.0f', full), 'PX', math.ceil((full - now) / 1000) + 1)
end
return 0
"""
_GIVE_BACK: Final = """
local full = redis.call('GET', KEYS[1])
if full then redis.call('SET', KEYS[1], string.format('%.0f', full - ARGV[1]), 'KEEPTTL') end
"""
_ADD: Final = """
local clock = redis.call('TIME')
local now = clock[1] + clock[2] / 1000000
local amount, half_life = tonumber(ARGV[1]), tonumber(ARGV[2])
local before, at = string.match(redis.call('GET', KEYS[1]) or '', '^(%S+) (%S+)$')
if before then amount = amount + before * 0.5 ^ (math.max(0, now - at) / half_life) end
redis.call('SET', KEYS[1], string.format('%.17g %.6f', amount, now), 'PX', ARGV[3])
"""


class _Peer:
    """The client, with its scripts."""

    def __init__(self, url: RedisUrl) -> None:
        # A connection that was idle while the server was restarted is made anew, once; the rest is up to the link.
        pool = BlockingConnectionPool.from_url(
            url.client_url, max_connections=_CONNECTIONS, timeout=None, retry=Retry(NoBackoff(), 1)
        )
        self.client: Redis = Redis.from_pool(pool)
        self.take = self.client.register_script(_TAKE)
        self.give_back = self.client.register_script(_GIVE_BACK)
        self.add = self.client.register_script(_ADD)

    async def close(self) -> None:
        """Let go of its connections."""
        await self.client.aclose()


def redis_link(url: RedisUrl, timeout_s: float, stats: Stats) -> Link[_Peer]:
    """To this server; it is there when it can be written to."""

    async def connect() -> _Peer:
        peer = _Peer(url)
        try:
            await peer.client.set("fastsmtp:hello", "", px=1000)  # a replica, or one that is full, answers to a ping
        except BaseException:
            await peer.close()
            raise
        return peer

    return Link(connect, (RedisError,), str(url), timeout_s, stats)


class RedisStore:
    """Implements `RecordStore`. The server drops by itself what has ended."""

    def __init__(self, link: Link[_Peer]) -> None:
        self._link = link

    async def open(self) -> None:
        """Connect, or begin to try."""
        await self._link.open()

    async def close(self) -> None:
        """Let go of the link."""
        await self._link.close()

    async def text(self, key: str, now_s: float) -> str | None:  # noqa: ARG002 - the server knows what has ended
        """As for every store."""
        found = await self._get(_text_key(key))
        return None if found is None else found.decode(errors="replace")

    async def score(self, key: str, half_life_s: float, now_s: float) -> float:
        """As for every store."""
        found = await self._get(_score_key(key))
        if found is None:
            return 0.0
        amount, at_s = map(float, found.split())
        return decayed(amount, now_s - at_s, half_life_s)

    async def write(self, batch: Batch) -> None:
        """As for every store, some hundreds at a time."""
        changes = iter([*_puts(batch), *_adds(batch)])
        while some := list(islice(changes, _AT_ONCE)):
            await self._link.ask(partial(_send, some))

    async def _get(self, key: bytes) -> bytes | None:
        found: Any = await self._link.ask(lambda peer: peer.client.get(key))  # bytes, since we do not have it decoded
        return None if found is None else bytes(found)

    async def purge(self, now_s: float) -> None:
        """There is nothing to do."""


class RedisBuckets:
    """Implements `RemoteBuckets`."""

    def __init__(self, link: Link[_Peer]) -> None:
        self._link = link

    @property
    def is_there(self) -> bool:
        """Whether it makes sense to ask."""
        return self._link.is_there

    async def take(self, key: str, rate: Rate, tokens: int) -> float:
        """As for all buckets. Raises StateError."""
        keys, args = [_bucket_key(key)], [rate.interval_ns / 1000, rate.burst, tokens]
        wait_us: int = await self._link.ask(lambda peer: peer.take(keys=keys, args=args))
        return wait_us / 1e6

    def give_back(self, key: str, rate: Rate, tokens: int) -> None:
        """As for all buckets; nobody waits."""
        keys, args = [_bucket_key(key)], [tokens * rate.interval_ns / 1000]
        self._link.start(lambda peer: peer.give_back(keys=keys, args=args))


_Change = Callable[[_Peer, Any], Awaitable[object]]


def _puts(batch: Batch) -> Iterable[_Change]:
    now_s = time.time()
    for key, (text, until_s) in batch.texts.items():
        lifetime_ms = round((until_s - now_s) * 1000)
        octets = text.encode(errors="backslashreplace")
        yield partial(_put, _text_key(key), octets, lifetime_ms)


def _adds(batch: Batch) -> Iterable[_Change]:
    for key, one in batch.additions.items():
        amount = decayed(one.amount, time.time() - one.at_s, one.half_life_s)
        lifetime_ms = round(FORGOTTEN_HALF_LIVES * one.half_life_s * 1000)
        args = [repr(amount), repr(one.half_life_s), str(lifetime_ms)]
        yield partial(_add, _score_key(key), args)


async def _put(key: bytes, octets: bytes, lifetime_ms: int, _: _Peer, pipe: Any) -> None:
    await (pipe.set(key, octets, px=lifetime_ms) if lifetime_ms > 0 else pipe.delete(key))


async def _add(key: bytes, args: Sequence[str], peer: _Peer, pipe: Any) -> None:
    await peer.add(keys=[key], args=args, client=pipe)


async def _send(changes: Iterable[_Change], peer: _Peer) -> None:
    async with peer.client.pipeline(transaction=False) as pipe:
        for change in changes:
            await change(peer, pipe)
        await pipe.execute()


def _text_key(key: str) -> bytes:
    return b"fastsmtp:text:" + key.encode(errors="backslashreplace")


def _score_key(key: str) -> bytes:
    return b"fastsmtp:score:" + key.encode(errors="backslashreplace")


def _bucket_key(key: str) -> bytes:
    return b"fastsmtp:bucket:" + key.encode(errors="backslashreplace")
