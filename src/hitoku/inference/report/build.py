# SPDX-License-Identifier: Apache-2.0
"""Walks a circuit with every interpreter and puts together what they find."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from hitoku.executors.local import cores
from hitoku.hazmat.ring import MAX_BITS, Parameters
from hitoku.inference import measuring
from hitoku.inference.circuit.errors import CircuitError
from hitoku.inference.circuit.program import Program
from hitoku.inference.costs import Costs, machine
from hitoku.inference.interpreters import (
    cost as costing,
)
from hitoku.inference.interpreters import (
    counts,
    depth,
    growth,
    ranges,
    release,
    rotations,
    sizes,
)
from hitoku.inference.interpreters import (
    noise as errors,
)
from hitoku.inference.interpreters.noise import Noise
from hitoku.inference.interpreters.ranges import Ranges
from hitoku.inference.interpreters.ring import Ring, modulus_bits
from hitoku.inference.rehearsal import rehearse
from hitoku.inference.report.choice import Choice
from hitoku.inference.report.words import learns

__all__ = ["build"]

_FORM: Final = 1
_SECURITY: Final = 128


def build(
    program: Program,
    ring: Ring,
    *,
    name: str = "model",
    tolerance: float | None = None,
    seen: Ranges | None = None,
    margin: float = 2.0,
    samples: int = 1,
    threads: int | None = None,
    costs: Costs | None = None,
    sample: bool = True,
    rehearsed: bool = False,
    choice: Choice | None = None,
    client_learns: Sequence[str] = (),
    server_learns: Sequence[str] = (),
    notes: Sequence[str] = (),
) -> dict[str, Any]:
    """Everything the report says, as JSON-ready data; `Report` documents the keys.

    Args:
        program: the circuit, its outputs settled.
        ring: its ring.
        name: the model's name.
        tolerance: how far a score may be off.
        seen: ranges observed in calibration, not widened; None: bounds alone are known.
        margin: values may be so many times as large as any seen.
        samples: predictions of one run.
        threads: how many threads a prediction of time is for; None: all cores.
        costs: what primitives cost here; None: this processor's, measured if they were not yet.
        sample: whether calls of the fused kernel are timed on one prime (some seconds for a large
            circuit, needs real parameters), or else predicted from their operations.
        rehearsed: whether the time of a request comes from rehearsing it with keys that are thrown away
            (some seconds, needs real parameters), or else from the sum of its operations.
        choice: why these parameters.
        client_learns: further sentences on what the client learns, e.g. of an encoder's bins.
        server_learns: further sentences on what the server learns.
        notes: further sentences, e.g. what fitted activations cost in accuracy.
    """
    threads = threads or cores()
    bounds = ranges.bounds(program)
    found = errors.find(program, ring, seen or bounds)
    proved = errors.find(program, ring, bounds)
    sampled = measuring.sampled(program, ring) if sample and isinstance(ring, Parameters) else None
    costs = costs or Costs()
    cost = costing.find(program, ring, costs, threads=threads, sampled=sampled)
    request = rehearse(program, ring, threads) if rehearsed and isinstance(ring, Parameters) else None
    size = sizes.find(program, ring, threads=threads)
    hiding = {key: asdict(value) for key, value in release.hiding(program, ring, proved).items()}
    return {
        "form": _FORM,
        "name": name,
        "circuit": _circuit(program, found),
        "nodes": _nodes(program, ring, found, bounds, seen),
        "parameters": _parameters(ring, choice),
        "ranges": _ranges(program, ring, found, proved, bounds, seen, margin),
        "precision": _precision(program, found, seen or bounds, tolerance),
        "release": hiding,
        "cost": _cost(cost, size, samples, request),
        "machine": machine(),
        "learns": learns(program, ring, hiding, client_learns, server_learns),
        "notes": list(notes),
    }


def _circuit(program: Program, found: Noise) -> dict[str, Any]:
    def port(name: str, index: int) -> dict[str, Any]:
        node = program.nodes[index]
        scale = math.log2(found.scales[index])
        return {"name": name, "count": node.count, "level": node.level, "scale_bits": scale}

    return {
        "slots": program.slots,
        "depth": asdict(depth.find(program)),
        "operations": counts.find(program),
        "rotations": list(rotations.find(program)),
        "extra_parts": rotations.extra_parts(program),
        "inputs": [port(name, index) for name, index in program.inputs.items()],
        "outputs": [port(name, index) for name, index in program.outputs.items()],
    }


def _nodes(
    program: Program, ring: Ring, found: Noise, bounds: Ranges, seen: Ranges | None
) -> list[dict[str, Any]]:
    rows = []
    for index, node in enumerate(program.nodes):
        scale = found.scales[index]
        worst = float(found.worst[index].max())
        used = ranges.needed_bits(seen or bounds, index, scale, worst)
        rows.append(
            {
                "index": index,
                "op": node.op,
                "label": node.label,
                "args": list(node.args),
                "count": node.count,
                "parts": node.parts,
                "level": node.level,
                "scale_bits": math.log2(scale),
                "low": bounds.low[index],
                "high": bounds.high[index],
                "seen_low": seen.low[index] if seen else None,
                "seen_high": seen.high[index] if seen else None,
                "typical_error": found.typical_error(index),
                "worst_error": found.worst_error(index),
                "noise_bits": math.log2(max(worst, 1.0)),
                "used_bits": used,
                "modulus_bits": modulus_bits(ring, node.level),
            }
        )
    return rows


def _parameters(ring: Ring, choice: Choice | None) -> dict[str, Any]:
    lost = choice.candidates if choice else ()
    total = modulus_bits(ring, len(ring.primes)) + math.log2(ring.special)
    return {
        "scheme": "ckks",
        "degree": ring.degree,
        "primes": list(ring.primes),
        "prime_bits": [math.log2(p) for p in ring.primes],
        "special": ring.special,
        "special_bits": math.log2(ring.special),
        "total_bits": total,
        "limit_bits": MAX_BITS[ring.degree],
        "security_bits": _SECURITY,
        "binding": choice.binding if choice else None,
        "reasons": list(choice.reasons) if choice else [],
        "candidates": [{**asdict(one), "prime_bits": list(one.prime_bits)} for one in lost],
    }


def _ranges(
    program: Program,
    ring: Ring,
    found: Noise,
    proved: Noise,
    bounds: Ranges,
    seen: Ranges | None,
    margin: float,
) -> dict[str, Any]:
    def tightest(noises: list[float], values: Ranges) -> tuple[float, int]:
        rooms = [
            modulus_bits(ring, n.level) - ranges.needed_bits(values, i, found.scales[i], noises[i])
            for i, n in enumerate(program.nodes)
        ]
        return min((room, index) for index, room in enumerate(rooms))

    room, index = tightest([float(w.max()) for w in proved.worst], bounds)
    data: dict[str, Any] = {"kind": "proved", "samples": 0, "margin": 1.0}
    if room < 0 and seen is not None:
        # Where ranges are no proof, noise need not be one either: its tail, not the worst case.
        noises = [growth.TAIL * math.sqrt(float(v.max())) for v in found.square]
        room, index = tightest(noises, seen.widened(margin))
        data = {"kind": "observed", "samples": seen.samples, "margin": margin}
    data |= {"room_bits": room, "tightest": program.nodes[index].describe(index), "fits": room >= 0}
    return data


def _precision(
    program: Program, found: Noise, values: Ranges, tolerance: float | None
) -> dict[str, dict[str, Any]]:
    data = {}
    for name, index in program.outputs.items():
        largest, worst = float(values.largest[index].max()), found.worst_error(index)
        typical = found.typical_error(index)
        data[name] = {
            "largest": largest,
            "typical_error": typical,
            "worst_error": worst,
            "bits": math.log2(largest / typical) if largest > typical > 0 else 0.0,
            "worst_bits": math.log2(largest / worst) if largest > worst > 0 else 0.0,
            "tolerance": tolerance,
        }
    return data


def _cost(cost: costing.Cost, size: sizes.Sizes, samples: int, request: float | None) -> dict[str, Any]:
    added = cost.receive + cost.wall + cost.send
    whole = added if request is None else 1e3 * request
    return {
        "threads": cost.threads,
        "samples": samples,
        "server_ms": whole,
        "rehearsed": request is not None,
        "added_ms": added,
        "wall_ms": cost.wall,
        "cpu_ms": cost.cpu,
        "sample_ms": whole / samples,
        "receive_ms": cost.receive,
        "send_ms": cost.send,
        "client_encrypt_ms": cost.encrypt,
        "client_decrypt_ms": cost.decrypt,
        "bytes": {**asdict(size), "keys": size.keys},
        "steps": [
            {
                "nodes": list(one.step.nodes),
                "fused": one.step.fused,
                "name": one.name,
                "wall_ms": 1e3 * one.wall,
                "cpu_ms": 1e3 * one.cpu,
            }
            for one in cost.steps
        ],
    }


def refuse_overflow(data: Mapping[str, Any]) -> None:
    """Raise CircuitError (``OVERFLOW``) if the report says that values may leave the modulus."""
    if not data["ranges"]["fits"]:
        raise CircuitError(
            "OVERFLOW",
            f"{-data['ranges']['room_bits']:.1f} bits are missing",
            where=data["ranges"]["tightest"],
            remedy="smaller scales, larger primes, or tighter input bounds",
        )
