# SPDX-License-Identifier: Apache-2.0
"""Rows reconstructed from what parties of a learning run see, in the manner of TimberStrike (2506.07605).

The same attack (`tests/learning/timberstrike.py`) on scikit-learn's diabetes rows over four banks that
differ: on banks' own trees with sums of hessians, on each bank's histograms in plain, on what opens and what
is masked in a run of hitoku over real masks, and on guesses. Told are features within 0.319 standard
deviations after the best matching of rows, as in the paper, and rows with nine tenths of their features
right: matching alone gives many features right, and hardly a row.

What the permitted sums tell of all banks' rows together is told, too: in small nodes a cell of a histogram
has one row, and cells of one row join to the whole row, to the bin, of nobody in particular. `child_weight`
is what bounds it: no child has fewer rows than 4 times that (weights 1). Noise (`privacy`) is the only bound.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import numpy as np

from _common import ROOT, Claim, bench_folder, report, say

sys.path.insert(0, str(ROOT))

TARGET, ATTACKER = 1, 0
_TREES = {"trees": 10, "depth": 5}


@dataclass(frozen=True)
class _Found:
    features: float
    rows: float


def _measured(seed: int, child_weight: float) -> tuple[dict[str, _Found], dict[str, float]]:
    from tests.learning import timberstrike as strike
    from tests.learning import timberstrike_views as views

    table = views.patients(seed, skew=3.0)
    truth, prior, everybody = table.of(TARGET), table.prior(ATTACKER), len(table.rows)
    with bench_folder("reconstruction") as folder:
        seen = views.learned(folder / f"{seed}", table, child_weight=child_weight, **_TREES)

    def found(evidence: Any, who: Any = prior, rows: Any = truth) -> _Found:
        points, _ = strike.attack(evidence, who)
        return scored(points, rows)

    def scored(points: Any, rows: Any = truth) -> _Found:
        drawn = [strike.score(rows, points, table.scale, draw) for draw in range(5)]
        return _Found(*np.mean(drawn, axis=0))

    made = views.simulated(seen, seed)
    pooled = views.from_sums(seen, seen.sums, everybody)
    random = np.random.default_rng(seed)
    rest = everybody - len(prior.rows)
    own = views.from_bagging(table, TARGET, rounds=4)
    label = table.label[table.bank == TARGET]
    facts = {
        "read": float(len(pooled.read)),
        "of": float(everybody),
        "placed by own trees": strike.placed(truth, label, *strike.attack(own, prior), own.trees[0]),
        "placed by sums": strike.placed(truth, label, *strike.attack(pooled, prior), own.trees[0]),
    }
    masked, other = seen.masked[TARGET], made.masked[TARGET]
    return {
        "plain: own trees with sums of hessians": found(own),
        "plain: own histograms": found(views.from_sums(seen, seen.plain[TARGET], len(truth))),
        "server, masks: its sums": found(pooled),
        "server, masks: masked vectors as sums": found(views.from_sums(seen, masked, len(truth))),
        "server, masks: sums less masked": found(
            views.from_sums(seen, views.less(seen.sums, masked), len(truth))
        ),
        "simulated: masked vectors as sums": found(views.from_sums(made, other, len(truth))),
        "simulated: sums less masked": found(views.from_sums(made, views.less(made.sums, other), len(truth))),
        "member: model and own rows": found(views.from_model(seen, len(truth), prior)),
        "leader, he: sums less its own": found(
            views.from_sums(seen, views.less(seen.sums, seen.plain[ATTACKER]), rest)
        ),
        "model and sums alone": found(views.from_sums(made, made.sums, everybody)),
        "the attacker's own rows": scored(prior.rows),
        "uniform in public ranges": scored(random.uniform(table.low, table.high, truth.shape)),
        "all banks' rows, from the sums": found(pooled, rows=table.rows),
    }, facts


def views_of_parties(quick: bool) -> list[Claim]:
    """What each party gets of one bank's rows."""
    seeds = range(1 if quick else 4)
    runs = []
    for seed in seeds:
        say(f"one run and all attacks, seed {seed}")
        runs.append(_measured(seed, 1.0))
    mean = {
        name: _Found(*(float(np.mean([getattr(r[0][name], f) for r in runs])) for f in ("features", "rows")))
        for name in runs[0][0]
    }
    base, plain = mean["model and sums alone"], mean["plain: own histograms"]
    claims = []
    for name, got in mean.items():
        server = name.startswith("server")
        claims.append(
            Claim(
                f"one bank's rows, whole: {name}",
                100 * got.rows,
                "%",
                "<= model and sums alone + 2" if server else None,
                100 * base.rows if server else None,
                holds=got.rows <= base.rows + 0.02 if server else None,
                note=f"features within the paper's tolerance: {got.features:.1%}",
            )
        )
    wins = plain.rows > mean["server, masks: its sums"].rows + 0.2
    claims.append(
        Claim(
            "whole rows more from plain histograms than over masks",
            100 * (plain.rows - mean["server, masks: its sums"].rows),
            "points",
            ">= 20",
            holds=wins,
        )
    )
    for name in ("placed by own trees", "placed by sums"):
        got_placed = float(np.mean([facts[name] for _, facts in runs]))
        claims.append(Claim(f"rows in their leaf with their label, {name}", 100 * got_placed, "%"))
    return claims


def child_weight(quick: bool) -> list[Claim]:
    """Rows of all banks that the permitted sums show to the bin, by `child_weight`; of nobody known."""
    claims = []
    for weight in (1.0, 12.0) if quick else (1.0, 5.0, 12.0, 25.0):
        say(f"child_weight {weight:g}")
        _, facts = _measured(0, weight)
        share = 100 * facts["read"] / facts["of"]
        note = f"at least {4 * weight:g} rows a child"
        claims.append(Claim(f"rows read from the sums, child_weight {weight:g}", share, "%", note=note))
    return claims


if __name__ == "__main__":
    report("learning_reconstruction", {"views": views_of_parties, "child-weight": child_weight})
