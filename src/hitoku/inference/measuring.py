# SPDX-License-Identifier: Apache-2.0
"""Times the ring's primitives on this processor: seconds of processor time for one ciphertext.

Processor time of one thread, the least of several tries: other programs on the machine then change it
little. `costs` keeps the results and knows how they grow with the level.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from hitoku import _core
from hitoku.hazmat import ring
from hitoku.inference.circuit.node import Node
from hitoku.inference.circuit.program import Program
from hitoku.inference.interpreters.fused import Fused, sparse
from hitoku.inference.interpreters.fusion import Step, plan
from hitoku.inference.interpreters.scales import find as find_scales

__all__ = ["Bench", "busy", "fused", "parallel", "sampled", "seconds"]

_TRIES: Final = 5
_LEAST_SECONDS: Final = 0.012
_PRIME_BITS: Final = 45
_SCALE: Final = 2.0**20
_FEW: Final = 1
_TARGETS: Final = 12
# 16 MB: more than a core's own caches hold.
_CACHE_WORDS: Final = 1 << 21
_DEGREE: Final = 8192
_MAC_BITS: Final = 40
# Largest weights, in bits, for which primes of 40 bits need so many limbs.
_WEIGHT_BITS: Final = {1: 7, 2: 16, 3: 30}


def seconds(work: Callable[[], object], tries: int = _TRIES, *, cold: bool = False) -> float:
    """The least processor time of a call, over some tries of at least 12 ms altogether.

    Args:
        work: the call.
        tries: how many tries at least.
        cold: whether keys and data leave the core's own caches before every try, as other calls in
            between make them do.
    """
    other = np.ones(_CACHE_WORDS if cold else 1)
    work()
    best, spent, done = float("inf"), 0.0, 0
    while done < tries or (spent < _LEAST_SECONDS and done < 50 * tries):
        other += 1.0
        start = time.process_time()
        work()
        took = time.process_time() - start
        best, spent, done = min(best, took), spent + took, done + 1
    return best


class Bench:
    """A ring of a degree and level with keys and ciphertexts to time operations on.

    Args:
        degree: N.
        level: how many data primes; their sizes matter little to time.
        count: how many ciphertexts an operation is timed on.
    """

    def __init__(self, degree: int, level: int, count: int = 16) -> None:
        # Large rings have fewer rows that are worth waiting for.
        count = max(min(count, count * 8192 // degree), 2)
        bits = min(_PRIME_BITS, ring.MAX_BITS[degree] // (level + 1))
        primes = ring.find_primes(degree, [bits] * (level + 1))
        self.params = ring.Parameters(degree, primes[:-1], primes[-1])
        self.level, self.count = level, count
        self.secret = ring.SecretKey.generate(self.params)
        self.public = self.secret.public_key()
        values = np.linspace(-1.0, 1.0, count * degree // 2).reshape(count, -1)
        self.values = values
        self.plain = ring.encode(self.params, values, _SCALE, level)
        self.seeded = self.secret.encrypt(self.plain)
        self.fresh = self.seeded.expand()

    def measure(self) -> dict[str, float]:
        """Seconds for one ciphertext of 2 parts (a relinearisation: one part beyond 2), by name.

        Names that end in ``/few`` are of few ciphertexts, when keys are not in the core's caches.
        """
        found = {name: seconds(work, 3) / self.count for name, work in self._works(self.fresh).items()}
        few = self.fresh[:_FEW]
        for name, work in self._works(few).items():
            if name in ("relinearise", "rotate", "release", "rescale", "drop"):
                found[f"{name}/few"] = seconds(work, cold=True) / _FEW
        return found | self._maps()

    def _works(self, fresh: ring.Ciphertexts) -> dict[str, Callable[[], object]]:
        params, secret = self.params, self.secret
        relinearisation = secret.relinearisation_key(threads=1)
        rotations = secret.rotation_keys([1], threads=1)
        squares = ring.square(fresh, threads=1)
        travelling, wire = self.seeded.to_bytes(threads=1), fresh.to_bytes(threads=1)
        works: dict[str, Callable[[], object]] = {
            "relinearise": lambda: ring.relinearise(squares, relinearisation, threads=1),
            "rotate": lambda: ring.rotate(fresh, 1, rotations, threads=1),
            "release": lambda: ring.release(fresh, self.public, 4, threads=1),
            "receive": lambda: ring.expanded(params, travelling, threads=1),
            "send": lambda: fresh.to_bytes(threads=1),
            "client-encrypt": lambda: secret.encrypt(
                ring.encode(params, self.values, _SCALE, self.level, threads=1), threads=1
            ).to_bytes(threads=1),
            "client-decrypt": lambda: ring.decode(
                secret.decrypt(ring.Ciphertexts.from_bytes(params, wire, threads=1), threads=1), threads=1
            ),
        }
        if self.level > 1:
            works["rescale"] = lambda: ring.rescale(fresh, threads=1)
            works["drop"] = lambda: ring.drop(fresh, self.level - 1, threads=1)
        return works

    def _maps(self) -> dict[str, float]:
        """What a transform takes for each source turned, baby step, giant step, diagonal and target."""
        keys = self.secret.rotation_keys([1, 2, 3, 64, 128])
        diagonal, fresh = self.values[0], self.fresh[:1]

        def timed(steps: list[int], targets: int = 1) -> float:
            maps = [dict.fromkeys(steps, diagonal)] * targets
            linear = ring.Transform(self.params, maps, _SCALE, self.level, giant=64)
            return seconds(lambda: ring.transform(fresh, linear, keys, threads=1), cold=True)

        # Each time is a sum of what its steps and targets take; the differences are solved for. All steps
        # turn: a diagonal of the value as it is costs less.
        one, three, giants = timed([1]), timed([1, 2, 3]), timed([1, 65, 129])
        wide, wider = timed([1], _TARGETS), timed([1, 2, 3], _TARGETS)
        more = _TARGETS - 1
        product = max(((wider - wide) - (three - one)) / (2 * more), 0.0)
        target = max((wide - one) / more - product, 0.0)
        baby = max((three - one) / 2 - product, 0.0)
        return {
            "map-source": max(one - baby - product - target, 0.0),
            "map-baby": baby,
            "map-giant": max((giants - one) / 2 - product, 0.0),
            "map-product": product,
            "map-target": target,
        }


class _Kernel:
    """The fused kernel on random residues of one prime."""

    def __init__(self, bits: int, count: int) -> None:
        primes = ring.find_primes(_DEGREE, [bits, bits])
        self.params = ring.Parameters(_DEGREE, primes[:1], primes[1])
        self.count = count
        shape = (count, 2, 1, _DEGREE)
        self.words = np.random.default_rng(0).integers(0, primes[0], shape, dtype=np.uint64)

    def time(self, build: Callable[[Any, int], int]) -> float:
        """Seconds for each of the input's residues."""
        code = _core.RingProgram(self.params.kernel, 1)
        code.output(build(code, code.input(self.count, 2)))
        return seconds(lambda: code.run([self.words], 1), 3) / self.words.size


def fused() -> dict[str, float]:
    """Seconds of the fused kernel for one residue, by kind of work.

    ``mac-1`` to ``mac-3``: a weight times a residue where weights and primes need so many limbs;
    ``product`` and ``sum``: of two residues; ``read`` and ``write``: of main memory.
    """
    # Results below 32 MB: larger ones take new memory every time, which `fresh` counts.
    kernel = _Kernel(_MAC_BITS, 128)
    read = kernel.time(lambda code, x: code.total(x))
    write = max(kernel.time(lambda _, x: x) - read, 0.0)
    # A square of 2 parts is 3 products; its 3 parts are added up instead of 2.
    squared = kernel.time(lambda code, x: code.total(code.square(x)))
    added = kernel.time(lambda code, x: code.total(code.add(x, code.negate(x))))
    found = {
        "read": read,
        "write": write,
        "product": max(squared - 1.25 * read, 0.0) / 1.5,
        "sum": max(added - read, 0.0) / 2,
    }
    generator = np.random.default_rng(1)
    rows = 64
    for limbs, bits in _WEIGHT_BITS.items():
        square = generator.integers(1 - (1 << bits), 1 << bits, (rows, kernel.count))
        entries = sparse(square)
        took = kernel.time(partial(_product, entries))
        found[f"mac-{limbs}"] = max(took - read - write * rows / kernel.count, took / 2) / rows
    found["fresh"] = _fresh()
    return {f"fused-{name}": value for name, value in found.items()}


def _fresh() -> float:
    """Seconds by which a word of new memory is dearer than one that was used before."""
    words = 3 << 21

    def fill(values: npt.NDArray[np.float64]) -> None:
        values[:] = 1.0

    used = np.zeros(words)
    new = seconds(lambda: fill(np.zeros(words)), 3)
    return max(new - seconds(lambda: fill(used), 3), 0.0) / words


def _product(entries: tuple[Any, ...], code: Any, x: int) -> int:
    return int(code.matrix(x, *entries, None))


def sampled(program: Program, params: ring.Parameters) -> dict[Step, float]:
    """Seconds of each call of the fused kernel, from running it on two primes only.

    The kernel does the same work for every prime, so the whole call takes `level / 2` times as long. (On one
    prime alone its inputs lie closer together in memory than they really do.)
    """
    scales = find_scales(program, params)
    generator = np.random.default_rng(0)
    found = {}
    for step in plan(program):
        if step.fused:
            level = program.nodes[step.nodes[0]].level
            part = min(level, 2)
            fused = Fused(program, params, scales, step, level=part)
            words = {
                i: ring.Ciphertexts.trusted(params, _random(generator, params, program.nodes[i], part), 1.0)
                for i in step.inputs
            }
            found[step] = level / part * seconds(partial(fused.run, words, 1), 3)
    return found


def busy() -> float:
    """How unsteady times are now, 1.0 on an idle machine.

    The larger of two: the median of processor times over the least (memory and caches are shared with
    others), and time on the clock over processor time (the cores themselves are).
    """
    values = np.ones(1 << 17)
    times = []
    clock, began = time.perf_counter(), time.process_time()
    for _ in range(200):
        start = time.process_time()
        values += 1.0
        times.append(time.process_time() - start)
    waited = (time.perf_counter() - clock) / max(time.process_time() - began, 1e-9)
    return float(max(np.median(times) / max(min(times), 1e-9), waited))


def _random(
    generator: np.random.Generator, params: ring.Parameters, node: Node, level: int
) -> npt.NDArray[np.uint64]:
    shape = (node.count, node.parts, level, params.degree)
    return generator.integers(0, min(params.primes[:level]), shape, dtype=np.uint64)


def parallel(threads: int) -> dict[str, float]:
    """What several threads at once gain and cost.

    ``inflation``: processor time of many rows, over that on one thread (memory is shared); ``inside``: how
    many times as fast one ciphertext is switched to another key; ``maps``: the same of a linear map;
    ``inside-cpu``, ``maps-cpu``: their processor time over that on one thread; ``start``: seconds until
    threads have begun and ended.
    """
    bench = Bench(8192, 3, 4 * threads)
    key = bench.secret.relinearisation_key()
    squares, one = ring.square(bench.fresh, threads=1), ring.square(bench.fresh[:1], threads=1)
    keys = bench.secret.rotation_keys([1, 2, 3, 64, 128])
    steps = dict.fromkeys((g + b for g in (0, 64, 128) for b in range(4)), bench.values[0])
    linear = ring.Transform(bench.params, steps, _SCALE, 3, giant=64)
    tiny = _Kernel(_MAC_BITS, 1)
    code = _core.RingProgram(tiny.params.kernel, 1)
    code.output(code.negate(code.input(1, 2)))

    def both(work: Callable[[int], object]) -> tuple[float, float, float]:
        (alone, cpu), (wall, more) = _clock(partial(work, 1)), _clock(partial(work, threads))
        return alone / wall, more / cpu, wall - alone / threads

    _, inflation, _ = both(lambda n: ring.relinearise(squares, key, threads=n))
    inside, inside_cpu, _ = both(lambda n: ring.relinearise(one, key, threads=n))
    maps, maps_cpu, _ = both(lambda n: ring.transform(bench.fresh[:1], linear, keys, threads=n))
    _, _, start = both(lambda n: code.run([tiny.words], n))
    return {
        "inflation": min(max(inflation, 1.0), 2.0),
        "inside": min(max(inside, 1.0), float(threads)),
        "inside-cpu": max(inside_cpu, 1.0),
        "maps": min(max(maps, 1.0), float(threads)),
        "maps-cpu": max(maps_cpu, 1.0),
        "start": max(start, 0.0),
    }


def _clock(work: Callable[[], object]) -> tuple[float, float]:
    """The least time on the clock of a call, and the least processor time, over many tries."""
    work()
    walls, cpus = [], []
    for _ in range(25):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return min(walls), min(cpus)
