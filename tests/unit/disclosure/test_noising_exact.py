# SPDX-License-Identifier: Apache-2.0
"""Figures to outputs, to the letter: which cells are taken, which draws used, what is told of noise."""

from __future__ import annotations

from array import array
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from sqlglot import exp

from hitoku.disclosure import noising
from hitoku.disclosure.noise import Noise, NoisedPart
from hitoku.disclosure.noising import described, noised
from hitoku.errors import DisclosureError, EngineError
from hitoku.questions.form import Block, Combined, Family, Form, Item, Ref, Value
from hitoku.questions.privacy import Figure, FigureKind, Part, Privacy
from hitoku.room.rules import ColumnBounds

UNITS = Figure(FigureKind.UNITS, None, 1)
ROWS = Figure(FigureKind.ROWS, None, 2)
CENTS = ColumnBounds(column_name="x", lower=0, upper=100, decimals=2)
TOTAL = Figure(FigureKind.SUM, Ref("t", "x"), 20_000, CENTS)
COUNT = exp.Count(this=exp.Star())
SUM = exp.Sum(this=exp.column("x", "t"))
AVG = exp.Avg(this=exp.column("x", "t"))


def block(groups: int, *nodes: exp.Expr) -> Block:
    keys = tuple(
        Value(exp.column(f"k{n}", "t"), Family.STRING, plain=Ref("t", f"k{n}")) for n in range(groups)
    )
    made = [*keys, *(Value(node, Family.NUMBER, aggregate=True) for node in nodes)]
    names = [*(f"k{n}" for n in range(groups)), *"abcdef"[: len(nodes)]]
    items = tuple(Item(name, value) for name, value in zip(names, made, strict=True))
    return Block(("t",), (), (), (), keys, items, ())


def asked(*blocks: Block, parts: tuple[Part, ...]) -> Any:
    tree: Any = 0 if len(blocks) == 1 else Combined("UNION ALL", tuple(range(len(blocks))))
    return SimpleNamespace(
        privacy=Privacy("person", ("a",), 10, "1e-6", parts),
        form=Form(blocks, tree),
        outputs=tuple(SimpleNamespace(name=item.name) for item in blocks[0].items),
    )


def part(*figures: Figure, public: bool = False, made_of: Any = None) -> Part:
    places = {"COUNT(*)": (1 if len(figures) > 1 else 0,)} if made_of is None else made_of
    return Part(Ref("t", "u"), 2, 3, figures, tuple(places.items()), () if public else None)


GROUPED = asked(block(1, COUNT), parts=(part(UNITS, ROWS),))
NOISE = Noise("person", 10, (NoisedPart((10, 20), 50, 2),))
CELLS = pa.table(
    {
        "_hitoku_part": [1, 1, 1],
        "_hitoku_g1_1": ["x", "y", "z"],
        "_hitoku_f1": [40, 39, 60],
        "_hitoku_f2": [400, 390, 600],
    }
)


class Steps:
    """Draws that count up by scale: 10 for the first of scale 10, 20 and 21 for scale 20."""

    def __init__(self) -> None:
        self.taken: list[tuple[int, int]] = []

    def take(self, scale: int, count: int) -> Any:
        self.taken.append((scale, count))
        return array("q", [scale] * count)


def run(question: Any = GROUPED, noise: Noise = NOISE, cells: Any = CELLS, draws: Any = None) -> Any:
    source: Any = draws or Steps()
    return noised(cells, question, noise, source)


def test_noise_then_the_threshold_then_the_other_figures() -> None:
    source = Steps()
    outputs, bands = run(draws=source)
    # 40 + 10 reaches 50, 39 + 10 does not; 20 is added to what is shown.
    assert outputs.to_pylist() == [{"k0": "x", "a": 420}, {"k0": "z", "a": 620}]
    assert bands.to_pylist() == [{"a_low": 380, "a_high": 460}, {"a_low": 580, "a_high": 660}]
    # All units get noise; what is not released gets none.
    assert source.taken == [(10, 3), (20, 2)]


def test_units_that_are_asked_for_are_those_that_were_compared() -> None:
    units = exp.Count(this=exp.Distinct(expressions=[exp.column("u", "t")]))
    question = asked(
        block(1, COUNT, units),
        parts=(part(UNITS, ROWS, made_of={"COUNT(*)": (1,), "COUNT(DISTINCT t.u)": (0,)}),),
    )
    source = Steps()
    outputs, _ = run(question, draws=source)
    assert [row["b"] for row in outputs.to_pylist()] == [50, 70]
    assert source.taken == [(10, 3), (20, 2)]


def test_public_groups_have_no_threshold() -> None:
    question = asked(block(1, COUNT), parts=(part(ROWS, public=True),))
    cells = CELLS.drop_columns(["_hitoku_f2"])
    noise = Noise("person", 10, (NoisedPart((20,), None, 2),))
    outputs, _ = run(question, noise, cells)
    assert [row["a"] for row in outputs.to_pylist()] == [60, 59, 80]


def test_each_branch_takes_its_own_rows_keys_figures_and_noise() -> None:
    question = asked(block(1, COUNT), block(1, COUNT), parts=(part(UNITS, ROWS), part(ROWS, public=True)))
    cells = pa.table(
        {
            "_hitoku_part": pa.array([1, 2, 2], pa.int32()),
            "_hitoku_g1_1": ["x", None, None],
            "_hitoku_g2_1": [None, "p", "q"],
            "_hitoku_f1": pa.array([100, 7, 8], pa.int32()),
            "_hitoku_f2": [200, None, None],
        }
    )
    noise = Noise("person", 10, (NoisedPart((10, 20), 50, 2), NoisedPart((30,), None, 2)))
    source = Steps()
    outputs, bands = run(question, noise, cells, source)
    assert outputs.to_pylist() == [{"k0": "p", "a": 37}, {"k0": "q", "a": 38}, {"k0": "x", "a": 220}]
    assert bands.column("a_low").to_pylist() == [37 - 59, 38 - 59, 220 - 40]
    assert source.taken == [(10, 1), (20, 1), (30, 2)]


@pytest.mark.parametrize("parts", [0, 2])
def test_noise_of_another_question_releases_nothing(parts: int) -> None:
    with pytest.raises(
        DisclosureError, match=r"^the plan's noise is of another question: nothing is released$"
    ):
        run(noise=replace(NOISE, parts=NOISE.parts * parts))


def test_a_question_without_privacy_gets_no_noise() -> None:
    plain = SimpleNamespace(privacy=None)
    with pytest.raises(DisclosureError, match=r"^the plan's noise is of another question"):
        run(plain)
    with pytest.raises(DisclosureError, match=r"^the cells are no figures"):
        noising._expected(CELLS, plain)  # type: ignore[arg-type]
    with pytest.raises(DisclosureError, match=r"^the question has no noise"):
        described(plain, NOISE)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ([1], "the cells are no figures"),
        (CELLS.drop_columns(["_hitoku_part"]), "the cells do not have the question's figures"),
        (CELLS.drop_columns(["_hitoku_g1_1"]), "the cells do not have the question's figures"),
        (CELLS.drop_columns(["_hitoku_f2"]), "the cells do not have the question's figures"),
        (
            CELLS.append_column("_hitoku_f3", pa.array([1] * 3)),
            "the cells do not have the question's figures",
        ),
        (
            CELLS.append_column("_hitoku_g1_2", pa.array([1] * 3)),
            "the cells do not have the question's figures",
        ),
        (
            CELLS.append_column("_hitoku_f2", pa.array([1] * 3)),
            "the cells do not have the question's figures",
        ),
        (CELLS.set_column(0, "_hitoku_part", pa.array([1.0] * 3)), "a figure is no whole number"),
        (CELLS.set_column(2, "_hitoku_f1", pa.array([1.0] * 3)), "a figure is no whole number"),
        (CELLS.set_column(3, "_hitoku_f2", pa.array(["1"] * 3)), "a figure is no whole number"),
        (CELLS.set_column(2, "_hitoku_f1", pa.array([1, None, 3])), "a figure is missing"),
        (CELLS.set_column(3, "_hitoku_f2", pa.array([None, 1, 3], pa.int64())), "a figure is missing"),
    ],
)
def test_figures_of_another_form_release_nothing(cells: Any, words: str) -> None:
    source = Steps()
    with pytest.raises(DisclosureError, match=rf"^{words}: nothing is released$"):
        run(cells=cells, draws=source)


def test_columns_may_stand_in_any_order() -> None:
    assert run(cells=CELLS.select(CELLS.column_names[::-1]))[0].num_rows == 2


@pytest.mark.parametrize("figures", [(ROWS,), ()])
def test_a_threshold_compares_units_only(figures: tuple[Figure, ...]) -> None:
    branch = part(*figures, made_of={})
    how = NoisedPart((10,) * len(figures), 5, 2)
    with pytest.raises(DisclosureError, match=r"^a thresholded branch does not count its units"):
        noising._noised_groups(CELLS, 1, 1, branch, how, Steps())  # type: ignore[arg-type]


def test_a_branch_without_keys_and_figures_has_nothing_to_release() -> None:
    empty = part(public=True, made_of={})
    how = NoisedPart((), None, 2)
    with pytest.raises(DisclosureError, match=r"^a branch has no figures: nothing is released$"):
        noising._noised_groups(CELLS, 1, 0, empty, how, Steps())  # type: ignore[arg-type]
    keys = noising._noised_groups(CELLS, 1, 1, empty, how, Steps())  # type: ignore[arg-type]
    assert keys.column_names == ["_hitoku_g1_1"]


def test_noise_that_does_not_fit_64_bits_is_an_error() -> None:
    cells = CELLS.set_column(2, "_hitoku_f1", pa.array([2**63 - 5] * 3))
    with pytest.raises(pa.ArrowInvalid, match=r"overflow"):
        run(cells=cells)


def test_an_error_of_the_engine_releases_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(tables: Any, text: str) -> Any:
        assert set(tables) == {"_hitoku_p1"}
        raise EngineError("the figures cannot be put into the question's form")

    monkeypatch.setattr(noising, "compute", broken)
    with pytest.raises(
        DisclosureError, match=r"^the figures cannot be put into the question's form$"
    ) as caught:
        run()
    assert caught.value.__suppress_context__


def test_without_a_band_there_is_no_table_of_bands() -> None:
    question = asked(
        block(1, exp.Add(this=COUNT.copy(), expression=exp.Literal.number(1))), parts=(part(UNITS, ROWS),)
    )
    outputs, bands = run(question)
    assert outputs.column_names == ["k0", "a"]
    assert bands is None


def test_bands_are_named_after_their_outputs() -> None:
    table = pa.table({"g": [1], "n": [2], "_hitoku_low_2": [3], "_hitoku_high_2": [4]})
    outputs, bands = noising._split(table, ["g", "n"], (False, True))
    assert outputs.to_pylist() == [{"g": 1, "n": 2}]
    assert bands.to_pylist() == [{"n_low": 3, "n_high": 4}]
    assert noising._split(table, ["g", "n"], (False, False))[1] is None


# --- what is told ---


def told(question: Any, *parts: NoisedPart) -> dict[str, Any]:
    return described(question, Noise("person", 10, parts))


def test_all_that_is_told_of_the_noise() -> None:
    made_of = {"COUNT(*)": (1,), "SUM(t.x)": (2,), "AVG(t.x)": (2, 1)}
    question = asked(block(1, COUNT, SUM, AVG), parts=(part(UNITS, ROWS, TOTAL, made_of=made_of),))
    assert told(question, NoisedPart((10, 20, 200_000), 77, 2)) == {
        "mechanism": "discrete Gaussian",
        "unit": "person",
        "users_noise": 10,
        "confidence": "0.95",
        "threshold": 77,
        "bounds": [{"max_rows_per_group": 2, "max_groups": 3}],
        "columns": [
            {"name": "k0", "sigma": None, "half_width": None},
            {"name": "a", "sigma": "20", "half_width": "40"},
            {"name": "b", "sigma": "2000.00", "half_width": "3919.93"},
            {"name": "c", "sigma": None, "half_width": None},
        ],
    }


@pytest.mark.parametrize(
    ("first", "second", "highest"), [(5, 9, 9), (9, 5, 9), (None, 5, 5), (None, None, None)]
)
def test_the_highest_threshold_is_told(first: int | None, second: int | None, highest: int | None) -> None:
    question = asked(block(1, COUNT), block(1, COUNT), parts=(part(UNITS, ROWS), part(UNITS, ROWS)))
    made = told(question, NoisedPart((10, 20), first, 2), NoisedPart((10, 20), second, 2))
    assert made["threshold"] == highest
    assert len(made["bounds"]) == 2
    assert made["columns"][1] == {"name": "a", "sigma": "20", "half_width": "40"}


def test_branches_with_other_noise_have_no_one_width() -> None:
    question = asked(block(1, COUNT), block(1, COUNT), parts=(part(UNITS, ROWS), part(UNITS, ROWS)))
    made = told(question, NoisedPart((10, 20), 5, 2), NoisedPart((10, 30), 5, 2))
    assert made["columns"][1] == {"name": "a", "sigma": None, "half_width": None}
    # Nor where one branch shows a figure and the other none.
    mixed = asked(
        block(1, COUNT), block(1, exp.Literal.number(1)), parts=(part(UNITS, ROWS), part(UNITS, ROWS))
    )
    made = told(mixed, NoisedPart((10, 20), 5, 2), NoisedPart((10, 20), 5, 2))
    assert made["columns"][1] == {"name": "a", "sigma": None, "half_width": None}


@pytest.mark.parametrize(
    ("value", "decimals", "text"), [(5, 0, "5"), (5, 2, "0.05"), (12_345, 3, "12.345"), (100, 1, "10.0")]
)
def test_a_width_in_an_outputs_units(value: int, decimals: int, text: str) -> None:
    assert noising._decimal(value, decimals) == text
