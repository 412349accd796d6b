# SPDX-License-Identifier: Apache-2.0
"""Many questions at once from four members' processes to five nodes: none is lost, mixed up or paid twice."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from tests.attacks.test_crash_of_ask import check
from tests.conftest import AGREEMENT, Place
from tests.e2e.nodes import Nodes

from hitoku.ports import SystemClock
from hitoku.room.accounting import RHO_UNITS, caps
from hitoku.room.agreement import Agreement, Budget, Room
from hitoku.room.directory import MemberDirectory, write_peers
from hitoku.room.files import save_room
from hitoku.room.ledger import EntryKind
from hitoku.room.signing import sign

pytestmark = pytest.mark.slow

WORKER = Path(__file__).with_name("load_worker.py")
ASKERS = ("airport", "registry", "agency", "insurer")
QUESTIONS = 50
SECONDS = 1800
CASES = {"few": (2, 8, "1e-12", 10), "some": (5, 16, "1e-6", 11), "most": (10, 12, "1e-6", 15)}
"""Accounts: how many questions each pays, of how many asked at once; its delta and its users' noise."""
JOINED = {"airport": (5, "1e-5"), "registry": (2, "1e-12")}
"""How many questions each owner of the joined tables pays: the poorer one decides."""
ASKED_JOINED = 12


def noised(owner: str, name: str, unit: str) -> dict[str, Any]:
    """A table that is answered with noise only, from the account of `unit`."""
    return {
        "name": name,
        "owner": owner,
        "columns": [{"name": "tailnum", "type": "string", "protection": "fingerprint", "nullable": False}],
        "rule": {
            "type": "custom",
            "allowedAnalyses": ["ANY_QUERY"],
            "allowedAnalysisProviders": list(ASKERS),
            "differentialPrivacy": {"columns": [{"name": "tailnum"}], "unit": unit},
        },
    }


def account(owner: str, unit: str, pays: int, delta: str, users: int) -> dict[str, Any]:
    """An account that pays for exactly so many questions of one figure."""
    data = {"owner": owner, "unit": unit, "epsilon": 1, "delta": delta, "users_noise_per_query": users}
    assert caps(Budget.model_validate(data)).rho // cost(users) == pays
    return data


def cost(users: int) -> int:
    """What one figure costs of an account."""
    return -(-RHO_UNITS // (2 * users * users))


def agreement(keys: dict[str, str]) -> Agreement:
    """Four members who ask, a host; two exact tables, and noised ones with an account for each case."""
    data = deepcopy(AGREEMENT)
    abilities = {name: ["query", "receive"] for name in ASKERS} | {"host": ["host"]}
    data["members"] = [{"name": n, "key": keys[n], "abilities": a} for n, a in abilities.items()]
    data["tables"] += [noised("registry", f"tails_{case}", case) for case in CASES]
    data["tables"] += [noised("airport", "tails_a", "joined"), noised("registry", "tails_b", "joined")]
    accounts = [("registry", case, k, delta, users) for case, (k, _, delta, users) in CASES.items()]
    accounts += [(owner, "joined", k, delta, 10) for owner, (k, delta) in JOINED.items()]
    data["budgets"] = [account(*one) for one in accounts]
    return Agreement.model_validate(data)


def made(path: Path) -> Place:
    """The signed room, its members' directories, and the tables at the host."""
    import pyarrow as pa
    from pyarrow import parquet

    from hitoku import columns

    members = {name: MemberDirectory.create(path / name, name) for name in (*ASKERS, "host")}
    keys = {name: directory.keys({}).public_key() for name, directory in members.items()}
    room = Room(agreement=agreement(keys))
    for name, directory in members.items():
        room = sign(room, name, directory.keys({}))
        directory.remember(room)
    save_room(room, path / "room.yaml")
    write_peers(path, {name: name for name in members})

    tails = [(f"N{maker:02}{n:03}", f"M{maker:02}") for maker in range(QUESTIONS) for n in range(3 + maker)]
    for table in room.agreement.tables:
        header: list[dict[str, Any]] = [
            {"sourceHeader": "tailnum", "targetHeader": "tailnum", "type": "fingerprint"}
        ]
        plain: dict[str, list[Any]] = {"tailnum": [tail for tail, _ in tails]}
        if table.name == "planes":
            header.append({"sourceHeader": "manufacturer", "type": "cleartext"})
            plain["manufacturer"] = [maker for _, maker in tails]
        if table.name == "flights":
            header += [{"sourceHeader": n, "type": "cleartext"} for n in ("carrier", "arr_delay")]
            header.append(
                {
                    "sourceHeader": "dest",
                    "targetHeader": "dest_sealed",
                    "type": "sealed",
                    "pad": {"type": "none"},
                }
            )
            plain |= {"carrier": ["AA"] * len(tails), "arr_delay": [int(t[1:3]) for t, _ in tails]}
            plain["dest"] = ["there"] * len(tails)
        encrypted = columns.encrypt(
            pa.table(plain),
            None,
            {"headerRow": True, "columns": header},
            room.agreement.settings,
            str(room.agreement.id),
            bytes(range(32)),
        )
        parquet.write_table(encrypted, members["host"].path / "tables" / f"{table.name}.parquet")
    return Place(path, members, room)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    nodes = Nodes(made(tmp_path_factory.mktemp("load")))
    try:
        nodes.start()
        yield nodes
    finally:
        nodes.end()


def asked(world: Nodes, questions: dict[str, list[str]]) -> dict[str, list[dict[str, Any]]]:
    """What became of the questions, which all members' processes ask at once."""

    def one(name: str) -> list[dict[str, Any]]:
        done = subprocess.run(
            [sys.executable, str(WORKER), str(world.place.members[name].path)],
            input=json.dumps(questions[name]), capture_output=True, text=True, check=False, timeout=SECONDS,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        found: list[dict[str, Any]] = json.loads(done.stdout)
        return found

    names = [name for name in questions if questions[name]]
    with ThreadPoolExecutor(len(names)) as threads:
        return dict(zip(names, threads.map(one, names), strict=True))


def dealt(questions: list[str]) -> dict[str, list[str]]:
    """The questions, dealt to the askers in turn."""
    return {name: questions[n :: len(ASKERS)] for n, name in enumerate(ASKERS)}


def test_fifty_questions_at_once_get_their_own_answers(world):
    """Each has another answer, so that none can be taken for another's."""
    questions = [
        "SELECT p.manufacturer, COUNT(DISTINCT p.tailnum) AS aircraft, AVG(f.arr_delay) AS delay "
        "FROM flights AS f JOIN planes AS p ON f.tailnum = p.tailnum "
        f"WHERE p.manufacturer = 'M{n:02}' GROUP BY p.manufacturer"
        for n in range(QUESTIONS)
    ]
    given = dealt(questions)
    ends = asked(world, given)
    runs = set()
    for name, answers in ends.items():
        assert [one["sql"] for one in answers] == given[name]
        for one in answers:
            assert one["code"] is None, one
            assert one["asker"] == name
            number = questions.index(one["sql"])
            assert one["rows"] == [[f"M{number:02}", 3 + number, float(number)]]
            runs.add(one["run"])
    assert len(runs) == QUESTIONS
    check(world.place)


def charged(world: Nodes, owner: str, unit: str) -> tuple[int, int]:
    """How many questions an owner's account was charged with, and how much in all; its ledger agrees."""
    records = world.place.members[owner].records(str(world.place.agreement.id), SystemClock())
    try:
        (found,) = (a for a in records.accounts(world.place.agreement) if a.budget.unit == unit)
        noted = [
            charge
            for entry in records.ledger.entries(kind=EntryKind.CHARGE)
            for charge in entry.body.get("charges", [])
            if charge["unit"] == unit
        ]
        assert len(noted) == found.charges
        return found.charges, found.rho
    finally:
        records.store.close()


@pytest.mark.parametrize("case", CASES)
def test_an_account_admits_exactly_what_it_pays_for(world, case):
    pays, number, _, users = CASES[case]
    questions = [f"SELECT COUNT(t.tailnum) AS n{n} FROM tails_{case} AS t" for n in range(number)]
    ends = [one for found in asked(world, dealt(questions)).values() for one in found]
    assert Counter(one["code"] for one in ends) == {None: pays, "BUDGET_SPENT": number - pays}, ends
    assert {one["owner"] for one in ends if one["code"]} == {"registry"}
    assert len({one["run"] for one in ends if one["code"] is None}) == pays
    assert charged(world, "registry", case) == (pays, pays * cost(users))
    check(world.place)


def test_two_owners_accounts_admit_what_the_poorer_one_pays_for(world):
    """And the richer one is charged for no question that the other did not admit."""
    questions = [
        f"SELECT COUNT(a.tailnum) AS n{n} FROM tails_a AS a JOIN tails_b AS b ON a.tailnum = b.tailnum"
        for n in range(ASKED_JOINED)
    ]
    ends = [one for found in asked(world, dealt(questions)).values() for one in found]
    pays = min(pays for pays, _ in JOINED.values())
    assert Counter(one["code"] for one in ends) == {None: pays, "BUDGET_SPENT": ASKED_JOINED - pays}, ends
    for owner in JOINED:
        assert charged(world, owner, "joined") == (pays, pays * cost(10))
    check(world.place)
