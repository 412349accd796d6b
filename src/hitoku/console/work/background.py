# SPDX-License-Identifier: Apache-2.0
"""Work that outlives a request: in a thread, watched by its page, remembered for the life of the process.

Few at once, and a bounded number is remembered. A task belongs to an area, to what it is about, and to who
started it.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, Literal

from hitoku import limits
from hitoku.console.context import Context, NotFound
from hitoku.console.users import User
from hitoku.errors import HitokuError, LimitError

__all__ = ["Task", "start", "task_of", "tasks_of"]

_PART: Final = "background"


@dataclass(slots=True)
class Task:
    """Something that is done, or was.

    Attributes:
        id: 32 hexadecimal digits.
        area: whose kind it is, e.g. ``learning``.
        about: what it is about, e.g. a room's id; only asked for together with the id.
        user: who started it, by id.
        by: and by name.
        started: when.
        state: ``running``, ``done`` or ``failed``.
        phase: what it does now, in words of the program.
        result: what came of it.
        error: why it failed; None where it is an error in hitoku itself.
        ended: when.
    """

    id: str
    area: str
    about: str
    user: str
    by: str
    started: datetime
    state: Literal["running", "done", "failed"] = "running"
    phase: str = ""
    result: Any = None
    error: HitokuError | None = None
    ended: datetime | None = None


@dataclass(slots=True)
class _Kept:
    lock: threading.Lock = field(default_factory=threading.Lock)
    tasks: dict[str, Task] = field(default_factory=dict)


def _kept(context: Context) -> _Kept:
    found: _Kept = context.parts.setdefault(_PART, _Kept())
    return found


def start(context: Context, user: User, area: str, about: str, work: Callable[[Task], Any]) -> Task:
    """Begin a task.

    Raises:
        LimitError: too many are under way, of this user or of all.
    """
    kept = _kept(context)
    task = Task(secrets.token_hex(16), area, about, user.id, user.name, context.clock.now())
    with kept.lock:
        running = [one for one in kept.tasks.values() if one.state == "running"]
        if len(running) >= limits.MAX_CONSOLE_TASKS_RUNNING:
            raise LimitError("too much is under way in this console: try again when some of it is done")
        if sum(one.user == user.id for one in running) >= limits.MAX_CONSOLE_TASKS_EACH:
            raise LimitError("too much of yours is under way: try again when some of it is done")
        ended = [one for one in kept.tasks.values() if one.state != "running"]
        for old in ended[: max(0, len(kept.tasks) + 1 - limits.MAX_CONSOLE_TASKS)]:
            del kept.tasks[old.id]
        kept.tasks[task.id] = task
    arguments = (context, task, work)
    threading.Thread(target=_do, args=arguments, daemon=True, name=f"console-{area}").start()
    return task


def task_of(context: Context, area: str, about: str, identity: str) -> Task:
    """A task by its id, as it stands now: it does not change while a page is made of it.

    Raises:
        NotFound: there is none of that id in this area, about this.
    """
    kept = _kept(context)
    with kept.lock:
        task = kept.tasks.get(identity)
        if task is None or (task.area, task.about) != (area, about):
            raise NotFound("there is no such task; it may be forgotten")
        return replace(task)


def tasks_of(context: Context, area: str, about: str) -> tuple[Task, ...]:
    """The tasks of an area about something, newest first, as they stand now."""
    kept = _kept(context)
    with kept.lock:
        found = [replace(one) for one in kept.tasks.values() if (one.area, one.about) == (area, about)]
    return tuple(reversed(found))


def _do(context: Context, task: Task, work: Callable[[Task], Any]) -> None:
    state: Literal["done", "failed"] = "failed"
    result, refused = None, None
    try:
        result = work(task)
        state = "done"
    except HitokuError as error:
        refused = error
    except Exception as error:  # its words may quote data: only its type is told
        context.log("console task failed", area=task.area, error=type(error).__name__)
    with _kept(context).lock:
        task.result, task.error = result, refused
        task.ended, task.state = context.clock.now(), state
