# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hitoku import _core
from hitoku.errors import InputError
from hitoku.sources import csv as source_module
from hitoku.sources.csv import CsvSource

CELL = st.text(st.sampled_from('ab,"\n\r \té\u2028'), max_size=6)


def table(source: CsvSource) -> list[list[str | None]]:
    out = []
    for batch in source.batches(range(len(source.schema))):
        out += [list(row) for row in zip(*batch().to_pydict().values(), strict=True)]
    return out


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(CELL, CELL), max_size=8), st.booleans(), st.integers(1, 50))
def test_what_pythons_csv_writes_we_read(tmp_path, monkeypatch, rows, crlf, chunk):
    monkeypatch.setattr(source_module, "_CHUNK", chunk)
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\r\n" if crlf else "\n")
    writer.writerow(["x", "y"])
    writer.writerows(rows)
    path = tmp_path / "t.csv"
    path.write_bytes(text.getvalue().encode())
    assert table(CsvSource(path, null="\x00none")) == [list(row) for row in rows]


@settings(deadline=None)
@given(st.lists(st.tuples(st.none() | CELL, st.none() | CELL), min_size=1, max_size=8))
def test_what_we_write_we_and_python_read(rows):
    import pyarrow as pa

    batch = pa.record_batch(
        [pa.array([r[0] for r in rows], pa.string()), pa.array([r[1] for r in rows], pa.string())],
        names=["x", "y"],
    )
    text = bytes(_core.csv_write(batch, "").buffers()[1])
    back = _core.csv_parse(text, 2, [0, 1], "").to_pydict().values()
    assert list(zip(*back, strict=True)) == rows
    python = list(csv.reader(io.StringIO(text.decode(), newline="")))
    assert python == [[cell or "" for cell in row] for row in rows]


def test_chunks_of_any_size_give_the_same_rows(tmp_path, monkeypatch):
    path = tmp_path / "t.csv"
    path.write_text('\ufeffa,b\n1,"x\ny"\n\n2,"p""q"\n3,z')
    for chunk in range(1, 40):
        monkeypatch.setattr(source_module, "_CHUNK", chunk)
        source = CsvSource(path)
        assert source.schema.names == ["a", "b"]
        assert table(source) == [["1", "x\ny"], ["2", 'p"q'], ["3", "z"]]


def test_columns_without_headers_and_of_one_field(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("1\n\n3\n")
    source = CsvSource(path, header_row=False)
    assert source.schema.names == ["column 1"]
    assert table(source) == [["1"], [None], ["3"]]
    assert source.estimated_bytes == 5


def test_columns_are_chosen_by_index(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,b,c\n1,2,3\n")
    (batch,) = [b() for b in CsvSource(path).batches([2, 0])]
    assert [c.to_pylist() for c in batch.columns] == [["3"], ["1"]]


def test_unreadable(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        CsvSource(tmp_path / "none.csv")
    (tmp_path / "q.csv").write_text('"a')
    with pytest.raises(InputError, match=r"first record .* never closed"):
        CsvSource(tmp_path / "q.csv")
