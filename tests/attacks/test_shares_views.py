# SPDX-License-Identifier: Apache-2.0
"""What one of three servers sees of a computation on shares, against its simulator's view; planted faults.

The real kernel must pass every distinguisher of `tests.shares.views`; the slow reference passes as well, and
with each fault planted in it, the distinguisher that is for the fault must find it.
"""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import pytest
from tests.shares import views
from tests.shares.cases import all_cases
from tests.shares.machines import Model, dealt, generator, kernel, values_of
from tests.shares.reference import dump
from tests.shares.reference_base import PARTIES
from tests.shares.views import FAR
from tests.unit.hazmat import chance

CASES = {case.name: case for case in all_cases()}
QUICK = [
    name
    for name in CASES
    if name.split()[-1] in ("r64", "u8", "u64", "shuffle", "order", "apply", "unapply") or name == "mul r128"
]
OTHERS = [pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow) for name in CASES]


# --- messages ---


@pytest.mark.parametrize("name", OTHERS)
def test_messages_of_the_kernel_are_as_the_simulator_makes_them(name):
    found = views.suspicion(CASES[name], kernel, 3000)
    assert max(found.values()) < FAR, found


@pytest.mark.parametrize("name", OTHERS)
def test_messages_of_the_reference_are_as_the_simulator_makes_them(name):
    found = views.suspicion(CASES[name], Model(), 700)
    assert max(found.values()) < FAR, found


@pytest.mark.parametrize(
    "name", ["mul r32", "mul r64", "and u8", "equal u32", "less u8", "select r64", "select u16"]
)
def test_a_reused_mask_is_found(name):
    found = views.suspicion(CASES[name], Model("reused_mask"), 700)
    assert found["twice"] > 4 * FAR, found


@pytest.mark.parametrize("name", ["shuffle", "apply", "unapply"])
def test_half_a_resharing_is_found(name):
    found = views.suspicion(CASES[name], Model("half_reshare"), 700)
    assert math.isinf(found["hidden words"]), found


def test_messages_of_many_rows_have_sizes_that_follow_from_the_number_of_rows_alone():
    for name in ("less u64", "order", "ring_to_words r64"):
        costs = []
        for secret in ("zero", "ones", "random"):
            inputs = CASES[name].inputs(generator(name, secret), 70_001, secret)
            run = kernel(CASES[name].run, inputs)
            costs.append((run.costs, [[len(data) for data in party] for party in run.received]))
        assert costs[0] == costs[1] == costs[2]


@pytest.mark.parametrize("machine", [kernel, Model()], ids=["kernel", "reference"])
@pytest.mark.parametrize("kind", ["u8", "u64", "r32", "r128"])
def test_what_open_shows_follows_from_the_value_and_the_own_shares(machine, kind):
    rng = generator("open", kind)
    (vector,) = inputs = [dealt(rng, kind, range(200, 255))]

    def program(engine, v):
        engine.open(v[0])
        return []

    seen = machine(program, inputs)
    for party in PARTIES:
        own = (vector.parts[party], vector.parts[(party + 1) % 3])
        assert seen.received[party][0] == views.simulated_opening(kind, vector.value(), own)


# --- opened permutations ---


def opened(machine, program, inputs, rows, times):
    """All permutations that were opened, by their place in the program."""
    seen = machine(program, inputs, times)
    return views.opened_permutations(list(zip(*seen.received, strict=True)), rows)


def sorting(engine, v):
    engine.order([(v[0], 2)])
    return []


def back_and_forth(engine, v):
    made = engine.order([(v[0], 1)])
    engine.unapply(made, engine.apply(made, [v[0]]))
    return []


def sorting_more(engine, v):
    engine.order([(v[0], 2), (v[0], 3)])
    return []


PROGRAMS = {"order": sorting, "order of more bits": sorting_more}
MODELS = {"order": sorting, "apply and unapply": back_and_forth}
KEYS = {"sorted": [0, 1, 2, 3], "reversed": [3, 2, 1, 0], "equal": [1, 1, 1, 1]}


def unevenness(machine, program, values, times):
    inputs = [dealt(generator("opened", *values), "u8", values)]
    found = opened(machine, program, inputs, len(values), times)
    assert found, "no opening was found in the views"
    return max(views.even_permutations(places, len(values)) for places in found)


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("keys", KEYS)
def test_the_kernel_opens_uniform_permutations_whatever_the_keys_are(program, keys):
    assert unevenness(kernel, PROGRAMS[program], KEYS[keys], 1500) < FAR


@pytest.mark.parametrize("program", MODELS)
def test_the_reference_opens_uniform_permutations(program):
    assert unevenness(Model(), MODELS[program], KEYS["reversed"], 400) < FAR


@pytest.mark.parametrize("fault", ["no_shuffle", "biased_permutation"])
@pytest.mark.parametrize("program", MODELS)
def test_permutations_that_are_not_uniform_are_found(program, fault):
    assert unevenness(Model(fault), MODELS[program], KEYS["reversed"], 400) > 2 * FAR


def test_the_kernel_opens_nothing_when_an_order_is_applied():
    inputs = [dealt(generator("applied"), "u8", [3, 1, 2, 0])]

    def program(engine, v):
        if engine.index not in orders:
            orders[engine.index] = engine.order([(v[0], 2)])
        made = orders[engine.index]
        engine.unapply(made, engine.apply(made, [engine.public("r32", range(4))]))
        return []

    orders: dict[int, Any] = {}
    seen = kernel(program, inputs, 40)
    later = [party[1:] for party in seen.received]
    assert not views.opened_permutations(list(zip(*later, strict=True)), 4)


def shuffled(machine, rows, times):
    """Where rows went in a shuffle, which a test can open."""
    inputs = [dealt(generator("shuffled", rows), "u8", range(rows))]

    found = []

    def program(engine, v):
        made = engine.shuffle(v)
        places = engine.open(made[0])
        if engine.index == 0:
            found.append(places)
        return []

    machine(program, inputs, times)
    return views.even_permutations(found, rows)


@pytest.mark.parametrize("rows", [2, 3, 4, 5])
def test_shuffles_of_the_kernel_are_uniform(rows):
    assert shuffled(kernel, rows, 3000) < FAR


def test_shuffles_of_the_reference_are_uniform_and_a_bias_is_found():
    assert shuffled(Model(), 4, 1500) < FAR
    assert shuffled(Model("biased_permutation"), 4, 1500) > 2 * FAR


@pytest.mark.parametrize("rows", [5_000, 250_000])
def test_large_shuffles_take_every_row_anywhere(rows):
    """Pairs of a row's old and new place, in 24 x 24 classes, and how many rows stay near their neighbour."""
    inputs = [dealt(generator("anywhere"), "u32", np.arange(rows))]
    (places,) = values_of(kernel(lambda e, v: e.shuffle(v), inputs))
    assert (np.sort(places) == np.arange(rows)).all()
    counts = np.zeros((24, 24))
    np.add.at(counts, (np.arange(rows) * 24 // rows, places.astype(np.int64) * 24 // rows), 1)
    # Margins are fixed: 23 x 23 degrees of freedom.
    expected = rows / 24**2
    assert chance.normal(float(((counts - expected) ** 2).sum() / expected), 23 * 23) < FAR
    together = int((np.diff(places.astype(np.int64)) == 1).sum())  # Poisson of mean 1
    assert together < 25


def test_columns_of_a_shuffle_stay_together():
    rng = generator("together")
    inputs = [dealt(rng, kind, range(500)) for kind in ("u16", "r64", "u128")]
    a, b, c = values_of(kernel(lambda e, v: e.shuffle(v), inputs))
    assert (a.astype(object) == b.astype(object)).all()
    assert (a.astype(object) == c).all()
    assert sorted(a.tolist()) == list(range(500))
    assert a.tolist() != list(range(500))


# --- thresholds before anything is opened ---


def told(machine, program, released, hidden):
    """What all parties learn of groups beyond their shares: openings (any order), and sizes of messages."""
    flags: list[list[int]] = []
    inputs = views.groups(generator("release", released, hidden), released, hidden, 40)

    def watching(engine, v):
        made = program(views.Openings(engine, flags if engine.index == 0 else []), v)
        assert len(made[0]) == released
        return []

    seen = machine(watching, inputs)
    return sorted(sorted(found) for found in flags), [
        [len(data) for data in party] for party in seen.received
    ]


@pytest.mark.parametrize("machine", [kernel, Model()], ids=["kernel", "reference"])
def test_groups_below_a_threshold_leave_no_trace(machine):
    assert told(machine, views.release, 6, 0) == told(machine, views.release, 6, 30)


@pytest.mark.parametrize("machine", [kernel, Model()], ids=["kernel", "reference"])
def test_compaction_before_the_threshold_is_found(machine):
    faulty = functools.partial(views.release, compact_before_threshold=True)
    few, many = told(machine, faulty, 6, 0), told(machine, faulty, 6, 30)
    assert few[0] != many[0]
    assert few[1] != many[1]


# --- the distinguishers themselves ---


def test_a_constant_an_unmasked_share_and_a_skewed_bit_are_found():
    rng = generator("distinguishers")
    even = rng.bytes(64_000)
    skewed = np.frombuffer(even, np.uint8).copy()
    skewed[::16] |= rng.integers(0, 2, 4000, np.uint8) << 3
    assert views.spread(even) < FAR
    assert views.spread(skewed.tobytes()) > FAR
    assert views.spread(bytes(64_000)) > FAR
    assert views.differ(even, even) > FAR
    vector = dealt(rng, "u64", range(1, 100))
    hidden = dump(vector, 1)[1]  # share 2, which party 0 lacks
    assert views.met(even[:400] + hidden, views.known_words([vector], 0)) == 99
    assert views.met(even, views.known_words([vector], 0)) == 0
