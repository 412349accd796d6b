# SPDX-License-Identifier: Apache-2.0
"""The agreement: what all members of a room sign. Pure data; no file, key or clock is touched here.

`Agreement` validates all that can be told from the agreement alone: names, references, duties (a host
owns no table), rules against columns. `Room` adds the members' signatures; `hitoku.room.signing`
makes and verifies them.
"""

from __future__ import annotations

import base64
import re
from enum import StrEnum
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from hitoku import limits
from hitoku.room.attestation import Attestation
from hitoku.room.crosstab import Crosstab
from hitoku.room.models import ServedModel
from hitoku.room.rules import (
    AccessBudget,
    AggregateFunction,
    AggregationRule,
    ColumnName,
    CustomRule,
    ListRule,
    Rule,
)
from hitoku.room.settings import Settings
from hitoku.room.shares import Shares
from hitoku.room.templates import Template

__all__ = [
    "Ability",
    "Agreement",
    "Budget",
    "Column",
    "ColumnProtection",
    "ColumnType",
    "Member",
    "ProtectionName",
    "PublicKey",
    "Release",
    "Room",
    "Signature",
    "SignedVersion",
    "Table",
]

_NAME = re.compile(r"[a-z][a-z0-9_]*(-[a-z0-9_]+)*")
_KEY_PREFIX = "ed25519:"
# Points of small order: under such a "key" anybody can make valid signatures. The sign bit is masked.
_WEAK_KEYS = frozenset(
    bytes.fromhex(y)
    for y in (
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    )
)
_HEADER = re.compile(r"[a-z0-9_](([a-z0-9_ ]+-)*([a-z0-9_ ]+))?")


def _name(value: str) -> str:
    if len(value) > limits.MAX_NAME_CHARS or not _NAME.fullmatch(value):
        raise ValueError(
            f"a name is 1 to {limits.MAX_NAME_CHARS} of a-z, 0-9, _ and - and begins with a letter"
        )
    return value


def _key(value: str) -> str:
    try:
        raw = base64.b64decode(value.removeprefix(_KEY_PREFIX), validate=True)
    except ValueError:
        raw = b""
    # One key has one spelling, or one key could stand for two members.
    if len(raw) != 32 or value != _KEY_PREFIX + base64.b64encode(raw).decode():
        raise ValueError("a key is `ed25519:` and 32 bytes in base64")
    if raw[:31] + bytes([raw[31] & 0x7F]) in _WEAK_KEYS:
        raise ValueError("this key is no key: anybody can sign for it")
    return value


def _printable(value: str) -> str:
    if not value.isprintable():
        raise ValueError("must be printable text on one line")
    return value


Name = Annotated[str, AfterValidator(_name)]
PublicKey = Annotated[str, AfterValidator(_key)]


class Ability(StrEnum):
    """What a member may do in a room."""

    QUERY = "query"
    RECEIVE = "receive"
    HOST = "host"
    COMPUTE = "compute"


class ColumnProtection(StrEnum):
    """What a column is where it leaves its owner's node."""

    FINGERPRINT = "fingerprint"
    SEALED = "sealed"
    CLEARTEXT = "cleartext"


class ColumnType(StrEnum):
    """The type of a column's values before protection."""

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
    def equivalence_class(self) -> str | None:
        """The class within which fingerprints can be equal (AWS C3R); None where it has none."""
        return {
            ColumnType.STRING: "STRING",
            ColumnType.SMALLINT: "BIGINT",
            ColumnType.INT: "BIGINT",
            ColumnType.BIGINT: "BIGINT",
            ColumnType.BOOLEAN: "BOOLEAN",
            ColumnType.DATE: "DATE",
        }.get(self)

    @property
    def is_number(self) -> bool:
        """Whether SUM and AVG make sense."""
        return self in {
            ColumnType.SMALLINT,
            ColumnType.INT,
            ColumnType.BIGINT,
            ColumnType.DECIMAL,
            ColumnType.FLOAT,
            ColumnType.DOUBLE,
        }


class ProtectionName(StrEnum):
    """The ways a question can be computed."""

    TOKENS = "tokens"
    CROSSTAB = "crosstab"
    SHARES = "shares"
    ENCLAVE = "enclave"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Member(_Part):
    """A company in the room."""

    name: Name
    key: PublicKey
    """The Ed25519 public key: `ed25519:` and 32 bytes in base64."""
    abilities: tuple[Ability, ...] = ()


class Column(_Part):
    """One contributed column, named by its target header."""

    name: ColumnName
    type: ColumnType
    protection: ColumnProtection
    nullable: bool = True
    precision: Annotated[int, Field(ge=1, le=38)] | None = None
    scale: Annotated[int, Field(ge=0, le=38)] | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not _HEADER.fullmatch(self.name):
            raise ValueError(f"column {self.name!r}: not a valid target header")
        if self.protection is ColumnProtection.FINGERPRINT and self.type.equivalence_class is None:
            raise ValueError(f"column {self.name!r}: a {self.type} cannot be a fingerprint column")
        decimal = self.type is ColumnType.DECIMAL
        if decimal != (self.precision is not None) or decimal != (self.scale is not None):
            raise ValueError(f"column {self.name!r}: precision and scale belong to decimals, both")
        if self.precision is not None and self.scale is not None and self.scale > self.precision:
            raise ValueError(f"column {self.name!r}: scale is larger than precision")
        # Any two cleartext decimals, and any whole number, have a common type that no value overflows:
        # whether a comparison fails would tell of the values.
        sides = ((self.precision or 0) - (self.scale or 0), self.scale or 0)
        if self.protection is ColumnProtection.CLEARTEXT and max(sides) > limits.MAX_DECIMAL_SIDE:
            raise ValueError(
                f"column {self.name!r}: a cleartext decimal has at most {limits.MAX_DECIMAL_SIDE} digits "
                "before and after the point each"
            )
        return self


def _empty(value: object) -> bool:
    # What says nothing is not in the canonical form, so a field that is new leaves old signatures valid.
    return not value


def _one(value: int) -> bool:
    return value == 1


def _power(value: object) -> object:
    """A power of ten as it is written: YAML reads `1e-6` as a number."""
    if not isinstance(value, float):
        return value
    return next((f"1e-{n}" for n in range(1, 20) if float(f"1e-{n}") == value), value)


def _usual(value: BaseModel) -> bool:
    return value == type(value)()


class Table(_Part):
    """One contributed table and the rule for questions on it. No rule: no question."""

    name: Name
    owner: Name
    columns: tuple[Column, ...] = Field(min_length=1, max_length=limits.MAX_TABLE_COLUMNS)
    rule: Rule | None = None
    access_budgets: Annotated[tuple[AccessBudget, ...], Field(max_length=4, exclude_if=_empty)] = ()
    """How many questions of this table its owner allows in a calendar window."""

    def column(self, name: str) -> Column | None:
        """The column of that name, if there is one."""
        return next((c for c in self.columns if c.name == name), None)

    @model_validator(mode="after")
    def _check(self) -> Self:
        names = [c.name for c in self.columns]
        if len(set(names)) != len(names):
            raise ValueError(f"table {self.name!r}: two columns have one name")
        kinds = [budget.type for budget in self.access_budgets]
        if len(set(kinds)) != len(kinds):
            raise ValueError(f"table {self.name!r}: two access budgets are of one window")
        if isinstance(self.rule, CustomRule):
            self._check_custom(self.rule)
        elif self.rule is not None:
            self._check_rule(self.rule)
        return self

    def _check_custom(self, rule: CustomRule) -> None:
        controls, privacy = rule.comparison_controls, rule.differential_privacy
        identities = tuple(n for t in rule.aggregation_thresholds for n in t.identity_columns)
        fields: dict[str, tuple[str, ...]] = {
            "disallowedOutputColumns": rule.disallowed_output_columns,
            "overlapColumns": rule.overlap_columns,
            "aggregationThresholds": (
                *identities,
                *(
                    o.output_column_name
                    for t in rule.aggregation_thresholds
                    for o in t.output_column_thresholds
                ),
            ),
        }
        if controls is not None:
            fields["comparisonControls"] = (
                *controls.allowed_literal_comparison_columns,
                *controls.allowed_column_comparison_columns,
            )
        if privacy is not None:
            fields["differentialPrivacy"] = (
                privacy.column,
                *(b.column_name for b in privacy.bounds),
                *(p.column_name for p in privacy.public_values),
            )
        for field, names in fields.items():
            missing = [n for n in names if self.column(n) is None]
            if missing:
                raise ValueError(f"table {self.name!r}: rule.{field} names unknown columns {missing}")
        for name in (*identities, *((privacy.column,) if privacy is not None else ())):
            column = self.column(name)
            if column is not None and column.protection is ColumnProtection.SEALED:
                raise ValueError(f"table {self.name!r}: sealed column {name!r} cannot be counted")
        for name in identities:
            # Whoever compares it with a literal asks about the person that the literal names.
            if controls is not None and name in controls.allowed_literal_comparison_columns:
                raise ValueError(
                    f"table {self.name!r}: the identity column {name!r} cannot be compared with literals"
                )
        for name in rule.overlap_columns:
            column = self.column(name)
            if column is not None and (
                column.protection is not ColumnProtection.CLEARTEXT
                or column.type in {ColumnType.FLOAT, ColumnType.DOUBLE}
            ):
                raise ValueError(
                    f"table {self.name!r}: overlapColumns need cleartext that is compared exactly, "
                    f"{name!r} is {column.protection} {column.type}"
                )
        if privacy is not None:
            for bound in privacy.bounds:
                column = self.column(bound.column_name)
                if column is not None and (
                    column.protection is not ColumnProtection.CLEARTEXT or not column.type.is_number
                ):
                    raise ValueError(
                        f"table {self.name!r}: bounds need a cleartext number, {column.name!r} is "
                        f"{column.protection} {column.type}"
                    )
            for public in privacy.public_values:
                column = self.column(public.column_name)
                if column is not None and (
                    column.protection is not ColumnProtection.CLEARTEXT
                    or column.type is not ColumnType.STRING
                ):
                    raise ValueError(
                        f"table {self.name!r}: publicValues need a cleartext string, {column.name!r} is "
                        f"{column.protection} {column.type}"
                    )

    def _check_rule(self, rule: AggregationRule | ListRule) -> None:
        def known(field: str, names: tuple[str, ...]) -> None:
            missing = [n for n in names if self.column(n) is None]
            if missing:
                raise ValueError(f"table {self.name!r}: rule.{field} names unknown columns {missing}")

        known("joinColumns", rule.join_columns)
        if isinstance(rule, ListRule):
            known("listColumns", rule.list_columns)
            return
        known("dimensionColumns", rule.dimension_columns)
        known("outputConstraints", tuple(c.column_name for c in rule.output_constraints))
        for aggregate in rule.aggregate_columns:
            known("aggregateColumns", aggregate.column_names)
            for name in aggregate.column_names:
                self._check_aggregate(name, aggregate.function)
        for name in rule.dimension_columns:
            column = self.column(name)
            if column is not None and column.protection is not ColumnProtection.CLEARTEXT:
                raise ValueError(f"table {self.name!r}: dimension column {name!r} must be cleartext")
        for name in (*rule.join_columns, *(c.column_name for c in rule.output_constraints)):
            column = self.column(name)
            if column is not None and column.protection is ColumnProtection.SEALED:
                raise ValueError(
                    f"table {self.name!r}: sealed column {name!r} can neither join nor be counted"
                )

    def _check_aggregate(self, name: str, function: AggregateFunction) -> None:
        column = self.column(name)
        if column is None:
            return
        counting = function in {AggregateFunction.COUNT, AggregateFunction.COUNT_DISTINCT}
        if not counting and (
            column.protection is not ColumnProtection.CLEARTEXT or not column.type.is_number
        ):
            raise ValueError(
                f"table {self.name!r}: {function} needs a cleartext number, {name!r} is "
                f"{column.protection} {column.type}"
            )
        if function is AggregateFunction.COUNT_DISTINCT and column.protection is ColumnProtection.SEALED:
            raise ValueError(f"table {self.name!r}: sealed column {name!r} has no distinct count")


class Budget(_Part):
    """An owner's account for one unit of privacy: all that may ever be learned of one unit from its tables.

    One account is for all of the owner's tables, data versions and protections. `epsilon` and
    `users_noise_per_query` are AWS Clean Rooms' knobs.
    """

    owner: Name
    unit: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
    epsilon: Annotated[int, Field(ge=1, le=20, strict=True)]
    delta: Annotated[str, BeforeValidator(_power), Field(pattern=r"^1e-([5-9]|1[0-2])$")] = "1e-6"
    users_noise_per_query: Annotated[int, Field(ge=10, le=100, strict=True)] = 30
    """Every figure's noise has the standard deviation of so many units' largest contributions, or more."""
    refresh: Literal["NONE", "CALENDAR_MONTH"] = "NONE"
    """With CALENDAR_MONTH the bound holds for each month, and no bound holds for all months together."""


class Release(_Part):
    """How answers leave: when, and how exact counts are.

    Attributes:
        interval_seconds: answers and failures leave at whole multiples of it after the question came, so
            that the time tells nothing finer; 0 leaves at once.
        round_counts: counts without noise are rounded to multiples of it; 1 leaves them.
        summary: whether an answer tells the totals of what was withheld, where that is a large enough group.
    """

    interval_seconds: Annotated[
        int, Field(ge=0, le=limits.MAX_RELEASE_INTERVAL_SECONDS, strict=True, exclude_if=_empty)
    ] = 0
    round_counts: Annotated[int, Field(ge=1, le=1_000, strict=True, exclude_if=_one)] = 1
    summary: Annotated[bool, Field(exclude_if=_empty)] = False


class Agreement(_Part):
    """What the members agree on. Every member signs its canonical form."""

    format: Literal["hitoku/room/1"] = "hitoku/room/1"
    id: UUID
    """C3R's collaboration id: the salt of the encrypted columns' keys."""
    name: Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_printable)]
    version: Annotated[int, Field(ge=1, strict=True)] = 1
    previous: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")] | None = None
    """Hash of the canonical form of the version before; None for the first."""
    settings: Settings = Settings()
    protections: tuple[ProtectionName, ...] = Field(default=(ProtectionName.TOKENS,), min_length=1)
    members: tuple[Member, ...] = Field(min_length=1, max_length=limits.MAX_MEMBERS)
    tables: tuple[Table, ...] = Field(default=(), max_length=limits.MAX_TABLES)
    budgets: Annotated[tuple[Budget, ...], Field(max_length=limits.MAX_TABLES, exclude_if=_empty)] = ()
    release: Annotated[Release, Field(exclude_if=_usual)] = Release()
    templates: Annotated[tuple[Template, ...], Field(max_length=limits.MAX_TEMPLATES, exclude_if=_empty)] = ()
    """Questions with parameters; a custom rule approves them by their hashes."""
    crosstab: Annotated[Crosstab | None, Field(exclude_if=_empty)] = None
    """How people are recognised across tables in private cross statistics."""
    attestation: Annotated[Attestation | None, Field(exclude_if=_empty)] = None
    """Which evidence of what runs where counts, and who signs for programs."""
    models: Annotated[
        tuple[ServedModel, ...], Field(max_length=limits.MAX_ROOM_MODELS, exclude_if=_empty)
    ] = ()
    """Models that members' nodes serve: encrypted rows in, encrypted scores out."""
    shares: Annotated[Shares | None, Field(exclude_if=_empty)] = None
    """Which three members compute on secret-shared tables, and what is public of those."""

    def budget(self, owner: str, unit: str) -> Budget | None:
        """The owner's account for a unit, if it has one."""
        return next((b for b in self.budgets if (b.owner, b.unit) == (owner, unit)), None)

    def member(self, name: str) -> Member | None:
        """The member of that name, if there is one."""
        return next((m for m in self.members if m.name == name), None)

    def table(self, name: str) -> Table | None:
        """The table of that name, if there is one."""
        return next((t for t in self.tables if t.name == name), None)

    def template(self, name: str) -> Template | None:
        """The template of that name, if there is one."""
        return next((t for t in self.templates if t.name == name), None)

    def model(self, name: str) -> ServedModel | None:
        """The served model of that name, if there is one."""
        return next((m for m in self.models if m.name == name), None)

    def able(self, ability: Ability) -> tuple[Member, ...]:
        """The members that have an ability, in the order of the agreement."""
        return tuple(m for m in self.members if ability in m.abilities)

    def owners(self) -> frozenset[str]:
        """The names of all members that own a table."""
        return frozenset(t.owner for t in self.tables)

    @model_validator(mode="after")
    def _check(self) -> Self:
        for what, names in (
            ("members", [m.name for m in self.members]),
            ("member keys", [m.key for m in self.members]),
            ("tables", [t.name for t in self.tables]),
            ("templates", [t.name for t in self.templates]),
            ("models", [m.name for m in self.models]),
        ):
            if len(set(names)) != len(names):
                raise ValueError(f"two {what} are the same")
        if (self.version == 1) != (self.previous is None):
            raise ValueError("version 1 has no previous version, every later one names it")
        for table in self.tables:
            if self.member(table.owner) is None:
                raise ValueError(f"table {table.name!r}: owner {table.owner!r} is no member")
            clear = [c.name for c in table.columns if c.protection is ColumnProtection.CLEARTEXT]
            if clear and not self.settings.allow_cleartext:
                raise ValueError(
                    f"table {table.name!r}: cleartext columns {clear} need settings.allow_cleartext"
                )
        self._check_privacy()
        self._check_crosstab()
        self._check_attestation()
        self._check_shares()
        for model in self.models:
            unknown = [n for n in (model.owner, *model.askers) if self.member(n) is None]
            if unknown:
                raise ValueError(f"model {model.name!r}: owner and askers are members, {unknown} are none")
        for host in self.able(Ability.HOST):
            # A host with the room secret could try every phone number against the fingerprints.
            if host.name in self.owners():
                raise ValueError(f"host {host.name!r} owns a table: a host must own none")
            if Ability.RECEIVE in host.abilities:
                raise ValueError(f"host {host.name!r} receives answers: a host must receive none")
        return self

    def _check_privacy(self) -> None:
        accounts = [(b.owner, b.unit) for b in self.budgets]
        if len(set(accounts)) != len(accounts):
            raise ValueError("two budgets are of one owner and unit")
        for budget in self.budgets:
            if self.member(budget.owner) is None:
                raise ValueError(f"budget {budget.unit!r}: owner {budget.owner!r} is no member")
        for table in self.tables:
            rule = table.rule
            if not isinstance(rule, CustomRule):
                continue
            for field, names in (
                ("allowedAnalysisProviders", rule.allowed_analysis_providers),
                ("allowedResultReceivers", rule.allowed_result_receivers or ()),
            ):
                unknown = [n for n in names if self.member(n) is None]
                if unknown:
                    raise ValueError(f"table {table.name!r}: rule.{field} names no members {unknown}")
            privacy = rule.differential_privacy
            if privacy is not None and self.budget(table.owner, privacy.account) is None:
                raise ValueError(
                    f"table {table.name!r}: differentialPrivacy needs a budget of {table.owner!r} for the "
                    f"unit {privacy.account!r}"
                )

    def _check_crosstab(self) -> None:
        for part in () if self.crosstab is None else self.crosstab.tables:
            table = self.table(part.table)
            if table is None:
                raise ValueError(f"crosstab: there is no table {part.table!r}")
            rule = table.rule
            privacy = rule.differential_privacy if isinstance(rule, CustomRule) else None
            if privacy is None:
                raise ValueError(
                    f"crosstab: table {table.name!r} needs a custom rule with differentialPrivacy"
                )
            public = {p.column_name: p.values for p in privacy.public_values}
            for other in part.other:
                if other.value not in public.get(other.column_name, ()):
                    raise ValueError(
                        f"crosstab: {table.name}.{other.column_name}: `other` must be one of its publicValues"
                    )
            bounded = {b.column_name for b in privacy.bounds}
            for duplicates in part.duplicates:
                if duplicates.column_name not in bounded:
                    raise ValueError(
                        f"crosstab: {table.name}.{duplicates.column_name}: `duplicates` needs bounds"
                    )

    def _check_attestation(self) -> None:
        part = self.attestation
        if part is None:
            return
        if not self.owners():
            raise ValueError("attestation: nobody owns a table, so nobody can sign for a program")
        if part.signers is not None and part.signers > len(self.owners()):
            raise ValueError(
                f"attestation: {part.signers} signers are more than the {len(self.owners())} owners of tables"
            )
        for authority in part.authorities:
            if authority.key is not None:
                _key(authority.key)
        if part.crosstab and (self.crosstab is None or ProtectionName.CROSSTAB not in self.protections):
            raise ValueError("attestation: `crosstab` is for a room with private cross statistics")

    def _check_shares(self) -> None:
        part = self.shares
        if part is None:
            return
        for name in part.servers:
            server = self.member(name)
            if server is None or Ability.COMPUTE not in server.abilities:
                raise ValueError(f"shares: server {name!r} is no member with the ability compute")
            # A host sees which rows are equal, and a server that is the host could tell shares apart by it.
            if Ability.HOST in server.abilities:
                raise ValueError(f"shares: server {name!r} is a host: a host computes on no shares")
        for declared in part.tables:
            table = self.table(declared.table)
            if table is None:
                raise ValueError(f"shares: there is no table {declared.table!r}")
            for one in declared.columns:
                column = table.column(one.column_name)
                if column is None:
                    raise ValueError(f"shares: table {table.name!r} has no column {one.column_name!r}")
                if one.lower is not None and not (column.type.is_number or column.type is ColumnType.DATE):
                    raise ValueError(f"shares: {table.name}.{column.name}: bounds are of numbers and dates")
                if one.decimals is not None and column.type not in {ColumnType.FLOAT, ColumnType.DOUBLE}:
                    raise ValueError(
                        f"shares: {table.name}.{column.name}: `decimals` is of float and double columns"
                    )
            missing = sorted({n for key in declared.unique for n in key if table.column(n) is None})
            if missing:
                raise ValueError(f"shares: table {table.name!r}: unique names unknown columns {missing}")


class Signature(_Part):
    """One member's signature of the agreement's canonical form."""

    member: Name
    key: Literal["previous"] | None = None
    """`previous` where it was made with the key of the version before: who leaves, or changes its key."""
    signature: Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]{86}==$")]
    """Ed25519, 64 bytes in base64."""


Signatures = Annotated[tuple[Signature, ...], Field(max_length=2 * limits.MAX_MEMBERS)]


class SignedVersion(_Part):
    """An earlier version of the agreement, as it was in force."""

    agreement: Agreement
    signatures: Signatures


class Room(_Part):
    """An agreement with the signatures gathered so far, and all versions before it.

    It is in force when all have signed whose data or duty it touches: everybody for the first version, and
    `hitoku.room.changes.must_sign` for each later one.
    """

    agreement: Agreement
    signatures: Signatures = ()
    history: Annotated[tuple[SignedVersion, ...], Field(max_length=limits.MAX_ROOM_VERSIONS)] = ()
    """Version 1 first. Every version's hash is in the next one, so nothing here can be exchanged."""
