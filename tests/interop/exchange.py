# SPDX-License-Identifier: Apache-2.0
"""Both ways: each client encrypts every case, the other decrypts; then the rows are compared."""

from __future__ import annotations

import struct
from collections import Counter
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from . import reference
from .cases import CASES, ID, Case
from .peers import Hitoku, Job, Outcome, Peer


@dataclass(frozen=True)
class Exchange:
    """The files of one exchange between hitoku and another client, and what came of each job."""

    folder: Path
    theirs_encrypted: dict[str, Outcome]
    ours_encrypted: dict[str, Outcome]
    theirs_decrypted: dict[str, Outcome]
    ours_decrypted: dict[str, Outcome]

    def file(self, who: str, step: str, case: Case) -> Path:
        """The file that `who` made of `case` by `encrypt` or `decrypt`."""
        return self.folder / f"{who}-{step}" / f"{case.name}.{case.format}"


def exchange(peer: Peer, folder: Path) -> Exchange:
    """Runs every case both ways: two runs of each client."""
    sources, temporary = folder / "sources", folder / "temporary"
    for name in ("theirs-encrypt", "theirs-decrypt", "ours-encrypt", "ours-decrypt"):
        (folder / name).mkdir()
    for made in (sources, temporary):
        made.mkdir()
    for case in CASES:
        case.write(sources)

    def jobs(who: str, step: str, cases: list[Case], source: Path) -> list[Job]:
        return [
            {
                "name": case.name,
                "mode": step,
                "format": case.format,
                "source": str(source / f"{case.name}.{case.format}"),
                "target": str(folder / f"{who}-{step}" / f"{case.name}.{case.format}"),
                "schema": case.schema,
                "id": ID,
                "settings": case.settings,
                "csvInputNull": None
                if case.format == "parquet"
                else (case.csv_input_null if step == "encrypt" else case.opened_null),
                "csvOutputNull": case.csv_output_null if case.format == "csv" and step == "encrypt" else None,
                "failOnFingerprints": False,
                "binaryAsString": False,
                "tempDir": str(temporary),
            }
            for case in cases
        ]

    ours = Hitoku()
    theirs_encrypted = peer.run(jobs("theirs", "encrypt", CASES, sources))
    ours_encrypted = ours.run(jobs("ours", "encrypt", CASES, sources))
    readable = {
        who: [case for case in CASES if outcomes[case.name].ok]
        for who, outcomes in (("theirs", theirs_encrypted), ("ours", ours_encrypted))
    }
    return Exchange(
        folder,
        theirs_encrypted,
        ours_encrypted,
        theirs_decrypted=peer.run(jobs("theirs", "decrypt", readable["ours"], folder / "ours-encrypt")),
        ours_decrypted=ours.run(jobs("ours", "decrypt", readable["theirs"], folder / "theirs-encrypt")),
    )


def rows(path: Path, null: str | None) -> list[tuple[Any, ...]]:
    """A file's rows; timestamps as integers, text that is none as bytes."""
    if path.suffix == ".csv":
        return [tuple(row) for row in reference.read_csv(path, null, header=True)[1]]
    columns = []
    for column in pq.read_table(path).columns:
        try:
            columns.append(reference.plain_values(column))
        except UnicodeDecodeError:
            columns.append(column.cast(pa.binary()).to_pylist())
    return list(zip(*columns, strict=True))


def as_expected(found: Any, expected: Any) -> Any:
    """A value of a decrypted Parquet file for comparing.

    Sealed columns are text columns. A client that keeps that type when it decrypts gives other
    types back as the value's big-endian bytes in a text column.
    """
    if isinstance(found, str) and not isinstance(expected, str):
        found = found.encode()
    if not isinstance(found, bytes):
        return found
    match expected:
        case str():
            return found.decode()
        case bool():
            return bool(found[0])
        case int():
            return int.from_bytes(found, "big", signed=True)
        case float():
            return struct.unpack(">f" if len(found) == 4 else ">d", found)[0]
        case date():
            return date(1970, 1, 1) + timedelta(days=struct.unpack(">i", found)[0])
        case Decimal():
            exponent = int(expected.as_tuple().exponent)
            return Decimal(int.from_bytes(found, "big", signed=True)).scaleb(exponent)
    return found


def key(row: tuple[Any, ...]) -> tuple[str, ...]:
    """Tells -0.0 from 0.0, True from 1, NULL from its name."""
    return tuple(f"{type(value).__name__}:{value!r}" for value in row)


def assert_rows(case: Case, path: Path) -> None:
    """The decrypted file holds the case's rows, in any order."""
    assert case.rows is not None
    found = [
        tuple(value for i, value in enumerate(row) if i not in case.fingerprints)
        for row in rows(path, "" if case.format == "csv" else None)
    ]
    if case.format == "parquet":
        example = case.rows[0]  # has a value in every column
        found = [
            tuple(as_expected(value, want) for value, want in zip(row, example, strict=True)) for row in found
        ]
    assert Counter(map(key, found)) == Counter(map(key, case.rows))


def fingerprints(case: Case, path: Path, null: str | None) -> dict[int, list[str | None]]:
    """The fingerprint columns of an encrypted file."""
    found = rows(path, null)
    return {i: [row[i] for row in found] for i in case.fingerprints}


def assert_same_fingerprints(case: Case, one: Path, other: Path) -> None:
    """Equal for values; for NULLs absent in both, or random in both."""
    columns = [fingerprints(case, path, case.opened_null) for path in (one, other)]
    for i, count in case.fingerprints.items():
        left, right = (Counter(column[i]) for column in columns)
        size = sum(left.values())
        assert size == sum(right.values())
        if case.settings["preserveNulls"]:
            assert left == right
            assert left[None] == count
            continue
        shared = left & right
        assert sum(shared.values()) == size - count
        assert None not in left
        assert None not in right
        random = [*(left - shared).elements(), *(right - shared).elements()]
        assert len(set(random)) == 2 * count
        assert all(text is not None and text.startswith("02:hmac:") and len(text) == 52 for text in random)


def shape(path: Path) -> list[tuple[str, str, str, str, int | None]]:
    """A Parquet file's columns as AWS's reader sees them: name, physical and logical type, repetition."""
    file = pq.ParquetFile(path)
    result = []
    for i, field in enumerate(file.schema_arrow):
        column = file.schema.column(i)
        logical = column.logical_type.type if not pa.types.is_timestamp(field.type) else str(field.type)
        length = column.length if column.physical_type == "FIXED_LEN_BYTE_ARRAY" else None
        result.append((field.name, column.physical_type, logical, str(field.nullable), length))
    return result
