# SPDX-License-Identifier: Apache-2.0
"""Every error hitoku raises on purpose, in one tree.

::

    HitokuError
    ├── InputError            a file, schema or value that cannot be used (exit code 4)
    │   └── SecretError       the shared secret or a key is missing, malformed or too short
    ├── RoomError             an agreement that does not hold: form, signature, duty (exit code 5)
    ├── Refusal               a question that the room's rules do not allow (exit code 3)
    ├── LimitError            a documented limit was reached (exit code 6)
    ├── EngineError           the engine failed; its own words stay on its machine (exit code 7)
    ├── PeerError             another member refused, failed or did not answer (exit code 8)
    │   └── RunAborted        what came between two parts of a run was altered; the run has ended
    └── DisclosureError       cells cannot be released under the plan (exit code 9)

Messages say what is wrong, where (column, row number, clause) and what to do. They never contain a
value of a table, a key or a part of one: values are quoted nowhere, headers and names are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

__all__ = [
    "Change",
    "DisclosureError",
    "EngineError",
    "HitokuError",
    "InputError",
    "LimitError",
    "PeerError",
    "Refusal",
    "RoomError",
    "RunAborted",
    "SecretError",
    "Span",
]


class HitokuError(Exception):
    """The root of the tree."""

    exit_code: ClassVar[int] = 1

    def to_dict(self) -> dict[str, Any]:
        """The error as JSON-ready data; what `--json` prints."""
        return {"error": type(self).__name__, "message": str(self)}


class InputError(HitokuError):
    """A file, schema or value that cannot be used."""

    exit_code = 4


class SecretError(InputError):
    """The shared secret or a key is missing, malformed or too short. Never quotes it."""


class RoomError(HitokuError):
    """An agreement that does not hold: its form, a signature, or a duty given to the wrong member."""

    exit_code = 5


@dataclass(frozen=True, slots=True)
class Span:
    """Where a clause stands in the asked SQL: character offsets, `end` exclusive."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Change:
    """An edit that takes away what a Refusal names, made by a program so that it can be tried at once.

    Of the room (``add`` or ``set`` at `rule`: its owner makes it and the members sign), or of the asked SQL
    (``edit``). Another Refusal may come to light behind it. Names and numbers only, never a value.

    Attributes:
        action: ``add`` `value` to the list at `rule`, ``set`` `rule` to `value`, or ``edit`` the SQL.
        rule: the path in the room, as in `Refusal.rule`.
        value: a name, number, truth or, for aggregateColumns, an entry of that list.
        edits: start, end (exclusive) and new text of each replaced piece of SQL, in order.
    """

    action: Literal["add", "set", "edit"]
    rule: str | None = None
    value: str | int | bool | Mapping[str, str | list[str]] | None = None
    edits: tuple[tuple[int, int, str], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The change as JSON-ready data."""
        if self.action == "edit":
            return {"action": "edit", "edits": [list(edit) for edit in self.edits]}
        value = dict(self.value) if isinstance(self.value, Mapping) else self.value
        return {"action": self.action, "rule": self.rule, "value": value}


class Refusal(HitokuError):
    """A question that the room's rules do not allow.

    Attributes:
        code: stable upper-case code, e.g. ``AGGREGATE_NOT_ALLOWED``.
        message: what is refused and why, in one sentence.
        clause: the SQL clause it stands in (``SELECT``, ``WHERE``, ``JOIN``, ...).
        span: where in the SQL, if it can be told.
        rule: the rule's path in the room, e.g. ``tables.flights.rule.aggregateColumns``.
        owner: the member whose rule it is; None where hitoku itself refuses.
        remedy: what the asker can change, or whom to ask.
        change: the same as an edit, where a program can make it.
        params: the names that fill the sentences of `code`, so that message and remedy can be written
            in another language (`hitoku.questions.wording`). Names and numbers only, never a value.
    """

    exit_code = 3

    def __init__(
        self,
        code: str,
        message: str,
        *,
        clause: str | None = None,
        span: Span | None = None,
        rule: str | None = None,
        owner: str | None = None,
        remedy: str | None = None,
        params: Mapping[str, str] | None = None,
        change: Change | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.clause = clause
        self.span = span
        self.rule = rule
        self.owner = owner
        self.remedy = remedy
        self.params: dict[str, str] = dict(params or {})
        self.change = change

    def to_dict(self) -> dict[str, Any]:
        """The refusal as JSON-ready data, the same for CLI and API."""
        return {
            "error": "Refusal",
            "code": self.code,
            "message": self.message,
            "clause": self.clause,
            "span": None if self.span is None else [self.span.start, self.span.end],
            "rule": self.rule,
            "owner": self.owner,
            "remedy": self.remedy,
            "params": dict(self.params),
            "change": None if self.change is None else self.change.to_dict(),
        }


class LimitError(HitokuError):
    """A documented limit (see `hitoku.limits`) was reached."""

    exit_code = 6


class EngineError(HitokuError):
    """The engine failed. Its own message can quote data, so it never travels: only a code does.

    Attributes:
        code: ``OUT_OF_MEMORY``, ``TIMEOUT``, ``CANCELLED``, ``DATA_TYPE``, ``INPUT_FILE``, ``CRASHED`` or
            ``INTERNAL``.
    """

    exit_code = 7

    def __init__(self, message: str, code: str = "INTERNAL") -> None:
        super().__init__(message)
        self.code = code

    def to_dict(self) -> dict[str, Any]:
        """The error as JSON-ready data."""
        return {**super().to_dict(), "code": self.code}


class PeerError(HitokuError):
    """Another member refused, failed or did not answer.

    Attributes:
        code: what the other member's node said, if it said anything, e.g. ``RUN_ENDED``.
    """

    exit_code = 8

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code


class RunAborted(PeerError):
    """What came from the other side of a run is not what was sealed there: the run has ended, for good.

    Attributes:
        stage: which part of the run's data it was, by name.
    """

    def __init__(self, stage: str) -> None:
        super().__init__(
            f"the data of stage {stage} was altered, moved or cut on its way: the run has ended; ask again",
            "RUN_ABORTED",
        )
        self.stage = stage


class DisclosureError(HitokuError):
    """Cells cannot be released under the plan; nothing was released."""

    exit_code = 9
