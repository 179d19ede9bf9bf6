"""What all connections of a worker share."""

from fastsmtp.server.shared import ConnectionStats
from fastsmtp.stats import Stats


def test_every_counter_is_there_before_anything_happens() -> None:
    stats = Stats()
    ConnectionStats(stats, frozenset())
    names = {family.name for family in stats.families()}
    assert {"fastsmtp_connections", "fastsmtp_replies_total", "fastsmtp_transactions_total"} <= names
    assert not any(stats.cells)
