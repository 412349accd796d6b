# SPDX-License-Identifier: Apache-2.0
"""A member's own curve of a run: what it says, that it is sent to nobody, and that no run fails by it."""

from __future__ import annotations

import struct
from functools import partial
from typing import Any

import numpy as np
import pytest
from tests.unit.learning.learning_world import BANKS, SHORT, make_room
from tests.unit.learning.test_server import Running

from hitoku import limits
from hitoku.learning import curve as module
from hitoku.learning.curve import Curve, Point, read_curve, spread
from hitoku.learning.models import read_model, score
from hitoku.learning.planning import made

KINDS = {
    "boosting": {"kind": "boosting", "trees": 4, "depth": 3, "bins": 16, "rate": 0.3},
    "linear": {"kind": "linear", "rounds": 5},
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return make_room(tmp_path_factory.mktemp("room"))


class Listening(Running):
    """A run all of whose replies are kept."""

    def __init__(self, *given, **more):
        self.replies = []
        super().__init__(*given, **more)

    def start(self, name):
        super().start(name)
        handle = self.fleet._members[name]

        def heard(content):
            reply = handle(content)
            self.replies.append(reply)
            return reply

        self.fleet.join(name, heard)


def plan_of(place, kind, **more):
    return made({**SHORT, "model": KINDS[kind], **more}, place.agreement)


def mean_loss(chances, label):
    return float(np.mean(-np.log(np.where(label == 1, chances, 1 - chances))))


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_leaves_each_member_its_own_curve(place, tmp_path, kind):
    world = Listening(place, tmp_path, plan=plan_of(place, kind, guard={"every": 2}))
    report = world.run()
    world.close()
    for name in BANKS:
        points = read_curve(tmp_path / name)
        assert [point.step for point in points] == list(range(report["steps"] + 1))
        own = world.data[name]
        held = own.part == 1
        model = read_model((tmp_path / name / "model.json").read_bytes())
        found = mean_loss(score(model, own.features[held]), own.label[held])
        assert points[-1].loss == pytest.approx(found, rel=1e-3)
        assert points[-1].loss < 0.9 * points[0].loss
        rate = own.label[held].mean()
        assert points[-1].blind == pytest.approx(mean_loss(np.full(held.sum(), rate), own.label[held]))
        # It stays where it is: with its owner alone, and in no reply.
        assert (tmp_path / name / "curve.jsonl").stat().st_mode & 0o077 == 0
        for point in points:
            for needle in (repr(point.loss).encode(), struct.pack("<d", point.loss)):
                assert not any(needle in reply for reply in world.replies)
    assert not (world.folder.path / "curve.jsonl").exists()


def test_the_model_is_the_same_without_it(place, tmp_path):
    models, plan = [], plan_of(place, "boosting")
    for at, spoilt in enumerate((False, True)):
        (tmp_path / str(at)).mkdir()
        world = Running(place, tmp_path / str(at), plan=plan)
        if spoilt:
            for name in BANKS:
                (tmp_path / str(at) / name / "curve.jsonl").mkdir()
        world.run()
        world.close()
        models.append((world.folder.path / "model.json").read_bytes())
        assert bool(read_curve(tmp_path / str(at) / "aki")) is not spoilt
    assert models[0] == models[1]


def test_steps_that_were_made_again_replace_what_came_after_them(tmp_path):
    curve, label = Curve(tmp_path), np.array([0, 1] * 12, np.uint8)
    for step, loss in ((0, 24.0), (1, 12.0), (2, 48.0), (3, 48.0), (1, 12.0), (2, 6.0)):
        curve.note(step, label, 1.0, partial(float, loss))
    blind: Any = pytest.approx(np.log(2))
    assert read_curve(tmp_path) == (Point(0, 1.0, blind), Point(1, 0.5, blind), Point(2, 0.25, blind))


def test_what_is_no_number_is_left_out(tmp_path):
    curve, label = Curve(tmp_path), np.array([0, 1], np.uint8)
    for loss in (float("nan"), float("inf"), 2.0):
        curve.note(0, label, 1.0, partial(float, loss))
    assert read_curve(tmp_path) == (Point(0, 1.0, None),)
    curve.note(1, label[:0], 1.0, lambda: 1.0)  # no holdout rows
    Curve(None).note(1, label, 1.0, lambda: 1 / 0)
    assert len(read_curve(tmp_path)) == 1


def test_a_damaged_file_breaks_nothing(tmp_path):
    file = tmp_path / "curve.jsonl"
    odd = ['{"step": 1, "loss": -1}', '{"step": "1", "loss": 1}', "[]", "7", "{", '{"step": 1, "loss": NaN}']
    odd += ['{"step": -1, "loss": 1}', '{"step": true, "loss": 1}', "[" * 5000, '{"step": 2, "loss": 0.5}']
    file.write_text("\n".join(odd), "utf-8")
    assert read_curve(tmp_path) == (Point(2, 0.5, None),)
    file.write_bytes(b"\xff\n" * (limits.MAX_LEARNING_CURVE_BYTES + 1))
    assert read_curve(tmp_path) == ()
    file.unlink()
    assert read_curve(tmp_path) == ()
    (tmp_path / "elsewhere").write_text('{"step": 2, "loss": 0.5}')
    file.symlink_to(tmp_path / "elsewhere")
    assert read_curve(tmp_path) == ()
    Curve(tmp_path).note(3, np.array([0, 1], np.uint8), 1.0, lambda: 1.0)
    assert (tmp_path / "elsewhere").read_text() == '{"step": 2, "loss": 0.5}'


def test_it_does_not_grow_without_end(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "MAX_LEARNING_CURVE_BYTES", 1000)
    curve = Curve(tmp_path)
    for step in range(100):
        curve.note(step, np.array([0, 1], np.uint8), 1.0, lambda: 1.0)
    assert (tmp_path / "curve.jsonl").stat().st_size < 1100


def test_of_many_rows_some_are_judged(monkeypatch):
    monkeypatch.setattr(module, "_ROWS", 10)
    assert len(range(10)[spread(10)]) == 10
    assert list(range(25)[spread(25)]) == [0, 3, 6, 9, 12, 15, 18, 21, 24]
    assert len(range(0)[spread(0)]) == 0
