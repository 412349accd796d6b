# SPDX-License-Identifier: Apache-2.0
"""An Answer for people: in a terminal and in a notebook. Names and values are data: escaped, never markup."""

from __future__ import annotations

import html as _html
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from rich.console import RenderableType

    from hitoku.disclosure.answer import Answer

__all__ = ["clean", "html", "noise_words", "stamp_words", "terminal"]

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


def _bands(answer: Answer, rows: int) -> dict[str, list[str]]:
    """For each output with a band, its text in each row: ``± 59``, or from where to where."""
    if answer.bands is None or answer.noise is None:
        return {}
    fixed = {c["name"]: c["half_width"] for c in answer.noise.get("columns", []) if isinstance(c, dict)}
    shown = answer.bands.slice(0, rows)
    found: dict[str, list[str]] = {}
    for name in answer.column_names:
        if f"{name}_low" not in shown.column_names or f"{name}_high" not in shown.column_names:
            continue
        lows, highs = (shown.column(f"{name}_{end}").to_pylist() for end in ("low", "high"))
        width = fixed.get(name)
        found[name] = [
            "unknown" if low is None or high is None else _band(low, high, width)
            for low, high in zip(lows, highs, strict=True)
        ]
    return found


def _band(low: Any, high: Any, width: Any) -> str:
    return f"± {clean(width)}" if width else f"{clean(low)} to {clean(high)}"


def noise_words(answer: Answer) -> str | None:
    """One or two sentences about the noise; None where there is none."""
    if answer.noise is None:
        return None
    unit, users = clean(answer.noise.get("unit")), clean(answer.noise.get("users_noise"))
    words = (
        f"Every figure carries noise ({clean(answer.noise.get('mechanism'))}) as large as {users} units of "
        f"{unit!r} can weigh; bands hold with 95 % confidence."
    )
    threshold = answer.noise.get("threshold")
    if threshold is not None:
        words += f" Groups of which the noisy number of units is below {clean(threshold)} are not shown."
    return words


def stamp_words(answer: Answer) -> str | None:
    """What is to be known of the enclave that made the answer; None where none did."""
    if answer.attestation is None:
        return None
    return f"{_program_words(answer.attestation)}{_deletion_words(answer)}"


def _deletion_words(answer: Answer) -> str:
    """Empty where the certificate of deletion holds; a sentence where it does not."""
    if answer.deletion is None or answer.deletion.get("certified") is True:
        return ""
    reason = clean(answer.deletion.get("reason"))
    return f" There is no certificate that the keys of the run are deleted: {reason}."


def _program_words(stamp: Mapping[str, Any]) -> str:
    program = clean(stamp.get("program"))[:12]
    which = f"evidence: {clean(stamp.get('evidence'))}, program {program}…"
    if stamp.get("software_rooted") is not False:
        return (
            f"SOFTWARE-ROOTED: computed in an enclave that no hardware vouches for ({which}). Who runs the "
            "machine could read and change everything: this shows how things go and protects nothing."
        )
    return f"Computed in an enclave that the broker of every owner accepted ({which})."


def _number(value: Any) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def terminal(answer: Answer) -> Iterator[RenderableType]:
    """What rich prints for an answer."""
    from rich.table import Table
    from rich.text import Text

    rows = answer.table.slice(0, _TERMINAL_ROWS).to_pylist()
    columns = [column.to_pylist() for column in answer.table.slice(0, _TERMINAL_ROWS).columns]
    bands = _bands(answer, _TERMINAL_ROWS)
    table = Table(show_edge=False, pad_edge=False)
    cells: list[list[str]] = []
    for name, values in zip(answer.column_names, columns, strict=True):
        right = any(_number(v) for v in values)
        table.add_column(Text(clean(name)), justify="right" if right else "left")
        cells.append([clean(value) for value in values])
        if name in bands:
            table.add_column(Text("95 %"))
            cells.append(bands[name])
    for row in zip(*cells, strict=True):
        table.add_row(*(Text(value) for value in row))
    yield table
    more = f" (the first {len(rows)} are shown)" if answer.num_rows > len(rows) else ""
    said = noise_words(answer) or clean(answer.withheld.words())
    yield Text(f"{answer.num_rows} row{'' if answer.num_rows == 1 else 's'}{more}. {said}")
    stamp = stamp_words(answer)
    if stamp is not None:
        yield Text(stamp)


def html(answer: Answer) -> str:
    """What a notebook shows for an answer."""

    def cell(value: Any) -> str:
        return _html.escape(clean(value), quote=True)

    bands = _bands(answer, _HTML_ROWS)
    names: list[str] = []
    columns: list[list[Any]] = []
    for name, column in zip(answer.column_names, answer.table.slice(0, _HTML_ROWS).columns, strict=True):
        names.append(name)
        columns.append(column.to_pylist())
        if name in bands:
            names.append("95 %")
            columns.append(bands[name])
    head = "".join(f"<th>{cell(name)}</th>" for name in names)
    body = "".join(
        "<tr>" + "".join(f"<td>{cell(v)}</td>" for v in row) + "</tr>" for row in zip(*columns, strict=True)
    )
    more = f" (the first {_HTML_ROWS} are shown)" if answer.num_rows > _HTML_ROWS else ""
    words = noise_words(answer)
    said = cell(answer.withheld.words()) if words is None else _html.escape(words, quote=True)
    stamp = stamp_words(answer)
    stamped = "" if stamp is None else f"<p>{_html.escape(stamp, quote=True)}</p>"
    learned = "".join(f"<li><b>{cell(i.member)}</b>: {cell(i.words)}</li>" for i in answer.leakage.learned)
    return (
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        f"<p>{answer.num_rows} rows{more}. {said}</p>{stamped}"
        f"<details><summary>Who learned what</summary><ul>{learned}</ul></details>"
        f"<p><small>question {cell(answer.question)}, run {cell(answer.run)}, "
        f"{cell(answer.released_at)}</small></p>"
    )
