# SPDX-License-Identifier: Apache-2.0
"""Trained models end to end: compiled, encrypted, run, decrypted; scores as the library's own."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.unit.inference.trees.forests import CATEGORICAL, data, random_forest, random_samples

from hitoku.inference.client import Client
from hitoku.inference.compiler import compile as compile_model
from hitoku.inference.errors import ModelError
from hitoku.inference.interpreters import rotations
from hitoku.inference.plan import Plan
from hitoku.inference.server import Server
from hitoku.inference.trees import load
from hitoku.inference.trees.compile import compile_forest
from hitoku.inference.trees.forest import Forest, Tree
from hitoku.inference.trees.reading import Column

OBJECTIVES = ["throughput", "latency"]


def asked(plan: Plan, x: Any) -> Any:
    """Scores through a client and a server that share nothing but bytes."""
    server = Server(plan.bundle().to_bytes(), threads=2)
    client = Client(plan.client.to_json(), threads=2)
    keys = server.admit(client.keys())
    each = client.samples_per_request
    answers = [
        client.decrypt(server.run(client.encrypt(x[at : at + each]), keys)) for at in range(0, len(x), each)
    ]
    return np.concatenate(answers)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_random_trees_with_missing_values_and_categories(objective: Any) -> None:
    rng = np.random.default_rng(2)
    forest = random_forest(rng, trees=8, depth=3, outputs=2)
    x = random_samples(rng, 300)
    plan = compile_forest(forest, x, objective)
    some = x if objective == "throughput" else x[:2]
    np.testing.assert_allclose(asked(plan, some), forest.scores(some), rtol=0, atol=plan.tolerance)
    assert plan.params.security == 128
    # Flooding is on, and wider than the noise that it covers.
    (release,) = plan.program.releases().values()
    assert release.flood_bits is not None
    assert release.flood_bits >= 8
    if objective == "throughput":
        assert not rotations.find(plan.program)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_simulation_stays_within_the_tolerance(objective: Any) -> None:
    rng = np.random.default_rng(3)
    forest = random_forest(rng, trees=10, depth=4)
    x = random_samples(rng, 200)
    plan = compile_forest(forest, x, objective, tolerance=0.002)
    some = x if objective == "throughput" else x[:3]
    error = np.abs(plan.simulate(some, seed=1) - forest.scores(some)).max()
    assert 0.0 < error < plan.tolerance


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("factor", [1e-6, 1e5])
def test_scores_of_any_size(objective: Any, factor: float) -> None:
    """House prices or tiny rates: everything is relative to the scores' size."""
    rng = np.random.default_rng(7)
    forest = random_forest(rng, trees=6, depth=2, outputs=2)
    # One output that no tree touches.
    trees = tuple(replace(t, value=t.value * [factor, 0.0]) for t in forest.trees)
    forest = replace(forest, trees=trees, base=np.array([0.0, factor]))
    x = random_samples(rng, 50)
    plan = compile_forest(forest, x, objective)
    some = x if objective == "throughput" else x[:2]
    error = np.abs(plan.simulate(some, seed=2) - forest.scores(some)).max()
    assert error < plan.tolerance < 0.1 * factor


def test_notes_tell_what_clients_learn() -> None:
    rng = np.random.default_rng(2)
    plan = compile_forest(random_forest(rng, trees=5, depth=2), random_samples(rng, 20))
    assert any("clients learn" in note for note in plan.notes)
    assert any("tells at most" in why for why in plan.why)


def test_the_specification_depends_on_the_questions_alone() -> None:
    """Other leaves, other places of the same questions: the same specification but for its circuit's name."""
    one = Tree.of(
        feature=[0, 1, -1, -1, -1],
        threshold=[0.5, 1.5, 0, 0, 0],
        left=[1, 2, -1, -1, -1],
        right=[4, 3, -1, -1, -1],
        value=np.array([[0.0], [0.0], [1.0], [2.0], [-2.0]]),
    )
    other = Tree.of(
        feature=[1, -1, 0, -1, -1],
        threshold=[1.5, 0, 0.5, 0, 0],
        left=[1, -1, 3, -1, -1],
        right=[2, -1, 4, -1, -1],
        value=np.array([[0.0], [-2.0], [0.0], [0.5], [2.0]]),
    )
    columns = (Column("a"), Column("b", missing="nan"))
    x = np.random.default_rng(0).normal(1.0, 1.0, (50, 2))
    texts = []
    for tree in (one, other):
        forest = Forest((tree,), columns, np.zeros(1))
        body = json.loads(compile_forest(forest, x).client.to_json())
        for name in ("circuit", "digest"):
            body.pop(name)
        texts.append(body)
    assert texts[0] == texts[1]


def test_what_cannot_be_compiled_is_refused() -> None:
    rng = np.random.default_rng(2)
    forest = random_forest(rng, trees=5, depth=2)
    with pytest.raises(ModelError) as caught:
        compile_forest(forest, random_samples(rng, 3))
    assert caught.value.code == "CALIBRATION"
    with pytest.raises(ModelError) as caught:
        compile_forest(forest, np.zeros((20, 4)))
    assert caught.value.code == "SHAPE"
    leaf = Tree.of(feature=[-1], threshold=[0], left=[-1], right=[-1], value=[[3.0]])
    with pytest.raises(ModelError, match="asks nothing"):
        compile_forest(Forest((leaf,), (Column("x"),), np.zeros(1)), np.zeros((20, 1)))


def test_requests_that_would_fill_the_memory_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    forest = random_forest(rng, trees=5, depth=2)
    monkeypatch.setattr("hitoku.inference.trees.compile._MOST_REQUEST_BYTES", 1 << 20)
    with pytest.raises(ModelError, match="max_bin") as caught:
        compile_forest(forest, random_samples(rng, 20))
    assert caught.value.code == "TOO_LARGE"


@pytest.mark.slow
@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("kind", ["xgboost", "lightgbm", "sklearn"])
def test_trained_models(kind: str, objective: Any) -> None:
    """Three libraries, regression, two and many classes, missing values, categories: 100 trees of depth 4."""
    # So many that the few whose best scores are as near as noise reaches (some 2 of 10,000) say nothing.
    some = data(seed=4, rows=2_000, fresh=8_000)
    if kind == "xgboost":
        xgboost = pytest.importorskip("xgboost")
        model = xgboost.XGBClassifier(n_estimators=100, max_depth=4, max_bin=32, n_jobs=1).fit(
            some.x, some.two
        )
        raw = model.predict(some.fresh, output_margin=True)
    elif kind == "lightgbm":
        lightgbm = pytest.importorskip("lightgbm")
        model = lightgbm.LGBMClassifier(n_estimators=33, max_depth=4, max_bin=31, n_jobs=1, verbose=-1)
        model.fit(some.x, some.three, categorical_feature=[CATEGORICAL])
        raw = model.booster_.predict(some.fresh, raw_score=True)
    else:
        ensemble = pytest.importorskip("sklearn.ensemble")
        model = ensemble.HistGradientBoostingRegressor(
            max_iter=100, max_depth=4, max_bins=32, categorical_features=[CATEGORICAL]
        ).fit(some.x, some.y)
        raw = model.predict(some.fresh)
    plan = compile_model(model, some.x, objective)
    x = some.fresh if objective == "throughput" else some.fresh[:3]
    got, wanted = asked(plan, x), raw.reshape(len(raw), -1)[: len(x)]
    np.testing.assert_allclose(got, wanted, rtol=0, atol=plan.tolerance)
    labels = [(s[:, 0] > 0) if s.shape[1] == 1 else s.argmax(axis=1) for s in (got, wanted)]
    # Noise may turn a decision whose margin is less than two scores may be off; every other one is the same.
    best = np.sort(wanted, axis=1)
    margin = abs(best[:, 0]) if wanted.shape[1] == 1 else best[:, -1] - best[:, -2]
    same = labels[0] == labels[1]
    assert same[margin > 2 * plan.tolerance].all()
    # A regression's scores are no labels: their sign decides nothing.
    if objective == "throughput" and kind != "sklearn":
        assert same.mean() >= 0.999
    assert load(model).outputs == got.shape[1]
