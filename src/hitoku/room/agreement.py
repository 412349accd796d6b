# SPDX-License-Identifier: Apache-2.0
"""The agreement: what all members of a room sign. Pure data; no file, key or clock is touched here.

`Agreement` validates all that can be told from the agreement alone: names, references, duties (a host
owns no table), rules against columns. `Room` adds the members' signatures; `hitoku.room.signing`
makes and verifies them.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, model_validator

from hitoku import limits
from hitoku.room.attestation import Attestation
from hitoku.room.crosstab import Crosstab
from hitoku.room.models import ServedModel
from hitoku.room.naming import AgreementPart, Name, PublicKey, printable, says_nothing, valid_key
from hitoku.room.rules import (
    CustomRule,
)
from hitoku.room.settings import Settings
from hitoku.room.shares import Shares
from hitoku.room.table import Column, ColumnProtection, ColumnType, Table
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


class Ability(StrEnum):
    """What a member may do in a room."""

    QUERY = "query"
    RECEIVE = "receive"
    HOST = "host"
    COMPUTE = "compute"


class ProtectionName(StrEnum):
    """The ways a question can be computed."""

    TOKENS = "tokens"
    CROSSTAB = "crosstab"
    SHARES = "shares"
    ENCLAVE = "enclave"


class Member(AgreementPart):
    """A company in the room."""

    name: Name
    key: PublicKey
    """The Ed25519 public key: `ed25519:` and 32 bytes in base64."""
    abilities: tuple[Ability, ...] = ()


def _one(value: int) -> bool:
    return value == 1


def _power(value: object) -> object:
    """A power of ten as it is written: YAML reads `1e-6` as a number."""
    if not isinstance(value, float):
        return value
    return next((f"1e-{n}" for n in range(1, 20) if float(f"1e-{n}") == value), value)


def _usual(value: BaseModel) -> bool:
    return value == type(value)()


class Budget(AgreementPart):
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


class Release(AgreementPart):
    """How answers leave: when, and how exact counts are.

    Attributes:
        interval_seconds: answers and failures leave at whole multiples of it after the question came, so
            that the time tells nothing finer; 0 leaves at once.
        round_counts: counts without noise are rounded to multiples of it; 1 leaves them.
        summary: whether an answer tells the totals of what was withheld, where that is a large enough group.
    """

    interval_seconds: Annotated[
        int, Field(ge=0, le=limits.MAX_RELEASE_INTERVAL_SECONDS, strict=True, exclude_if=says_nothing)
    ] = 0
    round_counts: Annotated[int, Field(ge=1, le=1_000, strict=True, exclude_if=_one)] = 1
    summary: Annotated[bool, Field(exclude_if=says_nothing)] = False


class Agreement(AgreementPart):
    """What the members agree on. Every member signs its canonical form."""

    format: Literal["hitoku/room/1"] = "hitoku/room/1"
    id: UUID
    """C3R's collaboration id: the salt of the encrypted columns' keys."""
    name: Annotated[str, Field(min_length=1, max_length=200), AfterValidator(printable)]
    version: Annotated[int, Field(ge=1, strict=True)] = 1
    previous: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")] | None = None
    """Hash of the canonical form of the version before; None for the first."""
    settings: Settings = Settings()
    protections: tuple[ProtectionName, ...] = Field(default=(ProtectionName.TOKENS,), min_length=1)
    members: tuple[Member, ...] = Field(min_length=1, max_length=limits.MAX_MEMBERS)
    tables: tuple[Table, ...] = Field(default=(), max_length=limits.MAX_TABLES)
    budgets: Annotated[tuple[Budget, ...], Field(max_length=limits.MAX_TABLES, exclude_if=says_nothing)] = ()
    release: Annotated[Release, Field(exclude_if=_usual)] = Release()
    templates: Annotated[
        tuple[Template, ...], Field(max_length=limits.MAX_TEMPLATES, exclude_if=says_nothing)
    ] = ()
    """Questions with parameters; a custom rule approves them by their hashes."""
    crosstab: Annotated[Crosstab | None, Field(exclude_if=says_nothing)] = None
    """How people are recognised across tables in private cross statistics."""
    attestation: Annotated[Attestation | None, Field(exclude_if=says_nothing)] = None
    """Which evidence of what runs where counts, and who signs for programs."""
    models: Annotated[
        tuple[ServedModel, ...], Field(max_length=limits.MAX_ROOM_MODELS, exclude_if=says_nothing)
    ] = ()
    """Models that members' nodes serve: encrypted rows in, encrypted scores out."""
    shares: Annotated[Shares | None, Field(exclude_if=says_nothing)] = None
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
                valid_key(authority.key)
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


class Signature(AgreementPart):
    """One member's signature of the agreement's canonical form."""

    member: Name
    key: Literal["previous"] | None = None
    """`previous` where it was made with the key of the version before: who leaves, or changes its key."""
    signature: Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]{86}==$")]
    """Ed25519, 64 bytes in base64."""


Signatures = Annotated[tuple[Signature, ...], Field(max_length=2 * limits.MAX_MEMBERS)]


class SignedVersion(AgreementPart):
    """An earlier version of the agreement, as it was in force."""

    agreement: Agreement
    signatures: Signatures


class Room(AgreementPart):
    """An agreement with the signatures gathered so far, and all versions before it.

    It is in force when all have signed whose data or duty it touches: everybody for the first version, and
    `hitoku.room.changes.must_sign` for each later one.
    """

    agreement: Agreement
    signatures: Signatures = ()
    history: Annotated[tuple[SignedVersion, ...], Field(max_length=limits.MAX_ROOM_VERSIONS)] = ()
    """Version 1 first. Every version's hash is in the next one, so nothing here can be exchanged."""
