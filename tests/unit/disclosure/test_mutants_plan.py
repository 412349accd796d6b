# SPDX-License-Identifier: Apache-2.0
"""Who is told about receivers, how totals of withheld groups travel, and that rows are sorted to the end."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from tests.conftest import QUESTION, Place

from hitoku.disclosure.answer import Answer, Withheld
from hitoku.disclosure.noise import Draws, Noise, NoisedPart
from hitoku.disclosure.noising import described
from hitoku.disclosure.plan import default_receivers, plan
from hitoku.errors import PeerError, Refusal
from hitoku.questions import check
from hitoku.questions.form import Ref
from hitoku.questions.privacy import Figure, FigureKind, Part, Privacy

from .test_mutants_answers import THRESHOLD, answer


def test_a_plan_says_who_receives_and_what_must_hold(place: Place) -> None:
    question = check(QUESTION, place.room, "airport")
    made = plan(question, place.room, ["registry", "airport", "registry"])
    assert made.question == question.hash
    assert made.receivers == ("airport", "registry")
    assert [(t.table, t.column, t.owner, t.minimum) for t in made.thresholds] == [
        ("flights", "tailnum", "airport", 3),
        ("planes", "tailnum", "registry", 3),
    ]
    assert [t.alias for t in made.thresholds] == sorted(c.alias for c in question.constraints)
    assert made.sort_by == ("manufacturer", "aircraft", "delay")
    ordered = check(QUESTION + " ORDER BY aircraft", place.room, "airport")
    assert plan(ordered, place.room, ["airport"]).sort_by == ()
    assert default_receivers(place.room, "registry") == ("registry",)
    assert default_receivers(place.room, "nobody") == ("airport", "registry")


def test_an_answer_for_nobody_or_for_who_may_not(place: Place) -> None:
    question = check(QUESTION, place.room, "airport")
    with pytest.raises(Refusal) as caught:
        plan(question, place.room, [])
    refusal = caught.value
    assert (refusal.code, refusal.rule) == ("NO_RECEIVER", "members")
    assert refusal.remedy
    with pytest.raises(Refusal) as caught:
        plan(question, place.room, ["airport", "host"])
    refusal = caught.value
    assert (refusal.code, refusal.rule) == ("RECEIVER_NOT_ALLOWED", "members.host.abilities")
    assert "airport or registry" in str(refusal.remedy)


def with_total(total: Any) -> dict[str, Any]:
    message = answer(withheld=Withheld(True, (THRESHOLD,), (("n", 7), ("s", 1.5)))).to_message()
    message["withheld"]["summary"][0]["total"] = total
    return message


def test_totals_of_withheld_groups_travel() -> None:
    again = Answer.from_message(with_total(2**127 - 1), "host")
    assert again.withheld.summary == (("n", 2**127 - 1), ("s", 1.5))
    assert again.withheld.some is True


@pytest.mark.parametrize("total", [2**127, -(2**127), True, "7", None, float("nan"), float("inf")])
def test_a_total_that_is_no_number(total: Any) -> None:
    with pytest.raises(PeerError):
        Answer.from_message(with_total(total), "host")


def test_numbers_that_are_not_finite_are_words_in_json() -> None:
    table = pa.table({"x": [float("inf"), float("-inf"), float("nan"), 1.5, None]})
    assert answer(table=table).to_dict()["rows"] == [["Infinity"], ["-Infinity"], ["NaN"], [1.5], [None]]


def noise(threshold: int | None) -> Noise:
    return Noise("person", 7, (NoisedPart((10,), threshold, 2),))


@pytest.mark.parametrize("threshold", [None, 12])
def test_an_answer_says_how_it_was_noised(threshold: int | None) -> None:
    figure = Figure(FigureKind.UNITS, None, 1)
    part = Part(Ref("t", "u"), 2, 3, (figure,), (), None)
    question: Any = SimpleNamespace(
        privacy=Privacy("person", ("a",), 7, "1e-6", (part,)),
        outputs=(SimpleNamespace(name="n"),),
        form=SimpleNamespace(
            blocks=(SimpleNamespace(items=(SimpleNamespace(value=SimpleNamespace(text="x")),)),)
        ),
    )
    told = described(question, noise(threshold))
    assert told == {
        "mechanism": "discrete Gaussian",
        "unit": "person",
        "users_noise": 7,
        "confidence": "0.95",
        "threshold": threshold,
        "bounds": [{"max_rows_per_group": 2, "max_groups": 3}],
        "columns": [{"name": "n", "sigma": None, "half_width": None}],
    }


def test_waiting_makes_the_draws_ahead_before_they_are_taken() -> None:
    source = Draws(noise(None), ahead=1)
    try:
        source.wait()
        assert all(future.done() for made in source._made.values() for future in made)
        assert len(source.take(10, 3)) == 3
    finally:
        source.close()
