# SPDX-License-Identifier: Apache-2.0
"""An answer as a plot: bars, and on noised figures their 95 % bands. A Vega-Lite specification, or SVG."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from hitoku.disclosure.render import clean, noise_words, stamp_words
from hitoku.errors import InputError

if TYPE_CHECKING:
    from hitoku.disclosure.answer import Answer

__all__ = ["chart", "svg"]

_SCHEMA: Final = "https://vega.github.io/schema/vega-lite/v6.json"
_ROWS: Final = 200


def chart(answer: Answer, column: str | None = None) -> dict[str, Any]:
    """A Vega-Lite specification: one bar a row, labelled by the columns that are no numbers to plot.

    Args:
        answer: the answer; its first 200 rows are drawn.
        column: the output to plot; the first with a band, or the first number, where None.

    Raises:
        InputError: there is no such column, or no number in it.
    """
    column = _chosen(answer) if column is None else column
    if column not in answer.column_names:
        raise InputError(f"the answer has no column {clean(column)!r}")
    table = answer.table.slice(0, _ROWS)
    values = [_number(v) for v in table.column(column).to_pylist()]
    if all(v is None for v in values):
        raise InputError(f"column {clean(column)!r} has no number to plot")
    labels = [
        " · ".join(clean(v) for v in row) or "all"
        for row in zip(*(table.column(n).to_pylist() for n in _labels(answer, column)), strict=True)
    ] or ["all"] * len(values)
    rows = [
        {"place": n, "group": label, "value": value}
        for n, (label, value) in enumerate(zip(labels, values, strict=True))
    ]
    banded = answer.bands is not None and f"{column}_low" in answer.bands.column_names
    if banded:
        shown = answer.bands.slice(0, _ROWS)
        for end in ("low", "high"):
            for row, value in zip(rows, shown.column(f"{column}_{end}").to_pylist(), strict=True):
                row[end] = _number(value)
    group = {
        "field": "group",
        "type": "nominal",
        "sort": {"field": "place"},
        "title": " · ".join(map(clean, _labels(answer, column))) or None,
    }
    measure = {"field": "value", "type": "quantitative", "title": clean(column)}
    layers: list[dict[str, Any]] = [
        {"mark": {"type": "bar", "color": "#9fb8d0"}, "encoding": {"y": group, "x": measure}}
    ]
    if banded:
        ends = {"x": {"field": "low", "type": "quantitative"}, "x2": {"field": "high"}}
        layers.append(
            {"mark": {"type": "rule", "strokeWidth": 2, "color": "#1f3a5f"}, "encoding": {"y": group, **ends}}
        )
    words = " ".join(filter(None, (noise_words(answer) or answer.withheld.words(), stamp_words(answer))))
    return {
        "$schema": _SCHEMA,
        "title": {"text": clean(column), "subtitle": _wrapped(words), "anchor": "start"},
        "data": {"values": rows},
        "layer": layers,
        "width": 480,
    }


def svg(answer: Answer, column: str | None = None) -> str:
    """The plot as SVG.

    Raises:
        InputError: as `chart`; or the extra `plots` is not installed.
    """
    try:
        import vl_convert
    except ImportError:
        raise InputError('an SVG needs the extra "plots": pip install "hitoku[plots]"') from None
    made: str = vl_convert.vegalite_to_svg(chart(answer, column))
    return made


def _chosen(answer: Answer) -> str:
    names = answer.column_names
    if answer.bands is not None:
        for name in names:
            if f"{name}_low" in answer.bands.column_names:
                return name
    for name in reversed(names):
        if any(_number(v) is not None for v in answer.table.column(name).slice(0, _ROWS).to_pylist()):
            return name
    raise InputError("the answer has no number to plot")


def _labels(answer: Answer, column: str) -> list[str]:
    """The columns that say which row it is: all before the first with a band, or all that are no decimals."""
    others = [name for name in answer.column_names if name != column]
    if answer.bands is not None:
        return [name for name in others if f"{name}_low" not in answer.bands.column_names]
    return [name for name in others if not _measured(answer, name)]


def _measured(answer: Answer, name: str) -> bool:
    kind = str(answer.table.schema.field(name).type)
    return kind.startswith(("decimal", "double", "float", "int64"))


def _number(value: Any) -> float | None:
    """A value as JSON's number; None for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    number = float(value)
    return number if math.isfinite(number) else None


def _wrapped(words: str) -> list[str]:
    import textwrap

    return textwrap.wrap(words, 80)
