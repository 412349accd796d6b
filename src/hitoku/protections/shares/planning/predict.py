# SPDX-License-Identifier: Apache-2.0
"""What a program costs, and what servers see of it: found by running it on a party that only counts.

Seconds come from measured costs of a byte and of a round, on one machine with all three servers (two cores);
`benchmarks/shares.py` measures them. They are a guide; bytes and rounds follow from the protocol.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from hitoku import limits
from hitoku.errors import LimitError
from hitoku.protections.shares.manifest import least_kind, padded_rows
from hitoku.protections.shares.planning.cannot import Cannot
from hitoku.protections.shares.planning.compiled import Sizes, compiled
from hitoku.protections.shares.planning.counting import Counting, NoDraws, Vector
from hitoku.protections.shares.planning.joins import KeySize
from hitoku.protections.shares.planning.leaves import Leaves
from hitoku.protections.shares.planning.sqltypes import Describer
from hitoku.protections.shares.program import Branch, Dictionary, Leaf, Program, Type, Upload

if TYPE_CHECKING:
    from hitoku.protections.shares.operators.loaded import Loaded
    from hitoku.protections.shares.planning.draft import Draft
    from hitoku.protections.shares.wanted import WantedLeaf, WantedTable

__all__ = ["PredictedStep", "Prediction", "expected", "fits", "predict"]

NANOSECONDS_A_BYTE: Final = 2.8
"""Wall time of a byte that is sent, computing included, with three servers on two cores."""
SECONDS_A_ROUND: Final = 0.00009
_LOCAL: Final = 0.4
"""What a byte costs that is computed with but not sent, in units of one that is."""
_TEXTS: Final = 1024
"""Entries of a dictionary of which nothing is known yet."""
_TEXT_WORDS: Final = 2
_GROUPS: Final = 1024
"""Groups that an owner makes by itself, of which nothing is known yet."""


@dataclass(frozen=True, slots=True)
class PredictedStep:
    """One part of a run.

    Attributes:
        words: what is done.
        seconds: about how long.
        bytes: sent by all three servers together.
        rounds: messages that wait for one another.
    """

    words: str
    seconds: float
    bytes: int
    rounds: int


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a run costs.

    Attributes:
        seconds: about how long servers compute.
        bytes: what they send, all three together, and what owners upload.
        rounds: messages that wait for one another.
        steps: the parts, in order.
        seen: what each of the three servers sees, in words.
        assumed: what is not known yet and was assumed, in words.
    """

    seconds: float
    bytes: int
    rounds: int
    steps: tuple[PredictedStep, ...]
    seen: tuple[str, ...]
    assumed: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The plan, one step a line."""
        lines = [
            f"{step.words}: {_size(step.bytes)}, {step.rounds} rounds, about {step.seconds:.2g} s"
            for step in self.steps
        ]
        lines.append(f"in all: {_size(self.bytes)}, {self.rounds} rounds, about {self.seconds:.2g} s")
        lines += [f"assumed: {words}" for words in self.assumed]
        lines.append("each server sees:")
        return "\n".join([*lines, *(f"  {words}" for words in self.seen)])


def predict(program: Program, assumed: tuple[str, ...] = ()) -> Prediction:
    """What a program costs. It depends on the program alone; no data is needed.

    Args:
        program: the program.
        assumed: what its sizes rest on, in words.
    """
    from hitoku.protections.shares.operators.execute import execute

    loaded, uploaded = _loaded(program)
    counting = Counting()
    execute(program, counting, loaded, counting, NoDraws())
    steps = [
        PredictedStep("owners share their columns", 2 * uploaded * NANOSECONDS_A_BYTE / 1e9, 2 * uploaded, 1)
    ]
    for step in counting.steps:
        if step.rounds or step.sent:
            work = (step.sent + _LOCAL * step.local) * NANOSECONDS_A_BYTE / 1e9
            steps.append(
                PredictedStep(step.name, work + step.rounds * SECONDS_A_ROUND, step.sent, step.rounds)
            )
    return Prediction(
        sum(step.seconds for step in steps),
        sum(step.bytes for step in steps),
        sum(step.rounds for step in steps),
        tuple(steps),
        _seen(program),
        assumed,
    )


def _loaded(program: Program) -> tuple[Loaded, int]:
    """What servers hold of the uploads, and how many bytes these are."""
    from hitoku.protections.shares.operators.loaded import Loaded

    loaded = Loaded(rows={})
    uploaded = 0
    for upload in program.uploads:
        loaded.rows[upload.table] = Vector("u8", upload.rows)
        vectors = [loaded.rows[upload.table]]
        for leaf in upload.leaves:
            if leaf.word:
                loaded.words[leaf.name] = Vector(least_kind(leaf.type.bits), upload.rows)
                vectors.append(loaded.words[leaf.name])
            if leaf.ring is not None:
                loaded.ring[leaf.name] = Vector(leaf.ring, upload.rows)
                vectors.append(loaded.ring[leaf.name])
            if leaf.type.nullable:
                loaded.valid[leaf.name] = Vector("u8", upload.rows)
                vectors.append(loaded.valid[leaf.name])
        for dictionary in upload.dictionaries:
            made = [Vector("u64", dictionary.size) for _ in range(dictionary.words)]
            loaded.dictionaries[dictionary.name] = made
            vectors += made
        uploaded += sum(vector.size for vector in vectors)
    return loaded, uploaded


def fits(tables: tuple[WantedTable, ...], types: Mapping[str, Type], branches: tuple[Branch, ...]) -> bool:
    """Whether the operators can compute with numbers as wide as these may be.

    Args:
        tables: what owners share.
        types: the widest types of their leaves.
        branches: the program, made with these types.
    """
    from hitoku.protections.shares.operators.execute import execute

    uploads = []
    for table in tables:
        leaves = [
            Leaf(leaf.name, leaf.sql, types[leaf.name], _widest_ring(leaf, types[leaf.name]), leaf.word)
            for leaf in table.leaves
        ]
        texts = [leaf.name for leaf in leaves if leaf.type.kind == "code"]
        dictionaries = tuple(Dictionary(name, _TEXTS, _TEXT_WORDS) for name in texts)
        uploads.append(Upload(table.table, table.owner, 16, tuple(leaves), dictionaries))
    counting = Counting()
    made = Program(tuple(uploads), branches)
    try:
        execute(made, counting, _loaded(made)[0], counting, NoDraws())
    except ValueError:
        return False
    return True


def _widest_ring(leaf: WantedLeaf, kind: Type) -> Literal["r64", "r128"] | None:
    if leaf.ring != "auto":
        return leaf.ring
    return "r64" if max(abs(kind.low), abs(kind.high)) < 1 << 33 else "r128"


def expected(draft: Draft, rows: Mapping[str, int] | None = None) -> Prediction | None:
    """What a question will cost, before owners have said how large their columns are.

    Args:
        draft: the question.
        rows: about how many rows tables have, where that is known; what the room declares comes first.

    Returns:
        None where the rows of a table are neither declared nor known, or the joins could be too large.
    """
    known: dict[str, int] = {}
    for table in draft.tables:
        count = table.rows or (rows or {}).get(table.table)
        if count is None:
            return None
        if table.group is not None:
            count = min(count, _GROUPS) if table.group else 1
        known[table.table] = table.rows or padded_rows(min(count, limits.MAX_SHARES_ROWS))
    uploads = tuple(_upload(table, known[table.table]) for table in draft.tables)
    sizes = Sizes(
        known,
        {leaf.name: leaf.type for upload in uploads for leaf in upload.leaves},
        {
            key.leaves: KeySize(key.most or 1, key.occurrence if (key.most or 1) > 1 else None)
            for table in draft.tables
            for key in table.keys
        },
        frozenset(table.table for table in draft.tables if table.group is not None),
        {table.table: table.boundary for table in draft.tables if table.boundary is not None},
    )
    leaves = Leaves(draft.question.sources, draft.shares, sizes.types)
    try:
        with Describer(draft.question.sources, draft.known) as describer:
            found = compiled(draft.question, draft.minima, describer, leaves, sizes, draft.noise)
        return predict(Program(uploads, found.branches), _assumed(draft))
    except (Cannot, LimitError):
        return None


def _assumed(draft: Draft) -> tuple[str, ...]:
    words = ["columns are as wide as their types, or as the room declares"]
    open_keys = sorted({t.table for t in draft.tables if any(k.most is None for k in t.keys)})
    if open_keys:
        words.append(f"no join repeats rows of {', '.join(open_keys)}")
    if any(t.group for t in draft.tables):
        words.append(f"an owner that groups by itself has at most {_GROUPS} groups")
    if any(leaf.kind == "code" for t in draft.tables for leaf in t.leaves):
        words.append(f"columns of texts have at most {_TEXTS} different ones")
    return tuple(words)


def _upload(table: WantedTable, rows: int) -> Upload:
    leaves = [Leaf(leaf.name, leaf.sql, _type(leaf, rows), _ring(leaf), leaf.word) for leaf in table.leaves]
    if table.boundary is not None:
        leaves.append(Leaf(table.boundary, "", Type("boolean", 0, 1, nullable=False), None, word=True))
    for key in table.keys:
        if key.occurrence is not None and (key.most or 1) > 1:
            kind = Type("number", 0, (key.most or 1) - 1, nullable=False)
            leaves.append(Leaf(key.occurrence, "", kind, None, word=True))
    dictionaries = tuple(
        Dictionary(leaf.name, _TEXTS, _TEXT_WORDS) for leaf in leaves if leaf.type.kind == "code"
    )
    return Upload(table.table, table.owner, rows, tuple(leaves), dictionaries, table.where, table.group)


def _ring(leaf: WantedLeaf) -> Literal["r64", "r128"] | None:
    return "r64" if leaf.ring == "auto" else leaf.ring


def _type(leaf: WantedLeaf, rows: int) -> Type:
    match leaf.kind:
        case "boolean":
            low, high = 0, 1
        case "hash":
            low, high = 0, (1 << 64) - 1
        case "code":
            return Type("code", 0, _TEXTS - 1, 0, leaf.nullable, leaf.name)
        case "date":
            low, high = 0, (1 << 16) - 1
        case _:
            low, high = 0, (1 << 32) - 1
            if "DENSE_RANK()" in leaf.sql:
                high = max(rows - 1, 1)
    if leaf.low is not None and leaf.high is not None:
        low, high = leaf.low, leaf.high
    return Type(leaf.kind, low, high, leaf.scale, leaf.nullable)


# --- words ---


def _seen(program: Program) -> tuple[str, ...]:
    words = ["the question, its plan, and this program"]
    for upload in program.uploads:
        widths = ", ".join(str(leaf.type.bits) for leaf in upload.leaves) or "none"
        words.append(
            f"of {upload.table}: {upload.rows:,} rows (rounded up, or as declared), columns of {widths} bits"
        )
        for dictionary in upload.dictionaries:
            words.append(
                f"of {upload.table}: at most {dictionary.size:,} texts, {8 * dictionary.words} bytes each"
            )
    for number, branch in enumerate(program.branches, 1):
        words += _joins(branch)
        which = f"SELECT {number}" if len(program.branches) > 1 else "the answer"
        after = "after thresholds and HAVING" if branch.noising is None else "after noise and thresholds"
        words.append(f"how many rows {which} has, {after}; never the rows")
    words.append("shares, which are random to one server alone; two servers together could read them")
    return tuple(words)


def _joins(branch: Branch) -> list[str]:
    return [
        f"of {lookup.table}: a join key is in at most {lookup.copies} rows"
        for lookup in branch.lookups
        if lookup.copies > 1
    ]


def _size(count: int) -> str:
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} TB"
