# SPDX-License-Identifier: Apache-2.0
"""Bounded contributions equal plain Python's, whatever the rows; noise and thresholds come in their order."""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.shares.dealing import run_shared
from tests.shares.ideal import IdealEngine
from tests.shares.tables import Made, Table, number, run

from hitoku.protections.shares.operators.bounding import bounded
from hitoku.protections.shares.operators.packing import Field
from hitoku.protections.shares.program import (
    Aggregate,
    Branch,
    Column,
    Noising,
    Opened,
    Type,
    noised_type,
)

COUNT = Type("number", 0, 1 << 20, nullable=False)
SUM = Type("number", -(1 << 40), 1 << 40, nullable=False)
Row = tuple[int, int, int | None, int | None, bool]
"""A unit, a group, a value that is added up, one that is counted, and whether the row is valid."""


def kept_of(rows: list[Row], max_rows: int, max_groups: int | None) -> list[int]:
    """Which rows count: in a unit's group the first ones, and of a unit the groups that it reaches first."""
    reached: dict[int, list[int]] = {}
    used: Counter[tuple[int, int]] = Counter()
    found = []
    for place, (unit, group, _, _, valid) in enumerate(rows):
        if not valid:
            continue
        groups = reached.setdefault(unit, [])
        if group not in groups:
            groups.append(group)
        used[unit, group] += 1
        if used[unit, group] <= max_rows and (max_groups is None or groups.index(group) < max_groups):
            found.append(place)
    return found


ROWS = st.lists(
    st.tuples(
        st.integers(0, 4),
        st.integers(0, 5),
        st.none() | st.integers(-9, 9),
        st.none() | st.integers(0, 3),
        st.booleans() | st.just(True),
    ),
    min_size=1,
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(ROWS, st.integers(1, 4), st.none() | st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_bounding_keeps_the_first_rows_and_groups_of_each_unit(
    rows: list[Row], max_rows: int, max_groups: int | None, seed: int
) -> None:
    engine = IdealEngine(seed)
    valid = engine.public("u8", np.array([int(row[4]) for row in rows], np.uint8))
    unit = Field("unit", engine.public("u8", np.array([row[0] for row in rows], np.uint8)), 3)
    group = Field("g1", engine.public("u8", np.array([row[1] for row in rows], np.uint8)), 3)
    kept, first = bounded(engine, valid, unit, [group], max_rows, max_groups)
    expected = kept_of(rows, max_rows, max_groups)
    assert [place for place, bit in enumerate(engine.values(kept)) if bit] == expected
    firsts: dict[tuple[int, int], int] = {}
    for place in expected:
        firsts.setdefault((rows[place][0], rows[place][1]), place)
    assert [place for place, bit in enumerate(engine.values(first)) if bit] == sorted(firsts.values())
    assert not engine.opened


def test_what_is_kept_of_a_unit_depends_on_no_other_unit() -> None:
    rows: list[Row] = [(unit, (unit * 7 + n * 3) % 6, 0, 0, True) for n in range(12) for unit in range(4)]
    whole = {place for place in kept_of(rows, 2, 2) if rows[place][0] != 3}
    without = [row if row[0] != 3 else (*row[:4], False) for row in rows]
    assert set(kept_of(without, 2, 2)) == whole


# --- figures ---


@dataclass
class Fixed:
    """The same noise everywhere."""

    noise: int = 0

    def take(self, scale: int, count: int) -> array[int]:
        assert scale > 0
        return array("q", [self.noise] * count)


class ByPlace:
    """Noise that tells the place: 1000, 2000, 3000, ..."""

    def take(self, scale: int, count: int) -> array[int]:
        return array("q", [1000 * (n + 1) for n in range(count)])


def table(rows: list[Row]) -> Table:
    units = number([row[0] for row in rows], 0, 7)
    groups = number([row[1] for row in rows], 0, 7)
    summed = Made(Type("number", -9, 9), [row[2] for row in rows], "r64", word=False)
    counted = Made(Type("number", 0, 3), [row[3] for row in rows])
    return Table("t", [units, groups, summed, counted], [row[4] for row in rows])


def branch_of(
    content: Table,
    max_rows: int,
    max_groups: int,
    *,
    threshold: int | None = None,
    least: int = 0,
    domain: tuple[int, ...] | None = None,
    grouped: bool = True,
) -> Branch:
    unit = content.column(1)
    key = content.column(2)
    if domain is not None:
        key = replace(key, type=replace(key.type, high=domain[0] - 1))
    aggregates = (
        Aggregate("f1", "count_distinct", unit, COUNT),
        Aggregate("f2", "count_rows", None, COUNT),
        Aggregate("f3", "count", content.column(4), COUNT),
        Aggregate("f4", "count_distinct", content.column(4), COUNT),
        Aggregate("f5", "sum", content.column(3), SUM),
    )
    scales = (10, 20, 20, 20, 180)
    opened = [Opened("g1", Column("g1", replace(key.type, nullable=False)))] if grouped else []
    opened += [
        Opened(one.name, Column(one.name, noised_type(one.type, scale)))
        for one, scale in zip(aggregates, scales, strict=True)
    ]
    return Branch(
        "t",
        (),
        (),
        (("g1", key),) if grouped else (),
        aggregates,
        8,
        thresholds=() if threshold is None else (("f1", threshold),),
        opened=tuple(opened),
        one_group=not grouped,
        noising=Noising(unit, max_rows, max_groups, scales, "f1", least, domain),
    )


def oracle(rows: list[Row], branch: Branch, noise: int) -> list[tuple[Any, ...]]:
    how = branch.noising
    assert how is not None
    inside = [
        (*row[:4], row[4] and (how.domain is None or row[1] < how.domain[0])) if branch.groups else row
        for row in rows
    ]
    bound = how.max_groups if branch.groups else None
    grouped_rows = [(row[0], row[1] if branch.groups else 0, *row[2:]) for row in inside]
    kept = [grouped_rows[place] for place in kept_of(grouped_rows, how.max_rows, bound)]
    names = sorted({row[1] for row in kept}) if how.domain is None else list(range(how.domain[0]))
    answer = []
    for name in names if branch.groups else [0]:
        mine = [row for row in kept if row[1] == name]
        units = len({row[0] for row in mine})
        if branch.groups and units < how.least_units:
            continue
        if branch.thresholds and units + noise < branch.thresholds[0][1]:
            continue
        values = [row[3] for row in mine if row[3] is not None]
        figures = (units, len(mine), len(values), len(set(values)), sum(row[2] or 0 for row in mine))
        answer.append((*((name,) if branch.groups else ()), *(figure + noise for figure in figures)))
    return answer


@settings(max_examples=100, deadline=None)
@given(
    ROWS,
    st.integers(1, 3),
    st.integers(1, 4),
    st.sampled_from([None, (1,), (4,), (6,)]),
    st.integers(-500, 500),
    st.integers(0, 3),
)
def test_figures_are_the_bounded_ones_plus_exactly_the_noise(
    rows: list[Row], max_rows: int, max_groups: int, domain: tuple[int, ...] | None, noise: int, least: int
) -> None:
    # A row whose group is no public one has NULL there.
    shared = rows if domain is None else [r for r in rows if r[1] < domain[0]] or [(0, 0, 1, 1, True)]
    content = table(shared)
    if domain is not None:
        key = number([row[1] for row in shared], 0, domain[0] - 1)
        content = replace(content, columns=[content.columns[0], key, *content.columns[2:]])
    threshold = None if domain is not None else noise + 2
    made = branch_of(
        content,
        max_rows,
        max_groups,
        threshold=threshold,
        least=0 if domain is not None else least,
        domain=domain,
    )
    got = run([content], made, draws=Fixed(noise))
    assert Counter(got) == Counter(oracle(shared, made, noise))


@settings(max_examples=30, deadline=None)
@given(ROWS, st.integers(1, 3), st.integers(-500, 500))
def test_one_group_is_there_and_bounded(rows: list[Row], max_rows: int, noise: int) -> None:
    made = branch_of(table(rows), max_rows, 1, grouped=False)
    assert run([table(rows)], made, draws=Fixed(noise)) == oracle(rows, made, noise)


SOME: list[Row] = [(n % 5, n % 3, n % 7 - 3, None if n % 4 == 0 else n % 3, n % 6 != 5) for n in range(50)]


def test_groups_have_places_for_noise_that_do_not_follow_from_their_keys() -> None:
    places = set()
    for seed in range(12):
        got = run([table(SOME)], branch_of(table(SOME), 9, 9), seed=seed, draws=ByPlace())
        exact = {row[0]: row for row in oracle(SOME, branch_of(table(SOME), 9, 9), 0)}
        found = {row[0]: (row[2] - exact[row[0]][2]) // 1000 for row in got}
        # All figures of a group have the noise of one place, and no two groups that of the same.
        assert all(row[at] - exact[row[0]][at] == 1000 * found[row[0]] for row in got for at in range(1, 6))
        assert len(set(found.values())) == len(found) == 3
        places.add(tuple(found[key] for key in sorted(found)))
    assert len(places) > 4


@pytest.mark.parametrize("threshold", [None, 3])
def test_noise_comes_after_a_shuffle_and_before_anything_is_compared_with_a_threshold(
    threshold: int | None,
) -> None:
    engine = IdealEngine()
    run([table(SOME)], branch_of(table(SOME), 2, 2, threshold=threshold), engine, draws=Fixed(7))
    names = [name for name, _ in engine.calls]
    first, last = names.index("addends"), len(names) - names[::-1].index("addends")
    assert "shuffle" in names[:first]
    assert not any(name.startswith("order") for name in names[names.index("shuffle") : first])
    assert "shuffle" in names[last:]


def test_a_group_of_too_few_units_is_out_however_large_the_noise() -> None:
    rows: list[Row] = [(0, 1, 1, 1, True), (1, 2, 1, 1, True), (2, 2, 1, 1, True)]
    made = branch_of(table(rows), 1, 1, threshold=2, least=2)
    assert run([table(rows)], made, draws=Fixed(400)) == [(2, 402, 402, 402, 401, 402)]


def test_rows_without_a_unit_or_a_public_group_do_not_count() -> None:
    content = table(SOME)
    units = number([None if n % 4 == 1 else row[0] for n, row in enumerate(SOME)], 0, 7)
    groups = number([None if row[1] == 2 else row[1] for row in SOME], 0, 1)
    content = replace(content, columns=[units, groups, *content.columns[2:]])
    made = branch_of(content, 2, 1, domain=(2,))
    left = [(*row[:4], row[4] and n % 4 != 1 and row[1] != 2) for n, row in enumerate(SOME)]
    assert Counter(run([content], made, draws=Fixed(3))) == Counter(oracle(left, made, 3))


@pytest.mark.parametrize("domain", [None, (4,)])
def test_three_real_parties_add_their_three_noises(domain: tuple[int, ...] | None) -> None:
    content = table(SOME)
    if domain is not None:
        key = number([row[1] for row in SOME], 0, domain[0] - 1)
        content = replace(content, columns=[content.columns[0], key, *content.columns[2:]])
    threshold = None if domain is not None else 1000
    made = branch_of(content, 2, 2, threshold=threshold, domain=domain)
    noises = (1100, -70, 4)
    got, counters = run_shared([content], made, lambda index: Fixed(noises[index]))
    assert Counter(got) == Counter(oracle(SOME, made, sum(noises)))
    assert len(got) == (3 if domain is None else 4)
    assert counters[0]["rounds"] > 0
