# SPDX-License-Identifier: Apache-2.0
"""Where bars, bands and ticks of a plot lie."""

from __future__ import annotations

from typing import Any

import pytest

from hitoku.console.work.plots import drawn


def spec(*rows: dict[str, Any]) -> dict[str, Any]:
    return {"data": {"values": [{"group": "a", "place": n, **row} for n, row in enumerate(rows)]}}


def test_bars_begin_at_zero_and_are_as_long_as_their_values_are_large() -> None:
    found = drawn(spec({"value": 50}, {"value": 100, "low": 80, "high": 120}, {"value": None}))
    assert [label for _, label in found.ticks] == ["0", "50", "100", "150"]
    zero, hundred = found.zero, found.ticks[2][0]
    first, second, third = found.bars
    for one, part in ((first, 0.5), (second, 1.0)):
        assert one.bar is not None
        assert one.bar[0] == zero
        assert one.bar[1] == pytest.approx((hundred - zero) * part, abs=0.2)
    assert first.band is None
    assert second.band is not None
    assert zero < second.band[0] < hundred < second.band[1] < found.ticks[3][0]
    assert (third.bar, third.band, third.words) == (None, None, "a")
    assert first.middle < second.middle < third.middle < found.bottom


def test_values_below_zero_go_to_the_other_side() -> None:
    found = drawn(spec({"value": -30, "low": -45, "high": -15}, {"value": 20}))
    below, above = (one.bar for one in found.bars)
    assert below is not None
    assert above is not None
    assert found.left <= below[0] < below[0] + below[1] == pytest.approx(found.zero, abs=0.2)
    assert above[0] == found.zero
    assert found.bars[0].band is not None
    assert found.left <= found.bars[0].band[0]


@pytest.mark.parametrize(
    ("value", "ticks"),
    [
        (0, ["0", "0.2"]),
        (0.3, ["0", "0.1", "0.2", "0.3"]),
        (0.0004, ["0", "0.0001", "0.0002", "0.0003", "0.0004"]),
        (7, ["0", "2", "4", "6", "8"]),
        (1_234_567, ["0", "500,000", "1,000,000", "1,500,000"]),
    ],
)
def test_ticks_are_round_numbers_that_hold_all_values(value: float, ticks: list[str]) -> None:
    found = drawn(spec({"value": value}))
    assert [label for _, label in found.ticks] == ticks
    assert found.left < found.ticks[-1][0] <= found.width


def test_long_labels_are_cut_and_kept_whole_in_words() -> None:
    found = drawn(spec({"group": "x" * 80, "value": 1}, {"group": "京" * 40, "value": 1}))
    assert [one.label for one in found.bars] == ["x" * 28 + "…", "京" * 14 + "…"]
    assert found.bars[1].words == "京" * 40 + ": 1"
    assert found.left < 230
