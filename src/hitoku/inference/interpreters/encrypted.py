# SPDX-License-Identifier: Apache-2.0
"""Runs a circuit on ciphertexts. It needs public keys alone and sees no value.

Runs of pointwise operations are one call of the fused kernel each (`fusion`, `fused`); relinearising,
rescaling, rotating and linear maps are calls of their own. What leaves is dropped to the primes that its
output keeps, relinearised, re-randomised under the client's public key and flooded (`release`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from hitoku.executors.local import cores
from hitoku.hazmat import ring
from hitoku.inference.circuit.errors import CircuitError
from hitoku.inference.circuit.node import Node
from hitoku.inference.circuit.program import Program
from hitoku.inference.interpreters import fusion, rotations
from hitoku.inference.interpreters import scales as scaling
from hitoku.inference.interpreters.fused import Fused
from hitoku.inference.interpreters.fusion import Step

__all__ = ["Encrypted", "EvaluationKeys", "StepTime", "make_keys", "run"]

Watch = Callable[[int, ring.Ciphertexts], ring.Ciphertexts | None]
Key = TypeVar("Key")
_SAME: Final = 1e-9


@dataclass(frozen=True, slots=True)
class EvaluationKeys:
    """The client's public keys, for who computes.

    Attributes:
        public: encrypts zeros, to re-randomise what leaves.
        relinearisation: None where the circuit never relinearises.
        rotations: None where it never rotates.
    """

    public: ring.PublicKey
    relinearisation: ring.RelinearisationKey | None
    rotations: ring.RotationKeys | None


@dataclass(frozen=True, slots=True)
class StepTime:
    """How long one call took: seconds on the clock, and of the processor's cores together."""

    step: Step
    wall: float
    cpu: float


def make_keys(program: Program, secret: ring.SecretKey, *, threads: int | None = None) -> EvaluationKeys:
    """The keys that a circuit needs and no others."""
    steps = rotations.find(program)
    return EvaluationKeys(
        secret.public_key(),
        secret.relinearisation_key(threads=threads) if rotations.extra_parts(program) else None,
        secret.rotation_keys(steps, threads=threads) if steps else None,
    )


def run(
    program: Program,
    params: ring.Parameters,
    inputs: dict[str, ring.Ciphertexts],
    keys: EvaluationKeys,
    threads: int | None = None,
) -> dict[str, ring.Ciphertexts]:
    """The outputs of one run, by name. For several runs keep an `Encrypted`, which is made ready once."""
    return Encrypted(program, params).run(inputs, keys, threads)


class Encrypted:
    """A circuit made ready to run on ciphertexts: constants encoded, calls planned.

    Args:
        program: the circuit; every output's flooding must be settled (`release.settle`).
        params: its ring.
        fuse: False: every operation by itself, so that each value can be watched.

    Raises:
        CircuitError: scales do not fit (``SCALE``) or an output is not settled (``OUTPUT``).
    """

    def __init__(self, program: Program, params: ring.Parameters, *, fuse: bool = True) -> None:
        self.program, self.params = program, params
        self.scales = scaling.find(program, params)
        for name, index in program.outputs.items():
            if program.nodes[index].settings["flood_bits"] is None:
                raise CircuitError(
                    "OUTPUT",
                    f"it is not settled how wide the flooding noise of {name!r} is",
                    remedy="settle it with interpreters.release.settle",
                )
        self.steps = fusion.plan(program, fuse=fuse)
        self._fused = {s: Fused(program, params, self.scales, s) for s in self.steps if s.fused}
        self._maps = {i: self._transform(i) for i, node in enumerate(program.nodes) if node.op == "transform"}
        last: dict[int, Step] = {a: s for s in self.steps for a in (*s.inputs, *s.outputs)}
        self._dead = {s: [a for a, at in last.items() if at is s] for s in self.steps}

    def run(
        self,
        inputs: dict[str, ring.Ciphertexts],
        keys: EvaluationKeys,
        threads: int | None = None,
        *,
        consume: bool = False,
        watch: Watch | None = None,
        times: list[StepTime] | None = None,
    ) -> dict[str, ring.Ciphertexts]:
        """The outputs by name.

        Args:
            inputs: the encrypted inputs by name.
            keys: the client's public keys.
            threads: how many threads; None: all cores.
            consume: empty `inputs`, so that their memory is free as soon as the circuit is done with them.
            watch: called with the node and value of each call's results; what it returns, if not None,
                takes the value's place.
            times: a list that gets how long each call took.

        Raises:
            CircuitError: an input is missing or not of the circuit's shape, level or scale, or a key is
                missing (``KEYS``).
        """
        threads = threads or cores()
        self._check_keys(keys)
        values = self._check_inputs(inputs)
        if consume:
            inputs.clear()
        if watch is not None:
            for index in list(values):
                values[index] = watch(index, values[index]) or values[index]
        outputs: dict[str, ring.Ciphertexts] = {}
        for step in self.steps:
            started = time.perf_counter(), time.process_time()
            if step.fused:
                results = self._fused[step].run(values, threads)
            else:
                index = step.nodes[0]
                node = self.program.nodes[index]
                results = {index: self._one(index, node, values[node.args[0]], keys, threads)}
            if times is not None:
                wall, cpu = time.perf_counter() - started[0], time.process_time() - started[1]
                times.append(StepTime(step, wall, cpu))
            for index, result in results.items():
                changed = watch(index, result) if watch is not None else None
                values[index] = result if changed is None else changed
                node = self.program.nodes[index]
                if node.op == "output":
                    outputs[node.settings["name"]] = values[index]
            for index in self._dead[step]:
                values.pop(index, None)
        return outputs

    def _one(
        self, index: int, node: Node, x: ring.Ciphertexts, keys: EvaluationKeys, threads: int
    ) -> ring.Ciphertexts:
        x = ring.drop(x, node.level + (node.op == "rescale"), threads=threads)
        match node.op:
            case "rescale":
                return ring.rescale(x, threads=threads)
            case "relinearise":
                return self._relinearise(x, keys, threads)
            case "rotate":
                return ring.rotate(x, node.settings["step"], _there(keys.rotations), threads=threads)
            case "transform":
                return ring.transform(x, self._maps[index], _there(keys.rotations), threads=threads)
            case "output":
                x = self._relinearise(x, keys, threads)
                return ring.release(x, keys.public, node.settings["flood_bits"], threads=threads)
        return x

    def _relinearise(self, x: ring.Ciphertexts, keys: EvaluationKeys, threads: int) -> ring.Ciphertexts:
        if x.parts == 2:
            return x
        return ring.relinearise(x, _there(keys.relinearisation), threads=threads)

    def _transform(self, index: int) -> ring.Transform:
        node = self.program.nodes[index]
        rows = iter(node.constants["values"])
        maps = [
            [{step: next(rows) for step in steps} for steps in target] for target in node.settings["steps"]
        ]
        scale, giant = self.scales.plain[index], node.settings["giant"]
        return ring.Transform(self.params, maps, scale, node.level, giant=giant)

    def _check_keys(self, keys: EvaluationKeys) -> None:
        needed = set(rotations.find(self.program))
        there = set(keys.rotations.steps) if keys.rotations is not None else set()
        if missing := needed - there:
            raise CircuitError("KEYS", f"{len(missing)} rotation keys are missing, first step {min(missing)}")
        if rotations.extra_parts(self.program) and keys.relinearisation is None:
            raise CircuitError("KEYS", "the relinearisation key is missing")
        if any(k.params != self.params for k in (keys.public, keys.relinearisation, keys.rotations) if k):
            raise CircuitError("KEYS", "the keys are of other parameters")

    def _check_inputs(self, inputs: dict[str, ring.Ciphertexts]) -> dict[int, ring.Ciphertexts]:
        for name in inputs:
            if name not in self.program.inputs:
                raise CircuitError("INPUT", f"the circuit has no input named {name!r}")
        values = {}
        for name, index in self.program.inputs.items():
            node = self.program.nodes[index]
            value = inputs.get(name)
            if value is None:
                raise CircuitError("INPUT", f"the input {name!r} is missing")
            if value.params != self.params:
                raise CircuitError("INPUT", f"the input {name!r} is of other parameters")
            if (value.count, value.parts) != (node.count, 2) or value.level < node.level:
                raise CircuitError(
                    "SHAPE",
                    f"the input {name!r} must be {node.count} ciphertexts of 2 parts with {node.level} "
                    f"primes, not {value.count} of {value.parts} with {value.level}",
                )
            if not math.isclose(value.scale, node.settings["scale"], rel_tol=_SAME):
                raise CircuitError("SCALE", f"the input {name!r} has another scale than the circuit's")
            values[index] = ring.drop(value, node.level)
        return values


def _there(key: Key | None) -> Key:
    """A key that `_check_keys` found."""
    if key is None:
        raise CircuitError("KEYS", "a key is missing")
    return key
