# SPDX-License-Identifier: Apache-2.0
"""Coordinates of charts that templates draw as SVG, without a script or an inline style.

Charts are of values between 0 and 1, or of losses by step. Colours are attributes, lines also differ by
dashes, and the page has a table of the same values.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

__all__ = ["Bar", "Bars", "Lines", "Series", "bars", "by_step", "lines"]

_COLOURS: Final = {
    "alone": "#8a8f98", "joint": "#2f7ebc", "pooled": "#4f9d69", "ensemble": "#d0643c",
    "own": "#2f7ebc", "blind": "#8a8f98",
}  # fmt: skip
_DASHES: Final = {
    "alone": "6 4", "joint": "none", "pooled": "2 3", "ensemble": "9 3 2 3", "own": "none", "blind": "6 4"
}  # fmt: skip
_LEFT: Final = 46
_TOP: Final = 12
_TICKS: Final = (0.0, 0.25, 0.5, 0.75, 1.0)
_WIDTH, _HEIGHT = 460, 340
_RIGHT, _BOTTOM = _WIDTH - 12, _HEIGHT - 40
_MOST_POINTS: Final = 400
"""Of a line: more would not be seen."""


@dataclass(frozen=True, slots=True)
class Series:
    """One line: its name, colour, dashes and path."""

    name: str
    colour: str
    dashes: str
    path: str


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar with its band, in the chart's own units."""

    name: str
    colour: str
    x: float
    y: float
    width: float
    height: float
    middle: float
    low: float
    high: float
    words: str


@dataclass(frozen=True, slots=True)
class Lines:
    """A chart of lines. `x_ticks` and `y_ticks` are (position, label)."""

    width: int
    height: int
    right: int
    bottom: int
    series: tuple[Series, ...]
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]


@dataclass(frozen=True, slots=True)
class Bars:
    """A chart of groups of bars. `groups` are (position, label)."""

    width: int
    height: int
    right: int
    bottom: int
    bars: tuple[Bar, ...]
    groups: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]


def lines(series: Mapping[str, Sequence[tuple[float, float]]]) -> Lines:
    """A chart of curves in the unit square, as steps."""
    made = []
    for name, points in series.items():
        path, before = "", 0.0
        for number, (x, y) in enumerate(sorted(points)):
            across, up = _place(x, y)
            path += f"M{across} {up}" if number == 0 else f"H{across}V{up}" if up != before else f"H{across}"
            before = up
        made.append(Series(name, _COLOURS.get(name, "#8a8f98"), _DASHES.get(name, "none"), path))
    x_ticks = tuple((_place(v, 0)[0], f"{v:g}") for v in _TICKS)
    y_ticks = tuple((_place(0, v)[1], f"{v:g}") for v in _TICKS)
    return Lines(_WIDTH, _HEIGHT, _RIGHT, _BOTTOM, tuple(made), x_ticks, y_ticks)


def by_step(series: Mapping[str, Sequence[tuple[int, float]]]) -> Lines:
    """A chart of values by step, from step 0 and from value 0; each line goes from point to point.

    Args:
        series: for each line its points (step, value) by step, none of them below 0.
    """
    last = max((step for points in series.values() for step, _ in points), default=0)
    highest = max((value for points in series.values() for _, value in points), default=0.0)
    across, up = _round_step(max(last, 1), whole=True), _round_step(highest or 1.0)
    right, top = max(last, 1), up * math.ceil((highest or 1.0) / up - 1e-9)
    made = []
    for name, points in series.items():
        apart = max(1, -(-len(points) // _MOST_POINTS))
        shown = [*points[:-1:apart], *points[-1:]]
        places = [_place(step / right, value / top) for step, value in shown]
        path = "".join(f"{'L' if at else 'M'}{x} {y}" for at, (x, y) in enumerate(places))
        made.append(Series(name, _COLOURS.get(name, "#8a8f98"), _DASHES.get(name, "none"), path))
    x_ticks = tuple((_place(v / right, 0)[0], f"{v:g}") for v in _multiples(across, right))
    y_ticks = tuple((_place(0, v / top)[1], f"{v:g}") for v in _multiples(up, top))
    return Lines(_WIDTH, _HEIGHT, _RIGHT, _BOTTOM, tuple(made), x_ticks, y_ticks)


def _place(x: float, y: float) -> tuple[float, float]:
    """Where a point of the unit square is drawn."""
    return round(_LEFT + x * (_RIGHT - _LEFT), 1), round(_BOTTOM - y * (_BOTTOM - _TOP), 1)


def _round_step(most: float, *, whole: bool = False) -> float:
    """The least 1, 2 or 5 times a power of ten of which at most five are in `most`."""
    power = 10.0 ** math.floor(math.log10(most / 5))
    step = next(s * power for s in (1, 2, 5, 10) if s * power * 5 >= most * (1 - 1e-9))
    return max(1.0, step) if whole else step


def _multiples(step: float, most: float) -> list[float]:
    return [round(n * step, 12) for n in range(math.floor(most / step + 1e-9) + 1)]


def bars(groups: Mapping[str, Mapping[str, tuple[float, float, float]]], forms: Sequence[str]) -> Bars:
    """A chart of values with bands, grouped."""
    each = max(26, 16 * max(1, len(forms)))
    width, height = _LEFT + 12 + (each + 26) * max(1, len(groups)), 300
    right, bottom = width - 12, height - 34

    def up(value: float) -> float:
        return round(bottom - value * (bottom - _TOP), 1)

    made, labels = [], []
    for number, (group, values) in enumerate(groups.items()):
        start = _LEFT + 13 + number * (each + 26)
        labels.append((start + each / 2, group))
        step = each / max(1, len(forms))
        for place, form in enumerate(forms):
            if form not in values:
                continue
            value, low, high = values[form]
            x, y = round(start + place * step, 1), up(value)
            made.append(
                Bar(
                    form,
                    _COLOURS.get(form, "#8a8f98"),
                    x,
                    y,
                    round(step - 2, 1),
                    round(bottom - y, 1),
                    round(x + (step - 2) / 2, 1),
                    up(low),
                    up(high),
                    f"{group}, {form}: {value:.3f} ({low:.3f}-{high:.3f})",
                )
            )
    y_ticks = tuple((up(v), f"{v:g}") for v in _TICKS)
    return Bars(width, height, right, bottom, tuple(made), tuple(labels), y_ticks)
