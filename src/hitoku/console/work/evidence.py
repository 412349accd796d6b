# SPDX-License-Identifier: Apache-2.0
"""Evidence and deletion certificates that somebody pastes or uploads, checked offline.

Evidence is judged like that of a node, but for its binding: there is no challenge of ours in it, so it says
what ran, not that it runs now.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from hitoku import limits
from hitoku.attestation.codes import Code, Refused
from hitoku.console.context import Context, RoomEntry
from hitoku.console.work.ledger import records_of
from hitoku.errors import InputError, RoomError

if TYPE_CHECKING:
    from hitoku.attestation.certificate import Checked
    from hitoku.attestation.claims import Claims
    from hitoku.attestation.policy import Step
    from hitoku.attestation.reference import ReferenceValue, Registry

__all__ = ["CheckLine", "Verdict", "check_deletion", "verify_evidence"]

_EXTRA: Final = {"cbor2", "asn1crypto", "dcap_qvl"}


@dataclass(frozen=True, slots=True)
class CheckLine:
    """One check of evidence: its name (a key of words), how it came out, and what it looked at.

    `state` is ``good``, ``bad``, or ``open`` for what cannot be checked of a file alone.
    """

    name: str
    state: Literal["good", "bad", "open"]
    detail: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of pasted evidence.

    Attributes:
        kind: of the evidence; empty where the bytes are none.
        accepted: whether all that can be checked of it alone passes, in this room.
        steps: the checks, in order; the first that fails ends the list.
        code: why it is refused, or empty.
        reason: in words.
        claims: what it says, by name; only where it is verified.
        fields: its fields, unverified; where it is not.
        not_checked: what the verifier cannot check, each a sentence.
        policy: the policy with the truth of every condition; None where there was nothing to apply it to.
        program: the reference value that it fits, or None.
    """

    kind: str
    accepted: bool
    steps: tuple[CheckLine, ...]
    code: str
    reason: str
    claims: Mapping[str, str | int | bool]
    fields: Mapping[str, Any]
    not_checked: tuple[str, ...]
    policy: Step | None
    program: ReferenceValue | None


def verify_evidence(
    context: Context, entry: RoomEntry, content: bytes, endorsements: Sequence[bytes] = ()
) -> Verdict:
    """Verify evidence offline, and judge it by the room's agreement, the reference values and the policy.

    Args:
        context: the console's.
        entry: the room.
        content: as `hitoku attest verify` takes it.
        endorsements: files beside it.

    Raises:
        InputError: the extra `attestation` is not installed.
    """
    try:
        from hitoku.attestation.explain import explain
        from hitoku.attestation.recognise import recognise
        from hitoku.attestation.verify import verify

        steps: list[CheckLine] = []
        kind, fields = "", {}
        try:
            evidence = recognise(content, endorsements)
            kind = str(evidence.kind)
            fields = dict(explain(evidence)["fields"])
            steps.append(CheckLine("form", "good", kind))
            claims = verify(evidence, context.clock.now())
        except Refused as refused:
            steps.append(CheckLine("vendor" if kind else "form", "bad", refused.detail))
            return _refused(kind, steps, refused, fields)
    except ModuleNotFoundError as error:
        if error.name not in _EXTRA:
            raise
        raise InputError("attestation needs the extra: install hitoku[attestation]") from None
    steps.append(CheckLine("vendor", "good", claims.hardware_model or ""))
    return _judged(context, entry, claims, steps)


def check_deletion(entry: RoomEntry, content: bytes) -> Checked:
    """Check a deletion certificate (`hitoku ledger verify-deletion`).

    Raises:
        Refused: it does not hold.
        InputError: it is no JSON.
        RoomError: the room is not in force.
    """
    from hitoku.attestation.certificate import check_certificate

    room = entry.in_force
    if room is None:
        raise RoomError("the room is not in force yet")
    if len(content) > limits.MAX_CERTIFICATE_BYTES:
        raise InputError("the certificate is too large")
    try:
        data = json.loads(content)
    except (ValueError, RecursionError):
        raise InputError("a deletion certificate is JSON") from None
    return check_certificate(data, room)


def _judged(context: Context, entry: RoomEntry, claims: Claims, steps: list[CheckLine]) -> Verdict:
    """What the agreement, the reference values and the policy say of verified claims."""
    from hitoku.attestation.appraise import facts
    from hitoku.attestation.judge import Judged
    from hitoku.attestation.kept import Kept

    kind, part = str(claims.kind), entry.agreement.attestation
    reference: ReferenceValue | None = None
    policy: Step | None = None

    def stop(name: str, refused: Refused) -> Verdict:
        steps.append(CheckLine(name, "bad", refused.detail))
        return _refused(kind, steps, refused, {}, claims, policy, reference)

    if part is None:
        return stop("room", Refused(Code.POLICY, "the room has agreed on no attestation"))
    if kind not in {str(one) for one in part.accept}:
        said = f"the room accepts {', '.join(part.accept)}, and not {kind}"
        return stop("room", Refused(Code.POLICY, said))
    steps.append(CheckLine("room", "good", kind))
    if claims.software_rooted and not part.software and kind != "tpm":
        return stop("hardware", Refused(Code.SOFTWARE_ROOTED, "no hardware vouches for the evidence"))
    steps.append(CheckLine("hardware", "open" if kind == "tpm" else "good", claims.hardware_id or ""))
    if claims.tcb_status not in {None, "UpToDate"}:
        return stop("tcb", Refused(Code.TCB, f"the vendor calls the platform {claims.tcb_status}"))
    open_ones = sorted(set(claims.advisories) - set(part.advisories))
    if open_ones:
        said = f"open security advisories that the room does not accept: {', '.join(open_ones)}"
        return stop("tcb", Refused(Code.TCB, said))
    steps.append(CheckLine("tcb", "good", claims.tcb_status or ""))
    if part.hardware and claims.hardware_id not in part.hardware:
        said = "this piece of hardware is not on the room's list, or does not show itself"
        return stop("list", Refused(Code.HARDWARE_NOT_ALLOWED, said))
    if part.hardware:
        steps.append(CheckLine("list", "good", claims.hardware_id or ""))
    kept = Kept(context.node.directory, records_of(context, entry))
    try:
        reference = _find(kept.registry(entry.agreement), entry, claims, context)
    except Refused as refused:
        return stop("program", refused)
    steps.append(CheckLine("program", "good", f"{reference.version} ({reference.purpose})"))
    try:
        own = kept.policy()
        known = facts(Judged(claims, reference), entry.agreement)
        policy = own.explain(known)
        own.check(known)
    except Refused as refused:
        return stop("policy", refused)
    steps.append(CheckLine("policy", "good", ""))
    steps.append(CheckLine("binding", "open", ""))
    return Verdict(kind, True, tuple(steps), "", "", claims.flat(), {}, claims.not_checked, policy, reference)


def _find(registry: Registry, entry: RoomEntry, claims: Claims, context: Context) -> ReferenceValue:
    """The reference value that the claims fit, as an enclave's program or else as a node's."""
    now = context.clock.now()
    try:
        return registry.find(entry.agreement, claims, now, "enclave")
    except Refused as refused:
        try:
            return registry.find(entry.agreement, claims, now, "node")
        except Refused:
            raise refused from None


def _refused(
    kind: str,
    steps: Sequence[CheckLine],
    refused: Refused,
    fields: Mapping[str, Any],
    claims: Claims | None = None,
    policy: Step | None = None,
    program: ReferenceValue | None = None,
) -> Verdict:
    return Verdict(
        kind=kind,
        accepted=False,
        steps=tuple(steps),
        code=str(refused.code),
        reason=refused.detail,
        claims={} if claims is None else claims.flat(),
        fields=fields,
        not_checked=() if claims is None else claims.not_checked,
        policy=policy,
        program=program,
    )
