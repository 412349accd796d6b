# SPDX-License-Identifier: Apache-2.0
"""Parties to encrypted predictions and training who do not keep to the protocol, and what they would read."""

from __future__ import annotations

import json
import math
import socket
import struct
import threading
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn")

from hitoku.errors import PeerError
from hitoku.hazmat import ring
from hitoku.inference.compiler import compile as compile_model
from hitoku.inference.errors import ModelError
from hitoku.inference.training import (
    EncryptedSGD,
    ModelOwner,
    RemoteOwner,
    Shape,
    messages,
    serve_owner,
    steps,
)

WEIGHTS = np.array([0.5, -1.25, 2.0, 0.75])


def _misused(owner: ModelOwner, index: int) -> bytes:
    """Sums that are one of the encrypted weights, again and again: in the probe's place, too."""
    weights = messages.read_weights(owner.shape, owner.send())
    repeated = np.repeat(weights.residues[index][None], weights.count, axis=0)
    sums = ring.Ciphertexts(weights.params, repeated, weights.scale)
    return messages.write_sums(owner.shape, sums, {"samples": 1, "what": "gradient"})


def test_a_trainer_cannot_read_weights_from_refused_probes() -> None:
    """The owner once said how far off the probe was: a decryption to two digits, weight by weight."""
    owner = ModelOwner(Shape("linear", 3), weights=WEIGHTS)
    said = []
    for index in range(4):
        with pytest.raises(ModelError) as caught:
            owner.refresh(_misused(owner, index))
        assert caught.value.code == "PRECISION"
        said.append(str(caught.value))
    off = abs(WEIGHTS[0] / owner.shape.bound - steps.PROBE)
    assert owner.refused_off == pytest.approx(off, abs=1e-3), "the owner itself may know"
    assert not any(f"{off:.2g}" in text for text in said)
    # One bit, then nothing more: not even honest sums are answered.
    assert len(set(said[1:])) == 1
    assert owner.rounds == []


def test_weights_beyond_the_bound_close_the_owner_too() -> None:
    """`RANGE` depends on what was decrypted as well."""
    owner = ModelOwner(Shape("linear", 3), weights=WEIGHTS)
    weights = messages.read_weights(owner.shape, owner.send())
    residues = weights.residues.copy()
    params = weights.params
    for place, prime in enumerate(params.primes[: weights.level]):
        residues[:-1, :, place] = residues[:-1, :, place] * np.uint64(4) % np.uint64(prime)
    sums = ring.Ciphertexts(params, residues, weights.scale)
    message = messages.write_sums(owner.shape, sums, {"samples": 1, "what": "weights"})
    codes = []
    for _ in range(2):
        with pytest.raises(ModelError) as caught:
            owner.refresh(message)
        codes.append(caught.value.code)
    assert codes == ["RANGE", "PRECISION"]
    assert np.array_equal(owner.weights, WEIGHTS)


def test_over_a_connection_refusals_are_alike() -> None:
    """What the trainer hears is the same for every weight."""
    heard = []
    for index in (0, 2):
        owner = ModelOwner(Shape("linear", 3), weights=WEIGHTS)
        here, there = socket.socketpair()
        with here, there:
            serving = threading.Thread(target=serve_owner, args=(owner, there), daemon=True)
            serving.start()
            remote = RemoteOwner(here)
            for _ in range(2):
                with pytest.raises(PeerError) as caught:
                    remote.refresh(_misused(owner, index))
                heard.append(str(caught.value))
            here.shutdown(socket.SHUT_WR)
            serving.join(300)
    assert heard[:2] == heard[2:]


def test_noise_covers_how_samples_move_the_circuits_noise() -> None:
    """Noise that depends on samples is part of what one sample can change: it was not counted."""
    shape = Shape("logistic", 3)
    source = np.random.default_rng(2)
    x = source.normal(size=(40, 3)) * 0.4
    y = (x[:, 0] > 0).astype(float)
    program, params = steps.gradient_program(shape, x, y), steps.parameters(shape)
    bound = steps.noise_bound(shape, program, params, x, y)
    owner = ModelOwner(shape)

    class Never:
        def refresh(self, message: bytes) -> bytes:
            raise AssertionError(len(message))

    sgd = EncryptedSGD(owner.keys(), owner.send(), Never(), noise_multiplier=1.0)
    spread = [
        np.std([sgd._drawn(2.0**75, 5, worst)[:-1] for _ in range(300)])  # type: ignore[index]
        for worst in (0.0, 1000 * bound)
    ]
    sample = shape.clip * shape.residual * 2.0**75 / params.slots
    assert spread[0] == pytest.approx(sample, rel=0.2)
    assert spread[1] == pytest.approx(sample + 2000 * bound * math.sqrt(5), rel=0.2)
    # Typical noise, measured at the owner with noise off, lies far below the bound.
    assert 2.0**40 < bound < 2.0**58


def test_sums_that_an_owner_read_and_refused_are_paid_for() -> None:
    """An owner that answers with an error has the noisy sums all the same, and would ask again."""
    owner = ModelOwner(Shape("logistic", 1))

    class Refusing:
        def refresh(self, message: bytes) -> bytes:
            raise ModelError("PRECISION", f"{len(message)} bytes, read and refused")

    sgd = EncryptedSGD(owner.keys(), owner.send(), Refusing(), noise_multiplier=2.0)
    for _ in range(3):
        with pytest.raises(ModelError, match="refused"):
            sgd.partial_fit(np.zeros((5, 1)), np.zeros(5))
    assert sgd.rho == pytest.approx(3 / 8)


@pytest.mark.parametrize("objective", ["latency", "throughput"])
def test_the_scores_scale_does_not_tell_the_greatest_weight(objective: Any) -> None:
    """It was 2^k over the greatest weight, to the last digit; it lies on a public grid."""
    from sklearn.linear_model import LogisticRegression

    for seed in (0, 1):
        source = np.random.default_rng(seed)
        x = source.normal(size=(200, 4))
        model = LogisticRegression().fit(x, x @ source.normal(size=4) > 0)
        told = json.loads(compile_model(model, x, objective, 0.02).client.to_json())
        last, first = told["answer"]["level"], told["input"]["level"]
        steps_ = math.log2(told["answer"]["scale"] / told["input"]["scale"])
        steps_ += sum(math.log2(prime) for prime in told["ring"]["primes"][last:first])
        assert 8 * steps_ == pytest.approx(round(8 * steps_), abs=1e-6)


def test_a_public_key_that_is_none_reads_no_more_than_the_flood_leaves() -> None:
    """With b = floor(q / 3) the released c0 tells the encryption's u; c1 - a u is c1 but for its flood."""
    n, flood = 1024, 18
    (q,) = ring.find_primes(n, [27])
    params = ring.Parameters(n, (q,), 0)
    honest = ring.SecretKey.generate(params).public_key().to_bytes()
    width = (q - 1).bit_length()
    head, seed = honest[: -n // 8 * width], honest[: -n // 8 * width][-32:]
    eight = sum(q // 3 << (place * width) for place in range(8)).to_bytes(width, "little")
    key = ring.PublicKey.from_bytes(params, head + eight * (n // 8))
    secret = np.random.default_rng(4).integers(0, q, n, dtype=np.uint64)
    given = np.stack([np.zeros(n, np.uint64), secret])[None, :, None]
    left = ring.release(ring.Ciphertexts(params, given, 1.0), key, flood).residues[0, :, 0]
    u = [round(c / (q // 3)) for c in _coefficients(left[0], q)]
    masks = zip(left[1], _uniform(seed, q, n), _values(u, q), secret, strict=True)
    rest = _coefficients([(int(c) - a * v - int(s)) % q for c, a, v, s in masks], q)
    width = 2 ** (flood - 5 - 2)
    assert max(map(abs, rest)) <= width + 21, "the attack itself works"
    assert np.abs(rest).mean() > 0.4 * width, "c1 is known to within a fresh error"


def _root(n: int, q: int) -> int:
    powers = (pow(g, (q - 1) // (2 * n), q) for g in range(2, 1000))
    return next(root for root in powers if pow(root, n, q) == q - 1)


def _coefficients(values: Any, q: int) -> list[int]:
    """Of a polynomial in NTT form (bit-reversed), up to an automorphism; centred."""
    a, n = [int(v) for v in values], len(values)
    back, half = pow(_root(n, q), -1, q), 1
    while half < n:
        turn = pow(back, n // half, q)
        for start in range(0, n, 2 * half):
            power = 1
            for k in range(start, start + half):
                x, y = a[k], a[k + half] * power % q
                a[k], a[k + half] = (x + y) % q, (x - y) % q
                power = power * turn % q
        half *= 2
    found, power = [], pow(n, -1, q)
    for value in a:
        value = value * power % q
        found.append(value - q if value > q // 2 else value)
        power = power * back % q
    return found


def _values(coefficients: list[int], q: int) -> list[int]:
    """The inverse of `_coefficients`."""
    n = len(coefficients)
    root, half = _root(n, q), n // 2
    a = [c * pow(root, at, q) % q for at, c in enumerate(coefficients)]
    while half:
        turn = pow(root, n // half, q)
        for start in range(0, n, 2 * half):
            power = 1
            for k in range(start, start + half):
                x, y = a[k], a[k + half]
                a[k], a[k + half] = (x + y) % q, (x - y) * power % q
                power = power * turn % q
        half //= 2
    return a


def _uniform(seed: bytes, q: int, n: int) -> list[int]:
    """A public key's second half, from its seed: XChaCha20 and rejection, as any reader does."""
    nonce, bits = b"public key".ljust(24, b"\0"), q.bit_length()
    first = (*struct.unpack("<4I", b"expand 32-byte k"),)
    start = _rounds([*first, *struct.unpack("<8I", seed), *struct.unpack("<4I", nonce[:16])])
    key, data, width = [*start[:4], *start[12:]], b"", -(-bits // 8)
    for block in range(3 * n * width // 64):
        state = [*first, *key, block, 0, *struct.unpack("<2I", nonce[16:])]
        mixed = zip(_rounds(state), state, strict=True)
        data += struct.pack("<16I", *((x + y) & 0xFFFFFFFF for x, y in mixed))
    words = (data[at : at + width] for at in range(0, len(data), width))
    drawn = (int.from_bytes(word, "little") & ((1 << bits) - 1) for word in words)
    return [value for value in drawn if value < q][:n]


def _rounds(state: list[int]) -> list[int]:
    s = list(state)
    for _ in range(10):
        for at in range(8):
            a, b = at % 4, 4 + (at + at // 4) % 4
            c, d = 8 + (at + 2 * (at // 4)) % 4, 12 + (at + 3 * (at // 4)) % 4
            for x, y, z, turn in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
                s[x] = (s[x] + s[y]) & 0xFFFFFFFF
                s[z] ^= s[x]
                s[z] = (s[z] << turn | s[z] >> (32 - turn)) & 0xFFFFFFFF
    return s
