# SPDX-License-Identifier: Apache-2.0
"""Claims: what verified evidence says, in one form for all platforms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from hitoku.attestation.evidence import Kind

__all__ = ["Claims"]


@dataclass(frozen=True, slots=True)
class Claims:
    """What verified evidence says. Made by verifiers only.

    Attributes:
        kind: of the evidence.
        measurements: name -> lower-case hexadecimal: ``pcr0`` .. (Nitro, TPM), ``measurement``,
            ``host_data``, ``id_key_digest``, ``author_key_digest`` (SNP), ``mrtd``, ``rtmr0`` .. ,
            ``mrconfigid`` (TDX),
            ``mrenclave``, ``mrsigner`` (SGX).
        nonce: what answers a challenge where the platform has a field for it alone (Nitro), else None.
        report_data: the bytes that the attester chose: report_data (SNP, TDX, SGX), user_data (Nitro),
            extraData (TPM). Compared with the binding.
        public_key: a key inside the evidence (Nitro), else None.
        software_rooted: no hardware vouches for it.
        hardware_model: product, as the evidence or its endorsement says.
        hardware_id: what names one piece of hardware (chip id, PPID, parent instance, endorsement key),
            or None.
        tcb: security versions by component.
        tcb_status: as the vendor's collateral says (``UpToDate`` ...), or None where the platform has none.
        advisories: open security advisories of that TCB level.
        not_before: from when, and
        not_after: until when, all that the check rests on holds.
        made_at: when the evidence says that it was made, or None.
        extra: other facts, by name: text, numbers, truths (``vmpl``, ``policy``, ``guest_svn``,
            ``event_log`` ...).
        not_checked: what this verifier cannot check here, each in one sentence.
    """

    kind: Kind
    measurements: Mapping[str, str]
    report_data: bytes
    software_rooted: bool
    nonce: bytes | None = None
    public_key: bytes | None = None
    hardware_model: str | None = None
    hardware_id: str | None = None
    tcb: Mapping[str, int] = field(default_factory=dict)
    tcb_status: str | None = None
    advisories: tuple[str, ...] = ()
    not_before: datetime | None = None
    not_after: datetime | None = None
    made_at: datetime | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    not_checked: tuple[str, ...] = ()

    def flat(self) -> dict[str, str | int | bool]:
        """The claims by dotted name, as policies, ``--expect`` and people name them; bytes as hexadecimal."""
        named: dict[str, str | int | bool] = {"kind": str(self.kind), "software_rooted": self.software_rooted}
        named |= self.measurements
        named["report_data"] = self.report_data.hex()
        for name in ("nonce", "public_key"):
            value = getattr(self, name)
            if value is not None:
                named[name] = value.hex()
        for name in ("hardware_model", "hardware_id", "tcb_status"):
            value = getattr(self, name)
            if value is not None:
                named[name] = value
        named |= {f"tcb.{component}": level for component, level in self.tcb.items()}
        named["advisories"] = ",".join(self.advisories)
        named |= {n: v for n, v in self.extra.items() if isinstance(v, str | int | bool)}
        return named
