# SPDX-License-Identifier: Apache-2.0
"""Computing on ciphertexts: every function takes batches and works on all rows with all threads.

Operands must agree in parameters, count, level and (for sums) scale; what does not is refused, never
adjusted silently. Results are new; operands stay as they are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from hitoku import _core
from hitoku.executors.local import cores
from hitoku.hazmat.ring_checks import checked_level, checked_steps
from hitoku.hazmat.ring_errors import RingError, ring_kernel
from hitoku.hazmat.ring_keys import RelinearisationKey, RotationKeys
from hitoku.hazmat.ring_parameters import Parameters
from hitoku.hazmat.ring_values import Ciphertexts, Plaintexts

__all__ = [
    "add",
    "add_plain",
    "drop",
    "multiply",
    "multiply_plain",
    "negate",
    "relinearise",
    "rescale",
    "rotate",
    "rotate_many",
    "same_scale",
    "scale_of_product",
    "scale_of_quotient",
    "square",
    "subtract",
    "subtract_plain",
]

_SCALES_AGREE: Final = 1e-9
"""Relative: what scales that were computed along two ways may differ by, an error of 30 bits."""


def same_scale(params: Parameters, left: float, right: float) -> bool:
    """Whether values of these scales may be added up."""
    if params.plain_modulus is not None:
        return left == right
    return math.isclose(left, right, rel_tol=_SCALES_AGREE)


def scale_of_product(params: Parameters, left: float, right: float) -> float:
    """The scale of a product: of BGV modulo the plain modulus."""
    if params.plain_modulus is not None:
        return float(int(left) * int(right) % params.plain_modulus)
    scale = left * right
    if not math.isfinite(scale):
        raise RingError("bad-scale", "the product of the scales is too large for float64: rescale first")
    return scale


def scale_of_quotient(params: Parameters, scale: float, prime: int) -> float:
    """The scale after division by `prime`: of BGV modulo the plain modulus."""
    if params.plain_modulus is not None:
        return float(int(scale) * pow(prime, -1, params.plain_modulus) % params.plain_modulus)
    return scale / prime


def _pair(left: Ciphertexts, right: Plaintexts, kind: type[Plaintexts]) -> None:
    if not isinstance(left, Ciphertexts) or type(right) is not kind:
        raise RingError("bad-operands", f"this takes Ciphertexts and {kind.__name__}")
    if left.params != right.params:
        raise RingError("other-parameters", "the operands are of different parameters")
    if left.level != right.level:
        raise RingError(
            "level-mismatch",
            f"the operands have the levels {left.level} and {right.level}: bring ciphertexts to one level "
            f"with drop, or encode the plaintext at the ciphertext's level",
        )
    if left.count != right.count and not (kind is Plaintexts and right.count == 1):
        raise RingError("count-mismatch", f"the operands have {left.count} and {right.count} rows")


def _sum(left: Ciphertexts, right: Plaintexts, kind: type[Plaintexts]) -> None:
    _pair(left, right, kind)
    if not same_scale(left.params, left.scale, right.scale):
        raise RingError(
            "scale-mismatch",
            f"the operands have the scales {left.scale:.12g} and {right.scale:.12g}: only values of one "
            f"scale can be added up; encode or rescale so that they agree",
        )


def _two_parts(*operands: Ciphertexts) -> None:
    if any(operand.parts != 2 for operand in operands):
        raise RingError("bad-parts", "this takes ciphertexts of 2 parts: relinearise products first")


def _ciphertexts(operand: Ciphertexts) -> None:
    if not isinstance(operand, Ciphertexts):
        raise RingError("bad-operands", "this takes Ciphertexts; expand seeded ones first")


def add(left: Ciphertexts, right: Ciphertexts, *, threads: int | None = None) -> Ciphertexts:
    """``left + right`` row by row; with 3 parts where either has 3."""
    _sum(left, right, Ciphertexts)
    with ring_kernel():
        words = _core.ring_add(left.params.kernel, left.residues, right.residues, False, threads or cores())
    return Ciphertexts.trusted(left.params, words, left.scale)


def subtract(left: Ciphertexts, right: Ciphertexts, *, threads: int | None = None) -> Ciphertexts:
    """``left - right`` row by row; with 3 parts where either has 3."""
    _sum(left, right, Ciphertexts)
    with ring_kernel():
        words = _core.ring_add(left.params.kernel, left.residues, right.residues, True, threads or cores())
    return Ciphertexts.trusted(left.params, words, left.scale)


def negate(operand: Ciphertexts, *, threads: int | None = None) -> Ciphertexts:
    """``-operand``."""
    _ciphertexts(operand)
    with ring_kernel():
        words = _core.ring_negate(operand.params.kernel, operand.residues, threads or cores())
    return Ciphertexts.trusted(operand.params, words, operand.scale)


def _with_plain(
    name: str, left: Ciphertexts, right: Plaintexts, scale: float, threads: int | None
) -> Ciphertexts:
    params, workers = left.params, threads or cores()
    with ring_kernel():
        words = _core.ring_plain(params.kernel, name, left.residues, right.residues, workers)
    return Ciphertexts.trusted(params, words, scale)


def add_plain(left: Ciphertexts, right: Plaintexts, *, threads: int | None = None) -> Ciphertexts:
    """``left + right``, with one plaintext for each row or one for all."""
    _sum(left, right, Plaintexts)
    return _with_plain("add", left, right, left.scale, threads)


def subtract_plain(left: Ciphertexts, right: Plaintexts, *, threads: int | None = None) -> Ciphertexts:
    """``left - right``, with one plaintext for each row or one for all."""
    _sum(left, right, Plaintexts)
    return _with_plain("subtract", left, right, left.scale, threads)


def multiply_plain(left: Ciphertexts, right: Plaintexts, *, threads: int | None = None) -> Ciphertexts:
    """``left * right`` slot by slot, with one plaintext for each row or one for all; scales multiply."""
    _pair(left, right, Plaintexts)
    scale = scale_of_product(left.params, left.scale, right.scale)
    return _with_plain("multiply", left, right, scale, threads)


def multiply(left: Ciphertexts, right: Ciphertexts, *, threads: int | None = None) -> Ciphertexts:
    """``left * right`` slot by slot, in 3 parts; scales multiply."""
    _pair(left, right, Ciphertexts)
    _two_parts(left, right)
    with ring_kernel():
        words = _core.ring_multiply(left.params.kernel, left.residues, right.residues, threads or cores())
    return Ciphertexts.trusted(left.params, words, scale_of_product(left.params, left.scale, right.scale))


def square(operand: Ciphertexts, *, threads: int | None = None) -> Ciphertexts:
    """``operand * operand``, in 3 parts, faster than `multiply`."""
    _ciphertexts(operand)
    _two_parts(operand)
    with ring_kernel():
        words = _core.ring_square(operand.params.kernel, operand.residues, threads or cores())
    scale = scale_of_product(operand.params, operand.scale, operand.scale)
    return Ciphertexts.trusted(operand.params, words, scale)


def relinearise(operand: Ciphertexts, key: RelinearisationKey, *, threads: int | None = None) -> Ciphertexts:
    """3 parts or more to 2, the same values. Ciphertexts of 2 parts come back as they are."""
    _ciphertexts(operand)
    if not isinstance(key, RelinearisationKey):
        raise RingError("bad-key", "this takes a RelinearisationKey")
    key._fits(operand.params)
    if operand.parts == 2:
        return operand
    with ring_kernel():
        words = _core.ring_relinearise(
            operand.params.kernel, operand.residues, key.kernel, threads or cores()
        )
    return Ciphertexts.trusted(operand.params, words, operand.scale)


def rescale(operand: Ciphertexts, *, threads: int | None = None) -> Ciphertexts:
    """Divides integers and scale by the last prime, which goes: noise shrinks with them.

    Raises:
        RingError: there is one prime only.
    """
    _ciphertexts(operand)
    if operand.level < 2:
        raise RingError("bad-level", "there is one prime left: nothing can be divided away any more")
    with ring_kernel():
        words = _core.ring_rescale(operand.params.kernel, operand.residues, threads or cores())
    prime = operand.params.primes[operand.level - 1]
    return Ciphertexts.trusted(operand.params, words, scale_of_quotient(operand.params, operand.scale, prime))


def drop(operand: Ciphertexts, level: int, *, threads: int | None = None) -> Ciphertexts:
    """The same values with `level` primes only: nothing is divided, the room for values shrinks."""
    _ciphertexts(operand)
    if checked_level(operand.params, level) > operand.level:
        raise RingError("bad-level", f"the ciphertexts have {operand.level} primes, fewer than {level}")
    if level == operand.level:
        return operand
    with ring_kernel():
        words = _core.ring_drop(operand.params.kernel, operand.residues, level, threads or cores())
    return Ciphertexts.trusted(operand.params, words, operand.scale)


def rotate(operand: Ciphertexts, step: int, keys: RotationKeys, *, threads: int | None = None) -> Ciphertexts:
    """Slots turned left by `step` (as ``numpy.roll(values, -step)``); negative: to the right."""
    return rotate_many(operand, [step], keys, threads=threads)[0]


def rotate_many(
    operand: Ciphertexts, steps: Sequence[int], keys: RotationKeys, *, threads: int | None = None
) -> list[Ciphertexts]:
    """Rotations by several steps; the dear part of the work is done once for all of them.

    Raises:
        RingError: there is no key for a step.
    """
    _ciphertexts(operand)
    _two_parts(operand)
    if not isinstance(keys, RotationKeys):
        raise RingError("bad-key", "this takes RotationKeys")
    keys._fits(operand.params)
    slots = operand.params.degree // 2
    turned = [step % slots for step in checked_steps(steps)]
    wanted = [step for step in turned if step]
    if not wanted:
        return [operand] * len(turned)
    params, words, workers = operand.params, operand.residues, threads or cores()
    with ring_kernel():
        made = iter(_core.ring_rotate(params.kernel, words, wanted, keys.kernel, workers))
    return [Ciphertexts.trusted(params, next(made), operand.scale) if step else operand for step in turned]
