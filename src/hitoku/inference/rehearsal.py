# SPDX-License-Identifier: Apache-2.0
"""How long a request takes here, from rehearsing it: keys thrown away, values at random.

What operations take one by one does not add up to a request: its data is elsewhere in the caches, threads
sleep between requests, and memory is new. On the circuits of `benchmarks/inference.py` such sums were between
72 % too little and 98 % too much. What the homomorphic kernels do does not depend on values or keys, so a few
requests with others than the real ones take what the real ones will, on the same machine.
"""

from __future__ import annotations

import time
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Final

import numpy as np

from hitoku.hazmat import ring
from hitoku.inference.circuit import Program
from hitoku.inference.interpreters import sizes
from hitoku.inference.interpreters.encrypted import Encrypted, make_keys
from hitoku.inference.wire import Kind, pack, unpack

__all__ = ["MOST_BYTES", "rehearse"]

# Of a request, keys and values in memory together; larger circuits are predicted from their operations.
MOST_BYTES: Final = 4 << 30
# A server waits while its client decrypts an answer and encrypts the next request. Threads that slept for
# longer wake up more slowly, and on a machine that did nothing meanwhile more slowly still, by more than a
# small request itself takes. So the client works meanwhile; beyond this, what happens changes nothing.
_MOST_PAUSE_SECONDS: Final = 0.01
# Short requests are many, so that caches, clocks and branches are as in a server that has run for a while.
_RUNS: Final = 25
_WARM_SECONDS: Final = 0.4
_LEAST_SECONDS: Final = 1.0
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
    of = bytes(32)
    values = np.random.default_rng(0).uniform(-1, 1, (node.count, slots))

    def encrypted() -> bytes:
        plain = ring.encode(params, values, node.settings["scale"], node.level)
        return pack(Kind.REQUEST, of, [secret.encrypt(plain).to_bytes()])

    request, short = b"", False
    for _ in range(3):  # the first one also makes tables and wakes threads up
        start = time.perf_counter()
        request = encrypted()
        short = short or time.perf_counter() - start < _MOST_PAUSE_SECONDS

    def once(client: Executor) -> float:
        if short:
            client.submit(encrypted).result()
        else:
            time.sleep(_MOST_PAUSE_SECONDS)
        # A request comes into memory of its own.
        received = memoryview(bytearray(request))
        start = time.perf_counter()
        body = unpack(received, Kind.REQUEST, 1, len(received), of).sections[0]
        ring.seeded_shape(params, body)
        given = {name: ring.expanded(params, body, threads=threads)}
        results = circuit.run(given, keys, threads, consume=True)
        pack(Kind.ANSWER, of, [result.to_bytes() for result in results.values()])
        return time.perf_counter() - start

    times: list[float] = []
    with ThreadPoolExecutor(1) as client:
        # The first request brings code and constants into memory; a server does that once.
        once(client)
        started = time.perf_counter()
        while (taken := time.perf_counter() - started) < _SECONDS or len(times) < 3:
            if len(times) >= _RUNS and taken >= _LEAST_SECONDS:
                break
            if taken < _WARM_SECONDS:
                times.clear()
            times.append(once(client))
    return float(np.median(times))
