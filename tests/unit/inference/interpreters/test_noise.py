# SPDX-License-Identifier: Apache-2.0
"""The noise model against measured errors: each primitive by itself, and whole circuits."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from tests.unit.inference.circuits import (
    SLOTS,
    encrypt,
    inputs,
    network,
    parameters,
    programs,
    secret,
)

from hitoku import _core
from hitoku.hazmat import ring
from hitoku.inference.circuit import Builder, Program
from hitoku.inference.interpreters import growth, noise, plain, ranges
from hitoku.inference.interpreters.encrypted import Encrypted, make_keys

Floats = npt.NDArray[np.float64]
DEGREE = 2 * SLOTS
SCALE = 2.0**24
ROWS = 8


def _decoded(values: ring.Ciphertexts | ring.Plaintexts) -> Floats:
    plaintexts = secret().decrypt(values) if isinstance(values, ring.Ciphertexts) else values
    return ring.decode(plaintexts)


def _values() -> Floats:
    return np.random.default_rng(0).uniform(-1.0, 1.0, (ROWS, SLOTS))


def _switch(level: int) -> growth.Error:
    return growth.key_switch(DEGREE, parameters().primes[:level], parameters().special)


def _encoding() -> tuple[Floats, growth.Error]:
    encoded = ring.encode(parameters(), _values(), SCALE, 2)
    return (_decoded(encoded) - _values()) * SCALE, growth.encoding(DEGREE)


def _symmetric() -> tuple[Floats, growth.Error]:
    encoded = ring.encode(parameters(), _values(), SCALE, 2)
    fresh = secret().encrypt(encoded).expand()
    return (_decoded(fresh) - _decoded(encoded)) * SCALE, growth.symmetric(DEGREE)


def _public_key() -> tuple[Floats, growth.Error]:
    encoded = ring.encode(parameters(), _values(), SCALE, 2)
    fresh = secret().public_key().encrypt(encoded)
    return (_decoded(fresh) - _decoded(encoded)) * SCALE, growth.public_key(DEGREE)


def _fresh() -> ring.Ciphertexts:
    return secret().encrypt(ring.encode(parameters(), _values(), SCALE, 2)).expand()


def _relinearising() -> tuple[Floats, growth.Error]:
    product = ring.square(_fresh())
    after = ring.relinearise(product, secret().relinearisation_key())
    return (_decoded(after) - _decoded(product)) * product.scale, _switch(2)


def _relinearising_four_parts() -> tuple[Floats, growth.Error]:
    # Three parts times two: the words are multiplied as polynomials in the secret.
    product, fresh = ring.square(_fresh()), _fresh()
    code = _core.RingProgram(parameters().kernel, 2)
    code.output(code.multiply(code.input(ROWS, 3), code.input(ROWS, 2)))
    (words,) = code.run([product.residues, fresh.residues], 1)
    wide = ring.Ciphertexts.trusted(parameters(), words, SCALE**3)
    after = ring.relinearise(wide, secret().relinearisation_key())
    predicted = growth.relinearisation(DEGREE, parameters().primes, parameters().special, 2)
    return (_decoded(after) - _decoded(wide)) * SCALE**3, predicted


def _rotating() -> tuple[Floats, growth.Error]:
    before = _fresh()
    after = ring.rotate(before, 3, secret().rotation_keys([3]))
    return (_decoded(after) - np.roll(_decoded(before), -3, axis=1)) * SCALE, _switch(2)


def _rescaling() -> tuple[Floats, growth.Error]:
    before = ring.relinearise(ring.square(_fresh()), secret().relinearisation_key())
    after = ring.rescale(before)
    return (_decoded(after) - _decoded(before)) * after.scale, growth.division(DEGREE)


def _rescaling_three_parts() -> tuple[Floats, growth.Error]:
    before = ring.square(_fresh())
    after = ring.rescale(before)
    return (_decoded(after) - _decoded(before)) * after.scale, growth.division(DEGREE, 3)


def _flooding() -> tuple[Floats, growth.Error]:
    before = _fresh()
    after = ring.release(before, secret().public_key(), 14)
    return (_decoded(after) - _decoded(before)) * SCALE, growth.public_key(DEGREE) + growth.flood(DEGREE, 14)


@pytest.mark.parametrize(
    "primitive",
    [
        _encoding,
        _symmetric,
        _public_key,
        _relinearising,
        _relinearising_four_parts,
        _rotating,
        _rescaling,
        _rescaling_three_parts,
        _flooding,
    ],
)
def test_each_primitive_adds_the_error_that_is_predicted(
    primitive: Callable[[], tuple[Floats, growth.Error]],
):
    found, predicted = primitive()
    rms = np.sqrt(np.square(found).mean())
    # One error polynomial's secret is the same for all rows: its size varies by some per cent.
    assert 0.8 < rms / np.sqrt(predicted.square / 2) < 1.25
    assert np.abs(found).max() < predicted.worst
    # A bound a hundred times too wide would pass anything.
    assert np.abs(found).max() > predicted.worst / 100


def _run(program: Program) -> tuple[dict[str, Floats], dict[str, Floats], noise.Noise]:
    values = inputs(program)
    results = Encrypted(program, parameters()).run(
        encrypt(program, values), make_keys(program, secret()), threads=1
    )
    predicted = noise.find(program, parameters(), ranges.observed(program, values, SLOTS))
    return {name: _decoded(value) for name, value in results.items()}, plain.run(program, values), predicted


@settings(max_examples=12, deadline=None)
@given(programs())
def test_encrypted_results_are_within_the_bound(program: Program):
    found, expected, predicted = _run(program)
    for name, index in program.outputs.items():
        error = np.abs(found[name] - expected[name])
        assert error.max() < predicted.worst_error(index)


def test_typical_errors_of_a_network_are_what_is_found():
    program = network()
    found, expected, predicted = _run(program)
    rms = np.sqrt(np.square(found["scores"] - expected["scores"]).mean())
    assert 0.7 < rms / predicted.typical_error(program.outputs["scores"]) < 1.4


def test_transforms_are_right_and_within_the_bound():
    generator = np.random.default_rng(2)
    rows = generator.uniform(-1, 1, (6, SLOTS))
    b = Builder(SLOTS)
    x = b.input("x", count=2, scale=2.0**24, level=2, bound=1.0)
    each = b.transform(x, {0: rows[0], 1: rows[1], 17: rows[2]}, to=2.0**22, giant=8)
    mixed = b.transform(x, [[{1: rows[3]}, {-2: rows[4]}], [{}, {0: rows[5]}]], to=2.0**22)
    several = b.transform(b.take(x, [1]), [{5: rows[0]}, {0: rows[1]}], to=2.0**22)
    b.output("y", b.rescale(b.concatenate([each, mixed, several])), flood_bits=0)
    program = b.build()
    found, expected, predicted = _run(program)
    error = np.abs(found["y"] - expected["y"])
    index = program.outputs["y"]
    assert error.max() < predicted.worst_error(index)
    rms = np.sqrt(np.square(error).mean())
    assert 0.75 < rms / predicted.typical_error(index) < 1.3
    given_x = inputs(program)["x"]
    turned = rows[3] * np.roll(given_x[0], -1) + rows[4] * np.roll(given_x[1], 2)
    np.testing.assert_allclose(expected["y"][2], turned, atol=1e-12)


def test_worst_cases_grow_with_the_values():
    program = network()
    values = inputs(program)
    seen = ranges.observed(program, values, SLOTS)
    index = program.outputs["scores"]
    narrow = noise.find(program, parameters(), seen)
    wide = noise.find(program, parameters(), ranges.bounds(program))
    assert narrow.worst_error(index) < wide.worst_error(index)
    public = noise.find(program, parameters(), seen, encryption="public-key")
    assert public.typical_error(1) > 10 * narrow.typical_error(1)
