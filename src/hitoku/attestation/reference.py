# SPDX-License-Identifier: Apache-2.0
"""A member's registry of reference values: which statements are in force, and which of them evidence fits.

See `hitoku.attestation.values` for what a statement is and why it can be relied on. A registry is a value:
what changes it makes another, and what is kept of it is in the member's ledger
(`hitoku.attestation.kept`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from hitoku import limits
from hitoku.attestation.claims import Claims
from hitoku.attestation.codes import Code, Refused
from hitoku.attestation.values import (
    BOOT_CHAIN,
    IDENTITY,
    Purpose,
    ReferenceSignature,
    ReferenceValue,
    Source,
    TcbRange,
    names_boot_chain,
)
from hitoku.room.agreement import Agreement
from hitoku.room.canonical import canonical_json, digest
from hitoku.room.consent import moment

__all__ = [
    "BOOT_CHAIN",
    "IDENTITY",
    "Purpose",
    "ReferenceSignature",
    "ReferenceValue",
    "Registry",
    "Source",
    "TcbRange",
    "names_boot_chain",
]


class Registry:
    """A member's reference values of one room.

    Args:
        room: the room's id.
        entries: statements, whoever signed them.
        serial: how often this member changed it.

    Raises:
        Refused: ``REFERENCE``: two statements of one serial differ, a statement is of another room, or there
            are too many.
    """

    def __init__(self, room: UUID, entries: Iterable[ReferenceValue] = (), serial: int = 0) -> None:
        self.room = room
        self.serial = serial
        self.entries = tuple(sorted(entries, key=lambda e: (*e.identity, e.serial)))
        if len(self.entries) > limits.MAX_REFERENCE_VALUES:
            raise Refused(
                Code.REFERENCE, f"a registry has at most {limits.MAX_REFERENCE_VALUES} reference values"
            )
        if any(e.room != room for e in self.entries):
            raise Refused(Code.REFERENCE, "a reference value belongs to another room")
        if max(Counter((*e.identity, e.serial) for e in self.entries).values(), default=1) > 1:
            raise Refused(Code.REFERENCE, "two reference values of one program have one serial")

    @property
    def digest(self) -> str:
        """What the member's ledger remembers of it."""
        data = {"serial": self.serial, "entries": [_data(e) for e in self.entries]}
        return digest("hitoku/registry/1", canonical_json(data))

    def in_force(self, agreement: Agreement) -> tuple[ReferenceValue, ...]:
        """The newest statement that counts, of each program, kind and purpose."""
        newest = {e.identity: e for e in self.entries if e.counts(agreement)}  # sorted by serial
        return tuple(newest.values())

    def about(self, program: str, kind: str | None = None) -> tuple[ReferenceValue, ...]:
        """All statements about a program, oldest first."""
        return tuple(e for e in self.entries if e.program == program and kind in {None, e.kind})

    def put(self, entry: ReferenceValue, agreement: Agreement) -> Registry:
        """The registry with a statement, or with more signatures of one that it has.

        Signatures that do not hold are left out, statements that a newer one in force replaces are dropped.

        Raises:
            Refused: ``REFERENCE``: another room's; older than what is in force (a rollback); or another
                statement has its serial.
        """
        if entry.room != self.room or agreement.id != self.room:
            raise Refused(Code.REFERENCE, "the reference value belongs to another room")
        newest = next((e for e in self.in_force(agreement) if e.identity == entry.identity), None)
        if newest is not None and entry.serial < newest.serial:
            raise Refused(
                Code.REFERENCE,
                f"rolled back: serial {entry.serial} of program {entry.version!r} is older than "
                f"{newest.serial}, which is in force",
            )
        same = next(
            (e for e in self.entries if (*e.identity, e.serial) == (*entry.identity, entry.serial)), None
        )
        if same is not None and same.message() != entry.message():
            raise Refused(
                Code.REFERENCE,
                f"there is another statement of serial {entry.serial} about program {entry.version!r}: give "
                "the new one a higher serial",
            )
        given = [*(() if same is None else same.signatures), *entry.signatures]
        held = {s.member: s for s in given if entry.signed_by(s, agreement)}
        merged = entry.model_copy(update={"signatures": tuple(held[name] for name in sorted(held))})
        others = [e for e in self.entries if e is not same]
        made = Registry(self.room, [*others, merged], self.serial + 1)
        serials = {e.identity: e.serial for e in made.in_force(agreement)}
        kept = [e for e in made.entries if e.serial >= serials.get(e.identity, 0)]
        return Registry(self.room, kept, self.serial + 1)

    def find(
        self, agreement: Agreement, claims: Claims, now: datetime, purpose: Purpose = "enclave"
    ) -> ReferenceValue:
        """The statement in force that the claims fit.

        Raises:
            Refused: ``REVOKED`` where a revoked one fits; ``MEASUREMENT_MISMATCH`` where none fits;
                ``REFERENCE`` where one fits that is past its time or lacks signatures; ``TCB`` where the
                platform's security versions are out of range.
        """
        force = self.in_force(agreement)
        fitting = [e for e in force if e.fits(claims)]
        revoked = next((e for e in fitting if e.revoked), None)
        if revoked is not None:
            raise Refused(Code.REVOKED, f"program {revoked.version!r} was revoked")
        wanted = [e for e in fitting if e.purpose == purpose]
        if not wanted:
            raise self._unknown(agreement, claims, fitting, purpose)
        lasting = [e for e in wanted if moment(now) <= e.not_after]
        if not lasting:
            raise Refused(
                Code.REFERENCE,
                f"the reference values of {wanted[0].version!r} held until {wanted[0].not_after}: the "
                "members must sign new ones",
            )
        problem = ""
        for entry in lasting:
            problem = _tcb(entry, claims)
            if not problem:
                return entry
        raise Refused(Code.TCB, problem)

    def _unknown(
        self, agreement: Agreement, claims: Claims, fitting: list[ReferenceValue], purpose: Purpose
    ) -> Refused:
        if fitting:
            return Refused(
                Code.MEASUREMENT_MISMATCH,
                f"program {fitting[0].version!r} is signed for as {fitting[0].purpose}, not as {purpose}",
            )
        lacking = next((e for e in self.entries if e.fits(claims) and not e.revoked), None)
        if lacking is not None and lacking.counts(agreement):
            return Refused(
                Code.REFERENCE,
                f"the values of program {lacking.version!r} that fit were replaced by a newer statement",
            )
        if lacking is not None:
            return Refused(
                Code.REFERENCE,
                f"program {lacking.version!r} is in the registry, but not enough members signed for it: "
                "`hitoku attest reference list` shows who did",
            )
        return Refused(
            Code.MEASUREMENT_MISMATCH,
            f"what runs is no program that the members signed for ({_values(claims)})",
        )


def _values(claims: Claims) -> str:
    names = IDENTITY.get(str(claims.kind), ())
    return (
        ", ".join(f"{name} {claims.measurements.get(name, 'missing')}" for name in names) or "no measurement"
    )


def _tcb(entry: ReferenceValue, claims: Claims) -> str:
    """What is wrong with the platform's security versions; empty where nothing is."""
    for component, accepted in sorted(entry.minimum_tcb.items()):
        level = claims.tcb.get(component, claims.extra.get(component))
        if not isinstance(level, int) or isinstance(level, bool):
            return f"the evidence does not tell the security version of {component!r}"
        if level < accepted.at_least:
            return f"{component} has security version {level}, at least {accepted.at_least} is needed"
        if accepted.at_most is not None and level > accepted.at_most:
            return f"{component} has security version {level}, at most {accepted.at_most} is accepted"
    return ""


def _data(entry: ReferenceValue) -> dict[str, object]:
    return entry.model_dump(mode="json", exclude_none=True)
