# SPDX-License-Identifier: Apache-2.0
"""Costs: kept on disk by machine, interpolated by level, added up call by call; counts and depth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.unit.inference.circuits import SLOTS, network, parameters

from hitoku.inference import measuring
from hitoku.inference.circuit import Builder, Program
from hitoku.inference.costs import Costs, machine
from hitoku.inference.interpreters import cost, counts, depth, fusion, rotations
from hitoku.inference.interpreters.ring import RingShape

NAMES = ("relinearise", "rotate", "release", "receive", "send", "client-encrypt", "client-decrypt")
MAPS = ("map-source", "map-baby", "map-giant", "map-product", "map-target")


PARALLEL = {
    "inflation": 1.25,
    "inside": 1.5,
    "inside-cpu": 1.4,
    "maps": 1.8,
    "maps-cpu": 1.1,
    "start": 0.5,
}


class Fake:
    """Costs in round numbers: l + l^2 for what switches keys, 1 + l for the rest."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, int]] = []

    def __call__(self, degree: int, level: int) -> dict[str, float]:
        self.asked.append((degree, level))
        if degree == 0 and level == 0:
            return {
                f"fused-{n}": 1e-9 for n in ("read", "write", "product", "sum", "mac-1", "mac-2", "mac-3")
            } | {"fused-fresh": 3e-9}
        if degree == 0:
            return PARALLEL
        squares = dict.fromkeys(("relinearise", "rotate", *MAPS[:3]), float(level + level**2))
        lines = dict.fromkeys((*NAMES[2:], *MAPS[3:]), 1.0 + level)
        return squares | lines | ({"rescale": 1.0 + level, "drop": 1.0 + level} if level > 1 else {})


def test_costs_between_anchors_follow_the_number_of_transforms(tmp_path: Path):
    costs = Costs(tmp_path / "c.json", Fake())
    assert costs.of("relinearise", 8192, 3, 3) == pytest.approx(12.0)
    assert costs.of("relinearise", 8192, 6, 3) == pytest.approx(42.0)
    assert costs.of("relinearise", 8192, 3, 5) == pytest.approx(36.0)
    assert costs.of("release", 8192, 1) == pytest.approx(2.0)
    assert costs.of("rescale", 16384, 5, 3) == pytest.approx(9.0)
    assert costs.of("rotate", 8192, 3, few=True) == pytest.approx(12.0)
    # One of two anchors knows it, and a degree that is timed at one level only.
    assert costs.of("rescale", 4096, 2) == pytest.approx(3.0)
    assert costs.of("rescale", 2048, 2) == 0.0


def test_costs_are_measured_once_and_kept(tmp_path: Path):
    place, fake = tmp_path / "folder" / "c.json", Fake()
    first = Costs(place, fake).of("rotate", 8192, 2)
    assert fake.asked == [(8192, 2), (8192, 5)]
    again = Fake()
    assert Costs(place, again).of("rotate", 8192, 2) == first
    assert again.asked == []
    place.write_text(place.read_text().replace(machine()["version"], "another"))
    Costs(place, again).of("rotate", 8192, 2)
    assert again.asked
    place.write_text("{")
    assert Costs(place, Fake()).of("rotate", 8192, 2) == first


def test_what_a_busy_machine_measured_is_measured_again(tmp_path: Path):
    place = tmp_path / "c.json"
    asked: list[float] = []

    def measure(_degree: int, _level: int) -> dict[str, float]:
        asked.append(1.0)
        return {"rotate": 10.0 / len(asked), "busy": 2.0 if len(asked) < 4 else 1.0}

    found = [Costs(place, measure).of("rotate", 2048, 1) for _ in range(6)]
    assert found == [10.0, 5.0, 10.0 / 3, 2.5, 2.5, 2.5]
    assert len(asked) == 4


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path):
    (tmp_path / "file").write_text("")
    assert Costs(tmp_path / "file" / "c.json", Fake()).of("rotate", 8192, 2) > 0


def test_a_run_costs_what_its_calls_cost(tmp_path: Path):
    costs = Costs(tmp_path / "c.json", Fake())
    program, ring = network(), parameters()
    found = cost.find(program, ring, costs)
    seconds = [step.cpu for step in found.steps]
    # 8 + 3 rows of a first map and a square, 5 x 2 parts read, 3 x 3 written; two primes.
    matrices = [np.count_nonzero(n.constants["weights"]) for n in program.nodes if n.op == "matrix"]
    residues = 2 * ring.degree
    work = matrices[0] * 2 + matrices[1] * 3 + 8 * 3 + 10 + 9
    assert seconds[0] == pytest.approx(1e-9 * residues * work)
    assert seconds[1] == pytest.approx(3 * 6.0)
    assert found.cpu == pytest.approx(1e3 * sum(seconds))
    assert found.wall == pytest.approx(found.cpu)
    two = cost.find(program, ring, costs, threads=2)
    # Three ciphertexts on two threads take as long as four.
    assert two.steps[1].wall == pytest.approx(1.25 * 6.0 * 2 + 0.5)
    four = cost.find(program, ring, costs, threads=4)
    # Four threads share the work on each of three.
    assert four.steps[1].wall == pytest.approx(3 * 6.0 / 1.5)
    assert four.steps[1].cpu == pytest.approx(3 * 6.0 * 1.4)
    assert found.encrypt == pytest.approx(1e3 * 5 * 3.0)


def test_fused_calls_may_be_timed_on_one_prime(tmp_path: Path):
    program, ring = network(), parameters()
    sampled = measuring.sampled(program, ring)
    assert set(sampled) == {step for step in fusion.plan(program) if step.fused}
    found = cost.find(program, ring, Costs(tmp_path / "c.json", Fake()), sampled=sampled)
    assert found.steps[0].cpu == sampled[found.steps[0].step] > 0


def _turning() -> Program:
    b = Builder(SLOTS)
    x = b.input("x", count=2, scale=2.0**20, level=2)
    row = np.ones(SLOTS)
    y = b.transform(x, {0: row, 1: row, 4: row, 5: row}, 2.0**20, giant=4)
    z = b.transform(x, [[{1: row}, {4: row, 2: row}]], 2.0**20, giant=4)
    b.output("y", b.rescale(y))
    b.output("z", b.rotate(z, -1))
    return b.build()


def test_maps_cost_their_steps(tmp_path: Path):
    ring = RingShape(2 * SLOTS, parameters().primes, parameters().special)
    found = cost.find(_turning(), ring, Costs(tmp_path / "c.json", Fake()))
    by_name = {step.name: step.cpu for step in found.steps}
    # For each of two: a source, a baby, a giant step (6 each), four products and a target (3 each).
    assert by_name["transform (node 1)"] == pytest.approx(2 * (3 * 6 + 5 * 3))
    # Two sources, two babies, one giant step, three products, a target.
    assert by_name["transform (node 2)"] == pytest.approx(5 * 6 + 4 * 3)
    two = cost.find(_turning(), ring, Costs(tmp_path / "c.json", Fake()), threads=2)
    assert two.steps[0].wall == pytest.approx(found.steps[0].wall / 1.8)


def test_steps_counts_and_depth_of_maps():
    program = _turning()
    assert rotations.find(program) == (1, 2, 4, SLOTS - 1)
    assert rotations.extra_parts(program) == 0
    assert counts.find(program) == {
        "input": 2,
        "output": 3,
        "plain_product": 11,
        "rescale": 2,
        "rotation": 2 * 2 + 3 + 1,
    }
    found = depth.find(program)
    assert (found.products, found.all_products, found.levels) == (0, 1, 1)


def test_counts_and_depth_of_a_network():
    program = network()
    weights = sum(np.count_nonzero(n.constants["weights"]) for n in program.nodes if n.op == "matrix")
    assert counts.find(program) == {
        "input": 5,
        "multiply_accumulate": weights,
        "output": 3,
        "relinearise": 3,
        "rescale": 3,
        "square": 8,
    }
    assert (depth.find(program).products, rotations.extra_parts(program)) == (1, 1)


def test_the_primitives_are_timed():
    found = measuring.Bench(2048, 1, count=1).measure()
    assert {*NAMES, *MAPS} <= set(found)
    assert found["relinearise"] > 0
