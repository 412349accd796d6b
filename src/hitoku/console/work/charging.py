# SPDX-License-Identifier: Apache-2.0
"""What a question of the console that has no answer cost, from this member's own records of its very run.

It is looked up whenever the question is looked at: what was not settled when it ended may be by now.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from hitoku.room import store as tables
from hitoku.room.runs import Role, RunState

if TYPE_CHECKING:
    from hitoku.console.work.asks_store import Ask
    from hitoku.room.store import Store

__all__ = ["charge_of", "charged_now"]

_WORDS: Final = {RunState.ABORTED: "given_up", RunState.RESERVED: "open", RunState.COMMITTED: "charged"}
_GRAVER: Final = ("none", *_WORDS.values())
_ROLES: Final = (Role.ASKER, Role.OWNER)


def charge_of(store: Store, run: str | None) -> str:
    """What this member knows of a run's charge, as who asked for it and, where it is one, as an owner.

    Where the two differ the graver one is said: an owner that did not hear of the end charges the run.

    Returns:
        ``none`` (nothing had begun: nothing is charged), ``given_up`` (it never began where it is computed),
        ``charged`` (it counts as charged) or ``open`` (the owners may still charge it; they do if they hear
        nothing).
    """
    return _charges(store, () if run is None else (run,)).get(run or "", "none")


def charged_now(store: Store, asks: Iterable[Ask]) -> list[Ask]:
    """The questions with their charges as they stand now, where they ended without an answer."""
    found = list(asks)
    known = _charges(store, {ask.run for ask in found if ask.run is not None and _told(ask)})
    return [
        replace(ask, refusal={**(ask.refusal or {}), "charge": known.get(ask.run or "", "none")})
        if _told(ask)
        else ask
        for ask in found
    ]


def _told(ask: Ask) -> bool:
    return ask.ended and ask.refusal is not None and "charge" in ask.refusal


def _charges(store: Store, runs: Iterable[str]) -> dict[str, str]:
    row = tables.runs.c
    keys = [f"{role}:{run}" for run in runs for role in _ROLES]
    if not keys:
        return {}
    found: dict[str, str] = {}
    with store.reading() as connection:
        for key, state in connection.execute(sa.select(row.run, row.state).where(row.run.in_(keys))):
            run = str(key).partition(":")[2]
            found[run] = max(found.get(run, "none"), _WORDS[RunState(state)], key=_GRAVER.index)
    return found
