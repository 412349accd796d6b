# SPDX-License-Identifier: Apache-2.0
"""Table schemas: which input column becomes which encrypted column. The same JSON as AWS C3R's.

Two forms: with `headerRow` true, columns are named; with `headerRow` false, `columns` holds one list
of targets for each input column in order, empty or null to drop it.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from hitoku import limits
from hitoku.columns.headers import header_problem, normalise, shown
from hitoku.errors import InputError

__all__ = ["ColumnSchema", "Pad", "TableSchema", "load_schema"]

Kind = Literal["fingerprint", "sealed", "cleartext"]
_SUFFIX = {"fingerprint": "_fingerprint", "sealed": "_sealed", "cleartext": ""}
_MAX_DEPTH = 16


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


class _Model(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        alias_generator=to_camel,
        populate_by_name=True,
        hide_input_in_errors=True,
    )


class Pad(_Model):
    """How sealed values are made of one length.

    Attributes:
        type: `none`; `fixed` to `length` bytes; `max`: to the longest value of the column + `length`.
        length: bytes, 0 to 10,000; only with `fixed` and `max`.
    """

    type: Annotated[Literal["none", "fixed", "max"], BeforeValidator(_lower)]
    length: Annotated[int, Field(ge=0, le=limits.MAX_PAD_LENGTH)] | None = None

    @model_validator(mode="after")
    def _check(self) -> Pad:
        if self.type == "none" and self.length:
            raise PydanticCustomError("pad", "padding of type none takes no length")
        if self.type != "none" and self.length is None:
            raise PydanticCustomError("pad", "padding of type fixed or max needs a length")
        return self


class ColumnSchema(_Model):
    """One output column.

    Attributes:
        source: the input column: its header as normalised, or its index where there is no header row.
        target: the output header as normalised.
    """

    source_header: str | None = None
    target_header: str | None = None
    type: Annotated[Kind, BeforeValidator(_lower)]
    pad: Pad | None = None

    @model_validator(mode="after")
    def _check(self) -> ColumnSchema:
        if self.type == "sealed" and self.pad is None:
            raise PydanticCustomError("pad", "a sealed column needs a pad")
        if self.type != "sealed" and self.pad is not None:
            raise PydanticCustomError("pad", "only a sealed column takes a pad")
        return self

    @property
    def target(self) -> str:
        """The output header, defaulted and normalised."""
        if self.target_header is not None:
            return normalise(self.target_header)
        return normalise(self.source_header or "") + _SUFFIX[self.type]


def _form(columns: object) -> str:
    """Which of the two forms a list of columns has."""
    entries = columns if isinstance(columns, list) else []
    return "positional" if any(e is None or isinstance(e, list) for e in entries) else "named"


class TableSchema(_Model):
    """A whole table: `header_row` tells which form `columns` has."""

    header_row: bool
    columns: Annotated[
        Annotated[list[ColumnSchema], Tag("named")]
        | Annotated[list[list[ColumnSchema] | None], Tag("positional")],
        Discriminator(_form),
    ]

    @model_validator(mode="after")
    def _check(self) -> TableSchema:
        problems: list[str] = []
        if self.columns and (_form(self.columns) == "named") != self.header_row:
            raise PydanticCustomError(
                "form",
                "columns: with headerRow true every column is an object with a sourceHeader; with "
                "headerRow false every input column is a list of objects, or null",
            )
        flat = self.flat()
        if not flat:
            problems.append("there is no output column")
        if len(flat) > limits.MAX_OUTPUT_COLUMNS:
            problems.append(f"more than {limits.MAX_OUTPUT_COLUMNS:,} output columns")
        for index, (_, column) in enumerate(flat):
            if self.header_row and not normalise(column.source_header or ""):
                problems.append(f"column {index + 1}: sourceHeader is missing")
                continue
            if not self.header_row and column.source_header is not None:
                problems.append(f"column {index + 1}: sourceHeader is refused without a header row")
            if not self.header_row and column.target_header is None:
                problems.append(f"column {index + 1}: targetHeader is needed without a header row")
                continue
            problem = header_problem(column.target)
            if problem:
                problems.append(f"target header '{shown(column.target)}' {problem}")
        counts = Counter(column.target for _, column in flat)
        problems += [
            f"target header '{shown(header)}' is given to {count} columns"
            for header, count in counts.items()
            if count > 1 and header
        ]
        if problems:
            # Braces would be taken for a template's fields.
            text = "; ".join(problems).replace("{", "(").replace("}", ")")
            raise PydanticCustomError("table", text)
        return self

    def flat(self) -> list[tuple[str | int, ColumnSchema]]:
        """Every output column with its source: a normalised header, or an index from 0."""
        out: list[tuple[str | int, ColumnSchema]] = []
        for index, entry in enumerate(self.columns):
            if isinstance(entry, ColumnSchema):
                out.append((normalise(entry.source_header or ""), entry))
            else:
                out.extend((index, column) for column in entry or ())
        return out

    def to_json(self) -> str:
        """The schema as AWS's JSON."""
        data = self.model_dump(by_alias=True, exclude_none=True)
        if not self.header_row:
            data["columns"] = [entry or [] for entry in data["columns"]]
        return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


def _depth_ok(text: str) -> bool:
    """Whether JSON nests at most `_MAX_DEPTH` deep, told without recursion."""
    depth = 0
    in_string = escaped = False
    for character in text:
        if in_string:
            if escaped:
                escaped = False
            elif character == "\\":
                escaped = True
            elif character == '"':
                in_string = False
        elif character == '"':
            in_string = True
        elif character in "[{":
            depth += 1
            if depth > _MAX_DEPTH:
                return False
        elif character in "]}":
            depth -= 1
    return True


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in pairs:
        if key in out:
            raise InputError(f"the schema has the key '{shown(key)}' twice in one object")
        out[key] = value
    return out


def _parse(text: str, name: str) -> Any:
    if len(text) > limits.MAX_SCHEMA_FILE_BYTES:
        raise InputError(f"{name} is larger than {limits.MAX_SCHEMA_FILE_BYTES:,} bytes")
    if not _depth_ok(text):
        raise InputError(f"{name} nests more than {_MAX_DEPTH} levels deep")
    try:
        return json.loads(text, object_pairs_hook=_no_duplicates)
    except json.JSONDecodeError as error:
        raise InputError(f"{name} is not JSON: line {error.lineno}, column {error.colno}") from None
    except (RecursionError, ValueError):
        raise InputError(f"{name} is not JSON that can be used") from None


def load_schema(schema: TableSchema | dict[str, Any] | str | Path) -> TableSchema:
    """A table schema from a file, from parsed JSON or as it is.

    Raises:
        InputError: the file cannot be read, is not JSON, has a key twice or nests too deep; or the
            schema breaks rules, all of which are listed at once.
    """
    if isinstance(schema, TableSchema):
        return schema
    name = "the schema"
    data: Any = schema
    if isinstance(schema, str | Path):
        path = Path(schema)
        name = f"the schema {path.name}"
        try:
            with path.open("rb") as file:
                raw = file.read(limits.MAX_SCHEMA_FILE_BYTES + 1)
            data = _parse(raw.decode("utf-8-sig"), name)
        except OSError as error:
            raise InputError(f"{name} cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise InputError(f"{name} is not UTF-8") from None
    try:
        return TableSchema.model_validate(data)
    except ValidationError as error:
        raise InputError(f"{name} cannot be used: " + "; ".join(_problems(error))) from None


def _problems(error: ValidationError) -> list[str]:
    """Pydantic's findings in the words of the JSON, without the values it was given."""
    out: list[str] = []
    for found in error.errors(include_url=False, include_context=False, include_input=False):
        # The tags of the two forms are ours, not the JSON's.
        where = [
            str(part + 1) if isinstance(part, int) else shown(part)
            for part in found["loc"]
            if part not in ("named", "positional")
        ]
        text = f"{'.'.join(where)}: {found['msg']}" if where else found["msg"]
        if text not in out:
            out.append(text)
    return out
