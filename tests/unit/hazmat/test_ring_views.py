# SPDX-License-Identifier: Apache-2.0
"""What the server sees, against what a simulator makes without any secret; and planted faults.

No such test proves secrecy: the proofs are reductions to RLWE (`keys.rs`, `encrypt.rs`). What these tests
hold is that the code draws what the proofs assume. Each view passes the same checks as its simulation, and
each planted fault fails one. The server sees ciphertexts and public keys, all RLWE samples: its simulator
draws uniform residues. What the client sees is in `test_ring_views_client`.
"""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import itertools

import numpy as np
import pytest
from tests.unit.hazmat import chance, ring_format
from tests.unit.hazmat.ring_world import DEGREE, SCALE, World, minus, moduli, plus

from hitoku.hazmat import ring

FAR = chance.FAR


@pytest.fixture(scope="module")
def world():
    return World()


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
    """All at once: the inverse of the product of all, taken apart along a tree of products; 0 gives 1."""
    layers = [np.where(x == 0, np.uint64(1), x).ravel().astype(object)]
    while len(layers[-1]) > 1:
        last = layers[-1]
        pairs = np.append(last, 1)[: (len(last) + 1) // 2 * 2].reshape(-1, 2)
        layers.append(pairs.prod(axis=1) % q)
    out = np.array([pow(int(layers.pop()[0]), -1, q)], object)
    for layer in reversed(layers):
        pairs = np.append(layer, 1)[: 2 * len(out)].reshape(-1, 2)
        out = (pairs[:, ::-1] * out[:, None] % q).ravel()[: len(layer)]
    return out.reshape(x.shape)


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
