# SPDX-License-Identifier: Apache-2.0
"""A member's key in hostile hands, between two nodes that compute private cross statistics.

What the room forbids is refused by the other owner's node; nothing is charged that would not be charged
anyway, nothing is begun, and nothing leaves or stays. What was shown is charged, whatever its leader says.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from tests.e2e.crosstab_world import LED_BY_CLINIC, OUTSIDER, OWNERS, Asking, World, appears, new_run, serving
from tests.unit.transport.https.parties import party

from hitoku.ask.asker import common_fields
from hitoku.ask.common import examine
from hitoku.disclosure.answer import Answer
from hitoku.errors import PeerError, Refusal
from hitoku.node.certificate import certificate_file
from hitoku.node.settings import NodeSettings
from hitoku.ports import SystemClock
from hitoku.protections.crosstab.protection import _shape, parameters
from hitoku.protections.crosstab.terms import Offer
from hitoku.room.consent import give_consent
from hitoku.room.jobs import JobState
from hitoku.transport.https.client import HttpsNetwork
from hitoku.transport.https.fetching import HttpsParcels
from hitoku.transport.in_process import InProcessPeers
from hitoku.transport.parcels import write_parcel

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

JSON = pa.schema([pa.field("json", pa.binary(), nullable=False)])
PARCELS = ("offer-a", "offer-b", "points-a", "points-b", "tags-a", "cells-a", "sums-b")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with serving(tmp_path_factory.mktemp("hostile")) as made:
        yield made


class Hostile:
    """A member's key, and what can be said with it to the others' nodes."""

    def __init__(self, world: World, me: str, files: tuple[Path, Path] | None = None) -> None:
        self.world, self.me = world, me
        member = world.member(me)
        self.keys = member.keys()
        certificate, key = files or (certificate_file(member), member.key_file)
        peers = {name: NodeSettings.open(world.path / name).url for name in OWNERS if name != me}
        self.network = HttpsNetwork(me, world.room.agreement, peers, certificate, key)
        self.peers: InProcessPeers = self.network.join(me, lambda sender, message: message)
        self.parcels = HttpsParcels(self.network)
        self.examined = examine(LED_BY_CLINIC, world.room, "clinic", ("clinic",))
        self.common = common_fields(LED_BY_CLINIC, self.examined, None)

    def say(self, member: str, kind: str, **fields: Any) -> dict[str, Any]:
        return self.peers.call(member, {"kind": f"hitoku/{kind}/1", **fields})

    def refused(self, member: str, kind: str, **fields: Any) -> str:
        """The code of the refusal that there must be."""
        with pytest.raises(Refusal) as caught:
            self.say(member, kind, **fields)
        return caught.value.code

    def consent(self, run: str, owner: str = "insurer") -> dict[str, Any]:
        """Another owner's consent to a run, in all honesty."""
        said = self.say(owner, "consent-request", host="clinic", run=run, repeats=None, **self.common)
        found: dict[str, Any] = said["consent"]
        return found

    def forged(self, run: str, owner: str = "insurer", **changes: str) -> dict[str, Any]:
        """A consent with this member's signature; its own where it is the owner."""
        question, plan = self.examined.question, self.examined.plan
        facts: dict[str, Any] = {
            "owner": owner,
            "room": question.room_hash,
            "question": question.hash,
            "plan": plan.hash,
            "protection": "crosstab",
            "asker": "clinic",
            "host": "clinic",
            "run": run,
        }
        made = give_consent(self.keys, SystemClock().now(), **{**facts, **changes})
        return made.model_dump(mode="json")

    def begin(self, run: str, consents: list[dict[str, Any]], **changes: Any) -> dict[str, Any]:
        """The fields of a Begin."""
        return {**self.common, "run": run, "asker": "clinic", "consents": consents, **changes}

    def code_of(self, member: str, run: str, name: str) -> str | None:
        """What is said when a parcel is asked for."""
        with pytest.raises(PeerError) as caught:
            list(self.parcels.fetch(member, run, name, JSON, 1, 0))
        return caught.value.code


@pytest.fixture(scope="module")
def hostile(world: World) -> Iterator[Hostile]:
    made = Hostile(world, "clinic")
    yield made
    made.network.close()


@pytest.fixture(scope="module")
def outsider(world: World) -> Iterator[Hostile]:
    made = Hostile(world, OUTSIDER)
    yield made
    made.network.close()


def state(world: World) -> object:
    """All that an attack could leave: jobs, runs' files, charges."""
    return (
        {name: {run: job.state for run, job in world.jobs(name).items()} for name in OWNERS},
        {name: sorted(p.name for p in world.path.glob(f"{name}/runs/*")) for name in OWNERS},
        {name: world.charged(name) for name in OWNERS},
        {name: sorted(p.name for p in world.path.glob(f"{name}/runs/*/left-*")) for name in OWNERS},
    )


@pytest.fixture
def unchanged(world: World) -> Iterator[None]:
    before = state(world)
    yield
    assert state(world) == before


def fresh() -> str:
    return uuid.uuid4().hex


@pytest.mark.usefixtures("unchanged")
def test_no_run_begins_without_the_owners_own_consent(hostile: Hostile) -> None:
    run = fresh()
    mine = hostile.forged(run, "clinic")
    for consents, code in (
        ([], "CONSENT_MISSING"),
        ([mine], "CONSENT_MISSING"),
        ([mine, hostile.forged(run)], "CONSENT_FORGED"),
        ([mine, hostile.forged(run, OUTSIDER)], "CONSENT_UNEXPECTED"),
        ([mine, mine], "CONSENT_UNEXPECTED"),
    ):
        assert hostile.refused("insurer", "begin", **hostile.begin(run, consents)) == code


def test_a_consent_is_for_one_run_one_question_one_plan(world: World, hostile: Hostile) -> None:
    run = fresh()
    consents = [hostile.forged(run, "clinic"), hostile.consent(run)]
    before = state(world)
    other = fresh()
    assert world.charged("insurer")[run] == 1  # the consent is what is charged
    for fields, code in (
        (hostile.begin(other, consents), "CONSENT_MISMATCH"),
        (hostile.begin(other, [hostile.forged(other, "clinic"), consents[1]]), "CONSENT_MISMATCH"),
        (hostile.begin(run, consents, receivers=["clinic", "insurer", OUTSIDER]), "CONSENT_MISMATCH"),
        (hostile.begin(run, consents, users_noise=20), "CONSENT_MISMATCH"),
        (hostile.begin(run, consents, sql=LED_BY_CLINIC.replace("SUM", "AVG")), "CONSENT_MISMATCH"),
        (hostile.begin(run, consents, asker="insurer"), "CONSENT_MISMATCH"),
        (hostile.begin(run, consents, room="sha256:" + "0" * 64), "ROOM_DIFFERS"),
        (hostile.begin(run, consents, protection="tokens"), "NO_PROTECTION"),
        (hostile.begin(run, consents, asker=OUTSIDER), "ANALYSIS_NOT_ALLOWED"),
    ):
        assert hostile.refused("insurer", "begin", **fields) == code, fields
    assert state(world) == before
    # Given up before it began, it costs nothing, and the consent is of no use any more.
    hostile.say("insurer", "settle", run=run, outcome="aborted", question=None, answer=None)
    assert world.charged("insurer")[run] == 0
    assert hostile.refused("insurer", "begin", **hostile.begin(run, consents)) == "CONSENT_REPLAYED"
    assert run not in world.jobs("insurer")


def test_nobody_but_the_owner_who_leads_may_begin_settle_or_wait(
    world: World, hostile: Hostile, outsider: Hostile
) -> None:
    run = fresh()
    consents = [hostile.forged(run, "clinic"), hostile.consent(run)]
    before = state(world)
    assert outsider.refused("insurer", "begin", **hostile.begin(run, consents)) == "HOST_NOT_ALLOWED"
    settle = {"run": run, "outcome": "aborted", "question": None, "answer": None}
    assert outsider.refused("insurer", "settle", **settle) == "NO_SUCH_RUN"
    assert outsider.refused("insurer", "run-wait", run=run) == "NO_SUCH_RUN"
    assert state(world) == before
    hostile.say("insurer", "settle", **settle)


def test_a_finished_run_does_not_run_again(world: World, hostile: Hostile) -> None:
    before = world.runs()
    world.check(world.ask())
    (run,) = world.runs() - before
    world.settled(run)
    job, there = world.jobs("insurer")[run], state(world)
    request = job.request
    import json

    told = json.loads(request)
    # The very same message is answered as it was, and nothing happens; any other is refused.
    kind = told.pop("kind").split("/")[1]
    assert hostile.say("insurer", kind, **told)["run"] == run
    consents = [hostile.forged(run, "clinic"), *[c for c in told["consents"] if c["owner"] == "insurer"]]
    told["consents"] = consents
    assert hostile.refused("insurer", kind, **told) == "CONSENT_REPLAYED"
    assert {hostile.code_of("insurer", run, name) for name in PARCELS} == {"RUN_ENDED"}
    settle = {"run": run, "outcome": "aborted", "question": None, "answer": None}
    hostile.say("insurer", "settle", **settle)  # too late to have its charge given back
    time.sleep(0.5)
    assert state(world) == there


def test_parcels_are_for_the_other_owner_of_their_run_alone(
    world: World, hostile: Hostile, outsider: Hostile
) -> None:
    """During a run and after it. The names of parcels that a side does not send are nobody's."""
    before = world.runs()
    asking = Asking(world)
    run = new_run(world, before, asking.going)
    assert run is not None
    assert appears(world.path / "insurer" / "runs" / run / "left-offer-b", asking.going)
    for name in PARCELS:
        assert outsider.code_of("insurer", run, name) == "NO_SUCH_PARCEL"
        assert outsider.code_of("clinic", run, name) == "NO_SUCH_PARCEL"
    for name in ("offer-a", "points-a", "cells-a", "secrets", "input", "figures"):
        assert hostile.code_of("insurer", run, name) in {"NO_SUCH_PARCEL", "RUN_ENDED"}
    answer = asking.end()
    assert isinstance(answer, Answer)
    world.settled(run)
    for name in (*PARCELS, "secrets"):
        assert outsider.code_of("insurer", run, name) == "NO_SUCH_PARCEL"
        assert hostile.code_of("insurer", fresh(), name) == "NO_SUCH_PARCEL"


def test_a_leader_that_gives_up_after_it_saw_something_pays(world: World, hostile: Hostile) -> None:
    """Otherwise it could look at noise after noise of one figure, and have each look given back."""
    before = world.runs()
    asking = Asking(world)
    run = new_run(world, before, asking.going)
    assert run is not None
    assert appears(world.path / "insurer" / "runs" / run / "left-tags-a", asking.going)
    settle = {"run": run, "outcome": "aborted", "question": None, "answer": None}
    hostile.say("insurer", "settle", **settle)
    asking.end()
    world.settled(run)
    assert world.charged("insurer")[run] == 1


def test_another_certificate_than_a_members_gets_nowhere(
    world: World, hostile: Hostile, tmp_path: Path
) -> None:
    stranger = party(tmp_path, "stranger")
    other = Hostile(world, "clinic", (stranger.certificate, stranger.key_file))
    before = state(world)
    run = fresh()
    try:
        with pytest.raises(PeerError) as caught:
            other.say("insurer", "begin", **other.begin(run, []))
        assert caught.value.code is None  # nobody answered
        with pytest.raises(PeerError):
            other.network.version("insurer")
    finally:
        other.network.close()
    assert state(world) == before
    assert hostile.network.version("insurer").version == 1


@pytest.mark.parametrize("larger", [0, 1])
def test_a_second_offer_in_one_run_ends_it(world: World, larger: int) -> None:
    """A leader that makes another offer after its node was started again would see b's mask twice.

    The run goes on where the file is the same, so the difference is what ends it.
    """
    before = world.runs()
    asking = Asking(world)
    run = new_run(world, before, asking.going)
    assert run is not None
    at = {name: world.path / name / "runs" / run for name in OWNERS}
    assert appears(at["insurer"] / "terms", asking.going)
    world.kill("insurer")
    world.kill("clinic")
    assert not (at["insurer"] / "left-sums-b").exists(), "too late"
    told = (at["insurer"] / "left-tags-a").exists()
    file = at["clinic"] / "parcels" / "offer-a.arrow"
    with pa.OSFile(str(file), "rb") as source:
        (content,) = pa.ipc.open_file(source).read_all().column(0).to_pylist()
    examined = examine(LED_BY_CLINIC, world.room, "clinic", ("clinic",))
    shape = _shape(examined.question, world.room)
    public = parameters(examined.question, examined.plan, shape, run)
    clinic = world.member("clinic")
    first = Offer.model_validate_json(content)
    sizes = list(first.sizes)
    sizes[0] += larger
    offer = Offer.make("a", public, sizes, bytes.fromhex(first.nonce), None, clinic.keys())
    column = pa.array([offer.dump()], pa.binary())
    write_parcel(file, JSON, [pa.RecordBatch.from_arrays([column], schema=JSON)])
    world.start()
    ended = asking.end()
    states = world.settled(run)
    if larger:
        assert not isinstance(ended, Answer)
        assert set(states.values()) == {JobState.FAILED}
        assert (at["insurer"] / "left-tags-a").exists() == told
    else:
        assert isinstance(ended, Answer), ended
        world.check(ended)
    assert world.charged("insurer")[run] == world.charged("clinic")[run] == 1
