# SPDX-License-Identifier: Apache-2.0
"""A member's accounts: what its owner still admits, checked and written in the transaction of a reservation.

Three limits, all from the signed agreement, all on costs and texts and never on rows: budgets of a unit of
privacy, access budgets of tables, and overlaps. The balance of an account is the sum of its charges on
record; a charge is written before the consent that allows it, and given back only where the host's word is
that the run never began. Checking and writing are one transaction that no other writer can come between, so
any number of questions at once spend no more than one after the other.

An account is a unit's, whatever table, data version, protection or version of the agreement charged it. With
`refresh: CALENDAR_MONTH` the charges of the UTC month count; charges made under `NONE` were made for ever and
count in every month. A clock that is set back gives nothing: time never goes before the newest on record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from hitoku.errors import Refusal
from hitoku.room import store as tables
from hitoku.room.accounting import (
    DELTA_UNITS,
    RHO_UNITS,
    Charge,
    Remaining,
    admits,
    decimal_of,
    epsilon_of,
    remaining,
)
from hitoku.room.agreement import Agreement, Budget, Table
from hitoku.room.restored import LOST_BOX
from hitoku.room.rules import AccessBudget, AccessBudgetType

__all__ = ["Account", "Accounts", "Judge", "Window", "charge_facts", "settle"]

Judge = Callable[[str, str, list[str]], Refusal | None]
"""A table, the box that is asked of it, and all boxes asked before; why that is refused, or None."""

FOR_EVER: Final = "ever"
_ABORTED: Final = "aborted"
_LOST: Final = "lost"
_FORMAT: Final = "%Y-%m-%dT%H:%M:%S.%fZ"


@dataclass(frozen=True, slots=True)
class Account:
    """How an account of this member stands.

    Attributes:
        budget: what the agreement says of it.
        period: the month that counts, ``2026-11``, or ``ever``.
        charges: how many charges count.
        rho: their sum, in units of 10^-12.
        delta: their sum, in units of 10^-18.
    """

    budget: Budget
    period: str
    charges: int
    rho: int
    delta: int

    @property
    def left(self) -> Remaining:
        """What it still admits."""
        return remaining(self.budget, self.rho, self.delta)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        left = self.left
        return {
            "owner": self.budget.owner,
            "unit": self.budget.unit,
            "period": self.period,
            "refresh": self.budget.refresh,
            "epsilon": str(self.budget.epsilon),
            "delta": self.budget.delta,
            "charges": self.charges,
            "spent": {
                "epsilon": format(left.epsilon_spent, "f"),
                "rho": decimal_of(self.rho, RHO_UNITS),
                "delta": decimal_of(self.delta, DELTA_UNITS),
            },
            "left": {
                "rho": decimal_of(left.rho, RHO_UNITS),
                "delta": decimal_of(left.delta, DELTA_UNITS),
                "percent": 100 * left.rho // left.caps.rho if left.caps.rho else 0,
            },
        }


@dataclass(frozen=True, slots=True)
class Window:
    """How an access budget stands: `left` more questions of `table` in the window that began at `since`."""

    table: str
    type: AccessBudgetType
    budget: int
    left: int
    since: str | None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "table": self.table,
            "window": str(self.type),
            "budget": self.budget,
            "left": self.left,
            "since": self.since,
        }


def charge_facts(charges: Iterable[Charge], period: str | None = None) -> list[dict[str, str]]:
    """Charges as ledgers and answers write them: exact decimals."""
    more = {} if period is None else {"period": period}
    return [
        {
            "unit": c.unit,
            "rho": decimal_of(c.rho, RHO_UNITS),
            "delta": decimal_of(c.delta, DELTA_UNITS),
            **more,
        }
        for c in charges
    ]


class Accounts:
    """One member's accounts and access budgets in one room, within the caller's transaction.

    Args:
        connection: the transaction.
        agreement: the agreement in force; its limits are those of `owner`'s accounts and tables.
        owner: the member.
        now: the member's clock.
    """

    def __init__(self, connection: Connection, agreement: Agreement, owner: str, now: datetime) -> None:
        self._connection = connection
        self._agreement = agreement
        self._room = str(agreement.id)
        self._owner = owner
        self._now = max(now, self._newest_use() or now)

    def spend(self, run: str, question: str, charges: Iterable[Charge]) -> list[dict[str, str]]:
        """Charge a run to this member's accounts. Returns what the ledger says of it.

        Raises:
            Refusal: ``BUDGET_SPENT``, or ``NO_BUDGET`` where the agreement has no such account.
        """
        facts: list[dict[str, str]] = []
        for charge in _by_unit(c for c in charges if c.owner == self._owner):
            account = self.account(charge.unit)
            rho, delta = account.rho + charge.rho, account.delta + charge.delta
            if charge.rho < 0 or charge.delta < 0 or not admits(account.budget, rho, delta):
                raise _spent(account, charge)
            self._charge(run, question, account, charge)
            facts += charge_facts([charge], account.period)
        return facts

    def use(
        self,
        run: str,
        names: Iterable[str],
        boxes: Iterable[tuple[str, str]] = (),
        judge: Judge | None = None,
    ) -> None:
        """Count a question of this member's tables.

        Args:
            run: the run's key.
            names: the tables in the question.
            boxes: table, and what it asks of the table's overlap columns.
            judge: decides on overlaps; needed where there are boxes.

        Raises:
            Refusal: ``ACCESS_BUDGET_SPENT``, or what `judge` says.
        """
        asked = dict(boxes)
        for name in names:
            table = self._agreement.table(name)
            if table is None or table.owner != self._owner:
                continue
            for window in self._windows(table):
                if window.left < 1:
                    raise _used_up(table, window)
            box = asked.get(name)
            if box is not None:
                self._check_overlap(name, box, judge)
            row = {
                "run": run,
                "table": name,
                "room": self._room,
                "time": self._now.strftime(_FORMAT),
                "box": box,
                "state": "reserved",
            }
            self._connection.execute(sa.insert(tables.uses), row)

    def close(self, run: str) -> list[dict[str, str]]:
        """Take all that this member's accounts and tables still admit. Returns what the ledger says of it.

        Args:
            run: stands for the runs that are no longer on record; at most 40 characters.
        """
        facts: list[dict[str, str]] = []
        for account in self.all():
            left, unit = account.left, account.budget.unit
            charge = Charge(self._owner, unit, max(0, left.rho), max(0, left.delta))
            self._charge(run, _LOST, account, charge)
            facts += charge_facts([charge], account.period)
        settle(self._connection, run, "committed")
        time = self._now.strftime(_FORMAT)
        for table in self._agreement.tables:
            if table.owner != self._owner:
                continue
            count = max([1, *(window.left for window in self._windows(table))])
            rows = [
                {
                    "run": f"{run}:{number}",
                    "table": table.name,
                    "room": self._room,
                    "time": time,
                    "box": None if number else LOST_BOX,
                    "state": "committed",
                }
                for number in range(count)
            ]
            self._connection.execute(sa.insert(tables.uses), rows)
        return facts

    def account(self, unit: str) -> Account:
        """How the account of a unit stands.

        Raises:
            Refusal: the agreement has none.
        """
        budget = self._agreement.budget(self._owner, unit)
        if budget is None:
            raise _refusal("NO_BUDGET", f"budgets.{unit}", owner=self._owner, unit=unit)
        known = tables.charges.c
        period, counted = FOR_EVER, (known.room == self._room) & (known.unit == unit)
        if budget.refresh == "CALENDAR_MONTH":
            period = self._month()
            counted &= known.period.in_((period, FOR_EVER))
        count, rho, delta = self._connection.execute(
            sa.select(
                sa.func.count(),
                sa.func.coalesce(sa.func.sum(known.rho), 0),
                sa.func.coalesce(sa.func.sum(known.delta), 0),
            ).where(counted, known.state != _ABORTED)
        ).one()
        return Account(budget, period, int(count), int(rho), int(delta))

    def all(self) -> tuple[Account, ...]:
        """How all accounts of this member stand."""
        return tuple(self.account(b.unit) for b in self._agreement.budgets if b.owner == self._owner)

    def windows(self, names: Iterable[str] | None = None) -> tuple[Window, ...]:
        """How the access budgets of this member's tables stand; of all of them where none is named."""
        wanted = None if names is None else set(names)
        return tuple(
            window
            for table in self._agreement.tables
            if table.owner == self._owner and (wanted is None or table.name in wanted)
            for window in self._windows(table)
        )

    def _charge(self, run: str, question: str, account: Account, charge: Charge) -> None:
        row = {
            "run": run,
            "unit": charge.unit,
            "room": self._room,
            "period": account.period,
            "question": question,
            "rho": charge.rho,
            "delta": charge.delta,
            "state": "reserved",
        }
        self._connection.execute(sa.insert(tables.charges), row)

    def _windows(self, table: Table) -> list[Window]:
        return [self._window(table, budget) for budget in table.access_budgets]

    def _window(self, table: Table, budget: AccessBudget) -> Window:
        use = tables.uses.c
        since = _began(budget.type, self._now)
        counted = (use.room == self._room) & (use.table == table.name) & (use.state != _ABORTED)
        if since is not None:
            counted &= use.time >= since.strftime(_FORMAT)
        count = self._connection.scalar(sa.select(sa.func.count()).where(counted)) or 0
        began = None if since is None else since.strftime("%Y-%m-%d")
        return Window(table.name, budget.type, budget.budget, max(0, budget.budget - int(count)), began)

    def _check_overlap(self, table: str, box: str, judge: Judge | None) -> None:
        if judge is None:
            raise ValueError("a box without a judge")
        use = tables.uses.c
        earlier = self._connection.scalars(
            sa.select(use.box)
            .where(use.room == self._room, use.table == table, use.state != _ABORTED, use.box.is_not(None))
            .distinct()
        )
        texts = [str(text) for text in earlier]
        if LOST_BOX in texts:
            raise _refusal("OVERLAPS_LOST", f"tables.{table}", owner=self._owner, table=table)
        refusal = judge(table, box, texts)
        if refusal is not None:
            raise refusal

    def _month(self) -> str:
        """The UTC month, but never one before the newest on record."""
        known = tables.charges.c
        newest = self._connection.scalar(
            sa.select(sa.func.max(known.period)).where(known.room == self._room, known.period != FOR_EVER)
        )
        return max(self._now.strftime("%Y-%m"), str(newest or ""))

    def _newest_use(self) -> datetime | None:
        use = tables.uses.c
        newest = self._connection.scalar(sa.select(sa.func.max(use.time)).where(use.room == self._room))
        return None if newest is None else datetime.strptime(str(newest), _FORMAT).replace(tzinfo=UTC)


def settle(connection: Connection, run: str, state: str) -> list[dict[str, str]]:
    """Take over how a run ended. Returns its charges, as the ledger says them."""
    charge, use = tables.charges, tables.uses
    connection.execute(sa.update(charge).where(charge.c.run == run).values(state=state))
    connection.execute(sa.update(use).where(use.c.run == run).values(state=state))
    rows = connection.execute(sa.select(charge).where(charge.c.run == run).order_by(charge.c.unit))
    return [
        fact
        for row in rows
        for fact in charge_facts([Charge("", str(row.unit), int(row.rho), int(row.delta))], str(row.period))
    ]


def _by_unit(charges: Iterable[Charge]) -> list[Charge]:
    """One charge a unit."""
    summed: dict[str, Charge] = {}
    for c in charges:
        known = summed.get(c.unit)
        summed[c.unit] = (
            c if known is None else replace(c, rho=known.rho + c.rho, delta=known.delta + c.delta)
        )
    return list(summed.values())


def _began(kind: AccessBudgetType, now: datetime) -> datetime | None:
    day = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if kind is AccessBudgetType.CALENDAR_DAY:
        return day
    if kind is AccessBudgetType.CALENDAR_WEEK:
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if kind is AccessBudgetType.CALENDAR_MONTH else None


def _spent(account: Account, charge: Charge) -> Refusal:
    left = account.left
    return _refusal(
        "BUDGET_SPENT",
        f"budgets.{charge.unit}",
        owner=account.budget.owner,
        unit=charge.unit,
        cost=_short(epsilon_of(max(0, charge.rho), left.caps.delta)),
        spent=_short(left.epsilon_spent),
        epsilon=str(account.budget.epsilon),
    )


def _used_up(table: Table, window: Window) -> Refusal:
    return _refusal(
        "ACCESS_BUDGET_SPENT",
        f"tables.{table.name}.access_budgets",
        owner=table.owner,
        table=table.name,
        limit=str(window.budget),
        window=str(window.type),
    )


def _short(value: Any) -> str:
    return f"{value:.4f}"


# The same sentences stand in the catalogue (`hitoku.questions.wording`), which this room cannot import.
_SENTENCES: Final = {
    "NO_BUDGET": (
        "{owner} has no account for the unit {unit}.",
        "Ask {owner} to agree on a budget for {unit}.",
    ),
    "BUDGET_SPENT": (
        (
            "The question costs more than {owner}'s account for {unit} has left: epsilon {cost} alone, and "
            "{spent} of {epsilon} are spent."
        ),
        (
            "Ask with more noise, which costs less; repeat an answered question, which costs nothing; or ask "
            "{owner} to agree on more."
        ),
    ),
    "OVERLAPS_LOST": (
        "What was asked of {table} before {owner} restored a backup is no longer known.",
        "Ask {owner} to contribute the table under another name.",
    ),
    "ACCESS_BUDGET_SPENT": (
        "All questions that {owner} allows of {table} are asked: {limit} in the window {window}.",
        "Ask again in the next window, or ask {owner} for a larger access budget.",
    ),
}


def _refusal(code: str, rule: str, *, owner: str, **names: str) -> Refusal:
    message, remedy = _SENTENCES[code]
    params = {"owner": owner, **names}
    return Refusal(
        code,
        message.format_map(params),
        rule=rule,
        owner=owner,
        remedy=remedy.format_map(params),
        params=params,
    )
