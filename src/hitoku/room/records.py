# SPDX-License-Identifier: Apache-2.0
"""What a member remembers of one room: its runs and its ledger; the others' heads are in `record_heads`.

Every step of a run is one transaction that writes the run's state and its ledger entries together. A run is
*reserved* before any data is read, then *committed* (charged) or *aborted*. Whatever moment a process is
killed at, either both are there or neither; a run that is still reserved long after its consent ended is
charged by `recover`, because what the host read or released cannot be taken back.

An owner's reservation also takes what the run costs of its accounts (`hitoku.room.budgets`). A run that
repeats another gives that one's answer again: it computes nothing and costs no privacy, so it has no charge.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from hitoku import limits
from hitoku.errors import Refusal
from hitoku.room import answers, budgets, keytables
from hitoku.room import store as tables
from hitoku.room.agreement import Agreement
from hitoku.room.answers import KeptAnswer
from hitoku.room.budgets import Account, Accounts, Judge, Window
from hitoku.room.canonical import agreement_hash
from hitoku.room.jobs import JobState
from hitoku.room.ledger import EntryKind
from hitoku.room.record_heads import Heads, charged_in
from hitoku.room.runs import Role, Run, RunState

__all__ = ["Beside", "Consented", "Records", "Role", "Run", "RunState", "replayed"]

Beside = Callable[[Connection], None]
"""Writes something in a transaction of a record."""


def _nothing(connection: Connection) -> None:
    del connection


class Records(Heads):
    """A member's durable record of one room."""

    def accept(self, agreement: Agreement) -> None:
        """Record a version of the agreement that this member signed or took over; once each."""
        row = {"room": self.room, "version": agreement.version, "hash": agreement_hash(agreement)}
        known = tables.agreements.c
        with self.store.reading() as connection:
            if connection.scalar(_versions(known, row)) is not None:
                return
        if self.ledger.restored() is not None:
            return  # written when the ledger may go on
        with self._writing() as connection:
            if connection.scalar(_versions(known, row)) is not None:
                return
            connection.execute(sa.insert(tables.agreements), row)
            self.ledger.append(
                connection, EntryKind.AGREEMENT, {"version": agreement.version, "agreement": row["hash"]}
            )

    def refused(self, asker: str, sql: str, refusal: Refusal) -> None:
        """Record that a question was refused; its text only as a hash, for it was never checked."""
        body = {
            "asker": asker,
            "sql": "sha256:" + hashlib.sha256(sql.encode("utf-8", "surrogatepass")).hexdigest(),
            "code": refusal.code,
            "rule": refusal.rule,
            "owner": refusal.owner,
        }
        with self.store.transaction() as connection:
            self.ledger.append(connection, EntryKind.REFUSAL, body)

    def deleted(self, table: str, reason: str) -> None:
        """Record that this member's copy of a table was deleted."""
        with self.store.transaction() as connection:
            self.ledger.append(connection, EntryKind.DELETION, {"table": table, "reason": reason})

    def reserve(
        self, run: Run, agreement: Agreement, judge: Judge | None = None, beside: Beside = _nothing
    ) -> None:
        """Record question, verdict and reservation, before any data is read.

        An owner's accounts, access budgets and overlaps are checked and charged in the same transaction.

        Args:
            run: the run.
            agreement: the agreement in force, whose limits hold.
            judge: decides on overlaps; needed where the run has boxes.
            beside: writes something else in the same transaction.

        Raises:
            Refusal: a run of this id was reserved before: consents are for one run. As owner also
                ``BUDGET_SPENT``, ``ACCESS_BUDGET_SPENT``, what `judge` says, or ``NOT_CHARGED`` where the run
                that it repeats was not charged here for the same. Nothing is recorded then.
        """
        moment = self._clock.now()
        now, key = _time(moment), _key(run.id, run.role)
        row: dict[str, Any] = {
            "run": key,
            "room": self.room,
            "role": str(run.role),
            "asker": run.asker,
            "host": run.host,
            "question": run.question,
            "plan": run.plan,
            "state": str(RunState.RESERVED),
            "created": now,
            "updated": now,
            "repeats": run.repeats,
        }
        again = {} if run.repeats is None else {"repeats": run.repeats}
        with self._writing() as connection:
            if connection.scalar(sa.select(tables.runs.c.run).where(tables.runs.c.run == key)):
                raise replayed()
            connection.execute(sa.insert(tables.runs), row)
            charged: list[dict[str, str]] = []
            if run.role is Role.OWNER:
                accounts = Accounts(connection, agreement, self.member, moment)
                if run.repeats is None:
                    charged = accounts.spend(key, run.question, run.charges)
                elif not self._charged(connection, run):
                    raise _not_charged(self.member)
                accounts.use(key, run.tables, run.boxes, judge)
            self._entries(
                connection,
                run.id,
                (
                    EntryKind.QUESTION,
                    {
                        "role": str(run.role),
                        "asker": run.asker,
                        "host": run.host,
                        "question": run.question,
                        "sql": run.sql,
                        "protection": run.protection,
                        "receivers": list(run.receivers),
                        **again,
                    },
                ),
                (EntryKind.VERDICT, {"question": run.question, "verdict": "accept"}),
            )
            if run.repeats is None:
                body = {"plan": run.plan, "tables": list(run.tables), **charged_in(charged)}
                self._entries(connection, run.id, (EntryKind.RESERVATION, body))
            beside(connection)

    def commit(
        self,
        run: str,
        role: Role,
        facts: Mapping[str, Any],
        kept: KeptAnswer | None = None,
        beside: Beside = _nothing,
    ) -> int | None:
        """Record that a run was released, and charge it. Returns the release's ledger entry.

        Does nothing, and returns None, where the run is not reserved: it was settled before.

        Args:
            run: the run.
            role: what this member is in it.
            facts: what the ledger says of the release.
            kept: as host, the answer, to be given again.
            beside: writes something else in the same transaction, if the run is reserved.
        """
        with self._writing() as connection:
            settled = self._settle(connection, run, role, RunState.COMMITTED)
            if settled is None:
                return None
            if kept is not None:
                answers.keep(connection, self.room, kept)
            beside(connection)
            if settled.repeats is None:
                self._entries(connection, run, (EntryKind.CHARGE, {"role": str(role), **settled.charges}))
            return self._entries(connection, run, (EntryKind.RELEASE, {**facts, **settled.again}))

    def received(self, run: str, facts: Mapping[str, Any]) -> int | None:
        """As asker, record the answer of a run that was charged since nobody told its end. Returns the entry.

        Does nothing, and returns None, where the run was charged for any other reason: that entry tells.
        """
        ends = (entry.body for entry in self.ledger.entries(kind=EntryKind.CHARGE))
        if not any(
            (body.get("run"), body.get("role")) == (run, str(Role.ASKER)) and "reason" in body
            for body in ends
        ):
            return None
        with self._writing() as connection:
            return self._entries(connection, run, (EntryKind.RELEASE, dict(facts)))

    def abort(self, run: str, role: Role, reason: str) -> None:
        """Record that a run ended before any data was read, so that nothing is charged.

        An owner that has begun its own part of the run has read its data, and shown some of it with noise, or
        made keys that an enclave opens it with: it charges the run all the same, whatever who leads it says.
        """
        known, held = tables.jobs.c, keytables.keys.c
        begun = (known.run == run) & (known.room == self.room) & (known.state != str(JobState.REFUSED))
        job = sa.select(known.run).where(begun)
        key = sa.select(held.run).where(held.run == run, held.room == self.room)
        with self._writing() as connection:
            if role is Role.OWNER and any(connection.scalar(begun) is not None for begun in (job, key)):
                self._end(connection, run, role, "given up after it had begun")
                return
            if self._settle(connection, run, role, RunState.ABORTED) is not None:
                self._entries(connection, run, (EntryKind.ABORT, {"role": str(role), "reason": reason}))

    def fail(self, run: str, role: Role, reason: str, beside: Beside = _nothing) -> None:
        """Record that a run failed after data was read: nothing was released, and it is charged all the same.

        Whether a run fails can depend on the data, so a refund would tell something of it.
        """
        with self._writing() as connection:
            self._end(connection, run, role, reason)
            beside(connection)

    def bury(self, run: str, asker: str) -> bool:
        """As host: see to it that a run that was not begun never will be. Returns whether that is so."""
        now = _time(self._clock.now())
        row = {
            "run": _key(run, Role.HOST),
            "room": self.room,
            "role": str(Role.HOST),
            "asker": asker,
            "host": self.member,
            "question": "",
            "plan": "",
            "state": str(RunState.ABORTED),
            "created": now,
            "updated": now,
        }
        with self._writing() as connection:
            known = tables.runs.c
            here = sa.select(known.asker, known.state).where(known.run == row["run"])
            before = connection.execute(here).first()
            if before is not None:  # buried already, by the same asker, or begun
                return tuple(before) == (asker, str(RunState.ABORTED))
            connection.execute(sa.insert(tables.runs), row)
            body = {"role": str(Role.HOST), "asker": asker, "reason": "cancelled before it began"}
            self._entries(connection, run, (EntryKind.ABORT, body))
        return True

    def beside(self, write: Beside) -> None:
        """Write something else in a transaction of its own."""
        with self.store.transaction() as connection:
            write(connection)

    def while_reserved(self, run: str, role: Role, write: Beside) -> None:
        """Write something else for a run, if it is still reserved.

        Raises:
            Refusal: it is not, or never was.
        """
        row = tables.runs.c
        here = sa.select(row.state).where(row.run == _key(run, role), row.room == self.room)
        with self._writing() as connection:
            if connection.scalar(here) != RunState.RESERVED:
                raise replayed()
            write(connection)

    def host_of(self, run: str) -> str | None:
        """As owner: the host that a run was consented to; None if there was no such consent."""
        with self.store.reading() as connection:
            value = connection.scalar(
                sa.select(tables.runs.c.host).where(
                    tables.runs.c.run == _key(run, Role.OWNER), tables.runs.c.room == self.room
                )
            )
        return None if value is None else str(value)

    def consented(self, run: str) -> Consented | None:
        """As owner: what a run is that this member consented to; None if there was no such consent."""
        row = tables.runs.c
        wanted = (row.asker, row.host, row.question, row.plan, row.repeats, row.state)
        with self.store.reading() as connection:
            found = connection.execute(
                sa.select(*wanted).where(row.run == _key(run, Role.OWNER), row.room == self.room)
            ).first()
        if found is None:
            return None
        return Consented(
            asker=str(found.asker),
            host=str(found.host),
            question=str(found.question),
            plan=str(found.plan),
            repeats=None if found.repeats is None else str(found.repeats),
            state=RunState(found.state),
        )

    def recover(self) -> int:
        """Charge the runs whose end this member never heard of. Returns how many there were."""
        run = tables.runs.c
        oldest = _time(self._clock.now() - timedelta(seconds=limits.RUN_SECONDS))
        # Runs that outlive their request end with their job, not by the clock.
        job = tables.jobs.c
        under_way = sa.select(job.run).where(
            job.room == self.room, job.state.in_((str(JobState.OPEN), str(JobState.RELEASED)))
        )
        open_runs = sa.select(run.run).where(
            run.room == self.room,
            run.state == str(RunState.RESERVED),
            run.created < oldest,
            sa.func.substr(run.run, sa.func.length(run.role) + 2).not_in(under_way),
        )
        with self.store.reading() as connection:
            if connection.scalar(open_runs.limit(1)) is None:
                return 0
        if self.ledger.restored() is not None:
            return 0  # they stay reserved, which counts as spent, until the ledger may go on
        with self._writing() as connection:
            found = [str(key) for key in connection.scalars(open_runs)]
            for key in found:
                role, _, identity = key.partition(":")
                self._end(connection, identity, Role(role), "no word of its end: it counts as released")
        return len(found)

    def kept(self, key: str) -> KeptAnswer | None:
        """As host: the answer of that key (`hitoku.room.answers.answer_key`), if it is kept."""
        with self.store.reading() as connection:
            return answers.find(connection, self.room, key)

    def forget_answers(self, table: str) -> int:
        """As host: delete the kept answers that rest on a table. Returns how many there were."""
        with self.store.transaction() as connection:
            return answers.forget(connection, self.room, table)

    def accounts(self, agreement: Agreement) -> tuple[Account, ...]:
        """How this member's accounts stand, in the order of the agreement."""
        with self.store.reading() as connection:
            return Accounts(connection, agreement, self.member, self._clock.now()).all()

    def windows(self, agreement: Agreement, names: Iterable[str] | None = None) -> tuple[Window, ...]:
        """How the access budgets of this member's tables stand; of all of them where none is named."""
        with self.store.reading() as connection:
            return Accounts(connection, agreement, self.member, self._clock.now()).windows(names)

    def state(self, run: str, role: Role) -> RunState | None:
        """Where a run stands; None if it is not known."""
        with self.store.reading() as connection:
            value = connection.scalar(
                sa.select(tables.runs.c.state).where(
                    tables.runs.c.run == _key(run, role), tables.runs.c.room == self.room
                )
            )
        return None if value is None else RunState(value)

    def asked(self, run: str) -> tuple[str, str, str] | None:
        """As asker: the hashes of a run's question and plan, and its host; None where it is not known here.

        A run that ended before any data was read is over, and one that gives an old answer again has none of
        its own: neither is known.
        """
        row = tables.runs.c
        with self.store.reading() as connection:
            found = connection.execute(
                sa.select(row.question, row.plan, row.host).where(
                    row.run == _key(run, Role.ASKER),
                    row.room == self.room,
                    row.repeats.is_(None),
                    row.state != str(RunState.ABORTED),
                )
            ).first()
        return None if found is None else (str(found.question), str(found.plan), str(found.host))

    def _charged(self, connection: Connection, run: Run) -> bool:
        """Whether this owner charged the run that `run` repeats, for the same question, plan and asker."""
        row = tables.runs.c
        found = connection.scalar(
            sa.select(row.run).where(
                row.run == _key(str(run.repeats), Role.OWNER),
                row.room == self.room,
                row.asker == run.asker,
                row.host == run.host,
                row.question == run.question,
                row.plan == run.plan,
                row.repeats.is_(None),
                # Reserved counts as spent; the host's word that it ended may not have come yet.
                row.state.in_((str(RunState.RESERVED), str(RunState.COMMITTED))),
            )
        )
        return found is not None

    def _settle(self, connection: Connection, run: str, role: Role, state: RunState) -> _Settled | None:
        """Set a reserved run's state, its charges' and its uses'; None where it is not reserved."""
        row, key = tables.runs.c, _key(run, role)
        here = (row.run == key) & (row.room == self.room)  # another room's member may know the run's id
        done = connection.execute(
            sa.update(tables.runs)
            .where(here, row.state == str(RunState.RESERVED))
            .values(state=str(state), updated=_time(self._clock.now()))
        )
        if done.rowcount != 1:
            return None
        repeats = connection.scalar(sa.select(row.repeats).where(here))
        charges = budgets.settle(connection, key, str(state))
        return _Settled(charged_in(charges), None if repeats is None else str(repeats))

    def _end(self, connection: Connection, run: str, role: Role, reason: str) -> None:
        """Charge a run of which nothing is known to be released, or of which nobody told the end."""
        settled = self._settle(connection, run, role, RunState.COMMITTED)
        if settled is not None:
            kind = EntryKind.CHARGE if settled.repeats is None else EntryKind.RELEASE
            body = {"role": str(role), "reason": reason, **settled.charges, **settled.again}
            self._entries(connection, run, (kind, body))

    def _entries(self, connection: Connection, run: str, *entries: tuple[EntryKind, dict[str, Any]]) -> int:
        seq = 0
        for kind, body in entries:
            seq = self.ledger.append(connection, kind, {"run": run} | body)
        return seq


@dataclass(frozen=True, slots=True)
class Consented:
    """A run as its owner consented to it.

    Attributes:
        asker: who asked.
        host: where it runs.
        question: the question's hash.
        plan: the plan's.
        repeats: the run whose answer it gives again; None where it computes one.
        state: where it stands.
    """

    asker: str
    host: str
    question: str
    plan: str
    repeats: str | None
    state: RunState


@dataclass(frozen=True, slots=True)
class _Settled:
    charges: dict[str, Any]
    repeats: str | None

    @property
    def again(self) -> dict[str, str]:
        return {} if self.repeats is None else {"repeats": self.repeats}


def replayed() -> Refusal:
    """The Refusal of consents that were used before."""
    return Refusal(
        "CONSENT_REPLAYED",
        "these consents were used before: nothing was run",
        remedy="ask again; consents are for one run",
    )


def _not_charged(member: str) -> Refusal:
    return Refusal(
        "NOT_CHARGED",
        f"{member!r} has no charge on record for the answer that is to be given again: nothing was run",
        owner=member,
        remedy="ask it as a new question",
    )


def _versions(known: Any, row: Mapping[str, Any]) -> Any:
    return sa.select(known.hash).where(known.room == row["room"], known.version == row["version"])


def _key(run: str, role: Role) -> str:
    # A member may be asker and owner of one run.
    return f"{role}:{run}"


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
