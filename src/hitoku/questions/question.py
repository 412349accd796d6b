# SPDX-License-Identifier: Apache-2.0
"""A Question: one SQL statement, checked against every rule of every table, in normal form."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from hitoku.questions.text import parse

if TYPE_CHECKING:
    from sqlglot import exp

    from hitoku.questions.derive import Reveal
    from hitoku.questions.form import Form
    from hitoku.questions.privacy import Privacy
    from hitoku.room.agreement import Table

__all__ = ["OutputColumn", "OutputKind", "Question", "UnitConstraint"]


class OutputKind(StrEnum):
    """What an output column is."""

    DIMENSION = "dimension"
    AGGREGATE = "aggregate"
    LISTED = "listed"


@dataclass(frozen=True, slots=True)
class OutputColumn:
    """One column of the answer: its name, kind, and the tables' columns it is made from."""

    name: str
    kind: OutputKind
    sources: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class UnitConstraint:
    """Every output row must rest on at least `minimum` distinct values of `table.column`.

    `sql` counts them in the question's own terms, e.g. ``COUNT(DISTINCT p.tailnum)``; it is evaluated per
    output row beside the question's own outputs, under the hidden name `alias`.
    """

    table: str
    column: str
    owner: str
    minimum: int
    sql: str
    alias: str


@dataclass(frozen=True, slots=True)
class Question:
    """A question that every rule of every table in it allows.

    Attributes:
        sql: the normal form, regenerated from the checked tree (DuckDB dialect); equal questions in
            equal words have equal normal forms. This text, never the asker's, is what runs.
        asker: the member who asks.
        room_hash: hash of the agreement it was checked against (``sha256:...``).
        tables: the room's tables in it, sorted.
        owners: their owners, sorted.
        outputs: the answer's columns, in order.
        constraints: the thresholds that the tables' rules put on every output row.
        sources: the room's tables in it, sorted by name: what their files must look like.
        form: the normal form behind `sql` as data; what `execution_sql` renders.
        privacy: the figures that noise must be added to; None where no rule demands any.
        reveals: for each output, what it reveals of each column.
        template: the name of the template it was asked by; None where it was asked as SQL.
    """

    sql: str
    asker: str
    room_hash: str
    tables: tuple[str, ...]
    owners: tuple[str, ...]
    outputs: tuple[OutputColumn, ...]
    constraints: tuple[UnitConstraint, ...]
    sources: tuple[Table, ...] = field(repr=False, compare=False)
    form: Form = field(repr=False, compare=False)
    privacy: Privacy | None = field(default=None, repr=False, compare=False)
    reveals: tuple[tuple[Reveal, ...], ...] = field(default=(), repr=False, compare=False)
    template: str | None = field(default=None, compare=False)

    @property
    def tree(self) -> exp.Query:
        """The checked, qualified tree behind `sql`, made anew each time."""
        return parse(self.sql)

    @property
    def ordered(self) -> bool:
        """Whether the question itself orders its answer; if not, the release does."""
        return bool(self.form.order)

    @property
    def hash(self) -> str:
        """``sha256:`` and the hash of agreement and normal form: the question's name in every record."""
        digest = hashlib.sha256(f"hitoku/question/1\n{self.room_hash}\n{self.sql}".encode())
        return "sha256:" + digest.hexdigest()
