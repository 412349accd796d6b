# SPDX-License-Identifier: Apache-2.0
"""One question of the console on its way: opened as this member, asked, and what became of it.

The console asks as the member does on the command line: over the network, with its own node answering for it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from hitoku.console.context import Context, RoomEntry
from hitoku.console.work.charging import charge_of
from hitoku.errors import EngineError, HitokuError, PeerError, Refusal

if TYPE_CHECKING:
    from hitoku.ask import Sent
    from hitoku.console.work.asks_store import Ask, Options
    from hitoku.console.work.following import Following
    from hitoku.disclosure.answer import Answer
    from hitoku.node.remote import RemoteRoom

__all__ = ["Outcome", "explained_refusal", "run"]

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
    begun: Callable[[str], None],
    claim: Callable[[str], bool],
) -> Outcome:
    """Ask the question and wait for its end. Raises nothing that a question can cause.

    Args:
        context: the console's.
        entry: the room.
        ask: the question, written down.
        following: hears about the phases.
        opened: is handed the room before anything is asked, so that it can be cancelled.
        noted: is told the question's hash before anything is asked.
        begun: is told each run that is asked for, or waited for, before it is; what it raises ends the
            question.
        claim: whether a run that was cut off is this question's to take up, and no other's.
    """
    from hitoku.node.remote import open_remote_room

    runs: list[str] = []

    def bound(run: str) -> None:
        begun(run)
        runs.append(run)

    def charge() -> dict[str, str]:
        return {"charge": charge_of(context.node.store(), runs[-1] if runs else None)}

    try:
        handle = open_remote_room(context.node.directory.path, entry.id, clock=context.clock)
        opened(handle)
        found = handle.explain(ask.sql)
        if found.question is not None:
            noted(ask, found.question.hash)
            handle.cut_off = _cut_off(context, ask, found.question.hash, claim)
        handle.begun = bound
        return _outcome(_asked(handle, ask.sql, ask.options, following))
    except Refusal as refusal:
        return Outcome("refused", why=explained_refusal(refusal) | (charge() if runs else {}))
    except HitokuError as error:
        cancelled = isinstance(error, EngineError) and error.code == "CANCELLED"
        return Outcome("cancelled" if cancelled else "failed", why=_why(error) | charge())
    except Exception as error:  # a bug: its text may hold anything, so only its kind is kept
        context.log("console ask broke", ask=ask.id, error=type(error).__name__)
        why = {"error": "Failure", "code": "INTERNAL", "message": ""}
        return Outcome("failed", why=why | (charge() if runs else {}))


def _cut_off(context: Context, ask: Ask, question: str, claim: Callable[[str], bool]) -> Iterator[str]:
    """The runs of this question that were cut off and whose answer nobody has here, one after the other.

    By a restart of this node, or since another member could not be reached. Each is for one question only:
    two that are asked at once do not wait for the same run.
    """
    from hitoku.console.work.asks_store import AsksStore

    store = AsksStore(context.node.store)
    left = store.some(rooms=[ask.room], states=["failed", "interrupted"], limit=_LEFT)
    mine = {one.run: None for one in left if one.options.question == question and _lost(one)}
    for run in mine:
        if run is not None and claim(run) and run not in store.runs(ask.room, states=["done"]):
            yield run


def _lost(ask: Ask) -> bool:
    """Whether nobody here heard how a question's run ended."""
    return ask.state == "interrupted" or (ask.refusal or {}).get("code") == PeerError.__name__


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


def _why(error: HitokuError) -> dict[str, Any]:
    kind = type(error).__name__
    code = error.code if isinstance(error, EngineError | PeerError) else None
    return {"error": kind, "code": code or kind, "message": str(error)}
