# SPDX-License-Identifier: Apache-2.0
"""Who must sign which change."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from hitoku.errors import RoomError
from hitoku.room.agreement import Agreement
from hitoku.room.changes import changes, must_sign


def key(number: int) -> str:
    return "ed25519:" + base64.b64encode(bytes([number]) * 32).decode()


def table(name: str, owner: str, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "owner": owner,
        "columns": [
            {"name": "id", "type": "string", "protection": "fingerprint"},
            {"name": "kind", "type": "string", "protection": "cleartext"},
        ],
        "rule": {
            "type": "aggregation",
            "aggregateColumns": [{"columnNames": ["id"], "function": "COUNT_DISTINCT"}],
            "joinColumns": ["id"],
            "dimensionColumns": ["kind"],
            "outputConstraints": [{"columnName": "id", "minimum": 10}],
        },
        **more,
    }


def data() -> dict[str, Any]:
    return {
        "id": "11111111-2222-3333-4444-555555555555",
        "name": "a room",
        "settings": {"allow_cleartext": True},
        "members": [
            {"name": "acme", "key": key(1), "abilities": ["query", "receive"]},
            {"name": "bank", "key": key(2), "abilities": []},
            {"name": "cloud", "key": key(3), "abilities": ["host"]},
            {"name": "reader", "key": key(4), "abilities": ["query", "receive"]},
        ],
        "tables": [table("sales", "acme"), table("cards", "bank")],
    }


OLD = Agreement.model_validate(data())


def edit(**how: Any) -> Agreement:
    changed = data()
    for path, value in how.items():
        target: Any = changed
        *steps, last = [int(p) if p.isdigit() else p for p in path.split("__")]
        for step in steps:
            target = target[step]
        if value is None:
            del target[last]
        elif last == "append":
            target.append(value)
        else:
            target[last] = value
    return Agreement.model_validate(changed)


@pytest.mark.parametrize(
    ("new", "paths", "signers"),
    [
        (edit(), [], set()),
        (edit(name="other"), ["name"], {"acme", "bank", "cloud", "reader"}),
        (edit(settings__preserve_nulls=True), ["settings.preserve_nulls"], {"acme", "bank"}),
        (edit(protections=["tokens", "enclave"]), ["protections"], {"acme", "bank"}),
        (edit(members__3__abilities=["receive"]), ["members.reader.abilities"], {"acme", "bank", "reader"}),
        (edit(members__3__key=key(9)), ["members.reader.key"], {"acme", "bank", "reader"}),
        (edit(members__2__abilities=[]), ["members.cloud.abilities"], {"acme", "bank", "cloud"}),
        (edit(members__3=None), ["members.reader"], {"acme", "bank"}),
        (
            edit(members__append={"name": "new", "key": key(8), "abilities": ["query"]}),
            ["members.new"],
            {"acme", "bank", "new"},
        ),
        (edit(tables__append=table("more", "acme")), ["tables.more"], {"acme"}),
        (edit(tables__append=table("more", "reader")), ["tables.more"], {"reader"}),
        (edit(tables__1=None), ["tables.cards"], {"bank"}),
        (edit(tables__1__owner="acme"), ["tables.cards.owner"], {"acme", "bank"}),
        (
            edit(tables__0__columns__append={"name": "n", "type": "int", "protection": "cleartext"}),
            ["tables.sales.columns.n", "tables.sales.columns"],
            {"acme"},
        ),
        (edit(tables__0__columns__1__type="int"), ["tables.sales.columns.kind"], {"acme"}),
        (edit(tables__0__rule=None), ["tables.sales.rule"], {"acme"}),
        (
            edit(tables__0__rule__outputConstraints__0__minimum=2),
            ["tables.sales.rule.outputConstraints"],
            {"acme"},
        ),
        (
            edit(tables__0__rule={"type": "list", "joinColumns": ["id"], "listColumns": ["kind"]}),
            ["tables.sales.rule"],
            {"acme"},
        ),
        (
            edit(tables__0__access_budgets=[{"type": "LIFETIME", "budget": 5}]),
            ["tables.sales.access_budgets"],
            {"acme"},
        ),
        (
            edit(budgets=[{"owner": "bank", "unit": "person", "epsilon": 20}]),
            ["budgets.bank.person"],
            {"bank"},
        ),
        (edit(release={"interval_seconds": 60}), ["release.interval_seconds"], {"acme", "bank"}),
        (edit(release={"summary": True}), ["release.summary"], {"acme", "bank"}),
    ],
)
def test_who_must_sign(new: Agreement, paths: list[str], signers: set[str]) -> None:
    found = changes(OLD, new)
    assert [c.path for c in found] == paths
    assert must_sign(OLD, new).current == signers
    assert all(set(c.to_dict()) == {"path", "kind", "before", "after", "touches"} for c in found)


def test_every_limit_of_an_account_is_signed_by_its_owner() -> None:
    budget = {"owner": "bank", "unit": "person", "epsilon": 3}
    old = edit(budgets=[budget])
    for change in (
        {"epsilon": 4},
        {"delta": "1e-5"},
        {"refresh": "CALENDAR_MONTH"},
        {"users_noise_per_query": 10},
    ):
        (found,) = changes(old, edit(budgets=[{**budget, **change}]))
        assert (found.path, found.touches) == ("budgets.bank.person", ("bank",))
    assert must_sign(old, OLD).current == {"bank"}


def test_the_order_of_protections_and_abilities_means_nothing() -> None:
    assert changes(OLD, edit(members__0__abilities=["receive", "query"])) == ()


def test_two_rooms_are_not_two_versions() -> None:
    with pytest.raises(RoomError, match="ids differ"):
        changes(OLD, edit(id="11111111-2222-3333-4444-555555555556"))


def test_a_new_key_is_signed_for_with_the_old_one() -> None:
    assert must_sign(OLD, edit(members__3__key=key(9))).previous == {"reader"}
    assert must_sign(OLD, edit(name="other")).previous == set()


def test_an_owner_leaves_by_its_own_signature_and_a_mere_reader_need_not_agree() -> None:
    left = data()
    del left["members"][1]
    del left["tables"][1]
    signers = must_sign(OLD, Agreement.model_validate(left))
    assert signers.current == {"acme"}
    assert signers.previous == {"bank"}
    assert must_sign(OLD, edit(members__3=None)).previous == set()


def test_an_owner_cannot_be_removed_and_put_back_with_another_key() -> None:
    without = data()
    del without["members"][1]
    del without["tables"][1]
    assert "bank" in must_sign(OLD, Agreement.model_validate(without)).previous
    assert "bank" in must_sign(OLD, edit(members__1__key=key(9))).previous
