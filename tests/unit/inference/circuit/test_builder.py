# SPDX-License-Identifier: Apache-2.0
"""What `Builder` allows and what it refuses, at the line that is wrong."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from tests.unit.inference.circuits import network

from hitoku.inference.circuit import Builder, CircuitError, Release, Value
from hitoku.inference.interpreters import plain

Wrong = Callable[[Builder, Value], object]


def start(level: int = 2) -> tuple[Builder, Value]:
    b = Builder(512)
    return b, b.input("x", count=3, scale=2.0**20, level=level)


def test_counts_levels_and_parts_follow_from_the_operations():
    b, x = start()
    assert (x.count, x.level, x.parts) == (3, 2, 2)
    y = b.square(b.matrix(x, np.ones((4, 3), np.int64), None, 1.0))
    assert (y.count, y.level, y.parts) == (4, 2, 3)
    assert b.multiply(y, b.total(x)).parts == 4
    assert b.multiply(y, b.total(x)).count == 4
    y = b.rescale(b.relinearise(y))
    assert (y.count, y.level, y.parts) == (4, 1, 2)
    assert b.concatenate([y, y]).count == 8
    assert b.take(y, [0, 0, 3]).count == 3
    assert b.transform(b.total(y), [{0: np.ones(512)}, {1: np.ones(512)}], 2.0**20).count == 2
    assert b.drop(b.add(x, x), 1).level == 1


@pytest.mark.parametrize(
    ("code", "wrong"),
    [
        ("SHAPE", lambda b, x: b.matrix(x, np.ones((2, 4), np.int64), None, 1.0)),
        ("NUMBER", lambda b, x: b.matrix(x, np.ones((2, 3)), None, 1.0)),
        ("NUMBER", lambda b, x: b.matrix(x, np.full((2, 3), 1 << 31), None, 1.0)),
        ("NUMBER", lambda b, x: b.matrix(x, np.ones((2, 3), np.int64), None, 0.0)),
        ("SHAPE", lambda b, x: b.matrix(x, np.ones((2, 3), np.int64), [1.0], 1.0)),
        ("NUMBER", lambda b, x: b.matrix(x, np.ones((1, 3), np.int64), [np.nan], 1.0)),
        ("SHAPE", lambda b, x: b.add(x, b.take(x, [0, 1]))),
        ("SHAPE", lambda b, x: b.take(x, [3])),
        ("SHAPE", lambda b, x: b.take(x, [-1])),
        ("SHAPE", lambda b, x: b.add_plain(x, np.ones(512))),
        ("SHAPE", lambda b, x: b.multiply_plain(x, np.ones(3), 2.0**20)),
        ("NUMBER", lambda b, x: b.multiply_plain(x, 1.0)),
        ("NUMBER", lambda b, x: b.multiply_plain(x, 1.0, 2.0, to=2.0)),
        ("NO_PRIMES", lambda b, x: b.rescale(b.rescale(x))),
        ("LEVEL", lambda b, x: b.drop(x, 3)),
        ("LEVEL", lambda b, x: b.output("y", x, level=3)),
        ("PARTS", lambda b, x: b.rotate(b.square(x), 1)),
        ("PARTS", lambda b, x: b.concatenate([x, b.square(x)])),
        ("SHAPE", lambda b, x: b.concatenate([])),
        ("SHAPE", lambda b, x: b.transform(x, [{0: np.ones(512)}], 2.0**20)),
        ("SHAPE", lambda b, x: b.transform(x, {0: np.zeros(512)}, 2.0**20)),
        ("SHAPE", lambda b, x: b.transform(x, {0: np.ones(511)}, 2.0**20)),
        ("NAME", lambda b, x: b.input("x", count=1, scale=2.0, level=1)),
        ("NAME", lambda b, x: b.input("a\n", count=1, scale=2.0, level=1)),
        ("NUMBER", lambda b, x: b.input("z", count=0, scale=2.0, level=1)),
        ("NUMBER", lambda b, x: b.input("z", count=1, scale=2.0, level=1, bound=(1.0, 0.0))),
        ("NUMBER", lambda b, x: b.input("z", count=1, scale=np.inf, level=1)),
        ("VALUE", lambda b, x: b.negate(start()[1])),
        ("OUTPUT", lambda b, x: b.build()),
    ],
)
def test_what_does_not_fit_is_refused(code: str, wrong: Wrong):
    b, x = start()
    with pytest.raises(CircuitError) as refused:
        wrong(b, x)
    assert refused.value.code == code


def test_slots_are_a_power_of_two():
    for slots in (0, 511, 1000, 1 << 15, True, 512.0):
        with pytest.raises(CircuitError):
            Builder(slots)  # type: ignore[arg-type]


def test_layers_name_operations_in_errors():
    b, x = start(level=1)
    with b.layer("dense"), b.layer("inner"), pytest.raises(CircuitError, match=r"^dense/inner/rescale: "):
        b.rescale(x)
    assert b.square(x).builder is b


def test_constants_cannot_be_changed_afterwards():
    b, x = start()
    weights = np.ones((1, 3), np.int64)
    b.output("y", b.matrix(x, weights, None, 1.0))
    weights[:] = 5
    held = b.build().nodes[1].constants["weights"]
    assert held.dtype == np.int8
    assert held.tolist() == [[1, 1, 1]]
    with pytest.raises(ValueError, match="read-only"):
        held[0, 0] = 2


def test_what_no_output_needs_is_left_out():
    b, x = start()
    b.square(x)
    b.input("unused", count=1, scale=2.0**20, level=1)
    b.output("y", b.negate(x))
    assert [n.op for n in b.build().nodes] == ["input", "input", "negate", "output"]


def test_releases_are_settled_on_a_copy():
    program = network()
    other = program.with_releases({"scores": Release(1, 9)})
    assert program.releases()["scores"] == Release(None, 4)
    assert other.releases()["scores"] == Release(1, 9)
    with pytest.raises(CircuitError, match="no output named"):
        program.with_releases({"x": Release(1, 1)})
    with pytest.raises(CircuitError, match="2 primes asked"):
        program.with_releases({"scores": Release(2, 1)})


def test_maps_that_turn_nothing_need_no_keys():
    b, x = start()
    generator = np.random.default_rng(0)
    rows = generator.normal(size=(4, 512))
    one = b.transform(x, {0: rows[0]}, 2.0**20)
    several = b.transform(x, [[{0: rows[0]}, {}, {0: rows[1]}], [{}, {512: rows[2]}, {}]], 2.0**20)
    b.output("one", one)
    b.output("several", several)
    program = b.build()
    assert "transform" not in {n.op for n in program.nodes}
    values = generator.normal(size=(3, 512))
    found = plain.run(program, {"x": values})
    np.testing.assert_allclose(found["one"], rows[0] * values)
    expected = [rows[0] * values[0] + rows[1] * values[2], rows[2] * values[1]]
    np.testing.assert_allclose(found["several"], expected)
