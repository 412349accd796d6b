# SPDX-License-Identifier: Apache-2.0
"""From a model to what a server and its clients need: no parameter is set by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hitoku.hazmat.ring import Parameters
from hitoku.inference.effort import milliseconds
from hitoku.inference.encoders import BatchEncoder, PackedEncoder
from hitoku.inference.errors import ModelError
from hitoku.inference.importing import load
from hitoku.inference.layouts.stages import run
from hitoku.inference.network import Network
from hitoku.inference.objectives import Latency, Throughput
from hitoku.inference.plan import Plan
from hitoku.inference.prepare import Objective, Ready, prepare
from hitoku.inference.search import HEADROOM, SHARE, SIGMAS, Found, Task, search
from hitoku.inference.specification import ClientSpec, Scores

__all__ = ["compile"]


def compile(  # noqa: A001 - the name that users look for
    model: Any,
    calibration: ArrayLike,
    objective: Objective = "throughput",
    tolerance: float = 0.01,
    *,
    bounds: tuple[ArrayLike, ArrayLike] | None = None,
    feature_names: Sequence[str] = (),
) -> Plan:
    """Compile a model for predictions on encrypted inputs.

    Args:
        model: the path of an ONNX file, a scikit-learn, XGBoost or LightGBM model, or a `Network`.
        calibration: samples [n, *shape] like those that will be asked, 8 at least; a few hundred are good.
            Values inside may be up to twice as large as any seen with them.
        objective: ``throughput`` (thousands of samples a request) or ``latency`` (one sample, soon).
        tolerance: the largest error of a score against the model after its passes, relative to the largest
            score of the calibration samples.
        bounds: the smallest and largest value of every feature, each a number or an array [*shape]; None:
            those of the calibration samples, widened to round numbers. They are public.
        feature_names: for refusals; may be empty.

    Returns:
        The plan: `Plan.save` writes the server's bundle and the client's specification.

    Raises:
        ModelError: the model or a sample cannot be used, or nothing fits (``NO_PARAMETERS``); it names the
            layer and what to do.
    """
    if objective not in ("throughput", "latency"):
        raise ModelError("VALUE", "is throughput or latency", where="objective")
    if not 1e-6 <= tolerance <= 0.5:
        raise ModelError("VALUE", "is a part of the largest score, from 1e-6 to 0.5", where="tolerance")
    loaded = load(model)
    if not isinstance(loaded, Network):
        from hitoku.inference.trees.compile import compile_forest

        made: Plan = compile_forest(loaded, calibration, objective, tolerance)
        return made
    ready = prepare(loaded, calibration, objective, tolerance, bounds, tuple(feature_names))
    parts, x = ready.parts, ready.x
    allowed = tolerance * ready.top
    values = run(parts, x)[1:]
    task = Task(
        parts,
        tuple(max(float(np.sqrt(np.square(v).mean())), 1e-9) for v in values),
        tuple(max(float(np.abs(v).max()), 1e-9) for v in values),
        allowed,
    )
    layout: Throughput | Latency
    if objective == "throughput":
        layout = Throughput(parts, task.sizes, x, milliseconds)
    else:
        layout = Latency(parts, task.sizes, x, milliseconds, worst=SHARE * task.tolerance / SIGMAS)
    return _plan(ready, task, layout, search(task, layout))


def _plan(ready: Ready, task: Task, layout: Throughput | Latency, found: Found) -> Plan:
    network, scaler = ready.network, ready.scaler
    params = Parameters(found.ring.degree, found.ring.primes, found.ring.special)
    slots = found.ring.slots
    at: tuple[int, ...] | None = None
    encoder: BatchEncoder | PackedEncoder = BatchEncoder(scaler, slots)
    if isinstance(layout, Latency):
        encoder = PackedEncoder(scaler, layout.indices(slots).astype(np.int32))
        way = layout.packing(slots)
        at = tuple(way.output.at.tolist()) if way is not None else None
    scores = Scores(
        columns=network.outputs,
        largest=HEADROOM * task.tops[-1] + task.tolerance,
        tolerance=task.tolerance,
        at=at,
        names=network.output_names,
        post=network.post,
    )
    runs, samples, _ = layout.inputs(slots)
    return Plan(
        network.name,
        layout.name,
        found.program,
        params,
        ClientSpec.of(network.name, found.program, params, encoder, scores),
        task.tolerance,
        _why(found, task),
        ready.notes,
        tuple(runs),
        samples,
    )


def _why(found: Found, task: Task) -> tuple[str, ...]:
    ring, total = found.ring, sum(math.log2(p) for p in (*found.ring.primes, found.ring.special))
    sizes = ", ".join(f"{math.log2(p):.0f}" for p in ring.primes)
    return (
        (
            f"degree {ring.degree}: primes of {total:.0f} bits together ({sizes}, special "
            f"{math.log2(ring.special):.0f}) keep 128 bits of security"
        ),
        (
            f"{found.scaling.work:.0f} bits of precision before activations keep the typical error of a "
            f"score at {found.error:.2g}; {task.tolerance:.2g} is allowed"
        ),
        (
            f"flooding noise of 2^{found.flood} a coefficient is {found.distance:.1f} bits above the "
            "circuit's own typical noise"
        ),
        *found.tried,
    )
