# SPDX-License-Identifier: Apache-2.0
"""Noise to the digit: scales, thresholds, charges, widths of bands; and draws, each made once."""

from __future__ import annotations

import math
from array import array
from typing import Any

import pytest

from hitoku.disclosure.noise import Draws, Noise, NoisedPart, _quantile, noise_of, smallest_group
from hitoku.questions.form import Ref
from hitoku.questions.privacy import Figure, FigureKind, Part, Privacy
from hitoku.room.accounting import DELTA_UNITS, RHO_UNITS, Charge

UNITS = Figure(FigureKind.UNITS, None, 1)
SUM = Figure(FigureKind.SUM, Ref("t", "c"), 240)


def part(*figures: Figure, max_groups: int = 1, domain: Any = None) -> Part:
    return Part(Ref("t", "u"), 2, max_groups, figures or (UNITS,), (), domain)


def privacy(*parts: Part, least: int = 30, delta: str = "1e-6", accounts: Any = ("a", "b")) -> Privacy:
    return Privacy("person", accounts, least, delta, parts or (part(),))


def upper_tail(x: float) -> float:
    return math.erfc(x / math.sqrt(2)) / 2


@pytest.mark.parametrize(
    ("users", "least"), [(1, 2), (10, 2), (14, 2), (15, 3), (19, 3), (20, 4), (30, 6), (100, 20)]
)
def test_the_smallest_group_that_gets_noise(users: int, least: int) -> None:
    assert smallest_group(users) == least


def test_half_widths_of_bands() -> None:
    # 1.959964 and 2.241403 standard deviations: 2.5 % and 1.25 % on either side; rounded up.
    assert NoisedPart((1, 1000, 10**6), None, 2).half_widths() == (2, 1960, 1_959_964)
    assert NoisedPart((1, 1000, 10**6), None, 2).half_widths(pairs=True) == (3, 2242, 2_241_403)
    for width, tail in ((1.959964, 0.025), (2.241403, 0.0125)):
        assert upper_tail(width) == pytest.approx(tail, rel=1e-5)


def test_the_whole_plan_of_noise_and_its_charges() -> None:
    noise, charges = noise_of(privacy(part(UNITS, SUM, max_groups=4), part(SUM, domain=(("x",),))), 50)
    # Q(z) = 1e-10 / 4 at z = 6.566: 10 + 1 + 50 * 6.566, rounded up, is 340.
    z = 6.5663
    assert upper_tail(z) == pytest.approx(1e-10 / 4, rel=2e-3)
    assert noise == Noise("person", 50, (NoisedPart((50, 12_000), 340, 10), NoisedPart((12_000,), None, 10)))
    # Two figures in four groups, and one in one: (8 + 1) / (2 * 50^2); delta of the one with a threshold.
    rho = 8 * RHO_UNITS // 5_000 + RHO_UNITS // 5_000
    assert (8 * RHO_UNITS % 5_000, RHO_UNITS % 5_000) == (0, 0)
    share = DELTA_UNITS // 10**10
    assert charges == (Charge("a", "person", rho, share), Charge("b", "person", rho, share))


def test_costs_are_rounded_up_for_each_branch() -> None:
    _, (charge,) = noise_of(privacy(part(), least=7, accounts=("a",)), None)
    exact = RHO_UNITS / 98
    assert RHO_UNITS % 98
    assert charge.rho == RHO_UNITS // 98 + 1
    assert charge.rho > exact
    _, (both,) = noise_of(privacy(part(), part(), least=7, accounts=("a",)), None)
    assert both.rho == 2 * charge.rho


def test_charges_are_numbers_that_every_json_reader_holds() -> None:
    many = tuple(part(*[UNITS] * 100, max_groups=10**6) for _ in range(200))
    _, (charge, _) = noise_of(privacy(*many, least=1, delta="1e-1"), None)
    assert charge.rho == 2**53 - 1
    exact = DELTA_UNITS // 10**5 * 200
    assert charge.delta == min(exact, 2**53 - 1)


@pytest.mark.parametrize(("digits", "share"), [(5, 10**9), (12, 10**16)])
def test_a_branch_takes_one_ten_thousandth_of_the_accounts_delta(digits: int, share: int) -> None:
    _, (charge, _) = noise_of(privacy(delta=f"1e-{digits}"), None)
    assert charge.delta == DELTA_UNITS // share
    assert type(charge.delta) is int
    assert type(charge.rho) is int


@pytest.mark.parametrize(
    ("users", "groups", "delta"), [(10, 1, "1e-5"), (30, 1, "1e-6"), (30, 500, "1e-6"), (1000, 7, "1e-12")]
)
def test_a_threshold_is_the_least_that_keeps_its_delta_but_for_rounding(
    users: int, groups: int, delta: str
) -> None:
    noise, charges = noise_of(privacy(part(max_groups=groups), least=10, delta=delta), users)
    threshold = noise.parts[0].threshold
    assert threshold is not None
    share = charges[0].delta / DELTA_UNITS / groups
    beyond = threshold - smallest_group(users) - 1
    assert upper_tail(beyond / users) <= share
    # A tenth of a percent of a unit's noise, and what rounding up to whole units adds.
    assert upper_tail((beyond - 1 - users / 1_000) / users) > share


@pytest.mark.parametrize(("users", "threshold"), [(10, 67), (30, 198), (100, 658), (1000, 6563)])
def test_all_members_come_to_these_thresholds(users: int, threshold: int) -> None:
    # Q(6.3613) = 1e-10: smallest group + 1 + 6.3613 times the noise, rounded up.
    assert upper_tail(6.3613) == pytest.approx(1e-10, rel=1e-3)
    assert noise_of(privacy(least=10), users)[0].parts[0].threshold == threshold


@pytest.mark.parametrize(
    ("tail", "z"),
    [(0.9, 0.0), (0.5, 0.0), (0.4, 0.253347), (0.158655, 1.0), (1e-10, 6.361341), (1e-300, 37.0471)],
)
def test_a_quantile_is_never_below_nothing_and_hardly_too_large(tail: float, z: float) -> None:
    found = _quantile(10**6, tail)
    assert type(found) is int
    assert 10**6 * z <= found + 1
    assert found <= 10**6 * z + 201  # two ten-thousandths


# --- draws ---


class Counted(Draws):
    """Draws numbers in order, and notes what was drawn."""

    def __init__(self, scales: tuple[int, ...], ahead: int = 0) -> None:
        self.drawn: list[tuple[int, int]] = []
        super().__init__(Noise("person", 1, (NoisedPart(scales, None, 2),)), ahead)

    def _draw(self, scale: int, count: int) -> list[int]:
        with self._lock:
            start = sum(n for s, n in self.drawn if s == scale)
            self.drawn.append((scale, count))
        return list(range(start, start + count))


@pytest.mark.parametrize(
    ("count", "sizes"),
    [
        (1, [1]),
        (511, [511]),
        (512, [512]),
        (513, [512, 1]),
        (1024, [512, 512]),
        (1025, [512, 512, 1]),
    ],
)
def test_what_is_lacking_is_drawn_in_pieces_and_no_more(count: int, sizes: list[int]) -> None:
    source = Counted((5,))
    try:
        taken = source.take(5, count)
        assert isinstance(taken, array)
        assert taken.typecode == "q"
        assert sorted(taken) == list(range(count))
        assert sorted(source.drawn) == sorted((5, size) for size in sizes)
    finally:
        source.close()


def test_nothing_is_drawn_for_nothing() -> None:
    source = Counted((5,))
    try:
        assert len(source.take(5, 0)) == 0
        assert source.drawn == []
    finally:
        source.close()


@pytest.mark.parametrize(("ahead", "pieces"), [(0, 0), (1, 1), (512, 1), (513, 2)])
def test_so_much_is_drawn_ahead_for_each_figure(ahead: int, pieces: int) -> None:
    source = Counted((5, 7, 5), ahead)
    try:
        source.wait()
        assert sorted(source.drawn) == [(5, 512)] * (2 * pieces) + [(7, 512)] * pieces
    finally:
        source.close()


def test_what_was_drawn_ahead_is_used_first_and_each_only_once() -> None:
    source = Counted((5,), ahead=1)
    try:
        source.wait()
        assert list(source.take(5, 500)) == list(range(500))
        assert list(source.take(5, 12)) == list(range(500, 512))
        assert source.drawn == [(5, 512)]
        assert list(source.take(5, 3)) == [512, 513, 514]
        assert source.drawn == [(5, 512), (5, 3)]
    finally:
        source.close()


def test_no_more_is_waited_for_than_is_asked_for() -> None:
    source = Counted((5,), ahead=1024)
    try:
        source.wait()
        first = list(source._made[5][0].result())
        taken = set(source.take(5, 512))
        assert taken == set(first)  # in the order in which they were begun
        assert len(source._made[5]) == 1
        taken |= set(source.take(5, 512))
        assert taken == set(range(1024))
        assert source._made[5] == []
    finally:
        source.close()


def test_one_scales_draws_are_no_others() -> None:
    source = Counted((5, 7), ahead=1)
    try:
        assert len(source.take(9, 4)) == 4
        source.take(5, 500)
        assert list(source.take(7, 2)) == [0, 1]
        assert (9, 4) in source.drawn
    finally:
        source.close()


def test_waiting_ends_when_all_is_drawn() -> None:
    import threading

    started, allowed = threading.Event(), threading.Event()

    class Slow(Counted):
        def _draw(self, scale: int, count: int) -> list[int]:
            started.set()
            assert allowed.wait(120)
            return super()._draw(scale, count)

    source = Slow((5, 7), ahead=600)
    waiting = threading.Thread(target=source.wait)
    try:
        waiting.start()
        assert started.wait(120)
        assert waiting.is_alive()  # it cannot have ended: nothing was drawn
        allowed.set()
        waiting.join(120)
        assert not waiting.is_alive()
        assert len(source.drawn) == 4
    finally:
        allowed.set()
        source.close()


def test_an_error_of_a_draw_comes_out_where_it_is_waited_for() -> None:
    class Broken(Counted):
        def _draw(self, scale: int, count: int) -> list[int]:
            raise ArithmeticError("no draw")

    source = Broken((5,), ahead=1)
    try:
        with pytest.raises(ArithmeticError):
            source.wait()
        with pytest.raises(ArithmeticError):
            source.take(5, 1)
    finally:
        source.close()


def test_after_the_end_nothing_more_is_drawn_and_what_waits_is_given_up() -> None:
    import threading

    allowed, started = threading.Event(), threading.Semaphore(0)

    class Slow(Counted):
        def _draw(self, scale: int, count: int) -> list[int]:
            started.release()
            assert allowed.wait(120)
            return super()._draw(scale, count)

    source = Slow((5,), ahead=512 * 6)
    assert started.acquire(timeout=120)
    assert started.acquire(timeout=120)  # two at a time
    assert not started.acquire(timeout=0.05)
    source.close()  # does not wait for the two that run
    assert sum(future.running() for future in source._made[5]) == 2
    allowed.set()
    cancelled = sum(future.cancelled() for future in source._made[5])
    assert cancelled == 4
    with pytest.raises(RuntimeError):
        source.take(7, 1)


def test_one_mechanism_a_scale() -> None:
    source = Draws(Noise("person", 1, (NoisedPart((5,), None, 2),)))
    try:
        first = source._mechanism(5)
        assert source._mechanism(5) is first
        assert source._mechanism(6) is not first
        assert len(source._draw(5, 4)) == 4
        # From zero: the draws of scale 5 lie around it.
        assert abs(sum(source.take(5, 4_000))) / 4_000 < 6 * 5 / math.sqrt(4_000)
    finally:
        source.close()
