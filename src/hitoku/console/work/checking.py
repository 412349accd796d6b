# SPDX-License-Identifier: Apache-2.0
"""Checks of whole tables in the background, with progress: what a room would make of each row."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Final, Literal

from hitoku.console.context import Context, RoomEntry
from hitoku.errors import HitokuError, LimitError
from hitoku.node.tables import Checked, check_table

__all__ = ["Check", "Checks", "checks"]

_AT_ONCE: Final = 2


@dataclass(slots=True)
class Check:
    """One check. It is a Progress too (`hitoku.ports`).

    Attributes:
        state: ``running``, ``done`` or ``failed``.
        name: the phase.
        total: of its steps, if known.
        done: of them.
        found: what was found.
        error: what was wrong.
    """

    state: Literal["running", "done", "failed"] = "running"
    name: str = ""
    total: int | None = None
    done: int = 0
    found: tuple[Checked, ...] = ()
    error: HitokuError | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def phase(self, name: str, total: int | None = None) -> None:
        """A phase begins."""
        with self._lock:
            self.name, self.total, self.done = name, total, 0

    def advance(self, amount: int = 1) -> None:
        """So much more of it is done."""
        with self._lock:
            self.done += amount


class Checks:
    """The checks of this process: one a table at a time, two in all."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[tuple[str, str], Check] = {}

    def get(self, room: str, table: str) -> Check | None:
        """The newest check of a table, if there was one since the node started."""
        return self._known.get((room, table))

    def start(self, context: Context, room: RoomEntry, table: str) -> Check:
        """Begin a check, or follow the one that runs.

        Raises:
            LimitError: others run already.
        """
        key = (room.id, table)
        with self._lock:
            known = self._known.get(key)
            if known is not None and known.state == "running":
                return known
            if sum(check.state == "running" for check in self._known.values()) >= _AT_ONCE:
                raise LimitError("two tables are being checked: wait until one is done")
            check = self._known[key] = Check()
        arguments = (check, context, room, table)
        threading.Thread(target=_run, args=arguments, daemon=True, name=f"check {table}").start()
        return check


def _run(check: Check, context: Context, room: RoomEntry, table: str) -> None:
    directory = context.node.directory
    try:
        found = check_table(directory.path, context.me, table, None, check)
        check.found = tuple(one for one in found if one.room == room.name)
        check.state = "done"
    except HitokuError as error:
        check.error, check.state = error, "failed"
    except Exception as error:
        context.log("table check failed", type=type(error).__name__)
        check.error, check.state = HitokuError("an error in hitoku itself"), "failed"


def checks(context: Context) -> Checks:
    """This process's checks."""
    found: Checks = context.parts.setdefault("checks", Checks())
    return found
