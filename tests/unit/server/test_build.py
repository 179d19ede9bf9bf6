"""From settings to what a listener runs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastsmtp.config.model import Settings
from fastsmtp.delivery.discard import DiscardStore
from fastsmtp.directory.memory import MemoryDirectory
from fastsmtp.pipeline.chain import Chain
from fastsmtp.pipeline.loader import LoadedPlugin, load_plugins
from fastsmtp.pipeline.pipeline import Pipeline
from fastsmtp.server.build import build_pipelines, session_options
from fastsmtp.server.clock import SystemClock
from fastsmtp.smtp.effects import Stage
from fastsmtp.stats import Stats

PLUGINS: Sequence[dict[str, Any]] = ({"use": "loop"}, {"use": "block_sender", "options": {"domains": ["a.example"]}})


def settings(**tables: Any) -> Settings:
    return Settings.model_validate({"hostname": "mx.example.test", **tables}, context={"base": Path("/srv")})


def pipeline(plugins: Sequence[LoadedPlugin] = ()) -> Pipeline:
    stats = Stats()
    return Pipeline(Chain(plugins, stats, SystemClock()), MemoryDirectory(), DiscardStore(), stats)


def test_listeners_with_the_same_plugins_have_the_same_pipeline() -> None:
    given = settings(
        plugin=PLUGINS,
        listener=[
            {"address": "127.0.0.1:1"},
            {"address": "127.0.0.1:2", "plugins": ["block_sender", "loop"]},
            {"address": "127.0.0.1:3", "plugins": ["loop"]},
            {"address": "127.0.0.1:4", "plugins": []},
            {"address": "127.0.0.1:5", "plugins": ["loop"]},
        ],
    )
    asked: list[list[str]] = []

    def build(chosen: Sequence[LoadedPlugin]) -> Pipeline:
        asked.append([loaded.name for loaded in chosen])
        return pipeline(chosen)

    every, again, loop, nothing, loop_again = build_pipelines(given.listeners, load_plugins(given.plugin), build)

    assert asked == [["loop", "block_sender"], ["loop"], []]  # in the order of the file
    assert every is again
    assert loop is loop_again
    assert every.asks == {Stage.MAIL, Stage.RCPT, Stage.HEADERS, Stage.QUEUE}
    assert loop.asks == {Stage.RCPT, Stage.HEADERS, Stage.QUEUE}
    assert nothing.asks == {Stage.RCPT, Stage.QUEUE}


def test_session_options_carry_the_limits() -> None:
    given = settings(limits={"message_size": 1000, "recipients": 3}, smtp={"bare_newline": "reject"})

    options = session_options(given, given.listeners[0], pipeline())

    assert (options.message_size, options.recipients, options.bare_newline) == (1000, 3, "reject")
    assert options.extensions["SIZE"] == "1000"
