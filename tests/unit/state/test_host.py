"""The buckets of a host, by the names that plugins give them."""

from fastsmtp.config.rates import parse_rate
from fastsmtp.state.host import BucketMemory, HostBuckets, bucket_table
from fastsmtp.stats import Stats
from fastsmtp.testing import SettableClock

RATE = parse_rate("2/minute")


def test_workers_share_them() -> None:
    memory, clock = BucketMemory(64), SettableClock()
    one, other = (HostBuckets(bucket_table(memory.descriptor), clock, Stats()) for _ in range(2))
    memory.close()
    assert [one.take("a", RATE), other.take("a", RATE), one.take("a", RATE), other.take("a", RATE, 0)] == [0, 0, 30, 30]
    assert other.take("b", RATE) == 0.0
    other.give_back("a", RATE)
    assert [one.take("a", RATE), other.take("a", RATE)] == [0.0, 30.0]
    clock.advance(30)
    assert [other.take("a", RATE), one.take("a", RATE)] == [0.0, 30.0]


def test_any_text_is_a_key() -> None:
    memory = BucketMemory(64)
    buckets = HostBuckets(bucket_table(memory.descriptor), SettableClock(), Stats())
    memory.close()
    assert buckets.take("\udc80", RATE, 2) == 0.0
    assert buckets.take("", RATE, 2) == 0.0
    assert [buckets.take("\udc80", RATE), buckets.take("\udc81", RATE)] == [30.0, 0.0]


def test_what_is_forgotten_too_early_is_counted() -> None:
    memory, stats = BucketMemory(8), Stats()
    buckets = HostBuckets(bucket_table(memory.descriptor), SettableClock(), stats)
    memory.close()
    for number in range(8):
        buckets.take(str(number), RATE)
    (family,) = [one for one in stats.families() if one.name == "fastsmtp_state_buckets_forgotten_total"]
    (cell,) = family.children.values()
    assert stats.cells[cell] == 0
    buckets.take("one more", RATE)
    assert stats.cells[cell] == 1
