# SPDX-License-Identifier: Apache-2.0
"""Every signed byte of vendors' real documents, flipped in turn: none of them passes.

Those of Nitro, SEV-SNP and TDX are flipped in `tests/attacks/test_attestation_*.py`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from tests.attestation_pki import needs_vectors, vector

from hitoku.attestation.codes import Code, Refused
from hitoku.attestation.evidence import Evidence, Kind
from hitoku.attestation.recognise import recognise
from hitoku.attestation.verify import verify

NOW = datetime(2026, 11, 22, tzinfo=UTC)
HEADER, REPORT, SIGNED = 32, 1184, 0x2A0

pytestmark = [pytest.mark.slow, needs_vectors]


def all_refused(content: bytes, places: range, whole: Callable[[bytes], Evidence]) -> None:
    verify(whole(content), NOW)
    for at in places:
        forged = bytearray(content)
        forged[at] ^= 1 << at % 8
        with pytest.raises(Refused) as caught:
            verify(whole(bytes(forged)), NOW)
        assert caught.value.code is not Code.INTERNAL, at


def test_of_a_gpus_measurements():
    content = bytes.fromhex(vector("nvidia/hopperAttestationReport.txt").decode())
    chain = vector("nvidia/hopperCertChain.txt")
    all_refused(content, range(len(content)), lambda c: Evidence(Kind.NVIDIA, c, {"chain": chain}))


def test_of_a_tpms_quote():
    names = ("quote.sig", "quote.pcrs", "ak.pub", "ek.der", "issuercert.pem")
    good = recognise(vector("tpm-swtpm/quote.msg"), [vector(f"tpm-swtpm/{name}") for name in names])
    all_refused(good.content, range(len(good.content)), lambda c: Evidence(Kind.TPM, c, good.endorsements))


def azure() -> tuple[dict[str, dict[str, object]], bytes]:
    data = json.loads(vector("azure-snp-vtpm/live-evidence.json"))
    text = data["evidence"]["hcl_report"]
    return data, base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def test_of_azures_report_and_what_it_vouches_for():
    data, report = azure()
    start = HEADER + REPORT + 20
    length = int.from_bytes(report[start - 4 : start], "little")

    def whole(content: bytes) -> Evidence:
        data["evidence"]["hcl_report"] = base64.urlsafe_b64encode(content).rstrip(b"=").decode()
        return Evidence(Kind.AZURE_SNP, json.dumps(data).encode())

    all_refused(report, range(HEADER, HEADER + SIGNED), whole)
    all_refused(report, range(start, start + length), whole)


def test_of_azures_quote():
    data, _ = azure()
    quote = data["evidence"]["tpm_quote"]
    assert isinstance(quote, dict)
    message = bytes.fromhex(quote["message"])

    def whole(content: bytes) -> Evidence:
        quote["message"] = content.hex()
        return Evidence(Kind.AZURE_SNP, json.dumps(data).encode())

    all_refused(message, range(len(message)), whole)
