# SPDX-License-Identifier: Apache-2.0
"""How much longer a request usually takes here than the least times of its operations add up to.

`costs` keeps the least time of each primitive, called again and again: its data is in the caches, the threads
are awake, and nothing else runs. A server's request finds other things in the caches, threads asleep and
memory that is new. So two requests of reference circuits, one of each layout, are run as a server meets them,
after a pause and with cold caches; what their usual time is over the predicted one, multiplies what is
predicted of others. Measured once with the other costs, and again where the machine was busy.
"""

from __future__ import annotations

import time
from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np

from hitoku.hazmat import ring
from hitoku.inference.circuit import Builder, Program
from hitoku.inference.interpreters import cost as costing
from hitoku.inference.interpreters.encrypted import Encrypted, make_keys
from hitoku.inference.measuring import sampled

if TYPE_CHECKING:
    from hitoku.inference.costs import Costs

__all__ = ["server_ms", "usual"]

_DEGREE: Final = 8192
_SLOTS: Final = _DEGREE // 2
_PAUSE_SECONDS: Final = 0.02
_RUNS: Final = 7
_CACHE_WORDS: Final = 1 << 21
_LEAST, _MOST = 1.0, 2.5


def server_ms(cost: costing.Cost, costs: Costs, samples: int) -> float:
    """Milliseconds on the clock from a request's bytes to the answer's, as a server usually takes."""
    kind = "batch" if samples > 1 else "packed"
    return (cost.receive + cost.wall + cost.send) * costs.usual(kind, cost.threads)


def usual(kind: str, threads: int, costs: Costs) -> float:
    """The factor of a layout: ``batch`` or ``packed``."""
    program, params = _reference(kind)
    timed = sampled(program, params) if kind == "batch" else None
    predicted = costing.find(program, params, costs, threads=threads, sampled=timed)
    found = _request(program, params, threads)
    factor = found * 1e3 / (predicted.receive + predicted.wall + predicted.send)
    return float(min(max(factor, _LEAST), _MOST))


@cache
def _reference(kind: str) -> tuple[Program, ring.Parameters]:
    """A circuit of that layout, of a common size."""
    primes = ring.find_primes(_DEGREE, [40] * 5)
    params = ring.Parameters(_DEGREE, primes[:-1], primes[-1])
    source, scale = np.random.default_rng(1), 2.0**26
    b = Builder(_SLOTS)
    if kind == "batch":
        x = b.input("x", count=400, scale=scale, level=3)
        x = b.square(b.matrix(x, source.integers(-100, 101, (200, 400)), None, 1 / 400))
        x = b.matrix(x, source.integers(-100, 101, (50, 200)), None, 1 / 200)
        x = b.rescale(b.relinearise(x))
        x = b.matrix(x, source.integers(-100, 101, (10, 50)), None, 1 / 50)
    else:
        x = b.input("x", count=2, scale=float(primes[-2]), level=4)
        maps = [[{step: source.normal(size=_SLOTS) * 0.05 for step in range(32)} for _ in range(2)]]
        x = b.rescale(b.transform(x, maps, to=float(primes[-2])))
        x = b.rescale(b.relinearise(b.square(x)))
        for step in (16, 32, 64):
            x = b.add(x, b.rotate(x, step))
        x = b.rescale(
            b.transform(x, {s: source.normal(size=_SLOTS) for s in range(16)}, to=float(primes[-3]))
        )
    b.output("y", x, level=1, flood_bits=8)
    return b.build(), params


def _request(program: Program, params: ring.Parameters, threads: int) -> float:
    """The median time of a request: from its bytes to the answer's."""
    circuit, secret = Encrypted(program, params), ring.SecretKey.generate(params)
    keys, node = make_keys(program, secret), program.nodes[program.inputs["x"]]
    values = np.random.default_rng(2).uniform(-1, 1, (node.count, _SLOTS))
    plain = ring.encode(params, values, node.settings["scale"], node.level)
    request = secret.encrypt(plain).to_bytes()
    other, times = np.ones(_CACHE_WORDS), []
    for _ in range(_RUNS):
        time.sleep(_PAUSE_SECONDS)
        other += 1.0
        start = time.perf_counter()
        given = ring.SeededCiphertexts.from_bytes(params, bytes(request), threads=threads)
        circuit.run({"x": given.expand(threads=threads)}, keys, threads)["y"].to_bytes()
        times.append(time.perf_counter() - start)
    return float(np.median(times))
