# SPDX-License-Identifier: Apache-2.0
"""What joining gains: the joint model against all rows pooled, against each bank alone, against XGBoost.

Joint models are trained over plain sums, which masks and he open bit for bit (`overhead` compares them).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from _common import Claim, say
from _learning import jobs, plan_of
from hitoku.learning.base import Rows
from hitoku.learning.counters import extend
from hitoku.learning.data.adapters import Split, Table, ieee, split_banks, ulb
from hitoku.learning.data.banks import Form as Spread
from hitoku.learning.data.banks import bank_data
from hitoku.learning.evaluation import evaluate, train
from hitoku.learning.evaluation.evaluate import opened_counters, pool
from hitoku.learning.evaluation.metrics import average_precision, recall_at_precision
from hitoku.learning.evaluation.report import FORMS, Form, Report
from hitoku.learning.models import score
from hitoku.learning.plan import Boosting, Linear, Perceptron, Plan
from learning_ceiling import ceiling_scores
from learning_data import SIZES, Size, real_file, simulated, simulated_banks

__all__ = ["accuracy", "recall"]

_RESAMPLES: Final = 50
_SEEDS: Final = 5
_WIDE: Final = Boosting(trees=60)
"""For IEEE-CIS's 590,540 rows of 118 inputs."""
_RARE: Final = Boosting(step=1.0)
"""For ULB's frauds, 17 in 10,000: unbounded leaves overshoot there, XGBoost's, too; a step of 1 is what
XGBoost's documentation names for rare labels (`max_delta_step`), taken before any test row was looked at."""
_MODELS: Final = {"linear": Linear, "perceptron": Perceptron}


def _figures(report: Report) -> dict[str, Any]:
    """What is kept of a report: AUPRC and recall at precision 50 % of each form, and the banks' gains."""
    found: dict[str, Any] = {"frauds": report.entries[0].frauds}
    for form in dict.fromkeys(entry.form for entry in report.entries):
        for where in ("own", "all"):
            found[f"{form} {where}"] = report.mean(form, where, "auprc")
        found[f"{form} recall"] = report.mean(form, "all", "recall_at_50")
    for form in dict.fromkeys(each.form for each in report.against):
        gains = [each.gain for each in report.against if each.form == form]
        found[f"{form} lower"] = sum(gain < 0 for gain in gains)
        found[f"{form} least gain"] = min(gains)
        found[f"{form} worse"] = len(report.worse[form])
    return found


def _xgboost(plan: Plan, rows: Mapping[str, Rows]) -> float:
    """AUPRC of XGBoost with the plan's settings, on all rows in one place, with the counters' features."""
    import xgboost

    assert isinstance(plan.model, Boosting)
    everybody = extend(plan.data, pool(rows), opened_counters(plan, rows))
    inputs = np.where(np.isinf(everybody.features), np.nan, everybody.features)
    settings = {
        "objective": "binary:logistic",
        "tree_method": "hist",
        "max_depth": plan.model.depth,
        "eta": plan.model.rate,
        "max_bin": plan.model.bins,
        "lambda": plan.model.l2,
        "max_delta_step": plan.model.step,
    }
    learned, tested = everybody.part == 0, everybody.part == 2
    table = xgboost.QuantileDMatrix(inputs[learned], everybody.label[learned], max_bin=plan.model.bins)
    model = xgboost.train(settings, table, plan.model.trees)
    found = model.predict(xgboost.DMatrix(inputs[tested])).astype(np.float64)
    return average_precision(everybody.label[tested], found)


def simulated_job(size: Size, seed: int, spread: Spread, trees: int, resamples: int) -> dict[str, Any]:
    """Boosting on simulated banks: all forms, and XGBoost."""
    data, rows = simulated_banks(size, seed, spread)
    plan = plan_of(data, Boosting(trees=trees), tuple(rows))
    found = _figures(evaluate(plan, rows, resamples=resamples, seed=seed))
    return {**found, "xgboost": _xgboost(plan, rows)}


def model_job(kind: str, size: Size, seed: int, spread: Spread, rounds: int | None) -> dict[str, Any]:
    """Another kind of model with the plan's defaults: joint and pooled."""
    data, rows = simulated_banks(size, seed, spread)
    model = _MODELS[kind]() if rounds is None else _MODELS[kind](rounds=rounds)
    plan = plan_of(data, model, tuple(rows))
    return _figures(evaluate(plan, rows, forms=("joint", "pooled"), resamples=2))


def real_job(which: str, how: Split, seeds: Sequence[int], forms: Sequence[Form]) -> list[dict[str, Any]]:
    """Boosting on a real data set, split in some way: the figures of each seed; pooled and XGBoost once."""
    path = real_file(which)
    assert path is not None
    table: Table = ulb(path) if which == "ulb" else ieee(path)
    model = _RARE if which == "ulb" else _WIDE
    made: list[dict[str, Any]] = []
    for seed in seeds:
        rows = split_banks(table, how, seed)
        plan = plan_of(table.data, model, tuple(rows))
        once: tuple[Form, ...] = () if made or how == "products" else ("pooled",)
        found = _figures(evaluate(plan, rows, forms=(*forms, *once), resamples=_RESAMPLES, seed=seed))
        if once:
            found["xgboost"] = _xgboost(plan, rows)
        made.append({**made[0], **found} if made else found)
    return made


def recall_job(size: Size, seed: int, delay: int, trees: int) -> dict[str, float]:
    """The joint model on the five banks of skewed sizes, frauds being known after so many days."""
    data, rows = simulated_banks(size, seed, "sizes", delay)
    plan = plan_of(data, Boosting(trees=trees), tuple(rows))
    sums = opened_counters(plan, rows)
    model = train(plan, {name: extend(plan.data, each, sums) for name, each in rows.items()})
    tested = extend(plan.data, pool(rows), sums)
    chosen = tested.part == 2
    label, found = tested.label[chosen], score(model, tested.features[chosen])
    return {"recall": recall_at_precision(label, found, 0.5), "auprc": average_precision(label, found)}


def ceiling_job(size: Size, seed: int, delay: int, by_day: bool) -> dict[str, float]:
    """What the simulator's own probabilities find on these test rows: no model is expected to find more."""
    payments = simulated(size, seed)
    cuts = bank_data(payments, delay=delay).cuts
    assert cuts is not None
    chosen = payments.second >= cuts.test - cuts.edges[0]
    found = ceiling_scores(payments, delay, by_day=by_day, leaked=SIZES[size][3])[chosen]
    label = payments.fraud[chosen]
    return {"recall": recall_at_precision(label, found, 0.5), "auprc": average_precision(label, found)}


def _spread(values: Sequence[float]) -> str:
    low, high = min(values), max(values)
    return f"mean of {len(values)}, {low:.3f} to {high:.3f}" if len(values) > 1 else "one seed"


def _mean(found: Sequence[Mapping[str, Any]], what: str) -> float:
    return float(np.mean([each[what] for each in found]))


def _against_pooled(name: str, found: Sequence[Mapping[str, Any]]) -> list[Claim]:
    """Boosting: joint against pooled, XGBoost beside it, and banks that are worse off."""
    most = max(abs(each["joint all"] - each["pooled all"]) for each in found)
    joint = [each["joint all"] for each in found]
    claims = [
        Claim(
            f"boosting, {name}: largest |joint - pooled| AUPRC of {len(found)} seeds",
            most,
            "",
            "<= 0.001",
            holds=most <= 0.001,
        ),
        Claim(
            "  joint AUPRC (peer: XGBoost pooled)",
            float(np.mean(joint)),
            "",
            None,
            _mean(found, "xgboost"),
            note=_spread(joint),
        ),
    ]
    return claims + _gains(name, found)


def _gains(name: str, found: Sequence[Mapping[str, Any]]) -> list[Claim]:
    claims = []
    if "alone own" in found[0]:
        claims = [
            Claim(
                f"boosting, {name}: joint AUPRC on all banks' rows (peer: alone, mean)",
                _mean(found, "joint all"),
                "",
                None,
                _mean(found, "alone all"),
                _mean(found, "joint all") / _mean(found, "alone all"),
            ),
            Claim(
                "  joint AUPRC on own rows, mean (peer: alone)",
                _mean(found, "joint own"),
                "",
                None,
                _mean(found, "alone own"),
                _mean(found, "joint own") / _mean(found, "alone own"),
            ),
        ]
    if "ensemble own" in found[0]:
        counts = [each["ensemble lower"] for each in found]
        beyond = sum(each["ensemble worse"] for each in found)
        alone = [each["joint lower"] for each in found]
        least = min(each["ensemble least gain"] for each in found)
        note = (
            f"with a lower AUPRC, by seed: {counts}, the worst by {least:+.4f}; "
            f"without the ensemble, by seed: {alone}"
        )
        claims += [
            Claim(
                "  ensemble AUPRC on own rows, mean (peer: alone)",
                _mean(found, "ensemble own"),
                "",
                None,
                _mean(found, "alone own"),
                _mean(found, "ensemble own") / _mean(found, "alone own"),
            ),
            Claim(
                "  banks worse off with the ensemble beyond chance (95 %), own rows, all seeds",
                beyond,
                "",
                "0",
                holds=beyond == 0,
                note=note,
            ),
        ]
    return claims


def accuracy(quick: bool) -> list[Claim]:
    """Joint against pooled and alone, by data set and model."""
    size: Size = "tiny" if quick else "half"
    seeds = range(1 if quick else _SEEDS)
    trees = 10 if quick else 100
    resamples = 20 if quick else _RESAMPLES
    spreads: tuple[Spread, ...] = ("sizes", "types")
    began = time.monotonic()
    each = [(size, seed, spread, trees, resamples) for spread in spreads for seed in seeds]
    made = jobs(simulated_job, each, "boosting on simulated banks", apart=not quick)
    found = {spread: made[k * len(seeds) : (k + 1) * len(seeds)] for k, spread in enumerate(spreads)}
    claims = []
    for spread in spreads:
        claims += _against_pooled(f"simulated, by {spread}", found[spread])
    claims += _types(found["types"], quick)
    claims += _others(quick)
    say(f"simulated banks took {time.monotonic() - began:.0f} s")
    return claims if quick else claims + _real()


def _types(found: Sequence[Mapping[str, Any]], quick: bool) -> list[Claim]:
    """What a bank gains that has hardly met most kinds of fraud."""
    joint, alone = _mean(found, "joint all"), _mean(found, "alone all")
    here, there = _mean(found, "joint recall"), _mean(found, "alone recall")
    return [
        Claim(
            "simulated, by types, all banks' rows: joint AUPRC (peer: alone, mean)",
            joint,
            "",
            ">= 1.5 x peer",
            alone,
            joint / alone,
            None if quick else joint >= 1.5 * alone,
            _spread([each["joint all"] / each["alone all"] for each in found]) + " of the ratios",
        ),
        Claim(
            "  recall at precision 0.5 (peer: alone, mean)",
            here,
            "",
            ">= peer + 0.18",
            there,
            here / there if there else None,
            None if quick else here - there >= 0.18,
            f"{100 * (here - there):+.1f} points",
        ),
    ]


def _others(quick: bool) -> list[Claim]:
    """Logistic regression and the perceptron, joint against pooled."""
    size: Size = "tiny" if quick else "quarter"
    seeds = range(1 if quick else _SEEDS)
    spreads: tuple[Spread, ...] = ("types",) if quick else ("sizes", "types")
    rounds = {"linear": None, "perceptron": 10 if quick else None}
    each = [
        (kind, size, seed, spread, rounds[kind])
        for kind in ("perceptron", "linear")
        for spread in spreads
        for seed in seeds
    ]
    made = dict(
        zip(each, jobs(model_job, each, "logistic regression and perceptron", apart=not quick), strict=True)
    )
    claims = []
    for kind in ("linear", "perceptron"):
        for spread in spreads:
            found = [made[kind, size, seed, spread, rounds[kind]] for seed in seeds]
            most = 0.01 if spread == "sizes" else 0.03
            off = max(abs(one["joint all"] / one["pooled all"] - 1) for one in found)
            claims.append(
                Claim(
                    f"{kind}, simulated, by {spread}: largest |joint / pooled - 1| of AUPRC",
                    off,
                    "",
                    f"<= {most:g}",
                    holds=None if quick else off <= most,
                    note=f"joint {_mean(found, 'joint all'):.3f}, {_spread([o['joint all'] for o in found])}",
                )
            )
    return claims


def _real() -> list[Claim]:
    claims: list[Claim] = []
    for which, words in (("ulb", "ULB"), ("ieee", "IEEE-CIS")):
        if real_file(which) is None:
            claims.append(
                Claim(
                    f"boosting, {words}: largest |joint - pooled| AUPRC",
                    None,
                    "",
                    "<= 0.001",
                    note="not fetched",
                )
            )
            continue
        seeds = range(_SEEDS)
        if which == "ulb":
            shares = [("ulb", "random", [seed], FORMS[:2] + FORMS[3:]) for seed in seeds]
            made = [one[0] for one in jobs(real_job, shares, "ULB, banks at random")]
            claims += _against_pooled("ULB, 5 random banks, steps of at most 1", made)
            continue
        # All seeds' joint models; the comparison with the banks alone on the hardest split and one other.
        each = [
            ("ieee", "sizes", [0, 1, 2], ("joint",)),
            ("ieee", "products", [0], ("alone", "joint", "ensemble")),
            ("ieee", "sizes", [3, 4], ("joint",)),
        ]
        some, products, others = jobs(real_job, each, "IEEE-CIS, banks of skewed sizes and by product")
        claims += _against_pooled("IEEE-CIS, 5 banks of skewed sizes", some + others)
        claims += _gains("IEEE-CIS, banks by product", products)
    return claims


def recall(quick: bool) -> list[Claim]:
    """Recall at precision 0.5 on the five banks, by the days until a fraud is known, and its ceiling."""
    size: Size = "tiny" if quick else "whole"
    seeds = range(1 if quick else _SEEDS)
    trees = 20 if quick else 100
    delays = (7,) if quick else (7, 5, 3)
    each = [(size, seed, delay, trees) for delay in delays for seed in seeds]
    words = "five simulated banks, frauds known after some days"
    joint = dict(zip(each, jobs(recall_job, each, words, apart=not quick), strict=True))
    bounds = [(size, seed, delay, True) for delay in delays for seed in seeds]
    bounds += [(size, seed, delays[0], False) for seed in seeds]
    most = dict(
        zip(bounds, jobs(ceiling_job, bounds, "what anybody could find", apart=not quick), strict=True)
    )
    claims = []
    for delay in delays:
        found = [joint[size, seed, delay, trees] for seed in seeds]
        value = _mean(found, "recall")
        peer = _mean([most[size, seed, delay, True] for seed in seeds], "recall")
        claims.append(
            Claim(
                f"five banks, frauds known after {delay} days: recall at precision 0.5 of the joint model "
                "(peer: the simulator's own probabilities)",
                value,
                "",
                ">= 0.80",
                peer,
                value / peer,
                None if quick else value >= 0.80,
                f"{_spread([one['recall'] for one in found])}; AUPRC {_mean(found, 'auprc'):.3f}",
            )
        )
    exact = [most[size, seed, delays[0], False]["recall"] for seed in seeds]
    claims.append(
        Claim(
            f"  those probabilities, frauds known after {delays[0]} days to the second",
            float(np.mean(exact)),
            "",
            note=_spread(exact),
        )
    )
    return claims
