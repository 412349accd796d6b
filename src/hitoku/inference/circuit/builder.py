# SPDX-License-Identifier: Apache-2.0
"""Writes a circuit one operation at a time; every mistake is an error at the line that made it.

::

    b = Builder(slots=4096)
    x = b.input("x", count=784, scale=2**26, level=3, bound=(0.0, 1.0))
    with b.layer("conv"):
        x = b.square(b.matrix(x, weights, bias, unit=1 / 127))
    b.output("scores", b.rescale(b.relinearise(x)))
    program = b.build()

A real number r stands in a ciphertext as the integer r * scale plus noise. Products multiply scales,
`rescale` divides by the prime it drops; `interpreters.scales` follows them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import numpy.typing as npt

from hitoku.inference.circuit import checks
from hitoku.inference.circuit.errors import CircuitError
from hitoku.inference.circuit.node import Node, Values
from hitoku.inference.circuit.program import Program
from hitoku.inference.circuit.steps import cheapest_stride

__all__ = ["Builder", "Value"]

Bound = float | tuple[npt.ArrayLike, npt.ArrayLike]
Diagonals = Mapping[int, npt.ArrayLike]

_MORE_PRIMES: Final = "multiply fewer times, or start with more primes"


@dataclass(frozen=True, slots=True, eq=False)
class Value:
    """A tensor of ciphertexts in a circuit that is being written.

    Attributes:
        count: how many ciphertexts.
        index: the node that makes it.
        level: how many primes are left.
        parts: how many polynomials a ciphertext has: 2, or 3 after a product.
    """

    builder: Builder
    index: int
    count: int
    level: int
    parts: int


class Builder:
    """Writes a circuit.

    Args:
        slots: how many real numbers a ciphertext has: half of the ring's degree, 512 to 16384.
    """

    def __init__(self, slots: int) -> None:
        self.slots = checks.slots(slots)
        self._nodes: list[Node] = []
        self._label = ""

    # --- what goes in and out ---

    def input(self, name: str, *, count: int, scale: float, level: int, bound: Bound = 1.0) -> Value:
        """A tensor of `count` fresh ciphertexts with `level` primes.

        Args:
            name: what the caller of the circuit gives it by.
            count: how many ciphertexts.
            scale: the integer that stands for 1.0.
            level: how many primes.
            bound: every value is in [-bound, bound]; or a pair (low, high), each a number, an array
                [count] or an array [count, slots].
        """
        checks.name(name, self._names("input"), "input")
        count, level = checks.count(count), checks.level(level)
        low, high = checks.bounds(bound, count, self.slots)
        settings = {"name": name, "scale": checks.scale(scale)}
        return self._add("input", (), count, level, 2, {"low": low, "high": high}, settings)

    def output(self, name: str, x: Value, *, level: int | None = None, flood_bits: int | None = None) -> None:
        """What leaves to the client: relinearised, dropped to `level` primes, re-randomised and flooded.

        Args:
            name: what the result is called.
            x: the value.
            level: how many primes it keeps; None: as few as the range analysis permits.
            flood_bits: each coefficient gets noise uniform in [-2^flood_bits, 2^flood_bits); None: to
                be settled before it runs (`Program.with_releases`).
        """
        (arg,) = self._own(x)
        checks.name(name, self._names("output"), "output")
        keep = x.level if level is None else checks.level(level)
        if keep > x.level:
            raise CircuitError("LEVEL", f"{keep} primes asked, {x.level} are left", where=f"output {name}")
        if flood_bits is not None:
            flood_bits = checks.whole(flood_bits, "flood_bits", 0, 120)
        settings = {"name": name, "level": level, "flood_bits": flood_bits}
        self._add("output", (arg,), x.count, keep, 2, {}, settings)

    # --- pointwise operations ---

    def matrix(self, x: Value, weights: npt.ArrayLike, bias: npt.ArrayLike | None, unit: float) -> Value:
        """(weights * unit) @ x + bias over the ciphertexts of x: each output is an integer combination.

        Args:
            x: the value, `count` ciphertexts.
            weights: whole numbers [out, count], each below 2^31.
            bias: real numbers [out], or None.
            unit: what the weight 1 means. The scale is divided by it.
        """
        (arg,) = self._own(x)
        constants: dict[str, Values] = {"weights": checks.weights(weights, x.count)}
        out = constants["weights"].shape[0]
        if bias is not None:
            constants["bias"] = checks.reals(bias, "bias", (out,))
        settings = {"unit": checks.scale(unit, "unit")}
        return self._add("matrix", (arg,), out, x.level, x.parts, constants, settings)

    def square(self, x: Value) -> Value:
        """The square, slot by slot. 2 parts become 3, p become 2 p - 1; `relinearise` brings 2 back."""
        (arg,) = self._own(x)
        return self._add("square", (arg,), x.count, x.level, self._product_parts(x, x, "square"))

    def multiply(self, x: Value, z: Value) -> Value:
        """The product, slot by slot; one goes with each of several. p and q parts become p + q - 1."""
        args = self._pair(x, z, "multiply")
        parts = self._product_parts(x, z, "multiply")
        return self._add("multiply", args, max(x.count, z.count), min(x.level, z.level), parts)

    def add(self, x: Value, z: Value) -> Value:
        """The sum; one ciphertext goes with each of several. Scales must agree to 1 % (the rest is noise)."""
        args = self._pair(x, z, "add")
        return self._add("add", args, *self._joined(x, z))

    def subtract(self, x: Value, z: Value) -> Value:
        """The difference; counts and scales as of `add`."""
        args = self._pair(x, z, "subtract")
        return self._add(
            "subtract", args, max(x.count, z.count), min(x.level, z.level), max(x.parts, z.parts)
        )

    def negate(self, x: Value) -> Value:
        """-x."""
        return self._add("negate", self._own(x), x.count, x.level, x.parts)

    def add_plain(self, x: Value, values: npt.ArrayLike) -> Value:
        """Constants added: one number, one for each ciphertext [count], or [count, slots]."""
        constants = {"values": checks.plain(values, "values", x.count, self.slots, one_row="count")}
        return self._add("add_plain", self._own(x), x.count, x.level, x.parts, constants)

    def take(self, x: Value, indices: Sequence[int] | npt.ArrayLike) -> Value:
        """The ciphertexts of x at `indices`, in that order; one may be taken several times."""
        chosen = checks.indices(indices, x.count)
        return self._add("take", self._own(x), len(chosen), x.level, x.parts, {"indices": chosen})

    def concatenate(self, values: Sequence[Value]) -> Value:
        """The ciphertexts of all values, one after the other; scales must agree to 1 %."""
        if not values:
            raise CircuitError("SHAPE", "nothing to concatenate")
        args = self._own(*values)
        level, parts = min(v.level for v in values), values[0].parts
        if any(v.parts != parts for v in values):
            raise CircuitError(
                "PARTS", "the values differ in parts", where=self._where("concatenate"), remedy="relinearise"
            )
        counts = tuple(v.count for v in values)
        return self._add("concatenate", args, checks.count(sum(counts)), level, parts, {}, {"counts": counts})

    def total(self, x: Value) -> Value:
        """The sum of all ciphertexts of x: one ciphertext."""
        return self._add("total", self._own(x), 1, x.level, x.parts, {}, {"of": x.count})

    # --- what needs more than the residue itself ---

    def multiply_plain(
        self, x: Value, values: npt.ArrayLike, scale: float | None = None, *, to: float | None = None
    ) -> Value:
        """Constants multiplied: one number, [slots], or [count, slots].

        Args:
            x: the value.
            values: the constants.
            scale: the integer that stands for 1.0 in them.
            to: instead of `scale`: the scale that the value shall have after the next rescale.
        """
        constants = {"values": checks.plain(values, "values", x.count, self.slots, one_row="slots")}
        settings = checks.plain_scale(scale, to)
        return self._add("multiply_plain", self._own(x), x.count, x.level, x.parts, constants, settings)

    def relinearise(self, x: Value) -> Value:
        """Back to 2 parts with the relinearisation key; nothing happens where there are 2."""
        if x.parts == 2:
            return x
        return self._add("relinearise", self._own(x), x.count, x.level, 2)

    def rescale(self, x: Value) -> Value:
        """Divide by the last prime and drop it; the scale is divided by it."""
        if x.level < 2:
            raise CircuitError(
                "NO_PRIMES", "only one prime is left", where=self._where("rescale"), remedy=_MORE_PRIMES
            )
        return self._add("rescale", self._own(x), x.count, x.level - 1, x.parts)

    def drop(self, x: Value, level: int) -> Value:
        """Leave all but the first `level` primes out; value and scale stay as they are."""
        (arg,) = self._own(x)
        if not 1 <= level <= x.level:
            raise CircuitError(
                "LEVEL", f"{level} primes asked, 1 to {x.level} can be", where=self._where("drop")
            )
        if level == x.level:
            return x
        return self._add("drop", (arg,), x.count, level, x.parts)

    def rotate(self, x: Value, step: int) -> Value:
        """Every slot gets what the slot `step` places to its right had: y[i] = x[(i + step) % slots]."""
        step = checks.step(step, self.slots)
        if step == 0:
            return x
        self._two_parts(x, "rotate")
        return self._add("rotate", self._own(x), x.count, x.level, 2, {}, {"step": step})

    def transform(
        self,
        x: Value,
        diagonals: Diagonals | Sequence[Diagonals] | Sequence[Sequence[Diagonals]],
        scale: float | None = None,
        *,
        to: float | None = None,
        giant: int | None = None,
    ) -> Value:
        """Linear maps of the slots: y[i] = sum over k of diagonals[k][i] * x[(i + k) % slots].

        Args:
            x: the value.
            diagonals: one map, its diagonals [slots] by step: it is applied to each ciphertext of x. Or
                a list of maps, then x is one ciphertext and each map makes one of the result. Or for
                each of the result a list of maps, one for each ciphertext of x, whose results are added
                up. The work on a ciphertext of x is shared by all maps of it.
            scale: the integer that stands for 1.0 in the diagonals.
            to: instead of `scale`: the scale that the value shall have after the next rescale.
            giant: how many steps one giant step covers; None: the cheapest.
        """
        self._two_parts(x, "transform")
        each = isinstance(diagonals, Mapping)
        given: Sequence[Any] = [diagonals] if isinstance(diagonals, Mapping) else diagonals
        maps = [[m] if isinstance(m, Mapping) else list(m) for m in given]
        if not each and any(len(target) != x.count for target in maps):
            raise CircuitError(
                "SHAPE",
                f"a map is needed for each of {x.count} ciphertexts",
                where=self._where("transform"),
                remedy="take one ciphertext, or give a list of maps for each result",
            )
        steps, values = checks.diagonals(maps, self.slots)
        if not any(step for target in steps for one in target for step in one):
            return self._unturned(x, steps, values, scale, to, each=each)
        giant = cheapest_stride(steps, self.slots) if giant is None else giant
        giant = checks.whole(giant, "giant", 1, self.slots)
        settings = {**checks.plain_scale(scale, to), "steps": steps, "each": each, "giant": giant}
        count = x.count if each else len(maps)
        return self._add("transform", self._own(x), count, x.level, 2, {"values": values}, settings)

    def _unturned(
        self, x: Value, steps: Any, values: Values, scale: float | None, to: float | None, *, each: bool
    ) -> Value:
        """A map that turns nothing needs no keys: products slot by slot, and sums."""
        if each:
            return self.multiply_plain(x, values, scale, to=to)
        results, row = [], 0
        for target in steps:
            sources = [source for source, one in enumerate(target) if one]
            rows = values[row : row + len(sources)]
            row += len(sources)
            results.append(self.total(self.multiply_plain(self.take(x, sources), rows, scale, to=to)))
        return self.concatenate(results)

    # --- the whole ---

    @contextmanager
    def layer(self, label: str) -> Iterator[None]:
        """Operations written inside carry this name in errors and reports; names nest with `/`."""
        checks.name(label, (), "layer")
        with self.labelled(f"{self._label}/{label}" if self._label else label):
            yield

    @contextmanager
    def labelled(self, label: str) -> Iterator[None]:
        """Like `layer`, but the whole label at once; for readers of stored circuits."""
        kept, self._label = self._label, label
        try:
            yield
        finally:
            self._label = kept

    def build(self) -> Program:
        """The circuit, without operations that no output needs.

        Raises:
            CircuitError: there is no output (``OUTPUT``).
        """
        if not self._names("output"):
            raise CircuitError("OUTPUT", "the circuit has no output")
        return checks.prune(Program(self.slots, tuple(self._nodes)))

    def __len__(self) -> int:
        return len(self._nodes)

    def _names(self, op: str) -> set[str]:
        return {n.settings["name"] for n in self._nodes if n.op == op}

    def _where(self, op: str) -> str:
        return f"{self._label}/{op}" if self._label else op

    def _own(self, *values: Value) -> tuple[int, ...]:
        for value in values:
            if not isinstance(value, Value) or value.builder is not self:
                raise CircuitError("VALUE", "a value of another circuit was given")
        return tuple(v.index for v in values)

    def _pair(self, x: Value, z: Value, op: str) -> tuple[int, ...]:
        args = self._own(x, z)
        if x.count != z.count and 1 not in (x.count, z.count):
            raise CircuitError("SHAPE", f"{x.count} ciphertexts against {z.count}", where=self._where(op))
        return args

    def _product_parts(self, x: Value, z: Value, op: str) -> int:
        parts = x.parts + z.parts - 1
        if parts > checks.MAX_PARTS:
            raise CircuitError(
                "PARTS",
                f"would make ciphertexts of {parts} parts, {checks.MAX_PARTS} are the most",
                where=self._where(op),
                remedy="relinearise before",
            )
        return parts

    @staticmethod
    def _joined(x: Value, z: Value) -> tuple[int, int, int]:
        return max(x.count, z.count), min(x.level, z.level), max(x.parts, z.parts)

    def _two_parts(self, x: Value, op: str) -> None:
        if x.parts != 2:
            raise CircuitError(
                "PARTS",
                f"takes ciphertexts of 2 parts, {x.parts} are there",
                where=self._where(op),
                remedy="relinearise before",
            )

    def _add(
        self,
        op: str,
        args: tuple[int, ...],
        count: int,
        level: int,
        parts: int,
        constants: Mapping[str, Values] | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> Value:
        checks.size(len(self._nodes))
        self._nodes.append(Node(op, args, count, level, parts, self._label, constants or {}, settings or {}))
        return Value(self, len(self._nodes) - 1, count, level, parts)
