# SPDX-License-Identifier: Apache-2.0
"""A member's reference values and policy live in its ledger: nothing of them goes back."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa
from tests.appraisals import BINDING, PCR0, PROGRAM, evidence_of, nitro
from tests.attestation_pki import NOW
from tests.conftest import Place

from hitoku.attestation.appraiser import Appraiser
from hitoku.attestation.codes import Code, Refused
from hitoku.attestation.kept import POLICY_FILE, Kept
from hitoku.attestation.policy import FORMAT, Policy
from hitoku.attestation.reference import ReferenceValue
from hitoku.errors import InputError
from hitoku.room import store as tables
from hitoku.room.ledger import EntryKind

OTHER = "ee" * 48


class World:
    def __init__(self, place: Place, clock: Any) -> None:
        self.place, self.clock = place, clock
        self.agreement = place.agreement
        self.directory = place.members["airport"]
        self.records = self.directory.records(str(self.agreement.id), clock)

    def kept(self) -> Kept:
        return Kept(self.directory, self.records)

    def value(self, *signers: str, **changes: Any) -> ReferenceValue:
        data: dict[str, Any] = {
            "room": self.agreement.id,
            "serial": 1,
            "program": PROGRAM,
            "version": "1.0.0",
            "kind": "nitro",
            "measurements": {"pcr0": [PCR0]},
            "not_after": "2027-06-01T00:00:00Z",
        }
        made = ReferenceValue.model_validate(data | changes)
        for name in signers:
            made = made.sign(name, self.place.members[name].keys({}))
        return made

    def changes(self) -> list[str]:
        return [e.body["change"] for e in self.records.ledger.entries(0, EntryKind.REFERENCE)]


@pytest.fixture
def world(make, clock):
    clock.time = NOW
    made = World(make(lambda data: data.update(attestation={"accept": ["nitro"]})), clock)
    yield made
    made.records.store.close()


def test_statements_are_kept_in_the_ledger(world):
    kept = world.kept()
    assert kept.registry(world.agreement).entries == ()
    kept.put([world.value("airport")], world.agreement, "add")
    assert kept.registry(world.agreement).in_force(world.agreement) == ()
    kept.put([world.value("registry")], world.agreement, "import")
    (entry,) = world.kept().registry(world.agreement).in_force(world.agreement)
    assert entry.signers(world.agreement) == {"airport", "registry"}
    assert world.changes() == ["add", "import"]
    assert world.kept().registry(world.agreement).serial == 2


def test_what_changes_nothing_is_not_written(world):
    kept = world.kept()
    kept.put([world.value("airport")], world.agreement, "add")
    kept.put([world.value("airport")], world.agreement, "import")
    assert world.changes() == ["add"]


def test_all_of_an_import_or_nothing(world):
    kept = world.kept()
    kept.put([world.value("airport", "registry", serial=5)], world.agreement, "add")
    other = world.value("airport", program=OTHER, measurements={"pcr0": [OTHER]})
    with pytest.raises(Refused, match="rolled back"):
        kept.put([other, world.value("airport", "registry", serial=4)], world.agreement, "import")
    assert world.changes() == ["add"]
    assert kept.registry(world.agreement).about(OTHER) == ()


def test_several_programs_are_kept_apart(world):
    other = world.value("airport", "registry", program=OTHER, measurements={"pcr0": [OTHER]})
    world.kept().put([world.value("airport", "registry"), other], world.agreement, "import")
    found = world.kept().registry(world.agreement).in_force(world.agreement)
    assert {e.program for e in found} == {PROGRAM, OTHER}


def test_another_process_sees_it_at_once(world):
    here, there = world.kept(), world.kept()
    here.put([world.value("airport", "registry")], world.agreement, "add")
    assert len(there.registry(world.agreement).in_force(world.agreement)) == 1
    here.put([world.value("airport", serial=2, revoked=True)], world.agreement, "revoke")
    (entry,) = there.registry(world.agreement).in_force(world.agreement)
    assert entry.revoked
    assert [e.serial for e in there.registry(world.agreement).entries] == [2]


def test_the_ledger_does_not_go_back(world):
    kept = world.kept()
    kept.put([world.value("airport", "registry")], world.agreement, "add")
    with world.records.store.transaction() as connection:
        rows = connection.execute(sa.select(tables.entries)).all()
        body = rows[-1].body.replace(b"2027-06-01", b"2037-06-01")
        connection.execute(
            sa.update(tables.entries).where(tables.entries.c.seq == rows[-1].seq).values(body=body)
        )
    # The statement's own signatures do not hold any more, and the ledger shows that it was edited.
    assert world.kept().registry(world.agreement).in_force(world.agreement) == ()
    from hitoku.errors import RoomError
    from hitoku.room.heads import member_signed

    with pytest.raises(RoomError, match="signed root"):
        world.records.ledger.verify(member_signed(world.agreement))


@pytest.mark.parametrize("body", [{"change": "add"}, {}, {"change": "policy", "policy": {"xor": []}}])
def test_an_entry_that_lacks_something_refuses(world, body):
    with world.records.store.transaction() as connection:
        world.records.ledger.append(connection, EntryKind.REFERENCE, body)
    with pytest.raises(Refused) as caught:
        world.kept().registry(world.agreement)
    assert caught.value.code is Code.REFERENCE


def test_junk_in_the_ledger_refuses(world):
    with world.records.store.transaction() as connection:
        world.records.ledger.append(
            connection, EntryKind.REFERENCE, {"change": "add", "statement": {"serial": 1}}
        )
    with pytest.raises(Refused) as caught:
        world.kept().registry(world.agreement)
    assert caught.value.code is Code.REFERENCE


def test_the_policy_in_force_is_the_one_that_was_set(world):
    kept = world.kept()
    assert kept.policy() == Policy()
    policy = Policy({"equals": ["kind", "nitro"]})
    kept.set_policy(policy)
    assert world.kept().policy() == policy
    kept.set_policy(Policy())
    assert world.kept().policy() == Policy()
    assert world.changes() == ["policy", "policy"]


def test_a_file_that_was_not_set_is_no_policy(world):
    file = world.directory.path / POLICY_FILE
    file.parent.mkdir()
    loose = {"format": FORMAT, "allow": {"exists": "kind"}}
    file.write_text(json.dumps(loose))
    with pytest.raises(Refused, match="is not the policy in force") as caught:
        world.kept().policy()
    assert caught.value.code is Code.POLICY
    world.kept().set_policy(Policy.open(file))
    assert world.kept().policy().allow == loose["allow"]
    file.write_text(json.dumps(loose | {"allow": {"exists": "a"}}))
    with pytest.raises(Refused):
        world.kept().policy()
    file.write_text("{")
    with pytest.raises(InputError):
        world.kept().policy()


def test_an_appraiser_reads_what_is_in_force_now(world):
    appraiser = Appraiser(
        world.directory,
        lambda: world.place.room,
        world.records,
        world.directory.keys({}),
        world.clock,
    )
    kept = world.kept()
    with nitro().trusted():
        with pytest.raises(Refused) as caught:
            appraiser.appraise(evidence_of(), BINDING)
        assert caught.value.code is Code.MEASUREMENT_MISMATCH
        kept.put([world.value("airport", "registry")], world.agreement, "add")
        appraisal = appraiser.appraise(evidence_of(), BINDING)
        assert appraisal.program == PROGRAM
        with pytest.raises(Refused):
            appraiser.appraise(evidence_of(), BINDING, purpose="node")
        kept.set_policy(Policy({"exists": "nothing"}))
        with pytest.raises(Refused) as caught:
            appraiser.appraise(evidence_of(), BINDING)
        assert caught.value.code is Code.POLICY
        kept.set_policy(Policy())
        kept.put([world.value("registry", serial=2, revoked=True)], world.agreement, "revoke")
        with pytest.raises(Refused) as caught:
            appraiser.appraise(evidence_of(), BINDING)
        assert caught.value.code is Code.REVOKED


def test_many_threads_read_one_state(world):
    kept = world.kept()
    kept.put([world.value("airport", "registry")], world.agreement, "add")
    shared = world.kept()
    with ThreadPoolExecutor(8) as pool:
        digests = set(pool.map(lambda _: shared.registry(world.agreement).digest, range(32)))
    assert digests == {kept.registry(world.agreement).digest}
