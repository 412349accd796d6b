# SPDX-License-Identifier: Apache-2.0
"""The report on a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hitoku.inference.report.figures import milliseconds, number, summary

__all__ = ["show"]


def show(data: Mapping[str, Any], console: Console | None = None) -> None:
    """Print a report's data."""
    out = console or Console()
    out.print(f"[bold]{escape(data['name'])}[/bold]")
    facts = Table(show_header=False, box=None, pad_edge=False)
    facts.add_column(style="dim")
    facts.add_column()
    for name, value in summary(data):
        facts.add_row(name, escape(value))
    out.print(facts)
    out.print(_operations(data))
    out.print(_calls(data))
    if data["parameters"]["reasons"]:
        out.print("[bold]Why these parameters[/bold]")
        for sentence in data["parameters"]["reasons"]:
            out.print(f"  {escape(sentence)}", highlight=False)
    if data["parameters"]["candidates"]:
        out.print(_candidates(data))
    for role, sentences in data["learns"].items():
        out.print(f"[bold]What the {role} learns[/bold]")
        for sentence in sentences:
            out.print(f"  {escape(sentence)}", highlight=False)
    for note in data["notes"]:
        out.print(escape(note), highlight=False)


def _operations(data: Mapping[str, Any]) -> Table:
    table = Table(title="Operations", title_justify="left")
    for heading in ("operation", "count", "primes", "parts", "scale", "values", "error", "room"):
        table.add_column(heading, justify="left" if heading == "operation" else "right")
    for row in data["nodes"]:
        seen = row["seen_low"] is not None
        low, high = (row["seen_low"], row["seen_high"]) if seen else (row["low"], row["high"])
        table.add_row(
            escape(f"{row['label'] + '/' if row['label'] else ''}{row['op']}"),
            f"{row['count']:,}",
            str(row["level"]),
            str(row["parts"]),
            f"2^{row['scale_bits']:.1f}",
            f"{number(low)} to {number(high)}",
            number(row["typical_error"]),
            f"{row['modulus_bits'] - row['used_bits']:.1f} bits",
        )
    return table


def _calls(data: Mapping[str, Any]) -> Table:
    table = Table(title="Time, call by call", title_justify="left")
    table.add_column("call")
    table.add_column("predicted", justify="right")
    for step in data["cost"]["steps"]:
        fused = " (fused)" if step["fused"] else ""
        table.add_row(escape(step["name"]) + fused, milliseconds(step["wall_ms"]))
    table.add_row("[bold]all[/bold]", milliseconds(data["cost"]["wall_ms"]))
    return table


def _candidates(data: Mapping[str, Any]) -> Table:
    table = Table(title="Parameters that lost", title_justify="left")
    for heading in ("degree", "primes", "time", "why"):
        table.add_column(heading)
    for one in data["parameters"]["candidates"]:
        bits = ", ".join(str(b) for b in one["prime_bits"])
        time = "" if one["ms"] is None else milliseconds(one["ms"])
        table.add_row(f"{one['degree']:,}", f"{bits} + {one['special_bits']}", time, escape(one["lost"]))
    return table
