# SPDX-License-Identifier: Apache-2.0
"""Real Nitro documents, and the same with bytes flipped: ours against Evervault's Rust validator.

It is an oracle for chain, times and COSE signature only: it says yes to debug documents and to an empty list
of PCRs. It has no clock argument, so it runs under `faketime`, in an environment of its own.
"""

from __future__ import annotations

import base64
import json
import os
import random
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.attestation_pki import needs_vectors, vector

from hitoku.attestation.codes import Code, Refused
from hitoku.attestation.evidence import Evidence, Kind
from hitoku.attestation.verify import verify

SCRIPT = Path(__file__).with_name("nitro_oracle.py")
PACKAGE = "evervault-attestation-bindings==0.5.0"
INSIDE = {
    "nitro/evervault-valid-doc.cbor": datetime(2022, 10, 13, 9, 30, tzinfo=UTC),
    "nitro/evervault-debug-mode-doc.cbor": datetime(2022, 10, 12, 14, 0, tzinfo=UTC),
    "nitro/veracruz-doc.cbor": datetime(2022, 11, 9, 23, 0, tzinfo=UTC),
    "nitro/veracruz-doc-bad-sig.cbor": datetime(2022, 11, 9, 23, 0, tzinfo=UTC),
}
FLIPS = 60

pytestmark = [pytest.mark.slow, needs_vectors]


def some_certificate() -> bytes:
    """A certificate that belongs to no document."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "nobody")])
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    made = made.not_valid_before(datetime(2020, 1, 1)).not_valid_after(datetime(2040, 1, 1))
    return made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def theirs(documents: list[bytes], now: datetime) -> list[str]:
    uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
    if shutil.which("faketime") is None or not Path(uv).exists():
        missing = "the oracle needs faketime and uv"
        if os.environ.get("HITOKU_REQUIRE_ALL") == "1":
            pytest.fail(missing)
        pytest.skip(missing)
    certificate = base64.b64encode(some_certificate()).decode()
    ended = subprocess.run(
        [
            *(uv, "run", "--quiet", "--isolated", "--no-project", "--with", PACKAGE),
            *("faketime", now.strftime("%Y-%m-%d %H:%M:%S"), "python", str(SCRIPT), certificate),
        ],
        input="".join(json.dumps(base64.b64encode(d).decode()) + "\n" for d in documents),
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "TZ": "UTC"},
        check=True,
    )
    return ended.stdout.split()


def ours(document: bytes, now: datetime) -> str:
    try:
        verify(Evidence(Kind.NITRO, document), now)
    except Refused as refused:
        if refused.code is Code.DEBUG:
            return "held"  # the last check: all that the oracle looks at held
        return "expired" if refused.code in {Code.EXPIRED, Code.NOT_YET} else "refused"
    return "held"


@pytest.mark.parametrize("name", INSIDE)
def test_both_say_the_same_of_a_document_and_of_its_flips(name):
    chance = random.Random(name)
    document, now = vector(name), INSIDE[name]
    documents = [document]
    for _ in range(FLIPS):
        at = chance.randrange(len(document))
        documents.append(
            document[:at] + bytes([document[at] ^ 1 << chance.randrange(8)]) + document[at + 1 :]
        )
    said = theirs(documents, now)
    assert said[0] == ours(document, now) == ("refused" if "bad-sig" in name else "held")
    # A flip may move a date, a name or the form: which of the reasons is told first is each one's own.
    assert [s == "held" for s in said] == [ours(d, now) == "held" for d in documents]


@pytest.mark.parametrize("hours", [-24, 24])
def test_both_say_that_it_is_not_the_time(hours):
    name = "nitro/veracruz-doc.cbor"
    now = INSIDE[name] + timedelta(hours=hours)
    assert theirs([vector(name)], now) == [ours(vector(name), now)] == ["expired"]
