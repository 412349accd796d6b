# SPDX-License-Identifier: Apache-2.0
"""Credentials: opened here as a TPM opens them, with the endorsement key in the test's hands."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from cryptography.hazmat.decrepit.ciphers.modes import CFB
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.kdf.kbkdf import KBKDFHMAC, CounterLocation, Mode
from tests.attestation_pki import issue, name_of, pem
from tests.attestation_tpm import Maker, ec_key, ek_public, public_area, rsa_key

from hitoku.attestation.codes import Code, Refused
from hitoku.attestation.credential import challenge, endorsement_key, make_credential
from hitoku.attestation.tpm2.structures import Public
from hitoku.attestation.tpm2.wire import Reader, sized

EK, AK = rsa_key("ek"), public_area(ec_key("ak"))


def kdfa(seed: bytes, label: bytes, context: bytes, bits: int) -> bytes:
    """KDFa by `cryptography`'s SP 800-108, whose separating zero and length are the TPM's, too."""
    return KBKDFHMAC(
        algorithm=hashes.SHA256(),
        mode=Mode.CounterMode,
        length=bits // 8,
        rlen=4,
        llen=4,
        location=CounterLocation.BeforeFixed,
        label=label,
        context=context,
        fixed=None,
    ).derive(seed)


def opened(credential: bytes, name: bytes) -> bytes:
    """What TPM2_ActivateCredential does, for a key of that name."""
    whole = Reader(credential, "credential")
    blob, encrypted = Reader(whole.sized(512), "blob"), whole.sized(512)
    whole.end()
    integrity, identity = blob.sized(32), blob.rest()
    oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), b"IDENTITY\0")
    seed = EK.decrypt(encrypted, oaep)
    expected = hmac.digest(kdfa(seed, b"INTEGRITY", b"", 256), identity + name, hashlib.sha256)
    assert hmac.compare_digest(expected, integrity), "TPM_RC_INTEGRITY"
    cipher = Cipher(AES(kdfa(seed, b"STORAGE", name, 128)), CFB(bytes(16))).decryptor()
    inner = Reader(cipher.update(identity) + cipher.finalize(), "identity")
    secret = inner.sized(32)
    inner.end()
    return secret


@pytest.mark.parametrize("ek", [ek_public(EK), Maker().certify(EK).der, pem(Maker().certify(EK).der)])
def test_a_credential_opens_for_its_key_and_no_other(ek):
    credential, secret = challenge({"ek": ek, "ak": AK, "ek-chain": b""})
    assert len(secret) == 32
    assert opened(credential, Public.parse(AK).name) == secret
    with pytest.raises(AssertionError, match="TPM_RC_INTEGRITY"):
        opened(credential, Public.parse(public_area(ec_key("another"))).name)
    changed = public_area(ec_key("ak"), attributes=0x00040072)
    with pytest.raises(AssertionError, match="TPM_RC_INTEGRITY"):
        opened(credential, Public.parse(changed).name)


def test_no_two_credentials_are_alike():
    made = {challenge({"ek": ek_public(EK), "ak": AK}) for _ in range(4)}
    assert len({credential for credential, _ in made}) == len({secret for _, secret in made}) == 4
    secret = b"s" * 32
    assert make_credential(ek_public(EK), AK, secret) != make_credential(ek_public(EK), AK, secret)


def refused(ek: bytes, ak: bytes = AK) -> Code:
    with pytest.raises(Refused) as caught:
        make_credential(ek, ak, b"s" * 32)
    return caught.value.code


def test_keys_that_are_none_are_refused():
    good = ek_public(EK)
    assert refused(good, public_area(ec_key("ak"), attributes=0x00040072)) is Code.POLICY
    assert refused(good, AK + b"\0") is Code.MALFORMED
    assert refused(good, b"") is Code.MALFORMED
    assert refused(b"") is Code.MALFORMED
    assert refused(AK) is Code.UNSUPPORTED
    assert refused(issue(ec_key("x", "secp384r1"), name_of("x")).der) is Code.UNSUPPORTED
    assert refused(b"\x30\x00") is Code.MALFORMED
    small = sized(good[2:-256] + bytes(255) + b"\1")
    assert refused(small) is Code.UNSUPPORTED
    with pytest.raises(Refused) as caught:
        challenge({"ek": good})
    assert caught.value.code is Code.MISSING_ENDORSEMENT
    with pytest.raises(ValueError, match="32 bytes"):
        make_credential(good, AK, bytes(33))


def test_the_key_of_a_certificate_and_of_its_public_area_are_one():
    numbers = {endorsement_key(ek).public_numbers() for ek in (ek_public(EK), Maker().certify(EK).der)}
    assert numbers == {EK.public_key().public_numbers()}
