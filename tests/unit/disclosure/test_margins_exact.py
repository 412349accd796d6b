# SPDX-License-Identifier: Apache-2.0
"""Which groups of a question's related branches are withheld: by block, by table, with too many branches."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from sqlglot import exp

from hitoku import limits
from hitoku.disclosure.margins import protected, suppressed
from hitoku.disclosure.plan import Threshold
from hitoku.errors import DisclosureError
from hitoku.questions.form import Block, Combined, Family, Form, Left, Value

UNIT = Threshold("_u0", "t", "u", "o", 5)


def block(*groups: str, tables: tuple[str, ...] = ("t",), lefts: tuple[str, ...] = ()) -> Block:
    keys = tuple(Value(exp.column(name), Family.STRING) for name in groups)
    return Block(tables, (), tuple(Left(name, ()) for name in lefts), (), keys, (), ())


def asked(*blocks: Block) -> Any:
    return SimpleNamespace(form=Form(blocks, Combined("UNION ALL", tuple(range(len(blocks))))))


def plan(*thresholds: Threshold) -> Any:
    return SimpleNamespace(thresholds=thresholds)


PAIR = asked(block("a"), block())
# Three groups of 2, 6 and 9 beside their total: the small one and the smallest of the others.
COUNTED = {
    "related": [0, 0, 0],
    "n": [2, 6, 9],
    "_u0": [2, 6, 9],
    "c1": [1, 2, 3],
    "s1": [True, False, False],
    "c2": [1, 1, 1],
    "s2": [False, False, False],
}


def test_what_needs_secondary_suppression() -> None:
    assert protected(PAIR, plan(UNIT)) is True
    assert protected(PAIR, plan()) is False
    assert protected(asked(block("a")), plan(UNIT)) is False
    assert protected(asked(block("a"), block(tables=("s",))), plan(UNIT)) is False


def test_groups_are_withheld_by_their_branchs_blocks() -> None:
    assert suppressed(PAIR, plan(UNIT), pa.table(COUNTED)) == {0: frozenset({2}), 1: frozenset()}
    # Two blocks with the same groups are one branch.
    three = asked(block("a"), block(), block("a"))
    assert suppressed(three, plan(UNIT), pa.table(COUNTED)) == {
        0: frozenset({2}),
        1: frozenset(),
        2: frozenset({2}),
    }


def test_only_thresholds_of_the_branches_tables_count() -> None:
    """Another table's minimum, which no group here reaches, withholds nothing more."""
    other = Threshold("_u1", "s", "u", "o", 1_000)
    table = pa.table({**COUNTED, "_u1": [0, 0, 0]})
    assert suppressed(PAIR, plan(UNIT, other), table) == {0: frozenset({2}), 1: frozenset()}
    # One of a left-joined table counts: its two units of five must not follow.
    left = asked(block("a", lefts=("s",)), block(lefts=("s",)))
    own = Threshold("_u1", "s", "u", "o", 9)
    table = pa.table({**COUNTED, "_u1": [2, 6, 9], "s1": [True, True, False], "s2": [False] * 3})
    found = suppressed(left, plan(UNIT, own), table)
    assert found[0] == frozenset({3}) or found[1] == frozenset({1})
    assert suppressed(left, plan(own), table.drop_columns(["_u0"])) == found


def test_sets_of_related_branches_are_apart() -> None:
    four = asked(block("a"), block(tables=("s",)), block(), block("b", tables=("s",)))
    table = pa.concat_tables(
        [
            pa.table(COUNTED),
            pa.table(
                {
                    **COUNTED,
                    "related": [1, 1, 1],
                    "c1": [1, 1, 1],
                    "c2": [1, 2, 3],
                    "s1": [False] * 3,
                    "s2": [False, True, False],
                    "_u0": [0] * 3,
                }
            ),
        ]
    )
    table = table.set_column(1, "n", pa.array([2, 6, 9, 9, 2, 6]))
    found = suppressed(
        four, plan(UNIT, Threshold("_u1", "s", "u", "o", 5)), table.append_column("_u1", table.column("n"))
    )
    assert found == {0: frozenset({2}), 2: frozenset(), 1: frozenset(), 3: frozenset({3})}


def test_without_a_survey_nothing_is_released() -> None:
    with pytest.raises(DisclosureError, match=r"were not counted: nothing is released$"):
        suppressed(PAIR, plan(UNIT), None)


@pytest.mark.parametrize(("most", "counted"), [(2, True), (1, False)])
def test_of_too_many_branches_one_stays(monkeypatch: pytest.MonkeyPatch, most: int, counted: bool) -> None:
    monkeypatch.setattr(limits, "SUPPRESSION_BRANCHES", most)
    question = asked(block(), block("a"), block())
    if counted:
        with pytest.raises(DisclosureError):
            suppressed(question, plan(UNIT), None)
    else:
        # The branch with the most keys stays; the others are withheld with all their blocks.
        assert suppressed(question, plan(UNIT), None) == {0: None, 1: frozenset(), 2: None}


def test_sets_with_too_many_branches_leave_the_others_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SUPPRESSION_BRANCHES", 2)
    question = asked(
        block("a"), block(), block("a", tables=("s",)), block("b", tables=("s",)), block(tables=("s",))
    )
    assert suppressed(question, plan(UNIT), pa.table(COUNTED)) == {
        2: frozenset(),
        3: None,
        4: None,
        0: frozenset({2}),
        1: frozenset(),
    }
    assert suppressed(asked(block("a")), plan(UNIT), None) == {}
