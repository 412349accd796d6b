# SPDX-License-Identifier: Apache-2.0
"""Reference values: what a program looks like on each platform, signed by the members who accept it.

A `ReferenceValue` is one statement about one program on one kind of platform: which measurements it has,
which security versions the platform needs, until when it holds. It counts when as many owners of tables
signed it as the room says (`Attestation.signers`; all of them where it says nothing). Statements about
one program are ordered by their serial, and the newest that counts is in force, so that a signed older
one (with a laxer minimum, or from before a revocation) changes nothing. A revocation is a statement, too;
one member's signature is enough for it, since refusing is safe.

Security: a statement is signed over its canonical JSON (RFC 8785) in a domain of its own, with the room's
id in it; whoever edits one invalidates all signatures but those whose keys it holds (Ed25519
unforgeability). A member can be kept from hearing of a revocation by whoever carries its messages;
`not_after` bounds for how long. What a program does is not judged here: the signers did. Where a
measurement follows from the program's digest (a TPM's PCR 12, `dev` evidence), it is that one and no
other, so that nobody signs for two programs who looks at one digest.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Annotated, Final, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from hitoku import limits
from hitoku.attestation.claims import Claims
from hitoku.attestation.program import pcr_of
from hitoku.ports import KeyStore
from hitoku.room.agreement import Agreement
from hitoku.room.attestation import AcceptedKind
from hitoku.room.canonical import canonical_json
from hitoku.room.consent import Moment
from hitoku.room.keys import valid_signature
from hitoku.room.naming import Name

__all__ = [
    "BOOT_CHAIN",
    "BOOT_WORDS",
    "IDENTITY",
    "Purpose",
    "ReferenceSignature",
    "ReferenceValue",
    "Source",
    "TcbRange",
    "names_boot_chain",
]

_DOMAIN: Final = b"hitoku/reference/1\n"

Purpose = Literal["enclave", "node"]
"""What a program is run as: the worker of the `enclave` protection, or a member's node."""

IDENTITY: Final[Mapping[str, tuple[str, ...]]] = {
    AcceptedKind.NITRO: ("pcr0",),
    AcceptedKind.SEV_SNP: ("measurement",),
    AcceptedKind.TDX: ("mrtd", "rtmr0", "rtmr1", "rtmr2"),
    AcceptedKind.SGX: ("mrenclave",),
    AcceptedKind.TPM: ("pcr12",),
    AcceptedKind.AZURE_SNP: ("measurement", "pcr12"),
    AcceptedKind.AZURE_TDX: ("mrtd", "pcr12"),
    AcceptedKind.DEV: ("program",),
}
"""Without these a program is not told from another on that platform: Nitro's pcr1 is AWS's stock kernel,
Azure's measurement the paravisor of all its guests, MRTD the firmware of all guests of one cloud. Of TDX
rtmr0 is named, too: the ACPI tables that the hypervisor makes are in it, and their code (AML) runs in the
guest's kernel and can write its memory, with the right kernel in rtmr1 and rtmr2 ("BadAML")."""

BOOT_CHAIN: Final = ("pcr0", "pcr2", "pcr4", "pcr7")
"""Firmware, option ROMs, boot loader and Secure Boot's state (TCG PC Client Platform Firmware Profile)."""
_KERNEL: Final = (frozenset({"pcr8", "pcr9"}), frozenset({"pcr11"}))
"""Kernel, initial files and command line, one way or the other (Linux TPM PCR Registry). GRUB measures files
in PCR 9, and commands and the command line in PCR 8: without that, who sits at the console adds
``init=/bin/sh`` and nothing else changes. systemd's stub measures a unified kernel image in PCR 11, its
command line within; one that is given beside goes into PCR 12, which then is no program's."""
BOOT_WORDS: Final = "pcr0, pcr2, pcr4, pcr7, and pcr8 with pcr9, or pcr11"
"""The same for people."""

_Hex = Annotated[str, Field(pattern=r"^([0-9a-f]{2}){16,64}$")]
_Text = Annotated[str, Field(min_length=1, max_length=200)]


def _printable(value: str) -> str:
    if not value.isprintable():
        raise ValueError("must be printable text on one line")
    return value


def _zero(value: int) -> bool:
    return value == 0


Line = Annotated[_Text, AfterValidator(_printable)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TcbRange(_Part):
    """Security versions of one component that are accepted.

    Attributes:
        at_least: the lowest.
        at_most: the highest; None where there is none.
    """

    at_least: Annotated[int, Field(ge=0, strict=True)]
    at_most: Annotated[int, Field(ge=0, strict=True)] | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.at_most is not None and self.at_most < self.at_least:
            raise ValueError("the range of a component is empty")
        return self


class Source(_Part):
    """From what, and by whom, the program was built; said for people, checked by building it again."""

    repository: Line | None = None
    commit: Annotated[str, Field(pattern=r"^[0-9a-f]{40}([0-9a-f]{24})?$")] | None = None
    builder: Line | None = None


class ReferenceSignature(_Part):
    """One member's signature of a statement."""

    member: Name
    signature: Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]{86}==$")]


class ReferenceValue(_Part):
    """One statement about one program on one kind of platform.

    Attributes:
        room: the room's id; a signature counts in no other.
        serial: orders the statements about one program, kind and purpose.
        program: SHA-384 of its manifest (`hitoku.attestation.program`), hexadecimal.
        version: what people call it.
        kind: the kind of evidence.
        purpose: what it is run as; a node's program gets no key that is meant for the enclave's worker.
        measurements: name to the values that are accepted, lower-case hexadecimal. All named ones must fit.
        minimum_tcb: component to the security versions that are accepted.
        vmpl: of SEV-SNP, the privilege level that the program runs at (0 where nothing is below it).
        not_after: from then on it does not hold.
        revoked: the program is not accepted any more.
        reason: why it was revoked, for people.
        source: what it was built from.
        signatures: of the members.
    """

    format: Literal["hitoku/reference/1"] = "hitoku/reference/1"
    room: UUID
    serial: Annotated[int, Field(ge=1, le=2**53 - 1, strict=True)]
    program: Annotated[str, Field(pattern=r"^[0-9a-f]{96}$")]
    version: Line
    kind: AcceptedKind
    purpose: Purpose = "enclave"
    measurements: Annotated[
        dict[
            Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")],
            Annotated[tuple[_Hex, ...], Field(min_length=1, max_length=limits.MAX_MEASUREMENT_VALUES)],
        ],
        Field(max_length=limits.MAX_MEASUREMENTS),
    ]
    minimum_tcb: Annotated[
        dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")], TcbRange],
        Field(max_length=limits.MAX_MEASUREMENTS),
    ] = Field(default_factory=dict)
    vmpl: Annotated[int, Field(ge=0, le=3, strict=True, exclude_if=_zero)] = 0
    not_after: Moment
    revoked: Annotated[bool, Field(strict=True)] = False
    reason: Line | None = None
    source: Source = Source()
    signatures: Annotated[tuple[ReferenceSignature, ...], Field(max_length=limits.MAX_MEMBERS)] = ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name in IDENTITY[self.kind]:
            values = self.measurements.get(name)
            if values is None:
                raise ValueError(f"evidence of kind {self.kind} does not tell a program without {name!r}")
            if any(not value.strip("0") for value in values):
                raise ValueError(f"{name!r} of zeros is no program: nothing was measured, or it is debugged")
        follows = _following(self.kind, self.program)
        for name, value in follows.items():
            if self.measurements[name] != (value,):
                raise ValueError(f"{name!r} of this program is {value}, and no other value")
        if self.kind in {AcceptedKind.AZURE_SNP, AcceptedKind.AZURE_TDX} and not names_boot_chain(self):
            raise ValueError(f"what an Azure guest booted is in its vTPM: name {BOOT_WORDS}")
        if self.reason is not None and not self.revoked:
            raise ValueError("a reason is for a revocation")
        return self

    @property
    def identity(self) -> tuple[str, str, str]:
        """What statements are ordered within: program, kind and purpose."""
        return self.program, str(self.kind), self.purpose

    def message(self) -> bytes:
        """The bytes that members sign."""
        return _DOMAIN + canonical_json(
            self.model_dump(mode="json", exclude={"signatures"}, exclude_none=True)
        )

    def sign(self, member: str, keys: KeyStore) -> Self:
        """The statement with `member`'s signature added, or renewed."""
        signature = base64.b64encode(keys.sign(self.message())).decode()
        others = tuple(s for s in self.signatures if s.member != member)
        return self.model_copy(
            update={"signatures": (*others, ReferenceSignature(member=member, signature=signature))}
        )

    def signers(self, agreement: Agreement) -> frozenset[str]:
        """The members whose signatures hold; each counts once, and only with the key the room names."""
        return frozenset(s.member for s in self.signatures if self.signed_by(s, agreement))

    def signed_by(self, signature: ReferenceSignature, agreement: Agreement) -> bool:
        """Whether this is the named member's signature of the statement."""
        who = agreement.member(signature.member)
        return who is not None and valid_signature(who.key, self.message(), signature.signature)

    def counts(self, agreement: Agreement) -> bool:
        """Whether enough owners of tables signed it; for a revocation one member is enough.

        Others' signatures are no word about data that is not theirs: host and asker together count for none.
        """
        part = agreement.attestation
        if part is None or self.room != agreement.id:
            return False
        signers = self.signers(agreement)
        if self.revoked:
            return bool(signers)
        owners = agreement.owners()
        if part.signers is None:
            return bool(owners) and owners <= signers
        return len(signers & owners) >= part.signers

    def fits(self, claims: Claims) -> bool:
        """Whether the claims have one of the accepted values for every measurement that is named."""
        return str(claims.kind) == str(self.kind) and all(
            claims.measurements.get(name) in values for name, values in self.measurements.items()
        )


def names_boot_chain(value: ReferenceValue) -> bool:
    """Whether it says what a machine must have booted, not only what the launcher measured afterwards."""
    named = set(value.measurements)
    return named >= set(BOOT_CHAIN) and any(named >= kernel for kernel in _KERNEL)


def _following(kind: AcceptedKind, program: str) -> dict[str, str]:
    """The measurements that follow from a program's digest."""
    if kind in {AcceptedKind.TPM, AcceptedKind.AZURE_SNP, AcceptedKind.AZURE_TDX}:
        return {"pcr12": pcr_of(program)}
    return {"program": program} if kind is AcceptedKind.DEV else {}
