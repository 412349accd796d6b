# SPDX-License-Identifier: Apache-2.0
"""Plans: made from a few lines, checked against the room, signed by everybody they bind."""

from __future__ import annotations

import json

import pytest
from tests.unit.learning.learning_world import BANKS, SHORT, make_room

from hitoku.errors import InputError, RoomError
from hitoku.learning.collusion import bound_words, threshold_words
from hitoku.learning.planning import charges, cost_of, largest_bound, made, meaning
from hitoku.learning.signing import SignedPlan, sign
from hitoku.room.accounting import RHO_UNITS
from hitoku.room.canonical import agreement_hash


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return make_room(tmp_path_factory.mktemp("room"))


def test_the_room_fills_in_what_it_knows(place):
    plan = place.plan()
    assert plan.members == BANKS
    assert plan.server == "adder"
    assert plan.agreement == agreement_hash(place.agreement)
    assert plan.threshold == 4
    assert place.plan().salt != plan.salt


@pytest.mark.parametrize("field", ["room", "agreement", "salt"])
def test_what_the_room_knows_is_not_given(place, field):
    with pytest.raises(InputError, match=field):
        made({**SHORT, field: "0" * 64}, place.agreement)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"members": ["aki", "benten", "zen"]}, "'zen' is no member"),
        ({"members": ["aki", "benten", "host"]}, "'host' is a host"),
        ({"server": "host"}, "'host' has not the ability compute"),
        ({"server": "nobody"}, "'nobody' is no member"),
        ({"privacy": {"rho": 0.1, "unit": "card"}}, "no budget for 'card' of aki, benten"),
    ],
    ids=["stranger", "host", "server-ability", "server-stranger", "budget"],
)
def test_a_plan_that_does_not_fit_the_room_is_not_signed(place, change, words):
    plan = place.plan(**change)
    with pytest.raises(RoomError, match=words):
        sign(SignedPlan(plan, {}), "aki", place.members["aki"].keys({}), place.agreement)


def test_a_server_that_owns_a_table_is_refused(place):
    data = place.agreement.model_dump(mode="json")
    column = {"name": "x", "type": "int", "protection": "cleartext"}
    data["settings"]["allow_cleartext"] = True
    data["tables"] = [{"name": "t", "owner": "adder", "columns": [column]}]
    changed = type(place.agreement).model_validate(data)
    plan = made({**SHORT, "server": "adder"}, changed)
    with pytest.raises(RoomError, match="owns a table"):
        sign(SignedPlan(plan, {}), "aki", place.members["aki"].keys({}), changed)


def test_all_must_sign(place):
    signed = SignedPlan(place.plan(), {})
    assert signed.missing(place.publics) == (*BANKS, "adder")
    for name in BANKS:
        signed = sign(signed, name, place.members[name].keys({}), place.agreement)
    assert signed.missing(place.publics) == ("adder",)
    with pytest.raises(RoomError, match="no signature of adder"):
        signed.verify(place.agreement)
    sign(signed, "adder", place.members["adder"].keys({}), place.agreement).verify(place.agreement)


def test_no_other_key_and_nobody_else_signs(place):
    signed = SignedPlan(place.plan(), {})
    with pytest.raises(RoomError, match="not the key"):
        sign(signed, "aki", place.members["benten"].keys({}), place.agreement)
    with pytest.raises(RoomError, match="no part"):
        sign(signed, "host", place.members["host"].keys({}), place.agreement)


def test_a_signature_is_of_one_plan(place):
    one, other = place.signed(place.plan()), place.plan(guard={"every": 2})
    assert SignedPlan(other, one.signatures).missing(place.publics) == (*BANKS, "adder")


def test_a_plan_of_a_changed_room_is_refused(place):
    data = place.agreement.model_dump(mode="json")
    data["name"] = "Another name"
    changed = type(place.agreement).model_validate(data)
    with pytest.raises(RoomError, match="changed after the plan was made"):
        place.signed(place.plan()).verify(changed)


def test_the_file_comes_back_as_it_was(place, tmp_path):
    signed = place.signed(place.plan(privacy={"rho": 1e-05, "unit": "customer"}))
    signed.save(tmp_path / "plan.json")
    again = SignedPlan.load(tmp_path / "plan.json")
    assert again == signed
    again.verify(place.agreement)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.update(format="other"), "not a plan"),
        (lambda d: d.update(more=1), "not a plan"),
        (lambda d: d["plan"].update(secret_value="4711"), "secret_value"),
        (lambda d: d["plan"]["model"].update(trees=4711000), "model.boosting.trees"),
        (lambda d: d["signatures"].append(d["signatures"][0]), "a member one"),
        (lambda d: d.update(signatures={}), "a list"),
        (lambda d: d.update(plan=[]), "a mapping"),
    ],
    ids=["format", "field", "plan-field", "value", "twice", "signatures", "no-plan"],
)
def test_a_bad_file_is_refused_and_not_quoted(place, tmp_path, change, words):
    data = json.loads(place.signed(place.plan()).to_bytes())
    change(data)
    (tmp_path / "plan.json").write_text(json.dumps(data))
    with pytest.raises(InputError, match=words) as caught:
        SignedPlan.load(tmp_path / "plan.json")
    assert "4711" not in str(caught.value)


def test_the_words_say_the_bound(place):
    plan = place.plan()
    assert "fewer than 4 of the 5" in threshold_words(plan)
    assert "up to 1 of 5 may be lost" in threshold_words(plan)
    assert plan.colluding == 2
    assert "up to 2 members" in bound_words(plan)
    weak = place.plan(members=["aki", "benten", "chiyo"], aggregation={"threshold": 3})
    assert weak.colluding == 1
    assert "up to 1 member " in bound_words(weak)


def test_costs_and_charges(place):
    plan = place.plan()
    # Depth 3 asks for 1 + 1 + 2 nodes of 3 features of 16 bins and one for what is missing, two sums each.
    assert cost_of(plan).values == 4 * 3 * 17 * 2
    assert charges(plan) == ()
    private = place.plan(privacy={"rho": 0.125, "unit": "customer"})
    charged = charges(private)
    assert [c.owner for c in charged] == list(BANKS)
    assert {c.rho for c in charged} == {RHO_UNITS // 8}


def test_the_meaning_names_everybody_and_says_what_is_not_protected(place):
    told = meaning(place.plan(guard={"every": 2})).to_dict()
    private = meaning(place.plan(privacy={"rho": 0.125, "unit": "customer"})).to_dict()
    words = " ".join(line for one in (told, private) for lines in one["words"].values() for line in lines)
    assert "adder" in words
    assert "There is no proof of ranges" in words
    assert "If 2 of 5 reject" in words
    assert "never given back" in words
    assert private["privacy"]["epsilon"].startswith("2.")
    blind = " ".join(meaning(place.plan(aggregation={"kind": "he"})).sentences["learns"])
    assert "reads no sum" in blind
    assert "leader" in blind


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"aggregation": {"kind": "he"}},
        {"model": {"kind": "linear"}},
        {"model": {"kind": "perceptron"}},
        {"model": {"kind": "perceptron"}, "privacy": {"rho": 0.5}},
    ],
    ids=["boosting", "he", "linear", "perceptron", "private"],
)
def test_no_plan_that_is_made_can_overflow(place, change):
    plan = made({**SHORT, **change}, place.agreement)
    assert plan.data.rows <= largest_bound(plan)
    assert len(plan.members) * largest_bound(plan) < 2**63
    assert f"{largest_bound(plan):,}" in meaning(plan).sentences["overflow"][0]
    assert cost_of(plan).bytes_up > 8 * cost_of(plan).values
