# SPDX-License-Identifier: Apache-2.0
"""An answer as the console shows and exports it.

Names and values in it are other members' data. On pages they are escaped by the template and cleaned of
control characters here. In CSV a text that a spreadsheet could take for a formula gets a ``'`` before it, as
OWASP advises: one that begins with ``=``, ``+``, ``-``, ``@``, a tab or a line break. Numbers stay.
JSON and Arrow hold the values as they were released.
"""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from hitoku import limits
from hitoku.disclosure.render import clean

if TYPE_CHECKING:
    from hitoku.disclosure.answer import Answer

__all__ = ["EXPORTS", "Column", "Shown", "as_arrow", "as_csv", "as_json", "as_svg", "shown"]

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the table on the page.

    Attributes:
        name: its name, cleaned.
        number: whether it is set to the right.
        band: ``half`` where the next cell of each row is a ± of one width, ``ends`` where the next two are
            the band's ends, None where the figures are exact or no figures.
    """

    name: str
    number: bool
    band: str | None


@dataclass(frozen=True, slots=True)
class Shown:
    """The table of an answer, as its page shows it.

    Attributes:
        columns: its columns.
        rows: of each row, of each column: the value and, as its band says, one or two further texts.
        total: how many rows there are in all.
    """

    columns: tuple[Column, ...]
    rows: list[list[tuple[str, ...]]]
    total: int


def shown(answer: Answer) -> Shown:
    """The answer's first rows as texts."""
    table = answer.table.slice(0, limits.MAX_CONSOLE_ROWS)
    bands = None if answer.bands is None else answer.bands.slice(0, limits.MAX_CONSOLE_ROWS)
    widths = {}
    if answer.noise is not None:
        widths = {c["name"]: c["half_width"] for c in answer.noise.get("columns", []) if isinstance(c, dict)}
    columns: list[Column] = []
    cells: list[list[tuple[str, ...]]] = []
    for name in answer.column_names:
        values = table.column(name).to_pylist()
        number = any(_number(v) for v in values)
        texts: list[tuple[str, ...]] = [(_text(v),) for v in values]
        band = None
        if bands is not None and f"{name}_low" in bands.column_names:
            lows, highs = (bands.column(f"{name}_{end}").to_pylist() for end in ("low", "high"))
            width = widths.get(name)
            band = "ends" if width is None else "half"
            texts = [
                (*text, *(() if width is None else (_text(_decimal(width)),)), _text(low), _text(high))
                for text, low, high in zip(texts, lows, highs, strict=True)
            ]
        columns.append(Column(clean(name), number, band))
        cells.append(texts)
    rows = [list(row) for row in zip(*cells, strict=True)]
    return Shown(tuple(columns), rows, answer.num_rows)


def _number(value: Any) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def _text(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, Decimal) and value.is_finite():
        return clean(f"{value:,f}")  # with its own digits: a sum of whole numbers has none behind the point
    return clean(value)


def _decimal(text: Any) -> Any:
    try:
        number = Decimal(str(text))
    except ArithmeticError:
        return text
    return int(number) if number == number.to_integral_value() else number


def as_csv(answer: Answer) -> bytes:
    """All rows as CSV, the bands' ends beside their figures. UTF-8 with a mark, for spreadsheets."""
    names, columns = _with_bands(answer)
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([_guarded(name) for name in names])
    for row in zip(*columns, strict=True):
        writer.writerow([_cell(value) for value in row])
    return b"\xef\xbb\xbf" + out.getvalue().encode("utf-8", "replace")


def _with_bands(answer: Answer) -> tuple[list[str], list[list[Any]]]:
    names: list[str] = []
    columns: list[list[Any]] = []
    for name in answer.column_names:
        names.append(name)
        columns.append(answer.table.column(name).to_pylist())
        for end in ("low", "high"):
            both = f"{name}_{end}"
            if answer.bands is not None and both in answer.bands.column_names:
                names.append(both)
                columns.append(answer.bands.column(both).to_pylist())
    return names, columns


def _cell(value: Any) -> Any:
    if value is None or isinstance(value, int | float | Decimal):
        return value
    return _guarded(str(value))


def _guarded(text: str) -> str:
    text = "".join(c if c.isprintable() or c in "\t\n\r" else "\ufffd" for c in text)
    return "'" + text if text.startswith(_FORMULA) else text


def as_json(answer: Answer) -> bytes:
    """All of the answer as JSON, what `hitoku ask --json` prints."""
    return json.dumps(answer.to_dict(), ensure_ascii=False, allow_nan=False, indent=1).encode(
        "utf-8", "replace"
    )


def as_arrow(answer: Answer) -> bytes:
    """The rows as an Arrow IPC file (Feather 2), the bands' columns after them."""
    import pyarrow as pa

    table = answer.table
    if answer.bands is not None:
        for name in answer.bands.column_names:
            table = table.append_column(answer.bands.schema.field(name), answer.bands.column(name))
    about = {"hitoku.question": answer.question, "hitoku.run": answer.run, "hitoku.room": answer.room}
    table = table.replace_schema_metadata(about)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    made: bytes = sink.getvalue().to_pybytes()
    return made


def as_svg(answer: Answer) -> bytes:
    """The plot as SVG.

    Raises:
        InputError: there is nothing to plot, or the extra ``plots`` is not installed.
    """
    return answer.to_svg().encode()


EXPORTS: Final = {
    "csv": ("text/csv; charset=utf-8", as_csv),
    "json": ("application/json", as_json),
    "arrow": ("application/vnd.apache.arrow.file", as_arrow),
    "svg": ("image/svg+xml", as_svg),
}
