"""The chart is XML whose bars are as high as they should be."""

from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsmtp.server.status.chart import chart
from fastsmtp.server.status.history import OUTCOMES, SAMPLES, Sample, Span


def spans(*counts: tuple[int, int, int]) -> list[Span]:
    total = [0, 0, 0]
    samples = [Sample(0.0, dict.fromkeys(OUTCOMES, 0), {}, (), ())]
    for number, count in enumerate(counts, 1):
        total = [one + more for one, more in zip(total, count, strict=True)]
        samples.append(Sample(10.0 * number, dict(zip(OUTCOMES, total, strict=True)), {}, (), ()))
    return [Span(earlier, later) for earlier, later in pairwise(samples)]


def drawn(*counts: tuple[int, int, int]) -> ET.Element:
    return ET.fromstring(f"<div>{chart(spans(*counts))}</div>")  # noqa: S314 - it is ours


def heights(picture: ET.Element, outcome: str) -> list[float]:
    return [float(bar.attrib["height"]) for bar in picture.iter("rect") if bar.attrib["class"] == outcome]


def test_bars_are_stacked() -> None:
    picture = drawn((100, 50, 20), (0, 0, 0), (200, 0, 0))
    first, second = heights(picture, "stored")
    assert second == pytest.approx(2 * first, abs=0.1)
    assert heights(picture, "deferred") == [pytest.approx(first / 2, abs=0.1)]
    assert heights(picture, "refused") == [pytest.approx(first / 5, abs=0.1)]
    titles = [title.text for title in picture.iter("title")]
    assert titles[0] == "10.0 stored, 5.0 deferred, 2.0 refused a second"
    assert len(titles) == 2  # where nothing was, nothing is drawn


@pytest.mark.parametrize(("stored", "top"), [(0, "1"), (10, "1"), (11, "2"), (499, "50"), (60_000, "10,000")])
def test_the_scale_ends_with_a_round_number(stored: int, top: str) -> None:
    assert [text.text for text in drawn((stored, 0, 0)).iter("text")][2] == top


def test_nothing_yet() -> None:
    assert list(drawn().iter("rect")) == []


@given(st.lists(st.tuples(*[st.integers(0, 10**6)] * 3), max_size=SAMPLES))
def test_all_is_inside(counts: list[tuple[int, int, int]]) -> None:
    picture = drawn(*counts)
    (svg,) = picture.iter("svg")
    width, height = map(float, svg.attrib["viewBox"].split()[2:])
    for bar in picture.iter("rect"):
        x, y, wide, high = (float(bar.attrib[name]) for name in ("x", "y", "width", "height"))
        assert 0 <= x < x + wide <= width
        assert 0 <= y <= y + high <= height
