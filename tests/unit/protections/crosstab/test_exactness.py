"""The noised table is the clear cross table plus exactly the noise that the two sides drew."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.protections.crosstab.world import World, inputs, parameters, watch

from hitoku.hazmat import group
from hitoku.protections.crosstab import masking

bounds = st.tuples(st.integers(-1000, 1000), st.integers(-1000, 1000)).map(lambda pair: tuple(sorted(pair)))


@st.composite
def instances(draw):
    """Small tables: empty groups and tables, nobody or everybody in common, one cell or several."""
    groups_a, groups_b = draw(st.sampled_from([(1, 1), (1, 2), (2, 1), (2, 2), (1, 3)]))
    sums = draw(st.one_of(st.just(()), st.tuples(bounds), st.tuples(bounds, bounds)))
    sizes = draw(st.sampled_from([(0, 0), (0, 1), (1, 0), (0, 30), (20, 0), (20, 20), (5, 40)]))
    both = draw(st.sampled_from([0, 1, 2, 25]))
    made = parameters(groups_a=groups_a, groups_b=groups_b, sums=sums)
    people = inputs(made, sizes[0], both, sizes[1], draw(st.integers(0, 2**32)))
    if draw(st.booleans()):
        # All of a side in one group, so that others have dummies and padding only.
        people.a = [(one, 0, ()) for one, _, _ in people.a]
        people.b = [(one, groups_b - 1, values) for one, _, values in people.b]
    return made, people


def exact(made, people):
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: None)
        world = World(Path(folder), made, people)
        watch(patch, world)
        a, b = world.run()
        assert a == b == world.expected()
        assert world.starts == {"a": 1, "b": 1}


few = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@settings(few, max_examples=60)
@given(instances())
def test_counts_and_sums_are_the_clear_table_plus_the_noise(instance):
    exact(*instance)


@pytest.mark.slow
@settings(few, max_examples=1000)
@given(instances())
def test_they_are_so_on_a_thousand_random_tables(instance):
    exact(*instance)


@pytest.mark.slow
@pytest.mark.parametrize(
    "people",
    [
        100_000,
        pytest.param(
            1_000_000,
            marks=pytest.mark.skipif(not os.environ.get("HITOKU_LONG"), reason="minutes; `make long`"),
        ),
    ],
)
def test_they_are_so_with_that_many_on_each_side(tmp_path, monkeypatch, people):
    made = parameters(groups_a=10, groups_b=10, sums=((0, 5000),), users_noise=20, delta0="1e-10")
    both = people * 6 // 10
    world = World(tmp_path, made, inputs(made, people - both, both, people - both), threads=2, wait=3_600)
    watch(monkeypatch, world)
    a, b = world.run()
    assert a == b == world.expected()


def test_dummies_that_are_forgotten_would_be_noticed(tmp_path, monkeypatch):
    """The sabotage that takes away b's noise: a has records of nobody in their place."""
    made = parameters(groups_a=1, groups_b=2)
    world = World(tmp_path, made, inputs(made, 5, 20, 5))
    watch(monkeypatch, world)
    real = masking._dummies

    def forgotten(terms, side, draws):
        for batch in real(terms, side, draws):
            if side == "a":
                ids = group.records(os.urandom(32 * len(batch)), 32)
                batch = batch.set_column(0, batch.schema.field(0), ids)
            yield batch

    monkeypatch.setattr(masking, "_dummies", forgotten)
    a, b = world.run()
    assert a == b != world.expected()
    # Without them what a finds is exact.
    clear, eta = world.inputs.clear(1, 2), world.draws["a"].counts
    assert a.counts == [n - made.m + noise for n, noise in zip(clear.counts, eta, strict=True)]
