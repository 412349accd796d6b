# SPDX-License-Identifier: Apache-2.0
"""From a question to what its owners must compute, and from their manifests to the program.

Whether a question can be answered on shares, and what owners are asked for, follows from its text, its plan
and the agreement alone: it is decided before any data is read, and every member decides the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlglot import exp, parse_one

from hitoku import limits
from hitoku.disclosure.three import three_draws
from hitoku.errors import LimitError, PeerError
from hitoku.protections.base import Unsupported
from hitoku.protections.shares.manifest import Manifest, upload_of
from hitoku.protections.shares.planning.cannot import Cannot
from hitoku.protections.shares.planning.compiled import Compiled, Sizes, compiled
from hitoku.protections.shares.planning.joins import KeySize
from hitoku.protections.shares.planning.leaves import Collected, Leaves
from hitoku.protections.shares.planning.outputs import View
from hitoku.protections.shares.planning.predict import fits
from hitoku.protections.shares.planning.sqltypes import Describer
from hitoku.protections.shares.planning.texts import different
from hitoku.protections.shares.program import Program
from hitoku.protections.shares.wanted import WantedTable
from hitoku.questions.form import Combined, Tree
from hitoku.questions.margins import related
from hitoku.questions.render import sql_of

if TYPE_CHECKING:
    from hitoku.disclosure.noise import Noise
    from hitoku.disclosure.plan import DisclosurePlan
    from hitoku.questions.question import Question
    from hitoku.room.agreement import Column, Room
    from hitoku.room.shares import Shares

__all__ = ["Draft", "draft", "program"]


@dataclass(frozen=True, slots=True)
class Draft:
    """What follows from a question before there are sizes.

    Attributes:
        question: the question.
        tables: what each table's owner computes and shares, sorted by name.
        views: what receivers do with the opened rows of each SELECT.
        minima: by a threshold's alias, the plan's minimum.
        shares: what the room declares.
        known: what the engine said of types.
        noise: what figures get; None where they are exact.
    """

    question: Question
    tables: tuple[WantedTable, ...]
    views: tuple[View, ...]
    minima: Mapping[str, int]
    shares: Shares | None = field(repr=False)
    known: dict[str, Any] = field(repr=False, compare=False)
    noise: Noise | None = None

    def table(self, name: str) -> WantedTable:
        """What the owner of that table is asked for."""
        return next(table for table in self.tables if table.table == name)


def draft(question: Question, plan: DisclosurePlan | None, room: Room) -> Draft | Unsupported:
    """What owners must compute for a question on shares, or why it cannot be answered so. Never raises.

    Args:
        question: a checked question.
        plan: its plan; None where only the room's rules are known.
        room: the room.
    """
    try:
        return _draft(question, plan, room)
    except Cannot as cannot:
        return Unsupported(cannot.reason, cannot.remedy)


def _draft(question: Question, plan: DisclosurePlan | None, room: Room) -> Draft:
    noise = _noise(question, plan)
    if noise is None:
        _released_inside(question, room)
    if len(question.form.blocks) > limits.MAX_SHARES_BRANCHES:
        raise Cannot("the question has too many SELECTs", "ask for some of them in a question of their own")
    shares: Shares | None = getattr(room.agreement, "shares", None)
    minima = {} if plan is None else {t.alias: t.minimum for t in plan.thresholds}
    leaves = Leaves(question.sources, shares)
    with Describer(question.sources) as describer:
        made = compiled(question, minima, describer, leaves, None, noise)
        known = describer.known
    if not all(view.shown for view in made.views):
        raise Cannot("a SELECT of the question has no output that depends on rows", "leave it out")
    tables = tuple(_wanted(leaves.tables[name], shares) for name in sorted(leaves.tables))
    if not fits(tables, leaves.widest, made.branches):
        raise Cannot(
            "a quotient or another number of the question could need more bits than shares have",
            "declare `lower` and `upper` of its columns under `shares.tables` in the room",
        )
    return Draft(question, tables, made.views, minima, shares, known, noise)


def _noise(question: Question, plan: DisclosurePlan | None) -> Noise | None:
    """What figures get; before there is a plan, what they would get at least."""
    if question.privacy is None:
        return None
    if question.constraints:
        raise Cannot("the question has thresholds and noise at once", "ask by another protection")
    noise = three_draws(question.privacy, None)[0] if plan is None else plan.noise
    if noise is None or any(part.law != "three discrete Gaussian" for part in noise.parts):
        raise Cannot("the plan has another noise than three servers add", "ask by another protection")
    return noise


def _released_inside(question: Question, room: Room) -> None:
    """Refuse what has to be done to exact figures and cannot be on shares."""
    release = room.agreement.release
    if question.constraints and (release.round_counts > 1 or release.summary):
        raise Cannot(
            "the room rounds counts or tells totals of withheld groups, which is not done on shares",
            "set `release` of the room to its defaults",
        )
    if question.constraints and related(question.form):
        raise Cannot(
            "the question has totals beside their parts, whose protection is not computed on shares",
            "ask for them one by one",
        )
    _only_united(question.form.tree)
    if isinstance(question.form.tree, Combined) and (question.form.limit is not None or question.form.offset):
        raise Cannot(
            "LIMIT of several SELECTs together cannot be found on shares", "ask for each in its own question"
        )


def _only_united(tree: Tree) -> None:
    if not isinstance(tree, Combined):
        return
    if tree.kind != "UNION ALL":
        raise Cannot(
            f"{tree.kind} compares the released rows of several SELECTs, and receivers would see them all",
            "use UNION ALL, or ask for each SELECT in its own question",
        )
    for part in tree.parts:
        _only_united(part)


def _wanted(collected: Collected, shares: Shares | None) -> WantedTable:
    table = collected.table
    declared = None if shares is None else shares.table(table.name)
    leaves = tuple(collected.leaves.values())
    texts = [*(leaf.sql for leaf in leaves), *collected.where, *(collected.group or ())]
    return WantedTable(
        table.name,
        table.owner,
        _columns(texts, table.name, table.columns),
        leaves,
        collected.where,
        collected.group,
        tuple(collected.keys.values()),
        None if declared is None else declared.rows,
        collected.order,
        collected.boundary,
        groups=None if collected.group is None else _most_groups(collected),
    )


def _most_groups(collected: Collected) -> str:
    """How many groups an owner can make: as many as its rows have values in what is grouped by.

    The asker's conditions, and where its expressions part the values, do not show in it.
    """
    by = {leaf.sql: leaf for leaf in collected.leaves.values()}
    columns = [column for text in collected.group or () for column in _read(text, collected.table.name)]
    sizes: list[str] = []
    for text in collected.group or ():
        leaf = by.get(text)
        if leaf is not None and leaf.most is not None:
            sizes.append(f"({leaf.most.entries} + 1)")
        elif leaf is not None and leaf.low is not None and leaf.high is not None:
            sizes.append(str(leaf.high - leaf.low + 2))
        elif leaf is not None and leaf.kind == "boolean":
            sizes.append("3")
        else:
            return different(columns)
    product = " * ".join(f"CAST({size} AS DOUBLE)" for size in sizes) or "1"
    return f"LEAST({different(columns)}, {product})"


def _read(text: str, table: str) -> list[str]:
    tree = parse_one(f"SELECT {text}", dialect="duckdb")
    return sorted({sql_of(node) for node in tree.find_all(exp.Column) if node.table == table})


def _columns(texts: list[str], table: str, columns: tuple[Column, ...]) -> tuple[Column, ...]:
    read = {
        node.name
        for text in texts
        for node in parse_one(f"SELECT {text}", dialect="duckdb").find_all(exp.Column)
        if node.table == table
    }
    return tuple(column for column in columns if column.name in read)


def program(made: Draft, manifests: Mapping[str, Manifest]) -> Program:
    """The program that servers run: the same wherever it is made of the same draft and manifests.

    Raises:
        PeerError: a manifest is of something else than was asked for.
        LimitError: joined, the tables could be too large.
    """
    uploads = tuple(upload_of(wanted, manifests[wanted.table]) for wanted in made.tables)
    keys: dict[tuple[str, ...], KeySize] = {}
    for wanted in made.tables:
        for key, facts in zip(wanted.keys, manifests[wanted.table].keys, strict=True):
            if key.occurrence is None and facts.copies > 1:
                raise PeerError(f"{wanted.owner!r} shares a key of {wanted.table} that is not unique")
            keys[key.leaves] = KeySize(facts.copies, facts.occurrence)
    sizes = Sizes(
        {upload.table: upload.rows for upload in uploads},
        {leaf.name: leaf.type for upload in uploads for leaf in upload.leaves},
        keys,
        frozenset(wanted.table for wanted in made.tables if wanted.group is not None),
        {wanted.table: wanted.boundary for wanted in made.tables if wanted.boundary is not None},
    )
    leaves = Leaves(made.question.sources, made.shares, sizes.types)
    try:
        with Describer(made.question.sources, made.known) as describer:
            found: Compiled = compiled(made.question, made.minima, describer, leaves, sizes, made.noise)
    except Cannot as cannot:
        raise LimitError(cannot.reason) from None
    return Program(uploads, found.branches)
