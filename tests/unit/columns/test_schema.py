# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import json
import re
import time

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hitoku.columns.headers import header_problem
from hitoku.columns.plan import make_plan
from hitoku.columns.schema import TableSchema, load_schema
from hitoku.errors import InputError
from hitoku.room.settings import Settings

CLEAR = Settings(allow_cleartext=True)


def column(source: str = "a", kind: str = "cleartext", **more: object) -> dict[str, object]:
    return {"sourceHeader": source, "type": kind, **more}


def load(*columns: object, header_row: bool = True) -> TableSchema:
    return load_schema({"headerRow": header_row, "columns": list(columns)})


def test_defaults_and_normal_form():
    schema = load(
        column(" A ", "CLEARTEXT"),
        column("A", "Sealed", pad={"type": "MAX", "length": 0}),
        column("A", "fingerprint"),
        column("A", "sealed", targetHeader=" B C ", pad={"type": "none"}),
    )
    assert [c.target for _, c in schema.flat()] == ["a", "a_sealed", "a_fingerprint", "b c"]
    assert load_schema(json.loads(schema.to_json())) == schema


def test_positional_form():
    schema = load([{"targetHeader": "x", "type": "cleartext"}], None, [], header_row=False)
    assert [key for key, _ in schema.flat()] == [0]
    assert load_schema(json.loads(schema.to_json())).flat() == schema.flat()


@pytest.mark.parametrize(
    ("columns", "header_row", "words"),
    [
        ([column(kind="sealed")], True, "needs a pad"),
        ([column(pad={"type": "none"})], True, "only a sealed column"),
        ([column(kind="secret")], True, "fingerprint"),
        ([column(kind="sealed", pad={"type": "fixed"})], True, "needs a length"),
        ([column(kind="sealed", pad={"type": "max", "length": 10_001})], True, "10000"),
        ([column(kind="sealed", pad={"type": "max", "length": True})], True, "integer"),
        ([column(), column()], True, "'a' is given to 2"),
        ([column(targetHeader="a,b")], True, "'a,b'"),
        ([column(targetHeader="x" * 129)], True, "128"),
        ([{"type": "cleartext"}], True, "sourceHeader is missing"),
        ([[column()]], True, "headerRow true"),
        ([column()], False, "headerRow false"),
        ([[column()]], False, "sourceHeader is refused"),
        ([[{"type": "cleartext"}]], False, "targetHeader is needed"),
        ([], True, "no output column"),
        ([column(other=1)], True, "other"),
        ([column(str(i)) for i in range(1_601)], True, "1,600"),
    ],
)
def test_what_is_wrong_is_said(columns, header_row, words):
    with pytest.raises(InputError, match=re.escape(words)):
        load(*columns, header_row=header_row)


def test_all_errors_come_at_once():
    with pytest.raises(InputError) as caught:
        load(column(targetHeader="?"), column("b"), column("b"), column("{c}"))
    for part in ("'?'", "'b' is given to 2", "'(c)'"):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"headerRow": true, "headerRow": false, "columns": []}', "twice"),
        ("[" * 100_000, "deep"),
        ('{"a":' * 50_000, "deep"),
        ("{", "line 1"),
        ("[]", "cannot be used"),
        ("NaN", "cannot be used"),
        ('{"headerRow": 1, "columns": []}', "headerRow"),
        ("1" * 5_000, "not JSON|cannot be used"),
        (" " * (4 * 1024 * 1024 + 1), "larger"),
    ],
)
def test_poisoned_files(tmp_path, text, words):
    path = tmp_path / "schema.json"
    path.write_text(text)
    with pytest.raises(InputError, match=words):
        load_schema(path)


def test_unreadable_files(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        load_schema(tmp_path / "none.json")
    (tmp_path / "b.json").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="UTF-8"):
        load_schema(tmp_path / "b.json")


SLOW = re.compile(r"[a-z0-9_](([a-z0-9_ ]+-)*([a-z0-9_ ]+))?")


@settings(deadline=None)
@given(st.text("ab0_ -é", max_size=12))
def test_our_header_pattern_is_the_formats(text):
    assert (header_problem(text) is None) == bool(SLOW.fullmatch(text))


def test_hostile_headers_take_no_time():
    began = time.process_time()  # on a busy machine 0.1 s go by without any work
    assert header_problem("a" * 127 + "!")
    assert time.process_time() - began < 0.1


def test_a_plan_lists_all_that_does_not_fit():
    source = pa.schema([("a", pa.float64()), ("b", pa.binary()), ("c", pa.int8())])
    schema = load(
        column("a", "fingerprint"),
        column("b", targetHeader="b"),
        column("c", "sealed", pad={"type": "none"}),
        column("x"),
        column("y"),
    )
    with pytest.raises(InputError) as caught:
        make_plan(schema, source, "t.parquet", Settings())
    for part in ("x, y", "forbids: b", "no fingerprint", "plain binary", "cannot be encrypted"):
        assert part in str(caught.value)


def test_a_plan_refuses_doubtful_sources():
    twice = pa.schema([("A", pa.string()), (" a", pa.string())])
    with pytest.raises(InputError, match=r"same name: a"):
        make_plan(load(column()), twice, "t.csv", CLEAR)
    positional = load([{"targetHeader": "x", "type": "cleartext"}], header_row=False)
    with pytest.raises(InputError, match=r"lists 1 input columns, t\.csv has 2"):
        make_plan(positional, twice, "t.csv", CLEAR)


def test_one_source_column_is_read_once():
    schema = load(column(), column(targetHeader="b"), column("c"))
    source = pa.schema([("c", pa.string()), ("a", pa.string())])
    plan = make_plan(schema, source, "t.csv", CLEAR)
    assert plan.used == (1, 0)
    assert [t.slot for t in plan.targets] == [0, 0, 1]
