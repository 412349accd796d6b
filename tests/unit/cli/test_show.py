# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io

from hitoku.cli.show import TerminalProgress, refusal
from hitoku.errors import Refusal, Span


def test_a_refusal_marks_its_clause():
    sql = "SELECT a\nFROM t\nWHERE b = 1"
    error = Refusal(
        "NO",
        "Not that.",
        clause="WHERE",
        span=Span(22, 27),
        rule="tables.t.rule",
        owner="bank",
        remedy="Ask.",
    )
    assert refusal(error, sql).splitlines() == [
        "Refused (NO): Not that.",
        "",
        "  WHERE b = 1",
        "        ^^^^^",
        "",
        "  clause      WHERE",
        "  rule        tables.t.rule",
        "  owner       bank",
        "  what to do  Ask.",
    ]


def test_a_refusal_without_a_place():
    assert refusal(Refusal("NO", "Not that."), "SELECT 1") == "Refused (NO): Not that.\n"
    assert refusal(Refusal("NO", "x", span=Span(99, 100)), "SELECT 1") == "Refused (NO): x\n"
    assert "^" not in refusal(Refusal("NO", "x", span=Span(0, 1)), None)


def test_a_span_over_lines_and_a_long_line_are_cut():
    shown = refusal(Refusal("NO", "x", span=Span(0, 20)), "SELECT a\nFROM t WHERE x").splitlines()
    assert shown[2:4] == ["  SELECT a", "  " + "^" * 8]
    sql = "SELECT " + "x" * 300 + ", bad, " + "y" * 300
    lines = refusal(Refusal("NO", "x", span=Span(309, 312)), sql).splitlines()
    assert lines[2][lines[3].index("^") :].startswith("bad")
    assert len(lines[2]) <= 102


def test_text_cannot_drive_the_terminal():
    shown = refusal(Refusal("NO", "a\x1b[2Jb\nc", remedy="\u202e"), None)
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "\x1b" not in refusal(Refusal("NO", "x", span=Span(0, 3)), "\x1b[2Jabc")


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_on_a_terminal_is_one_line_and_goes_away():
    out = Terminal()
    progress = TerminalProgress(out)
    progress.phase("consent", 2)
    progress.advance()
    progress.phase("run")
    progress.advance()
    progress.close()
    assert "asking the owners 1/2" in out.getvalue()
    assert out.getvalue().endswith("\r\x1b[K")
    assert "\n" not in out.getvalue()


def test_progress_elsewhere_is_silent():
    out = io.StringIO()
    progress = TerminalProgress(out)
    progress.phase("consent", 2)
    progress.advance()
    progress.close()
    assert out.getvalue() == ""
