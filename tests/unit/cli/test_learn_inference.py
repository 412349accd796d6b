# SPDX-License-Identifier: Apache-2.0
"""A jointly learned model scores encrypted rows as it scores plain ones."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tests.unit.learning.learning_world import BANKS, make_room, rows

pytest.importorskip("xgboost", reason="needs the extra inference")
pytest.importorskip("lightgbm", reason="needs the extra inference")

HEADER = "x0,x1,x2"


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    """The folder of a run of five banks, and rows that were in none of them."""
    from hitoku.node.learning_run import together
    from hitoku.ports import NoProgress
    from hitoku.room.directory import Workspace

    path = tmp_path_factory.mktemp("joint")
    place = make_room(path)
    for seed, name in enumerate(BANKS):
        table = rows(seed, 300)
        np.savetxt(
            path / name / "rows.csv", np.column_stack([table.features, table.label]),
            delimiter=",", header=f"{HEADER},fraud", comments="", fmt="%.7g",
        )  # fmt: skip
    signed = place.signed(place.plan(model={"trees": 8, "depth": 3}))
    data = dict.fromkeys(BANKS, "rows.csv")
    together(Workspace.open(path), signed, path / "run", data, NoProgress())
    features = rows(50, 400).features
    np.savetxt(path / "inputs.csv", features, delimiter=",", header=HEADER, comments="", fmt="%.9g")
    return path, features


def logit(probability):
    return np.log(probability) - np.log1p(-probability)


@pytest.mark.slow
def test_encrypted_scores_are_those_of_learn_score(hitoku, learned, tmp_path):
    from hitoku import inference

    path, features = learned
    code, _, err = hitoku(
        "learn", "score", path / "run" / "model.json", "--data", path / "inputs.csv",
        "--output", tmp_path / "scores.csv",
    )  # fmt: skip
    assert code == 0, err
    plain = logit(np.loadtxt(tmp_path / "scores.csv", skiprows=1))

    code, out, err = hitoku(
        "learn", "export", path / "run" / "model.json", "--output", tmp_path / "trees.json", "--json"
    )
    assert (code, json.loads(out)["inputs"]) == (0, ["x0", "x1", "x2"]), err
    compiled = tmp_path / "compiled"
    code, out, err = hitoku(
        "model", "compile", tmp_path / "trees.json", "--calibration", path / "inputs.csv",
        "--output", compiled, "--json",
    )  # fmt: skip
    assert code == 0, err
    tolerance = json.loads(out)["precision"]["scores"]["tolerance"]
    assert tolerance < 0.05 * np.abs(plain).max()

    code, out, err = hitoku(
        "model", "simulate", compiled, "--rows", path / "inputs.csv", "--seed", 1, "--json"
    )
    assert code == 0, err
    simulated = np.array(json.loads(out)["scores"])[:, 0]
    assert np.abs(simulated - plain).max() <= tolerance + 1e-4

    client, server = inference.Client(compiled / "client.json"), inference.Server(compiled)
    keys = client.keys()
    answer = server.run(client.encrypt(features[:64]), keys)
    decrypted = client.decrypt(answer)[:64, 0]
    assert np.abs(decrypted - plain[:64]).max() <= tolerance + 1e-4
    # Other rows have other scores: agreement is no accident of scores that are all alike.
    assert np.std(plain[:64]) > 10 * tolerance


def test_export_refuses_other_endings_and_models_that_are_not_there(hitoku, learned, tmp_path):
    path, _ = learned
    code, _, err = hitoku("learn", "export", path / "run" / "model.json", "--output", tmp_path / "trees.ubj")
    assert (code, "ending .json" in err) == (4, True)
    assert not (tmp_path / "trees.ubj").exists()
    code, _, err = hitoku("learn", "export", tmp_path / "none.json", "--output", tmp_path / "t.json")
    assert (code, "no such model" in err) == (4, True)
