# SPDX-License-Identifier: Apache-2.0
"""Clients of a served forest who do not encode samples: what they get stays inside the printed bounds.

A server cannot see whether bits are bits, a thermometer is monotone, or copies of a bit agree.
It evaluates its polynomial on whatever was encrypted. What holds nevertheless: the answer is two parts modulo
one prime that is tight around the model's own range, re-randomised and flooded, so a coefficient carries at
most log2(prime / flooding) bits, the same as for an honest client.
"""

from __future__ import annotations

import json
import math
import secrets
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from tests.unit.inference.trees.forests import random_forest, random_samples

from hitoku.hazmat import ring
from hitoku.inference.client import Client
from hitoku.inference.interpreters import plain
from hitoku.inference.plan import Plan
from hitoku.inference.server import Server
from hitoku.inference.trees.compile import compile_forest
from hitoku.inference.wire import ID_BYTES, Kind, pack, unpack


@dataclass(frozen=True)
class Served:
    """A forest, its server, and a client that encrypts what it likes."""

    plan: Plan
    server: Server
    client: Client
    keys: Any
    scale: float

    @property
    def modulus(self) -> float:
        """The range that every coefficient of an answer lies in, as a score."""
        return self.plan.params.primes[0] / self.scale

    @property
    def flood_bits(self) -> int:
        bits = self.plan.program.releases()["scores"].flood_bits
        assert bits is not None
        return bits

    def ask(self, ciphertexts: Any) -> ring.Ciphertexts:
        content = ciphertexts.to_bytes()
        request = pack(Kind.REQUEST, self.plan.client.circuit, [content], secrets.token_bytes(ID_BYTES))
        frame = unpack(self.server.run(request, self.keys), Kind.ANSWER, 1, 1 << 24, self.plan.client.circuit)
        return ring.Ciphertexts.from_bytes(self.plan.params, bytes(frame.sections[0]))

    def encrypt(self, slots: Any) -> Any:
        spec = self.plan.client
        return self.client._secret.encrypt(ring.encode(spec.params, slots, spec.scale, spec.level))

    def scores(self, answer: ring.Ciphertexts) -> Any:
        return ring.decode(self.client._secret.decrypt(answer))

    def honest(self, x: Any) -> Any:
        return self.plan.client.encoder.encode(x)


SAMPLES = random_samples(np.random.default_rng(1), 400)
FOREST = random_forest(np.random.default_rng(0), trees=12, depth=3)


@pytest.fixture(scope="module", params=["throughput", "latency"])
def served(request: pytest.FixtureRequest) -> Served:
    plan = compile_forest(FOREST, SAMPLES, request.param)
    server, client = Server(plan, threads=2), Client(plan.client, threads=2)
    return Served(plan, server, client, server.admit(client.keys()), plan.client.answer_scale)


def wrapped(values: Any, modulus: float) -> Any:
    return (np.asarray(values) + modulus / 2) % modulus - modulus / 2


def test_the_range_is_tight_and_bounds_what_an_answer_carries(served: Served) -> None:
    low, high = FOREST.bounds()
    largest = float(max(-low.min(), high.max()))
    assert 2 * largest < served.modulus < 2.2 * (largest + served.plan.tolerance)
    # What is told: range over rounding, and rounding is a fair part of the tolerance.
    told = math.log2(served.plan.params.primes[0]) - (served.flood_bits + 1)
    slots_apart = 2.0 ** (served.flood_bits + 1) / served.scale * math.sqrt(served.plan.params.degree / 12)
    assert slots_apart < served.plan.tolerance
    assert (
        told
        <= math.log2(served.modulus / slots_apart) + 0.5 * math.log2(served.plan.params.degree / 12) + 1e-6
    )
    assert f"at most {told:.1f} bits" in " ".join(served.plan.why)


def test_thermometers_that_are_not_monotone_wrap_into_the_range(served: Served) -> None:
    """The same nonsense in every slot: one coefficient, so that the wrapping shows in the slots."""
    rng = np.random.default_rng(5)
    for _ in range(4):
        if served.plan.objective == "throughput":
            bits = rng.integers(0, 2, (served.plan.client.encoder.count, 1)).astype(float)
            slots = np.repeat(bits, served.plan.program.slots, axis=1)
        else:
            slots = rng.integers(0, 2, (served.plan.client.encoder.count, served.plan.program.slots)).astype(
                float
            )
        got = served.scores(served.ask(served.encrypt(slots)))
        wanted = plain.run(served.plan.program, {"x": slots})["scores"]
        off = wrapped(got - wanted, served.modulus)
        assert np.abs(off).max() < served.plan.tolerance
        assert np.abs(got).max() < served.modulus / 2 + served.plan.tolerance


@pytest.mark.parametrize("size", [-1.0, 7.0, 300.0])
def test_bits_out_of_range_wrap_into_the_range(served: Served, size: float) -> None:
    slots = np.full((served.plan.client.encoder.count, served.plan.program.slots), size)
    answer = served.ask(served.encrypt(slots))
    assert (answer.parts, answer.level) == (2, 1)
    got = served.scores(answer)
    # One coefficient again: every slot has the same value inside the range, up to the flooding.
    assert np.abs(got).max() < served.modulus / 2 + served.plan.tolerance
    assert np.ptp(wrapped(got - got[0, 0], served.modulus)) < 2 * served.plan.tolerance


def test_ciphertexts_of_random_residues_are_answered_within_the_range(served: Served) -> None:
    """No encryption of anything: what comes back is residues of the one tight prime, no more of them."""
    rng = np.random.default_rng(9)
    spec = served.plan.client
    shape = (spec.encoder.count, spec.level, spec.params.degree)
    words = np.empty(shape, dtype=np.uint64)
    for level, prime in enumerate(spec.params.primes[: spec.level]):
        words[:, level] = rng.integers(0, prime, (shape[0], shape[2]), dtype=np.uint64)
    seeded = ring.SeededCiphertexts(spec.params, words, secrets.token_bytes(32), spec.scale)
    answer = served.ask(seeded)
    assert answer.residues.shape == (spec.answer_count, 2, 1, spec.params.degree)
    assert int(answer.residues.max()) < spec.params.primes[0]


def test_each_answer_is_rerandomised_and_flooded_anew(served: Served) -> None:
    """The same request again: other residues everywhere, scores apart by the flooding and nothing less."""
    x = SAMPLES[: served.plan.client.encoder.samples]
    request = served.encrypt(served.honest(x))
    one, two = served.ask(request), served.ask(request)
    for part in range(2):
        equal = (one.residues[:, part] == two.residues[:, part]).mean()
        assert equal < 1e-3
    apart = served.scores(one) - served.scores(two)
    # Uniform on [-2^f, 2^f) on N coefficients gives a slot a deviation of 2^f sqrt(N / 6).
    expected = 2.0**served.flood_bits * math.sqrt(2 * served.plan.params.degree / 6) / served.scale
    assert 0.8 < apart.std() / expected < 1.3


def test_without_flooding_that_test_would_fail(served: Served) -> None:
    """A planted fault: what re-randomising alone leaves between two answers is far narrower."""
    x = SAMPLES[: served.plan.client.encoder.samples]
    expanded = served.encrypt(served.honest(x)).expand()
    encrypted, keys = served.server._encrypted, served.keys.keys
    last = served.plan.program.outputs["scores"]
    kept: list[ring.Ciphertexts] = []

    def unflooded(index: int, value: ring.Ciphertexts) -> None:
        if index == served.plan.program.nodes[last].args[0]:
            kept.append(value)

    encrypted.run({"x": expanded}, keys, watch=unflooded)
    (value,) = kept
    bare = [served.scores(ring.release(value, keys.public, 1)) for _ in range(2)]
    expected = 2.0**served.flood_bits * math.sqrt(2 * served.plan.params.degree / 6) / served.scale
    assert not 0.8 < (bare[0] - bare[1]).std() / expected < 1.3


def test_the_specification_holds_no_leaf_and_no_tree(served: Served) -> None:
    text = served.plan.client.to_json()
    numbers = set()

    def collect(part: Any) -> None:
        if isinstance(part, dict):
            for value in part.values():
                collect(value)
        elif isinstance(part, list):
            for value in part:
                collect(value)
        elif isinstance(part, int | float):
            numbers.add(float(part))

    collect(json.loads(text))
    thresholds = {float(t) for tree in FOREST.trees for t in tree.threshold}
    values = {float(v) for tree in FOREST.trees for v in tree.value[tree.feature < 0].ravel()}
    assert not numbers & (values - thresholds - {0.0, 1.0})
