# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from hitoku.errors import HitokuError, InputError, LimitError
from hitoku.learning.data.convert import bucket
from hitoku.learning.data.rows import load_rows, rows_of, split_by_key
from hitoku.learning.plan import Counter, Cuts, Data, Feature
from hitoku.sources.table import TableSource

DAY = 86_400
FEATURES = (Feature(name="a"), Feature(name="b"))


def data(**more: Any) -> Data:
    return Data(features=FEATURES, label="y", **more)


def table(rows: int = 100, **columns: Any) -> pa.Table:
    base = {
        "a": np.arange(rows, dtype=np.float64),
        "b": np.arange(rows, dtype=np.int32),
        "y": np.arange(rows) % 2,
        "t": np.arange(rows) * DAY,
    }
    return pa.table({**base, **columns})


def test_a_parquet_and_a_csv_file_give_the_same_rows(tmp_path: Path) -> None:
    made = table(200, a=pa.array([None if k % 7 == 0 else k / 3 for k in range(200)]))
    pq.write_table(made, tmp_path / "x.parquet")
    lines = ["t,y,b,a"]
    for row in made.to_pylist():
        lines.append(f"{row['t']},{row['y']},{row['b']},{'' if row['a'] is None else row['a']}")
    (tmp_path / "x.csv").write_text("\n".join(lines) + "\n")
    parquet, csv = (load_rows(data(time="t"), f"x.{kind}", tmp_path) for kind in ("parquet", "csv"))
    assert parquet.features.dtype == np.float32
    assert np.isnan(parquet.features[0, 0])
    assert np.array_equal(parquet.features, csv.features, equal_nan=True)
    for name in ("label", "part", "day"):
        assert (getattr(parquet, name) == getattr(csv, name)).all()
    assert parquet.day is not None
    assert parquet.day.tolist() == list(range(200))


def test_shares_of_the_own_span_split_without_cuts() -> None:
    rows = rows_of(data(time="t", shares=(0.5, 0.2, 0.3)), TableSource(table(101)))
    assert np.bincount(rows.part).tolist() == [50, 20, 31]
    assert (np.diff(rows.part.astype(int)) >= 0).all()


def test_cuts_are_the_same_for_all_and_leave_rows_out() -> None:
    cuts = Cuts(history=5 * DAY, train=10 * DAY, holdout=60 * DAY, wait=70 * DAY, test=80 * DAY, end=95 * DAY)
    rows = rows_of(data(time="t", cuts=cuts), TableSource(table(100)))
    assert rows.day is not None
    assert rows.day.tolist() == list(range(5, 95))
    assert rows.part.tolist() == [3] * 5 + [0] * 50 + [1] * 10 + [3] * 10 + [2] * 15
    assert rows.features[0].tolist() == [5.0, 5.0]


def test_cuts_may_be_dates_and_must_ascend() -> None:
    cuts = Cuts.model_validate(
        {
            "train": "1970-01-02",
            "holdout": "1970-01-03T12:00:00",
            "test": "1970-01-05T09:00:00+09:00",
            "end": 10 * DAY,
        }
    )
    assert cuts.edges == (DAY, DAY, 2 * DAY + DAY // 2, 4 * DAY, 4 * DAY, 10 * DAY)
    assert Cuts.model_validate_json(cuts.model_dump_json()) == cuts
    with pytest.raises(ValidationError, match="history <= train < holdout"):
        Cuts(train=5, holdout=4, test=6, end=7)
    with pytest.raises(ValidationError, match=r"needs data\.time"):
        data(cuts=cuts)


def test_timestamps_dates_and_texts_are_times() -> None:
    stamps = pa.array([k * DAY + 3 for k in range(100)]).cast(pa.timestamp("s"))
    made = {
        "stamp": stamps,
        "zone": pa.array([k * DAY + 3 for k in range(100)])
        .cast(pa.timestamp("s"))
        .cast(pa.timestamp("ms", "UTC")),
        "date": stamps.cast(pa.date32()),
        "text": pa.array([str(np.datetime64(k * DAY + 3, "s")) for k in range(100)]),
        "zoned": pa.array([str(np.datetime64(k * DAY + 3, "s")) + "Z" for k in range(100)]),
        "number": pa.array([str(k * DAY + 3) for k in range(100)]),
    }
    for name, column in made.items():
        rows = rows_of(data(time="t"), TableSource(table(100, t=column)))
        assert rows.day is not None
        assert rows.day.tolist() == list(range(100)), name


def test_entities_are_numbers_or_hashed_texts() -> None:
    cuts = Cuts(train=0, holdout=60 * DAY, test=70 * DAY, end=100 * DAY)
    counters = (Counter(column="n", entities=50), Counter(column="s", entities=16, hashed=True))
    made = table(100, n=np.arange(100) % 50, s=[f"s{k % 9}" for k in range(100)], c=np.arange(100) % 3)
    rows = rows_of(data(time="t", cuts=cuts, counters=counters, card="c"), TableSource(made))
    assert (rows.entities["n"] == np.arange(100) % 50).all()
    assert rows.entities["s"].tolist() == [bucket(f"s{k % 9}", 16) for k in range(100)]
    assert len(np.unique(rows.entities["c"])) == 3
    assert [f.name for f in data(time="t", cuts=cuts, counters=counters).inputs[2:]] == [
        f"{column}_{what}_{window}" for column in "ns" for window in (1, 7, 30) for what in ("count", "risk")
    ]


def test_without_time_a_keyed_hash_splits() -> None:
    first = split_by_key(20_000, (0.6, 0.1, 0.3), b"salt")
    assert (first == split_by_key(20_000, (0.6, 0.1, 0.3), b"salt")).all()
    assert (first != split_by_key(20_000, (0.6, 0.1, 0.3), b"other")).any()
    assert np.allclose(np.bincount(first) / 20_000, (0.6, 0.1, 0.3), atol=0.02)
    card = np.arange(20_000) % 500
    parts = split_by_key(20_000, (0.6, 0.1, 0.3), b"salt", card)
    assert all(len(np.unique(parts[card == k])) == 1 for k in range(500))
    assert (
        rows_of(data(), TableSource(table(100)), key=b"k").part == split_by_key(100, (0.6, 0.1, 0.3), b"k")
    ).all()


def _bad(column: str, place: int, value: Any, kind: Any = None) -> pa.Table:
    made = table(100, e=np.arange(100) % 10)
    values = made.column(column).to_pylist()
    values[place] = value
    return made.set_column(made.column_names.index(column), column, pa.array(values, kind))


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (_bad("y", 41, 2), "row 42 has a value in y that is no label"),
        (_bad("y", 41, None), "row 42 has a value in y that is no label"),
        (_bad("a", 7, float("inf")), "row 8 has a number in a that is infinite"),
        (_bad("a", 7, 1e39), "row 8 has a number in a that is infinite or too large"),
        (_bad("t", 0, None), "row 1 has no time in t"),
        (_bad("e", 99, 10), "row 100 has a value in e that is no whole number from 0 to 9"),
        (_bad("e", 99, None), "row 100 has a value in e that"),
        (table(100, a=["1"] * 50 + ["secret"] + ["1"] * 49, e=np.arange(100) % 10), "row 51 has text in a"),
        (table(100, t=["1"] * 50 + ["secret"] + ["1"] * 49, e=np.arange(100) % 10), "row 51 has a time in t"),
        (table(100, a=[b"1"] * 100, e=np.arange(100) % 10), "column a is binary, not a number"),
        (table(100), "no column e"),
        (table(0, e=np.arange(0)), "has no rows"),
    ],
    ids=["label", "no-label", "inf", "large", "no-time", "entity", "no-entity", "text", "time-text", "binary",
         "missing", "empty"],
)  # fmt: skip
def test_errors_name_column_and_row_and_no_value(made: pa.Table, says: str) -> None:
    cuts = Cuts(train=0, holdout=60 * DAY, test=70 * DAY, end=100 * DAY)
    plan = data(time="t", cuts=cuts, counters=(Counter(column="e", entities=10),))
    with pytest.raises(InputError) as caught:
        rows_of(plan, TableSource(made))
    assert says in str(caught.value)
    assert "secret" not in str(caught.value)


def test_row_numbers_count_over_batches(tmp_path: Path) -> None:
    made = table(150_000, y=pa.array([0] * 149_999 + [5]))
    pq.write_table(made, tmp_path / "x.parquet")
    with pytest.raises(InputError, match=r"row 150,000 has a value in y"):
        load_rows(data(), "x.parquet", tmp_path)


def test_more_rows_than_the_plan_allows_are_refused() -> None:
    with pytest.raises(LimitError, match="more than the 99 rows"):
        rows_of(data(rows=99), TableSource(table(100)))
    assert issubclass(LimitError, HitokuError)
