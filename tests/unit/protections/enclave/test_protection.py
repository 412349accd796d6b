# SPDX-License-Identifier: Apache-2.0
"""What `enclave` says of a question before it runs: whether, where, who learns what, and which columns go."""

from __future__ import annotations

from typing import Any

import pytest
from tests.enclaves import SQL, agreement_data
from tests.japanese import in_japanese

from hitoku.disclosure.plan import plan
from hitoku.errors import EngineError, Refusal
from hitoku.protections import registry
from hitoku.protections.base import Supported, TableStats, Unsupported
from hitoku.protections.enclave import Enclave
from hitoku.protections.enclave.needs import needed, tables_in
from hitoku.questions import check, explain
from hitoku.questions.question import Question
from hitoku.room.agreement import Agreement, Room

KEYS = (
    "iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w=",
    "gTl3Dqh9F19Wo1Rmw0x+zMuNipG07jeiXfYPW4/Js5Q=",
    "bnoc3Smwt4/ROvTFWY/v9O8qlxZuPKby5Pv8zYBQW/E=",
)


def room(**changes: Any) -> Room:
    data = agreement_data(**changes)
    members = [{**m, "key": f"ed25519:{key}"} for m, key in zip(data["members"], KEYS, strict=True)]
    return Room(agreement=Agreement.model_validate(data | {"members": members}))


def asked(where: Room, sql: str = SQL) -> Question:
    return check(sql, where, "shop")


def test_it_supports_what_the_checker_accepts() -> None:
    assert isinstance(Enclave().supports(asked(room()), room()), Supported)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"protections": ["tokens"]}, "does not accept enclaves"),
        ({"attestation": None}, "which evidence"),
    ],
)
def test_it_says_why_not(changes: dict[str, Any], word: str) -> None:
    where = room(**changes)
    verdict = Enclave().supports(asked(where), where)
    assert isinstance(verdict, Unsupported)
    assert word in verdict.reason
    assert verdict.remedy


def test_somebody_has_to_compute() -> None:
    members = [{"name": n, "abilities": ["query", "receive"]} for n in ("shop", "telco", "cloud")]
    where = room(members=members)
    assert isinstance(Enclave().supports(asked(where), where), Unsupported)
    with pytest.raises(Refusal):
        Enclave().place(asked(where), where)


@pytest.mark.parametrize(
    ("abilities", "place"),
    [({"cloud": ["compute"]}, "cloud"), ({"cloud": ["host"]}, "cloud"),
     ({"cloud": ["host"], "telco": ["compute", "receive"]}, "telco"),
     ({"shop": ["query", "compute"], "cloud": ["compute"]}, "shop")],
)  # fmt: skip
def test_any_member_may_compute(abilities: dict[str, list[str]], place: str) -> None:
    members = [
        {"name": n, "abilities": abilities.get(n, ["query", "receive"] if n == "shop" else [])}
        for n in ("shop", "telco", "cloud")
    ]
    where = room(members=members)
    assert Enclave().place(asked(where), where) == place


def listed() -> Room:
    data = agreement_data()
    for table, column in zip(data["tables"], ("region", "plan"), strict=True):
        table["columns"] = [table["columns"][0], {"name": column, "type": "string", "protection": "sealed"}]
        table["rule"] = {"type": "list", "joinColumns": ["phone"], "listColumns": [column]}
    return room(tables=data["tables"])


def test_a_sealed_column_is_not_shown_to_who_has_not_the_secret() -> None:
    where = listed()
    question = asked(
        where, "SELECT DISTINCT c.region FROM customers c JOIN subscribers s ON c.phone = s.phone"
    )
    verdict = Enclave().supports(question, where)
    assert isinstance(verdict, Unsupported)
    assert "region" in verdict.reason


def test_only_what_the_question_reads_leaves_an_owner() -> None:
    where = room()
    question = asked(where)
    columns = needed(question, plan(question, where, ["shop"]))
    assert {t: [c.name for c in cs] for t, cs in columns.items()} == {
        "customers": ["phone"],
        "subscribers": ["phone", "plan"],
    }
    alone = asked(where, "SELECT COUNT(DISTINCT s.phone) AS n FROM subscribers s")
    assert set(needed(alone, plan(alone, where, ["shop"]))) == {"subscribers"}


def test_tables_of_a_question_in_normal_form() -> None:
    assert tables_in(asked(room()).sql) == {"customers", "subscribers"}
    assert tables_in("no SQL (") == frozenset()


def test_the_host_learns_sizes_and_times() -> None:
    where = room(attestation={"accept": ["sev-snp"]})
    learned = Enclave().leakage(asked(where), where).of("cloud")
    assert [item.code for item in learned] == ["SIZES", "SEALED", "QUESTION"]
    assert "TEE.fail" in str(learned[1].assumption)
    in_japanese(learned)
    in_japanese(Enclave().leakage(asked(room()), room()).learned)


def test_a_room_that_takes_software_says_that_nothing_is_protected() -> None:
    where = room()
    explained = explain(SQL, where, "shop", registry.choices).to_dict()
    told = [i for c in explained["protections"] for i in c["learned"] if i["code"] == "SOFTWARE_ROOTED"]
    assert [item["member"] for item in told] == ["cloud"]
    assert "protects nothing" in told[0]["words"]


def test_what_it_would_cost() -> None:
    question = asked(room())
    assert Enclave().estimate(question, TableStats()).seconds is None
    stats = TableStats({"customers": 10**6, "subscribers": 10**6}, {"customers": 5, "subscribers": 7})
    cost = Enclave().estimate(question, stats)
    assert cost.seconds is not None
    assert cost.seconds > 1
    assert cost.network_bytes == 12


def test_it_hands_out_no_cells() -> None:
    with pytest.raises(EngineError):
        Enclave().run(*[None] * 5)  # type: ignore[arg-type]
