# SPDX-License-Identifier: Apache-2.0
"""ElGamal over ristretto255, additively homomorphic: values that another party adds up unread.

`(rG, rP + vG)` with ``P = sG``: see `hitoku.hazmat.group`. Secret: the key ``s``, the randomness, the
values. Public: ``P`` and ciphertexts. They are malleable and prove nothing about a value or its size.
Sums are opened by a table, for values in a range that is known beforehand.
"""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from hitoku import _core, limits
from hitoku.errors import InputError, LimitError
from hitoku.executors.local import cores
from hitoku.hazmat.faults import kernel
from hitoku.hazmat.records import Matches

__all__ = [
    "CIPHERTEXT",
    "DiscreteLog",
    "ElGamalKey",
    "Sums",
    "add",
    "add_values",
    "decrypt",
    "encrypt",
    "load_elgamal_key",
    "new_elgamal_key",
]

CIPHERTEXT: Final = 64

ElGamalKey = _core.ElGamalKey


def new_elgamal_key() -> ElGamalKey:
    """A key of one run from the operating system; ``.public`` (32 bytes) goes to the other party."""
    with kernel():
        return _core.ElGamalKey.random()


def load_elgamal_key(data: bytes) -> ElGamalKey:
    """The key that `to_bytes` gave.

    Raises:
        SecretError: it is not a scalar below the group's order and not zero.
    """
    with kernel():
        return _core.ElGamalKey(data)


def encrypt(
    values: pa.Array,
    key: ElGamalKey,
    *,
    seed: bytes | None = None,
    contexts: pa.Array | None = None,
    column: int = 0,
    threads: int | None = None,
) -> pa.Array:
    """Values (int64) under the caller's own key: ``(rG, rP + vG)``, 64 bytes each (message 2).

    Args:
        values: without NULLs. No bound is enforced or proved.
        key: the run's.
        seed: 32 secret bytes of this run: the same key, context, column and value then give the same
            ciphertext, as an identical replay needs. Without it every call is different.
        contexts: with a seed, the records' masked points (32 bytes), no two alike in a run.
        column: with a seed, which of a record's values these are. Two columns under one number would
            show where they are equal.
        threads: every core that the process may use by default.

    Raises:
        RecordError: a column or argument is not as described.
    """
    with kernel():
        return _core.ElGamalKey.encrypt(key, values, seed, contexts, column, threads or cores())


def add(left: pa.Array, right: pa.Array, *, threads: int | None = None) -> pa.Array:
    """Ciphertexts added row by row: shards of the same sums."""
    with kernel():
        return _core.elgamal_add(left, right, threads or cores())


def add_values(public: bytes, sums: pa.Array, values: pa.Array, *, threads: int | None = None) -> pa.Array:
    """Sums with values (int64) added, under fresh randomness (message 4): they cannot be recognised.

    Args:
        public: the other party's key.
        sums: a ciphertext a cell; that of nothing is 64 zero bytes.
        values: what is added to each, noise and offset; zeros only re-randomise.
        threads: every core that the process may use by default.
    """
    with kernel():
        return _core.elgamal_add_values(public, sums, values, threads or cores())


class DiscreteLog:
    """A table to open ciphertexts with values in a range: baby-step giant-step.

    Takes about ``0.7 us * (table + cells * steps)`` of CPU time, whatever the values are: no search ends
    early, lest the time tell the other party what the sums were before this party's noise.

    Args:
        low: the least value.
        high: the greatest.
        cells: how many ciphertexts will be opened, at most.
        max_bytes: of the table.
        max_steps: of building and all searches together.
        threads: every core that the process may use by default.

    Raises:
        LimitError: it would take more steps; the message has the number.
        RecordError: there is no such range.
    """

    def __init__(
        self,
        low: int,
        high: int,
        cells: int,
        *,
        max_bytes: int = limits.MAX_LOG_TABLE_BYTES,
        max_steps: int = limits.MAX_LOG_STEPS,
        threads: int | None = None,
    ) -> None:
        if cells < 1:
            raise InputError("a table must be for at least one cell")
        with kernel():
            table, self.bytes, steps = _core.DiscreteLog.plan(low, high, cells, max_bytes)
        self.cells, self.steps = cells, table + cells * steps
        if self.steps > max_steps:
            raise LimitError(
                f"opening {cells:,} sums in a range of {high - low + 1:,} values takes {self.steps:,} steps "
                f"with a table of {self.bytes:,} bytes; the limit is {max_steps:,} steps. Lower the bound of "
                f"the values, ask for fewer cells, or allow a larger table"
            )
        with kernel():
            self._log = _core.DiscreteLog(low, high, cells, max_bytes, threads or cores())


def decrypt(column: pa.Array, key: ElGamalKey, log: DiscreteLog, *, threads: int | None = None) -> pa.Array:
    """The values (int64) of ciphertexts under the caller's own key.

    Raises:
        LimitError: there are more of them than the table is for.
        RecordError: ``out-of-range``, or no ciphertext; the row is the cell's number.
    """
    if len(column) > log.cells:
        raise LimitError(f"the table is for {log.cells:,} ciphertexts, not {len(column):,}")
    with kernel():
        return _core.ElGamalKey.decrypt(key, column, log._log, threads or cores())


class Sums:
    """Ciphertexts of the right list's matched records added up per cell.

    All ciphertexts are decoded, matched or not: nobody learns from a refusal which record matched.

    Args:
        matches: what the join found.
    """

    def __init__(self, matches: Matches) -> None:
        self._sums = _core.Sums(matches)

    def add(self, column: pa.Array, *, at: int = 0, start: int = 0, threads: int | None = None) -> None:
        """Adds a piece of the right list; every piece once, in any order.

        Args:
            column: records that hold a ciphertext in bytes ``at..at + 64``.
            at: 32 in records of a point and a ciphertext.
            start: the row in the right list of the piece's first record.
            threads: every core that the process may use by default.

        Raises:
            RecordError: a ciphertext, matched or not, has a point that is the identity or not canonical;
                the first such row is named, and nothing of the piece was added.
        """
        with kernel():
            self._sums.add(column, at, start, threads or cores())

    def result(self) -> pa.Array:
        """The sums so far, a ciphertext a cell; that of nothing is 64 zero bytes: use `add_values`."""
        with kernel():
            return self._sums.result()
