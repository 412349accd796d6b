# SPDX-License-Identifier: Apache-2.0
"""Accounts and access budgets in the console: how they stand, what was spent, what a question would cost."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import Any, Final

from pydantic import ValidationError

from hitoku import limits
from hitoku.console.context import Context, RoomEntry
from hitoku.errors import InputError, RoomError
from hitoku.findings import findings
from hitoku.room.agreement import Agreement, Budget, Table
from hitoku.room.budgets import Account, Window
from hitoku.room.ledger import EntryKind, read_entry
from hitoku.room.rules import AccessBudget, AccessBudgetType, CustomRule

__all__ = [
    "Spent",
    "Standing",
    "account_of",
    "change_account",
    "change_windows",
    "history",
    "odds",
    "preview",
    "remove_account",
    "standing",
    "units_of",
]

_HISTORY: Final = 50
_CHARGE: Final = b'"charge"'
"""In every entry that charges; few others are read in full."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How this member's accounts and access budgets stand, and what others agreed on.

    Attributes:
        accounts: this member's.
        windows: of this member's tables.
        others: accounts of other members: what was agreed, not what they spent, which is theirs to know.
    """

    accounts: tuple[Account, ...]
    windows: tuple[Window, ...]
    others: tuple[Budget, ...]


@dataclass(frozen=True, slots=True)
class Spent:
    """One charge of the ledger.

    Attributes:
        seq: the entry.
        time: when.
        run: the run.
        unit: whose account it was, of this member.
        rho: what was charged.
        epsilon: that alone as epsilon, at the account's delta; None where the account is gone.
        period: the month, or ``ever``.
    """

    seq: int
    time: str
    run: str
    unit: str
    rho: str
    epsilon: str | None
    period: str


def standing(context: Context, room: RoomEntry) -> Standing:
    """How everything stands now."""
    agreement = room.agreement
    records = context.node.directory.records(room.id, context.clock)
    return Standing(
        records.accounts(agreement),
        records.windows(agreement),
        tuple(b for b in agreement.budgets if b.owner != context.me),
    )


def history(context: Context, room: RoomEntry) -> tuple[Spent, ...]:
    """The newest charges of this member's accounts, newest first, among the newest entries of its ledger."""
    records = context.node.directory.records(room.id, context.clock)
    agreement = room.agreement
    found: list[Spent] = []
    for _, raw in itertools.islice(records.ledger.back(), limits.MAX_CONSOLE_LEDGER_SCAN):
        if _CHARGE not in raw:
            continue
        entry = read_entry(raw)
        if entry.kind is EntryKind.CHARGE:
            for charge in entry.body.get("charges") or []:
                found.append(_spent(entry, charge, agreement.budget(context.me, charge["unit"])))
        if len(found) >= _HISTORY:
            break
    return tuple(found[:_HISTORY])


def _spent(entry: Any, charge: Mapping[str, str], budget: Budget | None) -> Spent:
    from hitoku.room.accounting import RHO_UNITS, conversion_delta, epsilon_of

    epsilon = None
    if budget is not None:
        rho = int(Decimal(charge["rho"]) * RHO_UNITS)
        epsilon = _short(epsilon_of(rho, conversion_delta(budget.delta)))
    body = entry.body
    return Spent(
        entry.seq,
        entry.time,
        str(body.get("run", "")),
        charge["unit"],
        charge["rho"],
        epsilon,
        str(charge.get("period", "ever")),
    )


def _short(value: Decimal) -> str:
    """Four digits after the point, rounded against the asker."""
    return format(value.quantize(Decimal("0.0001"), rounding=ROUND_CEILING).normalize(), "f")


def odds(epsilon: int) -> str:
    """The power e to the epsilon: by how much one person's data can change the odds of an answer."""
    value = Decimal(epsilon).exp()
    return f"{value:,.1f}" if value < 1_000 else f"{value:,.0f}"


def units_of(agreement: Agreement, owner: str) -> dict[str, tuple[str, ...]]:
    """The units that rules of an owner's tables charge, and which tables do."""
    found: dict[str, list[str]] = {}
    for table in agreement.tables:
        rule = table.rule
        if table.owner == owner and isinstance(rule, CustomRule) and rule.differential_privacy is not None:
            found.setdefault(rule.differential_privacy.account, []).append(table.name)
    return {unit: tuple(names) for unit, names in found.items()}


def preview(context: Context, room: RoomEntry, sql: str, users_noise: int | None = None) -> dict[str, Any]:
    """What a question would cost each owner's accounts, and how many more such questions remain.

    Reads no data and charges nothing. The owners are asked, so their nodes and this one must serve.

    Raises:
        InputError: the question is too long.
        Refusal: a rule does not allow it.
        PeerError: an owner cannot be reached.
        RoomError: the room is not in force.
    """
    from hitoku.node.remote import open_remote_room

    if not sql.strip() or len(sql) > limits.MAX_SQL_CHARS:
        raise InputError(f"a question of 1 to {limits.MAX_SQL_CHARS:,} characters is expected")
    handle = open_remote_room(context.node.directory.path, room.id, clock=context.clock)
    try:
        return handle.preview(sql, users_noise=users_noise).to_dict()
    finally:
        handle.close()


# --- changes ---


def account_of(form: Mapping[str, str], owner: str) -> Budget:
    """An account of a form.

    Raises:
        InputError: it is none; says which field and why.
    """
    try:
        return Budget.model_validate(
            {
                "owner": owner,
                "unit": form.get("unit", ""),
                "epsilon": _whole(form.get("epsilon", "")),
                "delta": form.get("delta") or "1e-6",
                "users_noise_per_query": _whole(form.get("noise") or "30"),
                "refresh": form.get("refresh") or "NONE",
            }
        )
    except ValidationError as error:
        raise InputError(findings(error, "account")) from None


def change_account(agreement: Agreement, account: Budget) -> dict[str, Any]:
    """The change of the agreement that opens an account, or changes the one of its owner and unit."""
    same = [(b.owner, b.unit) == (account.owner, account.unit) for b in agreement.budgets]
    made = [account if is_same else b for b, is_same in zip(agreement.budgets, same, strict=True)]
    if not any(same):
        made.append(account)
    return {"budgets": [b.model_dump(mode="json") for b in made]}


def remove_account(agreement: Agreement, owner: str, unit: str) -> dict[str, Any]:
    """The change of the agreement that closes an account.

    Raises:
        RoomError: there is none, or a rule charges it.
    """
    if agreement.budget(owner, unit) is None:
        raise RoomError(f"{owner} has no account for {unit}")
    needed = units_of(agreement, owner).get(unit)
    if needed:
        raise RoomError(f"the rule of table {needed[0]} charges this account: change the rule first")
    kept = [b for b in agreement.budgets if (b.owner, b.unit) != (owner, unit)]
    return {"budgets": [b.model_dump(mode="json") for b in kept]}


def change_windows(agreement: Agreement, table: Table, form: Mapping[str, str]) -> dict[str, Any]:
    """The change of the agreement that sets a table's access budgets: a number a window, or none.

    Raises:
        InputError: a number cannot be used.
    """
    from hitoku.console.work.tables import changed_tables

    windows = []
    for kind in AccessBudgetType:
        text = form.get(f"window-{kind.value}", "").strip()
        if text:
            try:
                windows.append(AccessBudget.model_validate({"type": kind.value, "budget": _whole(text)}))
            except ValidationError as error:
                raise InputError(f"{kind.value}: {findings(error, 'budget')}") from None
    return changed_tables(agreement, table.model_copy(update={"access_budgets": tuple(windows)}))


def _whole(text: str) -> int | str:
    digits = text.strip()
    return int(digits) if digits.isascii() and digits.isdecimal() and len(digits) < 12 else text
