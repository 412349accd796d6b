# SPDX-License-Identifier: Apache-2.0
"""Narrow words beside each other in wider ones: moving rows costs by the byte, and packing costs nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hitoku.protections.shares.engine import Engine
from hitoku.protections.shares.operators.kinds import BITS, word_kind

__all__ = ["Field", "Packing", "equal_words", "pack"]


@dataclass(frozen=True)
class Field:
    """Words of so many bits under a name; bits above are 0."""

    name: str
    word: Any
    bits: int


@dataclass(frozen=True)
class Packing:
    """Where fields lie in packed words, most significant first.

    Attributes:
        bits: of each packed word.
        places: by name: which word, how far from its lowest bit, how many bits.
    """

    bits: tuple[int, ...]
    places: dict[str, tuple[int, int, int]]

    def keys(self, words: Sequence[Any]) -> list[tuple[Any, int]]:
        """As `Engine.order` takes them."""
        return list(zip(words, self.bits, strict=True))

    def field(self, engine: Engine, words: Sequence[Any], name: str) -> Any:
        """One field's words, of the least kind."""
        index, shift, bits = self.places[name]
        word = words[index]
        if shift:
            word = engine.shift_right(word, shift)
        kind = word_kind(bits)
        if word.kind != kind:
            word = engine.cast(word, kind)
        return word if bits == BITS[kind] or shift + bits == self.bits[index] else _low(engine, word, bits)

    def above(self, engine: Engine, words: Sequence[Any], name: str) -> list[tuple[Any, int]]:
        """Pairs of words and bits with all fields from the first through the one named, and no others."""
        index, shift, _ = self.places[name]
        found = list(zip(words[:index], self.bits[:index], strict=True))
        bits = self.bits[index] - shift
        word = engine.shift_right(words[index], shift) if shift else words[index]
        kind = word_kind(bits)
        return [*found, (word if word.kind == kind else engine.cast(word, kind), bits)]


def _low(engine: Engine, word: Any, bits: int) -> Any:
    return engine.and_public(word, 2**bits - 1)


def pack(engine: Engine, fields: Sequence[Field]) -> tuple[Packing, list[Any]]:
    """Fields in order, the first most significant, in as few words of at most 64 bits as they take."""
    groups: list[list[Field]] = []
    for one in fields:
        if groups and sum(other.bits for other in groups[-1]) + one.bits <= 64:
            groups[-1].append(one)
        else:
            groups.append([one])
    places: dict[str, tuple[int, int, int]] = {}
    sizes, words = [], []
    for index, group in enumerate(groups):
        total = sum(one.bits for one in group)
        kind, shift, packed = word_kind(total), total, None
        for one in group:
            shift -= one.bits
            word = one.word if one.word.kind == kind else engine.cast(one.word, kind)
            word = engine.shift_left(word, shift) if shift else word
            packed = word if packed is None else engine.xor(packed, word)
            places[one.name] = (index, shift, one.bits)
        sizes.append(total)
        words.append(packed)
    return Packing(tuple(sizes), places), words


def equal_words(engine: Engine, left: Sequence[tuple[Any, int]], right: Sequence[Any]) -> Any:
    """A bit: whether all words are equal."""
    same = None
    for (word, bits), other in zip(left, right, strict=True):
        here = engine.equal(word, other, bits)
        same = here if same is None else engine.and_(same, here)
    return same
