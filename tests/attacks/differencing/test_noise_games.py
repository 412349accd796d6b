# SPDX-License-Identifier: Apache-2.0
"""The asker against noise: every attack stays within the epsilon of all that it was charged."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hitoku.room.accounting import DELTA_UNITS, caps

from .games import RUNS, Budget, Game, contradiction, decided, interval
from .world import TARGET, Pair, ask, bits, cells, crowd, noised_room, overruns, visit, without, worlds

USERS = 1
"""Far less noise than any room allows (10): each run tells a hundred times as much of a wrong mechanism."""
ROWS = {
    "visits": [*crowd(12), *crowd(9, city="osaka"), visit(TARGET, spend=100, age=44, score=5.0)],
    "people": [(TARGET, "x", 1000), *((f"u{i}", "x" if i % 2 else "y", 7) for i in range(12))],
    "mine": [(TARGET, "his", 3, 1.0), *((f"u{i}", f"cell {i}", 1, 1.0) for i in range(12))],
}


@pytest.fixture(scope="module")
def pair():
    with worlds(ROWS) as made:
        yield made


def game(pair: Pair, *sqls: str, users: int = USERS, **room: Any) -> Game:
    """The attack of these questions; it must touch the target at all."""
    made = Game.of(pair, [ask(sql, noised_room(**room), users) for sql in sqls])
    assert any(cells(a, q) != cells(b, q) for q, a, b in zip(made.asked, *made.exact, strict=True))
    for asked in made.asked:
        assert not overruns(asked, pair)
    return made


def test_the_bounds_are_sharp_enough_to_convict_and_never_convict_the_innocent():
    """An exact Gaussian at its promise passes; the same with half of its noise does not."""
    chance = np.random.default_rng(7)
    convicted = 0
    for _ in range(60):
        here, gone = chance.normal(1, 1, RUNS), chance.normal(0, 1, RUNS)
        limits = [0.5 + by for by in (-2, -1, -0.5, 0, 0.5, 1, 2)]
        assert decided(here, gone, limits, Budget(10**12 // 2, 0)) is None
        convicted += decided(2 * here, 2 * gone, [2 * x for x in limits], Budget(10**12 // 8, 0)) is not None
    assert convicted == 60


def test_the_interval_is_clopper_and_pearsons():
    # Of no hit and of all hits the bound is known in closed form.
    assert interval(0, 50, 0.01)[1] == pytest.approx(1 - 0.01 ** (1 / 50))
    assert interval(50, 50, 0.01)[0] == pytest.approx(0.01 ** (1 / 50))
    assert interval(0, 50, 0.01)[0] == 1 - interval(50, 50, 0.01)[1] == 0
    low, high = interval(10, 100, 0.025)
    assert low == pytest.approx(0.0490, abs=1e-4)
    assert high == pytest.approx(0.1762, abs=1e-4)


# --- the classics ---


def test_differencing(pair):
    """The total, and the total without one: their difference is his row."""
    made = game(
        pair,
        "SELECT COUNT(*) AS n, SUM(spend) AS s FROM visits",
        f"SELECT COUNT(*) AS n, SUM(spend) AS s FROM visits WHERE uid <> '{TARGET}'",
    )
    plays = made.play()
    assert plays.contradicted() is None
    here, gone = plays.each(lambda answers: answers[0][1, ()][:, 1] - answers[1][1, ()][:, 1])
    # 10,000 hundredths he has spent, and each sum has noise of just that size.
    assert decided(here, gone, [0, 5_000, 10_000, 15_000, 20_000], made.budget) is None


def test_tracker(pair):
    """Denning's tracker: no question is about him, but all with C less all with C and not D is."""
    made = game(
        pair,
        "SELECT COUNT(*) AS n FROM visits WHERE city = 'tokyo'",
        "SELECT COUNT(*) AS n FROM visits WHERE city = 'tokyo' AND NOT (age > 40)",
        "SELECT COUNT(*) AS n FROM visits WHERE city <> 'tokyo' OR age > 40",
    )
    plays = made.play()
    assert plays.contradicted() is None
    here, gone = plays.each(
        lambda answers: sum(a[1, ()][:, 0] * by for a, by in zip(answers, (1, -1, 1), strict=True))
    )
    known = 12 - 12 + 9
    assert decided(here - known, gone - known, [0, 0.5, 1, 1.5, 2, 3], made.budget) is None


def test_averaging_of_repeats_up_to_the_last_question_of_the_budget(pair):
    """A real room's noise. Nothing is remembered here: each repeat is charged, as it must be."""
    room = noised_room()
    asked = ask("SELECT COUNT(*) AS n FROM visits WHERE uid = 't' OR age < 40", room)
    budget = room.agreement.budget("city", "person")
    assert budget is not None
    repeats = caps(budget).rho // asked.charge.rho
    assert repeats > 50
    made = Game.of(pair, [asked] * repeats)
    assert made.budget.rho <= caps(budget).rho
    assert float(made.budget.epsilon) < budget.epsilon
    plays = made.play(450)
    assert plays.contradicted() is None
    means = plays.each(lambda answers: np.mean([a[1, ()][:, 0] for a in answers], axis=0) - 12)
    assert decided(means[0], means[1], [-1, 0, 0.5, 1, 2], made.budget) is None
    # The attack is not a straw man: with one question's charge for all repeats it would be convicted.
    alone = Budget(asked.charge.rho, asked.charge.delta)
    assert decided(means[0], means[1], [-1, 0, 0.5, 1, 2], alone) is not None


def test_rewritings_are_one_question_or_are_charged(pair):
    room = noised_room()
    one = [
        "SELECT COUNT(*) AS n FROM visits WHERE age > 40 AND day >= 1",
        "select count( * ) as N from Visits where 1 <= DAY and (40 < age)",
        "SELECT COUNT(*) AS n FROM visits AS v WHERE v.day >= 1 AND v.age > 40 AND v.day >= 1",
        "WITH old AS (SELECT day FROM visits WHERE age > 40) SELECT COUNT(*) AS n FROM old WHERE day >= 1",
    ]
    assert len({ask(sql, room).question.hash for sql in one}) == 1
    other = [
        one[0],
        "SELECT COUNT(*) AS n FROM visits WHERE age > 40 AND day > 0",
        "SELECT COUNT(*) AS n FROM visits WHERE NOT (age <= 40 OR day < 1)",
        "SELECT COUNT(*) + 0 AS n FROM visits WHERE age > 40 AND day >= 1",
        "SELECT COUNT(uid) AS n FROM visits WHERE age > 40 AND age > 39 AND day >= 1",
    ]
    made = game(pair, *other)
    assert len({a.question.hash for a in made.asked}) == len(other)
    assert all(a.charge.rho > 0 for a in made.asked)
    plays = made.play()
    assert plays.contradicted() is None
    means = plays.each(lambda answers: np.mean([a[1, ()][:, 0] for a in answers], axis=0))
    assert decided(means[0], means[1], [0, 0.5, 1, 1.5, 2], made.budget) is None


# --- groups ---


def test_overlapping_groups():
    """He stands in twelve groups; three of them count, in every figure of all of them."""
    rows = {
        "visits": [
            *(visit(TARGET, day=day, spend=100) for day in range(12) for _ in range(3)),
            *(visit(f"u{i}-{day}", day=day) for day in range(12) for i in range(8)),
        ]
    }
    with worlds(rows) as pair:
        made = game(
            pair,
            "SELECT day, COUNT(*) AS n, SUM(spend) AS s FROM visits GROUP BY day",
            "SELECT day, age, COUNT(*) AS n FROM visits GROUP BY day, age",
            max_rows=2,
            max_groups=3,
        )
        for asked, here, gone in zip(made.asked, *made.exact, strict=True):
            ours, theirs = cells(here, asked), cells(gone, asked)
            assert sum(ours[cell] != theirs[cell] for cell in ours) == 3
        assert made.contradicted(1_000) is None


def test_one_row_per_cell_of_the_askers_own_table(pair):
    """Each person in a cell of its own: no cell of one person ever reaches the noise."""
    asked = ask(
        "SELECT cell, COUNT(*) AS n FROM visits JOIN mine ON visits.uid = mine.uid GROUP BY cell",
        noised_room(),
    )
    for side in pair.sides:
        assert cells(asked.figures(side, least_units=1), asked)
        assert not cells(asked.figures(side), asked)


def test_a_cell_filled_up_to_the_last_unit_below_the_noise():
    """Dummies that the asker knows fill his cell: it reaches the noise only where he is in it.

    That it is released then is as rare as the charge's delta, which no run here shows; a threshold that were
    lower by a few units would show it.
    """
    room = noised_room()
    sql = "SELECT cell, COUNT(*) AS n FROM visits JOIN mine ON visits.uid = mine.uid GROUP BY cell"
    asked = ask(sql, room, USERS)
    least = asked.noise.parts[0].least_units
    names = [TARGET, *(f"u{i}" for i in range(least - 1))]
    rows = {"visits": [visit(n) for n in names], "mine": [(n, "his", 1, 1.0) for n in names]}
    with worlds(rows) as pair:
        assert not overruns(asked, pair)
        assert cells(asked.figures(pair.here), asked)
        assert not cells(asked.figures(pair.gone), asked)
        assert shown(Game.of(pair, [asked])) is None


def shown(made: Game, runs: int = 20_000) -> str | None:
    """Whether a group that cannot be in the other world is released more often than the charge's delta."""
    released = made.runs(0, runs)[0]
    seen = max((int((~np.isnan(v).any(axis=1)).sum()) for v in released.values()), default=0)
    delta = made.asked[0].charge.delta / DELTA_UNITS
    low, _ = interval(seen, runs, 0.01)
    return f"{seen} of {runs} runs released it" if low > delta else None


def test_union_all_smuggles_nothing(pair):
    """Six branches ask for him six times over; six branches are charged."""
    branch = "SELECT COUNT(*) AS n FROM visits WHERE uid = 't' AND age > {}"
    alone = ask(branch.format(1), noised_room(), USERS)
    made = game(pair, " UNION ALL ".join(branch.format(n) for n in range(6)))
    assert made.budget.rho == 6 * alone.charge.rho
    plays = made.play()
    assert plays.contradicted() is None
    means = plays.each(lambda answers: np.mean([branch[:, 0] for branch in answers[0].values()], axis=0))
    assert decided(means[0], means[1], [0, 0.25, 0.5, 1, 1.5], made.budget) is None


def test_several_figures_of_one_question(pair):
    made = game(
        pair,
        "SELECT COUNT(*) AS n, COUNT(DISTINCT uid) AS u, SUM(spend) AS s, AVG(score) AS m, COUNT(age) AS a, "
        "COUNT(DISTINCT age) AS d FROM visits",
        max_rows=2,
        users=2,
    )
    assert made.contradicted() is None


def test_public_groups(pair):
    room = noised_room(max_groups=2, public=["tokyo", "osaka", "nowhere"])
    sql = "SELECT city, COUNT(*) AS n, AVG(spend) AS m FROM visits WHERE uid = 't' GROUP BY city"
    made = Game.of(pair, [ask(sql, room, USERS)])
    assert not overruns(made.asked[0], pair)
    # His city is there or not, and the answer has the same three rows.
    assert [len(cells(side[0], made.asked[0])) for side in made.exact] == [3, 3]
    assert made.contradicted() is None


# --- joins ---


def test_fan_out_after_bounding():
    """The asker's table repeats him a hundred thousand times: he weighs as much as before."""
    many = [(TARGET, "a", n, 1.0) for n in range(100_000)]
    rows = {
        "visits": [*crowd(15), visit(TARGET, spend=100)],
        "mine": [(f"u{i}", "a", 1, 1.0) for i in range(15)],
    }
    with worlds(rows) as pair:
        for side in pair.sides:
            side.execute(f"INSERT INTO mine SELECT '{TARGET}', 'a', i, 1.0 FROM range({len(many)}) t(i)")
        made = game(
            pair,
            "SELECT COUNT(*) AS n, SUM(spend) AS s, COUNT(weight) AS w, COUNT(DISTINCT weight) AS d "
            "FROM visits JOIN mine ON visits.uid = mine.uid",
            max_rows=3,
            users=2,
        )
        assert made.contradicted() is None


def test_all_tables_of_a_unit_together(pair):
    """He is in both owners' tables; one removal takes him from both, and one charge covers it."""
    made = game(
        pair,
        "SELECT pref, COUNT(*) AS n, SUM(spend) AS s, SUM(income) AS i FROM visits "
        "JOIN people ON visits.uid = people.uid GROUP BY pref",
        "SELECT COUNT(*) AS n FROM visits LEFT JOIN people ON visits.uid = people.uid WHERE pref IS NULL",
        max_rows=2,
        users=2,
    )
    assert made.asked[0].privacy.accounts == ("city", "registry")
    assert made.contradicted() is None


def test_left_join_absence():
    """Who is missing in the other's table is counted, with noise; that he is missing tells no more."""
    rows = {"visits": [*crowd(12), visit(TARGET)], "people": [(f"u{i}", "x", 1) for i in range(12)]}
    with worlds(rows) as pair:
        made = game(
            pair,
            "SELECT COUNT(*) AS n FROM visits LEFT JOIN people ON visits.uid = people.uid "
            "WHERE people.uid IS NULL",
            "SELECT COUNT(people.uid) AS n FROM visits LEFT JOIN people ON visits.uid = people.uid",
        )
        assert made.contradicted() is None


def test_the_game_sees_a_target_at_all():
    """With the exact figures released, the same attack wins every time: the games are no formality."""
    rows = {"visits": [*crowd(5), visit(TARGET)]}
    with worlds(rows) as pair:
        asked = ask("SELECT COUNT(*) AS n FROM visits", noised_room(), USERS)
        here, gone = (cells(asked.figures(side), asked)[1, ()][0] for side in pair.sides)
        assert (here, gone) == (6, 5)
        answers = [np.full(RUNS, value) for value in (here, gone)]
        assert contradiction(answers[0] > 5, answers[1] > 5, Budget(asked.charge.rho, 0)) is not None
    assert without(rows)["visits"] == rows["visits"][:5]
    assert bits(0.0) != bits(-0.0)
