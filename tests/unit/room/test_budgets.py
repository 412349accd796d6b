# SPDX-License-Identifier: Apache-2.0
"""Accounts, access budgets and overlaps as a member's records keep them, against a simple model."""

from __future__ import annotations

import tempfile
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.conftest import AGREEMENT, FakeClock

from hitoku.errors import Refusal
from hitoku.questions.wording import translated
from hitoku.room import store as tables
from hitoku.room.accounting import Charge, caps
from hitoku.room.agreement import Agreement, Budget
from hitoku.room.keys import FileKeyStore, generate_key
from hitoku.room.ledger import EntryKind
from hitoku.room.records import Records, Role, Run, RunState
from hitoku.room.store import Store

ANY_KEY = "ed25519:WGZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmY="


def agreement(accounts: list[dict[str, Any]], windows: list[dict[str, Any]] | None = None) -> Agreement:
    data = deepcopy(AGREEMENT)
    for number, member in enumerate(data["members"]):
        member["key"] = f"ed25519:{'QRSTUVWX'[number]}{ANY_KEY[9:]}"
    data["budgets"] = [{"owner": "registry", "unit": "person", "epsilon": 5, **a} for a in accounts]
    data["tables"][1]["access_budgets"] = windows or []
    return Agreement.model_validate(data)


@pytest.fixture
def records(place, clock):
    made = place.members["registry"].records(str(place.agreement.id), clock)
    yield made
    made.store.close()


def run(number=1, *charges, role=Role.OWNER, **more):
    facts: dict[str, Any] = {
        "question": f"sha256:{number:064x}",
        "sql": "SELECT 1",
        "plan": "sha256:" + "1" * 64,
        "protection": "tokens",
        "receivers": ("airport",),
        "tables": ("planes",),
        "charges": charges,
    }
    return Run(id=f"{number:032x}", role=role, asker="airport", host="host", **(facts | more))


def cost(rho, delta=0, unit="person", owner="registry"):
    return Charge(owner, unit, rho, delta)


TENTH = caps(Budget(owner="registry", unit="person", epsilon=5)).rho // 10


def code(records, run, room):
    with pytest.raises(Refusal) as caught:
        records.reserve(run, room)
    assert translated(caught.value, "en") == (caught.value.message, caught.value.remedy)
    assert "?" not in "".join(translated(caught.value, "ja"))
    assert caught.value.owner == "registry"
    return caught.value.code, caught.value.rule


def test_an_account_admits_what_fits_and_not_a_bit_more(records):
    room = agreement([{}])
    for number in range(10):
        records.reserve(run(number, cost(TENTH)), room)
    left = caps(room.budgets[0]).rho - 10 * TENTH
    assert code(records, run(10, cost(left + 1)), room) == ("BUDGET_SPENT", "budgets.person")
    records.reserve(run(11, cost(left)), room)
    assert code(records, run(12, cost(1)), room)[0] == "BUDGET_SPENT"
    records.reserve(run(13), room)  # a question without noise costs nothing
    (account,) = records.accounts(room)
    assert (account.charges, account.rho) == (11, caps(room.budgets[0]).rho)
    assert account.to_dict()["spent"]["epsilon"] == "5.000000000"
    assert account.to_dict()["left"] == {"rho": "0", "delta": "0.0000005", "percent": 0}


def test_both_sums_are_limited_and_nothing_is_left_of_a_refused_run(records):
    room = agreement([{}])
    half = caps(room.budgets[0]).delta
    records.reserve(run(1, cost(1, half - 1)), room)
    assert code(records, run(2, cost(1, 2)), room)[0] == "BUDGET_SPENT"
    assert records.state(run(2).id, Role.OWNER) is None
    assert records.accounts(room)[0].delta == half - 1
    assert code(records, run(3, cost(-1)), room)[0] == "BUDGET_SPENT"


def test_only_the_owner_pays_and_only_its_own(records):
    room = agreement([{}, {"unit": "device", "epsilon": 1}])
    records.reserve(run(1, cost(TENTH), cost(7, owner="airport")), room)
    records.reserve(run(2, cost(TENTH), role=Role.ASKER), room)
    records.reserve(run(3, cost(5, unit="device"), cost(2, 3, unit="device")), room)
    person, device = records.accounts(room)
    assert (person.charges, person.rho) == (1, TENTH)
    assert (device.charges, device.rho, device.delta) == (1, 7, 3)
    assert code(records, run(4, cost(1, unit="car")), room) == ("NO_BUDGET", "budgets.car")


def test_what_was_cancelled_is_given_back_and_what_failed_is_not(records, clock):
    room = agreement([{}])
    for number in range(1, 4):
        records.reserve(run(number, cost(TENTH)), room)
    records.abort(run(1).id, Role.OWNER, "cancelled")
    records.fail(run(2).id, Role.OWNER, "EngineError")
    records.abort(run(2).id, Role.OWNER, "too late")
    records.commit(run(3).id, Role.OWNER, {})
    assert records.accounts(room)[0].rho == 2 * TENTH
    records.reserve(run(4, cost(TENTH)), room)
    clock.pass_seconds(10_000)
    assert records.recover() == 1
    records.abort(run(4).id, Role.OWNER, "too late")
    assert records.accounts(room)[0].rho == 3 * TENTH


def test_the_ledger_says_what_was_charged(records):
    room = agreement([{}])
    records.reserve(run(1, cost(5 * 10**9, 3 * 10**11)), room)
    records.fail(run(1).id, Role.OWNER, "EngineError")
    said = [{"unit": "person", "rho": "0.005", "delta": "0.0000003", "period": "ever"}]
    (reserved,) = records.ledger.entries(kind=EntryKind.RESERVATION)
    (charged,) = records.ledger.entries(kind=EntryKind.CHARGE)
    assert reserved.body["charges"] == charged.body["charges"] == said


def test_a_month_begins_anew_only_where_it_was_agreed_and_never_twice(records, clock):
    monthly = agreement([{"refresh": "CALENDAR_MONTH"}])
    records.reserve(run(1, cost(9 * TENTH)), monthly)
    assert code(records, run(2, cost(2 * TENTH)), monthly)[0] == "BUDGET_SPENT"
    clock.time = datetime(2026, 12, 1, 0, 0, 0, tzinfo=UTC)
    records.reserve(run(3, cost(9 * TENTH)), monthly)
    clock.time = datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC)  # set back: still December
    with records.store.transaction() as connection:  # the charges alone tell it
        connection.execute(sa.delete(tables.uses))
    assert records.accounts(monthly)[0].period == "2026-12"
    assert code(records, run(4, cost(2 * TENTH)), monthly)[0] == "BUDGET_SPENT"
    # All of it counts where the account is for ever.
    assert code(records, run(5, cost(1)), agreement([{}]))[0] == "BUDGET_SPENT"
    assert records.accounts(agreement([{}]))[0].rho == 18 * TENTH


def test_no_change_of_the_agreement_forgets_a_charge(records, clock):
    records.reserve(run(1, cost(9 * TENTH)), agreement([{}]))
    monthly = agreement([{"refresh": "CALENDAR_MONTH"}])
    clock.pass_seconds(40 * 24 * 3600)
    assert code(records, run(2, cost(2 * TENTH)), monthly)[0] == "BUDGET_SPENT"
    assert code(records, run(3, cost(1)), agreement([{"epsilon": 1}]))[0] == "BUDGET_SPENT"
    assert records.accounts(agreement([])) == ()
    records.reserve(run(4, cost(2 * TENTH)), agreement([{"epsilon": 6}]))
    assert records.accounts(agreement([{}]))[0].rho == 11 * TENTH


@pytest.mark.parametrize(
    ("window", "within", "after"),
    [
        # It is Saturday, 21 November 2026, noon.
        ("CALENDAR_DAY", timedelta(hours=11, minutes=59), timedelta(hours=12)),
        ("CALENDAR_WEEK", timedelta(days=1, hours=11), timedelta(days=1, hours=12)),
        ("CALENDAR_MONTH", timedelta(days=9, hours=11), timedelta(days=9, hours=12)),
        ("LIFETIME", timedelta(days=9_000), None),
    ],
)
def test_access_budgets_count_questions_in_calendar_windows(records, clock, window, within, after):
    room = agreement([], [{"type": window, "budget": 2}])
    noon = clock.time
    records.reserve(run(1), room)
    records.reserve(run(2), room)
    records.abort(run(2).id, Role.OWNER, "cancelled")
    clock.time = noon + within
    records.reserve(run(3), room)
    assert code(records, run(4), room) == ("ACCESS_BUDGET_SPENT", "tables.planes.access_budgets")
    records.reserve(run(5, tables=()), room)  # of no table of this owner
    (left,) = records.windows(room)
    assert (left.left, left.to_dict()["window"]) == (0, window)
    if after is not None:
        clock.time = noon + after
        assert records.windows(room)[0].left == 2
        records.reserve(run(6), room)
        clock.time = noon  # set back: the window is not left
        assert records.windows(room)[0].left == 1
        records.reserve(run(7), room)
        clock.time = noon + after
        assert code(records, run(8), room)[0] == "ACCESS_BUDGET_SPENT"


def test_a_repeated_answer_counts_as_a_question_and_costs_no_budget(records):
    room = agreement([{}], [{"type": "LIFETIME", "budget": 2}])
    records.reserve(run(1, cost(TENTH)), room)
    records.commit(run(1).id, Role.OWNER, {"answer": "x"})
    again = {"question": run(1).question, "repeats": run(1).id}
    records.reserve(run(2, cost(TENTH), **again), room)
    records.commit(run(2).id, Role.OWNER, {"answer": "x"})
    assert records.accounts(room)[0].rho == TENTH
    assert code(records, run(3, cost(TENTH), **again), room)[0] == "ACCESS_BUDGET_SPENT"
    kinds = [entry.kind.value for entry in records.ledger.entries() if entry.body["run"] == run(2).id]
    assert kinds == ["question", "verdict", "release"]


def test_a_repeat_needs_a_charge_of_exactly_that(records):
    room = agreement([{}])
    records.reserve(run(1, cost(TENTH)), room)
    records.reserve(run(2, cost(TENTH)), room)
    records.abort(run(2).id, Role.OWNER, "cancelled")
    records.reserve(run(3, question=run(1).question, repeats=run(1).id), room)
    records.reserve(run(4, role=Role.ASKER), room)
    one = run(1).question
    for other in (
        {"question": one, "repeats": "ab" * 16},  # unknown
        {"question": run(2).question, "repeats": run(2).id},  # given back
        {"question": one, "repeats": run(3).id},  # itself a repeat
        {"question": run(4).question, "repeats": run(4).id},  # not as owner
        {"question": run(9).question, "repeats": run(1).id},
        {"question": one, "repeats": run(1).id, "plan": "sha256:" + "2" * 64},
    ):
        with pytest.raises(Refusal) as caught:
            records.reserve(run(9, cost(TENTH), **other), room)
        assert caught.value.code == "NOT_CHARGED"
    assert records.accounts(room)[0].rho == TENTH


def test_overlaps_are_judged_on_all_that_was_asked_and_not_cancelled(records):
    room = agreement([])
    heard = []

    def judge(table, box, earlier):
        heard.append((table, box, sorted(earlier)))
        return Refusal("OVERLAP", "no") if box == "bad" else None

    for number, box in enumerate(["one", "two", "two", "three"], 1):
        records.reserve(run(number, boxes=(("planes", box),)), room, judge)
    records.abort(run(4).id, Role.OWNER, "cancelled")
    with pytest.raises(Refusal):
        records.reserve(run(5, boxes=(("planes", "bad"),)), room, judge)
    records.reserve(run(6, boxes=(("planes", "four"),)), room, judge)
    assert heard[-1] == ("planes", "four", ["one", "two"])
    with pytest.raises(ValueError, match="without a judge"):
        records.reserve(run(7, boxes=(("planes", "x"),)), room)


AMOUNTS = st.sampled_from([0, 1, TENTH // 3, TENTH, 3 * TENTH])


class Accounts(RuleBasedStateMachine):
    """Any order of reservations, ends, months, clocks and agreements, against lists in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.place = tempfile.TemporaryDirectory()
        path = Path(self.place.name)
        generate_key(path)
        self.clock = FakeClock()
        keys = FileKeyStore(path, {})
        self.records = Records(Store(path / "state.db"), AGREEMENT["id"], "registry", keys, self.clock)
        self.charges: dict[int, list[Any]] = {}  # number to [unit, period, rho, delta, counts]
        self.open: set[int] = set()
        self.month = ""

    @initialize()
    def begin(self) -> None:
        self.agree(5, "NONE")

    def teardown(self) -> None:
        self.records.store.close()
        self.place.cleanup()

    @rule(epsilon=st.integers(4, 6), refresh=st.sampled_from(["NONE", "CALENDAR_MONTH"]))
    def agree(self, epsilon: int, refresh: str) -> None:
        limits = {"epsilon": epsilon, "refresh": refresh}
        self.room = agreement([limits, {**limits, "unit": "device"}])

    @rule(days=st.integers(-40, 40))
    def move_the_clock(self, days: int) -> None:
        self.clock.time += timedelta(days=days)

    @rule(unit=st.sampled_from(["person", "device"]), rho=AMOUNTS, delta=st.sampled_from([0, 10**11]))
    def reserve(self, unit: str, rho: int, delta: int) -> None:
        number = len(self.charges) + 1
        budget = self.room.budget("registry", unit)
        assert budget is not None
        spent = self.spent(unit)
        fits = spent[0] + rho <= caps(budget).rho and spent[1] + delta <= caps(budget).delta
        period = self.period()
        try:
            self.records.reserve(run(number, cost(rho, delta, unit)), self.room)
        except Refusal as refusal:
            assert refusal.code == "BUDGET_SPENT"  # noqa: PT017
            assert not fits
            self.charges[number] = [unit, period, rho, delta, False]
        else:
            assert fits
            self.charges[number] = [unit, period, rho, delta, True]
            self.open.add(number)
            self.month = max(self.month, self.clock.time.strftime("%Y-%m"))

    @rule(data=st.data(), how=st.sampled_from(["commit", "fail", "abort"]))
    def end(self, data: st.DataObject, how: str) -> None:
        if not self.charges:
            return
        number = data.draw(st.sampled_from(sorted(self.charges)))
        act = getattr(self.records, how)
        act(run(number).id, Role.OWNER, {} if how == "commit" else "a reason")
        if how == "abort" and number in self.open:
            self.charges[number][4] = False
        self.open.discard(number)

    def period(self) -> str:
        if self.room.budgets[0].refresh == "NONE":
            return "ever"
        return max(self.month, self.clock.time.strftime("%Y-%m"))

    def spent(self, unit: str) -> tuple[int, int]:
        counted = [
            c
            for c in self.charges.values()
            if c[0] == unit and c[4] and (self.period() == "ever" or c[1] in {"ever", self.period()})
        ]
        return sum(c[2] for c in counted), sum(c[3] for c in counted)

    @invariant()
    def the_balances_are_the_models(self) -> None:
        if "room" in self.__dict__:
            for account in self.records.accounts(self.room):
                assert (account.rho, account.delta) == self.spent(account.budget.unit)


Accounts.TestCase.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
test_any_order_of_steps = Accounts.TestCase


def test_a_database_of_the_first_schema_is_brought_up(place, clock, tmp_path):
    """Its runs stay, and are charged nothing: there were no accounts when they ran."""
    records = place.members["registry"].records(str(place.agreement.id), clock)
    records.reserve(run(1), place.agreement)
    with records.store.transaction() as connection:
        prefixes = ("broker_", "predict", "console_", "store_")
        later = [t for t in tables.metadata.sorted_tables if t.name.startswith(prefixes)]
        for table in (tables.charges, tables.uses, tables.answers, tables.jobs, *later):
            connection.execute(sa.schema.DropTable(table))
        connection.execute(sa.text("ALTER TABLE runs DROP COLUMN repeats"))
        connection.execute(sa.text("ALTER TABLE ledgers DROP COLUMN restored"))
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '0001'"))
    records.store.close()
    room = agreement([{}])
    again = place.members["registry"].records(str(place.agreement.id), clock)
    assert again.state(run(1).id, Role.OWNER) is RunState.RESERVED
    again.reserve(run(2, cost(TENTH)), room)
    assert again.accounts(room)[0].rho == TENTH
    again.store.close()
