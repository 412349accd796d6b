# SPDX-License-Identifier: Apache-2.0
"""What surrounds a run of private cross statistics tells no exact number: progress, what a kill leaves."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from tests.unit.protections.crosstab.test_shape import room
from tests.unit.protections.crosstab.world import World, inputs, parameters

from hitoku.ask.led import Led
from hitoku.ask.receiver import Receiver
from hitoku.disclosure.answer import Answer, Withheld
from hitoku.disclosure.leakage import Leakage
from hitoku.errors import Refusal
from hitoku.node.jobs import Following, RunShelf
from hitoku.protections.crosstab.vault import Vault
from hitoku.room.canonical import agreement_hash
from hitoku.room.jobs import Job, Part


class Watched(Following):
    """A job's progress, with all that it ever was."""

    def __init__(self, run):
        super().__init__(run)
        self.seen = []

    def phase(self, name, total=None):
        super().phase(name, total)
        self.seen.append(self.now)

    def advance(self, amount=1):
        super().advance(amount)
        self.seen.append(self.now)


def watched(path, people):
    """All that the leader's run tells of its progress; and the total of each side's records."""
    given = parameters()
    world = World(path, given, inputs(given, people, 0, 5))
    following = Watched(given.run)
    world.party("a")
    other = threading.Thread(target=lambda: world.run_side("b"), daemon=True)
    other.start()
    world.party("a", progress=following).run(lambda: world.inputs.of("a"))
    other.join()
    return following.seen


@pytest.mark.parametrize("people", [1, 37, 1_000])
def test_progress_does_not_stop_where_the_people_end(tmp_path, people, monkeypatch):
    """Whoever is told of it would know how many there are, for one answer's noise."""
    monkeypatch.setattr("hitoku.limits.BATCH_ROWS", 256)
    seen = [going for going in watched(tmp_path, people) if going.phase.startswith("masking")]
    dones = sorted({going.done for going in seen})
    assert dones[-1] == seen[0].total
    assert dones[:-1] == list(range(0, dones[-1], 256))


@pytest.mark.parametrize(("sender", "interval"), [("shop", 0), ("telco", 0), ("shop", 60), ("airline", 0)])
def test_no_other_member_is_told_of_how_many_records_a_run_is(tmp_path, sender, interval):
    seen = watched(tmp_path, 7)
    run = seen[0].run
    job = Job(run, Part.LEAD, sender, b"")
    agreement = SimpleNamespace(release=SimpleNamespace(interval_seconds=interval))
    host: Any = SimpleNamespace(
        jobs=SimpleNamespace(find=lambda run: job),
        peers=SimpleNamespace(me="airline"),
        room=SimpleNamespace(agreement=agreement),
    )
    message = {"kind": "hitoku/run-wait/1", "run": run}
    told = [Led(host).wait(sender, message, going) for going in seen]
    own = sender == "airline"
    assert any(one["total"] is not None for one in told) == own
    assert any(one["done"] for one in told) == own
    assert any(one["phase"] for one in told) == (not interval)


def test_rows_that_a_kill_left_while_preparing_go_with_the_run(tmp_path, monkeypatch):
    """The engine reads a plain copy of what conditions need; SIGKILL leaves it where it stands."""
    from hitoku.node.member import LocalNode

    places = []
    monkeypatch.setattr("hitoku.node.people.prepared", lambda *given: places.append(given[3]))
    run = "ab" * 16
    jobs: Any = None
    shelf = RunShelf(lambda: jobs, tmp_path, frozenset)
    node: Any = SimpleNamespace(
        shelf=shelf,
        room=None,
        jobs=None,
        _mutual=None,
        _parcels=None,
        _directory=SimpleNamespace(keys=lambda: None),
    )
    site: Any = LocalNode._crosstab(node, run, "clinic")._site
    site.prepare(None)
    vault = Vault(shelf.place(run), run=run, side="b", peer="clinic")
    (left,) = (place / "hitoku-prepare-1" for place in places)
    left.mkdir(parents=True)
    (left / "rows.parquet").write_bytes(b"people")
    vault.erase()
    assert not left.exists()
    assert not list(tmp_path.rglob("*.parquet"))


@pytest.mark.parametrize("protection", ["tokens", "crosstab"])
def test_an_owner_delivers_only_what_owners_compute(protection):
    """Who computes with other owners is no host: an answer of another protection is not its to give."""
    where = room()
    run = "cd" * 16
    answer = Answer(
        table=pa.table({"n": pa.array([1], pa.int64())}),
        withheld=Withheld(False, ()),
        leakage=Leakage(()),
        sql="SELECT 1",
        question="sha256:" + "0" * 64,
        room=agreement_hash(where.agreement),
        run=run,
        asker="airline",
        receivers=("airline",),
        protection=protection,
        released_at="2026-01-01T00:00:00Z",
        salt="0" * 64,
    )
    kept: list[Answer] = []
    receiver = Receiver("airline", where, kept.append)
    message = {"kind": "hitoku/deliver/1", "run": run, "answer": answer.to_message()}
    if protection == "crosstab":
        receiver.deliver("operator", message)
    else:
        with pytest.raises(Refusal) as caught:
            receiver.deliver("operator", message)
        assert caught.value.code == "DELIVERY_REFUSED"
    assert len(kept) == (protection == "crosstab")
