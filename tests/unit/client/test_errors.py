# SPDX-License-Identifier: Apache-2.0
"""Errors are made anew from JSON: the same ones, of known classes only, whatever a node sends."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hitoku import errors
from hitoku.client.errors import rebuilt
from hitoku.client.shapes import Explained, answer_of, preview_of, scored_of
from hitoku.console.failing import coded, status_of
from hitoku.errors import Change, EngineError, HitokuError, PeerError, Refusal, RunAborted, Span

REFUSAL = Refusal(
    "AGGREGATE_NOT_ALLOWED",
    "not allowed",
    clause="SELECT",
    span=Span(3, 9),
    rule="tables.t.rule",
    owner="airport",
    remedy="ask for another",
    params={"column": "x"},
    change=Change("add", "tables.t.rule.aggregateColumns", {"function": "SUM", "columnNames": ["x"]}),
)
EDIT = Refusal("X", "x", change=Change("edit", edits=((0, 3, "abc"),)))
SET = Refusal("X", "x", change=Change("set", "a.b", 7))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
FIELDS = st.dictionaries(
    st.sampled_from(["error", "code", "message", "span", "change", "params", "rule", "action", "edits"]), JSON
)


def over_http(error: HitokuError) -> Any:
    status = status_of(error)
    return rebuilt(json.loads(json.dumps(coded(error, status))), status)


@pytest.mark.parametrize("refusal", [REFUSAL, EDIT, SET], ids=["add", "edit", "set"])
def test_a_refusal_comes_back_whole(refusal):
    assert over_http(refusal).to_dict() == refusal.to_dict()


@pytest.mark.parametrize(
    "name", ["InputError", "SecretError", "RoomError", "LimitError", "PeerError", "EngineError"]
)
def test_every_kind_comes_back_as_itself(name):
    kind = getattr(errors, name)
    back = over_http(kind("why"))
    assert (type(back), str(back)) == (kind, "why")


def test_codes_come_back():
    assert over_http(EngineError("x", "CANCELLED")).code == "CANCELLED"
    assert over_http(PeerError("x", "RUN_ENDED")).code == "RUN_ENDED"
    assert isinstance(rebuilt({"error": "RunAborted", "message": "m", "code": "RUN_ABORTED"}), RunAborted)


@settings(deadline=None)
@given(FIELDS | JSON)
def test_whatever_a_node_sends_is_an_error_of_the_tree(data):
    found = rebuilt(data, 500)
    assert isinstance(found, HitokuError)
    assert type(found).__module__ == "hitoku.errors"
    json.dumps(found.to_dict(), default=dict)


def test_no_other_class_can_be_named():
    assert type(rebuilt({"error": "SystemExit", "message": "x"})) is PeerError
    assert type(rebuilt({"error": "builtins.eval", "message": "x"})) is PeerError


@settings(deadline=None)  # the first one imports
@given(JSON)
def test_what_cannot_be_read_is_a_peer_error(data):
    for read in (lambda d: answer_of(d, "me"), preview_of, scored_of, Explained.of):
        with pytest.raises(PeerError, match="cannot be read"):
            read(data)
