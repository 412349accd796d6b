# SPDX-License-Identifier: Apache-2.0
"""What is wrong with data is said with its place and without a value of it."""

from __future__ import annotations

import pytest
from pydantic import BaseModel, ValidationError, field_validator, model_validator

from hitoku.findings import findings


class _Item(BaseModel):
    size: int

    @field_validator("size")
    @classmethod
    def _small(cls, size: int) -> int:
        if size > 9:
            raise ValueError("at most 9")
        return size


class _Data(BaseModel):
    items: list[_Item]

    @model_validator(mode="after")
    def _some(self) -> _Data:
        if not self.items:
            raise ValueError("there are no items")
        return self


def _said(data: object, *under: str | int) -> str:
    with pytest.raises(ValidationError) as caught:
        _Data.model_validate(data)
    return findings(caught.value, "data", under)


def test_a_finding_has_its_place_and_our_own_words() -> None:
    assert _said({"items": [{"size": 1}, {"size": 10}]}) == "items.1.size: at most 9"
    assert _said({"items": [{"size": 10}]}, "rooms", 3) == "rooms.3.items.0.size: at most 9"
    assert _said({"items": []}) == "data: there are no items"


def test_no_value_is_quoted() -> None:
    said = _said({"items": [{"size": "PLANTED"}], "PLANTED": 1})
    assert said.startswith("items.0.size: ")
    assert "PLANTED" not in said


def test_of_many_the_first_are_said_and_the_rest_counted() -> None:
    said = _said({"items": [{"size": 10}] * 20})
    assert said.count("at most 9") == 8
    assert said.endswith("; and 12 more")
