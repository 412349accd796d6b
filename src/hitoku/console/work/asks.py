# SPDX-License-Identifier: Apache-2.0
"""Questions asked in the console: written down before they run, run beside the requests, kept for their user.

Who sees what of a question that a user of this member asked:

- the user who asked it: all of it;
- who may ``audit``: its SQL, its state, what it cost and which run it was, of all users;
- the rows of its answer, of another user's question: only who may ``audit`` and ``ask``. Such a user could
  ask the same question of the same room and would be given the same answer again, at no cost: it gains
  nothing by it. An auditor who may not ask sees no rows;
- anybody else: nothing, not even that it exists.

All of it only in rooms that the user may see.
"""

from __future__ import annotations

import json
import queue
import threading
import uuid
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from hitoku import limits
from hitoku.console.context import Context, NotFound, RoomEntry
from hitoku.console.users import May, User
from hitoku.console.work.asks_store import Ask, AsksStore, Options, Phase, moment
from hitoku.console.work.charging import charge_of, charged_now
from hitoku.console.work.following import Following
from hitoku.console.work.running import Outcome, run
from hitoku.errors import EngineError, InputError, LimitError, RoomError
from hitoku.node.quotas import check_user

if TYPE_CHECKING:
    from hitoku.disclosure.answer import Answer

__all__ = ["Asks", "Seen", "asks_of"]

_OPEN: Final = ("queued", "running")
_PART: Final = "asks"
_FIRST: Final = threading.Lock()


def asks_of(context: Context) -> Asks:
    """The questions of a console; made, and what a restart cut off settled, where it is first asked for."""
    with _FIRST:
        found: Asks | None = context.parts.get(_PART)
        if found is None or found.closed:
            found = Asks(context)
            found.recover()
            context.parts[_PART] = found
        return found


@dataclass(frozen=True, slots=True)
class Seen:
    """A question as a user may see it.

    Attributes:
        ask: what was asked, its state, its phases as they are at this moment.
        mine: whether this user asked it.
        rows: whether this user may see the rows of its answer.
    """

    ask: Ask
    mine: bool
    rows: bool


@dataclass(slots=True)
class _Going:
    ask: Ask
    following: Following
    handle: Any = None
    claimed: set[str] = field(default_factory=set)


class Asks:
    """All questions of one console.

    Args:
        context: the console's.
        threads: how many run at the same time.

    Attributes:
        closed: the node ends: no question is taken on any more.
        settled: it has ended, and what became of each open question is written down.
    """

    def __init__(self, context: Context, threads: int = limits.CONSOLE_ASK_THREADS) -> None:
        self._context = context
        self.store = AsksStore(context.node.store)
        self._lock = threading.Lock()
        self._going: dict[str, _Going] = {}
        self._waiting: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._threads = threads
        self._started = 0
        self.closed = False
        self.settled = False
        self._closing: list[Callable[[], None]] = []

    # --- asking ---

    def ask(
        self,
        user: User,
        room: str,
        sql: str,
        *,
        receivers: Iterable[str] = (),
        users_noise: int | None = None,
        epsilon: str | None = None,
        identity: str | None = None,
    ) -> Ask:
        """Take a question on. It is written down when this returns, and runs as soon as a thread is free.

        Args:
            user: who asks.
            room: the room's id.
            sql: one SQL statement.
            receivers: who receives the answer; this member where nobody is named, if it may.
            users_noise: as for `hitoku.node.local.RoomHandle.ask`.
            epsilon: as there.
            identity: the id it is to have, 32 hexadecimal digits, so that a request that is sent twice asks
                once: where there is a question of that id, it is what is returned. A new one where None.

        Raises:
            NotFound: there is no such room for this user.
            RoomError: the room is not in force, or the node is ending.
            InputError: the text is empty, too long, or has characters that no SQL has.
            LimitError: the user, or all together, asked as much as they may.
        """
        entry = self._context.room(user, room)
        if entry.in_force is None:
            raise RoomError(f"room {entry.name!r} is not in force: its members must sign it first")
        checked(sql)
        now = self._context.clock.now()
        options = Options(tuple(receivers), users_noise, epsilon, None, user.name)
        ask = Ask(
            identity or uuid.uuid4().hex, user.id, entry.id, sql, options, "queued", moment(now), moment(now)
        )
        with self._lock:
            if self.closed:
                raise RoomError("this node is ending: ask again when it serves")
            known = None if identity is None else self.store.find(identity)
            if known is not None:
                if (known.user, known.room) != (user.id, entry.id):
                    raise _unknown()
                return known
            self._within_quotas(user, now)
            self.store.add(ask)
            following = Following(self._context.clock.now, lambda phases: self._write(ask.id, phases))
            self._going[ask.id] = _Going(ask, following)
            if self._started < self._threads:
                self._started += 1
                # A daemon: the end of the node does not wait for other members.
                threading.Thread(target=self._work, name="console-ask", daemon=True).start()
        self._waiting.put(ask.id)
        self._context.log("console ask", ask=ask.id, room=entry.id, user=user.id)
        return ask

    def _within_quotas(self, user: User, now: Any) -> None:
        mine = sum(1 for going in self._going.values() if going.ask.user == user.id)
        hour = moment(now - timedelta(hours=1))
        check_user(self._context.node.settings().quotas, mine, self.store.count(user=user.id, since=hour))
        if len(self._going) >= limits.MAX_CONSOLE_ASKS_OPEN:
            raise LimitError("too many questions wait for their turn: try again in a while")

    # --- looking ---

    def find(self, user: User, ask: str, room: str | None = None) -> Seen:
        """A question, as this user may see it.

        Raises:
            NotFound: there is no such question for this user, or not in this room.
        """
        found = self.store.find(ask) if len(ask) == 32 and ask.isalnum() and ask.isascii() else None
        if found is None or not user.sees(found.room) or (room is not None and found.room != room):
            raise _unknown()
        mine = found.user == user.id
        if not mine and not user.may(May.AUDIT):
            raise _unknown()
        with self._lock:
            going = self._going.get(ask)
        if going is not None and not found.ended:
            found = replace(found, phases=going.following.phases)
        (found,) = charged_now(self._context.node.store(), [found])
        return Seen(found, mine, mine or (user.may(May.AUDIT) and user.may(May.ASK)))

    def answer(self, user: User, ask: str, room: str | None = None) -> Answer:
        """The answer of a question.

        Raises:
            NotFound: there is none that this user may see.
        """
        from hitoku.disclosure.answer import Answer

        seen = self.find(user, ask, room)
        content = self.store.answer(ask) if seen.rows else None
        if content is None:
            raise _unknown()
        kept = json.loads(content)
        answer = Answer.from_message(kept["answer"], self._context.me)
        return replace(answer, deletion=kept["deletion"])

    def some(
        self, user: User, *, room: str | None = None, words: str = "", everybody: bool = False, page: int = 0
    ) -> tuple[list[Ask], bool]:
        """A page of questions that this user may see, the newest first, and whether there are more.

        Args:
            user: who looks.
            room: only of this room; of all that the user may see where None.
            words: only those whose SQL has this text.
            everybody: of all users, where this one may audit; else its own.
            page: from 0.
        """
        rooms = [entry.id for entry in self._context.rooms(user) if room in {None, entry.id}]
        size = limits.MAX_CONSOLE_ASKS_PAGE
        found = self.store.some(
            user=None if everybody and user.may(May.AUDIT) else user.id,
            rooms=rooms,
            words=words[: limits.MAX_CONSOLE_SEARCH_CHARS].replace("\0", " "),
            limit=size + 1,
            offset=max(0, min(page, 10_000)) * size,
        )
        return charged_now(self._context.node.store(), found[:size]), len(found) > size

    # --- cancelling ---

    def cancel(self, user: User, ask: str, room: str | None = None) -> None:
        """Give a question up. What another member had begun for it is charged.

        Nothing happens where it has ended.

        Raises:
            NotFound: there is no such question of this user's own.
        """
        if not self.find(user, ask, room).mine:
            raise _unknown()  # who audits looks, and changes nothing
        with self._lock:
            going = self._going.get(ask)
        if going is None:
            return
        going.following.cancelled = True
        handle = going.handle
        if handle is not None:
            handle.cancel()
        self._context.log("console ask cancelled", ask=ask, user=user.id)

    # --- being told ---

    def watch(self, ask: str, hear: Callable[[], None]) -> Callable[[], None]:
        """Call `hear` whenever something is new of a question, and when the console closes."""
        with self._lock:
            going = self._going.get(ask)
            self._closing.append(hear)
        stop = None if going is None else going.following.watch(hear)

        def ended() -> None:
            if stop is not None:
                stop()
            with self._lock, suppress(ValueError):
                self._closing.remove(hear)

        return ended

    def version(self, ask: str) -> int | None:
        """A number that grows whenever something is new; None where the question does not run here."""
        with self._lock:
            going = self._going.get(ask)
        return None if going is None else going.following.version

    # --- the end of the node, and its next start ---

    def close(self) -> None:
        """The node ends: take nothing more on, and note of each question that it was cut off.

        They are not cancelled: another member that has begun goes on, and gives the same answer at no cost to
        who asks again.
        """
        with self._lock:
            if self.closed:
                return
            self.closed = True
            going, watching = list(self._going.values()), list(self._closing)
            for _ in range(self._started):
                self._waiting.put(None)
        for one in going:
            with suppress(Exception):  # the database may be closed already: `recover` notes it then
                self._interrupted(one.ask.id, one.following.ended())
        self.settled = True  # only now may a stream take its last look
        for hear in watching:
            hear()

    def recover(self) -> int:
        """Settle what a kill or restart cut off. Returns how many questions there were."""
        found = self.store.some(states=_OPEN, limit=10_000)
        for ask in found:
            self._interrupted(ask.id, ask.phases)
        return len(found)

    def _interrupted(self, ask: str, phases: tuple[Phase, ...]) -> None:
        found = self.store.find(ask)
        if found is None or found.ended:
            return
        charge = charge_of(self._context.node.store(), found.run)
        why = {"error": "Interrupted", "code": "INTERRUPTED", "charge": charge, "message": ""}
        self.store.end(ask, "interrupted", self._context.clock.now(), phases=phases, why=why)

    # --- in the threads ---

    def _work(self) -> None:
        while True:
            ask = self._waiting.get()
            if ask is None or self.closed:
                return
            with self._lock:
                going = self._going[ask]
            try:
                self._one(going)
            except Exception as error:  # the database is gone: the next start settles it
                self._context.log("console ask lost", ask=ask, error=type(error).__name__)
            finally:
                with self._lock:
                    self._going.pop(ask, None)
                going.following.tell()

    def _one(self, going: _Going) -> None:
        ask, following, now = going.ask, going.following, self._context.clock.now
        if following.cancelled or not self.store.begin(ask.id, now()):
            self._end(ask, following, Outcome("cancelled"))
            return
        entry = self._entry(ask.room)
        if entry is None:
            self._end(ask, following, Outcome("failed", why=_gone()))
            return

        def opened(handle: Any) -> None:
            going.handle = handle
            if following.cancelled:
                handle.cancel()

        def begun(run: str) -> None:
            # Durable before the run is. What is noted as cut off or given up begins nothing any more.
            if not self.store.noted(ask.id, run=run):
                raise EngineError("the question was ended", "CANCELLED")

        outcome = run(
            self._context,
            entry,
            ask,
            following,
            opened,
            self._noted,
            begun,
            lambda run: self._claim(going, run),
        )
        self._end(ask, following, outcome)
        self.store.forget(ask.user, limits.MAX_CONSOLE_ASKS_KEPT)

    def _claim(self, going: _Going, run: str) -> bool:
        """Have a run that was cut off for this question alone, until its end is written down."""
        with self._lock:
            free = all(run not in other.claimed for other in self._going.values())
            going.claimed |= {run} if free else set()
        return free

    def _end(self, ask: Ask, following: Following, outcome: Outcome) -> None:
        self.store.end(
            ask.id,
            outcome.state,
            self._context.clock.now(),
            phases=following.ended(),
            answer=outcome.answer,
            why=outcome.why,
            run=outcome.run,
        )
        code = None if outcome.why is None else outcome.why.get("code")
        self._context.log("console ask ended", ask=ask.id, state=outcome.state, code=code, run=outcome.run)

    def _noted(self, ask: Ask, question: str) -> None:
        self.store.noted(ask.id, options=replace(ask.options, question=question))

    def _write(self, ask: str, phases: tuple[Phase, ...]) -> None:
        self.store.phases(ask, phases)

    def _entry(self, room: str) -> RoomEntry | None:
        return next((entry for entry in self._context.node.rooms() if entry.id == room), None)


def checked(sql: str) -> str:
    """The text of a question, if it can be one.

    Raises:
        InputError: it is empty, too long, or has characters that no SQL has.
    """
    if not sql.strip():
        raise InputError("write a question first")
    if len(sql) > limits.MAX_SQL_CHARS:
        raise InputError(f"a question has at most {limits.MAX_SQL_CHARS} characters")
    if "\0" in sql or any("\ud800" <= c <= "\udfff" for c in sql):
        raise InputError("the question has characters that no SQL has")
    return sql


def _unknown() -> NotFound:
    return NotFound("there is no such question, or it is not yours to see")


def _gone() -> dict[str, Any]:
    return {"error": "RoomError", "code": "ROOM_GONE", "message": "this node serves the room no more"}
