"""A run killed anywhere, on either side, comes to the same end, and repeats what had left byte for byte."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import random
import shutil
from dataclasses import replace

import pytest
from tests.unit.protections.crosstab.world import NAMES, World, inputs, parameters, watch

from hitoku.errors import PeerError, Refusal
from hitoku.protections.crosstab.draws import Draws
from hitoku.protections.crosstab.vault import ReuseError, Vault


def world_of(path, **changes):
    made = parameters(**changes)
    return World(path, made, inputs(made, 10, 30, 10))


def replayed(world):
    """Whatever was fetched more than once was the same bytes, as far as it came."""
    for name, times in world.fetched.items():
        whole = max(times, key=len)
        assert all(whole[: len(one)] == one for one in times), name


def killed(tmp_path, kill, patch):
    world = world_of(tmp_path)
    world.kill.update(kill)
    watch(patch, world)
    a, b = world.run()
    assert a == b == world.expected()
    replayed(world)
    return world


@pytest.fixture(scope="module")
def steps(tmp_path_factory):
    """What each side does in a run that nobody kills."""
    with pytest.MonkeyPatch.context() as patch:
        return killed(tmp_path_factory.mktemp("whole"), {}, patch).ticks


def test_a_run_has_the_steps_that_are_killed_at(steps):
    assert len(steps["a"]) > 15
    assert len(steps["b"]) > 15
    assert "after renaming .cells-a.arrow.part" in steps["a"]
    assert "after renaming .tags-a.arrow.part" in steps["b"]


@pytest.mark.parametrize("side", ["a", "b"])
def test_a_side_killed_at_any_one_step_takes_up_its_run_again(tmp_path, steps, side):
    for step in range(1, len(steps[side]) + 1):
        with pytest.MonkeyPatch.context() as patch:
            world = killed(tmp_path / f"{step}", {side: {step}}, patch)
        assert world.starts[side] == 2, step


@pytest.mark.slow
def test_both_sides_killed_at_random_steps_take_up_their_run_again(tmp_path, steps):
    drawn = random.Random(5)
    for number in range(60):
        kill = {
            side: set(drawn.sample(range(1, 2 * len(steps[side])), drawn.randint(1, 6)))
            for side in ("a", "b")
        }
        with pytest.MonkeyPatch.context() as patch:
            killed(tmp_path / f"{number}", kill, patch)


def test_fresh_noise_on_a_retry_would_be_noticed(tmp_path, steps, monkeypatch):
    """The sabotage that a repeated run must not do: draw again."""

    def forget(self, given, prepared, witness=None):
        (self.path / "secrets").unlink(missing_ok=True)
        return begin(self, given, prepared, witness)

    begin = Vault.begin
    monkeypatch.setattr(Vault, "begin", forget)
    at = steps["b"].index("after renaming .points-b.arrow.part") + 2
    with pytest.raises((AssertionError, PeerError, ReuseError)):
        killed(tmp_path, {"b": {at}}, monkeypatch)


def test_a_run_that_is_over_gives_its_figures_again_without_the_other_side(tmp_path, monkeypatch):
    world = killed(tmp_path, {}, monkeypatch)
    for side in ("a", "b"):
        again = world.party(side, parcels=None).run(lambda: pytest.fail("not asked for"))
        assert again == world.ended[side]


def losing(patch, side, step):
    drawn = Draws.draw.__func__  # type: ignore[attr-defined]

    def draw(cls, *given):
        # As it may happen: the sizes of the second offer are those of the first.
        draws = drawn(cls, *given)
        return replace(draws, padding=(7,) * len(draws.padding))

    patch.setattr(Draws, "draw", classmethod(draw))
    _lose(patch, side, step)


def _lose(patch, side, step):
    """After that step of a side its folder is gone, and it starts anew, with other keys and noise."""
    tick = World.tick

    def ticking(self, who, what):
        lost = who == side and len(self.ticks[who]) + 1 == step
        if lost:
            shutil.rmtree(self.path / side)
            self.kill[who].add(step)
        tick(self, who, what)

    patch.setattr(World, "tick", ticking)


@pytest.mark.parametrize("sums", [(), ((0, 100),)])
@pytest.mark.parametrize("side", ["a", "b"])
def test_a_side_that_lost_its_folder_never_makes_a_wrong_table(tmp_path, steps, side, sums):
    """Its new offer is refused, or the old one was not used yet; what does not match is never a table."""
    refused = 0
    for step in range(1, len(steps[side]) + 1):
        made = parameters(groups_a=1, groups_b=1, sums=sums)
        world = World(tmp_path / f"{step}", made, inputs(made, 0, 200, 0))
        with pytest.MonkeyPatch.context() as patch:
            watch(patch, world)
            losing(patch, side, step)
            try:
                a, b = world.run()
            except (PeerError, OSError):
                # OSError: the folder went away under a writer's hands; then it is as if it had been killed.
                refused += 1
                continue
        assert a == b
        # 200 persons, noise of at most 2 m = 68; tables of records that do not match are below zero.
        assert 200 - 2 * made.m <= a.counts[0] <= 200 + 2 * made.m
    assert refused > 3


def test_secrets_are_drawn_once_and_stored_before_anything_leaves(tmp_path, monkeypatch):
    world = world_of(tmp_path)
    watch(monkeypatch, world)
    drawn: list[str] = []
    real = Draws.draw.__func__  # type: ignore[attr-defined]

    def draw(cls, side, *given):
        drawn.append(side)
        return real(cls, side, *given)

    monkeypatch.setattr(Draws, "draw", classmethod(draw))
    world.run()
    assert sorted(drawn) == ["a", "b"]
    for side in ("a", "b"):
        done = world.ticks[side]
        first = next(k for k, what in enumerate(done) if "offer" in what)
        assert done.index("after renaming input.arrow.part") < done.index("before renaming secrets.part")
        assert done.index("after renaming secrets.part") < first


def test_nothing_of_a_run_is_left_but_its_figures(tmp_path, monkeypatch):
    world = killed(tmp_path, {}, monkeypatch)
    left = {
        side: sorted(str(p.relative_to(tmp_path / side)) for p in (tmp_path / side).rglob("*") if p.is_file())
        for side in ("a", "b")
    }
    marks = {side: [f"left-{name}" for name in names] for side, names in TAKEN.items()}
    assert left["a"] == sorted([*marks["a"], "figures", "lock", "terms"])
    last = ["parcels/offer-b.arrow", "parcels/sums-b.arrow"]
    assert left["b"] == sorted([*marks["b"], "figures", "lock", "terms", *last])
    vault = world.vault("b")
    assert vault.told
    vault.erase()
    assert not [p for p in (tmp_path / "b").rglob("*") if p.is_file() and p.suffix == ".arrow"]
    with pytest.raises(Refusal, match="ended") as refused:
        vault.parcel(NAMES["a"], world.given.run, "sums-b")
    assert refused.value.code == "RUN_ENDED"


TAKEN = {
    "a": ["offer-a", "points-a", "cells-a"],
    "b": ["offer-b", "points-b", "tags-a", "sums-b"],
}
