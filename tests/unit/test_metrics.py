from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from fastsmtp.metrics import build_registry
from fastsmtp.stats import Stats


def samples(stats: Stats) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    text = generate_latest(build_registry(stats)).decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_counters_and_gauges() -> None:
    stats = Stats()
    replies = stats.counter("fastsmtp_replies_total", "Replies.", verb=["MAIL", "RCPT"], class_=["2xx"])
    stats.gauge("fastsmtp_connections", "Open connections.")
    stats.cells[stats.cell(replies, "RCPT", "2xx")] += 3

    found = samples(stats)

    assert found["fastsmtp_replies_total", (("class", "2xx"), ("verb", "RCPT"))] == 3
    assert found["fastsmtp_replies_total", (("class", "2xx"), ("verb", "MAIL"))] == 0
    assert found["fastsmtp_connections", ()] == 0


def test_values_are_read_when_asked_for() -> None:
    stats = Stats()
    cell = stats.cell(stats.counter("fastsmtp_messages_total", "Messages."))
    registry = build_registry(stats)

    stats.cells[cell] += 1
    assert b"\nfastsmtp_messages_total 1.0\n" in generate_latest(registry)
    stats.cells[cell] += 1
    assert b"\nfastsmtp_messages_total 2.0\n" in generate_latest(registry)


def test_latencies_leave_as_seconds_in_cumulative_buckets() -> None:
    stats = Stats()
    family = stats.histogram("fastsmtp_stage_seconds", "Time.", bounds=(10_000, 1_000_000_000), stage=["rcpt"])
    timer = stats.timer(family, "rcpt")
    for nanoseconds in (9_000, 10_000, 500_000_000, 4_000_000_000):
        timer.observe(nanoseconds)

    found = samples(stats)

    name, stage = "fastsmtp_stage_seconds", ("stage", "rcpt")
    assert found[f"{name}_bucket", (("le", "1e-05"), stage)] == 2
    assert found[f"{name}_bucket", (("le", "1.0"), stage)] == 3
    assert found[f"{name}_bucket", (("le", "+Inf"), stage)] == 4
    assert found[f"{name}_count", (stage,)] == 4
    assert found[f"{name}_sum", (stage,)] == 4.500019


def test_histograms_of_other_things_keep_their_unit() -> None:
    stats = Stats()
    sizes = stats.timer(stats.histogram("fastsmtp_message_bytes", "Sizes.", bounds=(1024, 65_536)))
    sizes.observe(2_000)

    found = samples(stats)

    assert found["fastsmtp_message_bytes_bucket", (("le", "1024.0"),)] == 0
    assert found["fastsmtp_message_bytes_bucket", (("le", "65536.0"),)] == 1
    assert found["fastsmtp_message_bytes_sum", ()] == 2_000


def test_counted_time_leaves_as_seconds() -> None:
    stats = Stats()
    stats.cells[stats.cell(stats.counter("fastsmtp_busy_seconds_total", "Time."))] += 1_500_000_000

    assert samples(stats)["fastsmtp_busy_seconds_total", ()] == 1.5


def test_process_and_python_are_there() -> None:
    names = {name for name, _ in samples(Stats())}

    assert {"process_resident_memory_bytes", "process_open_fds", "python_info"} <= names
