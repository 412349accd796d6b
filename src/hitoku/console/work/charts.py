# SPDX-License-Identifier: Apache-2.0
"""Coordinates of charts that templates draw as SVG, without a script or an inline style.

Every chart is of values between 0 and 1. Colours are attributes, lines also differ by dashes, and the page
has a table of the same values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

__all__ = ["Bar", "Bars", "Lines", "Series", "bars", "lines"]

_COLOURS: Final = {"alone": "#8a8f98", "joint": "#2f7ebc", "pooled": "#4f9d69", "ensemble": "#d0643c"}
_DASHES: Final = {"alone": "6 4", "joint": "none", "pooled": "2 3", "ensemble": "9 3 2 3"}
_LEFT: Final = 46
_TOP: Final = 12
_TICKS: Final = (0.0, 0.25, 0.5, 0.75, 1.0)


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
    width, height = 460, 340
    right, bottom = width - 12, height - 40

    def place(x: float, y: float) -> tuple[float, float]:
        return round(_LEFT + x * (right - _LEFT), 1), round(bottom - y * (bottom - _TOP), 1)

    made = []
    for name, points in series.items():
        path, before = "", 0.0
        for number, (x, y) in enumerate(sorted(points)):
            across, up = place(x, y)
            path += f"M{across} {up}" if number == 0 else f"H{across}V{up}" if up != before else f"H{across}"
            before = up
        made.append(Series(name, _COLOURS.get(name, "#8a8f98"), _DASHES.get(name, "none"), path))
    x_ticks = tuple((place(v, 0)[0], f"{v:g}") for v in _TICKS)
    y_ticks = tuple((place(0, v)[1], f"{v:g}") for v in _TICKS)
    return Lines(width, height, right, bottom, tuple(made), x_ticks, y_ticks)


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
