# SPDX-License-Identifier: Apache-2.0
"""A program of three parties run on given shares, by the kernel or the reference, and what each saw."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from tests.shares.reference import Reference, dump, joined
from tests.shares.reference_base import PARTIES, Shares, array, from_bytes, minus, width

from hitoku.hazmat import shares


@dataclass
class Seen:
    """Of `times` executions on the same shares: bytes by party and time, costs by party, outputs by time."""

    received: list[list[bytes]]
    costs: list[list[dict[str, int]]]
    outputs: list[list[Shares]]


def dealt(rng, kind, values):
    """Shares of values as an honest owner deals them, from a generator of the test's."""
    values = array(kind, values)
    size = len(values) * width(kind) // 8
    a, b = (from_bytes(kind, rng.bytes(size)) for _ in range(2))
    return Shares(kind, [a, b, minus(kind, minus(kind, values, a), b)])


def kernel(program, inputs, times=1):
    """Three parties of the Rust kernel, over memory."""

    def work(party):
        vectors = [party.load(v.kind, *dump(v, party.index)) for v in inputs]
        received, costs, outputs = [], [], []
        for _ in range(times):
            seen, before = len(party.received()), party.counters()
            made = program(party, vectors)
            received.append(party.received()[seen:])
            costs.append({name: count - before[name] for name, count in party.counters().items()})
            outputs.append([(v.kind, party.dump(v)) for v in made])
        return received, costs, outputs

    done = shares.run_three(work, record=True)
    outputs = []
    for time in range(times):
        each = [done[party][2][time] for party in PARTIES]
        outputs.append([opened_shares(*vector) for vector in zip(*each, strict=True)])
    return Seen([done[i][0] for i in PARTIES], [done[i][1] for i in PARTIES], outputs)


def opened_shares(*vectors):
    """All three shares of a vector, from what the parties hold, which must agree."""
    kind = vectors[0][0]
    dumps = [held for _, held in vectors]
    joined(kind, dumps)
    return Shares(kind, [from_bytes(kind, first) for first, _ in dumps])


class Model:
    """The reference as a machine, with a fault or without."""

    def __init__(self, fault: str | None = None, seed: int = 1) -> None:
        self.fault, self.seed = fault, seed

    def __call__(self, program, inputs, times=1):
        """One object plays all three; every call has keys of its own."""
        self.seed += 1
        all_of_it = Reference(self.seed, self.fault)
        received: list[list[bytes]] = [[], [], []]
        costs: list[list[dict[str, int]]] = [[], [], []]
        outputs = []
        for _ in range(times):
            seen, rounds = [len(view) for view in all_of_it.views], all_of_it.rounds
            outputs.append(program(all_of_it, inputs))
            for party in PARTIES:
                fresh = all_of_it.views[party][seen[party] :]
                received[party].append(b"".join(message.data for message in fresh))
                costs[party].append(
                    {
                        "bytes_received": len(received[party][-1]),
                        "messages": len(fresh),
                        "rounds": all_of_it.rounds - rounds,
                    }
                )
        return Seen(received, costs, outputs)


def values_of(seen: Seen) -> list[Any]:
    """The values of the outputs of the last execution."""
    return [v.value() for v in seen.outputs[-1]]


def words(rng, kind, rows):
    """Uniform values of a kind."""
    return from_bytes(kind, rng.bytes(rows * width(kind) // 8))


def generator(*seed):
    """A generator named by numbers and names."""
    return np.random.default_rng([int.from_bytes(str(part).encode(), "little") % 2**64 for part in seed])
