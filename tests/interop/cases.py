# SPDX-License-Identifier: Apache-2.0
"""What is encrypted by one client and read by the other: every type, every setting, every CSV rule."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

ID: Final = "3f8a2c51-0b7e-4d69-9a41-c0ffee123456"
SECRET: Final = bytes(range(7, 7 + 40))  # longer than 32 bytes on purpose: all of them count

OPEN: Final = {
    "allowCleartext": True,
    "allowDuplicates": True,
    "allowJoinsOnColumnsWithDifferentNames": True,
    "preserveNulls": True,
}
PER_COLUMN: Final = OPEN | {"allowJoinsOnColumnsWithDifferentNames": False}
HIDE_NULLS: Final = PER_COLUMN | {"preserveNulls": False}
HIDE_NULLS_JOINED: Final = OPEN | {"preserveNulls": False}
UNIQUE: Final = PER_COLUMN | {"allowDuplicates": False}
HIGH: Final = dict.fromkeys(OPEN, False)


def column(
    source: str, kind: str, target: str | None = None, pad: tuple[str, int] | None = None
) -> dict[str, Any]:
    """One column of a schema; sealed ones are not padded unless told."""
    result: dict[str, Any] = {"sourceHeader": source, "type": kind}
    if target is not None:
        result["targetHeader"] = target
    if kind.lower() == "sealed":
        name, length = pad or ("none", 0)
        result["pad"] = {"type": name} if name == "none" else {"type": name, "length": length}
    return result


def schema(*columns: dict[str, Any]) -> str:
    """A schema file for a table with headers."""
    return json.dumps({"headerRow": True, "columns": columns})


@dataclass(frozen=True)
class Case:
    """A table, how to encrypt it, and the rows that must come back.

    Attributes:
        rows: the decrypted rows, without `fingerprints`; None where encrypting must be refused.
        fingerprints: positions of fingerprint columns with their number of NULLs.
        opened_null: the NULL text that the CSV file has after encrypting, for the one who decrypts.
        strict_types: the decrypted Parquet column types must be the source's.
    """

    name: str
    format: str
    schema: str
    settings: dict[str, bool]
    rows: list[tuple[Any, ...]] | None
    text: str = ""
    table: pa.Table | None = None
    decimals_as_integers: bool = False
    fingerprints: dict[int, int] = field(default_factory=dict)
    csv_input_null: str | None = None
    csv_output_null: str | None = None
    opened_null: str | None = ""

    def write(self, folder: Path) -> Path:
        """The source file."""
        path = folder / f"{self.name}.{self.format}"
        if self.table is None:
            path.write_bytes(self.text.encode())
        else:
            pq.write_table(self.table, path, store_decimal_as_integer=self.decimals_as_integers)
        return path


# --- CSV ---

PEOPLE: Final = """Id, Name ,Mail-Address,note
1,Ada,ada@example.org,"says ""hi"", often"
2,Bjørn,bjorn@example.org,"two
lines"
3,秘匿 太郎,taro@example.jp,   trimmed\x20\x20
4,"  kept  ",ada@example.org,
5,,,""
6,🦉,owl@example.net,"a,b"
"""
PEOPLE_ROWS: Final[list[tuple[str | None, ...]]] = [
    ("1", "Ada", 'says "hi", often'),
    ("2", "Bjørn", "two\nlines"),
    ("3", "秘匿 太郎", "trimmed"),
    ("4", "  kept  ", None),
    ("5", None, None),
    ("6", "🦉", "a,b"),
]


def _people(name: str, settings: dict[str, bool], pad: tuple[str, int]) -> Case:
    return Case(
        name=name,
        format="csv",
        schema=schema(
            column("id", "cleartext"),
            column("name", "SEALED", "name", pad),
            column("MAIL-address", "Fingerprint"),
            column("note", "sealed", "note"),
        ),
        settings=settings,
        text=PEOPLE,
        rows=PEOPLE_ROWS,
        fingerprints={2: 1},
    )


NULLS_TEXT: Final = 'id,value,mark\n1,,x\n2,"",x\n3, ,x\n4,NULL,x\n5,"NULL",x\n6,null,x\n7,"  ",x\n'


def _nulls(name: str, given: str | None, values: list[str | None], **more: Any) -> Case:
    return Case(
        name=name,
        format="csv",
        schema=schema(
            column("id", "cleartext"),
            column("value", "sealed", "value"),
            column("value", "cleartext", "clear"),
            column("value", "fingerprint", "print"),
        ),
        settings=HIDE_NULLS,
        text=NULLS_TEXT,
        rows=[(str(i + 1), value, value) for i, value in enumerate(values)],
        fingerprints={3: values.count(None)},
        csv_input_null=given,
        **more,
    )


def _refused(name: str, columns: tuple[dict[str, Any], ...], settings: dict[str, bool], text: str) -> Case:
    return Case(name, "csv", schema(*columns), settings, None, text=text)


CSV_CASES: Final = [
    *(_people(f"people-{pad}", OPEN, (pad, n)) for pad, n in (("none", 0), ("fixed", 64), ("max", 0))),
    _people("people-max-7-hide-nulls", HIDE_NULLS, ("max", 7)),
    _people("people-per-column-keys", PER_COLUMN, ("fixed", 32)),
    _people("people-one-key-hide-nulls", HIDE_NULLS_JOINED, ("fixed", 10_000)),
    _nulls("null-default", None, [None, None, None, "NULL", "NULL", "null", "  "]),
    _nulls("null-blank", "", [None, "", None, "NULL", "NULL", "null", "  "]),
    _nulls("null-quotes", '""', ["", None, "", "NULL", "NULL", "null", "  "]),
    _nulls(
        "null-text",
        "NULL",
        ["", "", "", None, None, "null", "  "],
        csv_output_null="\\N",
        opened_null="\\N",
    ),
    Case(
        "high-assurance",
        "csv",
        schema(column("id", "sealed", "id", ("max", 3)), column("key", "fingerprint", "key")),
        HIGH,
        [("1",), ("22",), ("333",), (None,)],
        text="id,key\n1,a\n22,b\n333,c\n,\n",
        fingerprints={1: 1},
    ),
    Case(
        "no-headers",
        "csv",
        json.dumps(
            {
                "headerRow": False,
                "columns": [
                    [{"targetHeader": "a", "type": "cleartext"}],
                    None,
                    [
                        {"targetHeader": "b", "type": "sealed", "pad": {"type": "MAX", "length": 2}},
                        {"targetHeader": "b print", "type": "fingerprint"},
                    ],
                    [],
                ],
            }
        ),
        OPEN,
        [("1", "x"), ("2", "y y"), ("3", "x")],
        text='1,drop,x,drop\n2,drop,"y y",drop\n3,drop,x,drop\n',
        fingerprints={2: 0},
    ),
    Case(
        "default-headers",
        "csv",
        schema(column("Name", "sealed"), column("NAME ", "fingerprint"), column(" name", "cleartext")),
        OPEN,
        [("Zoë", "Zoë"), ("日本", "日本")],
        text="name\nZoë\n日本\n",
        fingerprints={1: 0},
    ),
    Case(
        # The parser AWS uses takes an unquoted `#` at the start of a line for a comment, so whoever
        # writes such a value has to quote it.
        "number-signs",
        "csv",
        schema(column("street", "cleartext"), column("street", "sealed")),
        OPEN,
        [("#5 Elm", "#5 Elm"), ("#5", "#5"), ("x", "x")],
        text='street\n"#5 Elm"\n"#5"\nx\n',
    ),
    Case(
        # AWS's writer leaves a value with a quote inside unquoted, so whoever reads its files must
        # take `5"x` for what it is.
        "inner-quotes",
        "csv",
        schema(column("size", "cleartext"), column("name", "sealed"), column("name", "fingerprint")),
        OPEN,
        [('5"x', 'O"Neil'), ('6"', "y")],
        text='size,name\n5"x,O"Neil\n"6""",y\n',
        fingerprints={2: 0},
    ),
    Case(
        # Only ASCII blanks are trimmed; blank lines are no rows.
        "blanks",
        "csv",
        schema(column("a", "cleartext"), column("a", "fingerprint"), column("b", "sealed")),
        OPEN,
        [("\u3000wide\u3000", "\u00a0hard\u00a0"), ("tab", "\tkept\t")],
        text='a,b\n\u3000wide\u3000,\u00a0hard\u00a0\n\n\ttab\t,"\tkept\t"\n',
        fingerprints={1: 0},
    ),
    Case(
        "windows-lines",
        "csv",
        schema(column("a", "sealed"), column("b", "cleartext"), column("a", "fingerprint")),
        OPEN,
        [("1", "x"), ("2", "y")],
        text="a,b\r\n1,x\r\n2,y\r\n",
        fingerprints={2: 0},
    ),
    Case(
        "long-value",
        "csv",
        schema(column("a", "sealed", "a", ("max", 100)), column("a", "fingerprint")),
        OPEN,
        [("x" * 11_000,), ("short",)],
        text="a\n" + "x" * 11_000 + "\nshort\n",
        fingerprints={1: 0},
    ),
    _refused("refuse-duplicates", (column("a", "fingerprint"),), UNIQUE, "a\nx\ny\nx\n"),
    _refused("refuse-two-nulls", (column("a", "fingerprint"),), HIGH, "a,b\nx,1\n,1\n,1\n"),
    _refused("refuse-cleartext", (column("a", "cleartext"),), HIGH, "a\nx\n"),
    _refused("refuse-fixed-pad", (column("a", "sealed", "a", ("fixed", 4)),), OPEN, "a\nabc\nabcd\n"),
    _refused(
        "refuse-max-pad", (column("a", "sealed", "a", ("max", 9_000)),), OPEN, "a\n" + "x" * 4_000 + "\n"
    ),
    _refused("refuse-long", (column("a", "sealed"),), OPEN, "a\n" + "x" * 12_300 + "\n"),
    _refused("refuse-short-row", (column("a", "sealed"),), OPEN, "a,b\n1,2\n3\n"),
    _refused("refuse-unknown-source", (column("z", "sealed"),), OPEN, "a,b\n1,2\n"),
    Case(
        "unique-nulls-kept",
        "csv",
        schema(column("a", "fingerprint"), column("b", "cleartext")),
        UNIQUE,
        [("1",), ("2",), ("3",)],
        text="a,b\nx,1\n,2\n,3\n",
        fingerprints={0: 2},
    ),
]

# --- Parquet ---

_WHEN: Final = datetime(2024, 2, 29, 23, 59, 59, 123_000)


def _typed() -> pa.Table:
    """Every supported type: extremes, ordinary values, NULL."""
    columns: dict[str, tuple[pa.DataType, list[Any]]] = {
        "text": (pa.string(), ["", "秘匿", "Ünï 🦉", "x" * 200, None]),
        "i16": (pa.int16(), [-32_768, 32_767, 0, 27, None]),
        "i32": (pa.int32(), [-(2**31), 2**31 - 1, 0, 27, None]),
        "i64": (pa.int64(), [-(2**63), 2**63 - 1, 0, 27, None]),
        "yes": (pa.bool_(), [True, False, True, False, None]),
        "day": (pa.date32(), [date(1, 1, 1), date(9999, 12, 31), date(1970, 1, 1), date(2024, 2, 29), None]),
        "f32": (pa.float32(), [-0.0, 1.5, 3.4028234663852886e38, 1e-45, None]),
        "f64": (pa.float64(), [-0.0, 0.1, float("inf"), 5e-324, None]),
        "d9": (
            pa.decimal128(9, 2),
            [Decimal("-1234567.89"), Decimal("0.00"), Decimal("0.01"), Decimal("9.90"), None],
        ),
        "d18": (
            pa.decimal128(18, 6),
            [Decimal("-1.000001"), Decimal("0.000000"), Decimal("123456789012.5"), Decimal("7.000000"), None],
        ),
        "d38": (
            pa.decimal128(38, 10),
            [
                Decimal("-1234567890123456789012345678.0123456789"),
                Decimal("0E-10"),
                Decimal("0.0000000001"),
                Decimal("5.0000000000"),
                None,
            ],
        ),
        "ms": (
            pa.timestamp("ms"),
            [_WHEN, datetime(1970, 1, 1), datetime(1900, 1, 1), datetime(2100, 1, 1), None],
        ),
        "us": (
            pa.timestamp("us", "UTC"),
            [
                _WHEN.replace(tzinfo=UTC),
                datetime(1970, 1, 1, tzinfo=UTC),
                datetime(1900, 1, 1, tzinfo=UTC),
                datetime(2100, 1, 1, tzinfo=UTC),
                None,
            ],
        ),
        "ns": (
            pa.timestamp("ns"),
            [_WHEN, datetime(1970, 1, 1), datetime(1900, 1, 1), datetime(2100, 1, 1), None],
        ),
    }
    return pa.table({name: pa.array(values, type_) for name, (type_, values) in columns.items()})


TYPED: Final = _typed()
PRINTABLE: Final = ("text", "i16", "i32", "i64", "yes", "day")


def plain(table: pa.Table, names: tuple[str, ...]) -> list[tuple[Any, ...]]:
    """Rows as Python values; timestamps as integers, so that no unit is lost."""
    columns = []
    for name in names:
        values = table[name]
        columns.append(
            (values.cast(pa.int64()) if pa.types.is_timestamp(values.type) else values).to_pylist()
        )
    return list(zip(*columns, strict=True))


def _all_types(name: str, settings: dict[str, bool], pad: tuple[str, int], *, integers: bool = False) -> Case:
    names = tuple(TYPED.column_names)
    return Case(
        name=name,
        format="parquet",
        schema=schema(
            *(column(n, "sealed", f"{n}_s", pad) for n in names),
            *(column(n, "cleartext", f"{n}_c") for n in names),
            *(column(n, "fingerprint", f"{n}_f") for n in PRINTABLE),
        ),
        settings=settings,
        table=TYPED,
        decimals_as_integers=integers,
        rows=plain(TYPED, names + names),
        fingerprints={2 * len(names) + i: 1 for i in range(len(PRINTABLE))},
    )


_REQUIRED: Final = pa.table(
    [pa.array([1, 2, 3], pa.int32()), pa.array(["a", "b", "c"])],
    schema=pa.schema(
        [pa.field("Number", pa.int32(), nullable=False), pa.field("word", pa.string(), nullable=False)]
    ),
)


def _cannot_fingerprint(name: str) -> Case:
    return Case(
        f"refuse-fingerprint-{name}", "parquet", schema(column(name, "fingerprint")), OPEN, None, table=TYPED
    )


PARQUET_CASES: Final = [
    _all_types("types-none", OPEN, ("none", 0)),
    _all_types("types-fixed", PER_COLUMN, ("fixed", 300)),
    _all_types("types-max", HIDE_NULLS, ("max", 20)),
    _all_types("types-max-joined", HIDE_NULLS_JOINED, ("max", 9), integers=True),
    _all_types("types-integers", OPEN, ("none", 0), integers=True),
    Case(
        "required",
        "parquet",
        schema(
            column("number", "sealed"),
            column("word", "sealed"),
            column("number", "cleartext", "n"),
            column("word", "cleartext", "w"),
            column("number", "fingerprint"),
            column("word", "fingerprint"),
        ),
        PER_COLUMN,
        [(1, "a", 1, "a"), (2, "b", 2, "b"), (3, "c", 3, "c")],
        table=_REQUIRED,
        fingerprints={4: 0, 5: 0},
    ),
    *(_cannot_fingerprint(name) for name in ("f32", "f64", "d9", "d38", "ms", "ns")),
]

CASES: Final = [*CSV_CASES, *PARQUET_CASES]
ACCEPTED: Final = [case for case in CASES if case.rows is not None]
REFUSED: Final = [case for case in CASES if case.rows is None]
