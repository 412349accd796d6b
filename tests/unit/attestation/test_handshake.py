# SPDX-License-Identifier: Apache-2.0
"""The handshake when all goes well, its messages' one form, and TPMs that activate credentials in it."""

# mypy: allow-untyped-defs, allow-incomplete-defs

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest
from tests.attestation_tpm import need_swtpm
from tests.unit.attestation.handshakes import (
    PROGRAM,
    ROOM,
    RUN,
    Members,
    reachable,
    shake,
    verifying,
)

from hitoku import limits
from hitoku.attestation import activation, wire
from hitoku.attestation.attest.tpm import TpmAttester
from hitoku.attestation.binding import Binding
from hitoku.attestation.codes import Code, Refused
from hitoku.attestation.evidence import Evidence, Kind
from hitoku.attestation.handshake import Initiator, Responder
from hitoku.attestation.kem import SEALED_BYTES, KemKey, seal_for
from hitoku.attestation.session import SESSION_ID_BYTES, Secrets
from hitoku.attestation.swtpm import SwTpm
from hitoku.errors import InputError


@pytest.fixture
def world() -> Members:
    return Members("airline", "telco")


def test_both_end_with_one_session_and_each_others_program(world):
    one, two = world.pair()
    shake(one, two)
    assert one.session is not None
    assert two.session is not None
    assert one.session.id == two.session.id
    assert len(one.session.id) == SESSION_ID_BYTES
    for side, me, peer in ((one, "airline", "telco"), (two, "telco", "airline")):
        session = side.session
        assert (session.me, session.peer, session.room, session.run) == (me, peer, ROOM, RUN)
        assert (session.program, session.peer_program) == (PROGRAM, PROGRAM)
        assert session.ear_id == "ear"
        assert session.software_rooted
    for a, b in ((one, two), (two, one)):
        sealed = a.session.sealing("tags-a").seal(0, True, b"data")
        assert b.session.opening("tags-a").open(0, True, sealed) == b"data"
        with pytest.raises(Exception, match="tags-a"):
            a.session.opening("tags-a").open(0, True, sealed)  # the other direction has another key


def test_nothing_prints_a_secret(world):
    one, two = world.pair()
    hello = one.hello()
    texts = [repr(one), repr(two), repr(one._kem)]
    shown = two.acceptance(one.evidence(two.offer(hello)))
    texts += [repr(two._secrets)]
    two.end(one.confirmation(shown))
    texts += [repr(one.session), repr(one.session.sealing("x"))]
    secrets = [key for key in reachable(one.session) if len(key) == 32]
    assert secrets
    for text in texts:
        assert not any(str(key) in text or key.hex() in text for key in secrets)
        assert len(text) < 200


def test_after_its_end_a_handshake_says_no_more_and_its_session_stays(world):
    one, two = world.pair()
    accepted = two.acceptance(one.evidence(two.offer(one.hello())))
    confirmation = one.confirmation(accepted)
    two.end(confirmation)
    for call, message in ((one.confirmation, accepted), (two.end, confirmation)):
        with pytest.raises(Refused) as caught:
            call(message)
        assert caught.value.code is Code.HANDSHAKE
    assert one.session is not None
    assert two.session is not None


def test_nobody_attests_to_itself(world):
    with pytest.raises(ValueError, match="itself"):
        Initiator(world.setting("airline", "airline"))


def test_an_error_of_the_platform_ends_it_and_is_told_as_it_is(world):
    class Broken:
        kind = Kind.DEV

        def attest(self, binding: Binding, public_key: bytes = b"") -> Evidence:
            raise InputError("no device")

    one = Initiator(world.setting("airline", "telco"))
    two = Responder(world.setting("telco", "airline", attester=Broken()))
    with pytest.raises(InputError, match="no device"):
        two.offer(one.hello())
    with pytest.raises(Refused):
        two.acceptance(b"{}")


def test_a_program_that_is_no_digest_is_not_taken(world):
    def naming(evidence, binding, activated):
        return replace(world.judges["airline"](evidence, binding, activated), program="node")

    one = Initiator(world.setting("airline", "telco", appraise=naming))
    two = Responder(world.setting("telco", "airline"))
    with pytest.raises(Refused) as caught:
        one.evidence(two.offer(one.hello()))
    assert caught.value.code is Code.INTERNAL


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text + b" ",
        lambda text: b" " + text,
        lambda text: text.replace(b'"from"', b'"from" '),
        lambda text: text.replace(b'"step":1', b'"step":1.0'),
        lambda text: text.replace(b'"step":1', b'"step":true'),
        lambda text: text.replace(b"{", b'{"a":1,', 1),
        lambda text: text.replace(b'"key":"', b'"key":"A'),
        lambda text: b"[" + text + b"]",
        lambda text: b"",
        lambda text: b"\xff",
        lambda text: b"[" * 100_000,
        lambda text: b'{"a":' + b"1" * 5_000 + b"}",
        lambda text: b" " * (limits.MAX_HANDSHAKE_BYTES + 1),
    ],
)
def test_a_message_in_another_form_is_refused(world, change):
    one, two = world.pair()
    with pytest.raises(Refused) as caught:
        two.offer(change(one.hello()))
    assert caught.value.code in {Code.MALFORMED, Code.HANDSHAKE}


@pytest.mark.parametrize("field", ["protocol", "step", "role", "room", "run", "from", "to"])
def test_every_word_of_the_head_counts(world, field):
    one, two = world.pair()
    fields = json.loads(one.hello())
    fields[field] = 2 if field == "step" else fields[field] + "x"
    with pytest.raises(Refused) as caught:
        two.offer(wire.packed(fields))
    assert caught.value.code is Code.HANDSHAKE
    assert field in caught.value.detail


@pytest.mark.parametrize("field", ["nonce", "key", "evidence", "signature", "extra"])
def test_a_field_that_is_missing_or_too_many_is_refused(world, field):
    one, two = world.pair()
    fields = json.loads(two.offer(one.hello()))
    if field == "extra":
        fields["extra"] = 1
    else:
        del fields[field]
    with pytest.raises(Refused) as caught:
        one.evidence(wire.packed(fields))
    assert caught.value.code is Code.MALFORMED


def test_bytes_have_one_spelling():
    assert wire.raw("AAAA", (3,)) == bytes(3)
    for value in ("AAA=", "AAB=", "AA==\n", "AA", 3, None):
        with pytest.raises(Refused):
            wire.raw(value, (3, 1))
    with pytest.raises(Refused):
        wire.packed({"a": "x" * limits.MAX_HANDSHAKE_BYTES})


# --- the keys ---


def test_a_sealed_secret_opens_for_its_key_after_the_same_words_only():
    key = KemKey()
    secret, sealed = seal_for(key.public, b"said")
    assert len(sealed) == SEALED_BYTES
    assert key.open(sealed, b"said") == secret
    changed = bytes([sealed[0] ^ 1]) + sealed[1:]
    for other, content, said in (
        (KemKey(), sealed, b"said"),
        (key, sealed, b"else"),
        (key, changed, b"said"),
    ):
        with pytest.raises(Refused) as caught:
            other.open(content, said)
        assert caught.value.code is Code.HANDSHAKE


@pytest.mark.parametrize("public", [b"", bytes(1216), b"\xff" * 1216])
def test_what_is_no_key_is_refused(public):
    with pytest.raises(Refused) as caught:
        seal_for(public, b"")
    assert caught.value.code is Code.MALFORMED


def test_keys_rest_on_every_secret_on_the_order_and_on_the_transcript():
    parts = (b"a" * 32, b"b" * 32, b"", b"c" * 32)
    found = {Secrets(parts, b"t").direction("A")}
    found.add(Secrets(parts, b"t").direction("B"))
    found.add(Secrets(parts, b"u").direction("A"))
    found.add(Secrets((parts[1], parts[0], *parts[2:]), b"t").direction("A"))
    found.add(Secrets((*parts[:2], parts[3], b""), b"t").direction("A"))
    for number in (0, 1, 3):
        changed = tuple(bytes(32) if n == number else part for n, part in enumerate(parts))
        found.add(Secrets(changed, b"t").direction("A"))
    assert len(found) == 8
    shown = Secrets(parts, b"t").confirmation("A", b"said")
    assert Secrets(parts, b"t").confirms("A", b"said", shown)
    assert not Secrets(parts, b"t").confirms("B", b"said", shown)
    assert not Secrets(parts, b"t").confirms("A", b"else", shown)
    assert shown not in found


# --- TPMs ---


@pytest.fixture(scope="module")
def tpms() -> Iterator[tuple[SwTpm, SwTpm]]:
    need_swtpm()
    with SwTpm(certificate=False) as one, SwTpm(certificate=False) as two:
        yield one, two


def test_two_tpms_attest_and_each_activates_the_others_credential(world, tpms):
    told: list[bool] = []

    def judge(evidence, binding, activated):
        told.append(activated)
        return verifying(evidence, binding, activated)

    with tpms[0].connect() as first, tpms[1].connect() as second:
        opened: list[bytes] = []

        class Watched(TpmAttester):
            def activate(self, credential: bytes) -> bytes:
                opened.append(credential)
                return super().activate(credential)

        with Watched(first) as left, Watched(second) as right:
            one = Initiator(world.setting("airline", "telco", attester=left, appraise=judge))
            two = Responder(world.setting("telco", "airline", attester=right, appraise=judge))
            shake(one, two)
    assert one.session is not None
    assert two.session is not None
    assert told == [True, True]
    assert len(opened) == 2


@pytest.mark.parametrize("begins", [True, False])
def test_t13_the_endorsement_key_of_another_machine_does_not_serve(world, tpms, begins, monkeypatch):
    """Genuine evidence of one TPM, with the endorsement key of another, listed one beside it."""
    with tpms[0].connect() as first, tpms[1].connect() as second:
        with TpmAttester(first) as listed:
            endorsement = listed.identity()["ek"]

        class Dressed(TpmAttester):
            def attest(self, binding: Binding, public_key: bytes = b"") -> Evidence:
                made = super().attest(binding)
                return Evidence(made.kind, made.content, {**made.endorsements, "ek": endorsement})

            def activate(self, credential: bytes) -> bytes:
                try:
                    return super().activate(credential)
                except InputError:
                    return bytes(32)

        with Dressed(second) as attester:
            if begins:
                one = Initiator(world.setting("airline", "telco", attester=attester))
                two = Responder(world.setting("telco", "airline", appraise=verifying))
            else:
                one = Initiator(world.setting("airline", "telco", appraise=verifying))
                two = Responder(world.setting("telco", "airline", attester=attester))
            accepted = two.acceptance(one.evidence(two.offer(one.hello())))
            if begins:
                with monkeypatch.context() as patch:  # who cheats checks nothing itself
                    patch.setattr(Secrets, "confirms", lambda *_: True)
                    confirmation = one.confirmation(accepted)
            with pytest.raises(Refused) as caught:
                two.end(confirmation) if begins else one.confirmation(accepted)
            assert caught.value.code is Code.HANDSHAKE
            assert (two if begins else one).session is None


def test_a_credential_is_made_for_tpms_alone(world):
    evidence = world.platform.quote(PROGRAM, bytes(64))
    assert not activation.possible(evidence)
    assert activation.challenge(evidence) == (b"", b"")
    assert not activation.possible(Evidence(Kind.TPM, b"", {"ak": b""}))
    assert activation.possible(Evidence(Kind.TPM, b"", {"ek": b""}))
