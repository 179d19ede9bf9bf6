"""What each plugin takes of a message, as the server itself says on /metrics: `fastsmtp_plugin_seconds`."""

import urllib.request
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from bench.load.generator import Load, RunningLoad
from bench.peers.peer import RunningPeer

__all__ = ["shares"]

_SECONDS: Final = 2.0
_TIMEOUT_S: Final = 10


def shares(running: RunningPeer, load: Load, recipients: Path, folder: Path) -> tuple[dict[str, dict[str, float]], int]:
    """Of each plugin `us` and `hooks` a message, and how many messages were sent for that.

    The time is that between call and answer, waiting included. Raises SystemExit when the server refuses.
    """
    assert running.metrics is not None  # noqa: S101 - a narrowing for the type checker
    load = replace(load, seconds=_SECONDS)
    before_s, before_hooks = _read(running.metrics)
    with RunningLoad(running.address, running.peer.suited(load), recipients, folder, lmtp=running.peer.is_lmtp) as busy:
        busy.await_start()
        done = busy.result()
    if done.abandoned or not done.messages:
        raise SystemExit(f"{running.peer.name} was not to be looked at: {done.refusal}")
    after_s, after_hooks = _read(running.metrics)
    found = {
        plugin: {
            "us": (after_s[plugin] - before_s[plugin]) / done.messages * 1e6,
            "hooks": (after_hooks[plugin] - before_hooks[plugin]) / done.messages,
        }
        for plugin in after_s
    }
    return found, done.messages


def _read(address: str) -> tuple[dict[str, float], dict[str, float]]:
    """Seconds and calls so far, by plugin."""
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=_TIMEOUT_S) as answer:
        text = answer.read().decode()
    seconds, hooks = defaultdict[str, float](float), defaultdict[str, float](float)
    for family in text_string_to_metric_families(text):
        if family.name == "fastsmtp_plugin_seconds":
            for sample in family.samples:
                if sample.name.endswith("_sum"):
                    seconds[sample.labels["plugin"]] += sample.value
                elif sample.name.endswith("_count"):
                    hooks[sample.labels["plugin"]] += sample.value
    return seconds, hooks
