"""Writes docs/metrics.md from a server put together for it: `python -m fastsmtp.server.document > docs/metrics.md`."""

import asyncio
import sys
from typing import Final

from fastsmtp.config.log import LogSettings
from fastsmtp.config.model import Settings
from fastsmtp.log import open_log
from fastsmtp.server.clients import ClientMemory, client_table
from fastsmtp.server.processes.supervisor_stats import SupervisorStats
from fastsmtp.server.server import Server
from fastsmtp.smtp.sasl import MECHANISMS
from fastsmtp.state.host import BucketMemory, bucket_table
from fastsmtp.stats import Family, Stats

__all__ = ["document"]

_INTRODUCTION: Final = """\
# Metrics

`/metrics` on the address in `[metrics] listen` speaks the Prometheus text format (or OpenMetrics, to who asks for it);
`/healthz` beside it answers `200 ok`, and 503 with the reason while the server shuts down or its disk has failed.
`/readyz` does the same, and also says 503 while the directory is away and only recipients in the cache are taken.
`/` is the [status page](operations.md#the-status-page).

Every counter exists from the start, at zero, so that the first refusal is a change that an alert can see. Times are in
seconds. The hot path only adds integers; everything else happens when somebody scrapes. The usual `process_*` and
`python_info` metrics are there too.

| metric | kind | labels | what it counts |
|---|---|---|---|
"""

_PLUGINS: Final = """
`mode` is `active` or `shadow`; `answer` is one of {answers}.
"""


async def _families() -> list[Family]:
    settings = Settings.model_validate(
        {
            "hostname": "mx.example.org",
            "state": {"url": "postgresql://mx@db.example.org/mail"},
            "auth": {"enabled": True, "mechanisms": MECHANISMS},
            "plugin": [{"use": "block_sender", "options": {"domains": ["spam.example"]}}],
        }
    )
    clients = client_table(ClientMemory(1, 1).descriptor, 0)
    buckets = bucket_table(BucketMemory(1024).descriptor)
    worker = Server(settings, open_log(LogSettings()), Stats(), clients, buckets)
    return [*worker.stats.families(), *SupervisorStats().stats.families()]


def _label(family: Family, position: int) -> str:
    """A label with its values, where they are few and the same everywhere."""
    name = family.labels[position]
    values = sorted({values[position] for values in family.children})
    is_short = name not in {"verb", "stage", "plugin", "mode", "answer", "certificate", "listener", "worker"}
    return f"{name}: {', '.join(filter(None, values))}" if is_short else name


def document() -> str:
    """The page as Markdown."""
    families = asyncio.run(_families())
    rows = []
    for family in families:
        labels = "; ".join(_label(family, position) for position in range(len(family.labels)))
        rows.append(f"| `{family.name}` | {family.kind} | {labels} | {family.help} |\n")
    answers = next(family for family in families if family.name == "fastsmtp_plugin_answers_total")
    position = answers.labels.index("answer")
    named = ", ".join(f"`{answer}`" for answer in dict.fromkeys(values[position] for values in answers.children))
    return _INTRODUCTION + "".join(rows) + _PLUGINS.format(answers=named)


if __name__ == "__main__":
    sys.stdout.write(document())
