# SPDX-License-Identifier: Apache-2.0
"""The vendors' root certificates, pinned by the SHA-256 of their bytes, and AMD's intermediates.

The table below is what is trusted; the files beside it are only where the bytes are kept, and a file that
differs from its line is refused. Each root's fingerprint was found equal in two or more places that have
nothing to do with each other (vendors' own pages, other companies' verifiers). No environment variable,
setting, file or endorsement adds a root: who needs another one (a test's own hierarchy) calls a verifier's
`verify_against`.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Final

from hitoku.attestation.codes import Code, Refused
from hitoku.attestation.x509 import Certificate, certificate

__all__ = ["AWS_NITRO", "FINGERPRINTS", "INTEL_SGX", "NVIDIA_DEVICE_IDENTITY", "PRODUCTS", "pin", "root"]

FINGERPRINTS: Final = {
    "ark-genoa": "4c6598d19c18719c5dfd4a7d335f674e5bfe1d8f800cea2cf270c10d103db2f1",
    "ark-milan": "69d063b45344d26a2e94e1f4210de49ef555308287d4c174445c95639a540bcd",
    "ark-turin": "1f084161a44bb6d93778a904877d4819cafa5d05ef4193b2ded9dd9c73dd3f6a",
    "ask-genoa": "5464738c1546aed5f2cecf1dc98c5c960a92e8913238a61711bc90ec6e828521",
    "ask-milan": "67d303bd3905fd38db8b20e0793699870e7fa612eaad5dec358293fd8c0bac1b",
    "ask-turin": "5b77ef5fe7a7a004fd9032668fba9d0fda22f88c4442069a479636a6ae3b3185",
    "asvk-genoa": "197e610743a917d6b9bb982a5a9226ccc0a15b611be0619e626aca9151457372",
    "asvk-milan": "c5e081f59b7efab1fe2f8b505e159704e72f29cab7ef7cf628a05a42439082f5",
    "asvk-turin": "104e10a8bd060a3c20a434261a57d0588fd65a88915b4f65b08bdecaf8df1a3c",
    "aws-nitro-g1": "641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b",
    "intel-sgx-root": "44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3",
    "nvidia-device-identity": "102bf659d5419614c9d8e6aecebc80454eb26b1df6a769ac720b9a690b167b48",
}
"""SHA-256 of each packaged certificate's DER bytes, by its file's name."""

PRODUCTS: Final = ("milan", "genoa", "turin")
"""AMD's families: each has a root (ark) and authorities for chips' keys (ask) and for loaded keys (asvk)."""


def pin(name: str) -> frozenset[str]:
    """The fingerprint of a packaged root, as `x509.walk` takes pins."""
    return frozenset({FINGERPRINTS[name]})


AWS_NITRO: Final = pin("aws-nitro-g1")
INTEL_SGX: Final = pin("intel-sgx-root")
NVIDIA_DEVICE_IDENTITY: Final = pin("nvidia-device-identity")


@cache
def root(name: str) -> Certificate:
    """A packaged certificate.

    Args:
        name: of `FINGERPRINTS`.

    Raises:
        Refused: ``UNTRUSTED_ROOT`` where the installed file is not the pinned one.
    """
    found = certificate((files(__name__) / f"{name}.pem").read_bytes())
    if found.fingerprint != FINGERPRINTS[name]:
        raise Refused(
            Code.UNTRUSTED_ROOT, f"the installed file of the root {name} was changed; install hitoku again"
        )
    return found
