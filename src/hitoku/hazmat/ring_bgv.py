# SPDX-License-Identifier: Apache-2.0
"""BGV: exact integers modulo a prime t in the N slots of a ciphertext. Own arithmetic, **unaudited**.

Keys, ciphertexts, relinearisation and rotations are those of `hitoku.hazmat.ring`, of parameters with the
scheme ``bgv``. What differs is here: slots hold integers modulo t, and instead of a scale a ciphertext has a
*factor*, a unit modulo t by which its plaintext is multiplied. It begins with 1 and changes where a prime is
divided away (`switch`); it is kept in the field ``scale``. Operands of different factors are made equal by
multiplying with small integers, which costs a little noise budget.

Results are exact as long as a noise budget is left. A decryption with none left is wrong, and wrong
decryptions that others get to see can tell of the secret key: whoever holds it looks at `noise_budget` first.

Sums, products and rotations are `ring.add`, `ring.multiply` and so on; `add` and `subtract` here also take
operands of different factors.

Slots: the first N/2 and the last N/2 are two rows; `ring.rotate` turns both rows left by the same step.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hitoku import _core
from hitoku.executors.local import cores
from hitoku.hazmat import ring_noise, ring_operations
from hitoku.hazmat.ring_checks import checked_level, checked_scale
from hitoku.hazmat.ring_errors import ParameterError, RingError, ring_kernel
from hitoku.hazmat.ring_keys import SecretKey
from hitoku.hazmat.ring_parameters import MAX_BITS, Parameters
from hitoku.hazmat.ring_values import Ciphertexts, Plaintexts

__all__ = [
    "add",
    "balance",
    "decode",
    "encode",
    "find_plain_modulus",
    "noise_budget",
    "subtract",
    "switch",
]

_MOST_PLAIN_BITS: Final = 49


def find_plain_modulus(degree: int, bits: int) -> int:
    """The largest prime of so many bits that is 1 modulo 2N, so that N slots hold integers modulo it.

    Raises:
        ParameterError: there is none.
    """
    fits = degree in MAX_BITS and isinstance(bits, int) and 2 <= bits <= _MOST_PLAIN_BITS
    found = _core.ring_primes(bits, degree, 1, []) if fits else []
    if not found:
        raise ParameterError(f"there is no prime of {bits} bits that is 1 modulo {2 * degree}")
    return found[0]


@lru_cache(maxsize=32)
def _batch(params: Parameters) -> _core.RingBatch:
    """Where the slots lie.

    Raises:
        RingError: the parameters are not of BGV.
    """
    if not isinstance(params, Parameters) or params.scheme != "bgv":
        raise RingError("bad-scheme", "this takes parameters of the scheme 'bgv'")
    with ring_kernel():
        return _core.RingBatch(params.kernel)


def encode(
    params: Parameters,
    values: NDArray[np.int64],
    level: int | None = None,
    *,
    factor: float = 1,
    threads: int | None = None,
) -> Plaintexts:
    """Integers to BGV plaintexts.

    Args:
        params: of the scheme ``bgv``.
        values: integers[count, N] between ``-(t - 1) / 2`` and ``(t - 1) / 2``.
        level: how many primes; all of them by default.
        factor: what the integers are multiplied by modulo t: of a plaintext that is to be added to
            ciphertexts their ``scale``.
        threads: every core that the process may use by default.

    Raises:
        RingError: shape, type, level or factor is wrong, or an integer is out of range and would wrap.
    """
    batch = _batch(params)
    array = np.asarray(values)
    if array.ndim != 2 or array.shape[1] != params.degree:
        raise RingError(
            "bad-shape", f"values must have the shape [count, {params.degree}], not {list(array.shape)}"
        )
    if not np.issubdtype(array.dtype, np.integer):
        raise RingError("bad-array", f"values must be integers, not {array.dtype}")
    if array.dtype == np.uint64 and array.size and int(array.max()) > np.iinfo(np.int64).max:
        raise RingError("out-of-range", _out_of_range(params))
    level = checked_level(params, params.levels if level is None else level)
    factor = checked_scale(params, factor)
    workers = threads or cores()
    integers = np.ascontiguousarray(array, dtype=np.int64)
    try:
        with ring_kernel():
            words = batch.encode(params.kernel, integers, level, workers)
            if factor != 1:
                # Undoing the inverse multiplies by the factor, modulo t and without a wide product here.
                inverse = pow(int(factor), -1, _t(params))
                multiplied = batch.decode(params.kernel, words, inverse, workers)
                words = batch.encode(params.kernel, multiplied, level, workers)
    except RingError as error:
        if error.code == "out-of-range":
            raise RingError("out-of-range", _out_of_range(params), error.row) from None
        raise
    return Plaintexts.trusted(params, words, factor)


def _t(params: Parameters) -> int:
    assert params.plain_modulus is not None  # noqa: S101 - parameters of bgv have one
    return params.plain_modulus


def _out_of_range(params: Parameters) -> str:
    most = _t(params) // 2
    return f"integers must be {-most} to {most}: others would wrap modulo {_t(params)}"


def decode(plaintexts: Plaintexts, *, threads: int | None = None) -> NDArray[np.int64]:
    """The integers of BGV plaintexts, int64[count, N], between ``-(t - 1) / 2`` and ``(t - 1) / 2``.

    Raises:
        RingError: the parameters are not of the scheme ``bgv``.
    """
    if type(plaintexts) is not Plaintexts:
        raise RingError("bad-operands", "this takes Plaintexts: decrypt ciphertexts first")
    params, factor = plaintexts.params, int(plaintexts.scale)
    with ring_kernel():
        return _batch(params).decode(params.kernel, plaintexts.residues, factor, threads or cores())


def switch(operand: Ciphertexts, *, threads: int | None = None) -> Ciphertexts:
    """Divides the last prime away (`ring.rescale`): noise shrinks by it, values stay, the factor changes.

    Raises:
        RingError: there is one prime only.
    """
    return ring_operations.rescale(operand, threads=threads)


def balance(
    left: Ciphertexts, right: Ciphertexts, *, threads: int | None = None
) -> tuple[Ciphertexts, Ciphertexts]:
    """Both operands with one factor, each multiplied by a small integer (at most about the root of t)."""
    if left.params != right.params:
        raise RingError("other-parameters", "the operands are of different parameters")
    _batch(left.params)
    if left.scale == right.scale:
        return left, right
    for_left, for_right = small_multipliers(int(left.scale), int(right.scale), _t(left.params))
    return _times(left, for_left, threads), _times(right, for_right, threads)


def small_multipliers(left: int, right: int, t: int) -> tuple[int, int]:
    """Small integers a and b with ``a left = b right`` modulo t, by half of Euclid's algorithm."""
    high, low = t, right * pow(left, -1, t) % t
    before, now = 0, 1
    best = (low, now)
    while low:
        best = min(best, (low, now), key=lambda pair: abs(pair[0]) + abs(pair[1]))
        quotient = high // low
        high, low = low, high - quotient * low
        before, now = now, before - quotient * now
    return best


def _times(operand: Ciphertexts, number: int, threads: int | None) -> Ciphertexts:
    params = operand.params
    slots = np.full((1, params.degree), number, np.int64)
    plain = encode(params, slots, operand.level, threads=threads)
    made = ring_operations.multiply_plain(operand, plain, threads=threads)
    factor = int(operand.scale) * number % _t(params)
    return Ciphertexts.trusted(params, made.residues, factor)


def add(left: Ciphertexts, right: Ciphertexts, *, threads: int | None = None) -> Ciphertexts:
    """``left + right``, whatever their factors."""
    left, right = balance(left, right, threads=threads)
    return ring_operations.add(left, right, threads=threads)


def subtract(left: Ciphertexts, right: Ciphertexts, *, threads: int | None = None) -> Ciphertexts:
    """``left - right``, whatever their factors."""
    left, right = balance(left, right, threads=threads)
    return ring_operations.subtract(left, right, threads=threads)


def noise_budget(key: SecretKey, operand: Ciphertexts, *, threads: int | None = None) -> NDArray[np.float64]:
    """By how many bits each ciphertext stays below half the modulus, float64[count].

    Below about 1 it is lost: a number that wrapped looks like one that nearly did.
    For the key's holder: it takes the secret key, and tells of the noise.
    """
    _batch(operand.params)
    found = ring_noise.coefficients(key.decrypt(operand, threads=threads), threads=threads)
    most = np.maximum(np.abs(found).max(axis=1), 1.0)
    modulus = math.fsum(math.log2(q) for q in operand.params.primes[: operand.level])
    return np.asarray(np.maximum(modulus - 1 - np.log2(most), 0.0))
