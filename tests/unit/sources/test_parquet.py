# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hitoku.errors import InputError
from hitoku.sources import open_source
from hitoku.sources.parquet import ParquetSource
from hitoku.sources.table import TableSource


def test_columns_and_plain_types(tmp_path):
    table = pa.table(
        {
            "d": pa.array(["x", "y", "x"]).dictionary_encode(),
            "v": pa.array(["a", "b", None], pa.string_view()),
            "i": [1, 2, 3],
        }
    )
    pq.write_table(table, tmp_path / "t.parquet")
    for source in (ParquetSource(tmp_path / "t.parquet"), TableSource(table)):
        assert not any(pa.types.is_dictionary(t) for t in source.schema.types)
        (batch,) = [b() for b in source.batches([2, 0, 1])]
        assert batch.to_pydict() == {
            "i": [1, 2, 3],
            "d": ["x", "y", "x"],
            "v": ["a", "b", None],
        }
        assert source.estimated_bytes > 0


def test_nested_columns_are_named(tmp_path):
    table = pa.table({"a": [1], "deep": [{"x": 1}]})
    pq.write_table(table, tmp_path / "t.parquet")
    for make in (lambda: ParquetSource(tmp_path / "t.parquet"), lambda: TableSource(table)):
        with pytest.raises(InputError, match=r"nested.*deep"):
            make()


def test_options_of_csv_are_refused(tmp_path):
    pq.write_table(pa.table({"a": [1]}), tmp_path / "t.parquet")
    with pytest.raises(InputError, match="for CSV"):
        open_source(tmp_path / "t.parquet", null="x")
    with pytest.raises(InputError, match="No such file"):
        open_source(tmp_path / "none.parquet")


def test_text_that_is_not_utf8_is_refused(tmp_path):
    broken = pa.array([b"\xff\xfeplanted"]).view(pa.string())
    pq.write_table(pa.table({"a": broken}), tmp_path / "t.parquet")
    source = ParquetSource(tmp_path / "t.parquet")
    with pytest.raises(InputError, match="well-formed") as caught:
        [batch() for batch in source.batches([0])]
    assert "planted" not in str(caught.value)
