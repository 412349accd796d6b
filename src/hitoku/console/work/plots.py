# SPDX-License-Identifier: Apache-2.0
"""An answer's plot for the page: coordinates that its template draws as SVG, in the colours of the theme.

They are of the answer's Vega-Lite specification, which is also there to take along; to draw that, a browser
would need three quarters of a megabyte of scripts.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from hitoku.errors import InputError

if TYPE_CHECKING:
    from hitoku.disclosure.answer import Answer

__all__ = ["Bar", "Drawn", "Plot", "can_draw", "drawn", "figures", "plot", "summary"]

Plot = dict[str, Any]
_WIDTH: Final = 560
_ROW: Final = 26
_TOP: Final = 8
_RIGHT: Final = 24
_LETTER: Final = 4.7
"""A third of the width of a letter of East Asia, at the size that the template has."""
_LABEL_WIDTH: Final = 44
_TICKS: Final = 5


@dataclass(frozen=True, slots=True)
class Bar:
    """One row of an answer: its label, and where its bar and its band lie; None where it has none.

    Attributes:
        label: short enough to stand beside the bar.
        words: the whole label and the figures.
        middle: of the row, from above.
        bar: start and length of the bar.
        band: both ends of the band.
    """

    label: str
    words: str
    middle: float
    bar: tuple[float, float] | None
    band: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Drawn:
    """A plot in units of its own. `ticks` are (position, label); the axis of the labels is at `left`."""

    width: int
    height: int
    left: float
    bottom: float
    zero: float
    thick: int
    ticks: tuple[tuple[float, str], ...]
    bars: tuple[Bar, ...]


def figures(answer: Answer) -> list[str]:
    """The columns that can be plotted."""
    found = []
    for name in answer.column_names:
        kind = str(answer.table.schema.field(name).type)
        if kind.startswith(("decimal", "double", "float", "int", "uint")):
            found.append(name)
    return found


def plot(answer: Answer, column: str | None = None) -> Plot | None:
    """The specification, without colours or words of its own; None where there is no such number to plot.

    Args:
        answer: the answer.
        column: the column; the one that says most where None.
    """
    try:
        spec = answer.chart(column)
    except InputError:
        return None
    spec.pop("title")
    for layer in spec["layer"]:
        layer["mark"].pop("color", None)
    return spec


def drawn(spec: Plot) -> Drawn:
    """Where everything of a plot lies."""
    rows = spec["data"]["values"]
    ends = [row[name] for row in rows for name in ("value", "low", "high") if row.get(name) is not None]
    ticks = _ticks(min(0.0, *ends), max(0.0, *ends))
    low, high = ticks[0], ticks[-1]
    labels = [_short(row["group"]) for row in rows]
    left = round(max(map(_wide, labels), default=0) * _LETTER + 10, 1)
    room = _WIDTH - _RIGHT - left

    def at(value: float) -> float:
        return round(left + (value - low) / (high - low) * room, 1)

    bars = []
    for place, (row, label) in enumerate(zip(rows, labels, strict=True)):
        value, band = row["value"], (row.get("low"), row.get("high"))
        sides = None if value is None else sorted((at(0), at(value)))
        bars.append(
            Bar(
                label,
                row["group"] if value is None else f"{row['group']}: {_plain(value)}",
                _TOP + _ROW * (place + 0.5),
                None if sides is None else (sides[0], round(sides[1] - sides[0], 1)),
                None if None in band else (at(band[0]), at(band[1])),
            )
        )
    bottom = _TOP + _ROW * len(rows)
    marks = tuple((at(tick), _plain(tick)) for tick in ticks)
    return Drawn(_WIDTH, bottom + 38, left, bottom, at(0), _ROW - 8, marks, tuple(bars))


def _ticks(low: float, high: float) -> Sequence[float]:
    """Round numbers that hold all values between the first and the last of them; two at least."""
    span = high - low or 1.0
    step = 10.0 ** math.floor(math.log10(span / _TICKS))
    step *= next(size for size in (1, 2, 5, 10) if span / (step * size) <= _TICKS)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [round(n * step, 12) for n in range(first, max(last, first + 1) + 1)]


def _wide(label: str) -> int:
    """How wide a label is at most, in `_LETTER`: letters of East Asia 3, capitals 2, others 1.5."""
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in label)
    large = sum(letter.isupper() or letter in "mw@%" for letter in label)
    return math.ceil(3 * wide + 2 * large + 1.5 * (len(label) - wide - large))


def _short(label: str) -> str:
    while _wide(label) > _LABEL_WIDTH:
        label = f"{label.removesuffix('…')[:-1]}…"
    return label


def summary(spec: Plot) -> dict[str, Any]:
    """What a plot shows, for words: measure, what the bars stand for, how many, from, to, banded."""
    values = [row["value"] for row in spec["data"]["values"] if row["value"] is not None]
    encoding = spec["layer"][0]["encoding"]
    return {
        "measure": encoding["x"]["title"],
        "by": encoding["y"]["title"],
        "bars": len(values),
        "least": _plain(min(values, default=0)),
        "most": _plain(max(values, default=0)),
        "banded": len(spec["layer"]) > 1,
    }


def _plain(number: float) -> str:
    if number == int(number):
        return f"{number:,.0f}"
    return f"{number:,.2f}" if abs(number) >= 1 else f"{number:.3g}"


def can_draw() -> bool:
    """Whether this node can draw SVG files (the extra ``plots``)."""
    return find_spec("vl_convert") is not None
