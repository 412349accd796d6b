# SPDX-License-Identifier: Apache-2.0
"""Batches so large that their memory is used again (rust/src/ring/pages.rs): nothing of before is in them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from hitoku.hazmat import ring

BLOCK_BYTES = 8 << 20
*PRIMES, SPECIAL = ring.find_primes(8192, [40, 30, 30, 41])
PARAMS = ring.Parameters(8192, tuple(PRIMES), SPECIAL)
SECRET = ring.SecretKey.generate(PARAMS)
RELIN = SECRET.relinearisation_key()
TURNS = SECRET.rotation_keys([3, 5])
COUNT = 40
SCALE = 2.0**30


def fresh() -> ring.SeededCiphertexts:
    values = np.random.default_rng(5).uniform(-1, 1, (COUNT, PARAMS.slots))
    return SECRET.encrypt(ring.encode(PARAMS, values, SCALE))


def fused(x: ring.Ciphertexts) -> ring.Ciphertexts:
    program = ring.PointwiseProgram(PARAMS, x.level)
    a = program.input(x.count, 2)
    program.output(program.square(program.add(a, a)))
    (found,) = program.run([x])
    return found


OPERATIONS: dict[str, Callable[[ring.Ciphertexts], ring.Ciphertexts]] = {
    "add": lambda x: ring.add(x, x),
    "negate": ring.negate,
    "multiply": lambda x: ring.multiply(x, x),
    "square": ring.square,
    "relinearise": lambda x: ring.relinearise(ring.square(x), RELIN),
    "rescale": ring.rescale,
    "drop": lambda x: ring.drop(x, 2),
    "rotate": lambda x: ring.rotate(x, 3, TURNS),
    "rotate many": lambda x: ring.rotate_many(x, [3, 5], TURNS)[1],
    "one of them": lambda x: ring.rescale(ring.relinearise(ring.square(x), RELIN)),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_large_batch_is_its_parts(name: str) -> None:
    """Each result as of a few ciphertexts at a time, whose arrays are too small to be kept."""
    x, operation = fresh().expand(), OPERATIONS[name]
    assert x.residues.nbytes > BLOCK_BYTES
    wanted = np.concatenate([operation(x[at : at + 4]).residues for at in range(0, COUNT, 4)])
    for _ in range(3):
        # Other arrays of the same sizes come and go, full of other words.
        for parts, level in ((2, 3), (3, 3), (2, 2)):
            filled = np.full((COUNT, parts, level, PARAMS.degree), 1, np.uint64)
            ring.negate(ring.Ciphertexts(PARAMS, filled, SCALE))
        assert np.array_equal(operation(x).residues, wanted)


def test_results_stay_when_others_are_made() -> None:
    """A block is used again after nobody holds it, and not before: views hold it, too."""
    x = fresh().expand()
    total = ring.add(x, x)
    kept, part = total.residues.copy(), total[3:5]
    del total
    for _ in range(5):
        ring.negate(x)
        ring.square(x)
    assert np.array_equal(part.residues, kept[3:5])


def test_expanded_bytes_are_the_same_every_time() -> None:
    sent = fresh()
    data, wanted = sent.to_bytes(), sent.expand().residues.copy()
    for _ in range(3):
        assert np.array_equal(ring.expanded(PARAMS, data).residues, wanted)
