# SPDX-License-Identifier: Apache-2.0
"""The C3R format once more, slowly: no kernel, no Arrow compute, one value at a time.

Written from the format's description alone and sharing no code with hitoku, so that the interop
cases have a second opinion on machines where AWS's own client cannot be had. It is not AWS's
client: `test_aws_c3r.py` runs the same cases against that.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import random
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

TYPES: Final = {
    "string": 1,
    "bigint": 2,
    "boolean": 3,
    "char": 4,
    "date": 5,
    "decimal": 6,
    "double": 7,
    "float": 8,
    "int": 9,
    "smallint": 10,
    "timestamp": 11,
    "varchar": 12,
}
NAMES: Final = {number: name for name, number in TYPES.items()}
REPRESENTATIVE: Final = {
    "string": "string",
    "char": "string",
    "varchar": "string",
    "smallint": "bigint",
    "int": "bigint",
    "bigint": "bigint",
    "boolean": "boolean",
    "date": "date",
}
UNITS: Final = ("ms", "us", "ns")
EPOCH: Final = date(1970, 1, 1)
SEALED: Final = b"02:enc:"
FINGERPRINT: Final = b"02:hmac:"
BLANK: Final = "".join(map(chr, range(33)))  # what AWS's CSV parser trims: ASCII only


class ForbiddenError(Exception):
    """What the format forbids."""


@dataclass(frozen=True)
class Kind:
    """The type of a column as the format sees it, with the metadata that travels with a value."""

    name: str
    precision: int = 0
    scale: int = 0
    utc: bool = False
    unit: str = "us"


def kind_of(field: pa.DataType) -> Kind:
    """The format's type for an Arrow type."""
    simple = {
        pa.string(): "string",
        pa.int16(): "smallint",
        pa.int32(): "int",
        pa.int64(): "bigint",
        pa.bool_(): "boolean",
        pa.date32(): "date",
        pa.float32(): "float",
        pa.float64(): "double",
    }
    if field in simple:
        return Kind(simple[field])
    if pa.types.is_decimal(field):
        return Kind("decimal", precision=field.precision, scale=field.scale)
    if pa.types.is_timestamp(field):
        return Kind("timestamp", utc=field.tz is not None, unit=field.unit)
    raise ForbiddenError(f"type {field} is not supported")


def type_byte(kind: str, *, null: bool) -> bytes:
    return bytes([TYPES[kind] << 1 | null])


def metadata(kind: Kind) -> bytes:
    if kind.name == "decimal":
        return struct.pack(">ii", kind.precision, kind.scale)
    if kind.name == "timestamp":
        return struct.pack(">?i", kind.utc, UNITS.index(kind.unit))
    return b""


def value_bytes(kind: Kind, value: Any) -> bytes:
    """The bytes of one value, without type byte and metadata. Timestamps come as integers."""
    match kind.name:
        case "string":
            return str(value).encode()
        case "smallint":
            return struct.pack(">h", value)
        case "int":
            return struct.pack(">i", value)
        case "bigint" | "timestamp":
            return struct.pack(">q", value)
        case "date":
            return struct.pack(">i", (value - EPOCH).days)
        case "float":
            return struct.pack(">f", value)
        case "double":
            return struct.pack(">d", value)
        case "boolean":
            return bytes([value])
        case "decimal":
            return format(value, "f").encode()
    raise ForbiddenError(f"type {kind.name} is not supported")


def encode(kind: Kind, value: Any) -> bytes:
    """Type byte, metadata, value: what is sealed. Metadata travels with a NULL too."""
    head = type_byte(kind.name, null=value is None) + metadata(kind)
    return head if value is None else head + value_bytes(kind, value)


def decode(plain: bytes) -> tuple[Kind, Any]:
    """The reverse of `encode`."""
    kind, null, rest = NAMES[plain[0] >> 1], bool(plain[0] & 1), plain[1:]
    full = Kind(kind)
    if kind == "decimal" and len(rest) >= 8:
        full = Kind(kind, *struct.unpack(">ii", rest[:8]))
        rest = rest[8:]
    elif kind == "timestamp" and len(rest) >= 5:
        utc, unit = struct.unpack(">?i", rest[:5])
        full = Kind(kind, utc=utc, unit=UNITS[unit])
        rest = rest[5:]
    elif kind == "varchar" and len(rest) >= 4:
        rest = rest[4:]
    if null:
        if rest:
            raise ForbiddenError("a NULL with a value")
        return full, None
    match kind:
        case "string" | "char" | "varchar":
            return full, rest.decode()
        case "boolean":
            return full, bool(rest[0])
        case "date":
            return full, EPOCH + timedelta(days=struct.unpack(">i", rest)[0])
        case "decimal":
            return full, Decimal(rest.decode())
    code = {"smallint": ">h", "int": ">i", "bigint": ">q", "timestamp": ">q", "float": ">f", "double": ">d"}
    return full, struct.unpack(code[kind], rest)[0]


class Keys:
    """HKDF over the shared secret, salted with the room's id."""

    def __init__(self, secret: bytes, salt: str) -> None:
        self._prk = hmac.digest(salt.encode(), secret, "sha256")
        self.root = self.expand("c3r-encryption-primary-aes-gcm-256")

    def expand(self, info: str) -> bytes:
        return hmac.digest(self._prk, info.encode() + b"\x01", "sha256")

    def column(self, header: str) -> bytes:
        return self.expand(f"c3r-hmac-sha256-col-{header}")

    def fingerprint(self, key: bytes, kind: str, value: bytes | None) -> str:
        representative = REPRESENTATIVE[kind]
        message = os.urandom(32) if value is None else value
        tag = hmac.digest(key, message + type_byte(representative, null=value is None), "sha256")
        return (FINGERPRINT + base64.b64encode(tag)).decode()

    def seal(self, header: str, nonce: bytes, plain: bytes) -> str:
        row_key = hashlib.sha256(self.root + nonce).digest()
        iv = hashlib.sha256(header.encode() + nonce).digest()[:12]
        body = AESGCM(row_key).encrypt(iv, plain, SEALED)
        return (SEALED + base64.b64encode(nonce + iv + body)).decode()

    def open(self, text: str) -> bytes:
        raw = base64.b64decode(text.encode()[len(SEALED) :], validate=True)
        nonce, iv, body = raw[:32], raw[32:44], raw[44:]
        padded = AESGCM(hashlib.sha256(self.root + nonce).digest()).decrypt(iv, body, SEALED)
        (padding,) = struct.unpack(">H", padded[-2:])
        return padded[: len(padded) - 2 - padding]


@dataclass(frozen=True)
class Target:
    source: str
    header: str
    type: str
    pad: tuple[str, int] | None


def targets(schema: str) -> list[Target]:
    """The output columns of a schema file; sources of a positional one are called by position."""
    data = json.loads(schema)
    pairs: Iterable[tuple[str, dict[str, Any]]]
    if data["headerRow"]:
        pairs = [(column["sourceHeader"], column) for column in data["columns"]]
    else:
        pairs = [(f"_c{i}", c) for i, group in enumerate(data["columns"]) for c in group or []]
    suffix = {"sealed": "_sealed", "fingerprint": "_fingerprint", "cleartext": ""}
    result = []
    for source, column in pairs:
        kind, name = column["type"].lower(), source.strip().lower()
        pad = column.get("pad")
        result.append(
            Target(
                name,
                column.get("targetHeader", name + suffix[kind]).strip().lower(),
                kind,
                (pad["type"].lower(), pad.get("length") or 0) if pad else None,
            )
        )
    return result


def encrypt_columns(
    columns: dict[str, tuple[Kind, list[Any]]], schema: str, settings: dict[str, bool], keys: Keys
) -> tuple[list[str], list[list[Any]]]:
    """Headers and rows of the encrypted table, in random order."""
    wanted = targets(schema)
    rows = len(next(iter(columns.values()))[1])
    nonces = [os.urandom(32) for _ in range(rows)]
    result: list[list[Any]] = []
    for target in wanted:
        kind, values = columns[target.source]
        if target.type == "cleartext":
            if not settings["allowCleartext"]:
                raise ForbiddenError("cleartext is not allowed")
            result.append(values)
        elif target.type == "fingerprint":
            result.append(_fingerprints(target, kind, values, settings, keys))
        else:
            result.append(_sealed(target, kind, values, nonces, settings, keys))
    table = [list(row) for row in zip(*result, strict=True)]
    random.SystemRandom().shuffle(table)
    return [target.header for target in wanted], table


def _fingerprints(
    target: Target, kind: Kind, values: list[Any], settings: dict[str, bool], keys: Keys
) -> list[str | None]:
    if kind.name not in REPRESENTATIVE:
        raise ForbiddenError(f"{kind.name} has no fingerprint")
    wide = Kind(REPRESENTATIVE[kind.name])
    joined = settings["allowJoinsOnColumnsWithDifferentNames"]
    key = keys.root if joined else keys.column(target.header)
    keep = settings["preserveNulls"]
    if not settings["allowDuplicates"]:
        counted = [value for value in values if value is not None or not keep]
        if len(set(counted)) != len(counted):
            raise ForbiddenError("duplicates are not allowed")
    return [
        None
        if value is None and keep
        else keys.fingerprint(key, kind.name, None if value is None else value_bytes(wide, value))
        for value in values
    ]


def _sealed(
    target: Target, kind: Kind, values: list[Any], nonces: list[bytes], settings: dict[str, bool], keys: Keys
) -> list[str | None]:
    encoded = [
        None if value is None and settings["preserveNulls"] else encode(kind, value) for value in values
    ]
    pad, length = target.pad or ("none", 0)
    if pad == "max":
        longest = max((len(encode(kind, value)) for value in values if value is not None), default=0)
        length += longest
    result: list[str | None] = []
    for plain, nonce in zip(encoded, nonces, strict=True):
        if plain is None:
            result.append(None)
            continue
        padding = 0 if pad == "none" else length - len(plain)
        if padding < 0 or (pad != "none" and length > 12_000):
            raise ForbiddenError("no room for padding")
        text = keys.seal(target.header, nonce, plain + bytes(padding) + struct.pack(">H", padding))
        if len(text) > 16_383:
            raise ForbiddenError("encoded value too long")
        result.append(text)
    return result


def decrypt_value(text: Any, keys: Keys) -> tuple[Kind | None, Any]:
    """A value of an encrypted table: its type where it was sealed, and the value."""
    if isinstance(text, str) and text.encode()[3:7] == b"enc:":
        if not text.startswith(SEALED.decode()):
            raise ForbiddenError("unknown version")
        return decode(keys.open(text))
    return None, text


# --- files ---


def parse_csv(text: str) -> Iterator[list[tuple[str, bool]]]:
    """Records as (text, quoted); unquoted values trimmed, blank lines and `#` lines skipped."""
    record: list[tuple[str, bool]] = []
    position, end = 0, len(text)
    while position < end:
        if not record and text[position] in "\r\n":
            position += 1
            continue
        if not record and text[position] == "#":
            while position < end and text[position] != "\n":
                position += 1
            continue
        while position < end and text[position] in " \t":
            position += 1
        value, quoted = "", False
        if position < end and text[position] == '"':
            quoted, position = True, position + 1
            while True:
                close = text.index('"', position)
                value += text[position:close]
                position = close + 1
                if text[position : position + 1] != '"':
                    break
                value, position = value + '"', position + 1
            while position < end and text[position] in " \t":
                position += 1
        else:
            start = position
            while position < end and text[position] not in ",\r\n":
                position += 1
            value = text[start:position].strip(BLANK)
        record.append((value, quoted))
        if position < end and text[position] == ",":
            position += 1
            if position == end or text[position] in "\r\n":
                record.append(("", False))
            else:
                continue
        yield record
        record = []
        position += 1


def nulls(value: str, quoted: bool, null: str | None) -> str | None:
    """A CSV value under the rule for NULL."""
    if value == "":
        if null is None:
            return None
        if null.strip() == "":
            return "" if quoted else None
        if null.strip() == '""':
            return None if quoted else ""
        return ""
    return None if null is not None and value == null.strip() and null.strip() else value


def read_csv(path: Path, null: str | None, *, header: bool) -> tuple[list[str], list[list[str | None]]]:
    text = path.read_bytes().decode()
    if text.partition("\n")[0].endswith("\r"):
        text = text.replace("\r\n", "\n")  # a file's own line ends are normalised, in quotes too
    records = list(parse_csv(text))
    if header:
        names, records = [text.strip().lower() for text, _ in records[0]], records[1:]
    else:
        names = [f"_c{i}" for i in range(len(records[0]))]
    rows = [[nulls(text, quoted, null) for text, quoted in record] for record in records]
    if any(len(row) != len(names) for row in rows):
        raise ForbiddenError("wrong column count")
    return names, rows


def write_csv(path: Path, headers: Sequence[str], rows: Iterable[Sequence[Any]], null: str | None) -> None:
    def field(value: str | None) -> str:
        if value is None:
            return null or ""
        if value == "":
            return '""' if not (null or "").strip() else ""
        # As AWS's writer does: a quote inside a value is no reason to quote it.
        if value[0] in '#"' or any(sign in value for sign in ",\n\r\t\f "):
            return '"' + value.replace('"', '""') + '"'
        return value

    lines = [",".join(headers), *(",".join(field(value) for value in row) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="")


def plain_values(column: pa.ChunkedArray) -> list[Any]:
    """Python values; timestamps as integers in their unit."""
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64())
    return list(column.to_pylist())


def text_of(kind: Kind | None, value: Any) -> str | None:
    """How a CSV file shows a decrypted value."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def encrypt_file(job: dict[str, Any], secret: bytes) -> None:
    """One job of the harness's form, encrypted."""
    keys = Keys(secret, job["id"])
    source, target = Path(job["source"]), Path(job["target"])
    if job["format"] == "csv":
        positional = not json.loads(job["schema"])["headerRow"]
        names, rows = read_csv(source, job["csvInputNull"], header=not positional)
        columns = {name: (Kind("string"), [row[i] for row in rows]) for i, name in enumerate(names)}
        headers, encrypted = encrypt_columns(columns, job["schema"], job["settings"], keys)
        write_csv(target, headers, encrypted, job["csvOutputNull"])
        return
    table = pq.read_table(source)
    columns = {
        name.strip().lower(): (kind_of(table[name].type), plain_values(table[name]))
        for name in table.column_names
    }
    headers, encrypted = encrypt_columns(columns, job["schema"], job["settings"], keys)
    fields = []
    by_name = {field.name.strip().lower(): field for field in table.schema}
    for wanted in targets(job["schema"]):
        field = by_name[wanted.source]
        clear = wanted.type == "cleartext"
        fields.append(pa.field(wanted.header, field.type if clear else pa.string()))
    arrays = []
    for i, field in enumerate(fields):
        values = [row[i] for row in encrypted]
        if pa.types.is_timestamp(field.type):
            arrays.append(pa.array(values, pa.int64()).cast(field.type))
        else:
            arrays.append(pa.array(values, field.type))
    pq.write_table(pa.Table.from_arrays(arrays, schema=pa.schema(fields)), target)


def decrypt_file(job: dict[str, Any], secret: bytes) -> None:
    """One job of the harness's form, decrypted."""
    keys = Keys(secret, job["id"])
    source, target = Path(job["source"]), Path(job["target"])
    if job["format"] == "csv":
        names, rows = read_csv(source, job["csvInputNull"], header=True)
        opened = [[text_of(*decrypt_value(value, keys)) for value in row] for row in rows]
        write_csv(target, names, opened, job["csvOutputNull"])
        return
    table = pq.read_table(source)
    arrays = []
    for name in table.column_names:
        column = table[name]
        if not pa.types.is_string(column.type):
            arrays.append(column)
            continue
        pairs = [decrypt_value(value, keys) for value in column.to_pylist()]
        # A NULL may come without the metadata of its type.
        kinds = {kind for kind, value in pairs if kind is not None and value is not None}
        if len(kinds) > 1:
            raise ForbiddenError("several types in one column")
        arrow = arrow_of(kinds.pop()) if kinds else pa.string()
        values = [value for _, value in pairs]
        if pa.types.is_timestamp(arrow):
            arrays.append(pa.array(values, pa.int64()).cast(arrow))
        else:
            arrays.append(pa.array(values, arrow))
    pq.write_table(pa.table(dict(zip(table.column_names, arrays, strict=True))), target)


def arrow_of(kind: Kind) -> pa.DataType:
    if kind.name == "decimal":
        return pa.decimal128(kind.precision, kind.scale)
    if kind.name == "timestamp":
        return pa.timestamp(kind.unit, "UTC" if kind.utc else None)
    return {
        "string": pa.string(),
        "char": pa.string(),
        "varchar": pa.string(),
        "smallint": pa.int16(),
        "int": pa.int32(),
        "bigint": pa.int64(),
        "boolean": pa.bool_(),
        "date": pa.date32(),
        "float": pa.float32(),
        "double": pa.float64(),
    }[kind.name]
