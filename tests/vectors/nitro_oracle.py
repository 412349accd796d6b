# SPDX-License-Identifier: Apache-2.0
"""Runs in an environment of its own, under a faked clock: what Evervault's Rust validator says of documents.

Reads JSON lines of base64 from standard input, prints one word a line. Its own last step compares the
document with a TLS certificate, which is none of these documents' here; to get that far, chain, times and
signature must have held: ``held``. Anything else is what it refuses before.
"""

from __future__ import annotations

import base64
import json
import sys

import evervault_attestation_bindings as bindings  # type: ignore[import-not-found]

BOUND = ("User data was not set", "public key length")
certificate = base64.b64decode(sys.argv[1])
for line in sys.stdin:
    document = base64.b64decode(json.loads(line))
    try:
        said = "held" if bindings.attest_enclave(certificate, [], document) else "refused"
    except ValueError as error:
        text = str(error)
        if "attesting the connection" in text and any(words in text for words in BOUND):
            said = "held"
        else:
            said = "expired" if "CertExpired" in text or "CertNotValidYet" in text else "refused"
    sys.stdout.write(said + "\n")
