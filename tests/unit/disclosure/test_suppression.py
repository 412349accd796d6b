# SPDX-License-Identifier: Apache-2.0
"""No withheld cell follows from what is shown: attacked by linear programs written apart from the code."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hitoku import limits
from hitoku.disclosure.suppression import chosen, secondary, surveys
from hitoku.errors import DisclosureError

from .tables import Key, Made, by, where

SHAPES: dict[str, tuple[int, list[Any]]] = {
    # axes, branches
    "rows": (2, [by(0, 1), by(0)]),
    "one total": (2, [by(0, 1), by()]),
    "rows and columns": (2, [by(0, 1), by(0), by(1), by()]),
    "totals only": (2, [by(0), by(1)]),
    "crossing": (3, [by(0, 1), by(1, 2), by(0, 2)]),
    "three ways": (3, [by(0, 1, 2), by(0, 1), by(1, 2), by(0, 2), by(0), by(1), by(2), by()]),
    "hierarchy": (3, [by(0, 1, 2), by(0, 1), by(0), by()]),
    "a part by WHERE": (2, [by(0, 1), by(1), where(lambda key: key[0] == 0, 1)]),
    "both parts by WHERE": (2, [by(1), where(lambda key: key[0] == 0, 1), where(lambda key: key[0] > 0, 1)]),
    "all but one": (2, [by(0), where(lambda key: key[0] != 0), by()]),
}


@st.composite
def made(draw: st.DrawFn) -> Made:
    axes, branches = SHAPES[draw(st.sampled_from(sorted(SHAPES)))]
    sides = [draw(st.integers(1, 4 if axes == 2 else 3)) for _ in range(axes)]
    minimum = draw(st.integers(2, 12))
    values = st.one_of(st.just(0), st.integers(1, minimum), st.integers(minimum, 60))
    counts = {key: draw(values) for key in itertools.product(*(range(side) for side in sides))}
    return Made({key: n for key, n in counts.items() if n} or {(0,) * axes: 1}, branches, minimum)


@given(made())
@settings(max_examples=150, deadline=None)
def test_no_withheld_cell_follows_from_what_is_shown(table):
    assert list(table.too_narrow(secondary(table.survey()))) == []


@given(made())
@settings(max_examples=60, deadline=None)
def test_nor_where_the_table_is_too_large_for_the_best_choice(table):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "SUPPRESSION_EXACT_CELLS", 0)
        patch.setattr(limits, "SUPPRESSION_TARGETS_AT_ONCE", 2)
        found = secondary(table.survey())
    assert None not in found
    assert list(table.too_narrow(found)) == []


@given(made(), st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_the_choice_does_not_depend_on_the_order_of_the_atoms(table, chance):
    order = list(range(len(table.counts)))
    chance.shuffle(order)
    assert secondary(table.survey()) == secondary(table.survey(order))


def plain(sides: int = 4, minimum: int = 5, small: int = 1, seed: int = 3) -> Made:
    chance = random.Random(seed)
    counts = {key: chance.randrange(minimum, 40) for key in itertools.product(range(sides), repeat=2)}
    for key in chance.sample(sorted(counts), small):
        counts[key] = chance.randrange(1, minimum)
    return Made(counts, SHAPES["rows and columns"][1], minimum)


def test_a_planted_fault_is_seen(monkeypatch):
    """Without suppression the receiver reads the cell; with one cell less it can again."""
    table = plain()
    found = secondary(table.survey())
    assert len(found[0] or ()) == 3
    assert list(table.too_narrow(found)) == []
    assert list(table.too_narrow([frozenset()] * 4)) != []
    for cell in found[0] or ():
        assert list(table.too_narrow([(found[0] or frozenset()) - {cell}, *found[1:]])) != []
    monkeypatch.setattr(
        chosen, "_withheld", lambda part, effort: {n for n, c in enumerate(part.cells) if c.small}
    )
    assert list(table.too_narrow(secondary(table.survey()))) != []


def test_one_hidden_cell_of_a_row_hides_another():
    table = Made({(0, 0): 2, (0, 1): 30, (0, 2): 9, (1, 0): 8, (1, 1): 7}, SHAPES["rows"][1], 5)
    # The smaller neighbour: it tells of fewer people.
    assert secondary(table.survey()) == (frozenset({3}), frozenset())


def test_two_small_cells_may_protect_each_other_or_not():
    """3 + 3 leaves either free from 0 to 6; 1 + 1 tells that both are below the minimum."""
    enough = Made({(0, 0): 3, (0, 1): 3, (0, 2): 30}, SHAPES["rows"][1], 5)
    assert secondary(enough.survey()) == (frozenset(), frozenset())
    few = Made({(0, 0): 1, (0, 1): 1, (0, 2): 30, (1, 0): 9}, SHAPES["rows"][1], 5)
    assert any(secondary(few.survey()))
    assert list(few.too_narrow([frozenset(), frozenset()])) != []


def test_a_part_that_is_its_whole_is_withheld_with_it():
    """One cell in the row: the total is the cell. With the grand total another row goes, too."""
    table = Made({(0, 0): 2, (1, 0): 30, (1, 1): 40}, SHAPES["hierarchy"][1][1:], 5)
    two = Made({(a, b, 0): n for (a, b), n in table.counts.items()}, table.branches, 5)
    found = secondary(two.survey())
    assert list(two.too_narrow(found)) == []
    # The cheapest is the grand total: without it nothing is the sum of others.
    assert found == (frozenset(), frozenset(), frozenset({1}))


def test_nothing_is_withheld_where_nothing_is_small():
    table = plain(small=0)
    assert secondary(table.survey()) == (frozenset(),) * 4


def test_branches_that_share_no_row_do_not_hide_each_other():
    parts = [where(lambda key: key[0] == 0, 1), where(lambda key: key[0] == 1, 1)]
    table = Made({(0, 0): 2, (0, 1): 30, (1, 0): 40, (1, 1): 50}, parts, 5)
    assert secondary(table.survey()) == (frozenset(), frozenset())


@pytest.mark.parametrize("seed", range(6))
def test_the_choice_is_the_cheapest(seed):
    chance = random.Random(seed)
    keys = itertools.product(range(2), range(3))
    counts: dict[Key, int] = {key: chance.choice([1, 2, 3, 6, 7, 20, 50]) for key in keys}
    table = Made(counts, SHAPES["rows and columns"][1], 5)
    cells: list[tuple[frozenset[tuple[int, ...]], int, list[tuple[int, int]]]] = []
    for branch, groups in enumerate(table.groups()):
        for number, inside in enumerate(groups.values(), 1):
            known = next((c for c in cells if c[0] == frozenset(inside)), None)
            if known is not None:
                known[2].append((branch, number))
            elif table.total(inside) >= 5:
                cells.append((frozenset(inside), table.total(inside), [(branch, number)]))

    def cost(some: Any) -> int:
        return sum(len(groups) * (rows + 1).bit_length() for _, rows, groups in some)

    def spread(some: Any) -> list[frozenset[int]]:
        flat = {pair for _, _, groups in some for pair in groups}
        return [frozenset(n for b, n in flat if b == branch) for branch in range(4)]

    found = secondary(table.survey())
    mine = [c for c in cells if c[2][0][1] in (found[c[2][0][0]] or ())]
    choices = (some for size in range(5) for some in itertools.combinations(cells, size))
    best = min(cost(some) for some in choices if not any(True for _ in table.too_narrow(spread(some))))
    assert cost(mine) == best


@given(made(), st.data())
@settings(max_examples=60, deadline=None)
def test_rows_and_units_are_both_protected(table, data):
    """Few units may have many rows: whoever sees rows must not learn from them that somebody is there."""
    rows = {key: n * data.draw(st.integers(1, 30)) for key, n in table.counts.items()}
    both = Made(rows, table.branches, table.minimum, units=table.counts)
    found = secondary(both.survey())
    assert list(both.too_narrow(found)) == []
    assert list(table.too_narrow(found)) == []


@pytest.mark.parametrize("name", ["SUPPRESSION_PROGRAMS", "SUPPRESSION_ATOMS", "SUPPRESSION_SECONDS"])
def test_beyond_the_limits_whole_branches_are_withheld(name, monkeypatch):
    table = plain()
    monkeypatch.setattr(limits, name, 0)
    found = secondary(table.survey(), kept=1)
    assert found == (None, frozenset(), None, None)
    assert list(table.too_narrow(found)) == []
    assert secondary(plain(small=0).survey(), kept=1) == (frozenset(),) * 4


def test_a_large_table():
    table = plain(sides=100, small=500)
    found = secondary(table.survey())
    assert None not in found
    assert 0 < sum(len(groups or ()) for groups in found) < 500
    # Every small cell was checked inside, in whole numbers; some again from outside, in their neighbourhood.
    survey = table.survey()
    hidden = {
        k for n, k in enumerate(sorted(table.counts), 1) if n in (found[0] or ()) or table.counts[k] < 5
    }
    assert len(hidden) == len(survey.groups[survey.small[:, 0]]) + len(found[0] or ())
    for axis in (0, 1):
        for line in range(100):
            inside = [table.counts[k] for k in hidden if k[axis] == line]
            assert len(inside) != 1
            assert not inside or sum(inside) >= 5


def cells(**changed: Any) -> pa.Table:
    columns: dict[str, Any] = {"related": [0, 0], "n": [3, 9], "u": [3, 8], "c1": [1, 2], "s1": [True, False]}
    return pa.table({**columns, "c2": [1, 1], "s2": [False, False], **changed})


def test_a_survey_is_read():
    (found,) = surveys(cells(), [(2, [("u", 5)])], ["u"])
    assert found.groups.tolist() == [[1, 1], [2, 1]]
    assert found.small.tolist() == [[True, False], [False, False]]
    assert found.counts.tolist() == [[3, 3], [9, 8]]
    assert found.minima == (5, 5)
    assert repr(found) == "Survey(2 atoms, 2 branches)"
    # A threshold of a table that these branches do not read counts nothing in them.
    (other,) = surveys(cells(), [(2, [])], ["u"])
    assert other.counts.tolist() == [[3], [9]]


@pytest.mark.parametrize(
    "table",
    [
        cells(more=[1, 2]),
        cells().drop_columns(["u"]),
        cells(n=pa.array([None, 1], pa.int64())),
        cells(c1=[-1, 2]),
        cells(n=[-3, 2]),
    ],
)
def test_a_survey_of_another_form_is_refused(table):
    with pytest.raises(DisclosureError, match="nothing is released"):
        surveys(table, [(2, [("u", 5)])], ["u"])
