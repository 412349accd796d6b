# SPDX-License-Identifier: Apache-2.0
"""An Answer for people: in a terminal and in a notebook. Names and values are data: escaped, never markup."""

from __future__ import annotations

import html as _html
from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from rich.console import RenderableType

    from hitoku.disclosure.answer import Answer

__all__ = ["clean", "html", "terminal"]

_TERMINAL_ROWS: Final = 50
_HTML_ROWS: Final = 200
_CELL_CHARS: Final = 200


def clean(value: Any) -> str:
    """A value as one line of text without control or bidirectional characters."""
    if value is None:
        return "NULL"
    text = f"{value:,.2f}" if isinstance(value, float | Decimal) else str(value)
    text = "".join(c if c.isprintable() else "\ufffd" for c in text[: _CELL_CHARS + 1])
    return text if len(text) <= _CELL_CHARS else text[:_CELL_CHARS] + "…"


def _number(value: Any) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def terminal(answer: Answer) -> Iterator[RenderableType]:
    """What rich prints for an answer."""
    from rich.table import Table
    from rich.text import Text

    rows = answer.table.slice(0, _TERMINAL_ROWS).to_pylist()
    columns = [column.to_pylist() for column in answer.table.slice(0, _TERMINAL_ROWS).columns]
    table = Table(show_edge=False, pad_edge=False)
    for name, values in zip(answer.column_names, columns, strict=True):
        right = any(_number(v) for v in values)
        table.add_column(Text(clean(name)), justify="right" if right else "left")
    for row in zip(*columns, strict=True):
        table.add_row(*(Text(clean(value)) for value in row))
    yield table
    more = f" (the first {len(rows)} are shown)" if answer.num_rows > len(rows) else ""
    yield Text(
        f"{answer.num_rows} row{'' if answer.num_rows == 1 else 's'}{more}. {clean(answer.withheld.words())}"
    )


def html(answer: Answer) -> str:
    """What a notebook shows for an answer."""

    def cell(value: Any) -> str:
        return _html.escape(clean(value), quote=True)

    columns = [column.to_pylist() for column in answer.table.slice(0, _HTML_ROWS).columns]
    head = "".join(f"<th>{cell(name)}</th>" for name in answer.column_names)
    body = "".join(
        "<tr>" + "".join(f"<td>{cell(v)}</td>" for v in row) + "</tr>" for row in zip(*columns, strict=True)
    )
    more = f" (the first {_HTML_ROWS} are shown)" if answer.num_rows > _HTML_ROWS else ""
    learned = "".join(f"<li><b>{cell(i.member)}</b>: {cell(i.words)}</li>" for i in answer.leakage.learned)
    return (
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        f"<p>{answer.num_rows} rows{more}. {cell(answer.withheld.words())}</p>"
        f"<details><summary>Who learned what</summary><ul>{learned}</ul></details>"
        f"<p><small>question {cell(answer.question)}, run {cell(answer.run)}, "
        f"{cell(answer.released_at)}</small></p>"
    )
