"""What was stored, deferred and refused over time, as an SVG that needs no script."""

from collections.abc import Iterator, Sequence
from typing import Final

from fastsmtp.server.status.history import OUTCOMES, SAMPLES, Span

__all__ = ["chart"]

_LEGEND: Final = ("messages stored", "deferrals (4xx)", "refusals (5xx)")
_WIDTH: Final = 900
_HEIGHT: Final = 140
_LEFT: Final = 54
_BOTTOM: Final = 16
_BAR: Final = (_WIDTH - _LEFT) / SAMPLES


def chart(spans: Sequence[Span]) -> str:
    """A stacked bar for each span, the newest at the right, with its figures to whoever points at it."""
    most = max((sum(span.per_second(outcome) for outcome in OUTCOMES) for span in spans), default=0.0)
    top = _round_above(most)
    bars = "".join(_bars(spans, top))
    lines = "".join(_lines(top))
    legend = "".join(f'<i class="{outcome}"></i>{said} ' for outcome, said in zip(OUTCOMES, _LEGEND, strict=True))
    return (
        f'<p class="legend">{legend}</p><svg viewBox="0 0 {_WIDTH} {_HEIGHT + _BOTTOM}" role="img" '
        f'aria-label="stored, deferred and refused a second">{lines}{bars}'
        f'<text x="{_LEFT}" y="{_HEIGHT + 13}">30 minutes ago</text>'
        f'<text x="{_WIDTH}" y="{_HEIGHT + 13}" text-anchor="end">now</text></svg>'
    )


def _bars(spans: Sequence[Span], top: float) -> Iterator[str]:
    for place, span in enumerate(spans, SAMPLES - len(spans)):
        said = ", ".join(f"{span.per_second(outcome):,.1f} {outcome}" for outcome in OUTCOMES)
        y = float(_HEIGHT)
        parts = []
        for outcome in OUTCOMES:
            height = span.per_second(outcome) / top * (_HEIGHT - 8)
            if height:
                y -= height
                parts.append(
                    f'<rect class="{outcome}" x="{_LEFT + place * _BAR:.1f}" y="{y:.1f}" '
                    f'width="{_BAR - 0.6:.1f}" height="{height:.1f}"/>'
                )
        if parts:
            yield f"<g><title>{said} a second</title>{''.join(parts)}</g>"


def _lines(top: float) -> Iterator[str]:
    for share in (0.0, 0.5, 1.0):
        y = _HEIGHT - share * (_HEIGHT - 8)
        yield f'<line x1="{_LEFT}" x2="{_WIDTH}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{share * top:,g}</text>'


def _round_above(value: float) -> float:
    """The next of 1, 2, 5, 10, 20, 50 and so on."""
    step = 1.0
    while True:
        for factor in (1, 2, 5):
            if factor * step >= value:
                return factor * step
        step *= 10
