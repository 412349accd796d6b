# SPDX-License-Identifier: Apache-2.0
"""The report as one web page: no script, nothing fetched, every word escaped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

from hitoku.inference.report.figures import milliseconds, number, summary
from hitoku.inference.report.picture import picture

__all__ = ["page"]

_HEADINGS = ("operation", "ciphertexts", "primes", "scale", "bounds", "seen", "error", "worst", "room")


def page(data: Mapping[str, Any]) -> str:
    """The page of a report's data."""
    template = Template((files(__package__) / "page.html").read_text(encoding="utf-8"))
    machine = data["machine"]
    return template.substitute(
        name=escape(data["name"]),
        summary="".join(_row([name, value], "th") for name, value in summary(data)),
        picture=picture(data),
        operations=_row(_HEADINGS, "th", all_heads=True) + "".join(map(_operation, data["nodes"])),
        reasons=_section("Why these parameters", data["parameters"]["reasons"]),
        candidates=_candidates(data["parameters"]["candidates"]),
        client=_items(data["learns"]["client"]),
        server=_items(data["learns"]["server"]),
        notes=_section("Notes", data["notes"]),
        machine=escape(f"{machine['processor']}, {machine['cores']} cores, {machine['kernels']} kernels"),
    )


def _row(cells: Sequence[str], first: str = "td", *, all_heads: bool = False) -> str:
    marks = [first if place == 0 or all_heads else "td" for place in range(len(cells))]
    inside = "".join(f"<{m}>{escape(c)}</{m}>" for m, c in zip(marks, cells, strict=True))
    return f"<tr>{inside}</tr>"


def _operation(row: Mapping[str, Any]) -> str:
    seen = "" if row["seen_low"] is None else f"{number(row['seen_low'])} to {number(row['seen_high'])}"
    return _row(
        [
            f"{row['label'] + '/' if row['label'] else ''}{row['op']}",
            f"{row['count']:,} x {row['parts']}",
            str(row["level"]),
            f"2^{row['scale_bits']:.1f}",
            f"{number(row['low'])} to {number(row['high'])}",
            seen,
            number(row["typical_error"]),
            number(row["worst_error"]),
            f"{row['modulus_bits'] - row['used_bits']:.1f} bits",
        ]
    )


def _candidates(candidates: Sequence[Mapping[str, Any]]) -> str:
    if not candidates:
        return ""
    rows = [_row(("degree", "bits of primes", "time", "why it lost"), "th", all_heads=True)]
    for one in candidates:
        bits = ", ".join(str(b) for b in one["prime_bits"])
        time = "" if one["ms"] is None else milliseconds(one["ms"])
        rows.append(_row([f"{one['degree']:,}", f"{bits} + {one['special_bits']}", time, one["lost"]]))
    return f"<h2>Parameters that lost</h2><table>{''.join(rows)}</table>"


def _items(sentences: Iterable[str]) -> str:
    return "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)


def _section(heading: str, sentences: Sequence[str]) -> str:
    return f"<h2>{heading}</h2><ul>{_items(sentences)}</ul>" if sentences else ""
