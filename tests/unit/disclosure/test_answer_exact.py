# SPDX-License-Identifier: Apache-2.0
"""Answers that travel, to the letter: every fact's type, noise and bands; and who learns what."""

from __future__ import annotations

import base64
import dataclasses
import datetime as dt
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from hitoku import limits
from hitoku.disclosure.answer import Answer, Withheld
from hitoku.disclosure.cells import Cells
from hitoku.disclosure.leakage import Leakage, Learned
from hitoku.errors import PeerError

from .test_mutants_answers import HOST, OWNER, THRESHOLD, answer, travelled

BANDS = pa.table({"n_low": [0, 1], "n_high": [2, 3]})
NOISE = {"mechanism": "discrete Gaussian", "columns": []}
DEMAND = "3 distinct t.u (registry's rule)"
REFUSED = r"^'host' sent an answer that cannot be read$"


def test_noise_and_bands_travel_beside_the_rows() -> None:
    one = answer(noise=NOISE, bands=BANDS)
    data = one.to_dict()
    assert data["noise"] == NOISE
    assert data["bands"] == {"columns": ["n_low", "n_high"], "rows": [[0, 2], [1, 3]]}
    assert (answer().to_dict()["noise"], answer().to_dict()["bands"]) == (None, None)
    again = travelled(one)
    assert again.to_dict() == data
    assert again.bands.equals(BANDS)
    assert again.table.equals(one.table)
    assert travelled(answer()).bands is None
    assert answer().to_message()["bands"] is None
    # The digest covers both: who received them can show them.
    assert len({one.digest, answer().digest, answer(noise=NOISE).digest, answer(bands=BANDS).digest}) == 4


def test_an_answer_names_exactly_these_facts() -> None:
    facts = {
        *("sql", "question", "room", "run", "asker", "receivers", "protection", "withheld", "leakage"),
        *("released_at", "salt", "budget", "ledger", "noise", "bands"),
    }
    assert set(answer().to_dict()) == facts | {"columns", "rows"}
    assert set(answer().to_message()) == facts | {"arrow"}
    assert answer(budget={"a": 1}, ledger={"b": 2}).to_dict()["budget"] == {"a": 1}
    assert answer(budget={"a": 1}, ledger={"b": 2}).to_dict()["ledger"] == {"b": 2}


def test_a_digest_is_of_the_facts_under_a_name_of_its_own() -> None:
    from hitoku.room.canonical import canonical_json, digest

    one = answer(budget={"a": 1})
    facts = {key: value for key, value in one.to_message().items() if key not in {"budget", "ledger"}}
    assert one.digest == digest("hitoku/answer/1", canonical_json(facts))


def test_bands_of_other_rows_are_refused() -> None:
    message = answer(noise=NOISE, bands=BANDS.slice(0, 1)).to_message()
    with pytest.raises(PeerError, match=REFUSED):
        Answer.from_message(message, "host")


@pytest.mark.parametrize(
    ("some", "further", "summary", "words"),
    [
        (
            True,
            True,
            (("n", 1234), ("s", 1.5)),
            (
                f"Some groups are withheld: they do not rest on at least {DEMAND}, "
                "or would tell of one that does not. Together they have: n 1,234; s 1.5."
            ),
        ),
        (True, False, (), f"Some groups are withheld: they do not rest on at least {DEMAND}."),
        (None, True, (), f"Groups that do not rest on at least {DEMAND} are not shown, and not told of."),
    ],
)
def test_what_was_withheld_to_the_letter(some: Any, further: bool, summary: Any, words: str) -> None:
    withheld = Withheld(some, (THRESHOLD,), summary, further)
    assert withheld.words() == words
    assert withheld.to_dict() == {
        "some": some,
        "reason": words,
        "thresholds": [{"table": "t", "column": "u", "owner": "registry", "minimum": 3}],
        "summary": [{"column": name, "total": total} for name, total in summary],
        "further": further,
    }
    assert travelled(answer(withheld=withheld)).withheld == withheld


def test_what_was_withheld_may_lack_what_is_said_only_where_it_is_so() -> None:
    message = answer(withheld=Withheld(True, (THRESHOLD,), (("n", 1),), True)).to_message()
    del message["withheld"]["summary"], message["withheld"]["further"]
    assert Answer.from_message(message, "host").withheld == Withheld(True, (THRESHOLD,))


def changed(path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    withheld = Withheld(True, (THRESHOLD,), (("n", 7),))
    message: Any = answer(withheld=withheld, noise=NOISE, bands=BANDS).to_message()
    at = message
    for name in path[:-1]:
        at = at[name]
    at[path[-1]] = value
    made: dict[str, Any] = message
    return made


TEXTS = ("sql", "question", "room", "run", "asker", "protection", "released_at", "salt")
LONG = "x" * (limits.MAX_SQL_CHARS * 2 + 1)


@pytest.mark.parametrize(
    "path",
    [
        *((name,) for name in TEXTS),
        ("receivers", 0),
        *(("withheld", "thresholds", 0, name) for name in ("table", "column", "owner")),
        *(("leakage", 0, name) for name in ("member", "code", "words", "assumption")),
        ("withheld", "summary", 0, "column"),
    ],
    ids=str,
)
def test_every_text_is_a_text_of_a_bounded_length(path: tuple[Any, ...]) -> None:
    assert Answer.from_message(changed(path, "another"), "host")
    for bad in (3, LONG, b"bytes", ["a"]):
        with pytest.raises(PeerError, match=REFUSED):
            Answer.from_message(changed(path, bad), "host")


@pytest.mark.parametrize(
    ("path", "bad"),
    [
        (("withheld", "some"), 0),
        (("withheld", "some"), "yes"),
        (("withheld", "further"), None),
        (("withheld", "further"), 1),
        (("withheld", "thresholds", 0, "minimum"), "3"),
        (("withheld", "thresholds"), None),
        (("withheld", "summary"), {}),
        (("withheld", "summary"), ()),
        (("noise",), []),
        (("noise",), "text"),
        (("bands",), 3),
        (("bands",), ""),
        (("bands",), "!!!!"),
        (("arrow",), None),
        (("leakage",), None),
        (("leakage", 0), {}),
    ],
    ids=str,
)
def test_what_has_another_type_cannot_be_read(path: tuple[Any, ...], bad: Any) -> None:
    with pytest.raises(PeerError, match=REFUSED) as caught:
        Answer.from_message(changed(path, bad), "host")
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("name", sorted(answer().to_message()))
def test_no_fact_may_lack_and_none_may_be_more(name: str) -> None:
    message = answer(noise=NOISE, bands=BANDS).to_message()
    without = {key: value for key, value in message.items() if key != name}
    for bad in (without, {**message, name + "s": None}):
        with pytest.raises(PeerError, match=REFUSED):
            Answer.from_message(bad, "host")
    assert set(message) == set(answer().to_message())  # the message itself is left as it was


@pytest.mark.parametrize(("more", "fits"), [(0, True), (1, False)])
def test_a_summary_has_no_more_columns_than_an_answer(more: int, fits: bool) -> None:
    summary = [{"column": f"c{n}", "total": n} for n in range(limits.MAX_OUTPUT_COLUMNS + more)]
    message = changed(("withheld", "summary"), summary)
    if fits:
        assert Answer.from_message(message, "host").withheld.summary[-1] == (
            f"c{len(summary) - 1}",
            more + limits.MAX_OUTPUT_COLUMNS - 1,
        )
    else:
        with pytest.raises(PeerError, match=REFUSED):
            Answer.from_message(message, "host")


@pytest.mark.parametrize("total", [2**127 - 1, 1 - 2**127, 0, -1.5])
def test_totals_within_128_bits_travel(total: Any) -> None:
    message = changed(("withheld", "summary", 0, "total"), total)
    assert Answer.from_message(message, "host").withheld.summary == (("n", total),)


def test_values_as_json() -> None:
    table = pa.table(
        {
            "big": [Decimal("1E+3")],
            "date": [dt.date(2026, 1, 2)],
            "time": [dt.time(1, 2, 3)],
            "stamp": [dt.datetime(2026, 1, 2, 3, 4)],
            "bytes": [b"\x00\xff"],
            "span": [dt.timedelta(seconds=5)],
            "flag": [False],
            "zero": [0.0],
        }
    )
    data = answer(table=table).to_dict()
    assert data["rows"] == [
        ["1000", "2026-01-02", "01:02:03", "2026-01-02T03:04:00", "AP8=", "0:00:05", False, 0.0]
    ]
    assert [c["name"] for c in data["columns"]] == table.column_names
    assert [c["type"] for c in data["columns"]] == [str(f.type) for f in table.schema]


def test_a_table_comes_out_as_arrow_pandas_and_tuples() -> None:
    one = answer()
    assert one.to_arrow() is one.table
    assert pa.table(one).equals(one.table)
    assert one.to_pandas().to_dict("list") == {"g": ["a", "b"], "n": [1, 2]}
    wanted = pa.schema([pa.field("g", pa.large_string()), pa.field("n", pa.int64())])
    assert pa.RecordBatchReader.from_stream(one, wanted).read_all().schema == wanted
    assert answer(table=pa.table({"g": []})).fetchall() == []


def test_no_fact_can_be_changed_afterwards() -> None:
    frozen: list[tuple[Any, str]] = [
        (answer(), "sql"),
        (Withheld(None, ()), "some"),
        (Leakage(()), "learned"),
        (HOST, "member"),
        (Cells("q", None), "question"),
    ]
    for one, name in frozen:
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(one, name, "other")
        assert not hasattr(one, "__dict__")


def test_answers_are_themselves_alone() -> None:
    one = answer()
    assert one == one
    assert one != answer()


def test_cells_carry_nothing_applied_unless_it_is_said() -> None:
    assert Cells("sha256:q", "PLANTED").applied == frozenset()
    assert repr(Cells("sha256:q", "PLANTED")) == "Cells(question='sha256:q', applied=[])"


def test_who_learns_what_is_unconditional_unless_it_is_said() -> None:
    one = Learned("host", "CODE", "words")
    assert one.assumption is None
    assert Leakage((one, OWNER)).to_dict() == [
        {"member": "host", "code": "CODE", "words": "words", "assumption": None},
        {"member": "airport", "code": "ANSWER", "words": "the answer", "assumption": None},
    ]
    assert Leakage((OWNER, one, HOST)).of("host") == (one, HOST)


@pytest.mark.parametrize("text", ["A", "AAA", "AA=A", "A A=", "AAAA\n"])
def test_rows_are_strict_base64(text: str) -> None:
    with pytest.raises(PeerError, match=REFUSED):
        travelled(answer(), arrow=text)
    assert base64.b64decode(answer().to_message()["arrow"], validate=True)
