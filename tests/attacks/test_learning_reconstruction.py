# SPDX-License-Identifier: Apache-2.0
"""Rows reconstructed from what a party of a run sees: nothing beyond model and permitted sums, measured.

By argument: the server's view of a sum over masks is simulated from the sum (`aggregate.masks`), so whatever
an attack makes of the view, it makes of the sums, too. Measured: the same attack (`timberstrike`) on the
complete transcript, on a simulated one, on the sums alone; beside banks' own trees and histograms in plain.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from tests.learning.timberstrike import attack, joined, placed, score
from tests.learning.timberstrike_views import (
    from_bagging,
    from_model,
    from_sums,
    learned,
    less,
    patients,
    simulated,
)

pytest.importorskip("scipy")
pytest.importorskip("sklearn")
TARGET, ATTACKER = 1, 0


@pytest.fixture(scope="module")
def table():
    return patients(0, skew=3.0)


@pytest.fixture(scope="module")
def seen(table, tmp_path_factory):
    return learned(tmp_path_factory.mktemp("run"), table, trees=10, depth=5)


def rows_right(table, seen, vectors, rows=None, prior=None):
    """Features right, and whole rows right, of the target."""
    truth = table.of(TARGET)
    evidence = from_sums(seen, vectors, len(truth) if rows is None else rows)
    points, _ = attack(evidence, table.prior(ATTACKER) if prior is None else prior)
    return np.mean([score(truth, points, table.scale, draw) for draw in range(5)], axis=0)


def test_masked_vectors_add_up_to_the_sums_and_say_nothing_more(table, seen):
    """The attacker takes the target's masked vectors, their differences, and the sums less them as sums."""
    for total, vectors in zip(seen.sums, zip(*seen.masked, strict=True), strict=True):
        assert np.array_equal(np.sum(np.stack(vectors).view(np.uint64), axis=0), total.view(np.uint64))
    ideal = rows_right(table, seen, seen.sums, len(table.rows))
    plain = rows_right(table, seen, seen.plain[TARGET])
    assert plain[1] > 0.4
    assert plain[1] > ideal[1] + 0.3
    for view in (seen, simulated(seen, 1)):
        masked = view.masked[TARGET]
        again = [masked[0], *less(masked[1:], [np.resize(m, len(n)) for m, n in pairwise(masked)])]
        for taken in (masked, again, less(view.sums, masked)):
            found = rows_right(table, view, taken)
            assert found[1] <= ideal[1] + 0.05
            assert found[0] <= ideal[0] + 0.1


@pytest.mark.slow
def test_a_mask_that_is_missing_shows_the_rows(table, seen):
    """The planted fault: the test above would see it."""
    unmasked = rows_right(table, seen, seen.plain[TARGET])
    assert unmasked[1] > rows_right(table, seen, seen.sums, len(table.rows))[1] + 0.3


def test_real_and_simulated_views_do_alike(table, seen):
    """Whole rows that the attack gets from the masked vectors of every bank: none, in both views."""
    for view in (seen, *(simulated(seen, seed) for seed in range(3))):
        for bank in range(4):
            evidence = from_sums(view, view.masked[bank], len(table.of(bank)))
            assert not len(evidence.read)
            points, _ = attack(evidence, table.prior(ATTACKER if bank else 1))
            assert score(table.of(bank), points, table.scale)[1] < 0.1


@pytest.mark.slow
def test_members_and_leaders_do_not_tell_the_target_from_the_others(table, seen):
    """A member has the model, a leader with `he` the sums, too, and both their own rows."""
    truth, prior = table.of(TARGET), table.prior(ATTACKER)
    plain = rows_right(table, seen, seen.plain[TARGET])
    leader = less(seen.sums, seen.plain[ATTACKER])
    rest = rows_right(table, seen, leader, len(table.rows) - len(prior.rows))
    points, _ = attack(from_model(seen, len(truth), prior), prior)
    assert rest[1] < plain[1] - 0.2
    assert score(truth, points, table.scale)[1] < plain[1] - 0.2


def test_plain_shared_trees_state_what_sums_do_not(table, seen):
    """A bank's own trees with sums of hessians: how many of its rows of each label are in each leaf."""
    truth, prior = table.of(TARGET), table.prior(ATTACKER)
    label = table.label[table.bank == TARGET]
    own = from_bagging(table, TARGET, rounds=2)
    grid = own.trees[0]
    shared = placed(truth, label, *attack(own, prior), grid)
    guessed = attack(from_sums(seen, seen.sums, len(table.rows)), prior)
    pooled = np.mean([placed(truth, label, *guessed, grid, draw) for draw in range(5)])
    assert shared > 0.9
    assert pooled < shared - 0.15


@pytest.mark.slow
def test_single_rows_in_small_nodes_are_read_from_the_sums_and_fewer_in_large_ones(table, seen, tmp_path):
    """What the permitted sums tell of all banks' rows together, and what `child_weight` does about it."""
    small = from_sums(seen, seen.sums, len(table.rows))
    large = learned(tmp_path, table, trees=10, depth=5, child_weight=12.0)
    big = from_sums(large, large.sums, len(table.rows))
    assert len(small.read) > 20
    assert len(big.read) < len(small.read) / 2
    truth = np.array(
        [np.searchsorted(e, r, side="right") for e, r in zip(seen.edges, table.rows.T, strict=True)]
    ).T
    known = small.read >= 0
    there = [
        (np.where(k, truth, -1) == np.where(k, r, -1)).all(axis=1).any()
        for r, k in zip(small.read, known, strict=True)
    ]
    assert np.mean(there) > 0.8


def test_cells_of_one_row_are_joined():
    unit = 2.0**-20
    node = np.zeros((3, 4, 2), np.int64)
    g, h = round(0.3 / unit), round(0.21 / unit)
    for feature, at in enumerate((1, 0, 3)):
        node[feature, at] = g, h
        node[feature, 2] = 7 * g, 9 * h
    rows, label = joined([node], unit)
    assert rows.tolist() == [[1, 0, 3]]
    assert label.tolist() == [0]
