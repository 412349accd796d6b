# SPDX-License-Identifier: Apache-2.0
"""A mechanism with a fault planted in it is convicted by the same checks that the real one passes."""

from __future__ import annotations

from array import array
from dataclasses import replace
from typing import Any

import pytest

from hitoku.disclosure import noise, noising
from hitoku.disclosure.noise import Draws
from hitoku.questions import noised as noised_sql

from . import world
from .games import Game
from .test_noise_games import shown
from .world import TARGET, Asked, Pair, ask, crowd, noised_room, overruns, visit, worlds

ROWS = {
    "visits": [
        *(visit(TARGET, day=day % 6, spend=50_000, score=-9.0) for day in range(24)),
        *(visit(f"u{i}-{day}", day=day) for day in range(6) for i in range(5)),
        *crowd(5),
    ],
    "mine": [(f"u{i}", "his", 1, 1.0) for i in range(5)],
}
DAYS = "SELECT day, COUNT(*) AS n, SUM(spend) AS s FROM visits GROUP BY day"
TWO = "SELECT COUNT(spend) AS s, COUNT(score) AS c FROM visits WHERE uid = 't' OR age < 40"


@pytest.fixture(scope="module")
def pair():
    with worlds(ROWS) as made:
        yield made


def days() -> Asked:
    return ask(DAYS, noised_room(2, 3), 2)


def game_of(pair: Pair, sql: str) -> Game:
    return Game.of(pair, [ask(sql, noised_room(), 2) for _ in range(4)])


def test_the_real_mechanism_passes_every_check_below(pair, edge):
    assert overruns(days(), pair) == []
    assert game_of(pair, TWO).contradicted() is None
    assert [game_of(pair, TWO).play().alone(figure) for figure in (0, 1)] == [None, None]
    assert leak_between(pair) is None
    assert shown(edge) is None


# --- noise ---


def test_half_the_noise(pair, monkeypatch):
    drawn = Draws._draw
    monkeypatch.setattr(Draws, "_draw", lambda self, scale, count: drawn(self, max(1, scale // 2), count))
    assert game_of(pair, TWO).contradicted() is not None


def test_half_the_scale_at_the_full_price(pair, monkeypatch):
    """As if `most` were counted for half a unit: the charge stays, the noise does not."""
    made = game_of(pair, TWO)
    cheap = [
        replace(
            a,
            noise=replace(
                a.noise,
                parts=tuple(replace(p, scales=tuple(s // 2 for s in p.scales)) for p in a.noise.parts),
            ),
        )
        for a in made.asked
    ]
    assert Game(tuple(cheap), made.exact).contradicted() is not None


def leak_between(pair: Pair) -> str | None:
    """The target has a score and no spend: the difference of two figures with one noise is exact."""
    rows = {"visits": [*crowd(6), visit(TARGET, spend=None)]}
    with worlds(rows) as both:
        return Game.of(both, [ask(TWO, noised_room(), 2)]).play().between()


def test_one_draw_for_two_figures(pair, monkeypatch):
    kept: dict[tuple[int, int], array[int]] = {}
    take = Draws.take

    def again(self: Draws, scale: int, count: int) -> array[int]:
        return kept.setdefault((id(self), scale), take(self, scale, count))

    monkeypatch.setattr(Draws, "take", again)
    assert leak_between(pair) is not None


def test_one_figure_without_noise(pair, monkeypatch):
    added = noising._with_noise
    calls: list[int] = []

    def forgetful(figure: Any, scale: int, draws: Draws) -> Any:
        calls.append(scale)
        return added(figure, scale, draws) if len(calls) % 2 else figure

    monkeypatch.setattr(noising, "_with_noise", forgetful)
    assert game_of(pair, TWO).play().alone(1) is not None


def test_a_charge_for_one_figure_of_two(pair):
    """The noise is right and the account pays too little: as wrong as too little noise."""
    made = game_of(pair, TWO)
    assert len(made.asked[0].privacy.parts[0].figures) == 2
    halves = [replace(a, charge=replace(a.charge, rho=a.charge.rho // 4)) for a in made.asked]
    assert Game(tuple(halves), made.exact).contradicted() is not None


# --- bounding ---


def without_bound(monkeypatch: pytest.MonkeyPatch, **loose: int) -> None:
    bounded = noised_sql._bounded
    monkeypatch.setattr(
        noised_sql, "_bounded", lambda n, block, part: bounded(n, block, replace(part, **loose))
    )


def test_no_cap_of_rows(pair, monkeypatch):
    without_bound(monkeypatch, max_rows=10**6)
    assert any("rows changes by" in wrong for wrong in overruns(days(), pair))


def test_one_row_more_than_the_cap(pair, monkeypatch):
    without_bound(monkeypatch, max_rows=3)
    assert any("rows changes by 3, not 2" in wrong for wrong in overruns(days(), pair))


def test_no_cap_of_groups(pair, monkeypatch):
    without_bound(monkeypatch, max_groups=10**6)
    assert any("6 groups" in wrong for wrong in overruns(days(), pair))


def test_no_clamp(pair, monkeypatch):
    def unclamped(column: str, bounds: Any) -> str:
        return f"CAST({column} * {10**bounds.decimals} AS HUGEINT)"

    monkeypatch.setattr(noised_sql, "_clamped", unclamped)
    assert any("sum changes by" in wrong for wrong in overruns(days(), pair))


def test_a_clamp_of_one_side_only(monkeypatch):
    clamped = noised_sql._clamped
    monkeypatch.setattr(noised_sql, "_clamped", lambda column, bounds: clamped(column, replace_lower(bounds)))
    with worlds({"visits": [*crowd(6), visit(TARGET, score=-1e6)]}) as pair:
        assert any(
            "sum changes by" in wrong
            for wrong in overruns(ask("SELECT SUM(score) AS s FROM visits", noised_room(), 1), pair)
        )


def replace_lower(bounds: Any) -> Any:
    return bounds.model_copy(update={"lower": -(10**9)})


def test_the_cap_of_groups_chosen_by_what_others_have(monkeypatch):
    """Keeping everybody's largest groups looks like a cap; but who is in a group decides who else is."""
    bounded = noised_sql._bounded

    def popular(n: int, block: Any, part: Any) -> list[str]:
        layers = bounded(n, block, part)
        few = f"_hitoku_few{n}"
        ranked = (
            f"SELECT *, DENSE_RANK() OVER (PARTITION BY u ORDER BY size DESC, g1) AS j FROM "
            f"(SELECT *, COUNT(*) OVER (PARTITION BY g1) AS size FROM {few} WHERE i <= {part.max_rows})"
        )
        return [*layers[:-1], f"_hitoku_kept{n} AS (SELECT * FROM ({ranked}) WHERE j <= {part.max_groups})"]

    monkeypatch.setattr(noised_sql, "_bounded", popular)
    rows = {"visits": [*(visit(f"u{i}", day=d) for i in range(6) for d in (1, 2)), visit(TARGET, day=2)]}
    with worlds(rows) as pair:
        made = ask("SELECT day, COUNT(*) AS n FROM visits GROUP BY day", noised_room(), 1)
        assert any("changes by" in wrong or "groups" in wrong for wrong in overruns(made, pair))


# --- groups ---


@pytest.fixture
def edge():
    return at_the_edge()


def at_the_edge() -> Game:
    """A group that reaches the noise only with the target in it."""
    sql = "SELECT city, COUNT(*) AS n FROM visits GROUP BY city"
    asked = ask(sql, noised_room(), 1)
    with worlds({"visits": [*crowd(asked.noise.parts[0].least_units - 1), visit(TARGET)]}) as pair:
        assert asked.figures(pair.gone).num_rows == 0
        return Game.of(pair, [asked])


@pytest.mark.parametrize("factor", [3, 4])
def test_a_threshold_that_is_a_factor_too_low(monkeypatch, factor):
    exact = noise._quantile
    monkeypatch.setattr(noise, "_quantile", lambda sigma, tail: exact(sigma, tail) // factor)
    assert shown(at_the_edge()) is not None


def test_small_groups_reach_the_noise(pair, monkeypatch):
    text = noised_sql.figures_text
    monkeypatch.setattr(world, "figures_text", lambda form, privacy, least: text(form, privacy, 1))
    asked = ask("SELECT city, uid, COUNT(*) AS n FROM visits GROUP BY city, uid", noised_room(), 1)
    assert any("reaches the noise" in wrong for wrong in overruns(asked, pair))


# --- what comes after the noise ---


def test_a_having_before_the_noise(monkeypatch):
    """Groups chosen by their exact counts: who is in a group decides whether it is there."""
    figures = noised_sql._figures
    monkeypatch.setattr(
        noised_sql,
        "_figures",
        lambda n, block, part, least: figures(n, block, part, least) + " AND COUNT(*) > 6",
    )
    with worlds({"visits": [*crowd(6), visit(TARGET)]}) as pair:
        asked = ask("SELECT city, COUNT(*) AS n FROM visits GROUP BY city", noised_room(), 1)
        assert any("a group of 7 units appears" in wrong for wrong in overruns(asked, pair))
