# SPDX-License-Identifier: Apache-2.0
"""The simulated payments against the table of the Fraud Detection Handbook (chapter 3, baseline systems).

Same periods, same 15 inputs, the same models with their default settings; other random numbers, so the spread
over seeds is told.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from _common import Claim
from _learning import jobs
from hitoku.learning.data.features import features
from hitoku.learning.data.handbook import simulate
from hitoku.learning.data.periods import book_periods
from hitoku.learning.evaluation.metrics import average_precision, roc_auc

__all__ = ["generator"]

PUBLISHED: Final = {
    "logistic regression": (0.606, 0.871),
    "random forest": (0.658, 0.867),
    "XGBoost": (0.639, 0.862),
}
"""Average precision and ROC AUC in the book's table."""
_OFF: Final = 0.02
_SEEDS: Final = 8
_DAYS: Final = 137
"""The book's test week ends on day 136; later payments change nothing."""


def _models(quick: bool) -> dict[str, Any]:
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from xgboost import XGBClassifier

    models = {
        "logistic regression": make_pipeline(StandardScaler(), LogisticRegression(random_state=0)),
        "random forest": RandomForestClassifier(random_state=0),
        "XGBoost": XGBClassifier(random_state=0, n_jobs=1),
    }
    if quick:
        del models["random forest"]
    return models


def book_job(seed: int, quick: bool) -> dict[str, tuple[float, float]]:
    """Average precision and ROC AUC of each model on one draw of the payments."""
    payments = simulate(days=_DAYS, seed=seed)
    training, test = book_periods(payments)
    rows = np.concatenate([training, test])
    made = features(payments)[rows]
    learned, tested = made[: len(training)], made[len(training) :]
    truth = payments.fraud[test]
    found = {}
    for name, model in _models(quick).items():
        scores = model.fit(learned, payments.fraud[training]).predict_proba(tested)[:, 1].astype(np.float64)
        found[name] = (average_precision(truth, scores), roc_auc(truth, scores))
    return found


def generator(quick: bool) -> list[Claim]:
    """Average precision of the book's models, ours beside the published one."""
    seeds = 1 if quick else _SEEDS
    made = jobs(book_job, [(seed, quick) for seed in range(seeds)], "the book's models")
    claims = []
    for name in made[0]:
        words = f"{seeds} seeds" if seeds > 1 else "one seed"
        precision, area = (np.array([one[name][k] for one in made]) for k in (0, 1))
        published, published_area = PUBLISHED[name]
        off = float(precision.mean()) - published
        # The book's data set is one draw: its own figures are off by as much.
        spread = float(precision.std(ddof=min(1, seeds - 1)))
        away = abs(off) / spread if spread else None
        claims += [
            Claim(
                f"{name}: average precision, mean of {words} (peer: the book's table)",
                float(precision.mean()),
                "",
                f"within {_OFF:g} of peer",
                published,
                None,
                None if quick else abs(off) <= _OFF,
                f"{off:+.3f}; {precision.min():.3f} to {precision.max():.3f}, standard error "
                f"{spread / seeds**0.5:.3f}",
            ),
            Claim(
                "  the book's figure from that mean, in standard deviations of a draw",
                away,
                "",
                "<= 2",
                holds=None if away is None else away <= 2,
                note=f"standard deviation {spread:.3f}",
            ),
            Claim("  ROC AUC (peer: the book's table)", float(area.mean()), "", None, published_area),
        ]
    return claims
