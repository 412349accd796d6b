# SPDX-License-Identifier: Apache-2.0
"""The cross table for people: some of its cells as a table and as bars, in a terminal and as SVG.

Beside each noised figure stands its 95 % band and, since this is a demonstration, the exact figure. Values of
dimensions are data: shown as text, never as markup.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from hitoku.demo.crosstab.compare import Cell, Comparison, Exact, Noised
from hitoku.disclosure.render import clean
from hitoku.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

__all__ = ["bars", "chart", "largest", "summary", "svg", "table", "where"]

_SCHEMA: Final = "https://vega.github.io/schema/vega-lite/v6.json"
_BAR: Final = 60


def largest(cells: Mapping[Cell, Noised], limit: int) -> list[Cell]:
    """The cells with the most people in the answer, the largest first."""
    return sorted(cells, key=lambda cell: (-cells[cell].people, cell))[:limit]


def where(cells: Mapping[Cell, Noised], values: Mapping[int, str], limit: int) -> list[Cell]:
    """As `largest`, of the cells that have these values in these places: a slice of the cross table."""
    chosen = {c: f for c, f in cells.items() if all(c[place] == value for place, value in values.items())}
    return largest(chosen, limit)


def table(
    cells: Mapping[Cell, Noised],
    exact: Mapping[Cell, Exact],
    dimensions: Sequence[str],
    shown: Sequence[Cell],
    measure: str = "people",
) -> Table:
    """The cells shown: the answer's figures with bands, and the exact ones."""
    from rich.table import Table
    from rich.text import Text

    means = any(cells[cell].mean is not None for cell in shown)
    made = Table(show_edge=False, pad_edge=False)
    for name in dimensions:
        made.add_column(Text(clean(name)))
    heads = [measure, "95 % band", "exact", *(["mean", "95 % band", "exact"] if means else [])]
    for head in heads:
        made.add_column(Text(head), justify="right")
    for cell in shown:
        figure, real = cells[cell], exact.get(cell, Exact(0))
        row = [clean(value) for value in cell]
        row += [f"{figure.people:,.0f}", _band(figure.low, figure.high, 0), f"{real.people:,}"]
        if means:
            row += [_mean(figure.mean), _band(figure.mean_low, figure.mean_high, 2), _mean(real.mean)]
        made.add_row(*map(Text, row))
    return made


def _mean(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _band(low: float | None, high: float | None, decimals: int) -> str:
    if low is None or high is None:
        return "-"
    return f"{low:,.{decimals}f} to {high:,.{decimals}f}"


def bars(
    cells: Mapping[Cell, Noised], exact: Mapping[Cell, Exact], shown: Sequence[Cell], width: int = _BAR
) -> list[Text]:
    """The cells shown as bars, a line each: solid up to the band, shaded within it, a line where exact."""
    from rich.text import Text

    names = {cell: " · ".join(clean(value) for value in cell) for cell in shown}
    room = max(map(len, names.values()), default=0)
    most = max((max(cells[c].high, exact.get(c, Exact(0)).people) for c in shown), default=0)
    lines = []
    for cell in shown:
        figure, real = cells[cell], exact.get(cell, Exact(0)).people
        drawn = _drawn(figure.low, figure.high, real, most, width)
        lines.append(Text(f"{names[cell]:<{room}} ").append(drawn).append(f" {figure.people:>9,.0f}"))
    return lines


def _drawn(low: float, high: float, real: float, most: float, width: int) -> str:
    def place(value: float) -> int:
        return round(max(value, 0) / most * width) if most > 0 else 0

    solid = place(low)
    # A band narrower than a character is still one.
    end = min(max(place(high), solid + 1), width)
    solid = min(solid, end - 1)
    drawn = list("█" * solid + "░" * (end - solid) + " " * (width - end))
    drawn[min(place(real), width - 1)] = "│"
    return "".join(drawn)


def chart(
    cells: Mapping[Cell, Noised],
    exact: Mapping[Cell, Exact],
    dimensions: Sequence[str],
    shown: Sequence[Cell],
    measure: str = "people",
    title: str = "",
    subtitle: Sequence[str] = (),
) -> dict[str, Any]:
    """A Vega-Lite specification of the cells shown: bars, a rule for each band, a tick where exact."""
    rows = [
        {
            "place": n,
            "cell": " · ".join(clean(value) for value in cell),
            "noised": cells[cell].people,
            "low": cells[cell].low,
            "high": cells[cell].high,
            "exact": exact.get(cell, Exact(0)).people,
        }
        for n, cell in enumerate(shown)
    ]
    group = {
        "field": "cell",
        "type": "nominal",
        "sort": {"field": "place"},
        "title": " · ".join(map(clean, dimensions)),
        "axis": {"labelLimit": 300},
    }
    value = {"field": "noised", "type": "quantitative", "title": clean(measure)}
    band = {"x": {"field": "low", "type": "quantitative"}, "x2": {"field": "high"}}
    tick = {"field": "exact", "type": "quantitative"}
    return {
        "$schema": _SCHEMA,
        "title": {"text": title, "subtitle": list(subtitle), "anchor": "start"},
        "data": {"values": rows},
        "width": 480,
        "layer": [
            {"mark": {"type": "bar", "color": "#9fb8d0"}, "encoding": {"y": group, "x": value}},
            {
                "mark": {"type": "rule", "strokeWidth": 3, "color": "#1f3a5f"},
                "encoding": {"y": group, **band},
            },
            {
                "mark": {"type": "tick", "color": "#c0392b", "thickness": 2},
                "encoding": {"y": group, "x": tick},
            },
        ],
    }


def svg(specification: Mapping[str, Any]) -> str:
    """A Vega-Lite specification as SVG.

    Raises:
        InputError: the extra `plots` is not installed.
    """
    try:
        import vl_convert
    except ImportError:
        raise InputError('an SVG needs the extra "plots": pip install "hitoku[plots]"') from None
    made: str = vl_convert.vegalite_to_svg(dict(specification))
    return made


def summary(found: Comparison, unit: str = "people") -> list[str]:
    """The comparison in sentences."""
    share, expected = f"{found.share:.1%}", math.floor(found.expected + 0.5)
    lines = [
        f"{found.cells:,} cells, {found.people:,} {unit} in them.",
        f"error found: {found.found:.2f} {unit} a cell (root mean square); predicted: {found.predicted:.2f}.",
        f"inside their 95 % bands: {found.inside:,} cells ({share}); predicted: {expected:,}.",
    ]
    if found.means and found.mean_found is not None and found.mean_predicted is not None:
        lines.append(
            f"means of the {found.means:,} large cells: error found {found.mean_found:.3f}, "
            f"predicted {found.mean_predicted:.3f}."
        )
    if not found.right:
        lines.append("This is NOT as predicted. Please report it.")
    return lines
