# SPDX-License-Identifier: Apache-2.0
"""A column of the engine's result as whole numbers, or as codes with their dictionary."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hitoku import limits
from hitoku.errors import EngineError, InputError, LimitError
from hitoku.protections.shares.sizes import padded_entries, padded_words
from hitoku.protections.shares.upload.whole import Whole

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hitoku.protections.shares.wanted import WantedLeaf

__all__ = ["Coded", "bits_of", "coded", "random_order", "whole"]

_WIDE: Final = 1 << 29
"""A dictionary has at most so many bytes."""


def random_order(count: int) -> NDArray[np.int64]:
    """A uniformly random permutation, by sorting random numbers of the operating system.

    Where two of the numbers were equal (at 2**27 of them one draw in 2,000) the order would not be uniform,
    and all are drawn again.
    """
    while True:
        drawn = np.frombuffer(secrets.token_bytes(8 * count), np.uint64)
        order = np.argsort(drawn)
        held = drawn[order]
        if not (held[1:] == held[:-1]).any():
            return order


def validity(column: pa.ChunkedArray) -> NDArray[np.bool_] | None:
    """Which values are there; None where all are."""
    if not column.null_count:
        return None
    made = np.empty(len(column), np.bool_)
    at = 0
    for chunk in column.chunks:
        made[at : at + len(chunk)] = _bits(chunk, 0)
        at += len(chunk)
    return made


def bits_of(column: pa.ChunkedArray) -> NDArray[np.bool_]:
    """A column of booleans without NULLs."""
    return _filled(column, np.bool_, lambda chunk: _bits(chunk, 1))


def whole(column: pa.ChunkedArray, leaf: WantedLeaf) -> tuple[Whole, NDArray[np.bool_] | None]:
    """The numbers of a column in the leaf's units, and which are there; 0 where none is.

    Raises:
        InputError: a number is too large, or is not exact in these units.
        EngineError: the column is of a type that has no whole numbers.
    """
    there, kind = validity(column), column.type
    if pa.types.is_decimal(kind) or (leaf.scale and pa.types.is_integer(kind)):
        numbers = _decimals(column, leaf)
    elif pa.types.is_boolean(kind):
        numbers = Whole.of(_filled(column, np.uint8, lambda chunk: _bits(chunk, 1)))
    elif pa.types.is_date32(kind):
        numbers = Whole.of(_filled(column, np.int32, lambda chunk: _values(chunk, np.int32)))
    elif pa.types.is_timestamp(kind) and kind.unit == "us":
        numbers = Whole.of(_filled(column, np.int64, lambda chunk: _values(chunk, np.int64)))
    elif pa.types.is_integer(kind):
        numpy = np.dtype(f"{'u' if pa.types.is_unsigned_integer(kind) else 'i'}{kind.bit_width // 8}")
        numbers = Whole.of(_filled(column, numpy, lambda chunk: _values(chunk, numpy)))
    else:
        raise EngineError(f"{leaf.column or leaf.name}: has no whole numbers", "DATA_TYPE")
    if there is not None:
        numbers.low[~there] = 0
        if numbers.high is not None:
            numbers.high[~there] = 0
            numbers = Whole.pairs(numbers.low, numbers.high)
    return numbers, there


def _filled(column: pa.ChunkedArray, kind: Any, values: Any) -> NDArray[Any]:
    made = np.empty(len(column), kind)
    at = 0
    for chunk in column.chunks:
        made[at : at + len(chunk)] = values(chunk)
        at += len(chunk)
    return made


def _values(chunk: pa.Array, kind: Any) -> NDArray[Any]:
    return np.frombuffer(chunk.buffers()[1], kind)[chunk.offset : chunk.offset + len(chunk)]


def _bits(chunk: pa.Array, buffer: int) -> NDArray[np.bool_]:
    """A bitmap of a chunk: 0 its validity, 1 its booleans."""
    content = chunk.buffers()[buffer]
    if content is None:
        return np.ones(len(chunk), np.bool_)
    found = np.unpackbits(
        np.frombuffer(content, np.uint8), bitorder="little", count=chunk.offset + len(chunk)
    )
    return found[chunk.offset :].view(np.bool_)


def _decimals(column: pa.ChunkedArray, leaf: WantedLeaf) -> Whole:
    low, high = np.empty(len(column), np.uint64), np.empty(len(column), np.int64)
    at, wanted = 0, pa.decimal128(38, leaf.scale)
    for given in column.chunks:
        same = pa.types.is_decimal128(given.type) and given.type.scale == leaf.scale
        chunk = given if same else _as_decimal(given, wanted, leaf)
        halves = np.frombuffer(chunk.buffers()[1], np.uint64).reshape(-1, 2)
        halves = halves[chunk.offset : chunk.offset + len(chunk)]
        low[at : at + len(chunk)], high[at : at + len(chunk)] = halves[:, 0], halves[:, 1].view(np.int64)
        at += len(chunk)
    return Whole.pairs(low, high)


def _as_decimal(chunk: pa.Array, kind: pa.DataType, leaf: WantedLeaf) -> pa.Array:
    try:
        if pa.types.is_integer(chunk.type):
            chunk = chunk.cast(pa.decimal128(38, 0))
        return chunk.cast(kind)
    except pa.ArrowException:  # its words quote a value
        raise InputError(
            f"{leaf.column or leaf.name}: a number has more digits than {leaf.scale} behind the point, or "
            "more than 38 in all"
        ) from None


@dataclass(slots=True)
class Coded:
    """Texts as codes.

    Attributes:
        codes: 0 where no text is.
        there: which are; None where all are.
        size: entries of the dictionary, padded: see `sizes.padded_entries`.
        words: for each 8 bytes of an entry, those of all entries, the first byte being the most significant.
    """

    codes: Whole
    there: NDArray[np.bool_] | None
    size: int
    words: list[NDArray[np.uint64]]


def coded(column: pa.ChunkedArray, leaf: WantedLeaf, most: tuple[int, int] | None = None) -> Coded:
    """The codes of a column of texts, and the dictionary.

    Args:
        column: the engine's result.
        leaf: what is wanted.
        most: make room for so many texts, of so many bytes, however many there are.

    Raises:
        InputError: a text cannot be shared.
        LimitError: there are too many texts, or one is too long.
        EngineError: the column has no texts.
    """
    name, kind = leaf.column or leaf.name, column.type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        raise EngineError(f"{name}: has no texts", "DATA_TYPE")
    there = validity(column)
    encoded = column.dictionary_encode()
    texts = encoded.chunk(0).dictionary if encoded.num_chunks else pa.nulls(0, pa.string())
    texts = texts.cast(pa.large_string())
    count = len(texts)
    room, longest = (0, 0) if most is None else most
    if max(count, room) > limits.MAX_SHARES_ENTRIES:
        raise LimitError(f"{name}: has more than {limits.MAX_SHARES_ENTRIES:,} different texts")
    size = padded_entries(max(count, room))
    if leaf.ordered:
        places = np.empty(count, np.int64)
        places[pc.array_sort_indices(texts).to_numpy(zero_copy_only=False)] = np.arange(count)
    else:
        places = random_order(size)[:count]
    made = _filled(encoded, np.int64, lambda chunk: _code(chunk, places))
    return Coded(Whole.of(made), there, size, _entries(texts, places, size, name, longest))


def _code(chunk: pa.DictionaryArray, places: NDArray[np.int64]) -> NDArray[np.int64]:
    if not len(places):
        return np.zeros(len(chunk), np.int64)
    indices = chunk.indices
    numbers = _values(indices, np.dtype(f"i{indices.type.bit_width // 8}"))
    found: NDArray[np.int64] = places[np.clip(numbers, 0, len(places) - 1)]
    if indices.null_count:
        found[~_bits(indices, 0)] = 0
    return found


def _entries(
    texts: pa.Array, places: NDArray[np.int64], size: int, name: str, least: int
) -> list[NDArray[np.uint64]]:
    """The dictionary: each entry's bytes, zero-padded, in words of 8, which compare as the texts do."""
    count = len(texts)
    ends = np.frombuffer(texts.buffers()[1], np.int64)[texts.offset :] if count else np.zeros(1, np.int64)
    ends = ends[: count + 1]
    lengths = np.diff(ends)
    found = int(lengths.max(initial=0))
    longest = max(found, least)
    if longest > limits.MAX_SHARES_TEXT_BYTES:
        raise LimitError(f"{name}: has a text of more than {limits.MAX_SHARES_TEXT_BYTES} bytes")
    width = 8 * padded_words(longest)
    if size * width > _WIDE:
        raise LimitError(f"{name}: has too many long texts: they would be more than {_WIDE // 2**20} MiB")
    matrix = np.zeros(size * width, np.uint8)
    if found:
        content = np.frombuffer(texts.buffers()[2], np.uint8)[ends[0] : ends[-1]]
        ends = ends - ends[0]
        if (content[ends[1:][lengths > 0] - 1] == 0).any():
            raise InputError(
                f"{name}: has a text that ends with the character U+0000, which cannot be shared"
            )
        target = np.repeat(places * width - ends[:-1], lengths) + np.arange(len(content))
        matrix[target] = content
    table = matrix.reshape(size, width).view(">u8")
    return [table[:, word].astype(np.uint64) for word in range(width // 8)]
