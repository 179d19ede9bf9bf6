import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.load.histogram import Histogram

VALUES = st.lists(st.integers(0, 10**9), min_size=1)


def histogram(values: list[int]) -> Histogram:
    return Histogram((value, 1) for value in values)


@pytest.mark.parametrize(
    ("percent", "expected_ms"), [(0, 1), (50, 5), (50.1, 6), (90, 9), (99, 10), (99.9, 10), (100, 10)]
)
def test_percentile(percent: float, expected_ms: float) -> None:
    assert histogram([number * 1_000_000 for number in range(1, 11)]).percentile_ms(percent) == expected_ms


@given(values=VALUES, percent=st.floats(0, 100))
def test_a_percentile_is_a_value_that_so_many_do_not_exceed(values: list[int], percent: float) -> None:
    found = round(histogram(values).percentile_ms(percent) * 1e6)
    assert found in values
    assert sum(value <= found for value in values) >= len(values) * percent / 100
    assert sum(value < found for value in values) <= max(0, len(values) * percent / 100)


@given(one=VALUES, other=VALUES)
def test_the_sum_is_that_of_both_runs(one: list[int], other: list[int]) -> None:
    both = histogram(one) + histogram(other)
    assert both.buckets() == histogram(one + other).buckets()
    assert len(both) == len(one) + len(other)


def test_nothing_has_no_percentile() -> None:
    with pytest.raises(ValueError, match="nothing"):
        Histogram().percentile_ms(50)
