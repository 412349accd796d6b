# SPDX-License-Identifier: Apache-2.0
"""Plain tables as uploads of a program, and results as plain rows: what surrounds the operators."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from tests.shares.ideal import IdealEngine

from hitoku.ports import NoProgress
from hitoku.protections.shares.operators import BranchResult, Loaded, execute
from hitoku.protections.shares.operators.draws import Draws
from hitoku.protections.shares.program import Branch, Column, Dictionary, Leaf, Program, Type, Upload

WORD_KINDS = ((8, "u8"), (16, "u16"), (32, "u32"), (64, "u64"), (128, "u128"))


def word_kind(bits: int) -> str:
    return next(kind for most, kind in WORD_KINDS if bits <= most)


@dataclass(frozen=True)
class Made:
    """A column of a test's table: its type, its values (None is NULL), how it is shared."""

    type: Type
    values: Sequence[int | None]
    ring: str | None = None
    word: bool = True

    @property
    def leaf_type(self) -> Type:
        return self.type


def number(
    values: Sequence[int | None],
    low: int,
    high: int,
    *,
    scale: int = 0,
    ring: str | None = None,
    word: bool = True,
) -> Made:
    """Whole numbers; nullable where there is a None, or no value at all."""
    nullable = not len(values) or any(value is None for value in values)
    return Made(Type("number", low, high, scale, nullable), values, ring, word)


@dataclass(frozen=True)
class Table:
    """A test's table: columns by number (``name.1``...), and which rows are valid."""

    name: str
    columns: Sequence[Made]
    valid: Sequence[bool]
    dictionaries: Mapping[int, Sequence[str]] | None = None

    def column(self, place: int) -> Column:
        made = self.columns[place - 1]
        return Column(f"{self.name}.{place}", made.type)

    def upload(self) -> Upload:
        leaves = tuple(
            Leaf(f"{self.name}.{at}", "", made.type, made.ring, made.word)  # type: ignore[arg-type]
            for at, made in enumerate(self.columns, 1)
        )
        dictionaries = tuple(
            Dictionary(f"{self.name}.{at}", len(texts), _text_words(texts))
            for at, texts in (self.dictionaries or {}).items()
        )
        return Upload(self.name, "owner", len(self.valid), leaves, dictionaries)


def _text_words(texts: Sequence[str]) -> int:
    return max(-(-len(text.encode()) // 8) for text in (*texts, "x"))


def load(
    engine: Any, tables: Sequence[Table], share: Callable[[str, list[int]], Any] | None = None
) -> Loaded:
    """Values as shared vectors: by `share`, or as public ones, which any engine takes."""
    loaded = Loaded({})
    share = share or engine.public
    for table in tables:
        loaded.rows[table.name] = share("u8", [int(one) for one in table.valid])
        for at, made in enumerate(table.columns, 1):
            name, low = f"{table.name}.{at}", made.type.low
            if made.word:
                words = [0 if value is None else value - low for value in made.values]
                loaded.words[name] = share(word_kind(made.type.bits), words)
            if made.ring:
                mask = 2 ** int(made.ring[1:]) - 1
                loaded.ring[name] = share(made.ring, [(value or 0) & mask for value in made.values])
            if made.type.nullable:
                loaded.valid[name] = share("u8", [int(value is not None) for value in made.values])
        for at, texts in (table.dictionaries or {}).items():
            width = _text_words(texts) * 8
            padded = [text.encode().ljust(width, b"\0") for text in texts]
            loaded.dictionaries[f"{table.name}.{at}"] = [
                share("u64", [int.from_bytes(text[at : at + 8], "big") for text in padded])
                for at in range(0, width, 8)
            ]
    return loaded


def program(tables: Sequence[Table], *branches: Branch) -> Program:
    uploads = tuple(sorted((table.upload() for table in tables), key=lambda upload: upload.table))
    return Program(uploads, branches)


def decode(result: BranchResult, values: Any) -> list[tuple[Any, ...]]:
    """Rows of a result: whole numbers in units, texts, ratios as fractions (cut); None is NULL."""
    columns = []
    for column in result.columns:
        vectors = [values(vector) for vector in column.vectors]
        valid = values(column.valid) if column.valid is not None else [1] * result.rows
        assert (column.valid is not None) == column.layout.nullable
        assert tuple(vector.kind for vector in column.vectors) == column.layout.kinds
        assert all(len(vector) == result.rows for vector in vectors)
        cells: list[Any] = []
        for row in range(result.rows):
            parts = [vector[row] for vector in vectors]
            if not valid[row]:
                assert not any(parts), "there is something behind a NULL"
                cells.append(None)
            elif column.layout.form == "ratio":
                cells.append(
                    (-1 if parts[0] else 1)
                    * Fraction(sum(p << 64 * n for n, p in enumerate(parts[:0:-1])), 2**128)
                )
            elif column.layout.form == "text":
                cells.append(b"".join(part.to_bytes(8, "big") for part in parts).rstrip(b"\0").decode())
            else:
                cells.append(parts[0] + column.layout.type.low)
        columns.append(cells)
    return [tuple(cells) for cells in zip(*columns, strict=True)] if columns else [()] * result.rows


def run(
    tables: Sequence[Table],
    branch: Branch,
    engine: IdealEngine | None = None,
    seed: int = 0,
    draws: Draws | None = None,
) -> list[tuple[Any, ...]]:
    """Rows of one branch, computed on plain values; checks that nothing but the pass bits was opened."""
    engine = engine or IdealEngine(seed)
    whole = program(tables, branch)
    (result,) = execute(whole, engine, load(engine, tables), NoProgress(), draws)
    assert len(engine.opened) <= 1
    for opened in engine.opened:
        assert sum(opened) == result.rows
        assert set(opened) <= {0, 1}
    return decode(result, engine.values)


def nullable(kind: Type) -> Type:
    return replace(kind, nullable=True)
