"""encrypt and decrypt on files and on tables: settings, NULLs, padding, errors, nothing left behind."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import base64
import csv
import datetime as dt
import itertools
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hitoku import limits
from hitoku.columns import Summary, decrypt, encrypt
from hitoku.columns.plan import MAX_SEALED_BYTES
from hitoku.errors import InputError
from hitoku.executors import Local
from hitoku.room.settings import Settings

ROOM = "00000000-1111-2222-3333-444444444444"
SECRET = bytes(range(32))
OPEN = Settings(allow_cleartext=True, allow_duplicates=True)
NONE = {"type": "none"}


def schema(*columns: tuple[str, ...], **pads: object) -> dict[str, object]:
    out = []
    for source, kind, target in columns:
        entry: dict[str, object] = {"sourceHeader": source, "type": kind, "targetHeader": target}
        if kind == "sealed":
            entry["pad"] = pads.get(target, NONE)
        out.append(entry)
    return {"headerRow": True, "columns": out}


ABC = schema(("a", "cleartext", "a"), ("b", "sealed", "b"), ("c", "fingerprint", "c"))


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def enc(source, target, how=ABC, settings=OPEN, **more):
    return encrypt(source, target, how, settings, ROOM, SECRET, **more)


def dec(source, target, **more):
    return decrypt(source, target, ROOM, SECRET, **more)


def test_csv_there_and_back(tmp_path):
    source = write(tmp_path / "s.csv", '\ufeffA, b ,"c"\r\n1, x ," y"\r\n2,"q""r, s",\r\n')
    summary = enc(source, tmp_path / "e.csv")
    assert isinstance(summary, Summary)
    assert (summary.rows, summary.columns) == (
        2,
        {"fingerprint": 1, "sealed": 1, "cleartext": 1},
    )
    dec(tmp_path / "e.csv", tmp_path / "d.csv")
    found = sorted(rows(tmp_path / "d.csv"), key=lambda row: row["a"])
    assert [(r["a"], r["b"]) for r in found] == [("1", "x"), ("2", 'q"r, s')]
    assert all(r["c"].startswith("02:hmac:") for r in found)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["d.csv", "e.csv", "s.csv"]


@pytest.mark.parametrize(
    ("null", "expected"),
    [
        (None, [None, None, "NA"]),
        ("", [None, "", "NA"]),
        ('""', ["", None, "NA"]),
        (" NA ", ["", "", None]),
    ],
)
def test_the_input_null_value(tmp_path, slow, null, expected):
    source = write(tmp_path / "s.csv", 'a,b\n1,\n2,""\n3,NA\n')
    how = schema(("a", "cleartext", "a"), ("b", "sealed", "b"))
    enc(source, tmp_path / "e.csv", how, csv_input_null=null)
    found = {r["a"]: slow.unseal(r["b"]) for r in rows(tmp_path / "e.csv")}
    assert [None if f[1] else f[2].decode() for _, f in sorted(found.items())] == expected


def test_the_output_null_value(tmp_path):
    source = write(tmp_path / "s.csv", 'a,b,c\n1,,x\n2,"",y\n')
    enc(source, tmp_path / "e.csv", csv_input_null="")
    for null, expected in [
        (None, [b'1,,"', b'2,"","']),
        ("NULL", [b"1,NULL,", b'2,"",']),
        ('""', [b'1,"",', b"2,,"]),
    ]:
        dec(tmp_path / "e.csv", tmp_path / "d.csv", csv_output_null=null, overwrite=True)
        text = (tmp_path / "d.csv").read_bytes()
        assert all(part.rstrip(b'"') in text for part in expected)


def test_preserved_nulls_stay_and_others_hide(tmp_path):
    source = write(tmp_path / "s.csv", "a,b,c\n1,,\n2,,\n3,x,y\n")
    enc(source, tmp_path / "k.csv", settings=Settings(allow_cleartext=True, preserve_nulls=True))
    kept = {r["a"]: r for r in rows(tmp_path / "k.csv")}
    assert (kept["1"]["b"], kept["1"]["c"]) == ("", "")
    enc(source, tmp_path / "h.csv")
    hidden = {r["a"]: r for r in rows(tmp_path / "h.csv")}
    assert hidden["1"]["c"].startswith("02:hmac:")
    assert hidden["1"]["c"] != hidden["2"]["c"]
    assert hidden["1"]["b"].startswith("02:enc:")


def test_duplicates_are_an_error_that_names_columns(tmp_path):
    strict = Settings(allow_cleartext=True)
    how = schema(("a", "fingerprint", "one"), ("b", "fingerprint", "two"))
    source = write(tmp_path / "s.csv", "a,b\nplanted,1\nplanted,2\n")
    with pytest.raises(InputError, match=r"allow_duplicates\): one$") as caught:
        enc(source, tmp_path / "e.csv", how, strict)
    assert "planted" not in str(caught.value)
    write(source, "a,b\n,1\n,2\n")
    with pytest.raises(InputError, match=r"one$"):
        enc(source, tmp_path / "e.csv", how, strict)
    write(source, "a,b\n,1\nx,2\n")
    enc(source, tmp_path / "e.csv", how, strict)
    write(source, "a,b\n,1\n,2\n")
    kept = Settings(allow_cleartext=True, preserve_nulls=True)
    enc(source, tmp_path / "e.csv", how, kept, overwrite=True)


def test_one_key_for_all_columns_where_names_may_differ(tmp_path, slow):
    how = schema(("a", "fingerprint", "one"), ("b", "fingerprint", "two"))
    source = write(tmp_path / "s.csv", "a,b\nx,x\n")
    shared = Settings(allow_joins_on_columns_with_different_names=True)
    enc(source, tmp_path / "s1.csv", how, shared)
    enc(source, tmp_path / "s2.csv", how, Settings())
    (one,) = rows(tmp_path / "s1.csv")
    assert one["one"] == one["two"] == slow.fingerprint(slow.root(), b"x", 1)
    (other,) = rows(tmp_path / "s2.csv")
    assert other["one"] == slow.fingerprint(slow.column_key("one"), b"x", 1) != other["two"]


def test_padding_hides_lengths(tmp_path, slow):
    source = write(tmp_path / "s.csv", "a\nx\nabcdef\n\u00e9\n")
    how = schema(
        ("a", "sealed", "n"),
        ("a", "sealed", "f"),
        ("a", "sealed", "m"),
        f={"type": "fixed", "length": 7},
        m={"type": "max", "length": 10},
    )
    enc(source, tmp_path / "e.csv", how)
    found = rows(tmp_path / "e.csv")
    lengths = {h: {len(r[h]) for r in found} for h in "nfm"}
    assert len(lengths["n"]) > 1
    assert lengths["f"] == {len(slow.seal(b"", 1, "f", b"n" * 32, 6))}
    assert lengths["m"] == {len(slow.seal(b"", 1, "m", b"n" * 32, 16))}


def plaintext_bytes(sealed):
    return len(base64.b64decode(sealed[7:])) - 32 - 12 - 16


def test_what_is_padded_is_type_metadata_and_value(tmp_path):
    decimals = pa.array([Decimal("1.50"), Decimal("-10.25")], pa.decimal128(9, 2))
    table = pa.table({"t": ["a", "b" * 127], "d": decimals})
    how = schema(
        ("t", "sealed", "f"),
        ("d", "sealed", "m"),
        f={"type": "fixed", "length": 128},
        m={"type": "max", "length": 5},
    )
    made = encrypt(table, None, how, OPEN, ROOM, SECRET)
    assert {plaintext_bytes(text) for text in made["f"].to_pylist()} == {128 + 2}
    # Type 1, precision and scale 4 each, "-10.25" 6.
    assert {plaintext_bytes(text) for text in made["m"].to_pylist()} == {1 + 4 + 4 + 6 + 5 + 2}


def test_fixed_padding_needs_room_for_the_type(tmp_path):
    source = write(tmp_path / "s.csv", "a\nx\n")
    with pytest.raises(InputError, match="at least 1"):
        enc(source, tmp_path / "e.csv", schema(("a", "sealed", "b"), b={"type": "fixed", "length": 0}))


def test_no_record_is_an_empty_line_or_a_comment(tmp_path):
    source = write(tmp_path / "s.csv", 'a,b\n"#x",1\n,2\n"y\r\nz",3\n')
    enc(source, tmp_path / "e.csv", schema(("a", "cleartext", "a")))
    text = (tmp_path / "e.csv").read_bytes()
    assert text.startswith(b"a\n")
    for record in (b'\n"#x"\n', b'\n""\n', b'\n"y\r\nz"\n'):
        assert record in text
    assert len(rows(tmp_path / "e.csv")) == 3
    decrypt(tmp_path / "e.csv", tmp_path / "d.csv", ROOM, SECRET)
    assert (tmp_path / "d.csv").read_bytes() == text


@pytest.mark.parametrize(
    ("pad", "length", "good"),
    [
        # The byte that tells the type counts too.
        ({"type": "fixed", "length": 4}, 3, True),
        ({"type": "fixed", "length": 4}, 4, False),
        ({"type": "max", "length": 10_000}, 1_999, True),
        ({"type": "max", "length": 10_000}, 2_000, False),
        (NONE, MAX_SEALED_BYTES, True),
        (NONE, MAX_SEALED_BYTES + 1, False),
    ],
)
def test_lengths_at_their_limits(tmp_path, pad, length, good):
    text = "a\n" + "y\n" * 5 + "p" * length + "\n"
    source = write(tmp_path / "s.csv", text)
    how = schema(("a", "sealed", "b"), b=pad)
    if good:
        enc(source, tmp_path / "e.csv", how)
        longest = max(len(r["b"]) for r in rows(tmp_path / "e.csv"))
        assert longest <= limits.MAX_ENCODED_VALUE_BYTES
        return
    with pytest.raises(InputError, match=r"row 6 .*column 'b'") as caught:
        enc(source, tmp_path / "e.csv", how)
    assert "ppp" not in str(caught.value)
    assert not (tmp_path / "e.csv").exists()


TYPED = pa.table(
    {
        "s": pa.array(["é", "", None]),
        "l": pa.array(["a", "b", None], pa.large_string()),
        "d": pa.array(["u", "v", "u"]).dictionary_encode(),
        "i16": pa.array([1, -2, None], pa.int16()),
        "i32": pa.array([1, -2, None], pa.int32()),
        "i64": pa.array([1, -2, None], pa.int64()),
        "b": pa.array([True, False, None]),
        "date": pa.array([dt.date(2013, 1, 1), dt.date(1900, 2, 28), None]),
        "dec": pa.array([Decimal("1.50"), Decimal("-0.05"), None], pa.decimal128(12, 2)),
        "f32": pa.array([1.5, -0.0, None], pa.float32()),
        "f64": pa.array([1.5, 1e300, None]),
        "ms": pa.array([1, -1, None], pa.timestamp("ms")),
        "us": pa.array([1, -1, None], pa.timestamp("us", tz="UTC")),
        "ns": pa.array([1, -1, None], pa.timestamp("ns")),
    }
)
SEALED = schema(*[(n, "sealed", f"{n}_sealed") for n in TYPED.column_names])
SEALED["columns"] += schema(*[(n, "cleartext", n) for n in TYPED.column_names])["columns"]  # type: ignore[operator]


def by_row(table: pa.Table, names: list[str]) -> list[str]:
    return sorted(str(row) for row in table.select(names).rename_columns(names).to_pylist())


@pytest.mark.parametrize("preserve", [True, False])
def test_parquet_of_every_type(tmp_path, preserve):
    pq.write_table(TYPED, tmp_path / "s.parquet")
    settings = OPEN.model_copy(update={"preserve_nulls": preserve})
    enc(tmp_path / "s.parquet", tmp_path / "e.parquet", SEALED, settings)
    made = pq.read_table(tmp_path / "e.parquet")
    assert all(made.schema.field(f"{n}_sealed").type == pa.string() for n in TYPED.column_names)
    dec(tmp_path / "e.parquet", tmp_path / "d.parquet")
    opened = pq.read_table(tmp_path / "d.parquet")
    for name in TYPED.column_names:
        clear = opened.column(name).combine_chunks()
        was_sealed = opened.column(f"{name}_sealed").combine_chunks()
        assert was_sealed.cast(clear.type).equals(clear), name
        plain = TYPED.column(name).combine_chunks()
        assert sorted(map(str, clear.to_pylist())) == sorted(map(str, plain.to_pylist()))
    for name in ("i16", "date", "dec", "ms", "us", "ns", "f32"):
        assert opened.schema.field(f"{name}_sealed").type == TYPED.schema.field(name).type


def test_tables_in_memory(tmp_path):
    made = encrypt(TYPED, None, SEALED, OPEN, ROOM, SECRET)
    opened = decrypt(made, None, ROOM, SECRET)
    assert opened.column("dec_sealed").equals(opened.column("dec"))
    assert opened.num_rows == 3
    summary = encrypt(TYPED, tmp_path / "t.csv", SEALED, OPEN, ROOM, SECRET)
    assert summary.rows == 3
    dec(tmp_path / "t.csv", tmp_path / "d.csv")
    found = {r["i64"]: r for r in rows(tmp_path / "d.csv")}
    assert found["-2"]["date_sealed"] == "1900-02-28"
    assert found["-2"]["dec_sealed"] == "-0.05"
    assert found["1"]["us_sealed"] == "1970-01-01T00:00:00.000001Z"


def test_metadata_of_dropped_columns_does_not_leave(tmp_path):
    table = TYPED.select(["s", "i64"]).replace_schema_metadata({"pandas": "i64 planted"})
    pq.write_table(table, tmp_path / "s.parquet")
    enc(tmp_path / "s.parquet", tmp_path / "e.parquet", schema(("s", "cleartext", "s")))
    raw = (tmp_path / "e.parquet").read_bytes()
    assert b"planted" not in raw
    assert b"i64" not in raw


def test_encrypted_columns_have_no_statistics(tmp_path):
    pq.write_table(TYPED, tmp_path / "s.parquet")
    how = schema(("s", "fingerprint", "f"), ("i64", "cleartext", "c"))
    enc(tmp_path / "s.parquet", tmp_path / "e.parquet", how)
    group = pq.ParquetFile(tmp_path / "e.parquet").metadata.row_group(0)
    assert group.column(0).statistics is None
    assert group.column(1).statistics is not None


def test_binary_as_string_and_nested(tmp_path):
    pq.write_table(pa.table({"a": pa.array([b"x", b"y"])}), tmp_path / "b.parquet")
    how = schema(("a", "sealed", "b"))
    with pytest.raises(InputError, match="parquetBinaryAsString"):
        enc(tmp_path / "b.parquet", tmp_path / "e.parquet", how)
    enc(tmp_path / "b.parquet", tmp_path / "e.parquet", how, parquet_binary_as_string=True)
    pq.write_table(pa.table({"a": pa.array([b"\xffplanted"])}), tmp_path / "b.parquet")
    with pytest.raises(InputError) as caught:
        enc(tmp_path / "b.parquet", tmp_path / "f.parquet", how, parquet_binary_as_string=True)
    assert "planted" not in str(caught.value)
    pq.write_table(pa.table({"a": ["x"], "deep": [[1]]}), tmp_path / "n.parquet")
    with pytest.raises(InputError, match=r"nested columns.*deep"):
        enc(tmp_path / "n.parquet", tmp_path / "e.parquet", how)


def test_large_tables_spill_split_and_come_back_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "SHUFFLE_BUCKET_BYTES", 8 * 1024)
    monkeypatch.setattr(limits, "SHUFFLE_MEMORY_BYTES", 16 * 1024)
    monkeypatch.setattr(limits, "SHUFFLE_MAX_BUCKETS", 4)
    monkeypatch.setattr(limits, "DISTINCT_MEMORY_BYTES", 1_024)
    count = 20_000
    text = "a,b,c\n" + "".join(f"{i},value {i},key {i}\n" for i in range(count))
    source = write(tmp_path / "s.csv", text)
    (tmp_path / "tmp").mkdir()
    strict = Settings(allow_cleartext=True)
    enc(source, tmp_path / "e.csv", settings=strict, temp_dir=tmp_path / "tmp")
    dec(tmp_path / "e.csv", tmp_path / "d.csv")
    found = rows(tmp_path / "d.csv")
    order = [int(row["a"]) for row in found]
    assert sorted(order) == list(range(count))
    assert all(row["b"] == f"value {row['a']}" for row in found)
    # Neighbours in the input are not neighbours in the output: 2 pairs are expected by chance.
    assert sum(abs(a - b) == 1 for a, b in itertools.pairwise(order)) < 20
    assert not list((tmp_path / "tmp").iterdir())
    write(source, text + "20000,x,key 7\n")
    with pytest.raises(InputError, match=r"c$"):
        enc(source, tmp_path / "f.csv", settings=strict, temp_dir=tmp_path / "tmp")


def test_a_dry_run_checks_everything_and_writes_nothing(tmp_path):
    source = write(tmp_path / "s.csv", "a,b,c\n1,x,y\n2,x,y\n")
    summary = enc(source, tmp_path / "e.csv", dry_run=True)
    assert (summary.rows, summary.target, summary.dry_run) == (2, None, True)
    with pytest.raises(InputError, match="more than once"):
        enc(source, None, settings=Settings(allow_cleartext=True), dry_run=True)
    enc(source, tmp_path / "e.csv")
    assert dec(tmp_path / "e.csv", None, dry_run=True).rows == 2
    assert sorted(p.name for p in tmp_path.iterdir()) == ["e.csv", "s.csv"]


def test_existing_targets_are_kept_unless_told(tmp_path):
    source = write(tmp_path / "s.csv", "a,b,c\n1,x,y\n")
    target = write(tmp_path / "e.csv", "mine")
    for dry in (False, True):
        with pytest.raises(InputError, match="exists already"):
            enc(source, target, dry_run=dry)
    assert target.read_text() == "mine"
    enc(source, target, overwrite=True)
    assert target.stat().st_mode & 0o777 == 0o600
    with pytest.raises(InputError, match="no target"):
        enc(source, None)
    with pytest.raises(InputError, match="no target"):
        dec(target, None)


def test_fingerprints_pass_or_fail(tmp_path):
    enc(write(tmp_path / "s.csv", "a,b,c\n1,x,y\n"), tmp_path / "e.csv")
    assert "c" in dec(tmp_path / "e.csv", tmp_path / "d.csv").warnings[0]
    with pytest.raises(InputError, match="fingerprints cannot be decrypted: c"):
        dec(tmp_path / "e.csv", tmp_path / "f.csv", fail_on_fingerprint=True)
    assert not (tmp_path / "f.csv").exists()


def test_a_changed_value_names_column_and_row_and_leaves_nothing(tmp_path):
    text = "a,b,c\n" + "".join(f"{i},x,y\n" for i in range(50))
    enc(write(tmp_path / "s.csv", text), tmp_path / "e.csv")
    lines = (tmp_path / "e.csv").read_text().splitlines()
    fields = lines[31].split(",")
    fields[1] = fields[1][:-8] + ("AAAA" if fields[1][-8:-4] != "AAAA" else "BBBB") + fields[1][-4:]
    lines[31] = ",".join(fields)
    (tmp_path / "e.csv").write_text("\n".join(lines) + "\n")
    with pytest.raises(InputError, match=r"row 31 has in column 'b' a sealed value that was changed"):
        dec(tmp_path / "e.csv", tmp_path / "d.csv")
    with pytest.raises(InputError, match=r"row 1 .*another secret"):
        decrypt(tmp_path / "e.csv", tmp_path / "d.csv", ROOM, b"z" * 32)
    assert not (tmp_path / "d.csv").exists()


def test_mixed_types_in_a_parquet_column_are_refused(tmp_path, slow):
    texts = [slow.seal(b"x", 1, "h", b"n" * 32), slow.seal(b"\0" * 8, 2, "h", b"n" * 32)]
    with pytest.raises(InputError, match="another type"):
        decrypt(pa.table({"h": texts[::-1]}), None, ROOM, SECRET)


def test_formats_may_be_stated_and_crossed(tmp_path):
    write(tmp_path / "s.txt", "a,b,c\n1,x,y\n")
    with pytest.raises(InputError, match="fileFormat"):
        enc(tmp_path / "s.txt", tmp_path / "e.txt")
    with pytest.raises(InputError, match="csv or parquet"):
        enc(tmp_path / "s.txt", tmp_path / "e.txt", source_format="xml")
    enc(tmp_path / "s.txt", tmp_path / "e.txt", source_format="CSV")
    enc(tmp_path / "s.txt", tmp_path / "e.parquet", source_format="csv", target_format="parquet")
    assert pq.read_table(tmp_path / "e.parquet").column("a").to_pylist() == ["1"]


@pytest.mark.parametrize("threads", [1, 3])
def test_any_number_of_threads(tmp_path, threads):
    source = write(tmp_path / "s.csv", "a,b,c\n" + "1,x,y\n" * 1_000)
    summary = enc(source, tmp_path / "e.csv", executor=Local(threads))
    assert summary.rows == len(rows(tmp_path / "e.csv")) == 1_000


def test_an_empty_table_gives_headers(tmp_path):
    enc(write(tmp_path / "s.csv", "a,b,c\n"), tmp_path / "e.csv")
    assert (tmp_path / "e.csv").read_text() == "a,b,c\n"
    pq.write_table(TYPED.slice(0, 0), tmp_path / "s.parquet")
    enc(tmp_path / "s.parquet", tmp_path / "e.parquet", SEALED)
    assert pq.read_table(tmp_path / "e.parquet").num_rows == 0
    dec(tmp_path / "e.parquet", tmp_path / "d.parquet")


def test_a_file_without_headers(tmp_path):
    how = {
        "headerRow": False,
        "columns": [[{"targetHeader": "x", "type": "cleartext"}], None, []],
    }
    enc(write(tmp_path / "s.csv", "1,2,3\n4,5,6\n"), tmp_path / "e.csv", how)
    assert sorted(r["x"] for r in rows(tmp_path / "e.csv")) == ["1", "4"]
    pq.write_table(TYPED, tmp_path / "s.parquet")
    with pytest.raises(InputError, match="headerRow true"):
        enc(tmp_path / "s.parquet", tmp_path / "e.parquet", how)
