import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from fastsmtp.config.units import DURATION_UNITS, SIZE_UNITS, Size, parse_duration, parse_size


@pytest.mark.parametrize(
    ("written", "octets"),
    [
        (0, 0),
        (512, 512),
        ("0B", 0),
        ("10MB", 10_000_000),
        ("25MiB", 26_214_400),
        ("1 GiB", 1_073_741_824),
        ("64KiB", 65_536),
    ],
)
def test_sizes(written: object, octets: int) -> None:
    assert parse_size(written) == octets


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        (0, 0.0),
        (90, 90.0),
        (1.5, 1.5),
        ("250ms", 0.25),
        ("60s", 60.0),
        ("5m", 300.0),
        ("4h", 14_400.0),
        ("1d", 86_400.0),
    ],
)
def test_durations(written: object, seconds: float) -> None:
    assert parse_duration(written) == seconds


@pytest.mark.parametrize(
    "written",
    [-1, 1.5, True, None, [], "", "25", "25M", "25mib", "-1B", "1.5MiB", "25  MiB", "٣MiB", "25MiB\n", "9" * 16 + "B"],
)
def test_what_is_no_size_is_named(written: object) -> None:
    with pytest.raises(ValueError, match="is not a size; write octets"):
        parse_size(written)


@pytest.mark.parametrize(
    "written", [-1, -0.5, float("inf"), float("nan"), True, None, {}, "", "5", "5min", "-5s", "5S", "1h30m", "5s\n"]
)
def test_what_is_no_duration_is_named(written: object) -> None:
    with pytest.raises(ValueError, match="is not a duration; write seconds"):
        parse_duration(written)


@given(st.integers(0, 10**15 - 1), st.sampled_from(sorted(SIZE_UNITS)), st.sampled_from(["", " "]))
def test_every_number_goes_with_every_size_unit(number: int, unit: str, blank: str) -> None:
    assert parse_size(f"{number}{blank}{unit}") == number * SIZE_UNITS[unit]


@given(st.text(max_size=12))
def test_text_is_a_quantity_or_a_value_error(text: str) -> None:
    for parse, units in ((parse_size, set(SIZE_UNITS)), (parse_duration, set(DURATION_UNITS))):
        try:
            value = parse(text)
        except ValueError:
            continue
        assert value >= 0
        assert text.lstrip("0123456789 ") in units


def test_a_size_is_what_can_be_counted() -> None:
    sizes = TypeAdapter[int](Size)
    assert sizes.validate_python("8589934591GiB") == 2**63 - 2**30
    with pytest.raises(ValidationError, match="octets are too much; write less than 8 EiB"):
        sizes.validate_python("8589934592GiB")
