# SPDX-License-Identifier: Apache-2.0
"""Encrypted runs: fused and unfused agree, wrong inputs and keys are refused, debugging names what drifts."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from tests.unit.inference.circuits import SLOTS, encrypt, inputs, network, parameters, programs, secret

from hitoku.hazmat import ring
from hitoku.inference.circuit import Builder, CircuitError, Program, Release
from hitoku.inference.interpreters import debug, fusion, noise, plain, ranges, release, simulate, sizes
from hitoku.inference.interpreters.encrypted import Encrypted, EvaluationKeys, StepTime, make_keys, run


@settings(max_examples=40, deadline=None)
@given(programs())
def test_calls_come_in_an_order_in_which_each_finds_what_it_takes(program: Program):
    for fuse in (True, False):
        there = set(program.inputs.values())
        done: list[int] = []
        for step in fusion.plan(program, fuse=fuse):
            inside: set[int] = set()
            for index in step.nodes:
                assert set(program.nodes[index].args) <= there | inside
                inside.add(index)
            assert step.fused == program.nodes[step.nodes[0]].pointwise
            there |= set(step.outputs) | (set() if step.fused else inside)
            done += step.nodes
        assert sorted(done) == [i for i, n in enumerate(program.nodes) if n.op != "input"]


def test_a_linear_map_a_square_and_a_linear_map_are_one_call():
    assert [len(step.nodes) for step in fusion.plan(network())] == [3, 1, 1, 1]


def _keep(kept: dict[int, ring.Ciphertexts], index: int, value: ring.Ciphertexts) -> None:
    kept[index] = value


def test_fused_and_unfused_give_the_same_residues():
    program = network()
    values, keys = encrypt(program, inputs(program)), make_keys(program, secret())
    seen: dict[bool, dict[int, ring.Ciphertexts]] = {True: {}, False: {}}
    for fuse, kept in seen.items():
        Encrypted(program, parameters(), fuse=fuse).run(values, keys, watch=partial(_keep, kept))
    # Relinearising and rescaling are deterministic; what leaves is randomised.
    for index in (3, 4, 5):
        np.testing.assert_array_equal(seen[True][index].residues, seen[False][index].residues)


def test_calls_are_timed():
    program = network()
    times: list[StepTime] = []
    keys = make_keys(program, secret())
    Encrypted(program, parameters()).run(encrypt(program, inputs(program)), keys, times=times)
    assert [t.step for t in times] == list(fusion.plan(program))
    assert all(t.wall > 0 for t in times)


@pytest.mark.parametrize(
    ("code", "change"),
    [
        ("INPUT", lambda x: {}),
        ("INPUT", lambda x: {"x": x, "y": x}),
        ("SHAPE", lambda x: {"x": x[:3]}),
        ("SHAPE", lambda x: {"x": ring.drop(x, 1)}),
        ("SHAPE", lambda x: {"x": ring.square(x)}),
        ("SCALE", lambda x: {"x": ring.Ciphertexts(x.params, x.residues, x.scale * 2)}),
    ],
)
def test_wrong_inputs_are_refused(code, change):
    program = network()
    x = encrypt(program, inputs(program))["x"]
    with pytest.raises(CircuitError) as refused:
        run(program, parameters(), change(x), make_keys(program, secret()))
    assert refused.value.code == code


def test_missing_keys_are_refused():
    program = network()
    keys = make_keys(program, secret())
    assert keys.rotations is None
    without = EvaluationKeys(keys.public, None, None)
    with pytest.raises(CircuitError, match="relinearisation key is missing"):
        run(program, parameters(), encrypt(program, inputs(program)), without)
    b = Builder(SLOTS)
    b.output("y", b.rotate(b.input("x", count=1, scale=2.0**20, level=1), 5), flood_bits=0)
    rotating = b.build()
    with pytest.raises(CircuitError, match="first step 5"):
        run(rotating, parameters(), encrypt(rotating, inputs(rotating)), keys)
    other = ring.find_primes(2 * SLOTS, [40, 30, 35])
    foreign = ring.SecretKey.generate(ring.Parameters(2 * SLOTS, other[:2], other[2]))
    with pytest.raises(CircuitError, match="other parameters"):
        run(program, parameters(), encrypt(program, inputs(program)), make_keys(program, foreign))


def test_an_output_that_is_not_settled_is_not_run():
    b = Builder(SLOTS)
    b.output("y", b.input("x", count=1, scale=2.0**20, level=1))
    with pytest.raises(CircuitError, match="not settled"):
        Encrypted(b.build(), parameters())


def test_debugging_finds_nothing_in_a_sound_circuit():
    found = debug.run(network(), parameters(), secret(), inputs(network()))
    assert [row.node for row in found.rows] == list(range(len(network().nodes)))
    assert found.first is None
    found.check()
    for row in found.rows:
        assert 0.5 < row.rms / row.typical < 2.0


def test_debugging_names_the_first_operation_that_drifts():
    def tamper(index: int, value: ring.Ciphertexts) -> ring.Ciphertexts | None:
        if index != 4:
            return None
        words = np.array(value.residues)
        words[0, 0, 0, 9] ^= 1 << 12
        return ring.Ciphertexts(value.params, words, value.scale)

    found = debug.run(network(), parameters(), secret(), inputs(network()), tamper=tamper)
    assert found.first is not None
    assert found.first.name == "second/relinearise (node 4)"
    with pytest.raises(CircuitError, match="second/relinearise") as refused:
        found.check()
    assert refused.value.code == "DRIFT"


def test_debugging_names_the_operation_that_leaves_the_modulus():
    b = Builder(SLOTS)
    x = b.input("x", count=1, scale=2.0**28, level=1, bound=1.0)
    with b.layer("wide"):
        y = b.square(x)
    b.output("y", b.negate(y), flood_bits=0)
    found = debug.run(b.build(), parameters(), secret(), inputs(b.build()))
    assert found.first is not None
    assert found.first.name == "wide/square (node 1)"


def test_debugging_refuses_inputs_outside_their_bounds():
    values = inputs(network())
    values["x"][0, 0] = 2.0
    with pytest.raises(CircuitError, match="outside the declared bounds"):
        debug.run(network(), parameters(), secret(), values)


def test_a_simulation_errs_like_the_encrypted_run():
    program, values = network(), inputs(network())
    expected = plain.run(program, values)["scores"]
    noisy = simulate.run(program, parameters(), values, seed=1)["scores"]
    np.testing.assert_array_equal(noisy, simulate.run(program, parameters(), values, seed=1)["scores"])
    predicted = noise.find(program, parameters(), ranges.observed(program, values, SLOTS))
    rms = np.sqrt(np.square(noisy - expected).mean())
    assert 0.8 < rms / predicted.typical_error(program.outputs["scores"]) < 1.25


def test_outputs_are_settled_within_the_tolerance():
    program = network().with_releases({"scores": Release(None, None)})
    values = inputs(program)
    seen = ranges.observed(program, values, SLOTS).widened(2.0)
    settled = release.settle(program, parameters(), seen, 0.05)
    kept = settled.releases()["scores"]
    assert kept.level == 1
    assert kept.flood_bits is not None
    results = run(settled, parameters(), encrypt(settled, values), make_keys(settled, secret()))
    found = ring.decode(secret().decrypt(results["scores"]))
    error = np.abs(found - plain.run(program, values)["scores"]).max()
    # As wide as the tolerance permits, and no wider.
    assert 0.05 / 20 < error < 0.05
    hidden = release.hiding(settled, parameters(), noise.find(settled, parameters(), seen))["scores"]
    assert not hidden.proof
    assert hidden.score_bits == pytest.approx(hidden.modulus_bits - kept.flood_bits)
    with pytest.raises(CircuitError, match="no room for flooding"):
        release.settle(program, parameters(), seen, 1e-6)
    with pytest.raises(CircuitError, match="result needs"):
        release.settle(program, parameters(), seen.widened(2.0**30), 0.05)


def test_hiding_counts_the_fresh_zero_and_all_coefficients():
    params = parameters()
    ours = release.hiding_bits(params.degree, 40, 1000.0)
    assert ours == pytest.approx(ring.hiding_bits(params, 40, 1000.0), abs=0.01)


def test_sizes_are_those_of_real_messages():
    b = Builder(SLOTS)
    x = b.input("x", count=3, scale=2.0**20, level=2, bound=1.0)
    y = b.rotate(b.rotate(x, 1), 5)
    b.output("y", b.multiply(y, y), flood_bits=0, level=1)
    program = b.build()
    found = sizes.find(program, parameters(), threads=1)
    keys = make_keys(program, secret())
    rows = ring.encode(parameters(), inputs(program)["x"], 2.0**20, 2)
    results = run(program, parameters(), encrypt(program, inputs(program)), keys)
    assert keys.relinearisation is not None
    assert keys.rotations is not None
    assert found.up == len(secret().encrypt(rows).to_bytes())
    assert found.down == len(results["y"].to_bytes())
    assert found.public_key == len(keys.public.to_bytes())
    assert found.relinearisation_key == len(keys.relinearisation.to_bytes())
    assert found.rotation_keys == len(keys.rotations.to_bytes())
    in_memory = keys.relinearisation.nbytes + keys.rotations.nbytes
    assert found.keys_in_memory == in_memory + 16 * 2 * 2 * SLOTS
    assert found.keys == found.public_key + found.relinearisation_key + found.rotation_keys
    # A value of 2 parts and its product of 3 are there at once.
    assert found.values_in_memory == 5 * rows.residues.nbytes
