# SPDX-License-Identifier: Apache-2.0
"""Deletion certificates: made of what the host carried, and checked whole."""

from __future__ import annotations

import json
from dataclasses import replace

from tests.unit.attestation.brokers import HOST, PROGRAM, RUN, refused

from hitoku.attestation.certificate import check_certificate
from hitoku.attestation.codes import Code
from hitoku.room.keys import FileKeyStore, generate_key
from hitoku.room.ledger import Inclusion
from hitoku.room.signing import problems, sign
from hitoku.room.versions import revise


def test_what_the_host_carried_is_a_certificate(ended):
    made = ended.certificate()
    checked = check_certificate(made, ended.place.room)
    assert (checked.run, checked.program, checked.host) == (RUN, PROGRAM, HOST)
    assert checked.software_rooted is True
    assert set(checked.inputs) == {"flights", "planes"}
    assert set(checked.outputs) == {"airport"}
    assert [(b.broker, b.tables, b.evidence) for b in checked.brokers] == [
        ("airport", ("flights",), "dev"),
        ("registry", ("planes",), "dev"),
    ]
    for broker in checked.brokers:
        desk = ended.desks[broker.broker]
        entry = list(desk.records.ledger.entries())[broker.entry]
        assert (entry.kind.value, entry.body["run"]) == ("tombstone", RUN)
        assert any("whoever has the key" in line for line in broker.not_checked)
    assert json.loads(json.dumps(checked.to_dict()))["program"] == PROGRAM


def test_a_proof_from_after_a_change_of_key_holds(ended, tmp_path):
    """The owner changed its key since, signed its ledger's head again, and gave the proof under that."""
    (tmp_path / "new").mkdir()
    generate_key(tmp_path / "new")
    place, new = ended.place, FileKeyStore(tmp_path / "new")
    members = [m.model_dump(mode="json") for m in place.agreement.members]
    changed = [m | {"key": new.public_key()} if m["name"] == "registry" else m for m in members]
    room = revise(place.room, {"members": changed})
    for name, keys in [(n, d.keys({})) for n, d in place.members.items()] + [("registry", new)]:
        room = sign(room, name, keys)
    assert problems(room) == ()
    made = ended.certificate()
    assert check_certificate(made, room).run == RUN
    part = next(one for one in made["brokers"] if one["broker"] == "registry")
    proof = Inclusion.from_dict(part["proof"])
    head = replace(proof.head, signature=new.sign(proof.head.message()))
    part["proof"] = replace(proof, head=head).to_dict()
    assert check_certificate(made, room).run == RUN
    refused(Code.SIGNATURE, check_certificate, made, place.room)


def test_no_key_is_in_it(ended):
    text = json.dumps(ended.certificate())
    for owner in ended.desks:
        assert ended.carried[owner]["released"]["ciphertext"] not in text
        assert ended.carried[owner]["released"]["enc"] not in text


def test_it_holds_after_the_ledger_grew_and_is_the_same_when_asked_again(ended):
    first = ended.certificate()
    for desk in ended.desks.values():
        refused(Code.TOMBSTONED, desk.broker.challenge, HOST, desk.request().challenge())
    again = ended.certificate()
    assert [p["tombstone"] for p in again["brokers"]] == [p["tombstone"] for p in first["brokers"]]
    assert check_certificate(again, ended.place.room).brokers[0].size > 0
    assert check_certificate(first, ended.place.room).run == RUN


def test_it_holds_in_a_later_version_of_the_room(ended):
    made = ended.certificate()
    later = revise(ended.place.room, {"name": "A new name"})
    for name, directory in ended.place.members.items():
        later = sign(later, name, directory.keys({}))
    assert check_certificate(made, later).run == RUN
    alone = later.model_copy(update={"history": ()})
    refused(Code.BINDING, check_certificate, made, alone)
