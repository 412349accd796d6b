# SPDX-License-Identifier: Apache-2.0
"""A member changes its key while the room is in use, with nodes over HTTPS."""

from __future__ import annotations

import json
import time

import pytest
from tests.conftest import QUESTION, fill, make_place
from tests.e2e.nodes import SECONDS, Nodes, hitoku
from tests.e2e.test_restored_node import OTHER, ask

from hitoku.errors import HitokuError
from hitoku.room.directory import MemberDirectory
from hitoku.room.files import load_room
from hitoku.room.signing import problems

pytestmark = pytest.mark.e2e


def test_a_key_is_changed_and_everything_goes_on(tmp_path):
    place = fill(make_place(tmp_path))
    registry = place.members["registry"]
    before = registry.keys().public_key()
    nodes = Nodes(place)
    try:
        nodes.start()
        ask(place, QUESTION)
        begun = hitoku("node", "rotate-key", registry.path, "--json")
        assert begun.returncode == 0, begun.stderr + begun.stdout
        said = json.loads(begun.stdout)
        assert said["rooms"][0]["missing"] == ["airport"]
        assert said["key"] != before
        ask(place, QUESTION)  # the draft changes nothing yet
        early = hitoku("node", "rotate-key", registry.path, "--finish")
        assert early.returncode == 4
        assert "is running" in early.stderr
        nodes.stop("registry")
        early = hitoku("node", "rotate-key", registry.path, "--finish")
        assert early.returncode == 5
        assert "airport" in early.stderr
        assert registry.keys().public_key() == before

        signed = hitoku("room", "sign", place.room_file, "--member", place.members["airport"].path)
        assert signed.returncode == 0, signed.stderr
        assert problems(load_room(place.room_file)) == ()
        done = hitoku("node", "rotate-key", registry.path, "--finish", "--json")
        assert done.returncode == 0, done.stderr + done.stdout
        again = hitoku("node", "rotate-key", registry.path, "--finish", "--json")
        assert again.returncode == 0, again.stderr + again.stdout  # nothing is left to do
        assert MemberDirectory.open(registry.path).keys().public_key() == said["key"]
        nodes.start("registry")
        until = time.monotonic() + SECONDS
        while True:
            try:
                ask(place, OTHER)  # the others take up the version within seconds
                break
            except HitokuError:
                if time.monotonic() > until:
                    raise
                time.sleep(1)
        for name in place.members:
            verified = hitoku("ledger", "verify", "--room", place.path, "--as", name)
            assert verified.returncode == 0, verified.stderr
        shown = hitoku("ledger", "show", "--room", place.path, "--as", "registry", "--kind", "key-change")
        assert said["key"] in shown.stdout
        assert (registry.path / "member.key.retired").exists()
        assert hitoku("node", "rotate-key", registry.path, "--erase").returncode == 0
        assert not (registry.path / "member.key.retired").exists()
        ask(place, OTHER)
    finally:
        nodes.end()
