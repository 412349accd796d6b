# SPDX-License-Identifier: Apache-2.0
"""Fused programs: whole runs of layers between two key switches, with no array in between.

Matrices of integers, squares, products and sums work on each residue by itself, so a `PointwiseProgram` is
run block by block in the processor's cache. The result is to the last bit that of the single operations.

Integers of a program (weights, biases, scalars) are the server's own; the time a run takes depends on them
and on shapes, never on ciphertexts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hitoku import _core
from hitoku.executors.local import cores
from hitoku.hazmat.ring_checks import Words, checked_level, kernel_of
from hitoku.hazmat.ring_errors import RingError, ring_kernel
from hitoku.hazmat.ring_operations import same_scale, scale_of_product
from hitoku.hazmat.ring_parameters import Parameters
from hitoku.hazmat.ring_values import Ciphertexts, Plaintexts

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["PointwiseProgram", "Register", "SparseRows", "pointwise"]

_FAULTS: Final = {
    "bad-count": "a register holds 1 to 2^20 ciphertexts",
    "bad-index": "an index is not below the number of ciphertexts",
    "bad-inputs": "the program takes another number of inputs",
    "bad-parts": "parts do not fit: registers have 1 to 8, and what is concatenated as many each",
    "bad-register": "there is no such register in this program",
    "bad-shape": "an input does not have the count, parts or level that the program was made for",
    "matrix-columns": "a row's columns must rise and be below the number of inputs",
    "matrix-entries": "a matrix has as many columns as weights, at most 2^28",
    "matrix-rows": "row starts must begin at 0, never fall and end at the number of entries",
    "matrix-shape": "a matrix must have a column for each ciphertext and at least one row",
    "matrix-weight": "a weight's magnitude must be below 2^31",
    "scalar-shape": "there must be one scalar for all ciphertexts or one for each",
    "too-many-operations": "a program has at most 65,536 operations and outputs",
    "uneven-counts": "the operands have different numbers of ciphertexts, and neither has one",
}


@dataclass(frozen=True)
class Register:
    """A batch of ciphertexts inside a program, made by one of its operations."""

    program: PointwiseProgram
    index: int
    count: int
    parts: int


@dataclass(frozen=True)
class SparseRows:
    """An integer matrix in compressed rows: row r has the entries ``starts[r]:starts[r + 1]``.

    Args:
        starts: integers[rows + 1].
        columns: integers[entries], rising in each row.
        weights: integers[entries] of magnitude below 2^31.
    """

    starts: NDArray[Any]
    columns: NDArray[Any]
    weights: NDArray[Any]

    @classmethod
    def of(cls, matrix: NDArray[Any]) -> SparseRows:
        """The nonzero entries of an integer array [rows, columns]."""
        rows, columns = np.nonzero(matrix)
        starts = np.zeros(matrix.shape[0] + 1, dtype=np.uint64)
        starts[1:] = np.cumsum(np.bincount(rows, minlength=matrix.shape[0]))
        return cls(starts, columns, matrix[rows, columns])


class PointwiseProgram:
    """Operations on batches of ciphertexts of one level, checked as they are added.

    Args:
        params: of the ciphertexts it will be run on.
        level: theirs; all primes by default.

    Raises:
        RingError: there is no such level; so does every method whose operands do not fit.
    """

    def __init__(self, params: Parameters, level: int | None = None) -> None:
        self.params = params
        kernel = kernel_of(params)
        self.level = checked_level(params, params.levels if level is None else level)
        with ring_kernel():
            self._kernel = _core.RingProgram(kernel, self.level)
        self._scales: list[tuple[str, tuple[int, ...], float]] = []
        self._outputs: list[int] = []

    def input(self, count: int, parts: int = 2) -> Register:
        """The next input of a run: ciphertexts of 2 or 3 parts, or plaintexts (1 part)."""
        return self._made(self._call(self._kernel.input, count, parts), "input")

    def matrix(
        self,
        x: Register,
        weights: NDArray[Any] | SparseRows,
        bias: Sequence[int] | NDArray[Any] | None = None,
        *,
        unit: float = 1.0,
    ) -> Register:
        """Integer combinations: row r is the sum of ``weights[r, i] * x[i]``, plus ``bias[r]``.

        Args:
            x: the batch.
            weights: integers [rows, count] of magnitude below 2^31, or `SparseRows`.
            bias: one integer for each row, in the units of the ciphertexts' integers (value times scale).
            unit: the real value of a weight of 1: it divides the scale (CKKS).
        """
        unit = self._unit(unit)
        if isinstance(weights, SparseRows):
            rows = weights
        else:
            array = integers(weights, "weights")
            if array.ndim != 2 or array.shape[1] != x.count:
                raise RingError("matrix-shape", _FAULTS["matrix-shape"])
            rows = SparseRows.of(array)
        starts = unsigned(rows.starts, np.uint64, "row starts")
        columns = unsigned(rows.columns, np.uint32, "columns")
        entries = np.ascontiguousarray(integers(rows.weights, "weights"), dtype=np.int64)
        constants = None if bias is None else self._residues(bias, len(starts) - 1)
        made = self._call(self._kernel.matrix, self._of(x), starts, columns, entries, constants)
        return self._made(made, "matrix", x.index, number=unit)

    def total(self, x: Register) -> Register:
        """The sum of all ciphertexts of a batch: a batch of one."""
        return self._made(self._call(self._kernel.total, self._of(x)), "same", x.index)

    def square(self, x: Register) -> Register:
        """``x * x``, of 2 parts - 1 parts."""
        return self._made(self._call(self._kernel.square, self._of(x)), "product", x.index, x.index)

    def multiply(self, x: Register, y: Register) -> Register:
        """``x * y``; a batch of one goes with every one of the other, a plaintext with ciphertexts."""
        made = self._call(self._kernel.multiply, self._of(x), self._of(y))
        return self._made(made, "product", x.index, y.index)

    def add(self, x: Register, y: Register) -> Register:
        """``x + y``; a batch of one goes with every one of the other, a plaintext with ciphertexts."""
        made = self._call(self._kernel.add, self._of(x), self._of(y))
        return self._made(made, "same", x.index, y.index)

    def subtract(self, x: Register, y: Register) -> Register:
        """``x - y``, as `add`."""
        made = self._call(self._kernel.subtract, self._of(x), self._of(y))
        return self._made(made, "same", x.index, y.index)

    def negate(self, x: Register) -> Register:
        """``-x``."""
        return self._made(self._call(self._kernel.negate, self._of(x)), "same", x.index)

    def add_scalar(self, x: Register, scalars: Sequence[int] | NDArray[Any] | int) -> Register:
        """``x + c`` in every slot, one integer c for each ciphertext or one for all (value times scale)."""
        residues = self._residues(scalars, x.count)
        return self._made(self._call(self._kernel.add_scalar, self._of(x), residues), "same", x.index)

    def multiply_scalar(
        self, x: Register, scalars: Sequence[int] | NDArray[Any] | int, *, unit: float = 1.0
    ) -> Register:
        """``x * c``, one integer for each ciphertext or one for all, of any size; `unit` as in `matrix`."""
        unit, residues = self._unit(unit), self._residues(scalars, x.count)
        made = self._call(self._kernel.multiply_scalar, self._of(x), residues)
        return self._made(made, "matrix", x.index, number=unit)

    def take(self, x: Register, indices: Sequence[int] | NDArray[Any]) -> Register:
        """The ciphertexts of these numbers, in this order; repetitions are allowed."""
        chosen = unsigned(np.asarray(indices), np.uint32, "indices")
        return self._made(self._call(self._kernel.take, self._of(x), chosen), "same", x.index)

    def concatenate(self, batches: Sequence[Register]) -> Register:
        """Several batches as one, in order."""
        registers = [self._of(batch) for batch in batches]
        return self._made(self._call(self._kernel.concatenate, registers), "same", *registers)

    def output(self, x: Register) -> None:
        """Makes `x` the next result of a run.

        Raises:
            RingError: it has one part, as plaintexts have.
        """
        register = self._of(x)
        if x.parts < 2:
            raise RingError("bad-parts", f"results are ciphertexts of 2 parts or more, not {x.parts}")
        self._call(self._kernel.output, register)
        self._outputs.append(register)

    @property
    def scratch(self) -> tuple[int, int]:
        """Bytes of memory that a thread works in, and residues that it works on at a time."""
        return self._kernel.block

    def run(self, inputs: Sequence[Plaintexts], *, threads: int | None = None) -> list[Ciphertexts]:
        """The outputs for these inputs, as `pointwise`."""
        for place, batch in enumerate(inputs):
            if not isinstance(batch, Plaintexts):
                raise RingError("bad-operands", "inputs are Ciphertexts or Plaintexts")
            if batch.params != self.params:
                raise RingError("other-parameters", "an input is of other parameters", place)
        scales = self._scales_of([batch.scale for batch in inputs])
        words: list[Words] = [batch.residues for batch in inputs]
        made = self._call(self._kernel.run, words, threads or cores())
        return [
            Ciphertexts.trusted(self.params, residues, scales[register])
            for residues, register in zip(made, self._outputs, strict=True)
        ]

    def _scales_of(self, given: list[float]) -> list[float]:
        """The scale of every register.

        Raises:
            RingError: the number of inputs is wrong, or values of different scales are added up.
        """
        if len(given) != sum(rule == "input" for rule, _, _ in self._scales):
            raise RingError("bad-inputs", _FAULTS["bad-inputs"])
        inputs = iter(given)
        scales: list[float] = []
        for rule, operands, number in self._scales:
            of = [scales[operand] for operand in operands]
            if rule == "input":
                scale = next(inputs)
            elif rule == "product":
                scale = scale_of_product(self.params, of[0], of[1])
            elif rule == "matrix":
                scale = of[0] / number
            else:
                scale = of[0]
                if not all(same_scale(self.params, scale, other) for other in of[1:]):
                    raise RingError(
                        "scale-mismatch",
                        f"operation {len(scales)} adds up or joins values of the scales "
                        f"{', '.join(f'{other:.12g}' for other in of)}: they must agree",
                    )
            scales.append(scale)
        return scales

    def _residues(self, numbers: Sequence[int] | NDArray[Any] | int, count: int) -> Words:
        """Integers of any size and sign modulo each prime: uint64[level, count or 1]."""
        listed = [numbers] if isinstance(numbers, int | np.integer) else list(numbers)
        if any(isinstance(x, bool) or not isinstance(x, int | np.integer) for x in listed):
            raise RingError("bad-array", "biases and scalars must be integers: value times scale, rounded")
        if len(listed) not in (1, count):
            raise RingError("scalar-shape", _FAULTS["scalar-shape"])
        primes = self.params.primes[: self.level]
        rows = [[int(x) % prime for x in listed] for prime in primes]
        return np.array(rows, dtype=np.uint64).reshape(self.level, len(listed))

    def _unit(self, unit: float) -> float:
        bgv = self.params.scheme == "bgv"
        if not 0 < unit < float("inf") or (bgv and unit != 1):
            raise RingError("bad-scale", "a unit must be finite and above zero, and 1 for BGV")
        return float(unit)

    def _of(self, x: Register) -> int:
        if not isinstance(x, Register) or x.program is not self:
            raise RingError("bad-register", _FAULTS["bad-register"])
        return x.index

    def _made(self, index: int, rule: str, *operands: int, number: float = 1.0) -> Register:
        self._scales.append((rule, operands, number))
        return Register(self, index, *self._kernel.shape(index))

    @staticmethod
    def _call(method: Any, *arguments: Any) -> Any:
        try:
            with ring_kernel():
                return method(*arguments)
        except RingError as error:
            words = _FAULTS.get(error.code)
            if words is None:
                raise
            raise RingError(error.code, words, error.row) from None


def pointwise(
    params: Parameters,
    program: PointwiseProgram,
    inputs: Sequence[Plaintexts],
    threads: int | None = None,
) -> list[Ciphertexts]:
    """Runs a program.

    Args:
        params: must be the program's.
        program: the operations.
        inputs: ciphertexts or plaintexts in the order of the program's inputs, of its level.
        threads: every core that the process may use by default.

    Raises:
        RingError: the inputs do not fit the program, or values of different scales are added up.
    """
    if params != program.params:
        raise RingError("other-parameters")
    return program.run(inputs, threads=threads)


def integers(array: Any, what: str) -> NDArray[Any]:
    """An array of integers.

    Raises:
        RingError: it is of another type.
    """
    made = np.asarray(array)
    if not np.issubdtype(made.dtype, np.integer) and made.size:
        raise RingError("bad-array", f"{what} must be an array of integers, not {made.dtype}")
    return made


def unsigned(array: Any, kind: type[np.unsignedinteger[Any]], what: str) -> NDArray[Any]:
    """An array of integers that fit `kind`.

    Raises:
        RingError: one does not.
    """
    made = integers(array, what)
    if made.ndim != 1 or (made.size and (int(made.min()) < 0 or int(made.max()) > np.iinfo(kind).max)):
        raise RingError("bad-array", f"{what} must be a list of integers that are not negative")
    return np.ascontiguousarray(made, dtype=kind)
