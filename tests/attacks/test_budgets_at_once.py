# SPDX-License-Identifier: Apache-2.0
"""Many askers at once: an account pays for exactly what it has."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.attacks.budget_world import EXACTLY, another, noised, paying
from tests.conftest import fill

from hitoku.errors import Refusal
from hitoku.ports import SystemClock
from hitoku.room.accounting import Charge, caps
from hitoku.room.heads import member_signed
from hitoku.room.ledger import EntryKind
from hitoku.room.records import Role, Run

WORKER = Path(__file__).with_name("budget_worker.py")


def test_reservations_at_once_admit_exactly_what_the_account_has(make):
    place = make(noised())
    (budget,) = (b for b in place.agreement.budgets if b.owner == "registry")
    cost = caps(budget).rho // EXACTLY
    directory, room = place.members["registry"], str(place.agreement.id)
    directory.records(room, SystemClock()).store.close()

    def reserve(number: int) -> str:
        records = directory.records(room, SystemClock())
        charge = Charge("registry", "tail", cost, 0)
        run = Run(
            id=f"{number:032x}",
            role=Role.OWNER,
            asker="airport",
            host="host",
            question=f"sha256:{number:064x}",
            sql="SELECT 1",
            plan="sha256:" + "1" * 64,
            protection="tokens",
            receivers=("airport",),
            tables=("planes",),
            charges=(charge,),
        )
        try:
            records.reserve(run, place.agreement)
        except Refusal as refusal:
            return refusal.code
        finally:
            records.store.close()
        return "admitted"

    with ThreadPoolExecutor(16) as pool:
        ends = Counter(pool.map(reserve, range(200)))
    assert ends == {"admitted": EXACTLY, "BUDGET_SPENT": 200 - EXACTLY}
    records = directory.records(room, SystemClock())
    (account,) = records.accounts(place.agreement)
    assert (account.charges, account.rho) == (EXACTLY, EXACTLY * cost)
    records.store.close()


@pytest.mark.slow
def test_two_hundred_askers_get_exactly_as_many_answers_as_are_paid_for(make):
    """Four processes with fifty threads each, every asker with nodes of its own on the members' databases."""
    place = fill(make(noised(**paying(EXACTLY))))
    for directory in place.members.values():  # the first schema is made before they begin
        directory.records(str(place.agreement.id), SystemClock()).store.close()
    questions = [another(number) for number in range(200)]
    workers = [
        subprocess.Popen(
            [sys.executable, WORKER, str(place.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    with ThreadPoolExecutor(len(workers)) as pool:
        printed = list(
            pool.map(
                lambda i: workers[i].communicate(json.dumps(questions[i::4]), 580)[0], range(len(workers))
            )
        )
    ends = Counter(end for text in printed for end in json.loads(text))
    assert ends == {"answered": EXACTLY, "BUDGET_SPENT": 200 - EXACTLY}
    records = place.members["registry"].records(str(place.agreement.id), SystemClock())
    (account,) = records.accounts(place.agreement)
    charged = list(records.ledger.entries(kind=EntryKind.CHARGE))
    assert account.charges == len(charged) == EXACTLY
    assert account.rho == EXACTLY * int(account.rho / account.charges)
    records.ledger.verify(member_signed(place.agreement))
    records.store.close()
