import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsmtp.config.rates import Rate, parse_rate


@pytest.mark.parametrize(
    ("written", "rate"),
    [
        ("20/minute", Rate(20, 60.0, 20)),
        ("20 / minute", Rate(20, 60.0, 20)),
        ("5/10s", Rate(5, 10.0, 5)),
        ("1/second", Rate(1, 1.0, 1)),
        ("1000/day", Rate(1000, 86_400.0, 1000)),
        ("3/15m", Rate(3, 900.0, 3)),
        ("7/2h", Rate(7, 7200.0, 7)),
        (Rate(1, 2.0, 3), Rate(1, 2.0, 3)),
    ],
)
def test_rates(written: object, rate: Rate) -> None:
    assert parse_rate(written) == rate


@pytest.mark.parametrize(
    "written",
    [
        "",
        "20",
        "20/",
        "/minute",
        "0/minute",
        "20/0s",
        "-1/minute",
        "20/minute\n",
        "1.5/s",
        "20/year",
        "1/400d",
        20,
        None,
        "٣/minute",
        "99999999999/s",
    ],
)
def test_what_is_no_rate_is_named(written: object) -> None:
    with pytest.raises(ValueError, match="is no rate; write one like"):
        parse_rate(written)


@pytest.mark.parametrize(
    ("rate", "burst", "words"),
    [
        ("1/day", 100, "100 at once, and then 1 per 86400 s, for 100 days until the bucket is full again"),
        ("1000/minute", 2, "2 at once is little for 1000 per 60 s"),
        ("1/day", 31, ""),
        ("100/minute", 1, ""),
        ("20/minute", 1000, ""),
    ],
)
def test_what_can_hardly_be_meant(rate: str, burst: int, words: str) -> None:
    oddity = parse_rate(rate).with_burst(burst).oddity
    assert words in oddity
    assert bool(words) == bool(oddity)


def test_a_token_takes_its_time() -> None:
    assert parse_rate("20/minute").interval_ns == 3_000_000_000
    assert parse_rate("20/minute").with_burst(5) == Rate(20, 60.0, 5)
    assert str(parse_rate("20/minute")) == "20 per 60 s"


@given(st.integers(1, 10**9), st.sampled_from(["second", "minute", "hour", "day", "ms"]))
def test_no_rate_is_too_fast_for_the_clock(count: int, unit: str) -> None:
    assert parse_rate(f"{count}/{unit}").interval_ns >= 1


def test_a_bucket_that_is_never_full_again_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="more than a century"):
        parse_rate("1/day").with_burst(100_000)
