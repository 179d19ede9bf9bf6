"""A record as people and programs read it: who was asked what, what came of it, and why."""

from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["tell"]

_DROPPED = ("event", "answers", "connection_answers", "connection_results", "results", "refused", "replies")


def tell(record: Mapping[str, Any]) -> dict[str, Any]:
    """The record with its parts put together.

    `kind` is transaction or connection; `recipients` and `plugins` have one entry for each recipient that was named and
    for each time that a plugin was asked, in order; `findings` are those of nobody who was asked.
    """
    results = [one for one in record.get("results", ()) if isinstance(one, dict)]
    at_connection = record.get("connection_results", 0)
    plugins = [
        *_asked(record.get("connection_answers", ()), results[:at_connection]),
        *_asked(record.get("answers", ()), results[at_connection:]),
    ]
    told = {id(finding) for one in plugins for finding in one["findings"]}
    said = {(one["plugin"], f"{one['stage']}: {one['answer']}") for one in plugins}
    for one in plugins:
        one["findings"] = [finding for finding in one["findings"] if not _is_echo(finding, said)]
    story = {"kind": record.get("event", "transaction")}
    story.update((key, value) for key, value in record.items() if key not in _DROPPED)
    story["recipients"] = list(_recipients(record))
    story["refused_commands"] = [
        {"command": one[0], "reply": one[1]} for one in record.get("refused_commands", ()) if isinstance(one, list)
    ]
    story["plugins"] = plugins
    story["findings"] = []
    for finding in (one for one in results if id(one) not in told and not _is_echo(one, said)):
        asked = next((one for one in reversed(plugins) if one["plugin"] == finding["plugin"]), story)
        asked["findings"].append(finding)
    return story


def _recipients(record: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    replies = record.get("replies", ())
    for number, address in enumerate(record.get("recipients", ())):
        reply = replies[number] if number < len(replies) else "250 2.1.5 Recipient OK"
        yield {"address": address, "accepted": True, "reply": reply}
    for one in record.get("refused", ()):
        if isinstance(one, dict):
            yield {"address": one["recipient"], "accepted": False, "reply": one["reply"]}


def _asked(answers: Any, results: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Every answer with the findings that were written down while it was found."""
    begin = 0
    for one in answers:
        if not isinstance(one, list):  # "and 12 more": it was too long
            continue
        (plugin, stage, is_shadow), answer, took_ns, end = one
        findings = [finding for finding in results[begin:end] if finding["plugin"] == plugin]
        begin = end
        yield {
            "plugin": plugin,
            "stage": stage,
            "mode": "shadow" if is_shadow else "active",
            "answer": answer,
            "took_ms": round(took_ns / 1e6, 3),
            "findings": findings,
        }


def _is_echo(finding: Mapping[str, Any], said: set[tuple[str, str]]) -> bool:
    """Whether a finding says no more than an answer: the log wants it, where a plugin wrote none of its own."""
    return (finding["plugin"], str(finding["evidence"]).removeprefix("shadow ")) in said
