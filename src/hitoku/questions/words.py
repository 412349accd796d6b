# SPDX-License-Identifier: Apache-2.0
"""The derivation in words: for `hitoku explain`, and for what protections say of who learns what."""

from __future__ import annotations

from typing import Any, Final

from hitoku.questions.custom import has_noise
from hitoku.questions.derive import Level
from hitoku.questions.question import Question

__all__ = ["protected_by", "reveal_tree", "revealed"]

_MAX_COLUMNS: Final = 20
_WORDS: Final = {level.value: level.value.replace("_", " ") for level in Level}


def protected_by(question: Question) -> str:
    """What stands between the answer and one person, as the end of a sentence."""
    if question.constraints:
        least = ", ".join(f"{c.minimum} of {c.table}.{c.column}" for c in question.constraints)
        return f"every released row rests on at least {least}"
    if any(has_noise(table) for table in question.sources):
        return "every figure carries noise"
    if question.form.blocks[0].listing:
        return "every listed row, and no threshold protects"
    return "no threshold protects: a row may rest on one person"


def revealed(question: Question) -> str:
    """What the answer as a whole tells of which columns, in one line; long lists are cut."""
    found: dict[str, set[Level]] = {}
    for output in question.reveals:
        for reveal in output:
            name = f"{reveal.table}.{reveal.column}"
            found.setdefault(name, set()).update(way.level for way in reveal.ways)
    parts = [
        f"{name} " + " and ".join(_WORDS[level.value] for level in Level if level in found[name])
        for name in sorted(found)
    ]
    more = len(parts) - _MAX_COLUMNS
    shown = parts[:_MAX_COLUMNS] + ([f"{more} more columns"] if more > 0 else [])
    return "; ".join(shown) or "no column"


def reveal_tree(outputs: list[dict[str, Any]]) -> list[str]:
    """The outputs of an explanation as a small tree: output, columns, what comes through of each."""
    lines: list[str] = []
    for output in outputs:
        lines.append(f"  {output['name']} ({output['kind']})")
        reveals = output["reveals"]
        for place, reveal in enumerate(reveals, 1):
            ways: dict[str, list[str]] = {}
            for way in reveal["ways"]:
                ways.setdefault(_WORDS[way["level"]], []).append(way["by"])
            told = ", ".join(f"{level} ({', '.join(by)})" for level, by in ways.items())
            mark = "└─" if place == len(reveals) else "├─"
            noise = ", noised" if reveal["noised"] else ""
            lines.append(
                f"    {mark} {reveal['table']}.{reveal['column']} of {reveal['owner']}: {told}{noise}"
            )
        if not reveals:
            lines.append("    └─ no column")
    return lines
