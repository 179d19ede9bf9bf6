"""What all connections of a worker share."""

from fastsmtp.server.shared import ConnectionStats
from fastsmtp.stats import Stats


def test_every_counter_is_there_before_anything_happens() -> None:
    stats = Stats()
    ConnectionStats(stats, frozenset()).at_listener("mx")
    names = {family.name for family in stats.families()}
    assert {"fastsmtp_connections", "fastsmtp_replies_total", "fastsmtp_transactions_total"} <= names
    assert not any(stats.cells)


def test_listeners_are_counted_apart() -> None:
    stats = Stats()
    shared = ConnectionStats(stats, frozenset())
    one, other, again = (shared.at_listener(name) for name in ("mx", "lmtp", "mx"))
    assert one.accepted == again.accepted != other.accepted
    assert not {one.turned_away, *one.ended.values()} & {other.turned_away, *other.ended.values()}
    transactions = next(family for family in stats.families() if family.name == "fastsmtp_transactions_total")
    assert transactions.children["lmtp", "stored"] == other.ended["stored"]
