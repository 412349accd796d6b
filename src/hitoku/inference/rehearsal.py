# SPDX-License-Identifier: Apache-2.0
"""How long a request takes here, from rehearsing it: keys thrown away, values at random.

What operations take one by one does not add up to a request: its data is elsewhere in the caches, threads
sleep between requests, and memory is new. On the circuits of `benchmarks/inference.py` such sums were between
72 % too little and 98 % too much. What the homomorphic kernels do does not depend on values or keys, so a few
requests with others than the real ones take what the real ones will, on the same machine.
"""

from __future__ import annotations

import time
from typing import Final

import numpy as np

from hitoku.hazmat import ring
from hitoku.inference.circuit import Program
from hitoku.inference.interpreters import sizes
from hitoku.inference.interpreters.encrypted import Encrypted, make_keys

__all__ = ["MOST_BYTES", "rehearse"]

# Of a request, keys and values in memory together; larger circuits are predicted from their operations.
MOST_BYTES: Final = 4 << 30
_PAUSE_SECONDS: Final = 0.003
_RUNS: Final = 25
_SECONDS: Final = 4.0


def rehearse(program: Program, params: ring.Parameters, threads: int) -> float | None:
    """Seconds on the clock from a request's bytes to the answer's: the median of some requests.

    Args:
        program: the circuit, of one input.
        params: its ring.
        threads: how many threads a server uses.

    Returns:
        None where the circuit has several inputs, or needs more memory than `MOST_BYTES`.
    """
    if len(program.inputs) != 1 or sizes.find(program, params, threads=threads).memory > MOST_BYTES:
        return None
    ((name, index),) = program.inputs.items()
    node, slots = program.nodes[index], params.degree // 2
    circuit, secret = Encrypted(program, params), ring.SecretKey.generate(params)
    keys = make_keys(program, secret)
    values = np.random.default_rng(0).uniform(-1, 1, (node.count, slots))
    plain = ring.encode(params, values, node.settings["scale"], node.level)
    request = secret.encrypt(plain).to_bytes()

    def once() -> float:
        # A server sleeps until a request comes.
        time.sleep(_PAUSE_SECONDS)
        start = time.perf_counter()
        given = ring.SeededCiphertexts.from_bytes(params, bytes(request), threads=threads)
        results = circuit.run({name: given.expand(threads=threads)}, keys, threads)
        for result in results.values():
            result.to_bytes()
        return time.perf_counter() - start

    # The first request brings code and constants into memory; a server does that once.
    once()
    times: list[float] = []
    while len(times) < _RUNS and (len(times) < 3 or sum(times) < _SECONDS):
        times.append(once())
    return float(np.median(times))
