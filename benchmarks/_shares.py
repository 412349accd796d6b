# SPDX-License-Identifier: Apache-2.0
"""The questions of `shares.py`: made-up tables, what the three servers run, and the clear answer.

Used by the owner's and receiver's side (`shares.py`) and by the servers (`shares_server.py`), which make the
same program from a name and a number of rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from hitoku.protections.shares.operators import execute
from hitoku.protections.shares.operators.kinds import word_kind
from hitoku.protections.shares.operators.loaded import Loaded
from hitoku.protections.shares.program import (
    Aggregate,
    Branch,
    Column,
    Leaf,
    Lookup,
    Opened,
    Program,
    Type,
    Upload,
)

if TYPE_CHECKING:
    from hitoku.hazmat.shares import Party, Vector
    from hitoku.ports import Progress

__all__ = ["CASES", "GROUPS", "OWNERS", "Case", "Piece", "Table", "case"]

GROUPS: Final = 1_024
"""Groups: a key of 10 bits."""
OWNERS: Final = 3
"""Owners of the tables that are united, each aggregated by its owner first."""
_VALUE: Final = 2**40
"""Values are below it, shared in the ring of 64 bits: sums of ten million do not wrap."""
_LEAST: Final = 5
"""Rows that a group must have to be released."""
_SHARED: Final = 0.6
"""Of both tables' keys, how many are in the other one."""

Answer = list[NDArray[Any]]
"""Columns of the result, by the first one in ascending order."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One vector of an upload.

    Attributes:
        part: of `Loaded`: rows, words, ring or valid.
        name: of the table (part rows) or the leaf.
        kind: of the vector.
        rows: its length.
    """

    part: Literal["rows", "words", "ring", "valid"]
    name: str
    kind: str
    rows: int


Table = dict[tuple[str, str], NDArray[Any]]
"""Clear vectors by part and name."""


@dataclass(frozen=True)
class Case:
    """One thing to measure.

    Attributes:
        title: in words.
        rows: how large.
        program: what the servers run; None where they call the kernel itself.
        uploads: what owners share.
        make: the tables in clear, and the answer.
        run: a server's work: result vectors, all of them words.
    """

    title: str
    rows: int
    program: Program | None
    uploads: tuple[Upload, ...]
    make: Callable[[np.random.Generator], tuple[Table, Answer]]
    run: Callable[[Party, Loaded, Progress], list[Vector]]

    @property
    def pieces(self) -> list[Piece]:
        """The vectors of all uploads, in order; a vector's place is its label."""
        found = []
        for upload in self.uploads:
            found.append(Piece("rows", upload.table, "u8", upload.rows))
            for leaf in upload.leaves:
                if leaf.word:
                    found.append(Piece("words", leaf.name, word_kind(leaf.type.bits), upload.rows))
                if leaf.ring is not None:
                    found.append(Piece("ring", leaf.name, leaf.ring, upload.rows))
                if leaf.type.nullable:
                    found.append(Piece("valid", leaf.name, "u8", upload.rows))
        return found


def case(name: str, rows: int) -> Case:
    """The case of that name (of `CASES`) with so many rows."""
    return CASES[name](rows)


# --- what is in common ---

_KEY: Final = Type("number", 0, GROUPS - 1, nullable=False)
_AMOUNT: Final = Type("number", 0, _VALUE - 1, nullable=False)
_BIT: Final = Type("boolean", 0, 1, nullable=False)


def _upload(table: str, rows: int, *leaves: Leaf) -> Upload:
    return Upload(table, f"owner of {table}", rows, leaves)


def _word(name: str, kind: Type) -> Leaf:
    return Leaf(name, "", kind, word=True)


def _ring(name: str, kind: Type) -> Leaf:
    return Leaf(name, "", kind, ring="r64")


def _opened(*columns: tuple[str, Type]) -> tuple[Opened, ...]:
    return tuple(Opened(name, Column(name, kind)) for name, kind in columns)


def _executed(program: Program) -> Callable[[Party, Loaded, Progress], list[Vector]]:
    def run(party: Party, loaded: Loaded, progress: Progress) -> list[Vector]:
        (result,) = execute(program, party, loaded, progress)
        vectors = [vector for column in result.columns for vector in column.vectors]
        return vectors + [column.valid for column in result.columns if column.valid is not None]

    return run


def _sums(key: NDArray[Any], value: NDArray[Any]) -> Answer:
    """Group by `key`: key, sum and number of rows of every group that has enough rows; exact."""
    count = np.bincount(key, minlength=GROUPS)
    # bincount adds up doubles: halves of 20 bits stay below 2^53.
    low, high = (np.bincount(key, half.astype(float), GROUPS) for half in (value & 0xFFFFF, value >> 20))
    total = low.astype(np.uint64) + (high.astype(np.uint64) << np.uint64(20))
    kept = np.flatnonzero(count >= _LEAST)
    return [kept.astype(np.uint64), total[kept], count[kept].astype(np.uint64)]


def _rows_of(table: str, rows: int) -> Table:
    return {("rows", table): np.ones(rows, np.uint8)}


def _group_branch(table: str, rows: int, **more: Any) -> Branch:
    total = Type("number", 0, rows * (_VALUE - 1), nullable=False)
    count = Type("number", 0, rows, nullable=False)
    return Branch(
        start=table,
        lookups=(),
        where=(),
        groups=(("g1", Column(f"{table}.0", _KEY)),),
        aggregates=(
            Aggregate("a1", "sum", Column(f"{table}.1", _AMOUNT), total),
            Aggregate("a2", "count_rows", None, count),
        ),
        most_groups=GROUPS,
        thresholds=(("a2", _LEAST),),
        opened=_opened(("g1", _KEY), ("a1", total), ("a2", count)),
        **more,
    )


# --- the cases ---


def _group(rows: int) -> Case:
    upload = _upload("t", rows, _word("t.0", _KEY), _ring("t.1", _AMOUNT))
    program = Program((upload,), (_group_branch("t", rows),))

    def make(random: np.random.Generator) -> tuple[Table, Answer]:
        key = random.integers(0, GROUPS, rows).astype(np.uint16)
        value = random.integers(0, _VALUE, rows, dtype=np.uint64)
        return {**_rows_of("t", rows), ("words", "t.0"): key, ("ring", "t.1"): value}, _sums(key, value)

    return Case("group by sum, 10-bit key", rows, program, (upload,), make, _executed(program))


def _ordered(rows: int) -> Case:
    upload = _upload("t", rows, _word("t.0", _KEY), _ring("t.1", _AMOUNT), _word("t.2", _BIT))
    program = Program((upload,), (_group_branch("t", rows, sorted_by_owner=True, boundary="t.2"),))

    def make(random: np.random.Generator) -> tuple[Table, Answer]:
        key = np.sort(random.integers(0, GROUPS, rows).astype(np.uint16))
        value = random.integers(0, _VALUE, rows, dtype=np.uint64)
        last = np.append(key[1:] != key[:-1], True).astype(np.uint8)
        table = {**_rows_of("t", rows), ("words", "t.0"): key, ("words", "t.2"): last}
        return {**table, ("ring", "t.1"): value}, _sums(key, value)

    return Case("group by sum, rows in the owner's order", rows, program, (upload,), make, _executed(program))


def _sort(rows: int) -> Case:
    kind = Type("number", 0, 2**32 - 1, nullable=False)
    upload = _upload("t", rows, _word("t.0", kind))

    def make(random: np.random.Generator) -> tuple[Table, Answer]:
        key = random.integers(0, 2**32, rows, dtype=np.uint32)
        return {**_rows_of("t", rows), ("words", "t.0"): key}, [np.sort(key).astype(np.uint64)]

    def run(party: Party, loaded: Loaded, progress: Progress) -> list[Vector]:
        progress.phase("sorting")
        key = loaded.words["t.0"]
        return party.apply(party.order([(key, 32)]), [key])

    return Case("sort, 32 bits", rows, None, (upload,), make, run)


def _joined(rows: int, key: Type, title: str) -> Case:
    left = _upload("t", rows, _word("t.0", key))
    right = _upload("u", rows, _word("u.0", key), _ring("u.1", _AMOUNT))
    total = Type("number", 0, rows * (_VALUE - 1))
    count = Type("number", 0, rows, nullable=False)
    branch = Branch(
        start="t",
        lookups=(Lookup("u", "inner", ((Column("t.0", key), "u.0"),), sorted_by_owner=True),),
        where=(),
        groups=(),
        aggregates=(
            Aggregate("a1", "sum", Column("u.1", _AMOUNT), total),
            Aggregate("a2", "count_rows", None, count),
        ),
        most_groups=1,
        thresholds=(("a2", _LEAST),),
        opened=_opened(("a1", total), ("a2", count)),
        one_group=True,
    )
    program = Program((left, right), (branch,))

    def make(random: np.random.Generator) -> tuple[Table, Answer]:
        shared = int(_SHARED * rows)
        keys = np.empty(0, np.uint64)
        while len(keys) < 2 * rows - shared:
            drawn = random.integers(0, key.high, 3 * rows, dtype=np.uint64, endpoint=True)
            keys = np.unique(np.append(keys, drawn))
        keys = random.permutation(keys)[: 2 * rows - shared]
        mine = random.permutation(keys[:rows])
        other = np.sort(keys[rows - shared :])
        value = random.integers(0, _VALUE, rows, dtype=np.uint64)
        matched = np.isin(other, mine)
        kind = f"uint{word_kind(key.bits)[1:]}"
        table: Table = {
            **_rows_of("t", rows),
            **_rows_of("u", rows),
            ("words", "t.0"): mine.astype(kind),
            ("words", "u.0"): other.astype(kind),
            ("ring", "u.1"): value,
        }
        answer = [np.array([value[matched].sum()], np.uint64), np.array([matched.sum()], np.uint64)]
        return table, [*answer, np.array([1], np.uint64)]

    return Case(title, rows, program, (left, right), make, _executed(program))


def _join(rows: int) -> Case:
    return _joined(rows, Type("number", 0, 2**32 - 1, nullable=False), "join on a 32-bit key, sum")


def _join_hashed(rows: int) -> Case:
    return _joined(rows, Type("hash", 0, 2**64 - 1, nullable=False), "join on a 64-bit hash, sum")


def _union(rows: int) -> Case:
    """`rows` groups of each owner."""
    united = _upload("t", OWNERS * rows, _word("t.0", _KEY), _ring("t.1", _AMOUNT))
    branch = _group_branch("t", OWNERS * rows)
    # Each row is an owner's group already, and stands for many rows: none is left out for having few.
    branch = replace(branch, thresholds=())
    program = Program((united,), (branch,))
    execution = _executed(program)
    uploads = tuple(
        _upload(f"t{owner}", rows, _word(f"t{owner}.0", _KEY), _ring(f"t{owner}.1", _AMOUNT))
        for owner in range(OWNERS)
    )

    def make(random: np.random.Generator) -> tuple[Table, Answer]:
        table: Table = {}
        sums = np.zeros(GROUPS, np.uint64)
        for owner in range(OWNERS):
            key = random.permutation(GROUPS)[:rows].astype(np.uint16)
            value = random.integers(0, _VALUE, rows, dtype=np.uint64)
            sums[key] += value
            table |= _rows_of(f"t{owner}", rows)
            table |= {("words", f"t{owner}.0"): key, ("ring", f"t{owner}.1"): value}
        keys = np.concatenate([table["words", f"t{owner}.0"] for owner in range(OWNERS)])
        found, count = np.unique(keys, return_counts=True)
        return table, [found.astype(np.uint64), sums[found], count.astype(np.uint64)]

    def run(party: Party, loaded: Loaded, progress: Progress) -> list[Vector]:
        def together(part: dict[str, Any], end: str) -> Any:
            return party.concat([part[f"t{owner}{end}"] for owner in range(OWNERS)])

        whole = Loaded({"t": together(loaded.rows, "")})
        whole.words["t.0"] = together(loaded.words, ".0")
        whole.ring["t.1"] = together(loaded.ring, ".1")
        return execution(party, whole, progress)

    title = f"union of {OWNERS} owners' own sums, then group by sum"
    return Case(title, rows, program, uploads, make, run)


CASES: Final[dict[str, Callable[[int], Case]]] = {
    "group": _group,
    "sort": _sort,
    "join": _join,
    "join-hash": _join_hashed,
    "ordered": _ordered,
    "union": _union,
}
