# SPDX-License-Identifier: Apache-2.0
"""What dcap_qvl says, as stable codes. The words are those of version 0.7, read from its refusals."""

from __future__ import annotations

import pytest
from tests.attestation_intel import IntelWorld
from tests.attestation_pki import NOW

from hitoku.attestation import dcap
from hitoku.attestation.codes import Code, Refused

WORDS = [
    ("Debug mode is enabled", Code.DEBUG),
    ("TD profiling is enabled", Code.DEBUG),
    ("QE report validation failed\n\nCaused by:\n    Debug mode is enabled", Code.CHAIN),
    ("TCB status is invalid: Revoked", Code.REVOKED),
    ("Failed to verify certificate chain\n\nCaused by:\n    CertRevoked", Code.REVOKED),
    ("Failed to decode TcbInfo\n\nCaused by:\n    unknown variant `X`, expected `Revoked`", Code.MALFORMED),
    ("CrlExpired { time: UnixTime(1), next_update: UnixTime(0) }", Code.EXPIRED),
    ("certificate revocation list expired: verification time 2", Code.EXPIRED),
    ("Failed to verify certificate chain\n\nCaused by:\n    CertExpired { time: 1 }", Code.EXPIRED),
    ("Failed to verify certificate chain\n\nCaused by:\n    CertNotValidYet { time: 1 }", Code.NOT_YET),
    ("TCBInfo expired", Code.EXPIRED),
    ("QE Identity expired", Code.EXPIRED),
    ("TCBInfo issue date is in the future", Code.NOT_YET),
    ("QE Identity issue date is in the future", Code.NOT_YET),
    ("No matching TCB level found", Code.TCB),
    ("QE ISVSVN 1 is below minimum required 4 from QE Identity", Code.TCB),
    ("TDX module ISVSVN 6 is below minimum required from TDX module TCB levels", Code.TCB),
    ("No TDX module identity with id TDX_01 found in TCB Info", Code.TCB),
    ("No TCB levels found in QE Identity", Code.TCB),
    ("Unrecognized TCB status SWHardeningNeeded in QE Identity", Code.TCB),
    ("Fmspc mismatch", Code.HARDWARE_MISMATCH),
    ("TDX quote with non-TDX TCB info in the collateral", Code.HARDWARE_MISMATCH),
    ("Unsupported QE Identity id/version for the quote TEE type: QE", Code.HARDWARE_MISMATCH),
    ("TDX module MRSIGNER mismatch: expected 00, got 01", Code.HARDWARE_MISMATCH),
    ("TD migration is enabled", Code.POLICY),
    ("SERVTD_EXT is enabled", Code.POLICY),
    ("Invalid MR service TD", Code.POLICY),
    ("SEPT_VE_DISABLE is not enabled", Code.POLICY),
    ("Reserved bits in TD attributes are set", Code.UNSUPPORTED),
    ("ISV enclave report signature is invalid", Code.SIGNATURE),
    ("Signature is invalid for qe_report in quote", Code.SIGNATURE),
    ("QE report hash mismatch", Code.SIGNATURE),
    ("Signature is invalid for tcb_info in quote_collateral", Code.CHAIN),
    ("Signature is invalid for qe_identity in quote_collateral", Code.CHAIN),
    ("QE MRSIGNER mismatch: expected 00, got 01", Code.CHAIN),
    ("Failed to verify certificate chain\n\nCaused by:\n    UnknownIssuer", Code.UNTRUSTED_ROOT),
    ("Caused by:\n    UnknownRevocationStatus", Code.MISSING_ENDORSEMENT),
    ("Certificate chain is too short in quote", Code.CHAIN),
    ("Failed to verify certificate chain\n\nCaused by:\n    InvalidSignatureForPublicKey", Code.CHAIN),
    ("Unsupported DCAP attestation key type", Code.UNSUPPORTED),
    ("TDX TEE quote must have version 4 or 5", Code.UNSUPPORTED),
    ("Unknown QE vendor ID", Code.UNSUPPORTED),
    ("Failed to decode quote\n\nCaused by:\n    Invalid TEE type", Code.MALFORMED),
    ("Could not decode `Header::version`", Code.MALFORMED),
    ("Invalid QE auth data length", Code.MALFORMED),
    ("words of a later version", Code.CHAIN),
    ("", Code.CHAIN),
]


@pytest.mark.parametrize(("words", "code"), WORDS)
def test_words_have_codes(words, code):
    found = dcap.refusal("Verification failed: " + words)
    assert found.code is code
    assert words not in found.detail or not words  # they may quote what was sent


class PanicException(BaseException):
    """What a panic of the library raises; no Exception."""


@pytest.mark.parametrize("method", ["from_json", "verify_with_policy"])
def test_a_panic_of_the_library_refuses(monkeypatch, method):
    import dcap_qvl

    def panic(*_):
        raise PanicException("index out of bounds")

    class Broken:
        from_json = staticmethod(panic)

        def __init__(self, *_):
            pass

        verify_with_policy = panic

    name = {"from_json": "QuoteCollateralV3", "verify_with_policy": "QuoteVerifier"}[method]
    monkeypatch.setattr(dcap_qvl, name, Broken)
    world = IntelWorld()
    if method == "verify_with_policy":
        monkeypatch.setattr(dcap_qvl, "verify_with_root_ca", panic)
    with pytest.raises(Refused) as refused:
        dcap.claims(world.quote(), world.collateral(), NOW, world.root.der)
    assert refused.value.code is Code.MALFORMED


def test_what_only_one_of_its_entrances_accepts_is_refused(monkeypatch):
    """The detailed entrance refuses; the older one, asked for the cause, accepts: that is no way in."""
    import dcap_qvl

    monkeypatch.setattr(dcap_qvl, "verify_with_root_ca", lambda *_: "fine")
    world = IntelWorld()
    collateral = world.collateral(tcb_info=world.tcb_info(fmspc="010203040506"))
    with pytest.raises(Refused) as refused:
        dcap.claims(world.quote(), collateral, NOW, world.root.der)
    assert refused.value.code is Code.HARDWARE_MISMATCH


def test_an_interrupt_is_no_refusal(monkeypatch):
    import dcap_qvl

    class Interrupted:
        @staticmethod
        def from_json(_):
            raise KeyboardInterrupt

    monkeypatch.setattr(dcap_qvl, "QuoteCollateralV3", Interrupted)
    world = IntelWorld()
    with pytest.raises(KeyboardInterrupt):
        dcap.claims(world.quote(), world.collateral(), NOW, world.root.der)
