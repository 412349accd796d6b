# SPDX-License-Identifier: Apache-2.0
"""What the server and the client see, against what simulators make without the secrets; and planted faults.

No such test proves secrecy: the proofs are reductions to RLWE (`keys.rs`, `encrypt.rs`, `release.rs`). What
these tests hold is that the code draws what the proofs assume. Each view passes the same checks as its
simulation, and each planted fault fails one.

The server sees ciphertexts and public keys, all RLWE samples: its simulator draws uniform residues. The
client holds the key and sees a released result: its simulator knows the result alone, draws the second part
uniformly and sets the first to ``m + F - c1 s``, with F the flood.
"""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import itertools

import numpy as np
import pytest
from tests.unit.hazmat import chance, ring_format

from hitoku import _core
from hitoku.hazmat import ring, ring_noise
from hitoku.hazmat.ring import Ciphertexts, Parameters, RingError, SecretKey

DEGREE = 4096
FAR = chance.FAR
SCALE = 2.0**18
FLOOD = 30


class World:
    def __init__(self):
        *primes, special = ring.find_primes(DEGREE, [26, 27, 27, 28])
        self.params = Parameters(DEGREE, tuple(primes), special)
        self.all_primes = (*primes, special)
        self.secret = SecretKey.generate(self.params)
        self.public = self.secret.public_key()
        self.random = np.random.default_rng(29)

    def encode(self, count, level=3):
        values = self.random.uniform(-4, 4, (count, self.params.slots))
        return ring.encode(self.params, values, SCALE, level)

    def uniform(self, shape, primes):
        """Residues [..., len(primes), N] of a simulator that knows nothing."""
        shape = (*shape[:-2], shape[-1])
        rows = [self.random.integers(0, q, shape, np.uint64) for q in primes]
        return np.ascontiguousarray(np.stack(rows, axis=-2))

    def masks(self, second):
        """``c1 s`` of second parts [count, level, N], by decrypting with a first part of zero."""
        words = np.zeros((second.shape[0], 2, *second.shape[1:]), np.uint64)
        words[:, 1] = second
        return self.secret.decrypt(Ciphertexts(self.params, words, 1.0)).residues

    def small(self, shape, most):
        """Residues of small random integers, in the transform's order."""
        primes = self.params.primes[: shape[-2]]
        drawn = self.random.integers(-most, most, (*shape[:-2], shape[-1]), endpoint=True)
        residues = np.stack([(drawn % q).astype(np.uint64) for q in primes], axis=-2)
        return _core.ring_transform(self.params.kernel, np.ascontiguousarray(residues), True, 1)


@pytest.fixture(scope="module")
def world():
    return World()


def moduli(primes):
    return np.array(primes, np.uint64)[:, None]


def plus(x, y, primes):
    return (x + y) % moduli(primes)


def minus(x, y, primes):
    return (x + moduli(primes) - y) % moduli(primes)


# --- checks of RLWE samples: what a server may try ---


def suspicion(world, samples, messages, primes):
    """The worst of many statistics on samples [count, 2, components, N] whose messages are known.

    Marginals of both parts in both orders; differences of every two samples; and the secret that would be if
    there were no error: ``(m - c0) / c1`` of each sample and of each difference, which is uniform noise if
    there is one and the secret itself if there is none.
    """
    worst: dict[str, float] = {}

    def look(name, words, primes=primes):
        orders = {"": words, " in coefficients": ring_format.transform(world.params, words, primes, False)}
        for order, found in orders.items():
            for at, q in enumerate(primes):
                value = chance.uniform(found[..., at, :], q, 64)
                worst[name + order] = max(value, worst.get(name + order, 0.0))

    first, second = samples[:, 0], samples[:, 1]
    look("first parts", first)
    look("second parts", second)
    # Consecutive samples, and the ends: with few samples these are nearly all pairs, none of them twice.
    pairs = sorted({*itertools.pairwise(range(len(samples))), (0, len(samples) - 1)})
    left, right = (np.array(side) for side in zip(*pairs, strict=True))
    look("differences of first parts", minus(first[left], first[right], primes))
    look("differences of second parts", minus(second[left], second[right], primes))
    known = minus(messages, first, primes)[:, :1]
    one, second = primes[:1], second[:, :1]  # any prime would do
    tops = np.concatenate([known, minus(known[left], known[right], one)])
    bottoms = np.concatenate([second, minus(second[left], second[right], one)])
    guessed = ring_format.times(tops, inverses(bottoms, one[0]), one[0])
    look("secrets without an error", guessed, one)
    return worst


def inverses(x, q):
    """By Fermat, in 64-bit squarings of whole numbers of any size; 0 stays 0."""
    out, square, exponent = np.ones(x.shape, object), x.astype(object), q - 2
    while exponent:
        if exponent & 1:
            out = out * square % q
        square, exponent = square * square % q, exponent >> 1
    return out


def looks_uniform(world, samples, messages, primes):
    found = suspicion(world, samples, messages, primes)
    assert max(found.values()) < FAR, found


def is_noticed(world, samples, messages, primes, *names):
    found = suspicion(world, samples, messages, primes)
    assert max(found[name] for name in names) > FAR, found


@pytest.mark.parametrize("public", [False, True])
def test_ciphertexts_look_as_simulated(world, public):
    primes = world.params.primes
    plain = world.encode(6)
    made = world.public.encrypt(plain) if public else world.secret.encrypt(plain).expand()
    looks_uniform(world, made.residues, plain.residues, primes)
    looks_uniform(world, world.uniform(made.residues.shape, primes), plain.residues, primes)


def test_batches_of_the_same_values_look_as_simulated(world):
    """Values encrypted again, batch after batch: nothing of one helps with another."""
    plain = world.encode(1)
    made = [world.secret.encrypt(plain).expand().residues for _ in range(3)]
    made += [world.public.encrypt(plain).residues for _ in range(3)]
    messages = np.repeat(plain.residues, 6, axis=0)
    looks_uniform(world, np.concatenate(made), messages, world.params.primes)


def key_samples(world, kind, data):
    """The RLWE samples of a key's message: [polynomials, 2, components, N]."""
    label = b"public key" if kind == ring_format.PUBLIC else b"switching key"
    primes = world.params.primes if kind == ring_format.PUBLIC else world.all_primes
    out = []
    for key in ring_format.keys(world.params, kind, data):
        for row, b in enumerate(key.b):
            numbers = [ring_format.stream_number(row, i) for i in range(len(primes))]
            a = [
                ring_format.expand(key.seed, label, n, q, DEGREE)
                for n, q in zip(numbers, primes, strict=True)
            ]
            out.append([b, np.array(a)])
    return np.array(out, np.uint64), primes


def test_keys_look_as_simulated(world):
    for kind, data in (
        (ring_format.PUBLIC, world.public.to_bytes()),
        (ring_format.RELINEARISATION, world.secret.relinearisation_key().to_bytes()),
        (ring_format.ROTATIONS, world.secret.rotation_keys([1, 2]).to_bytes()),
    ):
        samples, primes = key_samples(world, kind, data)
        if len(samples) == 1:
            other, _ = key_samples(world, kind, world.secret.public_key().to_bytes())
            samples = np.concatenate([samples, other])
        messages = np.zeros_like(samples[:, 0])
        looks_uniform(world, samples, messages, primes)
        looks_uniform(world, world.uniform(samples.shape, primes), messages, primes)


# --- planted faults of encryption ---


def honest(world, count=4):
    plain = world.encode(count)
    return world.secret.encrypt(plain).expand().residues.copy(), plain.residues


def test_a_seed_used_for_two_ciphertexts_is_noticed(world):
    primes = world.params.primes
    samples, messages = honest(world)
    # The second has the first's mask, its own message and its own error.
    error = world.small(messages[:1].shape, 21)[0]
    masked = minus(samples[0, 0], messages[0], primes)
    samples[1, 0] = plus(plus(masked, messages[1], primes), error, primes)
    samples[1, 1] = samples[0, 1]
    is_noticed(world, samples, messages, primes, "differences of second parts")
    known = minus(
        minus(samples[0, 0], samples[1, 0], primes), minus(messages[0], messages[1], primes), primes
    )
    apart = ring_format.transform(world.params, known, primes, False)
    assert np.abs(ring_format.signed(apart[0], primes[0])).max() <= 3 * 21  # the difference of messages shows


def test_a_seed_used_for_two_batches_is_noticed(world):
    primes = world.params.primes
    plain = world.encode(2)
    batch = world.secret.encrypt(plain)
    other = world.secret.encrypt(plain)
    again = ring.SeededCiphertexts(world.params, other.first, batch.seed, SCALE).expand().residues
    samples = np.concatenate([batch.expand().residues, again])[[0, 2, 1, 3]]
    messages = np.repeat(plain.residues, 2, axis=0)
    is_noticed(world, samples, messages, primes, "differences of second parts")


def test_a_missing_error_is_noticed(world):
    primes = world.params.primes
    samples, messages = honest(world)
    samples[:, 0] = minus(messages, world.masks(np.ascontiguousarray(samples[:, 1])), primes)
    is_noticed(world, samples, messages, primes, "secrets without an error in coefficients")
    # One sample of four is enough.
    samples, messages = honest(world)
    samples[2, 0] = minus(messages[2], world.masks(np.ascontiguousarray(samples[2:3, 1]))[0], primes)
    is_noticed(world, samples, messages, primes, "secrets without an error in coefficients")


def test_one_error_for_all_is_noticed(world):
    primes = world.params.primes
    samples, messages = honest(world)
    error = world.small(messages[:1].shape, 21)
    masks = world.masks(np.ascontiguousarray(samples[:, 1]))
    samples[:, 0] = plus(minus(messages, masks, primes), error, primes)
    is_noticed(world, samples, messages, primes, "secrets without an error in coefficients")


def test_a_missing_mask_is_noticed(world):
    primes = world.params.primes
    samples, messages = honest(world)
    samples[1, 0] = plus(messages[1], world.small(messages[:1].shape, 21)[0], primes)
    is_noticed(world, samples, messages, primes, "first parts in coefficients")


@pytest.mark.parametrize("fault", ["narrow", "even", "short"])
def test_a_mask_that_is_not_uniform_is_noticed(world, fault):
    primes = world.params.primes
    samples, messages = honest(world)
    if fault == "narrow":
        samples[:, 1] = samples[:, 1] % (moduli(primes) - moduli(primes) // np.uint64(16))
    elif fault == "even":
        samples[:, 1] &= ~np.uint64(1)
    else:
        samples[:, 1] = world.small(messages.shape, 1 << 20)
    masks = world.masks(np.ascontiguousarray(samples[:, 1]))
    error = world.small(messages.shape, 21)
    samples[:, 0] = plus(minus(messages, masks, primes), error, primes)
    is_noticed(world, samples, messages, primes, "second parts", "second parts in coefficients")


def test_one_seed_for_all_digits_of_a_key_is_noticed(world):
    data = world.secret.relinearisation_key().to_bytes()
    samples, primes = key_samples(world, ring_format.RELINEARISATION, data)
    samples[1:, 1] = samples[0, 1]
    messages = np.zeros_like(samples[:, 0])
    is_noticed(world, samples, messages, primes, "differences of second parts")


# --- what the client sees of a released result ---

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

    def simulated(self, count, parts, bits=FLOOD):
        """Results of the simulator, which has the ideal result, the client's key and no weights."""
        world = self.world
        later = world.uniform((count, parts - 1, self.level, DEGREE), self.primes)
        drawn = world.random.integers(-(1 << bits), 1 << bits, (count, DEGREE))
        flood = np.stack([(drawn % q).astype(np.uint64) for q in self.primes], axis=1)
        flood = _core.ring_transform(world.params.kernel, flood, True, 1)
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
    edge = float(1 << bits)
    bins = np.clip(((noise + edge) * (64 / (2 * edge))).astype(np.int64), 0, 63)
    worst["flood"] = abs(chance.fit(np.bincount(bins.ravel(), minlength=64), np.full(64, 1 / 64)))
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
    released = ring.release(repeated(result.computed), world.public, FLOOD)
    assert released.parts == parts
    simulated = result.simulated(8, parts)
    for seen in (released, simulated):
        found = client_suspicion(result, seen)
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
    drawn = world.random.integers(-(1 << FLOOD), 1 << FLOOD, (8, DEGREE))
    if fault == "one flood for all":
        drawn[:] = drawn[0]
    flood = np.stack([(drawn % q).astype(np.uint64) for q in result.primes], axis=1)
    words = x.residues.copy()
    words[:, 0] = plus(words[:, 0], _core.ring_transform(world.params.kernel, flood, True, 1), result.primes)
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
    """Why results are re-randomised, flood or not; and that it helps."""
    result = Result(world)
    q = result.primes[0]
    inputs = [row[1, 0] for row in result.sent.residues]
    forgotten = planted(result, "no new encryption of zero")
    assert solved(inputs, forgotten.residues[0, 1, 0], q) == WEIGHTS[0].tolist()
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
    bits = q.bit_length() - 4  # the widest that does not wrap: at most 4 bits of a coefficient are left
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
