# SPDX-License-Identifier: Apache-2.0
"""Learning runs in a member's accounts and ledger: charged before a row is read, never given back.

One plan is run once. The charge of a plan with privacy is taken from this member's account in the transaction
that writes the ledger entry; a bank's process reads no row before that is durable. A run that fails has shown
noisy sums all the same, and whether it fails can depend on the rows: so nothing is ever given back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import sqlalchemy as sa

from hitoku.errors import Refusal
from hitoku.learning.planning import charges
from hitoku.learning.signing import SignedPlan
from hitoku.ports import Clock
from hitoku.room import store as tables
from hitoku.room.agreement import Agreement
from hitoku.room.budgets import Accounts, settle
from hitoku.room.ledger import EntryKind
from hitoku.room.records import Records
from hitoku.room.runs import RunState

__all__ = ["Learnings"]

_ROLE: Final = "learning"
_TIME: Final = "%Y-%m-%dT%H:%M:%S.%fZ"


class Learnings:
    """The learning runs that a member took part in, in one room.

    Args:
        records: what the member remembers of the room.
        clock: dates what is recorded.
    """

    def __init__(self, records: Records, clock: Clock) -> None:
        self._records, self._clock = records, clock

    def begin(self, signed: SignedPlan, run: str, agreement: Agreement) -> None:
        """Record that this member takes part, and charge it; does nothing where this run was begun before.

        Args:
            signed: the plan, with all signatures.
            run: the run's id.
            agreement: the agreement in force, whose budgets hold.

        Raises:
            RoomError: the plan is not in force.
            Refusal: ``BUDGET_SPENT`` or ``NO_BUDGET``; ``PLAN_USED`` where the plan was run before as another
                run. Nothing is recorded or charged then.
        """
        signed.verify(agreement)
        records, now = self._records, self._clock.now()
        key, moment = f"{_ROLE}:{run}", now.strftime(_TIME)
        known = tables.runs.c
        with records.store.transaction() as connection:
            records.ledger.lock(connection)
            earlier = connection.execute(
                sa.select(known.run, known.plan).where(
                    known.room == records.room,
                    known.role == _ROLE,
                    (known.plan == signed.hash) | (known.run == key),
                )
            ).all()
            if any((row.run, row.plan) != (key, signed.hash) for row in earlier):
                raise _used(signed)
            if earlier:
                return
            row = {
                "run": key,
                "room": records.room,
                "role": _ROLE,
                "asker": signed.plan.server,
                "host": signed.plan.server,
                "question": signed.hash,
                "plan": signed.hash,
                "state": str(RunState.COMMITTED),
                "created": moment,
                "updated": moment,
                "repeats": None,
            }
            connection.execute(sa.insert(tables.runs), row)
            accounts = Accounts(connection, agreement, records.member, now)
            facts = accounts.spend(key, signed.hash, charges(signed.plan))
            settle(connection, key, str(RunState.COMMITTED))
            body: dict[str, Any] = {
                "run": run,
                "state": "begun",
                "plan": signed.hash,
                "name": signed.plan.name,
                "role": "server" if records.member == signed.plan.server else "member",
                "members": list(signed.plan.members),
                "server": signed.plan.server,
                **({"charges": facts} if facts else {}),
            }
            records.ledger.append(connection, EntryKind.LEARNING, body)

    def begun(self, run: str) -> bool:
        """Whether this member has taken part in a run before."""
        records, known = self._records, tables.runs.c
        with records.store.transaction() as connection:
            found = connection.execute(
                sa.select(known.run).where(
                    known.room == records.room, known.role == _ROLE, known.run == f"{_ROLE}:{run}"
                )
            ).first()
        return found is not None

    def end(self, signed: SignedPlan, run: str, model: str | None, facts: Mapping[str, Any]) -> None:
        """Record how a run ended.

        Args:
            signed: the plan.
            run: the run's id.
            model: hash of the model's file; None where there is none.
            facts: what else the ledger says, JSON-ready.
        """
        body = {"run": run, "state": "ended", "plan": signed.hash, "model": model or "none", **facts}
        with self._records.store.transaction() as connection:
            self._records.ledger.append(connection, EntryKind.LEARNING, body)


def _used(signed: SignedPlan) -> Refusal:
    return Refusal(
        "PLAN_USED",
        f"plan {signed.plan.name!r} was run before: a second run over the same rows would show what changed",
        rule="plan",
        remedy="make the plan again (it gets another salt) and have all members sign it",
    )
