# SPDX-License-Identifier: Apache-2.0
"""How long secondary suppression takes, and how many further groups it withholds.

`python benchmarks/suppression.py [--quick] [--json]`
"""

from __future__ import annotations

import time

import numpy as np

from _common import Claim, report
from hitoku.disclosure.suppression import Survey, secondary

SIDE = 100
MINIMUM = 5
SMALL = 0.05


def survey(seed: int) -> Survey:
    """A table of two keys with totals of both and of all; some cells below the minimum."""
    chance = np.random.default_rng(seed)
    counts = chance.integers(MINIMUM, 200, SIDE * SIDE)
    few = chance.random(SIDE * SIDE) < SMALL
    counts[few] = chance.integers(1, MINIMUM, int(few.sum()))
    row, column = np.divmod(np.arange(SIDE * SIDE), SIDE)
    groups = np.stack([np.arange(SIDE * SIDE), row, column, np.zeros_like(row)], axis=1) + 1
    small = np.zeros(groups.shape, dtype=bool)
    small[:, 0] = few
    return Survey(groups, small, counts[:, None], (MINIMUM,))


def main(quick: bool) -> list[Claim]:
    """Measure: the median of several tables."""
    seconds: list[float] = []
    further: list[int] = []
    for seed in range(3 if quick else 9):
        table = survey(seed)
        start = time.perf_counter()
        found = secondary(table)
        seconds.append(time.perf_counter() - start)
        if None in found:
            raise SystemExit("no choice was found")
        further.append(sum(len(groups or ()) for groups in found))
    took = float(np.median(seconds))
    return [
        Claim("suppression, 100 x 100 cells with totals, 5 % small", took, "s", "<= 5 s", holds=took <= 5),
        Claim("further cells withheld there", float(np.median(further)), "of 10,000"),
    ]


if __name__ == "__main__":
    report("suppression", main)
