# SPDX-License-Identifier: Apache-2.0
"""Linear maps of the slots of packed ciphertexts, by baby steps and giant steps that share their work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hitoku import _core
from hitoku.executors.local import cores
from hitoku.hazmat.ring_checks import checked_level, kernel_of
from hitoku.hazmat.ring_errors import RingError, ring_kernel
from hitoku.hazmat.ring_keys import RotationKeys
from hitoku.hazmat.ring_operations import scale_of_product
from hitoku.hazmat.ring_parameters import Parameters
from hitoku.hazmat.ring_values import Ciphertexts

__all__ = ["Diagonals", "Transform", "transform"]

Diagonals = Mapping[int, Any]


def giant_step(steps: Sequence[int], level: int) -> int:
    """The giant step that makes a map with these steps cheapest.

    A baby step costs an inner product with a key, a giant step that and a division and a decomposition,
    whose transforms are about ``level * (level + 4)`` against the ``4 * level * (level + 1)`` passes over
    polynomials of the former, each about as dear as four passes.
    """
    giant_cost = 2 + 0.5 * level
    best, least = 1, float("inf")
    most = max(steps, default=0) + 1
    for giant in range(1, min(most, 1 << 12) + 1):
        babies = len({step % giant for step in steps} - {0})
        giants = len({step // giant for step in steps} - {0})
        cost = babies + giant_cost * giants
        if cost < least:
            best, least = giant, cost
    return best


class Transform:
    """A linear map: slot j of a result is the sum of ``diagonal[j] * x[(j + step) % slots]`` over its steps.

    Args:
        params: of the scheme ``ckks``.
        diagonals: for one result of one source ``{step: float64[slots]}``, steps to the left, negative ones
            to the right; for several results a list of such; for several results that each sum over several
            sources a list of lists: ``diagonals[target][source]``. A number stands for a constant diagonal.
        scale: integers per unit of the diagonals; it multiplies the ciphertexts' scale.
        level: of the ciphertexts; all primes by default.
        giant: the giant step; the cheapest by default.
        threads: every core that the process may use by default.

    Raises:
        RingError: a diagonal has not the shape [slots], does not fit below the modulus, or occurs twice.
    """

    def __init__(
        self,
        params: Parameters,
        diagonals: Diagonals | Sequence[Diagonals] | Sequence[Sequence[Diagonals]],
        scale: float,
        level: int | None = None,
        *,
        giant: int | None = None,
        threads: int | None = None,
    ) -> None:
        kernel = kernel_of(params)
        self.params, self.scale = params, float(scale)
        self.level = checked_level(params, params.levels if level is None else level)
        targets = listed(diagonals)
        self.targets, self.sources = len(targets), max((len(of) for of in targets), default=0)
        places, rows = [], []
        for target, of_target in enumerate(targets):
            for source, of_source in enumerate(of_target):
                for step, values in of_source.items():
                    if not isinstance(step, int | np.integer):
                        raise RingError("bad-step", "the steps of diagonals are whole numbers")
                    places.append((target, source, int(step) % params.slots))
                    rows.append(self._row(values))
        if not rows:
            raise RingError("bad-transform", "a transform has at least one diagonal")
        if giant is None:
            giant = giant_step(sorted({step for _, _, step in places}), self.level)
        made = np.ascontiguousarray(rows, dtype=np.float64)
        ends, workers = (self.sources, self.targets), threads or cores()
        with ring_kernel():
            self._kernel = _core.RingTransform(
                kernel, self.level, self.scale, int(giant), ends, places, made, workers
            )

    def _row(self, values: Any) -> Any:
        row = np.asarray(values)
        if row.ndim > 1 or (row.ndim == 1 and row.shape[0] != self.params.slots):
            raise RingError("bad-shape", f"a diagonal has the shape [{self.params.slots}], or is one number")
        if not (np.issubdtype(row.dtype, np.floating) or np.issubdtype(row.dtype, np.integer)):
            raise RingError("bad-array", f"a diagonal has real numbers, not {row.dtype}")
        return np.broadcast_to(row.astype(np.float64), (self.params.slots,))

    @property
    def steps(self) -> tuple[int, ...]:
        """The rotations that `transform` needs keys for."""
        return tuple(self._kernel.steps)

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        return self._kernel.nbytes

    def __repr__(self) -> str:
        shape = f"sources={self.sources}, targets={self.targets}, rotations={len(self.steps)}"
        return f"Transform({shape}, level={self.level}, scale={self.scale:.10g})"


def listed(diagonals: Any) -> list[list[Diagonals]]:
    """``[target][source]``.

    Raises:
        RingError: it is neither diagonals, nor a list of them, nor a list of lists of them.
    """
    if isinstance(diagonals, Mapping):
        return [[diagonals]]
    made = []
    for of_target in diagonals:
        sources = [of_target] if isinstance(of_target, Mapping) else list(of_target)
        if not all(isinstance(of_source, Mapping) for of_source in sources):
            raise RingError("bad-transform", "diagonals are given as {step: values}, or lists of such")
        made.append(sources)
    return made


def transform(
    operand: Ciphertexts, linear: Transform, keys: RotationKeys, threads: int | None = None
) -> Ciphertexts:
    """Applies a linear map to ciphertexts of 2 parts.

    A map of one source is applied to every row: row r's results are the rows ``r * targets`` and on. A map
    of several sources takes as many rows, and gives one for each target. The scale is multiplied by the
    map's: `rescale` afterwards.

    Raises:
        RingError: parameters, level or rows do not fit, or a key is missing (`Transform.steps`).
    """
    if not isinstance(operand, Ciphertexts) or not isinstance(linear, Transform):
        raise RingError("bad-operands", "transform takes Ciphertexts and a Transform")
    if not isinstance(keys, RotationKeys):
        raise RingError("bad-operands", "transform takes RotationKeys")
    if not operand.params == linear.params == keys.params:
        raise RingError("other-parameters")
    if operand.level != linear.level:
        raise RingError(
            "level-mismatch",
            f"the ciphertexts have the level {operand.level} and the transform {linear.level}: drop, or make "
            f"the transform for the ciphertexts' level",
        )
    if operand.parts != 2:
        raise RingError("bad-parts")
    if linear.sources not in (1, operand.count):
        raise RingError(
            "count-mismatch",
            f"the transform has {linear.sources} sources, but there are {operand.count} rows",
        )
    groups = [operand.residues] if linear.sources > 1 else np.split(operand.residues, operand.count)
    with ring_kernel():
        made = [linear._kernel.apply(words, keys.kernel, threads or cores()) for words in groups]
    words = made[0] if len(made) == 1 else np.concatenate(made)
    scale = scale_of_product(operand.params, operand.scale, linear.scale)
    return Ciphertexts.trusted(operand.params, words, scale)
