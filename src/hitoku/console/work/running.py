# SPDX-License-Identifier: Apache-2.0
"""One question of the console on its way: opened as this member, asked, and what became of it.

The console asks as the member does on the command line: over the network, with its own node answering for it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from hitoku.console.context import Context, RoomEntry
from hitoku.errors import EngineError, HitokuError, PeerError, Refusal
from hitoku.room import store as tables
from hitoku.room.runs import Role, RunState

if TYPE_CHECKING:
    from hitoku.ask import Sent
    from hitoku.console.work.asks_store import Ask, Options
    from hitoku.console.work.following import Following
    from hitoku.disclosure.answer import Answer
    from hitoku.node.remote import RemoteRoom

__all__ = ["Outcome", "charge_of", "explained_refusal", "run"]

_LEFT: Final = 1_000
"""So many questions that were cut off are looked through: those before are forgotten elsewhere, too."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a question ended.

    Attributes:
        state: ``done``, ``refused``, ``failed`` or ``cancelled``.
        answer: the answer, encoded; None where there is none, or it went to others.
        why: why there is no answer.
        run: the run that made it.
    """

    state: str
    answer: bytes | None = None
    why: dict[str, Any] | None = None
    run: str | None = None


def run(
    context: Context,
    entry: RoomEntry,
    ask: Ask,
    following: Following,
    opened: Callable[[RemoteRoom], None],
    noted: Callable[[Ask, str], None],
) -> Outcome:
    """Ask the question and wait for its end. Raises nothing that a question can cause.

    Args:
        context: the console's.
        entry: the room.
        ask: the question, written down.
        following: hears about the phases.
        opened: is handed the room before anything is asked, so that it can be cancelled.
        noted: is told the question's hash before anything is asked.
    """
    from hitoku.node.remote import open_remote_room

    try:
        handle = open_remote_room(context.node.directory.path, entry.id, clock=context.clock)
        opened(handle)
        found = handle.explain(ask.sql)
        if found.question is not None:
            noted(ask, found.question.hash)
            handle.cut_off = _cut_off(context, ask, found.question.hash)
        return _outcome(_asked(handle, ask.sql, ask.options, following))
    except Refusal as refusal:
        return Outcome("refused", why=explained_refusal(refusal))
    except HitokuError as error:
        cancelled = isinstance(error, EngineError) and error.code == "CANCELLED"
        began, why = _charged_after(context, ask, error)
        return Outcome("cancelled" if cancelled else "failed", why=why, run=began)
    except Exception as error:  # a bug: its text may hold anything, so only its kind is kept
        context.log("console ask broke", ask=ask.id, error=type(error).__name__)
        return Outcome("failed", why={"error": "Failure", "code": "INTERNAL", "message": ""})


def _cut_off(context: Context, ask: Ask, question: str) -> tuple[str, ...]:
    """The runs of this question that a restart of this node cut off and whose answer nobody has here."""
    from hitoku.console.work.asks_store import AsksStore

    store = AsksStore(context.node.store)
    left = store.some(rooms=[ask.room], states=["interrupted"], limit=_LEFT)
    taken = store.runs(ask.room, states=["done"])
    mine = {one.run: None for one in left if one.run is not None and one.options.question == question}
    return tuple(run for run in mine if run not in taken)


def _asked(handle: RemoteRoom, sql: str, options: Options, following: Following) -> Answer | Sent:
    to = options.receivers or handle.receivers
    ask = handle.ask if handle.me in to else handle.send
    return ask(
        sql, receivers=to, progress=following, users_noise=options.users_noise, epsilon=options.epsilon
    )


def _outcome(found: Answer | Sent) -> Outcome:
    from hitoku.ask import Sent

    if isinstance(found, Sent):
        return Outcome("done", why={"sent": list(found.receivers)}, run=found.run)
    kept = {
        "answer": found.to_message(),
        "deletion": None if found.deletion is None else dict(found.deletion),
    }
    return Outcome("done", json.dumps(kept, allow_nan=False).encode(), run=found.run)


def explained_refusal(refusal: Refusal) -> dict[str, Any]:
    """A refusal as JSON, with its sentences in Japanese where there are such."""
    from hitoku.questions.wording import CODES, translated

    found = refusal.to_dict()
    if refusal.code in CODES:
        message, remedy = translated(refusal, "ja")
        found["ja"] = {"message": message, "remedy": remedy}
    return found


def _charged_after(context: Context, ask: Ask, error: HitokuError) -> tuple[str | None, dict[str, Any]]:
    code = error.code if isinstance(error, EngineError | PeerError) else None
    began, charge = charge_of(context, ask, set())
    return began, {
        "error": type(error).__name__,
        "code": code or type(error).__name__,
        "message": str(error),
        "charge": charge,
    }


def charge_of(context: Context, ask: Ask, known: set[str]) -> tuple[str | None, str]:
    """What this member knows of the charge of a question that had no answer.

    Args:
        context: the console's.
        ask: the question.
        known: runs that belong to other questions.

    Returns:
        The run, where one had begun; and ``none`` (nothing had begun: nothing is charged), ``given_up`` (it
        ended before data was read: nothing is charged), ``charged`` (it counts as charged) or ``open`` (the
        owners may still charge it; they do if they hear nothing).
    """
    run = tables.runs.c
    wanted = sa.select(run.run, run.state).where(
        run.room == ask.room, run.role == str(Role.ASKER), run.created >= ask.created
    )
    current = ask.options.question
    if current is None:  # it may have been noted after `ask` was read
        from hitoku.console.work.asks_store import AsksStore

        found = AsksStore(context.node.store).find(ask.id)
        current = None if found is None else found.options.question
    if current is None:
        return None, "none"
    with context.node.store().reading() as connection:
        rows = connection.execute(wanted.where(run.question == current).order_by(run.created.desc())).all()
    for row in rows:
        identity = str(row.run).removeprefix(f"{Role.ASKER}:")
        if identity in known:
            continue
        state = RunState(row.state)
        words = {RunState.RESERVED: "open", RunState.COMMITTED: "charged", RunState.ABORTED: "given_up"}
        return identity, words[state]
    return None, "none"
