# SPDX-License-Identifier: Apache-2.0
"""Answers to the letter: what travels and is bounded, what the digest covers, what people are shown."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import io
import struct
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from rich.console import Console

from hitoku import limits
from hitoku.disclosure.answer import Answer, Withheld
from hitoku.disclosure.cells import Cells
from hitoku.disclosure.incoming import read_table
from hitoku.disclosure.leakage import Leakage, Learned
from hitoku.disclosure.render import clean
from hitoku.errors import InputError, PeerError

HOST = Learned("host", "EQUALITY_PATTERN", "which rows share a fingerprint", "the host keeps to itself")
OWNER = Learned("airport", "ANSWER", "the answer", None)
THRESHOLD = ("t", "u", "registry", 3)


def answer(**changed: Any) -> Answer:
    facts: dict[str, Any] = {
        "table": pa.table({"g": ["a", "b"], "n": [1, 2]}),
        "sql": "SELECT 1",
        "question": "sha256:q",
        "room": "sha256:r",
        "run": "ab",
        "asker": "airport",
        "receivers": ("airport", "registry"),
        "protection": "tokens",
        "withheld": Withheld(None, (THRESHOLD,)),
        "leakage": Leakage((HOST, OWNER)),
        "released_at": "2026-11-21T12:00:00Z",
        "salt": "00",
    }
    return Answer(**{**facts, **changed})


def travelled(one: Answer, **changed: Any) -> Answer:
    return Answer.from_message({**one.to_message(), **changed}, "host")


def test_all_facts_travel() -> None:
    one = answer(budget={"epsilon": "1"}, ledger={"entry": 3})
    again = travelled(one)
    assert again.to_dict() == one.to_dict()
    assert (again.budget, again.ledger) == ({"epsilon": "1"}, {"entry": 3})
    assert again.withheld == one.withheld
    assert again.receivers == ("airport", "registry")
    assert again.leakage.learned == (HOST, OWNER)
    assert travelled(answer()).budget is None
    assert travelled(answer()).ledger is None


def test_an_answer_as_json_names_every_fact() -> None:
    data = answer().to_dict()
    withheld = data.pop("withheld")
    assert withheld["some"] is None
    assert withheld["reason"] == (
        "Groups that do not rest on at least 3 distinct t.u (registry's rule) are not shown, and not told of."
    )
    assert withheld["thresholds"] == [{"table": "t", "column": "u", "owner": "registry", "minimum": 3}]
    expected = {
        "sql": "SELECT 1",
        "question": "sha256:q",
        "room": "sha256:r",
        "run": "ab",
        "asker": "airport",
        "receivers": ["airport", "registry"],
        "protection": "tokens",
        "leakage": [dataclasses.asdict(HOST), dataclasses.asdict(OWNER)],
        "released_at": "2026-11-21T12:00:00Z",
        "salt": "00",
        "budget": None,
        "ledger": None,
        "columns": [{"name": "g", "type": "string"}, {"name": "n", "type": "int64"}],
        "rows": [["a", 1], ["b", 2]],
    }
    assert {key: data.get(key, "missing") for key in expected} == expected


def test_the_digest_covers_all_that_was_released_and_nothing_that_each_member_adds() -> None:
    one = answer()
    assert one.digest == answer(budget={"epsilon": "1"}, ledger={"entry": 3}).digest
    others: list[dict[str, Any]] = [
        {"table": pa.table({"g": ["a", "b"], "n": [1, 3]})},
        {"sql": "SELECT 2"},
        {"question": "sha256:x"},
        {"room": "sha256:x"},
        {"run": "cd"},
        {"asker": "registry"},
        {"receivers": ("airport",)},
        {"protection": "shares"},
        {"withheld": Withheld(True, (THRESHOLD,))},
        {"leakage": Leakage((HOST,))},
        {"released_at": "2026-11-21T12:00:01Z"},
        {"salt": "01"},
    ]
    digests = {answer(**changed).digest for changed in others}
    assert len(digests) == len(others)
    assert one.digest not in digests


@pytest.mark.parametrize(("extra", "fits"), [(0, True), (1, False)])
def test_texts_are_bounded(extra: int, fits: bool) -> None:
    text = "x" * (limits.MAX_SQL_CHARS * 2 + extra)
    if fits:
        assert travelled(answer(), sql=text).sql == text
    else:
        with pytest.raises(PeerError):
            travelled(answer(), sql=text)


@pytest.mark.parametrize("room", [0, 1])
def test_rows_are_bounded_before_they_are_read(monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    message = answer().to_message()
    monkeypatch.setattr(limits, "MAX_MESSAGE_BYTES", len(message["arrow"]) - room)
    if room:
        with pytest.raises(PeerError):
            Answer.from_message(message, "host")
    else:
        assert Answer.from_message(message, "host").num_rows == 2


@pytest.mark.parametrize(
    "changed",
    [
        {"budget": []},
        {"ledger": "text"},
        {"withheld": {"some": 1, "thresholds": []}},
        {
            "withheld": {
                "some": None,
                "thresholds": [{"table": "t", "column": "u", "owner": "o", "minimum": True}],
            }
        },
        {
            "withheld": {
                "some": None,
                "thresholds": [{"table": "t", "column": "u", "owner": "o", "minimum": 3.0}],
            }
        },
        {"receivers": [3]},
        {"leakage": [{"member": "m", "code": "C", "words": "w", "assumption": 3}]},
        {"arrow": "AAAA AAAA"},
    ],
)
def test_what_has_another_type_is_refused_without_its_words(changed: dict[str, Any]) -> None:
    with pytest.raises(PeerError) as caught:
        travelled(answer(), **changed)
    assert str(caught.value) == "'host' sent an answer that cannot be read"
    assert caught.value.__cause__ is None


def test_what_one_member_learns() -> None:
    both = Leakage((HOST, OWNER))
    assert both.of("host") == (HOST,)
    assert both.of("airport") == (OWNER,)
    assert both.of("registry") == ()
    assert both.to_dict()[0] == {
        "member": "host",
        "code": "EQUALITY_PATTERN",
        "words": "which rows share a fingerprint",
        "assumption": "the host keeps to itself",
    }


def test_what_was_withheld_in_words() -> None:
    two = (THRESHOLD, ("s", "v", "airport", 5))
    demands = "3 distinct t.u (registry's rule) and 5 distinct s.v (airport's rule)"
    assert Withheld(False, ()).words() == "Nothing can have been withheld: no rule demands it."
    assert (
        Withheld(True, two)
        .words()
        .startswith(f"Some groups are withheld: they do not rest on at least {demands}")
    )
    assert Withheld(None, two).words() == (
        f"Groups that do not rest on at least {demands} are not shown, and not told of."
    )


def test_logs_show_shapes_and_no_value() -> None:
    secret = pa.table({"g": ["PLANTED"]})
    assert repr(answer(table=secret)) == "Answer(1 rows, columns=['g'], question='sha256:q')"
    shown = repr(Cells("sha256:q", secret, frozenset({"threshold", "noise"})))
    assert shown == "Cells(question='sha256:q', applied=['noise', 'threshold'])"


def test_rows_as_tuples_and_columns_by_name() -> None:
    one = answer()
    assert one.fetchall() == [("a", 1), ("b", 2)]
    assert one.column_names == ["g", "n"]
    assert (len(one), one.num_rows) == (2, 2)


def test_without_pandas_the_remedy_is_told() -> None:
    class Table:
        def to_pandas(self) -> None:
            raise ImportError("pandas")

    with pytest.raises(InputError, match="pip install pandas"):
        answer(table=Table()).to_pandas()


# --- for people ---


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "NULL"),
        (1234.5, "1,234.50"),
        (Decimal("1234.567"), "1,234.57"),
        (1234, "1234"),
        (True, "True"),
        ("a\x1b[2Jb\u202ec\nd", "a\ufffd[2Jb\ufffdc\ufffdd"),
        ("x" * 200, "x" * 200),
        ("x" * 201, "x" * 200 + "…"),
    ],
)
def test_a_value_as_one_line(value: Any, text: str) -> None:
    assert clean(value) == text


def shown(one: Answer, width: int = 100) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=width).print(one)
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_a_terminal_shows_a_table_and_what_was_withheld() -> None:
    free = Withheld(False, ())
    words = "Nothing can have been withheld: no rule demands it."
    lines = shown(answer(withheld=free))
    assert [line.split() for line in lines[:1] + lines[2:4]] == [
        ["g", "┃", "n"],
        ["a", "│", "1"],
        ["b", "│", "2"],
    ]
    assert lines[-1] == f"2 rows. {words}"
    one = answer(withheld=free, table=pa.table({"g": ["a"]}))
    assert shown(one)[-1] == f"1 row. {words}"


def test_numbers_stand_to_the_right_and_flags_and_words_to_the_left() -> None:
    table = pa.table({"number": [1], "word": ["a"], "flagged": [True], "decimals": [Decimal("1.50")]})
    row = next(line for line in shown(answer(table=table)) if "True" in line)
    head = shown(answer(table=table))[0]
    assert row.index("1") == head.index("number") + len("number") - 1
    assert row.index("a") == head.index("word")
    assert row.index("True") == head.index("flagged")
    assert row.index("1.50") == head.index("decimals") + len("decimals") - 4


@pytest.mark.parametrize(("rows", "told"), [(50, False), (51, True)])
def test_a_terminal_shows_fifty_rows(rows: int, told: bool) -> None:
    lines = shown(
        answer(table=pa.table({"g": [f"row{n:03}" for n in range(rows)]}), withheld=Withheld(False, ()))
    )
    assert any("row049" in line for line in lines)
    assert not any("row050" in line for line in lines)
    assert lines[-1].startswith(f"{rows} rows (the first 50 are shown). " if told else f"{rows} rows. ")


@pytest.mark.parametrize(("rows", "told"), [(200, False), (201, True)])
def test_a_notebook_shows_two_hundred_rows(rows: int, told: bool) -> None:
    page = answer(table=pa.table({"g": [f"row{n:03}" for n in range(rows)]}))._repr_html_()
    assert "row000" in page
    assert "row199" in page
    assert "row200" not in page
    assert f"<p>{rows} rows{' (the first 200 are shown)' if told else ''}. Groups" in page


def test_a_notebook_shows_who_learned_what() -> None:
    page = answer()._repr_html_()
    assert page.startswith(
        "<table><thead><tr><th>g</th><th>n</th></tr></thead><tbody><tr><td>a</td><td>1</td></tr>"
    )
    assert "<li><b>host</b>: which rows share a fingerprint</li><li><b>airport</b>: the answer</li>" in page
    assert "question sha256:q, run ab, 2026-11-21T12:00:00Z" in page


# --- tables that another member sent ---


def stream(*batches: pa.RecordBatch, **options: Any) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batches[0].schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return bytes(sink.getvalue())


def batch(count: int) -> pa.RecordBatch:
    return pa.record_batch({"n": pa.array(range(count), pa.int64())})


@pytest.mark.parametrize(("most", "fits"), [(7, True), (6, False)])
def test_rows_of_all_batches_are_counted(monkeypatch: pytest.MonkeyPatch, most: int, fits: bool) -> None:
    monkeypatch.setattr(limits, "ENGINE_MAX_RESULT_ROWS", most)
    content = stream(batch(3), batch(4))
    if fits:
        assert read_table(content).num_rows == 7
    else:
        with pytest.raises(ValueError, match="too many rows"):
            read_table(content)


def test_no_rows_and_no_batches_are_a_table() -> None:
    assert read_table(stream(batch(0))).num_rows == 0
    sink = pa.BufferOutputStream()
    pa.ipc.new_stream(sink, batch(0).schema).close()
    assert read_table(bytes(sink.getvalue())).column_names == ["n"]
    assert read_table(bytes(sink.getvalue())[:-8]).num_rows == 0  # its end may be missing


@pytest.mark.parametrize(("less", "fits"), [(0, True), (1, False)])
def test_a_table_is_bounded(monkeypatch: pytest.MonkeyPatch, less: int, fits: bool) -> None:
    content = stream(batch(4))
    monkeypatch.setattr(limits, "MAX_MESSAGE_BYTES", read_table(content).nbytes - less)
    if fits:
        assert read_table(content).num_rows == 4
    else:
        with pytest.raises(ValueError, match="too large"):
            read_table(content)


@pytest.mark.parametrize("codec", ["lz4", "zstd"])
def test_compressed_rows_are_refused(codec: str) -> None:
    with pytest.raises(ValueError, match="compressed"):
        read_table(stream(batch(1000), compression=codec))


@pytest.mark.parametrize(
    "column",
    [
        pa.array([["a"]]),
        pa.array(["a"]).dictionary_encode(),
        pa.array([{"a": 1}]),
        pa.array(["a long text that is no view inline"], pa.string_view()),
    ],
)
def test_columns_of_columns_are_refused(column: pa.Array) -> None:
    with pytest.raises(ValueError):
        read_table(stream(pa.record_batch({"c": column})))


def test_damage_is_an_error_of_the_sender_and_of_no_other_kind() -> None:
    content = stream(batch(3))
    assert read_table(content).num_rows == 3
    for cut in range(0, len(content), 8):
        with contextlib.suppress(ValueError):
            read_table(content[:cut])
    for place in range(min(len(content), 400)):
        damaged = content[:place] + struct.pack("B", content[place] ^ 0xFF) + content[place + 1 :]
        with contextlib.suppress(ValueError):  # whatever else Arrow makes of it is an error here
            read_table(damaged)


def test_an_arrow_text_must_be_base64_alone() -> None:
    good = answer().to_message()["arrow"]
    assert base64.b64decode(good)
    for bad in (good[:-1], good + "\n", "ü" + good):
        with pytest.raises(PeerError):
            travelled(answer(), arrow=bad)
