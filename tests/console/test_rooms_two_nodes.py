# SPDX-License-Identifier: Apache-2.0
"""From an empty pair of nodes to a room in force, and its changes, in two consoles over HTTPS."""

from __future__ import annotations

import json
import re

import pytest
from tests.console.two_nodes import Company, shown, until

from hitoku.console.store import notes
from hitoku.console.users import May, User
from hitoku.console.work import drafts
from hitoku.room.files import parse_room
from hitoku.room.signing import verify


@pytest.fixture
def pair(tmp_path):
    made = [Company(tmp_path, "airport"), Company(tmp_path, "telecom")]
    yield made
    for one in made:
        one.stop()


def found_room(airport: Company, telecom: Company, **more: object) -> str:
    """The steps of two people until a room of both is in force."""
    form = {"name": "Visitors", "abilities": ["query", "receive"], "protections": ["crosstab"], **more}
    members = airport.post("/rooms/new", **form)
    room = members.split("/")[2]
    made = airport.browser.submit(
        f"/rooms/{room}/invite", name="telecom", abilities=["query", "receive"], hours="24"
    )
    text = re.search(r'id="invitation">([A-Za-z0-9_-]+)<', made.text)
    assert text, shown(made.text)
    joining = telecom.post("/rooms/join", invitation=text[1])
    assert joining == f"/rooms/join/{room}"
    theirs = telecom.page(joining)
    offered = airport.page(f"/rooms/{room}/members")
    groups = re.findall(r"<span>([0-9a-f]{4})</span>", theirs)
    assert len(groups) == 8
    assert groups == re.findall(r"<span>([0-9a-f]{4})</span>", offered)
    admit = re.search(rf'action="(/rooms/{room}/invite/[0-9a-f]{{32}}/admit)"', offered)
    key = re.search(r'name="key" value="([^"]+)"', offered)
    assert admit
    assert key
    refused = airport.browser.submit(admit[1], key=key[1])
    assert refused.status_code == 409
    assert "KEY_NOT_COMPARED" in refused.text
    airport.post(admit[1], key=key[1], compared="yes")
    airport.post(f"/rooms/{room}/sign", hash=airport.hash_at(f"/rooms/{room}"))
    telecom.post(f"{joining}/sign", hash=telecom.hash_at(joining))
    until(lambda: (airport.served(room), telecom.served(room)) == (1, 1))
    return room


def test_two_people_make_a_room_and_change_it(pair):
    airport, telecom = pair
    room = found_room(airport, telecom)
    assert telecom.browser.get(f"/rooms/join/{room}").headers["location"] == f"/rooms/{room}"
    until(lambda: telecom.node.view.settings().rooms[0].peers)
    until(lambda: airport.node.view.settings().rooms[0].peers)  # each learned where the other is
    standing = shown("<main>" + airport.page(f"/rooms/{room}/members?check=1"))
    assert standing.count("yes") >= 2

    # A change that the airport alone must sign is in force at once at both.
    user = airport.context
    where = airport.post(
        f"/rooms/{room}/draft/edit", name="Visitors of Japan", protections=["crosstab"],
        interval="0", round="1", why="clearer",
        **{"abilities-airport": ["query", "receive"], "abilities-telecom": ["query", "receive"]},
    )  # fmt: skip
    assert where == f"/rooms/{room}/draft?said=open"
    assert airport.version(room) == 1
    until(lambda: "airport" in telecom.page(f"/rooms/{room}/draft"))
    theirs = shown(telecom.page(f"/rooms/{room}/draft"))
    assert "clearer" in theirs
    assert "Name of the room" in theirs
    proposed = telecom.hash_at(f"/rooms/{room}/draft")
    telecom.post(f"/rooms/{room}/draft/sign", hash=proposed)
    until(lambda: (airport.served(room), telecom.served(room)) == (2, 2))
    assert "Visitors of Japan" in telecom.page("/rooms")
    assert user.node is airport.node.view

    told = telecom.browser.get(f"/rooms/{room}/export.yaml")
    verify(parse_room(told.text))
    assert json.loads(telecom.page(f"/rooms/{room}/export.json"))["agreement"]["version"] == 2
    assert "第2版" not in telecom.page(f"/rooms/{room}/versions")
    assert "Visitors of Japan" in shown(telecom.page(f"/rooms/{room}/versions/2"))

    # Each side's audit has what its own people did, with the hash of what they signed.
    here, there = ([one for one in reversed(notes(one.context)) if one["room"] == room] for one in pair)
    assert [one["what"] for one in here] == ["room made", "invited", "key admitted", "signed", "proposed"]
    assert [one["what"] for one in there] == ["joining", "signed", "signed"]
    assert there[-1]["detail"]["hash"] == proposed
    assert there[1]["detail"]["hash"] == here[3]["detail"]["hash"]  # both signed the same first version


@pytest.mark.slow
def test_a_change_waits_for_a_node_that_is_down(pair):
    airport, telecom = pair
    room = found_room(airport, telecom)
    until(lambda: airport.node.view.settings().rooms[0].peers)
    telecom.stop()
    signer = airport.sign_in(May.SIGN)
    entry = airport.context.node.rooms()[0]
    user = User("0" * 32, "kim", frozenset({May.SIGN}))
    table = {
        "name": "travellers",
        "owner": "airport",
        "columns": [{"name": "phone", "type": "string", "protection": "fingerprint"}],
    }
    made = drafts.propose(airport.context, user, entry.id, {"tables": [table]}, why="")
    assert made.state == "open"
    assert made.missing == ()
    assert made.waits == ("telecom",)
    said = shown(signer.get(f"/rooms/{room}/draft").text)
    assert "waits for telecom, not reached since" in said
    telecom.start()
    until(lambda: (airport.version(room), telecom.version(room)) == (2, 2))


@pytest.mark.slow
def test_a_third_company_joins_a_room_in_force(pair, tmp_path):
    airport, telecom = pair
    room = found_room(airport, telecom)
    until(lambda: airport.node.view.settings().rooms[0].peers)
    host = Company(tmp_path, "carrier")
    try:
        made = airport.browser.submit(f"/rooms/{room}/invite", name="carrier", abilities=["host"], hours="24")
        text = re.search(r'id="invitation">([A-Za-z0-9_-]+)<', made.text)
        assert text
        joining = host.post("/rooms/join", invitation=text[1])
        offered = airport.page(f"/rooms/{room}/members")
        admit = re.search(rf'action="(/rooms/{room}/invite/[0-9a-f]{{32}}/admit)"', offered)
        key = re.search(r'name="key" value="([^"]+)"', offered)
        assert admit
        assert key
        assert airport.post(admit[1], key=key[1], compared="yes") == f"/rooms/{room}/draft?said=open"
        assert airport.version(room) == 1
        host.post(f"{joining}/sign", hash=host.hash_at(joining))
        until(lambda: (airport.served(room), telecom.served(room), host.served(room)) == (2, 2, 2))
        until(lambda: "carrier" in airport.node.view.settings().rooms[0].peers)
        assert set(host.node.view.settings().rooms[0].peers) == {"airport", "telecom"}
        # And it leaves again: who has no table is let go by the others.
        where = airport.post(f"/rooms/{room}/members/carrier/remove")
        assert where.startswith(f"/rooms/{room}/draft")
        until(lambda: (airport.served(room), telecom.served(room)) == (3, 3))
        assert "carrier" not in airport.node.view.settings().rooms[0].peers
    finally:
        host.stop()
