# SPDX-License-Identifier: Apache-2.0
"""Work that outlives a request: what a page is made of does not change meanwhile."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest

from hitoku.console.context import NotFound
from hitoku.console.work import background
from hitoku.errors import InputError
from hitoku.ports import SystemClock

USER: Any = SimpleNamespace(id="u" * 32, name="somebody")


@pytest.fixture
def context() -> Any:
    logged: list[Any] = []
    return SimpleNamespace(
        parts={}, clock=SystemClock(), log=lambda *words, **more: logged.append(more), logged=logged
    )


def ended(context, identity):
    until = time.monotonic() + 120
    while (task := background.task_of(context, "learning", "room", identity)).state == "running":
        assert time.monotonic() < until
        time.sleep(0.01)
    return task


def test_a_task_that_was_read_stays_as_it_was_read(context):
    go = threading.Event()

    def work(task):
        task.phase = "begun"
        assert go.wait(120)
        return [1, 2]

    identity = background.start(context, USER, "learning", "room", work).id
    before = background.task_of(context, "learning", "room", identity)
    (listed,) = background.tasks_of(context, "learning", "room")
    go.set()
    after = ended(context, identity)
    assert (after.state, after.result, after.error, after.phase) == ("done", [1, 2], None, "begun")
    assert after.ended is not None
    for one in (before, listed):
        assert (one.state, one.result, one.ended) == ("running", None, None)


def test_what_fails_is_said_and_what_breaks_is_only_named(context):
    def refuses(task):
        raise InputError("row 3 is too long")

    def breaks(task):
        raise KeyError("PLANTED")

    told = ended(context, background.start(context, USER, "learning", "room", refuses).id)
    assert (told.state, str(told.error)) == ("failed", "row 3 is too long")
    broken = ended(context, background.start(context, USER, "learning", "room", breaks).id)
    assert (broken.state, broken.error) == ("failed", None)
    assert context.logged == [{"area": "learning", "error": "KeyError"}]


def test_a_task_of_something_else_is_not_found(context):
    identity = background.start(context, USER, "learning", "room", lambda task: None).id
    for area, about in (("models", "room"), ("learning", "other")):
        with pytest.raises(NotFound):
            background.task_of(context, area, about, identity)
    ended(context, identity)
