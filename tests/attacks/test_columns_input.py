"""Malformed files, hostile headers, flipped bits: a clear refusal each, which shows no value."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import os
import random
import subprocess
import sys
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hitoku.columns import decrypt, encrypt
from hitoku.errors import HitokuError, InputError
from hitoku.room.settings import Settings

ROOM = "00000000-1111-2222-3333-444444444444"
SECRET = bytes(range(32))
OPEN = Settings(allow_cleartext=True, allow_duplicates=True)
SCHEMA = {
    "headerRow": True,
    "columns": [
        {"sourceHeader": "a", "type": "sealed", "targetHeader": "a", "pad": {"type": "none"}},
        {"sourceHeader": "b", "type": "cleartext"},
    ],
}


def parquet(path):
    table = pa.table({"a": [f"planted{i}" for i in range(2_000)], "b": list(range(2_000))})
    pq.write_table(table, path, row_group_size=500)
    return path.read_bytes()


def quiet(error: HitokuError) -> bool:
    return "planted" not in str(error)


def refused(action, *arguments) -> str:
    with pytest.raises(HitokuError) as caught:
        action(*arguments)
    text = str(caught.value)
    assert "planted" not in text
    assert caught.value.__cause__ is None
    return text


def test_truncated_parquet_at_every_scale(tmp_path):
    source = tmp_path / "s.parquet"
    good = parquet(source)
    cuts = {0, 1, 4, 8, len(good) - 1, len(good) - 4, len(good) - 8, len(good) // 2}
    cuts |= {random.Random(7).randrange(len(good)) for _ in range(20)}
    for cut in sorted(cuts):
        source.write_bytes(good[:cut])
        text = refused(encrypt, source, tmp_path / "e.parquet", SCHEMA, OPEN, ROOM, SECRET)
        assert text == "s.parquet is not a whole, well-formed Parquet file"
    assert [p.name for p in tmp_path.iterdir()] == ["s.parquet"]


@pytest.mark.parametrize("seed", range(60))
def test_flipped_bytes_in_parquet_never_crash_nor_leak(tmp_path, seed):
    source, target = tmp_path / "s.parquet", tmp_path / "e.parquet"
    good = bytearray(parquet(source))
    chance = random.Random(seed)
    # Half of them in the footer, where sizes and offsets are.
    start = len(good) - 1_500 if seed % 2 else 4
    for _ in range(3):
        good[chance.randrange(start, len(good) - 8)] ^= 1 << chance.randrange(8)
    source.write_bytes(good)
    try:
        encrypt(source, target, SCHEMA, OPEN, ROOM, SECRET)
    except HitokuError as error:
        said = error
        assert not target.exists()
    else:
        return
    assert quiet(said)


def test_a_file_that_is_something_else(tmp_path):
    for name in ("s.parquet", "s.csv"):
        (tmp_path / name).write_bytes(os.urandom(5_000))
        refused(encrypt, tmp_path / name, tmp_path / "e.csv", SCHEMA, OPEN, ROOM, SECRET)
    (tmp_path / "d.csv").mkdir()
    refused(encrypt, tmp_path / "d.csv", tmp_path / "e.csv", SCHEMA, OPEN, ROOM, SECRET)
    refused(encrypt, tmp_path / "none.csv", tmp_path / "e.csv", SCHEMA, OPEN, ROOM, SECRET)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"a,b\n1,planted\n2\n", "row 2 has another number"),
        (b'a,b\n1,"planted\n', "row 1 opens a quote"),
        (b'a,b\n1,"planted"x\n', "row 1 has text after a closing quote"),
        (b"a,b\n1,planted\xff\n", "row 1 is not UTF-8"),
        (b"", "empty"),
        (b"\n\n", "empty"),
        (b"\xff\xfea\x00,\x00b\x00", "UTF-8"),
        (b"a,A\n1,2\n", "same name"),
        (b"c,d\n1,2\n", "does not have: a, b"),
        (b",".join([b"x"] * 10_001), "10,000"),
    ],
)
def test_malformed_csv(tmp_path, text, words):
    source = tmp_path / "s.csv"
    source.write_bytes(text)
    assert words in refused(encrypt, source, tmp_path / "e.csv", SCHEMA, OPEN, ROOM, SECRET)
    assert not (tmp_path / "e.csv").exists()


def test_the_row_number_is_right_far_into_the_file(tmp_path):
    source = tmp_path / "s.csv"
    with source.open("w") as file:
        file.write("a,b\n")
        file.writelines(f"{i},{'x' * 40}\n" for i in range(200_000))
        file.write("only one\n")
        file.writelines(f"{i},y\n" for i in range(1_000))
    text = refused(encrypt, source, tmp_path / "e.csv", SCHEMA, OPEN, ROOM, SECRET)
    assert "row 200,001 has another number" in text


def test_a_record_without_end_is_bounded(tmp_path):
    source = tmp_path / "s.csv"
    with source.open("wb") as file:
        file.write(b'a,b\n1,"')
        for _ in range(20):
            file.write(b"planted " * (1 << 17))
    text = refused(encrypt, source, tmp_path / "e.csv", SCHEMA, OPEN, ROOM, SECRET)
    assert "16,777,216" in text


@pytest.mark.parametrize(
    "header", ["../x", "a\nb", "a'; drop table x; --", "\x1b[31m", "a" * 5_000, "{0.__class__}", "é"]
)
def test_hostile_headers(tmp_path, header):
    source = tmp_path / "s.csv"
    source.write_text('a,b,"' + header.replace('"', '""') + '"\n1,2,3\n')
    how = {"headerRow": True, "columns": [{"sourceHeader": header, "type": "cleartext"}]}
    began = time.process_time()
    text = refused(encrypt, source, tmp_path / "e.csv", how, OPEN, ROOM, SECRET)
    assert time.process_time() - began < 2
    assert "target header" in text
    assert text.isprintable()
    assert len(text) < 1_000


def test_every_flipped_bit_of_a_sealed_value_is_noticed(tmp_path):
    table = pa.table({"a": ["planted"], "b": ["x"]})
    sealed = encrypt(table, None, SCHEMA, OPEN, ROOM, SECRET)
    text = sealed.column("a")[0].as_py()
    for at in range(len(text)):
        bad = text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :]
        changed = pa.table({"a": [bad]})
        try:
            opened = decrypt(changed, None, ROOM, SECRET)
        except InputError as error:
            said = str(error)
        else:
            said = ""
            # Only a text that is no longer recognised as sealed passes through, as it is.
            assert 3 <= at < 7
            assert opened.column("a")[0].as_py() == bad
        assert "planted" not in said
        assert text[20:40] not in said


def test_no_error_shows_the_secret(tmp_path):
    import base64

    secret = base64.b64encode(b"very secret bytes of the room...!").decode()
    source = tmp_path / "s.csv"
    source.write_text("a,b\nplanted,1\n")
    (tmp_path / "schema.json").write_text("{}")
    program = "from hitoku.cli.columns import app; app()"
    process = subprocess.Popen(
        [sys.executable, "-c", program, "encrypt", source, "--schema", tmp_path / "schema.json"],
        env={**os.environ, "HITOKU_SHARED_SECRET": secret},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    listing = subprocess.run(["ps", "axww"], capture_output=True, text=True, check=False).stdout
    output, _ = process.communicate()
    assert secret not in listing
    assert secret not in output
    assert "planted" not in output
    assert process.returncode != 0
