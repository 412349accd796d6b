# SPDX-License-Identifier: Apache-2.0
"""A run of pointwise operations brought into the fused kernel's byte-code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from hitoku import _core
from hitoku.hazmat import ring
from hitoku.inference.circuit.node import Node, Values
from hitoku.inference.circuit.program import Program
from hitoku.inference.interpreters.fusion import Step
from hitoku.inference.interpreters.scales import Scales

__all__ = ["Fused", "sparse"]

Words = npt.NDArray[np.uint64]


class Fused:
    """One call of the fused kernel, made ready: byte-code, weights, encoded constants.

    The kernel is called directly: its wrapper in `hazmat.ring_fused` follows scales by rules of its own,
    which refuse the small differences between scales that `scales` allows and `noise` counts.

    Args:
        program: the circuit.
        params: its ring.
        scales: its scales.
        step: which operations the call does.
        level: how many primes; None: as many as the circuit says. Fewer is for timing alone.
    """

    def __init__(
        self,
        program: Program,
        params: ring.Parameters,
        scales: Scales,
        step: Step,
        level: int | None = None,
    ) -> None:
        self.step = step
        self.level = level or program.nodes[step.nodes[0]].level
        self._params, self._scales = params, scales
        self._timing = level is not None
        self._plain: list[Words] = []
        self._code = _core.RingProgram(params.kernel, self.level)
        registers: dict[int, int] = {}
        for index in step.inputs:
            node = program.nodes[index]
            registers[index] = self._code.input(node.count, node.parts)
        # Encoded constants are inputs as well: ciphertexts of one part, after those of the circuit.
        constants = {index: self._constant(index, program.nodes[index]) for index in step.nodes}
        for index in step.nodes:
            registers[index] = self._add(index, program.nodes[index], registers, constants[index])
        for index in step.outputs:
            self._code.output(registers[index])

    def run(self, values: Mapping[int, ring.Ciphertexts], threads: int) -> dict[int, ring.Ciphertexts]:
        """The values of the step's outputs."""
        arrays = [ring.drop(values[i], self.level, threads=threads).residues for i in self.step.inputs]
        results = self._code.run([*arrays, *self._plain], threads)
        return {
            index: ring.Ciphertexts.trusted(self._params, words, self._scales.values[index])
            for index, words in zip(self.step.outputs, results, strict=True)
        }

    def _constant(self, index: int, node: Node) -> int | None:
        """The register of a node's constants, where they differ from slot to slot."""
        if node.op not in ("add_plain", "multiply_plain") or node.constants["values"].shape[1] == 1:
            return None
        scale = self._scales.values[index] if node.op == "add_plain" else self._scales.plain[index]
        values = node.constants["values"]
        if self._timing:
            # They need not fit fewer primes, and the kernel's time does not depend on them.
            values = np.zeros_like(values)
        encoded = ring.encode(self._params, values, scale, self.level)
        self._plain.append(np.ascontiguousarray(encoded.residues[:, None]))
        return self._code.input(encoded.count, 1)

    def _add(self, index: int, node: Node, registers: Mapping[int, int], constant: int | None) -> int:
        code, args = self._code, [registers[a] for a in node.args]
        match node.op:
            case "matrix":
                bias = self._scalars(node.constants.get("bias"), self._scales.values[index])
                return int(code.matrix(args[0], *sparse(node.constants["weights"]), bias))
            case "add_plain" | "multiply_plain":
                product = node.op == "multiply_plain"
                if constant is not None:
                    return int((code.multiply if product else code.add)(args[0], constant))
                scale = self._scales.plain[index] if product else self._scales.values[index]
                scalars = self._scalars(node.constants["values"][:, 0], scale)
                return int((code.multiply_scalar if product else code.add_scalar)(args[0], scalars))
            case "take":
                return int(code.take(args[0], node.constants["indices"].astype(np.uint32)))
            case "concatenate":
                return int(code.concatenate(args))
            case _:
                return int(getattr(code, node.op)(*args))

    def _scalars(self, values: Values | None, scale: float) -> Any:
        """Constants times the scale, rounded, modulo each prime: uint64[level, count]."""
        if values is None:
            return None
        # A product of two floats may be far above 2^64: Python's integers take it as it is.
        whole = [round(float(v) * scale) for v in values]
        return np.array([[w % q for w in whole] for q in self._params.primes[: self.level]], np.uint64)


def sparse(weights: Values) -> tuple[Values, Values, Values]:
    """Rows' starts, columns and weights of the entries other than zero."""
    rows, columns = np.nonzero(weights)
    starts = np.searchsorted(rows, np.arange(weights.shape[0] + 1)).astype(np.uint64)
    return starts, columns.astype(np.uint32), weights[rows, columns].astype(np.int64)
