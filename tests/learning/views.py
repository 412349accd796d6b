# SPDX-License-Identifier: Apache-2.0
"""What an adversary can open from masked vectors: an exact check, and the argument's simulator.

Exact: each masked vector is an input plus streams with signs. Streams that the adversary cannot make are
independent and uniform (that is the assumption on the kernel), so what he learns of the inputs are the linear
combinations of the vectors in which the unknown streams cancel, and nothing else. `Recorder` notes streams
while the real protocol runs; `opened` computes those combinations.

By simulation: given the sum, vectors drawn uniformly that add up to it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hitoku.hazmat import masks as kernel

Form = dict[str, int]
"""A linear form of inputs: coefficient by input."""


@dataclass(frozen=True)
class Row:
    """A masked vector: the plain one, its masked form, and its streams: (secret, context) and sign."""

    plain: NDArray[np.int64]
    masked: NDArray[np.uint64]
    streams: tuple[tuple[tuple[bytes, bytes], int], ...]


class Recorder:
    """Notes every masking, and which secrets are members' own masks."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rows: list[Row] = []
        self.own: set[bytes] = set()
        self.secrets: dict[bytes, Any] = {}
        mask, secret = kernel.mask, kernel.MaskSeed.secret

        def noted_mask(values: Any, terms: Any, context: bytes, *, threads: int | None = None) -> Any:
            used = [(term, sign) for term, sign in terms if sign]
            self.secrets |= {identity(term): term for term, _ in used}
            masked = mask(values, used, context, threads=threads)
            streams = tuple(((identity(term), context), sign) for term, sign in used)
            self.rows.append(Row(values.copy(), masked.copy(), streams))
            return masked

        def noted_secret(seed: Any, info: bytes) -> Any:
            made = secret(seed, info)
            self.own.add(identity(made))
            return made

        monkeypatch.setattr(kernel, "mask", noted_mask)
        monkeypatch.setattr(kernel.MaskSeed, "secret", noted_secret)

    def row(self, plain: NDArray[np.int64]) -> Row:
        """The row of one input."""
        (found,) = [row for row in self.rows if np.array_equal(row.plain, plain)]
        return found

    def without_pairs(self, row: Row) -> NDArray[np.uint64]:
        """The masked vector after the masks that are shared with other members were taken off."""
        left = row.masked.copy()
        pairs = self.pairs(row)
        for (secret, context), sign in row.streams:
            if secret in pairs:
                kernel.mask_into(left, [(self.secrets[secret], -sign)], context)
        return left

    def pairs(self, row: Row) -> set[bytes]:
        """The secrets of a row that are shared with another member."""
        return {secret for (secret, _), _ in row.streams if secret not in self.own}

    def selves(self, row: Row) -> set[bytes]:
        """The row's own mask."""
        return {secret for (secret, _), _ in row.streams if secret in self.own}


def identity(secret: Any) -> bytes:
    """The same bytes for the same secret, at both of its owners."""
    return bytes(secret.derive(b"identity"))


def opened(rows: dict[str, Row], known: Collection[bytes] = ()) -> list[list[Fraction]]:
    """The forms of inputs that open, in reduced echelon form: columns are the inputs sorted by name.

    Args:
        rows: what the adversary has seen, by a name for the input.
        known: secrets that he has.
    """
    names = sorted(rows)
    streams = sorted({s for row in rows.values() for s, _ in row.streams if s[0] not in known})
    place = {stream: n for n, stream in enumerate(streams)}
    matrix = []
    for n, name in enumerate(names):
        line = [Fraction(0)] * (len(streams) + len(names))
        for stream, sign in rows[name].streams:
            if stream in place:
                line[place[stream]] += sign
        line[len(streams) + n] = Fraction(1)
        matrix.append(line)
    echelon = reduced(matrix)
    return [line[len(streams) :] for line in echelon if not any(line[: len(streams)])]


def forms(names: Iterable[str], wanted: Sequence[Form]) -> list[list[Fraction]]:
    """Forms in the same echelon form, to compare with `opened`."""
    columns = sorted(names)
    return reduced([[Fraction(form.get(name, 0)) for name in columns] for form in wanted])


def reduced(matrix: list[list[Fraction]]) -> list[list[Fraction]]:
    """The reduced row echelon form, without empty rows."""
    lines = [list(line) for line in matrix]
    done = 0
    for column in range(len(lines[0]) if lines else 0):
        pivot = next((n for n in range(done, len(lines)) if lines[n][column]), None)
        if pivot is None:
            continue
        lines[done], lines[pivot] = lines[pivot], lines[done]
        lines[done] = [value / lines[done][column] for value in lines[done]]
        for n, line in enumerate(lines):
            if n != done and line[column]:
                factor = line[column]
                lines[n] = [a - factor * b for a, b in zip(line, lines[done], strict=True)]
        done += 1
    return lines[:done]


def simulated(total: NDArray[np.int64], count: int, seed: int) -> list[NDArray[np.uint64]]:
    """The simulator of a session's sum: `count` vectors, uniform but for their sum."""
    random = np.random.default_rng(seed)
    made = [random.integers(0, 1 << 64, len(total), np.uint64) for _ in range(count - 1)]
    last = total.view(np.uint64).copy()
    for vector in made:
        last -= vector
    return [*made, last]


def far_from_uniform(values: NDArray[np.uint64]) -> float:
    """How many standard deviations the chi-square of the bytes is from that of uniform bytes."""
    counts = np.bincount(np.ascontiguousarray(values).view(np.uint8), minlength=256)
    expected = counts.sum() / 256
    chi = float(((counts - expected) ** 2 / expected).sum())
    return float(abs(chi - 255) / np.sqrt(2 * 255))


def looks_masked(vectors: Sequence[NDArray[np.uint64]]) -> bool:
    """Whether vectors, and all differences and sums of two of them, look uniform: 9 standard deviations.

    False alarms: the chi-square's upper tail at 9 standard deviations is below 1e-14.
    """
    tested = list(vectors)
    for n, one in enumerate(vectors):
        for other in vectors[:n]:
            tested += [one - other, one + other]
    return all(far_from_uniform(vector) < 9 for vector in tested)
