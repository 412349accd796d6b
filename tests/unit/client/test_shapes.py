# SPDX-License-Identifier: Apache-2.0
"""What comes over the API is what went into it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from hitoku.client.shapes import answer_of, scored_of, sent_of
from hitoku.console.api.predictions import Scores, _numbers
from hitoku.errors import InputError, PeerError
from hitoku.node.predicting import Scored

SCORED = Scored(
    model="churn",
    owner="bank",
    runs=("0" * 32, "1" * 32),
    scores=np.array([[0.25, -1.5], [3.0, 1e-9]]),
    outputs=np.array([[1.0], [0.0]]),
    names=("stays", "goes"),
    rounding="0.01",
    charged=128,
    learned=(("bank", "how many rows"), ("airport", "the scores")),
)


def test_scores_come_back_as_they_were():
    sent = Scores(**SCORED.to_dict()).model_dump_json()
    back = scored_of(json.loads(sent))
    assert back.to_dict() == SCORED.to_dict()
    assert back.scores.dtype == np.float64
    assert np.array_equal(back.scores, SCORED.scores)


@pytest.mark.parametrize(
    "rows", [[["a"]], [[1], [1, 2]], [[None]], [{"a": 1}], [["nan"]], [[10**400]]], ids=lambda _: None
)
def test_rows_are_numbers_of_one_shape(rows):
    with pytest.raises(InputError, match="numbers"):
        _numbers(rows)


def test_rows_become_an_array():
    assert _numbers([[1, 2.5], [3, 4]]).shape == (2, 2)


def test_where_an_answer_went():
    sent = sent_of({"receivers": ["registry"], "run": "r", "question": "q"})
    assert (sent.run, sent.question, sent.receivers) == ("r", "q", ("registry",))
    with pytest.raises(PeerError):
        sent_of({"run": "r"})
    with pytest.raises(PeerError):
        answer_of({"answer": {"sql": 1}}, "me")
