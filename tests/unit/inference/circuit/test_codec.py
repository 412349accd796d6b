# SPDX-License-Identifier: Apache-2.0
"""Stored circuits: the same bytes come back, anything else is refused or is a circuit that was checked."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest
from hypothesis import given, settings
from tests.unit.inference.circuits import inputs, network, programs

from hitoku.inference.circuit import Builder, CircuitError, Program
from hitoku.inference.interpreters import plain


@settings(max_examples=30, deadline=None)
@given(programs())
def test_a_circuit_comes_back_as_it_was(program: Program):
    data = program.to_bytes()
    again = Program.from_bytes(data)
    assert again.to_bytes() == data
    assert [n.describe(i) for i, n in enumerate(again.nodes)] == [
        n.describe(i) for i, n in enumerate(program.nodes)
    ]
    values = inputs(program)
    for name, rows in plain.run(program, values).items():
        np.testing.assert_array_equal(plain.run(again, values)[name], rows)


def test_transforms_come_back():
    b = Builder(512)
    x = b.input("x", count=2, scale=2.0**20, level=2)
    row = np.arange(512.0)
    one = b.transform(x, {0: row, 5: row + 1}, 2.0**20, giant=4)
    two = b.transform(b.take(x, [0]), [{0: row}, {3: row}], to=2.0**20)
    three = b.transform(x, [[{1: row}, {}], [{}, {2: row}]], 2.0**20)
    b.output("y", b.concatenate([one, three]))
    b.output("z", two)
    program = b.build()
    again = Program.from_bytes(program.to_bytes())
    assert again.to_bytes() == program.to_bytes()
    assert [n.settings.get("steps") for n in again.nodes] == [n.settings.get("steps") for n in program.nodes]


def test_what_is_cut_off_or_longer_is_refused():
    data = network().to_bytes()
    for end in [0, 8, 16, 20, 24, 40, len(data) - 1]:
        with pytest.raises(CircuitError):
            Program.from_bytes(data[:end])
    with pytest.raises(CircuitError):
        Program.from_bytes(data + b"\0")


def test_altered_bytes_are_refused_or_checked():
    data = network().to_bytes()
    generator = random.Random(5)
    refused = 0
    for _ in range(400):
        altered = bytearray(data)
        for _ in range(generator.randint(1, 4)):
            altered[generator.randrange(len(altered))] = generator.randrange(256)
        try:
            program = Program.from_bytes(bytes(altered))
        except CircuitError:
            refused += 1
            continue
        assert program.to_bytes()
    assert refused > 100


@pytest.mark.parametrize(
    "change",
    [
        {"op": "nothing"},
        {"args": [7]},
        {"args": [-1]},
        {"args": []},
        {"label": "x" * 5000},
        {"arrays": {"weights": 99}},
        {"arrays": {}},
        {"settings": {}},
        {"args": [[0]]},
        {"op": "relinearise"},
    ],
)
def test_headers_that_lie_are_refused(change: dict[str, object]):
    data = network().to_bytes()
    size = int.from_bytes(data[16:24], "little")
    header = json.loads(data[24 : 24 + size])
    header["nodes"][1] |= change
    text = json.dumps(header).encode()
    with pytest.raises(CircuitError):
        Program.from_bytes(data[:16] + len(text).to_bytes(8, "little") + text + data[24 + size :])


def test_a_huge_array_is_refused_before_memory_is_taken():
    header = {"slots": 512, "nodes": [], "arrays": [{"type": "f8", "shape": [1 << 30, 1 << 30]}]}
    text = json.dumps(header).encode()
    with pytest.raises(CircuitError, match="cut off"):
        Program.from_bytes(network().to_bytes()[:16] + len(text).to_bytes(8, "little") + text)
