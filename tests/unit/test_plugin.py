"""What authors import."""

import asyncio
import logging
from collections.abc import Awaitable

import pytest

from fastsmtp import plugin
from fastsmtp.plugin import Authentication, Connection, NoOptions, Plugin, Stage, Transaction, at_once, naughty
from fastsmtp.smtp.record import Result


def connection() -> Connection:
    return Connection("C1", "192.0.2.1", 1, "192.0.2.25", 25)


def test_every_name_that_is_promised_is_there() -> None:
    assert [name for name in plugin.__all__ if not hasattr(plugin, name)] == []


def test_every_stage_has_its_hook_and_no_hook_has_an_opinion() -> None:
    hooks = {name for name in vars(Plugin) if name.startswith("on_")}
    assert hooks == {stage.value for stage in Stage}
    for stage in Stage:
        assert getattr(Plugin, stage.value).__doc__, stage


def test_a_plugin_has_options_a_name_and_a_log() -> None:
    made = Plugin(NoOptions(), "mine")
    assert (made.options, made.name, made.log) == (NoOptions(), "mine", logging.getLogger("fastsmtp.plugin.mine"))


def test_findings_go_where_they_belong() -> None:
    made = Plugin(NoOptions(), "mine")
    client = connection()
    transaction = Transaction("T1", client)
    made.record(client, "pass", "known")
    made.record(transaction, "fail", "ugly")
    found = Authentication("iprev", "pass", (("policy", "iprev", "192.0.2.1"),))
    made.record(transaction, "pass", "known", found)
    assert client.results == [Result("mine", "pass", "known")]
    assert transaction.results == [Result("mine", "fail", "ugly"), Result("mine", "pass", "known", found)]


def test_naughty_is_a_refusal_that_waits() -> None:
    assert str(naughty("bad neighbourhood").reply) == "550 5.7.1 bad neighbourhood"
    assert not naughty("bad neighbourhood").is_observed
    assert naughty("bad manners", is_observed=True).is_observed
    assert str(naughty("slow down", enhanced="4.7.0", code=450).reply) == "450 4.7.0 slow down"
    with pytest.raises(ValueError, match="does not go with"):
        naughty("x", enhanced="4.7.0")


async def work(*futures: "asyncio.Future[int]") -> int:
    total = 0
    for future in futures:
        try:
            total += await future
        except ZeroDivisionError:
            total += 100
    return total


def test_what_waits_for_nothing_is_there_at_once() -> None:
    assert at_once(work()) == 0


def test_what_waits_goes_on_where_it_was() -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        futures: list[asyncio.Future[int]] = [loop.create_future() for _ in range(4)]
        futures[0].set_result(1)
        pending = at_once(work(*futures))
        assert isinstance(pending, Awaitable)
        waiting = asyncio.ensure_future(pending)
        futures[1].set_result(2)
        await asyncio.sleep(0)
        futures[2].set_exception(ZeroDivisionError())
        loop.call_later(0.001, futures[3].set_result, 4)
        assert await waiting == 107

    asyncio.run(run())


def test_what_waits_can_be_cancelled_and_fail() -> None:
    async def fail() -> None:
        await asyncio.sleep(0)
        raise ValueError("no")

    async def run() -> None:
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        waiting = asyncio.ensure_future(at_once(work(future)))  # type: ignore[arg-type] # it has to wait
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert future.cancelled()
        pending = at_once(fail())
        assert pending is not None
        with pytest.raises(ValueError, match="no"):
            await pending

    asyncio.run(run())
    with pytest.raises(ZeroDivisionError):
        at_once(divide())


async def divide() -> None:
    raise ZeroDivisionError
