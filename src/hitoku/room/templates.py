# SPDX-License-Identifier: Apache-2.0
"""Templates: questions with typed parameters, which a custom rule approves one by one. Names are AWS's.

A template is part of the agreement; what approves it is its hash in a table's rule
(`hitoku.questions.templates` makes it), so another text under an approved name is not approved.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from hitoku import limits

__all__ = ["ParameterType", "Template", "TemplateParameter", "canonical_value"]

_MAX_TEXT: Final = 1_000
_MAX_DIGITS: Final = 38
_MAX_EXPONENT: Final = 300


class ParameterType(StrEnum):
    """What a parameter's values are: the types of columns."""

    STRING = "string"
    SMALLINT = "smallint"
    INT = "int"
    BIGINT = "bigint"
    BOOLEAN = "boolean"
    DATE = "date"
    DECIMAL = "decimal"
    FLOAT = "float"
    DOUBLE = "double"
    TIMESTAMP = "timestamp"

    @property
    def is_number(self) -> bool:
        """Whether values are written without quotes and are no truth value."""
        return self in _WHOLE or self in _FRACTIONAL


_WHOLE: Final = {ParameterType.SMALLINT: 15, ParameterType.INT: 31, ParameterType.BIGINT: 63}
_FRACTIONAL: Final = frozenset({ParameterType.DECIMAL, ParameterType.FLOAT, ParameterType.DOUBLE})


def canonical_value(kind: ParameterType, text: str) -> str:
    """The one spelling of a parameter's value.

    Args:
        kind: the parameter's type.
        text: the value as it was written, without quotes.

    Raises:
        ValueError: it is no value of the type, or out of its range. The message does not quote it.
    """
    if len(text) > _MAX_TEXT:
        raise ValueError(f"a parameter's value has at most {_MAX_TEXT} characters")
    if kind.is_number:
        return _number(kind, text)
    try:
        match kind:
            case ParameterType.DATE:
                return date.fromisoformat(text.strip()).isoformat()
            case ParameterType.TIMESTAMP:
                when = datetime.fromisoformat(text.strip())
                if when.tzinfo is None:
                    return when.isoformat(" ")
            case ParameterType.BOOLEAN:
                if text.lower() in {"true", "false"}:
                    return text.lower()
            case _:
                return text
    except ValueError:
        pass
    raise ValueError(f"the value is no {kind.value}")


def _number(kind: ParameterType, text: str) -> str:
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise ValueError(f"the value is no {kind.value}") from None
    if not number.is_finite():
        raise ValueError(f"the value is no {kind.value}")
    digits, exponent = number.as_tuple().digits, number.adjusted()
    if len(digits) > _MAX_DIGITS or abs(exponent) > _MAX_EXPONENT:
        raise ValueError(f"the value is out of the range of {kind.value}")
    if kind not in _WHOLE:
        return f"{number:f}" if abs(exponent) < _MAX_DIGITS else f"{number.normalize():E}".replace("E+", "E")
    bits = _WHOLE[kind]
    if number != number.to_integral_value() or not -(2**bits) <= number < 2**bits:
        raise ValueError(f"the value is out of the range of {kind.value}")
    return str(int(number))


_PartName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]


class _Part(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
    )


class TemplateParameter(_Part):
    """One parameter: ``:name`` in the template's SQL stands for a value of the type.

    Attributes:
        name: its name, lower case.
        type: its type.
        default_value: the value, written as text, where none is given; None where one must be given.
    """

    name: _PartName
    type: ParameterType
    default_value: Annotated[str, Field(max_length=_MAX_TEXT)] | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.default_value is not None:
            canonical_value(self.type, self.default_value)
        return self


class Template(_Part):
    """A question with parameters, asked as ``EXECUTE name(parameter := value, ...)``.

    Attributes:
        name: its name in the room, lower case.
        sql: one question in DuckDB's dialect; it is parsed and checked when it is asked.
        parameters: its parameters; none may be left undeclared.
    """

    name: _PartName
    sql: Annotated[str, Field(min_length=1, max_length=limits.MAX_SQL_CHARS)]
    parameters: Annotated[
        tuple[TemplateParameter, ...], Field(max_length=limits.MAX_TEMPLATE_PARAMETERS)
    ] = ()

    def parameter(self, name: str) -> TemplateParameter | None:
        """The parameter of that name, if there is one."""
        return next((p for p in self.parameters if p.name == name), None)

    @model_validator(mode="after")
    def _check(self) -> Self:
        names = [p.name for p in self.parameters]
        if len(set(names)) != len(names):
            raise ValueError(f"template {self.name!r}: two parameters have one name")
        return self
