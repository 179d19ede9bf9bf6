"""Samples, and what came between them."""

from fastsmtp.server.status.figures import Figures
from fastsmtp.server.status.history import OUTCOMES, SAMPLES, History, Sample
from fastsmtp.stats import Stats


def sample(at_s: float, stored: int = 0, refused: int = 0, cpu_ns: int = 0, times: tuple[int, ...] = (0, 0)) -> Sample:
    return Sample(at_s, {"stored": stored, "deferred": 0, "refused": refused}, {"0": cpu_ns}, (10,), times)


def test_a_sample_of_what_is_counted() -> None:
    stats = Stats()
    transactions = stats.counter("fastsmtp_transactions_total", "T.", listener=("a", "b"), outcome=("stored", "lost"))
    for listener in "ab":
        stats.cells[stats.cell(transactions, listener, "stored")] = 3
        stats.cells[stats.cell(transactions, listener, "lost")] = 100
    replies = stats.counter("fastsmtp_replies_total", "R.", verb=("MAIL",), class_=("2xx", "4xx", "5xx"))
    for number, klass in enumerate(("2xx", "4xx", "5xx"), 1):
        stats.cells[stats.cell(replies, "MAIL", klass)] = number
    cpu = stats.counter("fastsmtp_worker_cpu_seconds_total", "CPU.", worker=("0", "1"))
    stats.cells[stats.cell(cpu, "1")] = 7
    times = stats.histogram("fastsmtp_transaction_seconds", "Times.", bounds=(10,), outcome=("stored", "lost"))
    stats.timer(times, "stored").observe(11)
    stats.timer(times, "lost").observe(1)
    assert Sample.of(5.0, Figures(stats.totals())) == Sample(
        5.0, {"stored": 6, "deferred": 2, "refused": 3}, {"0": 0, "1": 7}, (10,), [0, 1]
    )


def test_a_sample_before_anything_is_counted() -> None:
    first = Sample.of(0.0, Figures(iter(())))
    assert [first.outcomes[outcome] for outcome in OUTCOMES] == [0, 0, 0]
    later = sample(10.0, stored=5, times=(2, 3))
    history = History()
    history.take(first)
    assert history.lately(later, 60).per_second("stored") == 0.5
    assert history.lately(later, 60).times() == [2, 3]


def test_what_came_between() -> None:
    history = History()
    history.take(sample(100.0, stored=10, refused=1, cpu_ns=1_000_000_000, times=(5, 0)))
    history.take(sample(110.0, stored=30, refused=2, cpu_ns=6_000_000_000, times=(7, 1)))
    (span,) = history.spans()
    assert (span.seconds, span.count("stored"), span.per_second("stored")) == (10.0, 20, 2.0)
    assert (span.per_second("refused"), span.per_second("deferred")) == (0.1, 0.0)
    assert (span.cpu_share("0"), span.cpu_share("1")) == (0.5, 0.0)
    assert span.times() == [2, 1]


def test_lately() -> None:
    history = History()
    now = sample(100.0, stored=100)
    assert history.lately(now, 60.0).per_second("stored") == 0.0
    for at_s in (70.0, 80.0, 90.0):
        history.take(sample(at_s, stored=int(at_s)))
    assert history.lately(now, 15.0).earlier.at_s == 80.0
    assert history.lately(now, 60.0).earlier.at_s == 70.0


def test_the_oldest_goes() -> None:
    history = History()
    for number in range(3 * SAMPLES):
        history.take(sample(float(number)))
    spans = list(history.spans())
    assert len(spans) == SAMPLES
    assert spans[-1].later.at_s == 3 * SAMPLES - 1
