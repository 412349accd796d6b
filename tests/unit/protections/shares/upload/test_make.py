# SPDX-License-Identifier: Apache-2.0
"""An owner shares its plain table, through its engine, into a parcel; servers load it."""

from __future__ import annotations

import stat
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.unit.protections.shares.sharing_world import (
    PLAN,
    QUESTION,
    ROOM,
    RUN,
    Keys,
    loaded,
    opened,
    split,
    table_of,
    uploaded,
)

from hitoku import limits
from hitoku.errors import EngineError, InputError, LimitError, PeerError
from hitoku.protections.shares.manifest import (
    BLIND_BYTES,
    Manifest,
    blinded_hash,
    check_manifest,
    read_manifest,
    upload_of,
)
from hitoku.protections.shares.upload.chunks import SCHEMA, chunks_in
from hitoku.protections.shares.upload.load import Given
from hitoku.protections.shares.upload.make import Binding, Made, make
from hitoku.protections.shares.upload.spool import Spool
from hitoku.protections.shares.wanted import WantedKey, WantedLeaf, WantedTable
from hitoku.room.agreement import Agreement, Column, ColumnProtection, ColumnType
from hitoku.sources.parquet import ParquetSource
from hitoku.sources.table import TableSource
from hitoku.transport.parcels import ParcelFile

BINDING = Binding(ROOM, RUN, QUESTION, PLAN)
KEYS = Keys()


def column(name: str, kind: ColumnType, **more: Any) -> Column:
    return Column(name=name, type=kind, protection=ColumnProtection.SEALED, **more)


COLUMNS = (
    column("person", ColumnType.STRING),
    column("city", ColumnType.STRING),
    column("age", ColumnType.INT),
    column("paid", ColumnType.DECIMAL, precision=12, scale=2),
)
PLAIN = pa.table(
    {
        "Person ": ["p1", "p2", "p1", None, "p3"],
        "city": ["Bonn", "Köln", "Bonn", "Bonn", None],
        "age": ["30", "40", "x", "50", "60"],
        "paid": ["1.50", "-2.25", "0", "7", None],
    }
)
LEAVES = (
    WantedLeaf("trips.0", '"trips"."person"', "hash", word=True, column="person"),
    WantedLeaf("trips.1", '"trips"."city"', "code", word=True, column="city"),
    WantedLeaf("trips.2", '"trips"."age"', "number", word=True, low=0, high=120, column="age"),
    WantedLeaf("trips.3", '"trips"."paid" * 2', "number", scale=2, ring="auto", column="paid"),
)


def wanted(*leaves: WantedLeaf, **changes: Any) -> WantedTable:
    facts: dict[str, Any] = {
        "table": "trips",
        "owner": "shop",
        "columns": COLUMNS,
        "leaves": leaves or LEAVES,
    }
    return WantedTable(**(facts | changes))


def made(folder: Path, asked: WantedTable, plain: pa.Table = PLAIN) -> Made:
    folder.mkdir(exist_ok=True)
    return make(asked, TableSource(plain), {}, folder / "share-0", BINDING, KEYS, split=split)


def chunks(upload: Made) -> list[bytes]:
    with pa.memory_map(str(upload.path)) as file:
        table = pa.ipc.open_file(file).read_all()
    assert table.schema == SCHEMA
    return [bytes(chunk) for chunk in chunks_in(table.to_batches())]


def values(upload: Made, folder: Path) -> list[Any]:
    """What the three servers have, by leaf: words or ring elements and validity of valid rows."""
    manifest = upload.manifest
    spool = Spool(manifest, folder)
    spool.take(chunks(upload))
    given = [
        Given(manifest, upload.seed_a, upload.seed_b),
        Given(manifest, None, upload.seed_b, spool),
        Given(manifest, upload.seed_a, None),
    ]
    three = loaded(given)
    rows = opened([one.rows["trips"] for one in three])
    found = []
    for facts in manifest.leaves:
        vectors = [(one.words if facts.word else one.ring)[facts.name] for one in three]
        numbers = opened(vectors)
        bits = opened([one.valid[facts.name] for one in three]) if facts.nullable else [1] * len(rows)
        if facts.word:
            numbers = [number + int(facts.low) for number in numbers]
        else:
            numbers = [(number + 2**63) % 2**64 - 2**63 for number in numbers]
        if facts.kind == "code":
            words = [
                opened([one.dictionaries[facts.name][w] for one in three]) for w in range(facts.words or 0)
            ]
            texts = [
                b"".join(word[n].to_bytes(8, "big") for word in words) for n in range(facts.entries or 0)
            ]
            numbers = [texts[number].rstrip(b"\0").decode() for number in numbers]  # type: ignore[misc]
        found.append([n if b else None for n, b, r in zip(numbers, bits, rows, strict=True) if r])
    return found


ASKED = wanted(keys=(WantedKey(("trips.0",), "trips.4"),))


@pytest.fixture(scope="module")
def upload(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return made(tmp_path_factory.mktemp("upload"), ASKED)


def test_a_table_is_shared_as_the_room_declares_it(upload: Made, tmp_path: Path) -> None:
    people, cities, ages, paid, places = values(upload, tmp_path)
    rows = Counter(zip(cities, ages, paid, strict=True))
    assert rows == Counter(
        [("Bonn", 30, 300), ("Köln", 40, -450), ("Bonn", None, 0), ("Bonn", 50, 1400), (None, 60, None)]
    )
    assert sorted(Counter(people).values()) == [1, 1, 1, 2]
    assert Counter(places)[1] == 1
    assert upload.rows == 5
    assert upload.manifest.keys[0].copies == 4


def test_conditions_and_columns_of_other_names(tmp_path: Path) -> None:
    plain = PLAIN.rename_columns(["who", "city", "age", "paid"])
    asked = wanted(where=('"trips"."age" >= 40', '"trips"."city" IS NOT NULL'))
    upload = make(
        asked, TableSource(plain), {"person": "who"}, tmp_path / "share-0", BINDING, KEYS, split=split
    )
    assert sorted(values(upload, tmp_path)[2]) == [40, 50]
    # How many rows are left out is not told.
    assert upload.manifest.rows == 5


def test_groups_by_the_owner(tmp_path: Path) -> None:
    city, paid = '"trips"."city"', 'SUM("trips"."paid")'
    asked = wanted(
        WantedLeaf("trips.0", city, "code", word=True),
        WantedLeaf("trips.1", paid, "number", scale=2, ring="r64"),
        WantedLeaf("trips.2", "COUNT(*)", "number", ring="r64", nullable=False),
        group=(city,),
    )
    found = values(made(tmp_path / "run", asked), tmp_path)
    assert set(zip(*found, strict=True)) == {("Bonn", 850, 3), ("Köln", -225, 1), (None, None, 1)}


def test_no_grouping_is_one_row(tmp_path: Path) -> None:
    asked = wanted(WantedLeaf("trips.0", "COUNT(*)", "number", ring="r64"), columns=(), group=())
    assert values(made(tmp_path / "run", asked), tmp_path) == [[5]]


@pytest.mark.parametrize("rows", [0, 1])
def test_small_tables(tmp_path: Path, rows: int) -> None:
    found = values(made(tmp_path / "run", wanted(), PLAIN.slice(0, rows)), tmp_path)
    assert [len(column) for column in found] == [rows] * 4


def test_parquet_of_the_room_s_own_types(tmp_path: Path) -> None:
    plain = pa.table(
        {
            "person": pa.array(["a", "b"]),
            "city": pa.array(["x", "y"]).dictionary_encode(),
            "age": pa.array([1, 2], pa.int32()),
            "paid": pa.array([Decimal("1.00"), Decimal("-9.99")], pa.decimal128(12, 2)),
        }
    )
    pq.write_table(plain, tmp_path / "t.parquet")
    upload = make(
        wanted(),
        ParquetSource(tmp_path / "t.parquet"),
        {},
        tmp_path / "share-0",
        BINDING,
        KEYS,
        split=split,
    )
    found = values(upload, tmp_path)
    assert set(zip(*found[1:], strict=True)) == {("x", 1, 200), ("y", 2, -1998)}


def test_only_this_user_reads_the_share_and_nothing_else_is_left(upload: Made) -> None:
    assert [path.name for path in upload.path.parent.iterdir()] == ["share-0"]
    assert stat.S_IMODE(upload.path.stat().st_mode) == 0o600
    plain = upload.path.read_bytes()
    assert "Köln".encode() not in plain
    assert b"Bonn" not in plain


def test_the_parcel_travels_and_is_about_as_large_as_the_leaves(tmp_path: Path) -> None:
    rows = 300_000
    plain = pa.table({"age": pa.array([n % 100 for n in range(rows)], pa.int32())})
    leaf = WantedLeaf("trips.0", '"trips"."age"', "number", word=True, ring="r64", low=0, high=120)
    upload = made(tmp_path / "run", wanted(leaf, columns=COLUMNS[2:3]), plain)
    padded = upload.manifest.rows
    assert upload.manifest.size == BLIND_BYTES + padded * (8 + 1 + 1)
    assert len(chunks(upload)) == upload.manifest.chunks > 3
    assert {len(chunk) for chunk in chunks(upload)[:-1]} == {limits.SHARES_CHUNK_BYTES}
    assert upload.path.stat().st_size < upload.manifest.size * 1.01 + 10_000
    with ParcelFile(upload.path, f"{RUN}/share-0") as parcel:
        assert parcel.count == upload.manifest.chunks
        assert sum(len(piece) for piece in parcel.pieces(0)) > upload.manifest.size


def test_nothing_is_shared_twice_under_one_seed(upload: Made, tmp_path: Path) -> None:
    one, two = upload, made(tmp_path / "b", ASKED)
    assert len({one.seed_a, one.seed_b, two.seed_a, two.seed_b}) == 4
    assert not set(one.manifest.hashes) & set(two.manifest.hashes)


# --- errors name the table, column and row, and never a value ---


AGES, CITIES = pa.array([30, 40, None, 50, 60]), pa.array(["Bonn", "Köln", "Bonn", "Bonn", None])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"low": 31}, "table trips, column age, row 1:"),
        ({"high": 50}, "table trips, column age, row 5:"),
        ({"nullable": False}, "column age, row 3:"),
    ],
    ids=["below", "above", "missing"],
)
def test_values_that_are_not_as_declared(change: dict[str, Any], words: str) -> None:
    leaf = WantedLeaf("trips.0", "x", "number", word=True, column="age", **change)
    with pytest.raises(InputError, match=words) as caught:
        uploaded(table_of(leaf), [AGES])
    assert not any(value in str(caught.value) for value in ("30", "50", "60"))


def test_rows_are_told_by_their_number_in_the_source(tmp_path: Path) -> None:
    leaf = WantedLeaf("trips.0", '"trips"."age"', "number", word=True, high=50, column="age")
    with pytest.raises(InputError, match="column age, row 5: a value is above") as caught:
        made(tmp_path / "run", wanted(leaf, where=('"trips"."age" >= 40',)))
    assert "60" not in str(caught.value)
    assert list((tmp_path / "run").iterdir()) == []


def test_a_missing_text() -> None:
    leaf = WantedLeaf("trips.0", "x", "code", word=True, nullable=False)
    with pytest.raises(InputError, match=r"column trips\.0, row 5: a value is missing"):
        uploaded(table_of(leaf), [CITIES])


def test_too_many_digits() -> None:
    leaf = WantedLeaf("trips.0", "x", "number", scale=1, word=True, column="paid")
    with pytest.raises(InputError, match="paid: a number has more digits than 1") as caught:
        uploaded(table_of(leaf), [pa.array([Decimal("2.25")])])
    assert "2.25" not in str(caught.value)


def test_a_key_that_is_not_unique() -> None:
    leaf = WantedLeaf("trips.0", "x", "code", word=True, column="city")
    with pytest.raises(InputError, match=r"trips: city: some value is in more than 2 rows"):
        uploaded(table_of(leaf, keys=(WantedKey(("trips.0",), most=2),)), [CITIES])
    made = uploaded(table_of(leaf, keys=(WantedKey(("trips.0",), "trips.1", most=3),)), [CITIES])
    assert made.manifest.keys[0].copies == 4


def test_more_rows_than_declared() -> None:
    leaf = WantedLeaf("trips.0", "x", "code", word=True)
    with pytest.raises(InputError, match="more rows than the 4"):
        uploaded(table_of(leaf, rows=4), [CITIES])


def test_floating_point_is_not_shared() -> None:
    leaf = WantedLeaf("trips.0", "x", "number", ring="r64", column="age")
    with pytest.raises(EngineError, match="age: has no whole numbers"):
        uploaded(table_of(leaf), [pa.array([1.5])])


def test_a_boolean_is_true_or_false() -> None:
    leaf = WantedLeaf("trips.0", "x", "boolean", word=True, column="paid")
    assert uploaded(table_of(leaf), [pa.array([0, 1])]).manifest.leaves[0].high == "1"
    with pytest.raises(EngineError, match="neither true nor false"):
        uploaded(table_of(leaf), [pa.array([0, 2])])


@pytest.mark.parametrize("text", ["x" * 1025, "long\0"], ids=["long", "zero"])
def test_texts_that_cannot_be_shared(text: str) -> None:
    leaf = WantedLeaf("trips.0", "x", "code", word=True, column="city")
    with pytest.raises((InputError, LimitError), match="city: has a text"):
        uploaded(table_of(leaf), [pa.array([text])])


def test_too_many_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_SHARES_ENTRIES", 1)
    leaf = WantedLeaf("trips.0", "x", "code", word=True, column="city")
    with pytest.raises(LimitError, match="city: has more than 1 different texts"):
        uploaded(table_of(leaf), [CITIES])


def test_numbers_beyond_126_bits() -> None:
    leaf = WantedLeaf("trips.0", "x", "number", word=True)
    with pytest.raises(LimitError, match="more than 126 bits"):
        uploaded(table_of(leaf), [pa.array([Decimal(2**126)], pa.decimal128(38, 0))])


@pytest.mark.parametrize("value", [2**63 - 1, -(2**63)])
def test_numbers_that_a_ring_does_not_hold(value: int) -> None:
    leaf = WantedLeaf("trips.0", "x", "number", ring="r64")
    if value > 0:
        assert uploaded(table_of(leaf), [pa.array([value])]).manifest.leaves[0].ring == "r64"
        return
    with pytest.raises(LimitError, match="too large to be added up in 64 bits"):
        uploaded(table_of(leaf), [pa.array([value])])


def test_a_missing_column(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no column person"):
        made(tmp_path / "run", wanted(), PLAIN.drop_columns(["Person "]))


def test_too_many_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_SHARES_ROWS", 3)
    with pytest.raises(LimitError, match="more than 3 rows"):
        made(tmp_path / "run", wanted())
    assert list((tmp_path / "run").iterdir()) == []


def test_an_upload_that_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_SHARES_UPLOAD_BYTES", BLIND_BYTES + (1 << 12))
    leaf = WantedLeaf("trips.0", "x", "number", word=True, low=0, high=120)
    assert uploaded(table_of(leaf), [pa.array([1] * 2_000)]).manifest.size == BLIND_BYTES + 4096
    with pytest.raises(LimitError, match="too large"):
        uploaded(table_of(leaf), [pa.array([1] * 2_100)])


# --- the manifest ---


def agreement(key: str) -> Any:
    """As much of an agreement as a manifest is checked against."""
    trips = {
        "name": "trips",
        "owner": "shop",
        "columns": [{"name": "age", "type": "int", "protection": "sealed"}],
    }
    return Agreement.model_validate(
        {
            "format": "hitoku/room/1",
            "id": "7b0d8a3e-92f4-4e42-8f53-0d6d1d8f2c11",
            "name": "r",
            "version": 1,
            "members": [
                {"name": "shop", "key": key, "abilities": []},
                {"name": "ask", "key": Keys().public_key(), "abilities": ["query", "receive"]},
                {"name": "cloud", "key": Keys().public_key(), "abilities": ["host"]},
            ],
            "tables": [trips],
        }
    )


FACTS = {"table": "trips", "room": ROOM, "run": RUN, "question": QUESTION, "plan": PLAN}


def test_a_manifest_is_its_owner_s_word(upload: Made) -> None:
    again = read_manifest(upload.manifest.model_dump_json().encode(), "shop")
    assert again == upload.manifest
    check_manifest(again, agreement(KEYS.public_key()), **FACTS)
    with pytest.raises(PeerError, match="signature"):
        check_manifest(again, agreement(Keys().public_key()), **FACTS)


@pytest.mark.parametrize("name", ["room", "run", "question", "plan"])
def test_a_manifest_is_of_one_run(upload: Made, name: str) -> None:
    other = {"run": "cd" * 16}.get(name, "sha256:" + "9" * 64)
    with pytest.raises(PeerError, match="another run"):
        check_manifest(upload.manifest, agreement(KEYS.public_key()), **(FACTS | {name: other}))


@pytest.mark.parametrize(
    "change",
    [{"rows": 6}, {"seeds": ("0" * 64, "1" * 64)}, {"plan": "sha256:" + "7" * 64}],
    ids=["rows", "seeds", "plan"],
)
def test_an_altered_manifest_carries_no_signature(upload: Made, change: dict[str, Any]) -> None:
    altered = upload.manifest.model_copy(update=change)
    facts = FACTS | {name: value for name, value in change.items() if name in FACTS}
    with pytest.raises(PeerError, match="signature"):
        check_manifest(altered, agreement(KEYS.public_key()), **facts)


def test_a_program_s_upload_is_what_was_shared(upload: Made) -> None:
    found = upload_of(ASKED, upload.manifest)
    assert [leaf.name for leaf in found.leaves] == [f"trips.{n}" for n in range(5)]
    assert found.leaf("trips.0").type.bits == 64
    assert (found.leaf("trips.2").type.low, found.leaf("trips.2").type.high) == (0, 120)
    assert found.leaf("trips.3").ring == "r64"
    assert found.leaf("trips.4").type.high == 3
    assert [(d.name, d.size, d.words) for d in found.dictionaries] == [("trips.1", 16, 2)]
    assert found.rows == 5


def changed(manifest: Manifest, place: int, **change: Any) -> Manifest:
    leaves = list(manifest.leaves)
    leaves[place] = leaves[place].model_copy(update=change)
    return manifest.model_copy(update={"leaves": tuple(leaves)})


@pytest.mark.parametrize(
    "alter",
    [
        lambda m: changed(m, 2, high="127"),
        lambda m: changed(m, 2, word=False, ring="r64"),
        lambda m: changed(m, 3, scale=3),
        lambda m: changed(m, 3, ring=None),
        lambda m: changed(m, 0, kind="number"),
        lambda m: m.model_copy(update={"table": "other"}),
        lambda m: m.model_copy(update={"owner": "telco"}),
        lambda m: m.model_copy(update={"leaves": m.leaves[:-1], "keys": ()}),
        lambda m: m.model_copy(update={"leaves": m.leaves[1:]}),
        lambda m: m.model_copy(update={"leaves": m.leaves[::-1]}),
    ],
    ids=["bounds", "shared", "scale", "ring", "kind", "table", "owner", "keys", "fewer", "order"],
)
def test_what_is_shared_is_what_was_asked(upload: Made, alter: Any) -> None:
    with pytest.raises(PeerError, match="something else"):
        upload_of(ASKED, alter(upload.manifest))


def test_hashes_are_of_the_explicit_shares(upload: Made) -> None:
    content, at = b"".join(chunks(upload)), BLIND_BYTES
    for piece, digest in zip(upload.manifest.pieces(), upload.manifest.hashes, strict=True):
        assert blinded_hash(content[:BLIND_BYTES], content[at : at + piece.size]) == digest
        at += piece.size
    assert at == len(content) == upload.manifest.size
