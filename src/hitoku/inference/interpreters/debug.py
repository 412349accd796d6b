# SPDX-License-Identifier: Apache-2.0
"""Runs a circuit on ciphertexts and on plain numbers in lock-step, and compares after every operation.

For who develops a circuit: it needs the secret key. Every operation runs by itself, its result is
decrypted and compared with the plain value; the error is set against the one that `noise` predicts for
the values at hand. The first operation whose error is beyond the worst case is where the circuit breaks:
a value that left the modulus, a scale that is not what it should be, a wrong key, a defect.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hitoku.hazmat import ring
from hitoku.inference.circuit.errors import CircuitError
from hitoku.inference.circuit.program import Program
from hitoku.inference.interpreters import noise as errors
from hitoku.inference.interpreters import plain, ranges
from hitoku.inference.interpreters.encrypted import Encrypted, EvaluationKeys, make_keys

__all__ = ["Compared", "Debugged", "run"]

Floats = npt.NDArray[np.float64]
# What float64 itself may be off by, in the plain run and in encoding and decoding, relative to the value.
_FLOAT = 2.0**-44


@dataclass(frozen=True, slots=True)
class Compared:
    """One operation's error, found and predicted; all as real numbers.

    Attributes:
        node: the operation's index.
        name: how reports name it.
        largest: the largest magnitude of its plain values.
        error: the largest error found.
        rms: the root mean square error found.
        typical: the root mean square error predicted.
        worst: the bound predicted.
    """

    node: int
    name: str
    largest: float
    error: float
    rms: float
    typical: float
    worst: float

    @property
    def drifts(self) -> bool:
        """Whether the error is beyond the predicted bound."""
        return not self.error <= self.worst + _FLOAT * self.largest


@dataclass(frozen=True, slots=True)
class Debugged:
    """All operations compared, in the order in which they ran.

    Attributes:
        rows: one for each operation.
        outputs: the decrypted outputs by name, float64[count, slots].
    """

    rows: tuple[Compared, ...]
    outputs: Mapping[str, Floats]

    @property
    def first(self) -> Compared | None:
        """The first operation that drifts, or None."""
        return next((row for row in self.rows if row.drifts), None)

    def check(self) -> None:
        """Raise CircuitError (``DRIFT``) that names the first operation that drifts, if there is one."""
        row = self.first
        if row is not None:
            raise CircuitError(
                "DRIFT",
                f"its values are off by {row.error:.3g}, {row.worst:.3g} was predicted as the most",
                where=row.name,
                remedy="its value may have left the modulus: compare the report's ranges",
            )


def run(
    program: Program,
    params: ring.Parameters,
    secret: ring.SecretKey,
    inputs: Mapping[str, npt.ArrayLike],
    *,
    keys: EvaluationKeys | None = None,
    threads: int | None = None,
    tamper: Callable[[int, ring.Ciphertexts], ring.Ciphertexts | None] | None = None,
) -> Debugged:
    """Compare every operation on these inputs.

    Args:
        program: the circuit.
        params: its ring.
        secret: the secret key; inputs are encrypted and all values decrypted with it.
        inputs: for each input float64[count, slots].
        keys: the public keys; None: made of the secret one.
        threads: how many threads; None: all cores.
        tamper: called with every node and its ciphertexts before they are compared; what it returns, if
            not None, takes their place. For trying out what an error does.

    Raises:
        CircuitError: an input is outside its declared bound (``RANGE``) or of the wrong shape.
    """
    given = ranges.check_inputs(program, inputs)
    expected: list[Floats] = []
    plain.run(program, given, lambda _, value: expected.append(value))
    seen = ranges.observed(program, given, next(iter(given.values())).shape[1])
    # Typical sizes of values padded with zeros are far below the largest: the bound counts here.
    predicted = errors.find(program, params, seen)
    rows: list[Compared] = []
    outputs: dict[str, Floats] = {}

    def watch(index: int, value: ring.Ciphertexts) -> ring.Ciphertexts | None:
        changed = tamper(index, value) if tamper is not None else None
        decoded = ring.decode(secret.decrypt(value if changed is None else changed, threads=threads))
        off = np.abs(decoded - expected[index])
        node = program.nodes[index]
        rows.append(
            Compared(
                index,
                node.describe(index),
                float(seen.largest[index].max()),
                float(off.max()),
                float(np.sqrt(np.square(off).mean())),
                predicted.typical_error(index),
                predicted.worst_error(index),
            )
        )
        if node.op == "output":
            outputs[node.settings["name"]] = decoded
        return changed

    encrypted = {}
    for name, values in given.items():
        node = program.nodes[program.inputs[name]]
        fresh = ring.encode(params, values, node.settings["scale"], node.level)
        encrypted[name] = secret.encrypt(fresh, threads=threads).expand()
    circuit = Encrypted(program, params, fuse=False)
    circuit.run(encrypted, keys or make_keys(program, secret, threads=threads), threads, watch=watch)
    rows.sort(key=lambda row: row.node)
    return Debugged(tuple(rows), outputs)
