# SPDX-License-Identifier: Apache-2.0
"""A bank's side: what gets past its door, and what it keeps at the end."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from tests.unit.learning.learning_world import BANKS, make_room
from tests.unit.learning.test_server import RUN, Running

from hitoku.errors import InputError, PeerError
from hitoku.learning.bank import Bank, make_tasks
from hitoku.learning.channel import Channel


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return make_room(tmp_path_factory.mktemp("room"))


@pytest.fixture
def world(place, tmp_path):
    made = Running(place, tmp_path)
    yield made
    made.close()


@pytest.fixture
def channel(world, place):
    return Channel(world.plan, RUN, world.fleet, place.members["adder"].keys({}), place.publics)


def end(channel, names=("aki",), **arrays):
    body = {"task": "run", "body": {"do": "end", "steps": 3, "stopped": None}}
    return channel.ask("masks.tell", dict.fromkeys(names, (body, arrays)))


def test_the_model_is_kept(world, channel):
    model = b'{"model": 1}'
    assert world.banks["aki"].ended is None
    answers = end(channel, model=np.frombuffer(model, np.uint8))
    digest = "sha256:" + hashlib.sha256(model).hexdigest()
    assert answers["aki"][0] == {"model": digest}
    assert (world.path / "aki" / "model.json").read_bytes() == model
    assert world.banks["aki"].ended == {"model": digest, "steps": 3, "stopped": None}


def test_an_end_without_a_model_is_refused(world, channel):
    assert end(channel) == {}
    assert end(channel, model=np.zeros(3)) == {}
    assert [refusal.code for _, _, refusal in channel.refusals] == ["LEARNING_END"] * 2
    assert not (world.path / "aki" / "model.json").exists()


def test_what_is_no_request_has_no_answer(world):
    for content in (b"", b"x" * 200, b"HLS1" + bytes(300)):
        with pytest.raises(PeerError):
            world.banks["aki"].handle(content)


def test_a_request_is_for_one_member(world, channel):
    """Sent on to another member, it is refused there; sent twice, it has the same answer."""
    seen = {}
    ask = world.fleet.ask

    def keeps(requests, seconds):
        seen.update(requests)
        return ask(requests, seconds)

    world.fleet.ask = keeps
    assert set(channel.ask("masks.keys", {"aki": ({"session": 1}, {})})) == {"aki"}
    with pytest.raises(PeerError):
        world.banks["benten"].handle(seen["aki"])
    bank = world.banks["aki"]
    assert bank.handle(seen["aki"]) == bank.handle(seen["aki"])


def test_one_process_holds_a_folder(world, place):
    tasks = make_tasks(world.plan, world.data["aki"])
    keys = place.members["aki"].keys({})
    with pytest.raises(InputError, match="another process"):
        Bank(world.plan, RUN, "aki", keys, place.publics, tasks, world.path / "aki")


def test_rows_that_do_not_fit_the_plan(place):
    from dataclasses import replace

    from tests.unit.learning.learning_world import rows

    table = rows(0)
    with pytest.raises(InputError):
        make_tasks(place.plan(), replace(table, features=table.features[:, :2]))
    assert set(make_tasks(place.plan(), table)) == {"boosting"}
    assert len(BANKS) == 5
