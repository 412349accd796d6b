# SPDX-License-Identifier: Apache-2.0
"""The parts of secondary suppression one by one: surveys, cells, the receiver's programs, the choice."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import highspy
import numpy as np
import pyarrow as pa
import pytest

from hitoku import limits
from hitoku.disclosure.suppression import Survey, chosen, secondary, surveys
from hitoku.disclosure.suppression.attacker import Attacker, Cut
from hitoku.disclosure.suppression.cheapest import Cheapest
from hitoku.disclosure.suppression.solver import Effort, TooMuch, model
from hitoku.disclosure.suppression.tables import Cell, Linked, _distinct, _merged, _parts, linked
from hitoku.errors import DisclosureError


def survey(groups: Any, small: Any, counts: Any, *minima: int) -> Survey:
    flags = np.zeros((len(groups), len(groups[0])), dtype=bool)
    for atom, branch in small:
        flags[atom, branch] = True
    return Survey(np.array(groups), flags, np.array(counts, dtype=np.int64), minima)


# Groups of 2, 6 and 9 beside their total; below 5 is small.
ROW = survey([[1, 1], [2, 1], [3, 1]], [(0, 0)], [[2], [6], [9]], 5)
PART = Linked(
    np.array([[2], [6], [9]]),
    (5,),
    (
        Cell((0,), ((0, 1),), True, 2),
        Cell((0, 1, 2), ((1, 1),), False, 5),
        Cell((1,), ((0, 2),), False, 3),
        Cell((2,), ((0, 3),), False, 4),
    ),
)


def same(one: Linked, other: Linked) -> bool:
    return (
        one.counts.tolist() == other.counts.tolist()
        and one.minima == other.minima
        and one.cells == other.cells
    )


# --- surveys ---


def test_a_survey_may_have_empty_atoms_and_atoms_in_no_group() -> None:
    one = survey([[0, 1]], [], [[0]], 5)
    assert repr(one) == "Survey(1 atoms, 2 branches)"


@pytest.mark.parametrize(
    ("groups", "small", "counts", "minima"),
    [
        ([[1, 1]], [[False]], [[1]], (5,)),
        ([[1]], [[False], [False]], [[1]], (5,)),
        ([[1]], [[False]], [[1, 2]], (5,)),
        ([[1]], [[False]], [[1], [2]], (5,)),
        ([[-1]], [[False]], [[1]], (5,)),
        ([[1]], [[False]], [[-1]], (5,)),
        ([[1], [-1]], [[False]] * 2, [[1], [1]], (5,)),
        ([[1], [1]], [[False]] * 2, [[1], [-1]], (5,)),
    ],
)
def test_a_survey_whose_parts_do_not_fit_is_refused(
    groups: Any, small: Any, counts: Any, minima: Any
) -> None:
    with pytest.raises(DisclosureError, match=r"does not fit together: nothing is released$"):
        Survey(np.array(groups), np.array(small), np.array(counts), minima)


def table(**changed: Any) -> pa.Table:
    columns: dict[str, Any] = {"related": [0, 1, 1], "n": [3, 9, 4], "u": [2, 8, 1], "v": [1, 5, 0]}
    columns |= {"c1": [1, 2, 3], "s1": [True, False, True], "c2": [4, 5, 6], "s2": [False, True, False]}
    return pa.table({**columns, **changed})


def test_sets_take_their_own_atoms_branches_and_thresholds() -> None:
    one, two = surveys(table(), [(1, [("v", 7), ("u", 3)]), (2, [("u", 4)])], ["u", "v"])
    assert (one.groups.tolist(), one.small.tolist()) == ([[1]], [[True]])
    assert one.counts.tolist() == [[3, 1, 2]]
    assert one.minima == (7, 7, 3)
    assert two.groups.tolist() == [[2, 5], [3, 6]]
    assert two.small.tolist() == [[False, True], [True, False]]
    assert two.counts.tolist() == [[9, 8], [4, 1]]
    assert two.minima == (4, 4)
    # Without a threshold of its tables rows need not reach anything.
    assert surveys(table(), [(2, []), (2, [])], ["u", "v"])[0].minima == (0,)


def test_a_survey_of_no_sets_has_no_branches() -> None:
    empty = pa.table({"related": pa.array([], pa.int64()), "n": pa.array([], pa.int64())})
    assert surveys(empty, [], []) == []


@pytest.mark.parametrize("columns", [["c3", "s3"], ["c3"], ["w"], ["n"]])
def test_a_survey_has_its_columns_and_no_other(columns: list[str]) -> None:
    given = table()
    for name in columns:
        given = given.append_column(name, pa.array([1, 1, 1]))
    with pytest.raises(DisclosureError, match=r"has another form: nothing is released$"):
        surveys(given, [(2, []), (1, [])], ["u", "v"])


def test_columns_of_a_survey_may_stand_in_any_order() -> None:
    order = table().select(table().column_names[::-1])
    assert len(surveys(order, [(2, []), (1, [])], ["u", "v"])) == 2


# --- tables ---


def test_a_part_has_cells_in_the_order_of_their_atoms() -> None:
    (found,) = linked(ROW)
    assert same(found, PART)


def test_groups_that_rest_on_the_same_rows_are_one_cell() -> None:
    """Branch 1 shows group 1 again as its group 7; any of them small makes the cell small."""
    groups = [[1, 7, 1], [2, 8, 1], [2, 8, 1]]
    (found,) = linked(survey(groups, [(0, 1)], [[2], [3], [4]], 5))
    assert found.counts.tolist() == [[2], [7]]  # atoms of the same groups are merged
    assert found.cells == (
        Cell((0,), ((0, 1), (1, 7)), True, 4),
        Cell((0, 1), ((2, 1),), False, 4),
        Cell((1,), ((0, 2), (1, 8)), False, 8),
    )


def test_small_is_read_of_each_groups_own_atoms() -> None:
    groups = [[1, 1], [1, 2], [2, 1], [2, 2]]
    small = [(0, 0), (1, 0), (1, 1), (3, 1)]
    (found,) = linked(survey(groups, small, [[1], [1], [9], [9]], 5))
    assert [(cell.groups, cell.small) for cell in found.cells] == [
        (((0, 1),), True),
        (((1, 1),), False),
        (((1, 2),), True),
        (((0, 2),), False),
    ]
    assert [cell.atoms for cell in found.cells] == [(0, 1), (0, 2), (1, 3), (2, 3)]


@pytest.mark.parametrize(("rows", "weight"), [(0, 1), (1, 2), (2, 2), (3, 3), (6, 3), (7, 4), (1023, 11)])
def test_a_cell_costs_the_logarithm_of_its_rows(rows: int, weight: int) -> None:
    (found,) = linked(survey([[1, 1], [2, 1]], [(1, 0)], [[rows], [1]], 5))
    assert found.cells[0].weight == weight


def test_only_parts_in_which_something_can_follow() -> None:
    # Three parts that share no atom: one without anything small, one of a lone small cell, one to protect.
    groups = [[1, 1], [2, 1], [3, 2], [4, 3], [5, 3]]
    found = linked(survey(groups, [(2, 0), (2, 1), (3, 0)], [[6], [7], [1], [2], [9]], 5))
    assert len(found) == 1
    assert found[0].counts.tolist() == [[2], [9]]
    assert [cell.groups for cell in found[0].cells] == [((0, 4),), ((1, 3),), ((0, 5),)]
    assert [cell.atoms for cell in found[0].cells] == [(0,), (0, 1), (1,)]


def test_atoms_in_no_group_of_a_branch_hang_together_with_nothing_there() -> None:
    groups = [[1, 0], [2, 0], [0, 1], [0, 2]]
    assert linked(survey(groups, [(0, 0), (2, 1)], [[1], [9], [1], [9]], 5)) == []


def test_merged_atoms_add_up_in_64_bits() -> None:
    groups = np.array([[2, 1], [1, 1], [2, 1]])
    small = np.array([[True, False], [False, False], [True, False]])
    counts = np.array([[2**40, 1], [3, 1], [2**40, 2]])
    merged, sums, flags = _merged(Survey(groups, small, counts, (5, 5)))
    assert merged.tolist() == [[1, 1], [2, 1]]
    assert sums.tolist() == [[3, 1], [2**41, 3]]
    assert sums.dtype == np.int64
    assert flags.tolist() == [[False, False], [True, False]]


def test_parts_are_named_by_their_lowest_atom() -> None:
    members = {(0, 1): [1, 4], (0, 2): [2], (0, 3): [3, 5], (1, 1): [4, 5], (1, 2): [0]}
    assert _parts(6, members) == [0, 1, 2, 1, 1, 1]
    chain = {(0, n): [n, n + 1] for n in range(5, -1, -1)}
    assert _parts(8, chain) == [0] * 7 + [7]


def test_measures_that_are_equal_stand_once_with_the_higher_minimum() -> None:
    counts = np.array([[1, 2, 1, 1], [3, 4, 3, 3]])
    found = _distinct(counts, (5, 6, 9, 7), ())
    assert found.counts.tolist() == [[1, 2], [3, 4]]
    assert found.minima == (9, 6)
    assert _distinct(counts[:, ::-1], (5, 6, 9, 7), ()).minima == (7, 9)
    assert _distinct(counts[:, :1], (0,), ()).minima == (0,)


# --- the solver ---


class NoOptimum:
    """Solves, and says that no optimum was found."""

    programs = 10

    def run(self, highs: Any) -> bool:
        highs.run()
        return False


def program() -> Any:
    """The least of 2 x + 3 y with x + y >= 1.5, 0 <= x, y <= 1."""
    return model([2, 3], ([0, 0], [1, 1]), ([1.5], [np.inf]), ([0, 2], [0, 1], [1, 1]))


def test_a_program_is_solved_within_its_bounds() -> None:
    highs = program()
    assert Effort().run(highs) is True
    assert list(highs.getSolution().col_value) == pytest.approx([1, 0.5])
    whole = model([2, 3], ([0, 0], [1, 1]), ([1.5], [np.inf]), ([0, 2], [0, 1], [1, 1]), whole=True)
    assert Effort().run(whole) is True
    assert list(whole.getSolution().col_value) == pytest.approx([1, 1])
    none = model([1], ([0], [1]), ([2], [3]), ([0, 1], [0], [1]))
    assert Effort().run(none) is False


def test_the_matrix_is_given_by_rows() -> None:
    highs = model([1, 1], ([0, 0], [9, 9]), ([6, 4], [9, 9]), ([0, 1, 3], [1, 0, 1], [2, 1, 1]))
    assert Effort().run(highs)
    assert list(highs.getSolution().col_value) == pytest.approx([1, 3])
    lp = highs.getLp()
    assert (lp.num_col_, lp.num_row_) == (2, 2)
    assert (list(lp.row_lower_), list(lp.row_upper_)) == ([6, 4], [9, 9])
    assert (list(lp.col_lower_), list(lp.col_upper_), list(lp.col_cost_)) == ([0, 0], [9, 9], [1, 1])


@pytest.mark.parametrize(
    ("option", "value"),
    [("output_flag", False), ("threads", 1), ("random_seed", 1), ("mip_max_nodes", 20_000)],
)
def test_the_solver_is_silent_bounded_and_the_same_each_time(option: str, value: Any) -> None:
    assert program().getOptionValue(option)[1] == value


@pytest.mark.parametrize("programs", [0, 1, 2])
def test_programs_are_counted(programs: int) -> None:
    effort = Effort(programs=programs)
    for _ in range(programs):
        assert effort.run(program())
    with pytest.raises(TooMuch):
        effort.run(program())


def test_time_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: 100.0)
    assert Effort().until == 100.0 + limits.SUPPRESSION_SECONDS
    assert Effort().programs == limits.SUPPRESSION_PROGRAMS
    with pytest.raises(TooMuch):
        Effort(until=100.0).run(program())
    # What is left counts from what the solver has used.
    given: dict[str, float] = {}
    status = highspy.HighsModelStatus
    highs = SimpleNamespace(
        setOptionValue=given.__setitem__,
        getRunTime=lambda: 3.0,
        run=lambda: None,
        getModelStatus=lambda: status.kOptimal,
    )
    assert Effort(until=104.0).run(highs) is True
    assert given == {"time_limit": 7.0}
    highs.getModelStatus = lambda: status.kTimeLimit
    with pytest.raises(TooMuch):
        Effort(until=104.0).run(highs)
    highs.getModelStatus = lambda: status.kInfeasible
    assert Effort(until=104.0).run(highs) is False


# --- the receiver who computes ---


def attacker(part: Linked = PART, measure: int = 0, effort: Any = None) -> Attacker:
    return Attacker(part, measure, effort or Effort())


def bounds(one: Attacker) -> tuple[list[float], ...]:
    lp = one._highs.getLp()
    return tuple(list(b) for b in (lp.col_lower_, lp.col_upper_, lp.row_lower_, lp.row_upper_))


def test_what_has_to_be_free() -> None:
    one = attacker()
    # The cell of 2 down to 0 and up to 5.
    assert one.open == {(0, -1): 2, (0, 1): 3}
    assert one.hidden == {0}
    assert one.room == 24  # eight times the largest
    assert one.lower.tolist() == [-2, -6, -9]
    assert one.place == {0: 0, 2: 1, 3: 2, 1: 3}
    assert bounds(one) == ([-2, 0, 0], [24, 0, 0], [0], [0])
    assert list(one._highs.getLp().a_matrix_.value_) == [1, 1, 1]


@pytest.mark.parametrize(
    ("value", "minimum", "targets"),
    [
        (0, 5, {(0, 1): 5}),
        (5, 5, {(0, -1): 5}),
        (7, 5, {(0, -1): 7}),
        (0, 0, {}),
        (4, 5, {(0, -1): 4, (0, 1): 1}),
    ],
)
def test_targets_lie_between_zero_and_the_minimum(value: int, minimum: int, targets: Any) -> None:
    one = attacker(Linked(np.array([[value], [6], [900]]), (minimum,), PART.cells))
    assert one.open == targets
    assert one.room == 8 * max(targets.values(), default=1)
    # Nobody needs to go farther than the room.
    assert one.lower.tolist() == [-min(n, one.room) for n in (value, 6, 900)]


def test_each_measure_is_attacked_by_its_own_counts() -> None:
    part = Linked(np.array([[2, 1], [6, 5], [9, 8]]), (5, 4), PART.cells)
    assert attacker(part, 1).open == {(0, -1): 1, (0, 1): 3}
    assert attacker(part, 1).sums.tolist() == [1, 14, 5, 8]


def test_what_is_withheld_may_move() -> None:
    one = attacker()
    one.hide([2, 1, 0])
    assert one.hidden == {0, 1, 2}
    assert bounds(one) == ([-2, -6, 0], [24, 24, 0], [-24], [24])
    one._bound(2, 0, 0)
    one.hide([2])  # it was withheld before: nothing is done
    assert bounds(one)[1] == [24, 0, 0]


@pytest.mark.parametrize(
    ("hidden", "moves", "left"),
    [
        ([2], [-2, 2, 0], {(0, 1)}),
        ([2], [3, -3, 0], {(0, -1)}),
        ([2], [2, -2, 0], {(0, -1), (0, 1)}),  # not far enough
        ([2], [-3, 3, 0], {(0, -1), (0, 1)}),  # below zero
        ([2], [7, -7, 0], {(0, -1), (0, 1)}),  # another below zero
        ([2], [3, -2, -1], {(0, -1), (0, 1)}),  # moves a cell that is shown
        ([2], [3, 0, 0], {(0, -1), (0, 1)}),  # moves the total, which is shown
        ([1], [3, 0, 0], {(0, -1)}),
        ([2], [3 - 5e-7, -3 + 5e-7, 0], {(0, -1)}),  # within the solver's tolerance
        ([2], [3 - 5e-6, -3 + 5e-6, 0], {(0, -1), (0, 1)}),
        ([2], [3, -3, 5e-7], {(0, -1)}),
        ([1, 2], [3, -3, 1e-6], {(0, -1)}),  # exactly the tolerance
        ([2], [3 - 1e-6, 1e-6 - 3, 0], {(0, -1)}),
        ([2], [3, -3, 5e-6], {(0, -1), (0, 1)}),
        ([2], [-2 - 5e-7, 2, 0], {(0, 1)}),
        ([2], [-2 - 5e-6, 2, 0], {(0, -1), (0, 1)}),
    ],
)
def test_a_witness_keeps_what_is_shown_and_nobody_below_zero(hidden: Any, moves: Any, left: Any) -> None:
    one = attacker()
    one.hide(hidden)
    one.accept(np.array(moves, dtype=np.float64))
    assert set(one.open) == left


@pytest.mark.parametrize(("below", "left"), [(1e-6, {(0, -1)}), (1.5e-6, {(0, -1), (0, 1)})])
def test_nobody_is_below_zero_but_for_the_tolerance(below: float, left: Any) -> None:
    one = attacker(Linked(np.array([[2], [6], [0]]), (5,), PART.cells))
    one.hide([1, 2, 3])
    one.accept(np.array([3.0, 0.0, -below]))
    assert set(one.open) == left


def test_a_witness_of_a_part_without_sums() -> None:
    cells = (Cell((0,), ((0, 1),), True, 2), Cell((1,), ((0, 2),), False, 3))
    one = attacker(Linked(np.array([[2], [6]]), (5,), cells))
    one.accept(np.array([3.0, 0.0]))
    assert one.open == {(0, -1): 2}
    one.spread(-1)
    assert one.open == {}


def test_an_atom_that_is_no_cell_moves_freely() -> None:
    """Only sums of it are known: rows 1 to 3 in groups of two."""
    cells = (Cell((0, 1), ((0, 1),), True, 3), Cell((1, 2), ((1, 1),), False, 3))
    one = attacker(Linked(np.array([[1], [2], [9]]), (5,), cells))
    assert one.cell_of_atom.tolist() == [-1, -1, -1]
    assert bounds(one) == ([-1, -2, -9], [24] * 3, [-24, 0], [24, 0])
    one.accept(np.array([2.0, 0.0, 0.0]))
    assert one.open == {(0, -1): 3}
    one.accept(np.array([-1.0, -2.0, 2.0]))
    assert one.open == {}


def test_one_program_looks_for_all_targets_of_a_direction() -> None:
    cells = (*PART.cells[:2], Cell((1,), ((0, 2),), True, 3), PART.cells[3])
    for direction, left in ((-1, 1), (1, -1)):
        one = attacker(Linked(np.array([[2], [3], [9]]), (5,), cells))
        before = bounds(one)
        one.hide([3])
        before = bounds(one)
        one.spread(direction)
        assert {way for _, way in one.open} == {left}
        assert bounds(one) == before  # as it was


def test_not_farther_than_is_demanded_so_that_both_fit() -> None:
    """Both small cells may take 5 of the third at once only if neither takes more than it has to."""
    cells = (*PART.cells[:2], Cell((1,), ((0, 2),), True, 3), PART.cells[3])
    one = attacker(Linked(np.array([[1], [1], [8]]), (5,), cells))
    one.hide([3])
    one.spread(1)
    assert set(one.open) == {(0, -1), (2, -1)}


def test_where_no_optimum_is_found_nothing_is_taken_for_a_witness() -> None:
    one = attacker(effort=NoOptimum())
    one.hide([2])
    one.spread(1)
    assert set(one.open) == {(0, -1), (0, 1)}
    assert one.attack((0, 1)) == Cut({}, 1.0)
    assert set(one.open) == {(0, -1), (0, 1)}


@pytest.mark.parametrize(("direction", "level"), [(-1, 2.0), (1, 3.0)])
def test_an_attack_without_a_witness_says_what_it_lacks(direction: int, level: float) -> None:
    cut = attacker().attack((0, direction))
    # Any of the three others, withheld, is enough.
    assert cut is not None
    assert cut.least == pytest.approx(level)
    assert {cell: pytest.approx(level) for cell in (1, 2, 3)} == cut.weights
    one = attacker()
    one.hide([2])
    assert one.attack((0, direction)) is None
    assert set(one.open) == {(0, -direction)}


def test_an_inequality_counts_how_far_a_cell_can_move() -> None:
    """Of a neighbour of 1 only 1 can be taken: the cell of 2 cannot grow by 3 with it alone."""
    part = Linked(np.array([[2], [1], [9]]), (5,), PART.cells)
    one = attacker(part)
    one.hide([2])
    cut = one.attack((0, 1))
    assert cut is not None
    assert cut.weights[2] == pytest.approx(1)
    assert cut.weights[3] == pytest.approx(3)
    assert cut.weights[1] == pytest.approx(3)
    assert cut.least == pytest.approx(3)


def test_atoms_that_are_no_cell_are_subtracted_from_what_is_demanded() -> None:
    """The small sum of 3 can grow by 1 of an atom that nobody shows; withheld cells must add the other 1."""
    cells = (
        Cell((0, 1), ((0, 1),), True, 2),
        Cell((1, 2), ((1, 1),), False, 3),
        Cell((0, 3), ((2, 1),), False, 3),
    )
    one = attacker(Linked(np.array([[2], [1], [1], [0]]), (5,), cells))
    assert one.open == {(0, -1): 3, (0, 1): 2}
    cut = one.attack((0, 1))
    assert cut is not None
    assert cut.least == pytest.approx(1)
    assert cut.weights == {1: pytest.approx(1), 2: pytest.approx(1)}
    # Atoms that are no cell move, too, and nothing is withheld for that.
    assert Cheapest(one).protect([(0, 1)]) is True
    assert one.hidden in ({0, 1}, {0, 2})


def test_targets_stand_in_the_order_of_their_cells() -> None:
    cells = tuple(Cell((n,), ((0, n + 1),), n in {1, 8}, 2) for n in range(10))
    one = attacker(Linked(np.full((10, 1), 2), (5,), cells))
    assert list(one.open) == [(1, -1), (1, 1), (8, -1), (8, 1)]
    assert one.inside.tolist() == []
    assert one.starts.tolist() == [0]


# --- the cheapest further cells ---


def test_a_target_takes_the_cheapest_neighbours() -> None:
    one = attacker()
    assert Cheapest(one).protect([(0, 1)]) is True
    assert one.hidden == {0, 2}
    assert one.open == {(0, -1): 2}
    other = attacker()
    assert Cheapest(other).protect([(0, -1)]) is True
    assert other.hidden == {0, 2}


def test_what_is_withheld_already_costs_nothing_more() -> None:
    one = attacker()
    one.hide([3])
    assert Cheapest(one).protect([(0, 1)]) is True
    assert one.hidden == {0, 3}


def test_a_witness_moves_no_more_than_it_must() -> None:
    one = attacker()
    one.hide([1, 2, 3])
    proposed: list[Any] = []
    one.accept = proposed.append  # type: ignore[method-assign,assignment]
    Cheapest(one).protect([(0, 1)])
    (moves,) = proposed
    assert moves[0] == pytest.approx(3)
    assert np.abs(moves).sum() <= 6 + 1e-6


def test_a_move_costs_its_cells_weight_and_a_tiny_price() -> None:
    cheapest = Cheapest(attacker())
    cheapest.protect([(0, 1)])
    # Atoms up, atoms down, the total up, the total down; the first cell is withheld already.
    prices = [0, 3, 4, 0, 3, 4, 5, 5]
    assert list(cheapest._highs.getLp().col_cost_) == pytest.approx([price + 1e-3 for price in prices])
    cells = (Cell((0, 1), ((0, 1),), True, 2), Cell((1, 2), ((1, 1),), False, 3))
    cheapest = Cheapest(attacker(Linked(np.array([[1], [2], [9]]), (5,), cells)))
    cheapest.protect([(0, 1)])
    # Atoms that are no cell cost nothing.
    prices = [0, 0, 0, 0, 0, 0, 0, 3, 0, 3]
    assert list(cheapest._highs.getLp().col_cost_) == pytest.approx([price + 1e-3 for price in prices])


def test_a_neighbour_that_is_too_small_is_not_enough_alone() -> None:
    part = Linked(np.array([[2], [1], [9]]), (5,), PART.cells)
    one = attacker(part)
    assert Cheapest(one).protect([(0, 1)]) is True
    assert one.hidden in ({0, 3}, {0, 2, 3})
    assert (0, 1) not in one.open
    # The total costs less than a large neighbour.
    cells = (PART.cells[0], Cell((0, 1, 2), ((1, 1),), False, 1), *PART.cells[2:])
    one = attacker(Linked(PART.counts, (5,), cells))
    assert Cheapest(one).protect([(0, 1)]) is True
    assert one.hidden == {0, 1}


def test_a_sum_may_be_the_target() -> None:
    """A small sum whose parts are shown, too: nothing of it can move unless a part does."""
    cells = (
        Cell((0,), ((1, 1),), False, 2),
        Cell((0, 1), ((0, 1),), True, 3),
        Cell((1,), ((1, 2),), False, 1),
        Cell((2,), ((1, 3),), False, 9),
    )
    for direction in (-1, 1):
        one = attacker(Linked(np.array([[2], [1], [50]]), (5,), cells))
        level = one.open[1, direction]
        assert level == {-1: 3, 1: 2}[direction]
        assert Cheapest(one).protect([(1, direction)]) is True
        assert one.hidden == ({0, 1, 2} if direction < 0 else {1, 2})
        assert (1, direction) not in one.open


def test_several_targets_at_once() -> None:
    cells = (*PART.cells[:2], Cell((1,), ((0, 2),), True, 3), PART.cells[3])
    one = attacker(Linked(np.array([[2], [3], [9]]), (5,), cells))
    assert Cheapest(one).protect([(0, 1), (2, 1)]) is True
    assert (0, 1) not in one.open
    assert (2, 1) not in one.open


@pytest.mark.parametrize("closed", [0, 1, 2])
def test_targets_are_protected_where_a_witness_of_each_holds(closed: int) -> None:
    cells = (*PART.cells[:2], Cell((1,), ((0, 2),), True, 3), PART.cells[3])
    one = attacker(Linked(np.array([[2], [3], [9]]), (5,), cells))
    targets = [(0, 1), (2, 1)]

    def accept(moves: Any) -> None:
        for target in targets[:closed]:
            del one.open[target]

    one.accept = accept  # type: ignore[method-assign,assignment]
    assert Cheapest(one).protect(targets) is (closed == 2)


def test_where_no_optimum_is_found_nothing_more_is_withheld() -> None:
    one = attacker(effort=NoOptimum())
    assert Cheapest(one).protect([(0, 1)]) is False
    assert one.hidden == {0}
    assert set(one.open) == {(0, -1), (0, 1)}


def test_the_program_of_the_cheapest_moves_atoms_and_cells_both_ways() -> None:
    cheapest = Cheapest(attacker())
    lp = cheapest._highs.getLp()
    assert list(lp.col_lower_) == [0] * 8
    assert list(lp.col_upper_) == [24, 24, 24, 2, 6, 9, 24, 24]
    assert (list(lp.row_lower_), list(lp.row_upper_)) == ([0], [0])
    assert cheapest._owner.tolist() == [0, 2, 3, 0, 2, 3, 1, 1]
    # Atoms up less atoms down, less the cell up, and the cell down, are nothing.
    assert list(lp.a_matrix_.value_) == [1, 1, 1, -1, -1, -1, -1, 1]
    assert cheapest._columns(0) == (0, 3)
    assert cheapest._columns(3) == (2, 5)
    assert cheapest._columns(1) == (6, 7)


# --- the choice ---


def test_cuts_choose_the_cheapest_cells() -> None:
    def choice(*cuts: Cut) -> Any:
        return chosen._cheapest_choice(PART, list(cuts), Effort())

    assert choice() == {0}
    assert choice(Cut({1: 1.0, 2: 1.0, 3: 1.0}, 1.0)) == {0, 2}
    assert choice(Cut({1: 3.0, 2: 1.0, 3: 3.0}, 3.0)) == {0, 3}
    assert choice(Cut({1: 2.0, 2: 2.0, 3: 2.0}, 4.0)) == {0, 2, 3}
    assert choice(Cut({2: 1.0}, 1.0), Cut({3: 1.0}, 1.0)) == {0, 2, 3}
    assert choice(Cut({0: 1.0}, 1.0)) == {0}
    # Half of each of three is no choice.
    pairs = [Cut(dict.fromkeys(pair, 1.0), 1.0) for pair in ((1, 2), (2, 3), (1, 3))]
    assert choice(*pairs) == {0, 2, 3}
    # A third and a third and a third are one, whatever floating point makes of it.
    assert choice(Cut({1: 0.1, 2: 0.1, 3: 0.1}, 0.1 + 0.1 + 0.1)) == {0, 1, 2, 3}
    # No choice, and a solver's failure.
    assert choice(Cut({2: 1.0}, 3.0)) is None
    assert choice(Cut({}, 1.0)) is None
    assert choice(Cut({2: 1.0}, 0.0)) is None
    assert choice(Cut({2: 1.0}, -1.0)) is None
    assert chosen._cheapest_choice(PART, [], NoOptimum()) is None  # type: ignore[arg-type]


def test_the_exact_choice_and_where_it_is_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen._exact(PART, Effort()) == {0, 2}
    assert chosen._exact(PART, NoOptimum()) is None  # type: ignore[arg-type]
    # One round proposes the small cells alone, the second knows the inequalities.
    for rounds, found in ((1, None), (2, {0, 2})):
        monkeypatch.setattr(limits, "SUPPRESSION_ROUNDS", rounds)
        assert chosen._exact(PART, Effort()) == found


@pytest.mark.parametrize(("most", "way"), [(4, ["exact"]), (3, ["settle"])])
def test_small_parts_are_chosen_exactly(monkeypatch: pytest.MonkeyPatch, most: int, way: list[str]) -> None:
    called: list[str] = []

    def noted(name: str, real: Any) -> Any:
        def run(*given: Any) -> Any:
            called.append(name)
            return real(*given)

        return run

    exact, settle = chosen._exact, chosen._settle
    monkeypatch.setattr(limits, "SUPPRESSION_EXACT_CELLS", most)
    monkeypatch.setattr(chosen, "_exact", noted("exact", exact))
    monkeypatch.setattr(chosen, "_settle", noted("settle", settle))
    assert chosen._withheld(PART, Effort()) == {0, 2}
    assert called == way


def test_where_the_exact_choice_is_not_found_another_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chosen, "_exact", lambda part, effort: None)
    assert chosen._withheld(PART, Effort()) == {0, 2}


def test_each_measure_begins_with_what_the_others_withheld(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[set[int]] = []

    def settle(attacker: Attacker) -> None:
        seen.append(set(attacker.hidden))
        attacker.hide([len(seen)])

    monkeypatch.setattr(limits, "SUPPRESSION_EXACT_CELLS", 0)
    monkeypatch.setattr(chosen, "_settle", settle)
    part = Linked(np.array([[2, 1], [6, 5], [9, 8]]), (5, 4), PART.cells)
    assert chosen._withheld(part, Effort()) == {0, 1, 2}
    assert seen == [{0}, {0, 1}]


class Many:
    """An attacker with many open targets of two directions, in a part of so many cells."""

    def __init__(self, cells: int, down: int, up: int) -> None:
        self.part = SimpleNamespace(cells=[None] * cells)
        self.open = {**{(n, -1): 1 for n in range(down)}, **{(n, 1): 1 for n in range(up)}}


@pytest.mark.parametrize(
    ("cells", "down", "sizes"),
    [
        (limits.SUPPRESSION_LARGE_CELLS, 80, [1]),
        (limits.SUPPRESSION_LARGE_CELLS + 1, 80, [11, 6, 3, 2, 1]),
        (limits.SUPPRESSION_LARGE_CELLS + 1, 7, [1]),
        (limits.SUPPRESSION_LARGE_CELLS + 1, 8, [2, 1]),
    ],
)
def test_targets_are_tried_in_ever_smaller_lots(cells: int, down: int, sizes: list[int]) -> None:
    tried: list[Any] = []
    answer = False

    def protect(targets: Any) -> bool:
        tried.append(targets)
        return answer

    program_: Any = SimpleNamespace(protect=protect)
    with pytest.raises(TooMuch):
        chosen._protect(program_, Many(cells, down, 99))  # type: ignore[arg-type]
    assert [len(targets) for targets in tried] == sizes
    assert tried[0] == [(n, -1) for n in range(sizes[0])]
    answer = True
    tried.clear()
    chosen._protect(program_, Many(cells, 0, 3))  # type: ignore[arg-type]
    assert tried == [[(0, 1)]]


class Open:
    """An attacker whose targets close as the test says, and that notes what is asked of it."""

    def __init__(self, closes: dict[int, int], *targets: tuple[int, int]) -> None:
        self.open = dict.fromkeys(targets, 1)
        self.closes = closes
        self.asked: list[Any] = []

    def spread(self, direction: int) -> None:
        self.asked.append(direction)
        mine = [target for target in self.open if target[1] == direction]
        for target in mine[: self.closes.get(direction, 0)]:
            del self.open[target]


def settled(one: Open, monkeypatch: pytest.MonkeyPatch, at_once: int = 8) -> list[Any]:
    monkeypatch.setattr(limits, "SUPPRESSION_TARGETS_AT_ONCE", at_once)

    def cheapest(attacker: Any) -> str:
        one.asked.append("made")
        return "cheapest"

    monkeypatch.setattr(chosen, "Cheapest", cheapest)

    def protect(cheapest: Any, attacker: Any) -> None:
        assert cheapest == "cheapest"
        one.asked.append("protect")
        attacker.open.pop(next(iter(attacker.open)))

    monkeypatch.setattr(chosen, "_protect", protect)
    chosen._settle(one)  # type: ignore[arg-type]
    return one.asked


def test_both_directions_are_tried_where_they_are_open(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settled(Open({-1: 1, 1: 1}, (0, -1), (0, 1)), monkeypatch) == [-1, 1]
    assert settled(Open({-1: 1}, (0, -1)), monkeypatch) == [-1]
    assert settled(Open({1: 1}, (0, 1)), monkeypatch) == [1]
    assert settled(Open({}), monkeypatch) == []


def test_one_after_the_other_where_witnesses_help_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    ten = [(n, 1) for n in range(10)]
    # One of ten is too little, two are enough to try again.
    assert settled(Open({1: 1}, *ten), monkeypatch) == [1, "made", *["protect"] * 8, 1]
    assert settled(Open({1: 2}, *ten), monkeypatch) == [1] * 5
    assert settled(Open({}, *ten[:4]), monkeypatch, at_once=3) == [1, "made", *["protect"] * 3, 1, "protect"]


def test_the_choice_of_a_question() -> None:
    assert secondary(ROW) == (frozenset({2}), frozenset())
    assert secondary(ROW, 1) == (frozenset({2}), frozenset())
    # A group that is small is not withheld "besides", though it shares its cell with another.
    twice = survey([[1, 1, 7], [2, 1, 8], [3, 1, 9]], [(0, 0)], [[2], [6], [9]], 5)
    assert secondary(twice)[0] in (frozenset(), frozenset({2}))
    assert 7 in secondary(twice)[2]  # type: ignore[operator]


@pytest.mark.parametrize(("atoms", "found"), [(3, (frozenset({2}), frozenset())), (2, (frozenset(), None))])
def test_beyond_the_atoms_one_branch_stays(monkeypatch: pytest.MonkeyPatch, atoms: int, found: Any) -> None:
    monkeypatch.setattr(limits, "SUPPRESSION_ATOMS", atoms)
    assert secondary(ROW) == found
