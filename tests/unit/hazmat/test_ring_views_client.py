# SPDX-License-Identifier: Apache-2.0
"""What the client sees of a released result, against its simulator; and planted faults of a release.

The client holds the key. Its simulator knows the result m alone, draws all later parts uniformly and sets the
first to ``m + F + G s - c1 s``, with F and G the floods of the parts (`release.rs` has the argument). Real
results and simulated ones pass the same checks, which are given even the server's weights; each planted fault
fails one.
"""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import numpy as np
import pytest
from tests.unit.hazmat import chance
from tests.unit.hazmat.ring_world import DEGREE, SCALE, World, minus, plus

from hitoku import _core
from hitoku.hazmat import ring, ring_noise
from hitoku.hazmat.ring import Ciphertexts, RingError

FAR = chance.FAR
FLOOD = 30


@pytest.fixture(scope="module")
def world():
    return World()


WEIGHTS = np.array([[3, -7, 12, 0, 5]])


class Result:
    """A dense layer on fresh ciphertexts: what the client sent, and what the server computed of it."""

    def __init__(self, world, level=2, parts=2):
        self.world, self.level = world, level
        self.primes = world.params.primes[:level]
        plain = world.encode(5, level)
        self.sent = world.secret.encrypt(plain).expand()
        exact = np.zeros(self.sent.residues.shape, np.uint64)
        exact[:, 0] = plain.residues
        self.computed = self.layer(self.sent)
        ideal = self.layer(Ciphertexts(world.params, exact, SCALE))
        if parts == 3:
            self.computed, ideal = ring.square(self.computed), ring.square(ideal)
        self.ideal = world.secret.decrypt(ideal).residues

    def layer(self, x):
        """The integer combination."""
        words = np.zeros((1, 2, self.level, DEGREE), np.uint64)
        for weight, row in zip(WEIGHTS[0], x.residues, strict=True):
            for _ in range(abs(int(weight))):
                words[0] = (plus if weight > 0 else minus)(words[0], row, self.primes)
        return Ciphertexts(self.world.params, words, SCALE)

    def noise(self, released):
        """What the client finds beside the ideal result, in coefficients."""
        found = self.world.secret.decrypt(released).residues
        apart = minus(found, np.repeat(self.ideal, len(found), axis=0), self.primes)
        return ring_noise.coefficients(ring.Plaintexts(self.world.params, apart, SCALE))

    def floods(self, count, parts, bits=FLOOD, *, alike=False):
        """Floods of every part, in NTT form [count, parts, level, N]."""
        log = DEGREE.bit_length() - 1
        words = np.zeros((count, parts, self.level, DEGREE), np.uint64)
        for part, narrower in zip(range(parts), (0, -(-log // 2) + 2, log + 2), strict=False):
            width = 1 << (bits - narrower)
            drawn = self.world.random.integers(-width, width, (count, DEGREE))
            if alike:
                drawn[:] = drawn[0]
            flood = np.stack([(drawn % q).astype(np.uint64) for q in self.primes], axis=1)
            words[:, part] = _core.ring_transform(self.world.params.kernel, flood, True, 1)
        return words

    def law(self, parts, bits=FLOOD):
        """What floods of all parts are in the result: coefficients, of which many are drawn."""
        floods = Ciphertexts(self.world.params, self.floods(32, parts, bits), SCALE)
        return ring_noise.coefficients(self.world.secret.decrypt(floods)).ravel()

    def simulated(self, count, parts, bits=FLOOD):
        """Results of the simulator, which has the ideal result, the client's key and no weights."""
        world = self.world
        later = world.uniform((count, parts - 1, self.level, DEGREE), self.primes)
        floods = Ciphertexts(world.params, self.floods(count, parts, bits), SCALE)
        flood = world.secret.decrypt(floods).residues
        words = np.zeros((count, parts, self.level, DEGREE), np.uint64)
        words[:, 1:] = later
        masks = world.secret.decrypt(Ciphertexts(world.params, words.copy(), 1.0)).residues
        words[:, 0] = minus(
            plus(np.repeat(self.ideal, count, axis=0), flood, self.primes), masks, self.primes
        )
        return Ciphertexts(world.params, words, SCALE)


def client_suspicion(result, released, bits=FLOOD):
    """What a client may try that even knows the weights: statistics over several releases of one result."""
    worst: dict[str, float] = {}
    for part in range(1, released.parts):
        words = np.ascontiguousarray(released.residues[:, part])
        unmasked = minus(words, result.computed.residues[:, part], result.primes)
        between = minus(words[1:], words[:-1], result.primes)
        for name, found in (("parts", words), ("unmasked parts", unmasked), ("differences", between)):
            coefficients = _core.ring_transform(
                result.world.params.kernel, np.ascontiguousarray(found), False, 1
            )
            for at, q in enumerate(result.primes):
                values = [chance.uniform(order[:, at], q, 64) for order in (found, coefficients)]
                worst[name] = max(*values, worst.get(name, 0.0))
    noise = result.noise(released)
    law = result.law(released.parts, bits)
    worst["flood"] = abs(chance.two_samples(noise.ravel(), law))
    edge = float(np.abs(law).max()) * 1.1
    # What lies beyond the flood's range is the noise that it hides: next to nothing of it may show.
    worst["beyond"] = FAR * float((np.abs(noise) > edge).mean() * 1000)
    circuit = np.repeat(result.noise(result.computed), len(noise), axis=0)
    worst["circuit's noise"] = abs(np.corrcoef(noise.ravel(), circuit.ravel())[0, 1]) * noise.size**0.5
    rows = np.corrcoef(noise) - np.eye(len(noise))
    worst["same flood"] = float(np.abs(rows).max()) * DEGREE**0.5
    return worst


def repeated(ciphertexts, count=8):
    words = np.repeat(ciphertexts.residues, count, axis=0)
    return Ciphertexts(ciphertexts.params, np.ascontiguousarray(words), ciphertexts.scale)


@pytest.mark.parametrize("parts", [2, 3])
def test_released_results_look_as_simulated(world, parts):
    result = Result(world, parts=parts)
    bits = FLOOD if parts == 2 else FLOOD + 14  # a square has more noise to hide
    released = ring.release(repeated(result.computed), world.public, bits)
    assert released.parts == parts
    simulated = result.simulated(8, parts, bits)
    for seen in (released, simulated):
        found = client_suspicion(result, seen, bits)
        assert max(found.values()) < FAR, found
    assert abs(chance.two_samples(result.noise(released).ravel(), result.noise(simulated).ravel())) < FAR


def planted(result, fault):
    """Eight releases with one step of `release` left out or weakened, by hand."""
    world = result.world
    x = repeated(result.computed)
    if fault == "nothing done":
        return x
    if fault == "missing flood":
        zero = world.public.encrypt(ring.Plaintexts(world.params, np.zeros_like(x.residues[:, 0]), SCALE))
        return ring.add(x, zero)
    if fault == "halved flood":
        return ring.release(x, world.public, FLOOD - 1)
    floods = result.floods(8, 2, alike=fault == "one flood for all")
    words = np.stack([plus(x.residues[:, part], floods[:, part], result.primes) for part in range(2)], axis=1)
    made = Ciphertexts(world.params, words, SCALE)
    if fault == "no new encryption of zero":
        return made
    count = 1 if fault == "one encryption of zero for all" else 8
    zeroes = ring.Plaintexts(world.params, np.zeros((count, result.level, DEGREE), np.uint64), SCALE)
    zero = world.public.encrypt(zeroes)
    return ring.add(made, zero if count == 8 else repeated(zero))


@pytest.mark.parametrize(
    ("fault", "names"),
    [
        ("nothing done", {"unmasked parts", "differences", "flood", "circuit's noise"}),
        ("missing flood", {"flood"}),
        ("halved flood", {"flood"}),
        ("one flood for all", {"same flood"}),
        ("no new encryption of zero", {"unmasked parts", "differences"}),
        ("one encryption of zero for all", {"differences"}),
        ("none", set()),
    ],
)
def test_each_fault_of_a_release_is_noticed(world, fault, names):
    result = Result(world)
    found = client_suspicion(result, planted(result, fault))
    assert {name for name, value in found.items() if value > FAR} >= names
    assert names or max(found.values()) < FAR, found


def solved(inputs, output, q):
    """Weights from second parts alone, if the output's is a combination of the inputs': linear algebra."""
    rows = [[int(one[at]) for one in inputs] + [int(output[at])] for at in range(len(inputs))]
    size = len(rows)
    for column in range(size):
        pivot = next(at for at in range(column, size) if rows[at][column])
        rows[column], rows[pivot] = rows[pivot], rows[column]
        inverse = pow(rows[column][column], -1, q)
        rows[column] = [x * inverse % q for x in rows[column]]
        for other in range(size):
            if other != column:
                factor = rows[other][column]
                pairs = zip(rows[other], rows[column], strict=True)
                rows[other] = [(x - factor * y) % q for x, y in pairs]
    found = [row[-1] for row in rows]
    return [x - q if x > q // 2 else x for x in found]


def test_without_a_release_the_client_solves_for_the_weights(world):
    """Why results are re-randomised, however wide the flood of the first part; and that it helps."""
    result = Result(world)
    q = result.primes[0]
    inputs = [row[1, 0] for row in result.sent.residues]
    assert solved(inputs, result.computed.residues[0, 1, 0], q) == WEIGHTS[0].tolist()
    released = ring.release(result.computed, world.public, FLOOD)
    assert max(abs(x) for x in solved(inputs, released.residues[0, 1, 0], q)) > 1000


def test_a_flood_hides_the_circuits_noise_as_it_says(world):
    """The distance between two floods apart by the noise: a small flood shows it, a large one does not."""
    result = Result(world)
    circuit = result.noise(result.computed)[0]
    largest = np.abs(circuit).max()
    assert largest > 10

    def shown(bits):
        noise = result.noise(ring.release(repeated(result.computed, 16), world.public, bits))
        return np.corrcoef(noise.mean(axis=0), circuit)[0, 1] * DEGREE**0.5

    # Re-randomisation adds noise of its own, about 240: below that size a flood changes little.
    assert shown(3) > FAR
    assert abs(shown(FLOOD)) < FAR


def test_a_result_carries_few_bits_whatever_was_sent(world):
    """A hostile client's input: any residues. What it decrypts is known up to the flood alone, modulo q."""
    params, random = world.params, world.random
    q = params.primes[0]
    hostile = Ciphertexts(params, world.uniform((1, 2, 1, DEGREE), (q,)), 1.0)
    bits = q.bit_length() - 3  # the widest that is taken: of a coefficient's bits at most 3 are left
    with pytest.raises(RingError, match="flood"):
        ring.release(hostile, world.public, bits + 1)
    phases = [
        ring_noise.coefficients(world.secret.decrypt(ring.release(hostile, world.public, bits)))
        for _ in range(20)
    ]
    spread = np.ptp(np.array(phases)[:, 0], axis=0)
    # Every coefficient comes out differently by nearly the whole flood, each time.
    assert np.median(spread) > 1.5 * (1 << bits)
    assert random is world.random
