# SPDX-License-Identifier: Apache-2.0
"""What evidence holds, for people: each kind's fields, as JSON, with nothing verified."""

from __future__ import annotations

import json

import pytest
from tests.attestation_gpu import NONCE, GpuWorld
from tests.attestation_intel import IntelWorld
from tests.attestation_pki import NOW, AmdWorld, NitroWorld
from tests.attestation_tpm import EXTRA, AzureWorld

from hitoku.attestation.codes import Code, Refused
from hitoku.attestation.evidence import Evidence, Kind
from hitoku.attestation.explain import explain

INTEL, GPU, AZURE = IntelWorld(), GpuWorld(), AzureWorld()
CASES = [
    (NitroWorld().evidence(), "nonce", b"nonce".hex()),
    (AmdWorld().evidence(), "measurement", "07" * 48),
    (INTEL.evidence(), "mrtd", "07" * 48),
    (INTEL.evidence(Kind.SGX), "mrenclave", "00" * 32),
    (GPU.evidence(), "nonce", NONCE.hex()),
    (AZURE.vtpm.evidence(), "extra_data", EXTRA.hex()),
    (AZURE.evidence(), "platform", "az-snp"),
]


@pytest.mark.parametrize(("evidence", "name", "value"), CASES, ids=lambda v: getattr(v, "kind", None))
def test_fields_are_told(evidence, name, value):
    found = explain(evidence)
    assert found["kind"] == evidence.kind
    assert found["bytes"] == len(evidence.content)
    assert found["fields"][name] == value
    assert found["endorsements"] == sorted(evidence.endorsements)
    assert json.loads(json.dumps(found)) == found


def test_times_and_versions_are_told():
    assert explain(CASES[0][0])["fields"]["made_at"] == NOW.isoformat()
    assert explain(INTEL.evidence(version=5))["fields"]["version"] == 5
    assert explain(INTEL.evidence(certification=3))["fields"]["own_chain"] is False
    tdx = Evidence(Kind.AZURE_TDX, b'{"td_quote": "AAAA"}')
    assert explain(tdx)["fields"] == {"td_quote": "AAAA"}


def test_several_devices_are_told_one_by_one():
    content = GPU.content()
    assert list(explain(GPU.array(content, content))["fields"]) == ["0", "1"]


def test_a_signature_is_hexadecimal():
    assert int(explain(GPU.evidence())["fields"]["r"], 16) > 1 << 64


def test_what_cannot_be_read_is_refused():
    with pytest.raises(Refused) as refused:
        explain(Evidence(Kind.TDX, b"x"))
    assert refused.value.code is Code.MALFORMED
