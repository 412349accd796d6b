# SPDX-License-Identifier: Apache-2.0
"""Models in the agreement: who may ask, and who signs a change."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError
from tests.unit.room.test_changes import data

from hitoku.room.agreement import Agreement
from hitoku.room.canonical import canonical_json
from hitoku.room.changes import changes, must_sign

MODEL: dict[str, Any] = {
    "name": "fraud-score",
    "owner": "bank",
    "client": "sha256:" + "0" * 64,
    "askers": ["acme", "reader"],
    "rows_per_day": 10_000,
    "rounding": "0.05",
}


def agreement(*models: dict[str, Any]) -> Agreement:
    return Agreement.model_validate({**data(), "models": list(models)})


def test_a_model_is_found_by_its_name() -> None:
    room = agreement(MODEL)
    found = room.model("fraud-score")
    assert found is not None
    assert found.askers == ("acme", "reader")
    assert str(found.step) == "0.05"
    assert room.model("other") is None


def test_a_room_without_models_has_the_canonical_form_of_before() -> None:
    assert b"models" not in canonical_json(agreement().model_dump(mode="json", by_alias=True))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"owner": "nobody"}, "are members"),
        ({"askers": ["acme", "stranger"]}, "are members"),
        ({"askers": ["acme", "acme"]}, "named twice"),
        ({"askers": ["bank"]}, "needs no permission"),
        ({"askers": []}, "at least 1 item"),
        ({"rounding": "0.000"}, "more than 0"),
        ({"rounding": "-1"}, "match pattern"),
        ({"rounding": "1e-3"}, "match pattern"),
        ({"rows_per_day": 0}, "greater than or equal to 1"),
        ({"rows_per_day": 1.5}, "valid integer"),
        ({"client": "sha256:abc"}, "match pattern"),
        ({"name": "Fraud"}, "match pattern"),
        ({"more": 1}, "Extra inputs"),
    ],
)
def test_what_is_no_model_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        agreement({**MODEL, **change})


def test_two_models_have_two_names() -> None:
    with pytest.raises(ValidationError, match="two models"):
        agreement(MODEL, {**MODEL, "owner": "acme", "askers": ["bank"]})


@pytest.mark.parametrize(
    ("old", "new", "signers"),
    [
        ([], [MODEL], {"bank"}),
        ([MODEL], [], {"bank"}),
        ([MODEL], [{**MODEL, "askers": ["acme", "reader", "cloud"]}], {"bank"}),
        ([MODEL], [{**MODEL, "rounding": "0.01"}], {"bank"}),
        ([MODEL], [{**MODEL, "owner": "acme", "askers": ["bank"]}], {"acme", "bank"}),
        ([MODEL], [MODEL], set()),
    ],
)
def test_the_models_owner_signs_its_change(
    old: list[dict[str, Any]], new: list[dict[str, Any]], signers: set[str]
) -> None:
    before, after = agreement(*old), agreement(*new)
    assert {c.path for c in changes(before, after)} == ({"models.fraud-score"} if signers else set())
    assert must_sign(before, after).current == signers
