# SPDX-License-Identifier: Apache-2.0
"""What one member may ask of a node, and one user of a console."""

from __future__ import annotations

import json

import pytest
from tests.conftest import QUESTION, fill
from tests.unit.node.served_world import World

from hitoku.errors import LimitError, Refusal
from hitoku.node.quotas import Asked, Quotas, check_user
from hitoku.node.remote import open_remote_room
from hitoku.node.settings import QuotaSettings
from hitoku.ports import SystemClock
from hitoku.room.store import Store


class Desk:
    """Quotas with a clock, and a database without records."""

    def __init__(self, clock, path, **quota):
        self.clock, self.store = clock, Store(path / "state.db")
        self.settings = QuotaSettings(**quota)
        self.quotas = Quotas("host", lambda: self.settings, clock, lambda: self.store)

    def taken(self, run="a", key="k", jobs=0, begins=True, room="r", sender="airport"):
        return self.quotas.taken(room, sender, key, Asked(run, "tokens", begins), jobs)


@pytest.fixture
def desk(clock, tmp_path):
    made = []

    def make(**quota):
        made.append(Desk(clock, tmp_path, **quota))
        return made[-1]

    yield make
    for one in made:
        one.store.close()


def test_runs_at_the_same_time_are_counted_by_key_in_all_rooms(desk):
    world = desk(runs=2)
    with world.taken("a"), world.taken("b", room="other", sender="other-name"):
        with pytest.raises(Refusal) as caught, world.taken("c"):
            pytest.fail("answered")
        assert caught.value.code == "QUOTA_RUNS"
        assert caught.value.owner == "host"
        assert "Wait until one has ended" in str(caught.value.remedy)
        with world.taken("c", key="another member's"):
            pass
        with world.taken("d", begins=False):  # a consent is no run
            pass
    with world.taken("c", jobs=1), pytest.raises(Refusal), world.taken("e", jobs=1):
        pytest.fail("answered")
    with pytest.raises(KeyError), world.taken("f"):
        raise KeyError  # what breaks is counted no longer
    with world.taken("g"), world.taken("h"):
        pass


def test_asks_of_an_hour_are_counted_once_a_run(desk, clock):
    world = desk(asks_an_hour=2)
    for run in ("a", "a", "b", "b"):  # the owner's consent and the run itself are one
        with world.taken(run):
            pass
    with (
        pytest.raises(Refusal, match="began 2 runs at host within an hour") as caught,
        world.taken("c"),
    ):
        pytest.fail("answered")
    assert "Ask again in 60 min" in str(caught.value.remedy)
    with world.taken("a"):
        pass
    clock.pass_seconds(3_599)
    with pytest.raises(Refusal, match="quota") as caught, world.taken("c"):
        pytest.fail("answered")
    assert "Ask again in 1 min" in str(caught.value.remedy)
    clock.pass_seconds(2)
    with world.taken("c"):
        pass


def test_a_change_of_node_toml_counts_at_once(desk):
    world = desk(asks_an_hour=1)
    with world.taken("a"):
        pass
    with pytest.raises(Refusal), world.taken("b"):
        pytest.fail("answered")
    world.settings = QuotaSettings(asks_an_hour=2)
    with world.taken("b"):
        pass


@pytest.mark.parametrize(
    ("content", "asked"),
    [
        (b'{"kind":"hitoku/run-request/1","run":"ab","protection":"tokens"}', Asked("ab", "tokens", True)),
        (b'{"kind": "hitoku/consent-request/1","run":"ab"}', Asked("ab", "other", False)),
        (b'{"kind":"hitoku/predict/1","run":"ab"}', Asked("ab", "inference", True)),
        (b'{"kind":"hitoku/run-request/1","run":7,"protection":[]}', Asked(None, "other", True)),
        (b'{"kind":"hitoku/run-request/1"', Asked(None, "other", True)),
        (b'{"kind":"hitoku/run-request/1","x":' + b"[" * 100_000, Asked(None, "other", True)),
        (b'{"kind":"hitoku/settle/1","run":"ab"}', None),
        (b"{}", None),
    ],
    ids=["run", "consent", "predict", "types", "cut", "deep", "settle", "nothing"],
)
def test_what_a_message_asks_for(content, asked):
    assert Asked.of(content) == asked


def test_a_user_is_told_what_to_do():
    quota = QuotaSettings(user_runs=2, user_asks_an_hour=3)
    check_user(quota, 1, 2)
    with pytest.raises(LimitError, match="wait for one to end, or cancel one"):
        check_user(quota, 2, 0)
    with pytest.raises(LimitError, match=r"you asked 3 questions in the last hour.*larger one"):
        check_user(quota, 0, 3)


def test_a_member_past_its_quota_is_refused_over_the_network_and_after_a_restart(place):
    world = World(fill(place))
    host = place.members["host"].path / "node.toml"
    other = QUESTION.replace("AVG(f.arr_delay) AS delay", "COUNT(f.tailnum) AS flights")
    try:
        host.write_text(host.read_text("utf-8") + "\n[quotas]\nasks_an_hour = 1\n", "utf-8")
        world.nodes["host"].view.look()
        room = open_remote_room(place.members["airport"].path)
        assert room.ask(QUESTION).num_rows == 1
        with pytest.raises(Refusal) as caught:
            room.ask(other)
        assert (caught.value.code, caught.value.owner) == ("QUOTA_HOUR", "host")
        lines = [json.loads(line) for line in world.out["host"].getvalue().splitlines()]
        assert "hitoku/refused/1" in {line.get("answer") for line in lines}
    finally:
        world.close()

    store = Store(place.members["host"].path / "state.db")
    try:
        again = Quotas("host", lambda: QuotaSettings(asks_an_hour=1), SystemClock(), lambda: store)
        key = place.agreement.member("airport").key
        asked = Asked("cd" * 16, "tokens", True)
        with (
            pytest.raises(Refusal, match="within an hour"),
            again.taken(str(place.agreement.id), "airport", key, asked, 0),
        ):
            pytest.fail("answered")
    finally:
        store.close()
