# SPDX-License-Identifier: Apache-2.0
"""Refusals, progress and tables for people in a terminal."""

from __future__ import annotations

import sys
import time
from typing import TextIO

from hitoku.errors import Refusal

__all__ = ["TerminalProgress", "one_line", "phase_words", "refusal"]

_PHASES = {
    "check": "checking the question",
    "plan": "planning what may be released",
    "consent": "asking the owners",
    "run": "computing the answer",
    "release": "withholding small groups",
    "receive": "receiving the answer",
}


def one_line(text: str) -> str:
    """Text without control characters, as one line."""
    return "".join(c if c.isprintable() else " " for c in text)


def phase_words(name: str) -> str:
    """A phase for people; its name where there are no words for it."""
    return _PHASES.get(name, name)


def refusal(error: Refusal, sql: str | None) -> str:
    """A refusal with the clause marked in the SQL, if it is known where it stands."""
    lines = [f"Refused ({one_line(error.code)}): {one_line(error.message)}"]
    if sql is not None and error.span is not None and 0 <= error.span.start < len(sql):
        lines += ["", *_marked(sql, error.span.start, min(error.span.end, len(sql))), ""]
    for name, value in (
        ("clause", error.clause),
        ("rule", error.rule),
        ("owner", error.owner),
        ("what to do", error.remedy),
    ):
        if value:
            lines.append(f"  {name:<11} {one_line(value)}")
    return "\n".join(lines) + "\n"


def _marked(sql: str, start: int, end: int) -> list[str]:
    before = sql.rfind("\n", 0, start) + 1
    after = sql.find("\n", start)
    line = sql[before : len(sql) if after < 0 else after]
    column, width = start - before, max(1, min(end, before + len(line)) - start)
    # A long line is cut around the clause.
    shift = max(0, column - 40) if len(line) > 100 else 0
    shown = one_line(line.replace("\t", " "))[shift : shift + 100]
    marks = " " * (column - shift) + "^" * min(width, max(1, len(shown) - (column - shift)))
    return [f"  {shown}", f"  {marks}"]


class TerminalProgress:
    """A Progress (see `hitoku.ports`) on one line of a terminal; silent where there is none."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._on = self._stream.isatty()
        self._began = time.monotonic()
        self._name = ""
        self._total: int | None = None
        self._done = 0

    def phase(self, name: str, total: int | None = None) -> None:
        """Show the phase."""
        self._name, self._total, self._done = phase_words(name), total, 0
        self._write()

    def advance(self, amount: int = 1) -> None:
        """Show how much of it is done."""
        self._done += amount
        if self._total:
            self._write()

    def close(self) -> None:
        """Clear the line."""
        if self._on and self._name:
            self._stream.write("\r\x1b[K")
            self._stream.flush()

    def _write(self) -> None:
        if not self._on:
            return
        share = f" {self._done}/{self._total}" if self._total else ""
        seconds = time.monotonic() - self._began
        self._stream.write(f"\r\x1b[K{one_line(self._name)}{share} … {seconds:.1f} s")
        self._stream.flush()
