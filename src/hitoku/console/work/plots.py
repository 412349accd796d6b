# SPDX-License-Identifier: Apache-2.0
"""An answer's plot for the page: a Vega-Lite specification without colours or words of its own.

The page has the words beside it, and its script the colours of the theme.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from hitoku.errors import InputError

if TYPE_CHECKING:
    from hitoku.disclosure.answer import Answer

__all__ = ["Plot", "can_draw", "figures", "plot", "summary"]

Plot = dict[str, Any]


def figures(answer: Answer) -> list[str]:
    """The columns that can be plotted."""
    found = []
    for name in answer.column_names:
        kind = str(answer.table.schema.field(name).type)
        if kind.startswith(("decimal", "double", "float", "int", "uint")):
            found.append(name)
    return found


def plot(answer: Answer, column: str | None = None) -> Plot | None:
    """The specification; None where the answer has no such number to plot.

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
        layer["mark"]["aria"] = False  # the table says the same, in an order that can be read out
    spec["width"] = "container"
    return spec


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
    return f"{number:,.0f}" if number == int(number) else f"{number:,.2f}"


def can_draw() -> bool:
    """Whether this node can draw SVG files (the extra ``plots``)."""
    return find_spec("vl_convert") is not None
