# SPDX-License-Identifier: Apache-2.0
"""An owner's broker: who gets a key, once, and what is on record of it."""

from __future__ import annotations

import json
from typing import ClassVar

import pytest
from tests.unit.attestation.brokers import HOST, OTHER_PROGRAM, RUN, Machine, Office, Platform, refused

from hitoku import limits
from hitoku.attestation.codes import Code, Refused
from hitoku.attestation.evidence import Kind
from hitoku.attestation.release import WorkerKeys
from hitoku.attestation.sealing import evidence_hash
from hitoku.errors import PeerError, SecretError
from hitoku.room.keytables import challenges
from hitoku.room.records import Role


def test_a_worker_that_is_what_was_agreed_gets_the_key(office):
    key = office.key()
    assert office.get() == key
    (appraised,) = office.entries("appraisal")
    (released,) = office.entries("key-release")
    evidence = office.judged[0][0]
    assert appraised["evidence"] == released["evidence"] == evidence_hash(evidence)
    assert appraised["software_rooted"] is True
    assert released["host"] == HOST
    with office.records.store.reading() as connection:
        kept = office.broker._state.evidence(connection, released["evidence"])
    assert json.loads(kept[0]) == evidence.to_dict()
    assert kept[1].startswith("ear.")
    office.records.ledger.verify(lambda *_: True)


def test_a_key_is_for_one_worker(office):
    office.key()
    office.get()
    refused(Code.ALREADY_RELEASED, office.get)
    assert [e["code"] for e in office.entries("key-refusal")] == ["ALREADY_RELEASED"]


def test_a_run_with_more_workers_serves_each_of_them_once(office):
    key = office.key(workers=2)
    first = WorkerKeys()
    assert office.get(office.request(keys=first)) == key
    refused(Code.ALREADY_RELEASED, office.get, office.request(keys=first))
    assert office.get() == key
    refused(Code.ALREADY_RELEASED, office.get)
    assert len({e["worker"] for e in office.entries("key-release")}) == 2


def test_no_key_is_made_twice_nor_for_a_run_that_is_not_consented_to(office):
    office.reserve()
    refused(Code.NO_SUCH_KEY, office.broker.make_key, RUN, "flights", HOST)
    refused(Code.NO_SUCH_KEY, office.broker.make_key, RUN, "planes", "airport")
    refused(Code.NO_SUCH_KEY, office.broker.make_key, "f" * 32, "planes", HOST)
    refused(Code.NO_SUCH_KEY, office.broker.make_key, RUN, "planes", HOST, 0)
    made = office.broker.make_key(RUN, "planes", HOST)
    assert len(made.key) == 32
    assert made.key.hex() not in repr(made)
    refused(Code.NO_SUCH_KEY, office.broker.make_key, RUN, "planes", HOST)


def test_keys_end_with_their_run(office):
    office.key()
    request = office.request()
    answer = office.answered(request)
    office.records.commit(RUN, Role.OWNER, {})
    refused(Code.KEY_REVOKED, office.broker.release, HOST, answer)
    refused(Code.KEY_REVOKED, office.broker.challenge, HOST, office.request().challenge())
    refused(Code.NO_SUCH_KEY, office.broker.make_key, RUN, "planes", HOST)


def test_keys_end_with_their_time(office, clock):
    office.key()
    clock.pass_seconds(limits.KEY_SECONDS)
    office.broker.challenge(HOST, office.request().challenge())
    clock.pass_seconds(1)
    refused(Code.KEY_REVOKED, office.broker.challenge, HOST, office.request().challenge())


def test_a_challenge_ends_with_its_time(office, clock):
    key = office.key()
    late, request = office.answered(office.request()), office.request()
    clock.pass_seconds(1)
    answer = office.answered(request)
    clock.pass_seconds(limits.CHALLENGE_SECONDS - 0.5)
    refused(Code.CHALLENGE_EXPIRED, office.broker.release, HOST, late)
    refused(Code.NONCE_USED, office.broker.release, HOST, late)
    assert request.open(office.broker.release(HOST, answer))["planes"] == key


def test_another_program_gets_nothing_and_the_ledger_says_so(office):
    office.key()
    request = office.request(attester=Machine(office.platform, OTHER_PROGRAM))
    refused(Code.MEASUREMENT_MISMATCH, office.get, request)
    (said,) = office.entries("key-refusal")
    assert said["code"] == "MEASUREMENT_MISMATCH"
    assert said["evidence"] == evidence_hash(office.judged[0][0])
    assert not office.entries("key-release", "appraisal")


def test_of_refused_evidence_only_the_first_is_kept(office):
    office.key()
    bad = Machine(office.platform, OTHER_PROGRAM)
    most = limits.MAX_REFUSED_EVIDENCE_A_RUN
    for _ in range(most + 2):
        refused(Code.MEASUREMENT_MISMATCH, office.get, office.request(attester=bad))
    with office.records.store.reading() as connection:
        found = [
            office.broker._state.evidence(connection, said["evidence"]) is not None
            for said in office.entries("key-refusal")
        ]
    assert found == [True] * most + [False] * 2


def test_a_run_has_so_many_challenges(office, monkeypatch):
    monkeypatch.setattr(limits, "MAX_CHALLENGES_A_RUN", 3)
    office.key()
    for _ in range(3):
        office.broker.challenge(HOST, office.request().challenge())
    refused(Code.POLICY, office.broker.challenge, HOST, office.request().challenge())
    with office.records.store.reading() as connection:
        assert len(connection.execute(challenges.select()).all()) == 3


def test_what_fails_inside_refuses(office, monkeypatch):
    office.key()

    def fails(*_):
        raise ZeroDivisionError("it quotes a key")

    office.broker._judge = fails
    error = refused(Code.INTERNAL, office.get)
    assert "quotes" not in str(error)
    assert error.__cause__ is None
    assert error.__suppress_context__

    def cannot(*_):
        raise SecretError("the file is gone")

    office.broker._judge = office.judge
    monkeypatch.setattr(office.broker._wrap, "unwrap", cannot)
    assert "the file is gone" in str(refused(Code.INTERNAL, office.get))
    assert [e["code"] for e in office.entries("key-refusal")] == ["INTERNAL", "INTERNAL"]
    assert not office.entries("key-release")


def test_keys_are_overwritten_where_they_were_used(office, monkeypatch):
    from hitoku.attestation import sealing

    seen: list[bytearray] = []
    unwrap, suite = office.broker._wrap.unwrap, sealing._SUITE

    class Noting:
        def encrypt(self, plain, *rest):
            assert key in bytes(plain)
            seen.append(plain)
            return suite.encrypt(plain, *rest)

        decrypt = suite.decrypt

    def unwrapped(*arguments):
        seen.append(unwrap(*arguments))
        return seen[-1]

    key = office.key(workers=2)
    monkeypatch.setattr(office.broker._wrap, "unwrap", unwrapped)
    monkeypatch.setattr(sealing, "_SUITE", Noting())
    assert office.get() == key
    keys = WorkerKeys()
    keys.public_key = bytes(32)  # sealing fails
    refused(Code.MALFORMED, office.get, office.request(keys=keys))
    assert [len(buffer) for buffer in seen] == [32, 37, 32, 37]
    assert not any(any(buffer) for buffer in seen)


def test_a_long_reason_is_cut(office):
    def refuses(*_):
        raise Refused(Code.POLICY, "why " * 200)

    office.key()
    office.broker._judge = refuses
    refused(Code.POLICY, office.get)
    assert office.entries("key-refusal")[0]["reason"] == ("why " * 75)


def test_a_malformed_message_uses_nothing_up(office):
    key = office.key()
    request = office.request()
    answer = office.answered(request)
    for broken in ({**answer, "public_key": "00"}, {**answer, "x": 1}, {"kind": "hitoku/release-key/1"}):
        with pytest.raises(PeerError):
            office.broker.release(HOST, broken)
    assert request.open(office.broker.release(HOST, answer))["planes"] == key


def test_revoked_keys_are_gone(office):
    office.key()
    answer = office.answered(office.request())
    office.broker.revoke(RUN, "chunk-7", HOST)
    office.broker.revoke(RUN, "chunk-8", HOST)
    refused(Code.KEY_REVOKED, office.broker.release, HOST, answer)
    refused(Code.KEY_REVOKED, office.broker.challenge, HOST, office.request().challenge())
    refused(Code.NO_SUCH_KEY, office.broker.revoke, RUN, "x", "airport")
    asked = {"run": RUN, "host": HOST, "challenge": None, "evidence": None, "code": "KEY_REVOKED"}
    assert asked.items() <= office.entries("key-refusal")[-1].items()
    refused(Code.NO_SUCH_KEY, office.broker.make_key, RUN, "planes", HOST)
    assert [(e["stage"], e["by"]) for e in office.entries("revocation")] == [("chunk-7", HOST)]
    with office.records.store.reading() as connection:
        (held,) = office.broker._state.keys(connection, RUN)
    assert held.wrapped is None


def test_keys_revoked_while_evidence_is_looked_at_do_not_leave(office):
    office.key()
    answer = office.answered(office.request())
    judge = office.judge

    def slow(*arguments):
        found = judge(*arguments)
        office.broker.revoke(RUN, "meanwhile")
        return found

    office.broker._judge = slow
    refused(Code.KEY_REVOKED, office.broker.release, HOST, answer)
    assert not office.entries("key-release")


def test_keys_revoked_while_they_are_sealed_do_not_leave(office, monkeypatch):
    office.key()
    answer = office.answered(office.request())
    unwrap = office.broker._wrap.unwrap

    def slow(*arguments):
        key = unwrap(*arguments)
        office.broker.revoke(RUN, "meanwhile")
        return key

    monkeypatch.setattr(office.broker._wrap, "unwrap", slow)
    refused(Code.KEY_REVOKED, office.broker.release, HOST, answer)
    assert not office.entries("key-release")


def test_a_challenge_is_of_the_keys_that_were_there(office):
    """A key that was made between challenge and answer is not released with it."""
    two = Office(office.place, "airport", office.clock, office.platform)
    agreement = two.place.agreement
    table = agreement.tables[0].model_copy(update={"name": "more"})
    agreement = agreement.model_copy(update={"tables": (*agreement.tables, table)})
    two.broker = two.opened(agreement)
    two.place.room = two.place.room.model_copy(update={"agreement": agreement})
    key = two.key()
    request = two.request()
    answer = two.answered(request)
    two.broker.make_key(RUN, "more", HOST)
    assert request.open(two.broker.release(HOST, answer)) == {"flights": key}
    two.records.store.close()


def test_both_owners_decide_for_themselves(place, clock):
    platform = Platform()
    offices = [Office(place, owner, clock, platform) for owner in ("airport", "registry")]
    keys = [office.key() for office in offices]
    worker = WorkerKeys()
    assert keys[0] != keys[1]
    assert [o.get(o.request(keys=worker)) for o in offices] == keys
    for office in offices:
        office.records.store.close()


def test_a_tpm_must_open_its_credential(office):
    secret = b"s" * 32

    class Tpm(Machine):
        named: ClassVar = {"ek": b"endorsement", "ak": b"attestation"}
        opens = secret

        @property
        def kind(self):
            return Kind.TPM

        def identity(self):
            return self.named

        def activate(self, credential):
            assert credential == b"for endorsement"
            return self.opens

        def attest(self, binding, public_key=b""):
            made = office.platform.quote(self.program, binding)
            return type(made)(made.kind, made.content, {**made.endorsements, **self.shown})

        shown = named

    office.platform.kind = Kind.TPM
    office.broker._credential = lambda identity: (b"for " + identity["ek"], secret)
    key = office.key(workers=9)
    assert office.get(office.request(attester=Tpm(office.platform))) == key
    assert office.judged[-1][2] is True
    for change in ({"opens": b"x" * 32}, {"opens": b""}, {"shown": {"ek": b"endorsement", "ak": b"another"}}):
        tpm = type("Changed", (Tpm,), change)(office.platform)
        refused(Code.HARDWARE_MISMATCH, office.get, office.request(attester=tpm))
    silent = type("Silent", (Tpm,), {"named": {}})(office.platform)
    assert office.get(office.request(attester=silent)) == key
    assert office.judged[-1][2] is False  # what that is worth is the appraisal's to say


def test_evidence_for_a_credential_must_be_of_a_tpm(office):
    office.broker._credential = lambda identity: (b"c", b"s" * 32)
    office.key()
    machine = Machine(office.platform)
    machine.identity = lambda: {"ek": b"e"}  # type: ignore[method-assign]
    machine.activate = lambda credential: b"s" * 32  # type: ignore[method-assign]
    refused(Code.HARDWARE_MISMATCH, office.get, office.request(attester=machine))


def test_an_identity_that_cannot_be_read_is_refused(office):
    def unreadable(identity):
        raise Refused(Code.MALFORMED, "no key")

    office.broker._credential = unreadable
    office.key()
    machine = Machine(office.platform)
    machine.identity = lambda: {"ek": b"e"}  # type: ignore[method-assign]
    refused(Code.MALFORMED, office.get, office.request(attester=machine))
    message = office.request().challenge()
    refused(Code.MALFORMED, office.broker.challenge, HOST, {**message, "identity": {"ek": "AAA"}})
