# SPDX-License-Identifier: Apache-2.0
"""The worker's side of a release, and what both sides compute alike."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.attestation.brokers import HOST, RUN, Machine, Platform, refused

from hitoku.attestation import cms
from hitoku.attestation.binding import Binding
from hitoku.attestation.codes import Code, Refused
from hitoku.attestation.evidence import Kind
from hitoku.attestation.release import KeyRequest, WorkerKeys
from hitoku.attestation.sealing import Form, _parts, evidence_hash, release_binding, seal_keys, wipe
from hitoku.errors import PeerError

BINDING = Binding(b"n" * 32, b"d" * 64)
KEY, OTHER = bytes(range(32)), bytes(range(32, 64))


def test_what_is_sealed_opens_for_that_worker_and_context_only():
    worker = WorkerKeys()
    enc, ciphertext = seal_keys(worker.public_key, [(Form.RAW, KEY), (Form.RAW, OTHER)], BINDING, "ear")
    assert worker.unseal(enc, ciphertext, BINDING, "ear") == [KEY, OTHER]
    for other in (Binding(b"n" * 32, b"e" * 64), BINDING):
        ear = "ear" if other is not BINDING else "another"
        refused(Code.BINDING, worker.unseal, enc, ciphertext, other, ear)
    refused(Code.BINDING, WorkerKeys().unseal, enc, ciphertext, BINDING, "ear")
    refused(Code.BINDING, worker.unseal, bytes(32), ciphertext, BINDING, "ear")
    refused(Code.BINDING, worker.unseal, enc, b"", BINDING, "ear")
    for place in range(0, len(ciphertext), 7):
        flipped = bytearray(ciphertext)
        flipped[place] ^= 1
        refused(Code.BINDING, worker.unseal, enc, bytes(flipped), BINDING, "ear")


def test_the_suite_is_the_one_of_the_standard():
    """RFC 9180: X25519 (0x0020), HKDF-SHA256 (0x0001), AES-256-GCM (0x0002), by its own key schedule."""
    import hmac

    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    from hitoku.attestation.binding import bound

    worker = WorkerKeys()
    enc, ciphertext = seal_keys(worker.public_key, [(Form.RAW, KEY)], BINDING, "ear")
    private = worker._private
    assert isinstance(private, X25519PrivateKey)

    def extract(salt: bytes, suite: bytes, label: bytes, key: bytes) -> bytes:
        return hmac.digest(salt or bytes(32), b"HPKE-v1" + suite + label + key, "sha256")

    def expand(key: bytes, suite: bytes, label: bytes, info: bytes, length: int) -> bytes:
        labelled = length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info
        made, block = b"", b""
        for number in range(1, 1 + -(-length // 32)):
            block = hmac.digest(key, block + labelled + bytes([number]), "sha256")
            made += block
        return made[:length]

    kem, suite = b"KEM\x00\x20", b"HPKE\x00\x20\x00\x01\x00\x02"
    shared = private.exchange(X25519PublicKey.from_public_bytes(enc))
    eae = extract(b"", kem, b"eae_prk", shared)
    secret = expand(eae, kem, b"shared_secret", enc + worker.public_key, 32)
    info = bound("hitoku/key-seal/1", [BINDING.digest, b"ear"])
    context = b"\0" + extract(b"", suite, b"psk_id_hash", b"") + extract(b"", suite, b"info_hash", info)
    schedule = extract(secret, suite, b"secret", b"")
    key = expand(schedule, suite, b"key", context, 32)
    nonce = expand(schedule, suite, b"base_nonce", context, 12)
    assert AESGCM(key).decrypt(nonce, ciphertext, b"") == b"\0\0\0\0\x20" + KEY


def test_keys_of_another_form_or_length_are_refused():
    worker = WorkerKeys()
    for part, code in (
        ((7, KEY), Code.UNSUPPORTED),
        ((Form.RAW, KEY[:-1]), Code.MALFORMED),
        ((Form.RAW, b""), Code.MALFORMED),
        ((Form.CMS, KEY), Code.UNSUPPORTED),  # no RSA key was shown to anybody
    ):
        sealed = seal_keys(worker.public_key, [part], BINDING, "ear")
        refused(code, worker.unseal, *sealed, BINDING, "ear")
    worker.recipient()
    refused(Code.MALFORMED, worker.unseal, *sealed, BINDING, "ear")


def test_a_key_that_a_key_service_sealed():
    worker = WorkerKeys()
    recipient = cms.recipient_key(worker.recipient())
    assert worker.recipient() == worker.recipient()
    parts = [(Form.CMS, cms.seal_enveloped(KEY, recipient)), (Form.RAW, OTHER)]
    sealed = seal_keys(worker.public_key, parts, BINDING, "ear")
    assert worker.unseal(*sealed, BINDING, "ear") == [KEY, OTHER]
    sealed = seal_keys(
        worker.public_key, [(Form.CMS, cms.seal_enveloped(b"x" * 16, recipient))], BINDING, "ear"
    )
    refused(Code.MALFORMED, worker.unseal, *sealed, BINDING, "ear")


def test_wiped_keys_are_zeros():
    one, two = bytearray(KEY), bytearray(OTHER)
    wipe(one, two)
    assert one == two == bytes(32)


def test_a_worker_that_forgot_its_keys_opens_and_signs_nothing():
    worker = WorkerKeys()
    sealed = seal_keys(worker.public_key, [(Form.RAW, KEY)], BINDING, "ear")
    worker.recipient()
    worker.forget()
    with pytest.raises(ValueError, match="forgotten"):
        worker.unseal(*sealed, BINDING, "ear")
    with pytest.raises(ValueError, match="forgotten"):
        worker.sign(b"")
    assert worker._recipient is None


@given(st.binary(max_size=300))
def test_whatever_is_opened_is_keys_or_refused(content: bytes):
    try:
        parts = _parts(bytearray(content))
    except Refused as error:
        assert error.code is Code.MALFORMED  # noqa: PT017
    else:
        assert sum(5 + len(key) for _, key in parts) == len(content)


def test_a_binding_has_one_form_whatever_the_order_of_keys():
    facts: dict[str, Any] = {
        "nonce": bytes(32), "challenge": "1" * 32, "room": "r", "run": "2" * 32, "host": "h", "broker": "b",
        "public_key": bytes(32), "signing_key": bytes(32),
    }  # fmt: skip
    keys = {"a": "1" * 32, "b": "2" * 32}
    turned = dict(reversed(keys.items()))
    assert release_binding(**facts, keys=keys) == release_binding(**facts, keys=turned)


def test_requests_are_used_in_their_order_and_once(office):
    key = office.key(workers=2)
    request = office.request()
    released = {"kind": "hitoku/key-released/1"}
    refused(Code.BINDING, request.open, released)
    assert request.key_ids == {}
    answer = office.answered(request)
    assert set(request.key_ids) == {"planes"}
    with pytest.raises(PeerError):
        request.open(released)
    released = office.broker.release(HOST, answer)
    assert request.open(released) == {"planes": key}
    refused(Code.BINDING, request.open, released)


def test_an_answer_to_another_request_does_not_open(office):
    office.key(workers=2)
    worker = WorkerKeys()
    one, two = office.request(keys=worker), office.request(keys=worker)
    released = office.broker.release(HOST, office.answered(one))
    office.answered(two)
    refused(Code.BINDING, two.open, released)
    challenge = two.key_ids and two._challenged.challenge
    refused(Code.SIGNATURE, two.open, {**released, "challenge": challenge})
    assert one.open(released)


def test_every_part_of_an_answer_is_signed(office):
    key = office.key()
    request = office.request()
    released = office.broker.release(HOST, office.answered(request))
    ciphertext = base64.b64decode(released["ciphertext"])
    for change in (
        {"enc": "0" * 64},
        {"ciphertext": base64.b64encode(ciphertext[:-1] + bytes([ciphertext[-1] ^ 1])).decode()},
        {"ear": "another.ear.x"},
        {"signature": "A" * 86 + "=="},
    ):
        refused(Code.SIGNATURE, request.open, {**released, **change})
    refused(Code.MALFORMED, request.open, {**released, "ciphertext": "A"})
    assert request.open(released) == {"planes": key}


def test_the_broker_is_a_member_and_its_tables_are_its_own(office):
    agreement = office.place.agreement
    refused(Code.BINDING, KeyRequest, agreement, "nobody", HOST, RUN, WorkerKeys(), Machine(Platform()))
    office.key()
    request = office.request()
    request._tables = set()
    refused(Code.BINDING, office.answered, request)


def test_an_enclave_of_nitro_shows_a_key_for_key_services(office):
    office.platform.kind = Kind.NITRO
    office.key()
    office.get()
    claims = office.platform.verify(office.judged[-1][0])
    assert claims.public_key is not None
    assert cms.recipient_key(claims.public_key).key_size == 2048


def test_what_a_member_signs_says_its_kind(office):
    """So that no signature of a broker can be taken for one of another kind."""
    office.key()
    signed: list[bytes] = []
    keys = office.broker._keys

    class Noting:
        def sign(self, message):
            signed.append(message)
            return keys.sign(message)

    office.broker._keys = Noting()
    office.get()
    office.broker.tombstone(RUN)
    names = [message.split(b"\n")[0].decode() for message in signed]
    assert names == ["hitoku/challenged/1", "hitoku/key-released/1", "hitoku/tombstone/1"]
    assert len({len(message) for message in signed}) == 3


def test_names_of_evidence_depend_on_all_of_it(platform):
    one = platform.quote("p", BINDING)
    assert evidence_hash(one) == evidence_hash(type(one)(one.kind, one.content, dict(one.endorsements)))
    assert evidence_hash(one) != evidence_hash(type(one)(one.kind, one.content, {}))


def test_a_broker_that_releases_fewer_keys_than_it_named(office, monkeypatch):
    office.key()
    request = office.request()
    answer = office.answered(request)
    real = office.broker._sealed

    def fewer(asked, held, *rest):
        return real(asked, (), *rest)

    monkeypatch.setattr(office.broker, "_sealed", fewer)
    refused(Code.MALFORMED, request.open, office.broker.release(HOST, answer))
