# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hitoku.errors import InputError, Refusal
from hitoku.learning import counters
from hitoku.learning.base import Instruction, Rows
from hitoku.learning.counters import TASK, CounterTask, Sums, count, counted_days, extend, instructions
from hitoku.learning.ideal import IdealSummer
from hitoku.learning.plan import Boosting, Counter, Cuts, Data, Feature, Plan

DAY = 86_400
MEMBERS = ("a", "b", "c")


def plan_of(counter: Counter | None = None, cuts: Cuts | None = None) -> Plan:
    counter = counter or Counter(column="t", entities=6, windows=(1, 4), delay=2)
    cuts = cuts or Cuts(train=100 * DAY, holdout=115 * DAY, test=120 * DAY, end=130 * DAY)
    data = Data(features=(Feature(name="x"),), label="y", time="s", counters=(counter,), cuts=cuts, rows=1000)
    return Plan(
        name="counted",
        room="0" * 8 + "-0000-0000-0000-" + "0" * 12,
        agreement="",
        members=MEMBERS,
        server="s",
        data=data,
        model=Boosting(),
        salt="0" * 64,
    )


def rows_of(seed: int, rows: int = 200, entities: int = 6) -> Rows:
    draw = np.random.default_rng(seed)
    return Rows(
        draw.normal(size=(rows, 1)).astype(np.float32),
        (draw.random(rows) < 0.3).astype(np.uint8),
        np.zeros(rows, np.uint8),
        np.sort(draw.integers(100, 130, rows)).astype(np.int32),
        {"t": draw.integers(0, entities, rows)},
    )


def counted(plan: Plan, rows: dict[str, Rows]) -> dict[str, CounterTask]:
    tasks = {name: CounterTask(plan, one) for name, one in rows.items()}
    count(IdealSummer({name: {TASK: task} for name, task in tasks.items()}), plan)
    return tasks


def brute(everybody: list[Rows], one: Rows, counter: Counter) -> NDArray[np.float64]:
    """Counts and shares straight from all banks' rows."""
    day = np.concatenate([r.day for r in everybody if r.day is not None])
    entity = np.concatenate([r.entities["t"] for r in everybody])
    label = np.concatenate([r.label for r in everybody])
    assert one.day is not None
    made = []
    for today, here in zip(one.day, one.entities["t"], strict=True):
        row = []
        for window in counter.windows:
            seen = (entity == here) & (day >= today - counter.delay - window) & (day < today - counter.delay)
            row += [seen.sum(), label[seen].mean() if seen.any() else 0.0]
        made.append(row)
    return np.array(made)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.integers(0, 5), st.integers(1, 9))
def test_joint_counters_are_those_of_all_rows_in_one_place(seed: int, delay: int, window: int) -> None:
    plan = plan_of(Counter(column="t", entities=6, windows=(window, 2 * window), delay=delay))
    rows = {name: rows_of(seed + k) for k, name in enumerate(MEMBERS)}
    tasks = counted(plan, rows)
    for name, task in tasks.items():
        made = task.extended()
        assert made.features.dtype == np.float32
        assert made.features.flags.c_contiguous
        assert (made.features[:, 0] == rows[name].features[:, 0]).all()
        expected = brute(list(rows.values()), rows[name], plan.data.counters[0])
        assert np.allclose(made.features[:, 1:], expected, rtol=1e-6)
        assert made.features.shape[1] == len(plan.data.inputs)


def test_all_members_get_the_same_exact_sums_and_blocks_of_days_change_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plan = plan_of()
    rows = {name: rows_of(k) for k, name in enumerate(MEMBERS)}
    whole = counted(plan, rows)["a"].sums["t"].values
    monkeypatch.setattr(counters, "_VALUES", 12 * 5)
    assert len(list(instructions(plan.data))) > 4
    tasks = counted(plan, rows)
    for task in tasks.values():
        assert (task.sums["t"].values == whole).all()
    here = sum(int((r.day < 127).sum()) for r in rows.values() if r.day is not None)
    assert whole[..., 0].sum() == here


def test_days_that_no_row_looks_at_are_not_sent() -> None:
    plan = plan_of()
    assert plan.data.cuts is not None
    assert counted_days(plan.data.counters[0], plan.data.cuts) == (100, 127)
    (instruction,) = instructions(plan.data)
    rows = rows_of(1)
    assert rows.day is not None
    sent = CounterTask(plan, rows).contribute(instruction, MEMBERS).reshape(27, 6, 2)
    assert sent[..., 0].sum() == (rows.day < 127).sum()
    assert sent[..., 1].sum() == rows.label[rows.day < 127].sum()
    assert sent.min() >= 0
    assert sent.max() <= instruction.bound


def test_a_label_younger_than_the_delay_changes_no_feature() -> None:
    plan = plan_of()
    rows = {name: rows_of(k) for k, name in enumerate(MEMBERS)}
    before = counted(plan, rows)["a"].extended().features
    turned = {}
    for name, one in rows.items():
        assert one.day is not None
        label = np.where(one.day >= 118, 1 - one.label, one.label).astype(np.uint8)
        turned[name] = Rows(one.features, label, one.part, one.day, one.entities)
    after = counted(plan, turned)["a"].extended().features
    assert rows["a"].day is not None
    known = rows["a"].day <= 118 + 2
    assert (before[known] == after[known]).all()
    assert (before != after).any()


def test_only_sums_of_the_plan_are_answered() -> None:
    plan = plan_of()
    task = CounterTask(plan, rows_of(1))
    (known,) = instructions(plan.data)
    for body in ({**known.body, "first": 99}, {**known.body, "days": 1}, {**known.body, "counter": 1}):
        with pytest.raises(Refusal, match="no such sum"):
            task.contribute(Instruction(TASK, body, known.length, known.bound), MEMBERS)
    with pytest.raises(Refusal, match="no such sum"):
        task.contribute(Instruction(TASK, known.body, known.length - 2, known.bound), MEMBERS)
    first = task.contribute(known, MEMBERS)
    assert (task.contribute(known, MEMBERS) == first).all()
    with pytest.raises(Refusal, match="no such sum"):
        task.contribute(Instruction(TASK, {**known.body, "again": 1}, known.length, known.bound), MEMBERS)


def test_impossible_sums_are_not_taken() -> None:
    plan = plan_of()
    task = CounterTask(plan, rows_of(1))
    (known,) = instructions(plan.data)
    good = np.ones(known.length, np.int64)
    frauds = good.copy()
    frauds[1::2] = 2
    body = {**known.body, "do": "sums"}
    for wrong in (good[:-2], good.astype(np.float64), -good, frauds):
        with pytest.raises(Refusal, match="is not a sum"):
            task.told(body, {"sums": wrong})
    with pytest.raises(Refusal, match="is not a sum"):
        task.told({**body, "first": 0}, {"sums": good})
    with pytest.raises(InputError, match="not come yet"):
        task.extended()
    assert task.told(body, {"sums": good}) == ({"have": True}, {})
    assert task.complete
    assert task.told(body, {"sums": good.astype(np.int32)}) == ({"have": True}, {})
    with pytest.raises(Refusal, match="the first that opened stay"):
        task.told(body, {"sums": good + 1})


def test_without_counters_rows_stay_as_they_are_and_without_cuts_they_cannot_be() -> None:
    plan = plan_of()
    bare = plan.model_copy(update={"data": plan.data.model_copy(update={"counters": ()})})
    task = CounterTask(bare, rows_of(1))
    assert task.complete
    assert (task.extended().features == rows_of(1).features).all()
    uncut = plan.model_copy(update={"data": plan.data.model_copy(update={"cuts": None})})
    with pytest.raises(InputError, match=r"data\.cuts"):
        CounterTask(uncut, rows_of(1))


def test_rows_before_the_first_day_have_no_past() -> None:
    plan = plan_of()
    sums = {"t": Sums(100, np.ones((27, 6, 2), np.int64))}
    one = Rows(
        np.zeros((2, 1), np.float32),
        np.zeros(2, np.uint8),
        np.zeros(2, np.uint8),
        np.array([100, 400], np.int32),
        {"t": np.zeros(2, np.int64)},
    )
    assert extend(plan.data, one, sums).features[:, 1:].tolist() == [[0.0] * 4] * 2
