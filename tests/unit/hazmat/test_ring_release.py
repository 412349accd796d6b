# SPDX-License-Identifier: Apache-2.0
"""What is released holds its value, the stated flood, and nothing of how it was made."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hitoku.hazmat import ring
from hitoku.hazmat.ring import Parameters, RingError

*_PRIMES, _SPECIAL = ring.find_primes(4096, [36, 30, 36])
PARAMS = Parameters(4096, tuple(_PRIMES), _SPECIAL)
SECRET = ring.SecretKey.generate(PARAMS)
PUBLIC = SECRET.public_key()
SCALE = 2.0**30


def encrypted(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> ring.Ciphertexts:
    return SECRET.encrypt(ring.encode(PARAMS, values, SCALE)).expand()


@pytest.mark.parametrize("parts", [2, 3])
@pytest.mark.parametrize("bits", [20, 24])
def test_the_value_stays_and_the_flood_is_as_stated(parts: int, bits: int) -> None:
    values = np.random.default_rng(1).uniform(-1, 1, (4, PARAMS.slots))
    x = encrypted(values)
    if parts == 3:
        x = ring.square(x)
    made = ring.release(x, PUBLIC, bits)
    assert (made.count, made.parts, made.level, made.scale) == (4, parts, 2, x.scale)
    error = (ring.decode(SECRET.decrypt(made)) - ring.decode(SECRET.decrypt(x))) * x.scale
    # What re-randomising adds is far below the flood; the floods of the other parts add 1/24 and 1/18 of
    # its variance. An estimate has a deviation of 1 %, with the secret's own size: the bounds are seven away.
    flood = 2.0**bits * math.sqrt(PARAMS.degree / 6)
    whole = flood * math.sqrt(1 + 1 / 24 + (1 / 18 if parts == 3 else 0))
    assert 0.93 * whole < error.std() < 1.07 * whole
    assert abs(error.mean()) < flood / 10


@pytest.mark.parametrize(("parts", "bits"), [(2, 8), (3, 14)])
def test_no_slot_is_off_by_the_same_in_every_answer(parts: int, bits: int) -> None:
    """A flood whose mean is not zero adds up in the first slots, times the secret: an error of the key's own.

    With floods of a unit or few in the last part it would be some 20 deviations of a mean of 40 answers.
    """
    keys, runs = 16, 40
    off = np.zeros((keys, PARAMS.slots))
    for key in range(keys):
        secret = ring.SecretKey.generate(PARAMS)
        zero = secret.encrypt(ring.encode(PARAMS, np.zeros((runs, PARAMS.slots)), SCALE)).expand()
        made = ring.release(ring.square(zero) if parts == 3 else zero, secret.public_key(), bits)
        found = ring.decode(secret.decrypt(made))
        off[key] = found.mean(0) / (found.std(0, ddof=1) / math.sqrt(runs))
    # Of 16 means, each in its own deviations, the root of the mean square: 1, and 2.4 once in 10^9.
    assert np.sqrt((off[:, :8] ** 2).mean(0)).max() < 2.4
    assert 0.9 < off[:, 64:].std() < 1.1


def test_every_part_of_every_release_is_new() -> None:
    x = ring.square(encrypted(np.zeros((2, PARAMS.slots))))
    once, again = ring.release(x, PUBLIC, 20), ring.release(x, PUBLIC, 20)
    for left, right in [(once, x), (again, x), (once, again)]:
        for row in range(2):
            for part in range(3):
                share = (left.residues[row, part] == right.residues[row, part]).mean()
                assert share < 0.01
    # The same plaintext's rows do not share their masks: the difference to the input is not repeated.
    shift = (
        once.residues[:, 1:, 0].astype(np.int64) - x.residues[:, 1:, 0].astype(np.int64)
    ) % PARAMS.primes[0]
    assert (shift[0] == shift[1]).mean() < 0.01
    assert (shift[:, 0] == shift[:, 1]).mean() < 0.01


def test_two_circuits_of_one_value_look_alike_but_for_the_flood() -> None:
    """Noise of one circuit is 2^18 times the other's; after a flood above both nobody tells them apart."""
    x = encrypted(np.full((1, PARAMS.slots), 0.25))
    noisy = ring.Ciphertexts(PARAMS, x.residues.copy(), x.scale)
    words = noisy.residues.copy()
    words[:, 0] = (words[:, 0] + np.uint64(1 << 18)) % np.array(PARAMS.primes, dtype=np.uint64)[:, None]
    noisy = ring.Ciphertexts(PARAMS, words, x.scale)

    def middle(batch: ring.Ciphertexts, bits: int) -> float:
        released = [ring.release(batch, PUBLIC, bits) for _ in range(20)]
        errors = [ring.decode(SECRET.decrypt(one)) * x.scale - 0.25 * x.scale for one in released]
        return float(np.mean(errors))

    assert abs(middle(noisy, 8) - 2**18) < 2**14
    assert abs(middle(noisy, 30)) < 2**30
    assert abs(middle(x, 30)) < 2**30
    assert ring.hiding_bits(PARAMS, 30, 2.0**18) < 1 < ring.hiding_bits(PARAMS, 50, 2.0**18)


def test_hiding_bits_counts_what_re_randomising_adds() -> None:
    alone = ring.hiding_bits(PARAMS, 40, 0.0)
    assert 13 < alone < 41 - 12
    assert ring.hiding_bits(PARAMS, 41, 0.0) == pytest.approx(alone + 1)
    assert ring.hiding_bits(PARAMS, 40, 0.0, parts=3) < alone - 5
    assert ring.hiding_bits(PARAMS, 40, 2.0**20) < alone - 8


def test_what_cannot_be_released_is_refused() -> None:
    x = encrypted(np.zeros((1, PARAMS.slots)))
    for bits, level in [(64, 2), (34, 1), (10**9, 2), (-1, 2), (2.5, 2), (True, 2)]:
        with pytest.raises(RingError) as error:
            ring.release(ring.drop(x, level), PUBLIC, bits)  # type: ignore[arg-type]
        assert error.value.code == "flood-too-wide"
    with pytest.raises(RingError, match="at most 2\\^63"):
        ring.release(x, PUBLIC, 64)
    ring.release(x, PUBLIC, 63)
    *primes, special = ring.find_primes(4096, [35, 30, 36])
    other = ring.SecretKey.generate(Parameters(4096, tuple(primes), special)).public_key()
    with pytest.raises(RingError, match="other parameters"):
        ring.release(x, other, 20)
