# SPDX-License-Identifier: Apache-2.0
"""Verifiers: pure functions of evidence and time. No network, no clock, no switch to skip a check.

Each raises `Refused`; whatever else goes wrong inside one refuses, too (`verify`).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from importlib import import_module
from typing import Final

from hitoku import limits
from hitoku.attestation.claims import Claims
from hitoku.attestation.codes import Code, Refused
from hitoku.attestation.evidence import Evidence, Kind

__all__ = ["verify"]

_VERIFIERS: Final = {
    Kind.NITRO: "nitro",
    Kind.SEV_SNP: "sev_snp",
    Kind.TDX: "tdx",
    Kind.SGX: "tdx",
    Kind.TPM: "tpm",
    Kind.AZURE_SNP: "azure",
    Kind.AZURE_TDX: "azure",
    Kind.NVIDIA: "nvidia",
    Kind.DEV: "dev",
}


def verify(evidence: Evidence, now: datetime) -> Claims:
    """Check all of the evidence that does not depend on what it should say.

    Signature, chain to the pinned root at `now`, endorsements, debug, TCB status. Freshness and binding are
    checked by `hitoku.attestation.binding.Binding.check`, the program by the appraisal.

    Args:
        evidence: from anybody.
        now: the time, with its zone.

    Raises:
        Refused: always with a code; an error inside a verifier refuses with ``INTERNAL``.
    """
    if now.tzinfo is None:
        raise ValueError("the time needs its zone")
    sizes = (len(evidence.content), *map(len, evidence.endorsements.values()))
    if max(sizes) > limits.MAX_EVIDENCE_BYTES or len(sizes) > limits.MAX_ENDORSEMENTS + 1:
        raise Refused(Code.MALFORMED, f"evidence is larger than {limits.MAX_EVIDENCE_BYTES} bytes")
    module = import_module(f"hitoku.attestation.verify.{_VERIFIERS[evidence.kind]}")
    verifier: Callable[[Evidence, datetime], Claims] = module.verify
    try:
        return verifier(evidence, now)
    except Refused:
        raise
    except RecursionError:
        raise Refused(Code.MALFORMED, "the evidence is nested too deep") from None
    except Exception as error:  # fail closed; its words may quote the evidence
        raise Refused(Code.INTERNAL, f"the verifier failed ({type(error).__name__})") from None
