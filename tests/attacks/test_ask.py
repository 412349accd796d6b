# SPDX-License-Identifier: Apache-2.0
"""Members that lie to each other on the way of a question: the others must notice, each for itself."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from hitoku import ask as way
from hitoku.disclosure.answer import Answer
from hitoku.errors import PeerError, Refusal
from hitoku.node.local import LocalNode
from hitoku.ports import NoProgress, SystemClock
from hitoku.room.canonical import agreement_hash
from hitoku.transport.in_process import InProcessNetwork

RUN = "ab" * 16


class Tapped(InProcessNetwork):
    """A network that remembers, and lets a test change, what goes over it."""

    def __init__(self):
        super().__init__()
        self.log = []
        self.change = lambda sender, receiver, content: content
        self.change_answer = lambda sender, receiver, content: content

    def carry(self, sender, receiver, content):
        content = self.change(sender, receiver, content)
        self.log.append((sender, receiver, content))
        return self.change_answer(sender, receiver, super().carry(sender, receiver, content))


@pytest.fixture
def world(filled, request):
    network = Tapped()
    clock = SystemClock()
    nodes = {n: LocalNode(d, filled.room, network, clock, NoProgress()) for n, d in filled.members.items()}
    yield SimpleNamespace(network=network, nodes=nodes, place=filled, room=filled.room)
    for node in nodes.values():
        node.close()


def _ask(world, sql, me="airport", **more):
    return way.ask(sql, world.room, world.nodes[me].peers, world.nodes[me].records, NoProgress(), **more)


def _run_request(world):
    import json

    sent = (json.loads(content) for _, receiver, content in world.network.log if receiver == "host")
    return next(message for message in sent if message["kind"] == "hitoku/run-request/1")


def test_the_hosts_run_request_cannot_be_sent_again(world, question):
    _ask(world, question)
    request = _run_request(world)
    with pytest.raises(Refusal) as caught:
        world.nodes["airport"].peers.call("host", request)
    assert caught.value.code == "CONSENT_REPLAYED"


def test_consents_do_not_serve_another_question_receiver_or_asker(world, question):
    _ask(world, question)
    request = _run_request(world)
    peers = world.nodes["airport"].peers
    other = question.replace("AVG(f.arr_delay) AS delay", "COUNT(f.tailnum) AS flights")
    changes: tuple[dict[str, Any], ...] = (
        {"sql": other},
        {"receivers": ["registry"]},
        {"run": "cd" * 16},
        {"consents": []},
    )
    for change in changes:
        with pytest.raises(Refusal) as caught:
            peers.call("host", {**request, **change})
        assert caught.value.code in {"CONSENT_MISMATCH", "CONSENT_MISSING"}
    with pytest.raises(Refusal) as caught:
        world.nodes["registry"].peers.call("host", request)
    assert caught.value.code == "NOT_AN_ASKER"


def test_a_question_that_the_host_refuses_is_not_run_even_with_consents(world, question, refused):
    _ask(world, question)
    request = _run_request(world)
    with pytest.raises(Refusal) as caught:
        world.nodes["airport"].peers.call("host", {**request, "sql": refused, "run": "cd" * 16})
    assert caught.value.code not in {"CONSENT_MISMATCH", "CONSENT_REPLAYED"}


def _consent_request(world, question, **change):
    return {
        "kind": "hitoku/consent-request/1",
        "sql": question,
        "room": agreement_hash(world.room.agreement),
        "host": "host",
        "run": RUN,
        "receivers": ["airport"],
        "protection": "tokens",
        **change,
    }


def test_an_owner_checks_for_itself(world, question, refused):
    peers = world.nodes["airport"].peers
    cases: tuple[tuple[str, dict[str, Any], str | None], ...] = (
        (refused, {}, None),
        (question, {"host": "registry"}, "HOST_NOT_ALLOWED"),
        (question, {"host": "nobody"}, "HOST_NOT_ALLOWED"),
        (question, {"receivers": ["host"]}, "RECEIVER_NOT_ALLOWED"),
        (question, {"room": "sha256:" + "0" * 64}, "ROOM_DIFFERS"),
        (question, {"protection": "shares"}, "NO_PROTECTION"),
        ("SELECT AVG(arr_delay) AS n FROM flights", {}, "NOT_AN_OWNER"),
        ("SELECT 1; DROP TABLE flights", {}, None),
    )
    for sql, change, code in cases:
        with pytest.raises(Refusal) as caught:
            peers.call("registry", _consent_request(world, sql, **change))
        assert code is None or caught.value.code == code


def test_an_owner_does_not_consent_to_who_may_not_ask(world, question):
    with pytest.raises(Refusal) as caught:
        world.nodes["host"].peers.call("airport", _consent_request(world, question))
    assert caught.value.code == "NOT_AN_ASKER"


def test_members_answer_only_their_duties(world, question):
    peers = world.nodes["airport"].peers
    for member, message in (
        ("host", _consent_request(world, question)),
        ("registry", {"kind": "hitoku/run-request/1"}),
        ("host", {"kind": "hitoku/deliver/1"}),
    ):
        with pytest.raises(PeerError, match="failed \\(PEER\\)"):
            peers.call(member, message)
    with pytest.raises(Refusal, match="does not know messages of the kind") as refusal:
        peers.call("registry", {"kind": "hitoku/unheard-of/1"})
    assert refusal.value.code == "VERSION"


def test_a_stranger_on_the_network_is_not_answered(world, question):
    stranger = world.network.join("stranger", lambda sender, message: {"kind": "x"})
    with pytest.raises(PeerError, match="failed"):
        stranger.call("registry", _consent_request(world, question))


@pytest.mark.parametrize("message", [{}, {"sql": 3}, {"extra": 1}, {"run": "short"}, {"receivers": []}])
def test_malformed_requests_are_not_answered(world, question, message):
    empty = {"kind": "hitoku/consent-request/1"}
    broken = _consent_request(world, question, **message) if message else empty
    with pytest.raises(PeerError, match="failed \\(PEER\\)"):
        world.nodes["airport"].peers.call("registry", broken)


def _rewrite(world, receiver, change):
    """Change what `receiver` answers to the asker."""
    import json

    def rewrite(sender, to, content):
        if to != receiver or sender != "airport":
            return content
        data = json.loads(content)
        if data["kind"] not in {"hitoku/run-done/1", "hitoku/consent-given/1"}:
            return content
        change(data)
        return json.dumps(data).encode()

    world.network.change_answer = rewrite


def test_a_host_cannot_answer_another_question(world, question):
    kept = _ask(world, question).to_message()
    other = question.replace("AVG(f.arr_delay) AS delay", "COUNT(f.tailnum) AS flights")
    _rewrite(world, "host", lambda data: data.update(answer={**kept, "run": data["run"]}))
    with pytest.raises(PeerError, match="answered another question"):
        _ask(world, other)


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.update(run=RUN),
        lambda d: d.update(answer=None),
        lambda d: d["answer"].update(run=RUN),
        lambda d: d["answer"].update(room="sha256:" + "0" * 64),
        lambda d: d["answer"].update(receivers=["airport", "registry"]),
        lambda d: d["answer"].update(leakage=[]),
        lambda d: d["answer"]["withheld"].update(thresholds=[]),
        lambda d: d["answer"].update(arrow="AAAA"),
        lambda d: d.update(kind="hitoku/delivered/1"),
        lambda d: d.update(more=1),
    ],
)
def test_a_host_that_answers_something_else_is_noticed(world, question, change):
    _rewrite(world, "host", change)
    with pytest.raises(PeerError):
        _ask(world, question)


def test_an_owner_that_consents_to_something_else_is_noticed_by_the_host(world, question):
    _rewrite(world, "registry", lambda d: d["consent"].update(plan="sha256:" + "0" * 64))
    with pytest.raises(Refusal) as caught:
        _ask(world, question)
    assert caught.value.code == "CONSENT_FORGED"


def test_an_asker_cannot_send_itself_an_answer_as_from_the_host(world, question):
    answer = _ask(world, question)
    delivery = {
        "kind": "hitoku/deliver/1",
        "run": answer.run,
        "answer": {**answer.to_message(), "receivers": ["registry"]},
    }
    with pytest.raises(Refusal) as caught:
        world.nodes["airport"].peers.call("registry", delivery)
    assert caught.value.code == "DELIVERY_REFUSED"
    with pytest.raises(Refusal):
        world.nodes["host"].peers.call("registry", {**delivery, "run": RUN})
    not_for_it = {**delivery, "answer": answer.to_message()}
    with pytest.raises(Refusal):
        world.nodes["host"].peers.call("registry", not_for_it)
    assert not (world.place.path / "registry" / "answers").exists()


def test_who_may_not_receive_gets_no_rows_over_the_wire(world, question):
    sent = _ask(world, question, receivers=["registry"])
    assert not isinstance(sent, Answer)
    assert any(b'"arrow"' in content for _, to, content in world.network.log if to == "registry")
    for _, receiver, content in world.network.log:
        if receiver == "airport":
            # As JSON has it, and as Arrow in it: three letters alone stand in one of 1,000 signatures.
            assert b'"BIG"' not in content
            assert b'"arrow"' not in content
