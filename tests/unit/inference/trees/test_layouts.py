# SPDX-License-Identifier: Apache-2.0
"""Both layouts compute the forest's scores: random trees of any shape, circuits run in the clear."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.inference.trees.forests import random_forest, random_samples

from hitoku.inference.arrays import Floats
from hitoku.inference.circuit import Program
from hitoku.inference.errors import ModelError
from hitoku.inference.interpreters import plain, rotations
from hitoku.inference.trees import latency, leaves, placement, throughput
from hitoku.inference.trees.bits import Thermometer, thermometer_of
from hitoku.inference.trees.branches import Branch, Leaf, depth, of_output, shapes
from hitoku.inference.trees.forest import Forest, Tree
from hitoku.inference.trees.reading import Column

SLOTS = 512
PINNED = [5, 39, 10, 24, 6, 8, 33, 32]


def batch(forest: Forest) -> tuple[Program, Thermometer]:
    trees, base = shapes(forest)
    bits = thermometer_of(forest, trees)
    outputs = []
    for number in range(forest.outputs):
        own, constant = of_output(trees, number)
        outputs.append((own, float(base[number]) + constant))
    return throughput.write(outputs, bits, throughput.Sizes(SLOTS, 3, 2.0**20, 2.0**-20)), bits


def packed(forest: Forest) -> tuple[Program, Thermometer, placement.Placement]:
    trees, base = shapes(forest)
    bits = thermometer_of(forest, trees, double=True)
    rows, constant = leaves.rows(trees, bits, forest.outputs)
    where = placement.place([frozenset(row.bits) for row in rows], bits.bits, SLOTS)
    degree = latency.degree_of(rows)
    sizes = latency.Sizes(SLOTS, 2.0**30, 2.0**30, 2.0**20)
    return (
        latency.write(rows, base + constant, where, degree, latency.levels_of(degree), sizes),
        bits,
        where,
    )


def scores_of_batch(program: Program, bits: Thermometer, x: Any) -> Floats:
    slots = np.zeros((bits.bits, SLOTS))
    slots[:, : len(x)] = bits.encode(x).T
    return plain.run(program, {"x": slots})["scores"][:, : len(x)].T


def scores_of_packed(program: Program, bits: Thermometer, where: placement.Placement, x: Any) -> Floats:
    found = []
    for row in bits.encode(x):
        scores = plain.run(program, {"x": row[where.order].astype(np.float64)})["scores"]
        np.testing.assert_allclose(scores, scores[:, :1] + np.zeros(SLOTS), atol=1e-9)
        found.append(scores[:, 0])
    return np.stack(found)


SHAPES = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 2**32 - 1),
        "trees": st.integers(1, 6),
        "depth": st.integers(1, 5),
        "outputs": st.integers(1, 3),
        "missing": st.booleans(),
    }
)


def made(shape: dict[str, Any]) -> tuple[Forest, Any]:
    rng = np.random.default_rng(shape["seed"])
    sizes = {name: shape[name] for name in ("trees", "depth", "outputs", "missing")}
    forest = random_forest(rng, **sizes)
    return forest, random_samples(rng, 60, missing=shape["missing"])


@settings(max_examples=40, deadline=None)
@given(SHAPES)
def test_the_batch_layout(shape: dict[str, Any]) -> None:
    forest, x = made(shape)
    if shapes(forest)[0]:
        program, bits = batch(forest)
        np.testing.assert_allclose(scores_of_batch(program, bits, x), forest.scores(x), atol=1e-5)


@settings(max_examples=15, deadline=None)
@given(SHAPES)
def test_the_packed_layout(shape: dict[str, Any]) -> None:
    forest, x = made(shape)
    if shapes(forest)[0]:
        program, bits, where = packed(forest)
        np.testing.assert_allclose(
            scores_of_packed(program, bits, where, x[:8]), forest.scores(x[:8]), atol=1e-9
        )


@settings(max_examples=40, deadline=None)
@given(SHAPES)
def test_what_simplifying_leaves_out_changes_no_score(shape: dict[str, Any]) -> None:
    forest, x = made(shape)
    trees, base = shapes(forest)

    def score(tree: Branch, row: Any, lost: Any) -> Any:
        at: Branch | Leaf = tree
        while isinstance(at, Branch):
            q = at.question
            if lost[q.feature]:
                right = q.missing_right
            elif q.chosen is not None:
                right = row[q.feature] in q.chosen
            else:
                right = row[q.feature] > q.threshold
            at = at.right if right else at.left
        return np.asarray(at.value)

    values, missing = forest.prepared(x)
    got = [
        base + sum((score(t, row, lost) for t in trees), np.zeros(forest.outputs))
        for row, lost in zip(values, missing, strict=True)
    ]
    np.testing.assert_allclose(got, forest.scores(x), atol=1e-12)
    for tree in trees:
        assert depth(tree) <= forest.depth


def chain(questions: int, *, features: int = 1) -> Forest:
    """A tree that asks one question after the other, always to the right."""
    nodes = 2 * questions + 1
    feature = [-1] * nodes
    left, right, threshold = [-1] * nodes, [-1] * nodes, [0.0] * nodes
    for at in range(questions):
        feature[2 * at], threshold[2 * at] = at % features, at / 8.0
        left[2 * at], right[2 * at] = 2 * at + 1, 2 * at + 2
    tree = Tree.of(
        feature=feature, threshold=threshold, left=left, right=right, value=np.arange(nodes)[:, None] / 4.0
    )
    return Forest((tree,), tuple(Column(f"x{i}") for i in range(features)), np.zeros(1))


def test_answers_that_follow_from_others_cost_nothing_when_packed() -> None:
    forest = chain(12)
    trees, _ = shapes(forest)
    rows, _ = leaves.rows(trees, thermometer_of(forest, trees, double=True), 1)
    # Between two thresholds: one question from below and one from above.
    assert latency.degree_of(rows) == 2
    program, bits, where = packed(forest)
    x = np.linspace(-0.2, 1.6, 12)[:, None]
    np.testing.assert_allclose(scores_of_packed(program, bits, where, x), forest.scores(x), atol=1e-9)


def test_questions_that_the_way_has_answered_go_away() -> None:
    tree = Tree.of(
        feature=[0, 0, -1, -1, -1],
        threshold=[1.0, 2.0, 0.0, 0.0, 0.0],
        left=[1, 3, -1, -1, -1],
        right=[2, 4, -1, -1, -1],
        value=np.arange(5.0)[:, None],
    )
    forest = Forest((tree,), (Column("x"),), np.zeros(1))
    (simple,), _ = shapes(forest)
    assert depth(simple) == 1


@pytest.mark.parametrize("questions", [3, 6, 7, 8, 11])
def test_deep_trees_relinearise_before_parts_run_out(questions: int) -> None:
    forest = chain(questions, features=questions)
    program, bits = batch(forest)
    x = np.random.default_rng(questions).normal(size=(200, questions)) + 1.0
    np.testing.assert_allclose(scores_of_batch(program, bits, x), forest.scores(x), atol=1e-5)
    switches = sum(node.op == "relinearise" for node in program.nodes)
    assert switches == (1 if questions <= 7 else 2)


def test_trees_are_relinearised_once_in_all() -> None:
    forest = random_forest(np.random.default_rng(1), trees=40, depth=4)
    program, _ = batch(forest)
    assert [n.count for n in program.nodes if n.op == "relinearise"] == [1]
    assert not rotations.find(program)


def test_too_deep_is_refused_with_a_remedy() -> None:
    with pytest.raises(ModelError, match="in a row") as caught:
        shapes(chain(65))
    assert caught.value.code == "TOO_LARGE"
    forest = chain(17, features=17)
    trees, _ = shapes(forest)
    rows, _ = leaves.rows(trees, thermometer_of(forest, trees, double=True), 1)
    with pytest.raises(ModelError, match="throughput"):
        latency.degree_of(rows)


@pytest.mark.parametrize("degree", [2, 4, 6, 8, 10, 12, 14, 16])
def test_the_polynomial_tells_leaves_apart(degree: int) -> None:
    """One tree with a leaf behind `degree` questions: every cost from 0 to degree is met."""
    forest = chain(degree, features=degree)
    program, bits, where = packed(forest)
    x = np.triu(np.ones((degree + 1, degree))) * 9.0
    np.testing.assert_allclose(scores_of_packed(program, bits, where, x), forest.scores(x), atol=1e-9)


def test_many_leaves_take_several_ciphertexts() -> None:
    forest = random_forest(np.random.default_rng(3), trees=130, depth=4, outputs=2)
    program, bits, where = packed(forest)
    assert where.groups > 1
    pairs = set(zip(where.group.tolist(), where.slot.tolist(), strict=True))
    assert len(pairs) == len(where.slot)
    x = random_samples(np.random.default_rng(4), 5)
    np.testing.assert_allclose(scores_of_packed(program, bits, where, x), forest.scores(x), atol=1e-9)


def test_many_bits_take_several_ciphertexts() -> None:
    order = placement.arrangement(1_500, SLOTS)
    assert order.shape == (3, SLOTS)
    assert set(order.reshape(-1).tolist()) == set(range(1_500))
    forest = random_forest(np.random.default_rng(6), trees=180, depth=2, fine=True)
    program, bits, where = packed(forest)
    assert bits.bits > SLOTS
    assert program.nodes[program.inputs["x"]].count == len(where.order) > 1
    x = random_samples(np.random.default_rng(4), 5)
    np.testing.assert_allclose(scores_of_packed(program, bits, where, x), forest.scores(x), atol=1e-9)


def test_the_arrangement_is_public_and_the_same_everywhere() -> None:
    order = placement.arrangement(40, SLOTS)
    # Pinned: client and server of different versions must agree.
    assert order[0, :8].tolist() == PINNED
    counts = np.bincount(order.reshape(-1), minlength=40)
    assert counts.max() - counts.min() <= 1
    giant = placement.giant_of(SLOTS)
    for size in (1, 7, 60, 300, SLOTS):
        steps = placement.steps_of(size, SLOTS)
        assert len(set(steps.tolist())) == len(steps) >= size
        assert len(set(steps % giant)) * len(set(steps // giant)) == len(steps)


def test_leaves_find_places_with_few_rotations() -> None:
    rng = np.random.default_rng(0)
    needs = [frozenset(rng.choice(300, 4, replace=False).tolist()) for _ in range(300)]
    where = placement.place(needs, 300, 1024)
    assert len(where.steps) < 200
    for leaf, need in enumerate(needs):
        for bit in need:
            ciphertext, step = where.rotation(leaf, bit)
            assert where.order[ciphertext, (where.slot[leaf] + step) % 1024] == bit
    with pytest.raises(ModelError, match="packed"):
        placement.place([frozenset({0})] * 60_000, 10, 1024)
