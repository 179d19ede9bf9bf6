"""The page of metrics names everything that a server counts."""

import re

from fastsmtp.server.document import document

ROW = re.compile(r"^\| `(fastsmtp_[a-z_]+)` \| (counter|gauge|histogram) \| ([^|]*) \| ([^|]+\.) \|$", re.MULTILINE)


def test_every_row_is_a_metric_with_a_sentence() -> None:
    rows = ROW.findall(document())
    names = [name for name, *_ in rows]
    assert len(names) == len(set(names)) == document().count("| `fastsmtp_")
    assert {"fastsmtp_replies_total", "fastsmtp_plugin_seconds", "fastsmtp_store_commit_seconds"} <= set(names)


def test_labels_with_few_values_list_them() -> None:
    labels = {name: labels for name, _, labels, _ in ROW.findall(document())}
    assert labels["fastsmtp_transactions_total"] == "listener; outcome: deferred, lost, refused, reset, stored"
    assert labels["fastsmtp_plugin_answers_total"] == "plugin; stage; mode; answer"


def test_counters_end_in_total_and_nothing_else_does() -> None:
    assert all((kind == "counter") == name.endswith("_total") for name, kind, *_ in ROW.findall(document()))
