# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import json

import pyarrow as pa
import pytest

from hitoku.columns.schema import load_schema
from hitoku.columns.template import interactive_schema, template
from hitoku.errors import InputError
from hitoku.room.settings import Settings

SOURCE = pa.schema([("Name", pa.string()), ("Score", pa.float64()), ("Bad!", pa.string())])
CLEAR = Settings(allow_cleartext=True)


def scripted(*answers: str):
    waiting = list(answers)

    def ask(question, choices, default):
        answer = waiting.pop(0) or default
        assert choices is None or answer in choices, question
        return answer

    return ask, waiting


def test_a_template_leaves_every_choice_open():
    data = json.loads(template(SOURCE, CLEAR))
    assert data["columns"][0]["type"] == "[fingerprint|sealed|cleartext]"
    assert data["columns"][1]["type"] == "[sealed|cleartext]"
    assert data["columns"][2]["targetHeader"] == "[choose a header]"
    with pytest.raises(InputError):
        load_schema(data)


def test_a_template_offers_what_room_and_type_allow():
    data = json.loads(template(SOURCE, Settings()))
    assert [c["type"] for c in data["columns"][:2]] == ["[fingerprint|sealed]", "sealed"]
    odd = pa.schema([("x", pa.int8())])
    with pytest.raises(InputError, match="no column"):
        template(odd, Settings())
    positional = json.loads(
        template(pa.schema([("column 1", pa.string()), ("x", pa.int8())]), Settings(), header_row=False)
    )
    assert positional["columns"][0][0]["targetHeader"] == "column_1"
    assert positional["columns"][1] is None


def test_questions_make_a_schema():
    ask, waiting = scripted(
        "2", "fingerprint", "", "sealed", "name_fingerprint", "hidden", "max", "x", "7",
        "1", "sealed", "", "none",
        "1", "cleartext", "bad!", "good",
    )  # fmt: skip
    made = interactive_schema(SOURCE, CLEAR, ask)
    assert not waiting
    assert [(s, c.target, c.type) for s, c in made.flat()] == [
        ("name", "name_fingerprint", "fingerprint"),
        ("name", "hidden", "sealed"),
        ("score", "score_sealed", "sealed"),
        ("bad!", "good", "cleartext"),
    ]
    pad = made.flat()[1][1].pad
    assert pad is not None
    assert pad.length == 7


def test_questions_without_headers():
    source = pa.schema([("column 1", pa.string()), ("column 2", pa.string())])
    ask, _ = scripted("0", "1", "sealed", "", "fixed", "-1", "12")
    made = interactive_schema(source, Settings(), ask, header_row=False)
    assert [(s, c.target) for s, c in made.flat()] == [(1, "column_2_sealed")]
    ask, _ = scripted("0", "0")
    with pytest.raises(InputError, match="nothing to write"):
        interactive_schema(source, Settings(), ask)
