# SPDX-License-Identifier: Apache-2.0
"""Linear models and networks over real masks: as from plain sums, a member lost, votes, noise."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
from tests.unit.learning.learning_world import SHORT, make_room
from tests.unit.learning.test_server import Running

from hitoku.learning.ideal import IdealSummer
from hitoku.learning.models import read_model
from hitoku.learning.planning import made
from hitoku.learning.trainers import model_task, trainer_of

LINEAR = {"kind": "linear", "rounds": 12}
NETWORK = {"kind": "perceptron", "rounds": 4, "layers": [4]}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return make_room(tmp_path_factory.mktemp("room"))


def plans(place, model, **change):
    short = {**deepcopy(SHORT), **change, "model": model}
    return made(short, place.agreement)


def ideal(running):
    plan = running.plan
    kind = plan.model.kind
    summer = IdealSummer({n: {kind: model_task(plan, rows, None)} for n, rows in running.data.items()})
    trainer = trainer_of(plan)
    trainer.prepare(summer)
    trainer.synchronise(summer)
    while not trainer.finished:
        trainer.step(summer)
    return trainer.model()


@pytest.mark.parametrize("model", [LINEAR, NETWORK], ids=["linear", "perceptron"])
def test_a_masked_run_gives_the_model_of_plain_sums_to_the_byte(place, tmp_path, model):
    running = Running(place, tmp_path, plan=plans(place, model))
    try:
        running.run()
        assert running.folder.model.read_bytes() == ideal(running)
        assert running.audit().findings == []
    finally:
        running.close()


def test_a_lost_member_costs_nothing_but_its_rows(place, tmp_path):
    running = Running(place, tmp_path, plan=plans(place, LINEAR))
    running.before["chiyo", 16] = lambda: running.stop("chiyo")
    try:
        report = running.run()
        assert report["stopped"] in {None, "early"}
        assert running.asked["chiyo"] == 16
        weights = read_model(running.folder.model.read_bytes()).content.weights
        assert np.isfinite(weights).all()
        whole = read_model(ideal(running)).content.weights
        assert np.abs(weights - whole).max() < 0.5 * np.abs(whole).max()
    finally:
        running.close()


def test_votes_pass_where_nobody_poisons(place, tmp_path):
    running = Running(place, tmp_path, plan=plans(place, {**LINEAR, "rounds": 6}, guard={"every": 2}))
    try:
        report = running.run()
        votes = [event for event in report["events"] if event["event"] == "vote"]
        assert len(votes) >= 2
        assert all(vote["accepted"] for vote in votes)
        assert all(len(vote["votes"]) == 5 for vote in votes)
    finally:
        running.close()


@pytest.mark.parametrize("model", [{**LINEAR, "rounds": 3}, NETWORK], ids=["linear", "perceptron"])
def test_a_run_with_noise_ends(place, tmp_path, model):
    running = Running(place, tmp_path, plan=plans(place, model, privacy={"rho": 0.5}))
    try:
        report = running.run()
        assert report["steps"] == model["rounds"]
        assert running.folder.model.read_bytes() != ideal(running)
    finally:
        running.close()


def test_a_member_without_rows_to_train_on_takes_part(place, tmp_path):
    running = Running(place, tmp_path, plan=plans(place, LINEAR))
    running.data["aki"] = replace(running.data["aki"], part=np.full_like(running.data["aki"].part, 2))
    running.start("aki")
    try:
        running.run()
        assert running.folder.model.read_bytes() == ideal(running)
    finally:
        running.close()
