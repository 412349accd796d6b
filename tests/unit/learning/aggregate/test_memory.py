# SPDX-License-Identifier: Apache-2.0
"""Rules about sets hold for any order of questions, and are the same after a restart at any point."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.learning.world import RUN, plan_of

from hitoku import limits
from hitoku.errors import LimitError, PeerError, Refusal
from hitoku.learning.aggregate.memory import Memory
from hitoku.learning.base import Instruction
from hitoku.learning.plan import Privacy

ALL = ("aoi", "beni", "chika", "daichi", "emi")
LESS = ALL[:4]


@pytest.fixture(autouse=True)
def _quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fdatasync", lambda _: None)
    monkeypatch.setattr(os, "fsync", lambda _: None)


def opened(folder: Path, changes: int = 8) -> Memory:
    return Memory(folder / "masks.jsonl", plan_of(5, changes=changes), RUN, "aoi")


def asked(do: str, step: int = 0, arrays: dict[str, Any] | None = None, **body: Any) -> Instruction:
    return Instruction("task", {"do": do, "step": step, **body}, 10, 100, arrays or {})


def refused(code: str) -> Any:
    return pytest.raises(Refusal, check=lambda error: error.code == code)


def test_numbers_rise_over_restarts(tmp_path: Path) -> None:
    book = opened(tmp_path)
    assert [book.sessions.use(n) for n in (1, 2, 2, 1, 5)] == [True, True, False, False, True]
    assert book.rounds.use(1)
    book.close()
    book = opened(tmp_path)
    assert not book.sessions.use(5)
    assert book.sessions.last >= 5
    assert book.sessions.use(book.sessions.last + 1)
    for number in (0, -1, True, "1", 1.0, None, 1 << 60):
        with pytest.raises(PeerError):
            book.rounds.use(number)
    book.close()


def test_the_first_set_needs_no_fresh_rows(tmp_path: Path) -> None:
    book = opened(tmp_path)
    for _ in range(3):
        book.session(1, asked("level"), ALL)
    with refused("LEARNING_NOT_FRESH"):
        book.session(2, asked("level"), LESS)
    with refused("LEARNING_NOT_FRESH"):
        book.session(2, asked("level", fresh=1), LESS)  # not the truth itself
    book.session(2, asked("level", fresh=True), LESS)
    book.session(3, asked("level"), ALL)
    assert book.changes == 2
    book.close()


def test_arrays_and_fresh_make_no_other_purpose(tmp_path: Path) -> None:
    book = opened(tmp_path)
    book.round(1, asked("loss", arrays={"w": np.zeros(3)}), ALL)
    for one in (asked("loss"), asked("loss", arrays={"w": np.ones(3)}), asked("loss", attempt=2)):
        with refused("LEARNING_SAME_SUM"):
            book.round(2, one, LESS)
    book.round(2, asked("loss", fresh=True), LESS)
    with refused("LEARNING_SAME_SUM"):
        book.round(3, asked("loss", step=1), LESS)  # of all rows, too
    book.round(3, asked("loss", step=1), ALL)
    book.close()


@pytest.mark.parametrize("restart", [False, True])
def test_all_rows_are_in_sums_over_one_set_only(tmp_path: Path, restart: bool) -> None:
    book = opened(tmp_path)
    assert book.whole(ALL)
    assert book.whole(LESS)
    book.round(1, asked("count"), LESS)
    if restart:
        book.close()
        book = opened(tmp_path)
    assert book.whole(LESS)
    assert not book.whole(ALL)
    with refused("LEARNING_NOT_FRESH"):
        book.session(1, asked("level"), ALL)
    with refused("LEARNING_SAME_SUM"):
        book.round(2, asked("loss"), ALL)
    book.session(1, asked("level", fresh=True), ALL)
    book.session(2, asked("level"), LESS)
    book.close()


def test_somebody_is_lost_after_vectors_were_made(tmp_path: Path) -> None:
    book = opened(tmp_path)
    book.round(1, asked("average", fresh=True), LESS, (ALL, True))  # nothing opened before: LESS is first
    with refused("LEARNING_SET_SHRANK"):
        book.round(2, asked("average", 1, fresh=True), ALL[1:], (LESS, True))
    with refused("LEARNING_SET_SHRANK"):
        book.round(3, asked("average", 1, fresh=True), ALL[1:], (ALL, False))
    book.round(4, asked("average", 1, fresh=True), ALL[1:], (ALL[1:], False))
    book.close()


def test_with_noise_of_its_own_any_set_may_open(tmp_path: Path) -> None:
    plan = plan_of(5).model_copy(update={"privacy": Privacy(rho=1.0)})
    book = Memory(tmp_path / "masks.jsonl", plan, RUN, "aoi")
    book.round(1, asked("private", fresh=True), ALL)
    book.round(2, asked("private", 1, fresh=True), LESS, (ALL, True))
    with refused("LEARNING_SAME_SUM"):
        book.round(3, asked("counts"), LESS)
    book.close()


def test_a_refused_question_changes_nothing(tmp_path: Path) -> None:
    book = opened(tmp_path, changes=0)
    book.round(1, asked("loss"), ALL)
    for _ in range(3):
        with refused("LEARNING_SET_CHANGES"):
            book.round(2, asked("loss", step=1, fresh=True), LESS)
    book.round(3, asked("loss", step=1), ALL)
    book.close()


def test_repeats_count_once_for_a_session(tmp_path: Path) -> None:
    book = opened(tmp_path, changes=3)
    book.session(1, asked("level"), ALL)
    for session in (2, 3, 4):
        for step in range(5):
            book.session(session, asked("level", step, fresh=True), LESS)
    assert book.changes == 3
    with refused("LEARNING_SET_CHANGES"):
        book.session(5, asked("level", 0, fresh=True), LESS)
    book.session(5, asked("level", 7, fresh=True), LESS)
    with refused("LEARNING_SET_CHANGES"):
        book.session(5, asked("level", 7, fresh=True), LESS)  # twice in one session
    book.close()


def test_one_long_session_asks_the_same_again(tmp_path: Path) -> None:
    book = opened(tmp_path, changes=3)
    book.session(1, asked("level"), ALL)
    for _ in range(3):  # the change of the set, and two repeats
        book.session(2, asked("level", fresh=True), LESS)
    with refused("LEARNING_SET_CHANGES"):
        book.session(2, asked("level", fresh=True), LESS)
    book.close()


def test_fresh_rounds_again(tmp_path: Path) -> None:
    book = opened(tmp_path, changes=2)
    book.round(1, asked("average", fresh=True), ALL)
    book.round(2, asked("average", fresh=True), LESS)  # a change of the set, which is no repeat
    assert book.changes == 1
    book.round(3, asked("average", fresh=True, attempt=3), LESS)
    assert book.changes == 2
    with refused("LEARNING_SET_CHANGES"):
        book.round(4, asked("average", fresh=True, attempt=4), LESS)
    book.close()


def test_two_modes(tmp_path: Path) -> None:
    book = opened(tmp_path)
    book.session(1, asked("level"), ALL)
    book.round(1, asked("loss"), ALL)
    with refused("LEARNING_TWO_MODES"):
        book.round(2, asked("level", step=5), ALL)
    with refused("LEARNING_TWO_MODES"):
        book.session(2, asked("loss", step=5), ALL)
    book.close()


def test_more_purposes_than_it_remembers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_LEARNING_PURPOSES", 2)
    book = opened(tmp_path)
    for step in range(2):
        book.round(step, asked("loss", step), ALL)
    with pytest.raises(LimitError):
        book.round(2, asked("loss", 2), ALL)
    book.round(3, asked("loss", 1), ALL)
    book.close()


Step = tuple[str, int, Sequence[str], bool]
steps = st.lists(
    st.tuples(
        st.sampled_from(["session", "round"]),
        st.integers(0, 2),
        st.sampled_from([ALL, LESS, ALL[1:], ALL[:1] + ALL[2:]]),
        st.booleans(),
    ),
    max_size=12,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(steps=steps, cut=st.integers(0, 12))
def test_restarts_change_no_decision(
    steps: list[Step], cut: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """One member that is never restarted and one that is: the same answers; and no two sums that differ."""
    one, two = (opened(tmp_path_factory.mktemp(f"m{n}"), changes=4) for n in range(2))
    plain: dict[tuple[str, int], set[tuple[str, ...]]] = {}
    sets: list[tuple[str, ...]] = []
    for number, (mode, step, members, fresh) in enumerate(steps):
        if number == cut:
            path = two.ledger._path
            two.close()
            two = Memory(path, plan_of(5, changes=4), RUN, "aoi")
        question = asked(mode, step, fresh=True) if fresh else asked(mode, step)
        decided = []
        for book in (one, two):
            try:
                (book.session if mode == "session" else book.round)(number, question, members)
                decided.append("")
            except Refusal as refusal:
                decided.append(refusal.code)
        assert decided[0] == decided[1]
        if not decided[0]:
            sets.append(tuple(members))
            if not fresh:
                plain.setdefault((mode, step), set()).add(tuple(members))
    assert all(len(chosen) == 1 for chosen in plain.values())
    assert sum(a != b for a, b in itertools.pairwise(sets)) <= 4
    one.close()
    two.close()
