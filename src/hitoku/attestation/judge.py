# SPDX-License-Identifier: Apache-2.0
"""What always holds of evidence that is accepted, whatever a policy says; nothing of it can be turned off.

1. the kind of evidence is one that the agreement accepts (else its bytes are not even read);
2. the verifier accepts it: signature, chain to the vendor's pinned root, debug, the vendor's TCB status;
3. it is fresh and for this: nonce and binding;
4. nothing that runs can be looked into (checked here once more: a debugged Nitro enclave's evidence is
   perfectly valid but for its zeros), and the platform is up to date but for advisories that the agreement
   accepts;
5. hardware vouches for it, unless the agreement says ``software: true``; then everything says so. A TPM is
   hardware only where its endorsement key's root is one that the agreement names as hardware, a credential
   was activated in it, and the reference value names what the machine booted, down to the kernel's command
   line. A `dev` key never is;
6. the hardware is on the agreement's allow-list, where it has one. The list answers attestation keys that
   were taken out of some other machine (TEE.fail, WireTap, Battering RAM): they cannot forge evidence of a
   listed one;
7. a reference value in force fits: signed by enough members, not revoked, in time, within its security
   versions.

Then the member's policy may refuse. Assumptions: the vendor's signing keys and the hardware hold; the members
looked at the programs they signed; the clock of this node is right within `limits.CLOCK_SKEW_SECONDS`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from hitoku import limits
from hitoku.attestation.binding import Binding
from hitoku.attestation.claims import Claims
from hitoku.attestation.codes import Code, Refused
from hitoku.attestation.evidence import Evidence, Kind
from hitoku.attestation.reference import Purpose, ReferenceValue, Registry, names_boot_chain
from hitoku.attestation.values import BOOT_WORDS
from hitoku.attestation.verify import verify
from hitoku.room.agreement import Agreement
from hitoku.room.attestation import Attestation

__all__ = ["Judged", "agreed", "judge"]


@dataclass(frozen=True, slots=True)
class Judged:
    """Evidence that passed all that always holds.

    Attributes:
        claims: what it says; `Claims.software_rooted` as the appraisal found it.
        reference: the reference value that it fits.
    """

    claims: Claims
    reference: ReferenceValue


def judge(
    evidence: Evidence,
    binding: Binding,
    *,
    now: datetime,
    agreement: Agreement,
    registry: Registry,
    activated: bool = False,
    purpose: Purpose = "enclave",
) -> Judged:
    """All that always holds, without a member's policy and without a result.

    Raises:
        Refused: with its code.
    """
    part = agreed(agreement)
    if registry.room != agreement.id:
        raise Refused(Code.REFERENCE, "the registry is of another room")
    if evidence.kind is Kind.DEV and not part.software:
        raise Refused(Code.SOFTWARE_ROOTED, "evidence of a dev key: no hardware vouches for it")
    if str(evidence.kind) not in {str(kind) for kind in part.accept}:
        raise Refused(
            Code.POLICY,
            f"the room does not accept evidence of kind {evidence.kind}: `attestation.accept` names "
            + ", ".join(part.accept),
        )
    claims = verify(evidence, now)
    if claims.kind is not evidence.kind:
        raise Refused(Code.INTERNAL, "the verifier read evidence of another kind")
    if claims.kind is Kind.DEV:
        claims = replace(claims, software_rooted=True)  # whatever else is said of it
    binding.check(claims)
    _check_time(claims, now)
    _check_debug(claims)
    _check_status(claims, part)
    hardware_root = _check_authority(claims, part, activated)
    if claims.software_rooted and not hardware_root and not part.software:
        raise Refused(Code.SOFTWARE_ROOTED, _why_software(claims))
    reference = registry.find(agreement, claims, now.astimezone(UTC), purpose)
    if hardware_root and names_boot_chain(reference):
        claims = replace(claims, software_rooted=False)
    if claims.software_rooted and not part.software:
        raise Refused(
            Code.SOFTWARE_ROOTED,
            "the TPM is hardware, but the reference value does not name what the machine booted, so whoever "
            f"runs it could have measured the program and run another: name {BOOT_WORDS}",
        )
    _check_hardware(claims, part, activated)
    if claims.kind in {Kind.SEV_SNP, Kind.AZURE_SNP} and claims.extra.get("vmpl") != reference.vmpl:
        raise Refused(
            Code.POLICY, f"the report is not of privilege level {reference.vmpl}, which was signed for"
        )
    return Judged(claims, reference)


def agreed(agreement: Agreement) -> Attestation:
    """The agreement's part about attestation.

    Raises:
        Refused: ``POLICY``: it has none.
    """
    if agreement.attestation is None:
        raise Refused(
            Code.POLICY, "the room has agreed on no attestation: its members must sign a version that does"
        )
    return agreement.attestation


def _check_time(claims: Claims, now: datetime) -> None:
    """The nonce makes it fresh; a time that does not fit says that something is wrong."""
    skew = timedelta(seconds=limits.CLOCK_SKEW_SECONDS)
    for begins in (claims.not_before, claims.made_at):
        if begins is not None and begins > now + skew:
            raise Refused(Code.NOT_YET, "the evidence, or what it rests on, is of the future")
    if claims.not_after is not None and claims.not_after < now:
        raise Refused(Code.EXPIRED, "what the evidence rests on has ended")
    oldest = now - skew - timedelta(seconds=limits.EVIDENCE_SECONDS)
    if claims.made_at is not None and claims.made_at < oldest:
        raise Refused(Code.EXPIRED, f"the evidence is older than {limits.EVIDENCE_SECONDS} seconds")


def _check_debug(claims: Claims) -> None:
    """Verifiers refuse debugging first; a second look costs nothing, and no policy can wave it through."""
    zeros = claims.kind is Kind.NITRO and not all(
        claims.measurements.get(name, "").strip("0") for name in ("pcr0", "pcr1", "pcr2")
    )
    if zeros or claims.extra.get("debug") not in {None, False}:
        raise Refused(Code.DEBUG, "what runs can be looked into: start it without debugging")


def _check_status(claims: Claims, part: Attestation) -> None:
    if claims.tcb_status not in {None, "UpToDate"}:
        raise Refused(Code.TCB, f"the vendor calls the platform {claims.tcb_status}: it needs an update")
    open_ones = sorted(set(claims.advisories) - set(part.advisories))
    if open_ones:
        raise Refused(
            Code.TCB, f"open security advisories that the room does not accept: {', '.join(open_ones)}"
        )


def _check_authority(claims: Claims, part: Attestation, activated: bool) -> bool:
    """Whose word it is. Returns whether a TPM's endorsement key is one of hardware, and this TPM's."""
    if claims.kind is Kind.DEV:
        accepted = {a.key for a in part.authorities if a.key is not None}
        if accepted and claims.extra.get("key") not in accepted:
            raise Refused(Code.UNTRUSTED_ROOT, "the room does not name this dev key among its authorities")
        return False
    if claims.kind is not Kind.TPM:
        return False
    if "ak_name" not in claims.extra:
        raise Refused(
            Code.UNTRUSTED_ROOT,
            "the key that signed is not shown to be a TPM's attestation key: its public area is not there",
        )
    roots = {a.fingerprint: not a.software for a in part.authorities if a.fingerprint is not None}
    if not roots:
        return False
    root = claims.extra.get("ek_root")
    if root not in roots:
        raise Refused(
            Code.UNTRUSTED_ROOT if part.software else Code.SOFTWARE_ROOTED,
            "the TPM's endorsement key is not certified by an authority that the room names",
        )
    if not activated:
        # The certificate of an endorsement key is public: whoever has it could put it beside a key of its
        # own.
        raise Refused(
            Code.UNTRUSTED_ROOT,
            "the attestation key was not shown to be in the TPM whose certificate is beside it: a credential "
            "must be activated",
        )
    return roots[root]


def _why_software(claims: Claims) -> str:
    if claims.kind is Kind.TPM:
        return "no authority that the room names as hardware vouches for this TPM"
    return "no hardware vouches for the evidence"


def _check_hardware(claims: Claims, part: Attestation, activated: bool) -> None:
    if not part.hardware:
        return
    proven = claims.kind is not Kind.TPM or activated
    if claims.hardware_id is None or claims.hardware_id not in part.hardware or not proven:
        raise Refused(
            Code.HARDWARE_NOT_ALLOWED,
            "this piece of hardware is not on the room's list, or does not show itself",
        )
