# SPDX-License-Identifier: Apache-2.0
"""Attestation pages over a room whose nodes attested each other, and evidence that is pasted."""

# mypy: allow-untyped-defs, allow-incomplete-defs, disable-error-code="union-attr,index,dict-item"

from __future__ import annotations

import json
import re
from html import unescape

import pytest
from tests.appraisals import BINDING
from tests.conftest import Place, make_place
from tests.console.records_world import ROOM, World, copied
from tests.unit.attestation.brokers import Ended
from tests.unit.attestation.brokers import attested as deletion_room
from tests.unit.node import attested_world

from hitoku.attestation.attest.dev import DevAttester, make_key_file
from hitoku.console.users import May
from hitoku.console.work import attestation as work
from hitoku.errors import HitokuError
from hitoku.room.ledger import EntryKind

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def attested(tmp_path_factory):
    """Two owners whose nodes attested each other, and who then refused another program."""
    world = attested_world.make(tmp_path_factory.mktemp("attested"))
    world.ask()
    world.runs("telco", attested_world.OTHER)
    with pytest.raises(HitokuError):
        world.ask()
    return Place(world.path, world.members, world.room)


@pytest.fixture
def world(attested, tmp_path):
    return World(copied(attested, tmp_path / "world"), "shop")


@pytest.fixture
def base(world):
    return f"/rooms/{world.place.agreement.id}/attestation"


def text_of(page):
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page)))


def test_a_room_without_attestation_says_so(place):
    world = World(place)
    page = world.get(f"/rooms/{ROOM}/attestation")
    assert "This room demands no attestation" in page


def test_it_says_what_runs_where_since_when_and_why(world, base):
    page = text_of(world.get(base))
    assert "What runs where" in page
    assert "telco" in page
    assert "MEASUREMENT_MISMATCH" in page  # the newest of telco: another program runs there now
    assert "accepted, and said so in every answer" in page
    assert "1.0" in page
    assert "in force" in page
    assert "shop, telco" in page
    assert "None of its own" in page


def test_the_newest_decision_stands_and_since_begins_with_the_first_like_it(world):
    entry = world.context.rooms(world.user)[0]
    given = work.decisions(world.context, entry)
    running = {one.who: (one, since) for one, since in work.running(given)}
    assert running["telco"][0].outcome == "refused"
    accepted = [one for one in given if one.who == "telco" and one.outcome == "accepted"]
    assert accepted
    only = {one.who: (one, since) for one, since in work.running(accepted)}
    assert only["telco"][1] == accepted[-1].entry.time


def test_decisions_are_for_auditors(world, base):
    world.user = world.somebody(May.ASK)
    page = world.get(base)
    assert "MEASUREMENT_MISMATCH" not in page
    assert "What the room demands" in page
    world.get(f"{base}/evidence/sha256:00", 403)
    world.user = world.somebody(*May, rooms=frozenset())
    for path in ("", "/check", "/deletion", "/evidence/sha256:00"):
        world.get(base + path, 404)


def test_kept_evidence_is_shown_by_its_hash(world, base, pasted):
    from hitoku.attestation.evidence import Evidence
    from hitoku.room import keytables

    Evidence.from_dict(json.loads(pasted(attested_world.PROGRAM)))
    row = {"room": str(world.place.agreement.id), "hash": "sha256:" + "a" * 64, "run": HOSTILE[:32]}
    row |= {"content": pasted(attested_world.PROGRAM).encode(), "ear": b"not.a.jwt"}
    other = {**row, "room": "11111111-2222-3333-4444-555555555555", "hash": "sha256:" + "b" * 64}
    with world.store.transaction() as connection:
        connection.execute(keytables.evidence.insert(), [row, other])
    page = world.get(f"{base}/evidence/{row['hash']}")
    assert attested_world.PROGRAM in page
    assert "<script>" not in page.split("</head>")[1]
    world.get(f"{base}/evidence/{other['hash']}", 404)


@pytest.fixture
def pasted(world):
    """Makes evidence of a program with a dev key, as JSON."""

    def made(program):
        path = world.directory.path / f"{program[:6]}.key"
        if not path.exists():
            make_key_file(path, program)
        found = DevAttester.open(path).attest(BINDING)
        return json.dumps(found.to_dict())

    return made


def test_pasted_evidence_of_a_signed_program_would_be_trusted(world, base, pasted):
    page = text_of(world.post(f"{base}/check", text=pasted(attested_world.PROGRAM)).text)
    assert "It would be trusted here" in page
    assert "The members signed for this program holds 1.0 (node)" in page
    assert "It answers a challenge of this room and runs now not from a file" in page
    assert "software_rooted true" in page


def test_pasted_evidence_of_another_program_is_refused_and_says_why(world, base, pasted):
    page = text_of(world.post(f"{base}/check", text=pasted(attested_world.OTHER)).text)
    assert "It is refused here." in page
    assert "MEASUREMENT_MISMATCH" in page
    assert "The members signed for this program fails" in page


def test_a_policy_is_applied_and_every_condition_told(world, base, pasted):
    from hitoku.attestation.kept import Kept
    from hitoku.attestation.policy import Policy

    conditions = {"allOf": [{"equals": ["kind", "dev"]}, {"gte": ["tcb.none", 3]}]}
    Kept(world.directory, world.records(str(world.place.agreement.id))).set_policy(Policy(conditions))
    assert "tcb.none is at least 3" in world.get(base)
    page = text_of(world.post(f"{base}/check", text=pasted(attested_world.PROGRAM)).text)
    assert "POLICY" in page
    assert 'kind is "dev" true' in page
    assert "tcb.none is at least 3 unknown" in page


def test_a_changed_signature_and_garbage_are_refused(world, base, pasted):
    good = json.loads(pasted(attested_world.PROGRAM))
    import base64

    raw = base64.urlsafe_b64decode(good["cmw"][1] + "==")
    changed = raw.replace(attested_world.PROGRAM[:8].encode(), b"deadbeef")
    good["cmw"][1] = base64.urlsafe_b64encode(changed).rstrip(b"=").decode()
    assert "It is refused here." in world.post(f"{base}/check", text=json.dumps(good)).text
    for text in (HOSTILE, "00" * 5_000, "[" * 10_000, '{"cmw": 7}', "A" * 900_000):
        page = world.post(f"{base}/check", text=text).text
        assert "It is refused here." in page
        assert "<script>alert" not in page
    assert "Paste evidence or choose a file." in world.post(f"{base}/check", text=" ").text


def test_a_room_that_wants_hardware_refuses_dev_evidence(world, base, pasted, tmp_path):
    text = pasted(attested_world.PROGRAM)
    strict = make_place(tmp_path / "strict", lambda data: data.update(attestation={"accept": ["nitro"]}))
    page = text_of(World(strict).post(f"/rooms/{ROOM}/attestation/check", text=text).text)
    assert "the room accepts nitro, and not dev" in page


@pytest.fixture
def ended(tmp_path, clock):
    """A run of an enclave that ended with everybody's keys deleted."""
    made = Ended(make_place(tmp_path / "ended", deletion_room), clock)
    yield made
    made.close()


def test_a_certificate_of_deletion_is_read_again(ended):
    certificate = ended.certificate()
    world = World(ended.place)
    page = text_of(world.post(f"/rooms/{ROOM}/attestation/deletion", text=json.dumps(certificate)).text)
    assert "The certificate holds." in page
    assert "Some of the evidence is software's" in page
    assert "It does not show that no copy exists elsewhere" in page
    assert "airport flights dev" in page
    certificate["run"] = "0" * 32
    page = text_of(world.post(f"/rooms/{ROOM}/attestation/deletion", text=json.dumps(certificate)).text)
    assert "It does not hold" in page
    assert "The certificate holds." not in page


def test_what_is_no_certificate_of_deletion(world, base):
    for text in ("", "{}", "[]", HOSTILE, '{"format": "hitoku/deletion-certificate/1"}'):
        page = world.post(f"{base}/deletion", text=text).text
        assert "It does not hold" in page
        assert "<script>alert" not in page


def test_names_in_decisions_are_escaped(world, base):
    records = world.records(str(world.place.agreement.id))
    body = dict.fromkeys(("run", "host", "code", "reason", "evidence", "program", "kind"), HOSTILE)
    with world.store.transaction() as connection:
        records.ledger.append(connection, EntryKind.KEY_REFUSAL, body)
        records.ledger.append(connection, EntryKind.APPRAISAL, body)
    page = world.get(base)
    assert "&lt;script&gt;" in page
    assert "<script>alert" not in page
