# SPDX-License-Identifier: Apache-2.0
"""Kernels of private cross statistics: masked points, ElGamal sums, sorting and joining. Unaudited.

Columns of records are Arrow `fixed_size_binary` arrays without NULLs, read where they lie (`records`
makes one of any buffer without a copy). Points are canonical ristretto255 encodings of 32 bytes
(RFC 9496), tags their first 12, ciphertexts two points. The GIL is free while a kernel runs.

::

    alpha, beta = new_key(), new_key()              # one of each party, one a run
    ours = mask(ids_a, alpha, domain=D, run=R)      # message 1, after `sort`
    theirs = mask(ids_b, beta, domain=D, run=R)     # message 2, with ciphertexts: `interleave`, `sort`
    left = tags(ours, beta)                         # message 3, after `sort`
    right = tags(theirs, alpha)                     # equal tags are equal ids: `join`, `Sums`

Secret: keys, ids, values, which records match and how many. Public once sent: masked points that
were sorted by whole groups, ciphertexts, tags. Security is that of parties who follow the protocol,
under decisional Diffie-Hellman in ristretto255 with the hash as a random oracle. Multiplications by
secrets take constant time; joins, sorts and sums do not. Secrets are wiped where Rust holds them;
what Python is handed (`to_bytes`) is Python's.

Errors name rows by number, from 0 in the column that was handed over, and never a value.
"""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from hitoku import _core
from hitoku.executors.local import cores
from hitoku.hazmat.elgamal import (
    CIPHERTEXT,
    DiscreteLog,
    ElGamalKey,
    Sums,
    add,
    add_values,
    decrypt,
    encrypt,
    load_elgamal_key,
    new_elgamal_key,
)
from hitoku.hazmat.faults import RecordError, kernel
from hitoku.hazmat.records import (
    Matches,
    Sorter,
    check_distinct,
    check_sorted,
    interleave,
    join,
    records,
    sort,
)

__all__ = [
    "CIPHERTEXT",
    "POINT",
    "TAG",
    "DiscreteLog",
    "ElGamalKey",
    "Key",
    "Matches",
    "RecordError",
    "Sorter",
    "Sums",
    "add",
    "add_values",
    "backend",
    "check_distinct",
    "check_points",
    "check_sorted",
    "decrypt",
    "encrypt",
    "hash_to_group",
    "hmac_records",
    "interleave",
    "join",
    "load_elgamal_key",
    "load_key",
    "mask",
    "new_elgamal_key",
    "new_key",
    "raise_points",
    "random_points",
    "records",
    "sort",
    "tags",
]

POINT: Final = 32
TAG: Final = 12

Key = _core.GroupKey


def backend() -> str:
    """The curve code that this process runs: ``avx512ifma``, ``avx2`` or ``serial``.

    The processor is asked at run time; results are the same bytes. ``avx512ifma`` must have been compiled
    in, which a build from this repository does (`.cargo/config.toml`); flags in RUSTFLAGS replace that.
    """
    return _core.group_backend()


def new_key() -> Key:
    """A secret scalar from the operating system. One a run: a mask used twice links the two runs."""
    with kernel():
        return _core.GroupKey.random()


def load_key(data: bytes) -> Key:
    """The key that `to_bytes` gave: 32 bytes, little-endian, below the group's order, not zero.

    Raises:
        SecretError: it is not such a number.
    """
    with kernel():
        return _core.GroupKey(data)


def hash_to_group(ids: pa.Array, *, domain: bytes, run: bytes, threads: int | None = None) -> pa.Array:
    """The points of ids, not masked: never send them, for ids can be tried out.

    Args:
        ids: records of 32 bytes.
        domain: what the ids are, 1 to 255 bytes; ids of another domain get other points.
        run: the run's id.
        threads: every core that the process may use by default.

    Returns:
        Points: hash_to_ristretto255 of RFC 9380 (SHA-512) of ``run || id`` under the tag `domain`.

    Raises:
        RecordError: a column or argument is not as described.
    """
    with kernel():
        return _core.group_hash(ids, domain, run, threads or cores())


def hmac_records(texts: pa.Array, key: bytes, *, prefix: bytes = b"", threads: int | None = None) -> pa.Array:
    """HMAC-SHA256 of ``prefix || text``: ids of 32 bytes. Whoever has the key can try texts out.

    Args:
        texts: string or binary, large or not, without NULLs.
        key: 32 bytes, the same for all tables whose ids are to be compared.
        prefix: what comes before every text, e.g. what kind of text it is.
        threads: every core that the process may use by default.

    Raises:
        RecordError: a column or argument is not as described.
    """
    with kernel():
        return _core.hmac_records(texts, key, prefix, threads or cores())


def mask(ids: pa.Array, key: Key, *, domain: bytes, run: bytes, threads: int | None = None) -> pa.Array:
    """The points of ids times the key (messages 1 and 2); arguments as for `hash_to_group`.

    Sort a whole group before any of it is sent.
    """
    with kernel():
        return _core.group_mask(ids, domain, run, key, threads or cores())


def raise_points(column: pa.Array, key: Key, *, at: int = 0, threads: int | None = None) -> pa.Array:
    """Another party's points times the key.

    Args:
        column: records that hold a point in bytes ``at..at + 32``.
        key: the secret scalar.
        at: where in a record the point begins.
        threads: every core that the process may use by default.

    Returns:
        Points, in the order of the records.

    Raises:
        RecordError: a point is the identity or not canonical; the first such row is named.
    """
    with kernel():
        return _core.group_raise(column, at, key, threads or cores())


def tags(column: pa.Array, key: Key, *, at: int = 0, threads: int | None = None) -> pa.Array:
    """The first 12 bytes of `raise_points` (message 3): 95 bits, the lowest of byte 0 is always clear."""
    with kernel():
        return _core.group_tags(column, at, key, threads or cores())


def random_points(count: int, *, threads: int | None = None) -> pa.Array:
    """Uniformly random points, which look like masked ones: padding. Keep them for a replay."""
    with kernel():
        return _core.group_random(count, threads or cores())


def check_points(column: pa.Array, *, at: int = 0, threads: int | None = None) -> None:
    """Raise RecordError for the first point (bytes ``at..at + 32``) that is the identity or not canonical."""
    with kernel():
        _core.group_validate(column, at, threads or cores())
