# SPDX-License-Identifier: Apache-2.0
"""Facts of questions and answers in the user's language."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from hitoku.console.words import catalogue, say
from hitoku.disclosure.render import clean

if TYPE_CHECKING:
    from hitoku.console.work.asks_store import Ask
    from hitoku.disclosure.answer import Answer, Withheld

__all__ = [
    "Line",
    "duration",
    "moment_of",
    "noise_sentences",
    "phase_lines",
    "phase_name",
    "progress_data",
    "size",
    "when",
    "withheld_sentences",
]

_FORMAT = "%Y-%m-%dT%H:%M:%S.%fZ"


@dataclass(frozen=True, slots=True)
class Line:
    """One phase, in words.

    Attributes:
        name: its name in the user's language.
        how: ``done``, ``now`` or ``stopped``.
        steps: e.g. ``1 / 2``; empty where there are none to tell.
        seconds: how long it took, or takes so far.
    """

    name: str
    how: str
    steps: str
    seconds: str


def moment_of(text: str) -> datetime:
    """A time as the table has it."""
    return datetime.strptime(text, _FORMAT).replace(tzinfo=UTC)


def when(text: str) -> str:
    """A time to the second, UTC."""
    return f"{text[:10]} {text[11:19]} UTC"


def duration(seconds: float) -> str:
    """A duration with two digits that matter."""
    if seconds < 0.95:
        return f"{max(seconds, 0) * 1000:.0f} ms"
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def size(count: float) -> str:
    """A number of bytes."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def phase_name(name: str, language: str) -> str:
    """A phase's name in a language; as the other member's node wrote it where it is not known."""
    key = f"ask.phase_{name}"
    return say(language, key) if key in catalogue() else clean(name)


def phase_lines(ask: Ask, now: datetime, language: str) -> list[Line]:
    """What happened so far to a question."""
    made = []
    for place, phase in enumerate(ask.phases):
        last = place == len(ask.phases) - 1
        end = now if phase.ended is None else moment_of(phase.ended)
        how = "now" if last and not ask.ended else "stopped" if last and ask.state != "done" else "done"
        # Of an ended phase a far side need not have told every step.
        total = phase.total if how == "now" or (phase.total or 0) <= phase.done else None
        made.append(
            Line(
                phase_name(phase.name, language),
                how,
                f"{min(phase.done, total):,} / {total:,}" if total else "",
                duration((end - moment_of(phase.began)).total_seconds()),
            )
        )
    return made


def progress_data(ask: Ask, now: datetime, language: str) -> dict[str, Any]:
    """What a page is told while a question runs."""
    return {
        "state": ask.state,
        "words": say(language, f"ask.state_{ask.state}"),
        "ended": ask.ended,
        "phases": [
            {"name": line.name, "how": line.how, "steps": line.steps, "seconds": line.seconds}
            for line in phase_lines(ask, now, language)
        ],
    }


def withheld_sentences(withheld: Withheld, language: str) -> list[str]:
    """What was withheld, and why."""
    if not withheld.thresholds:
        return [say(language, "ask.withheld_none")]
    demands = say(language, "ask.withheld_and").join(
        say(
            language,
            "ask.withheld_demand",
            minimum=minimum,
            table=clean(table),
            column=clean(column),
            owner=clean(owner),
        )
        for table, column, owner, minimum in withheld.thresholds
    )
    kind = "silent" if not withheld.some else "further" if withheld.further else "some"
    made = [say(language, f"ask.withheld_{kind}", demands=demands)]
    if withheld.some and withheld.summary:
        totals = "; ".join(f"{clean(name)} {value:,}" for name, value in withheld.summary)
        made.append(say(language, "ask.withheld_total", totals=totals))
    return made


def noise_sentences(answer: Answer, language: str) -> list[str]:
    """How an answer's figures were noised; nothing where they are exact."""
    noise = answer.noise
    if noise is None:
        return []
    names = {
        "mechanism": clean(noise.get("mechanism")),
        "users": clean(noise.get("users_noise")),
        "unit": clean(noise.get("unit")),
    }
    made = [say(language, "ask.noise_words", **names)]
    if noise.get("threshold") is not None:
        made.append(say(language, "ask.noise_threshold", threshold=clean(noise["threshold"])))
    return made
