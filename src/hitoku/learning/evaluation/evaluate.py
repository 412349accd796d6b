# SPDX-License-Identifier: Apache-2.0
"""Train and compare: each bank alone, all banks jointly, all rows in one place, and each bank's ensemble.

Everything runs in this process on rows that the caller may see; nothing here protects anything. What the
joint model would be under masks or he is what it is here: those sums equal the plain ones bit for bit. A bank
alone counts entities from its own rows; its model scores other banks' rows with those counts, too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from hitoku.errors import InputError
from hitoku.learning.base import Rows
from hitoku.learning.counters import TASK, CounterTask, Sums, count, extend
from hitoku.learning.evaluation.bootstrap import RESAMPLES, auprc_band, auprc_difference
from hitoku.learning.evaluation.metrics import (
    average_precision,
    best_threshold,
    card_precision,
    confusion,
    curve,
    recall_at_precision,
    roc_auc,
)
from hitoku.learning.evaluation.report import ALL, FORMS, Against, Entry, Form, Report
from hitoku.learning.ideal import IdealSummer
from hitoku.learning.models import LearnedModel, read_model, score
from hitoku.learning.plan import Data, Plan, plan_hash

__all__ = ["evaluate", "opened_counters", "pool", "train"]

HOLDOUT, TEST = 1, 2
_POINTS = 200

Scores = NDArray[np.float64]
Progress = Callable[[str], None]


def evaluate(
    plan: Plan,
    rows: Mapping[str, Rows],
    *,
    joint: LearnedModel | None = None,
    sums: Mapping[str, Sums] | None = None,
    forms: Sequence[Form] = FORMS,
    resamples: int = RESAMPLES,
    seed: int = 0,
    progress: Progress | None = None,
) -> Report:
    """Compare the forms of learning on the test rows of every bank and of all.

    Args:
        plan: what is learned.
        rows: every bank's rows, all parts, without counters' features.
        joint: a model that a run made; trained here, from plain sums, where None.
        sums: the counters' sums of that run; made from all these rows where None.
        forms: which to compare. `ensemble` needs `alone` and `joint`.
        resamples: of the bootstrap.
        seed: of the bootstrap.
        progress: told each step.

    Raises:
        InputError: a bank has no training rows, or no bank has test rows.
    """
    if "ensemble" in forms and not {"alone", "joint"} <= set(forms):
        raise InputError("the ensemble is made of the models alone and joint: compare these, too")
    rows = {name: rows[name] for name in sorted(rows)}
    for name, one in rows.items():
        if not (one.part == 0).any():
            raise InputError(
                f"{name} has no rows in the training part; see the plan's data.cuts and data.shares"
            )
    if not any((one.part == TEST).any() for one in rows.values()):
        raise InputError("no bank has test rows; see the plan's data.cuts and data.shares")
    tell = progress or (lambda _: None)
    report = Report(plan.name, plan_hash(plan).hex(), plan.model.kind, tuple(rows))
    work = _Work(plan, rows, report, resamples, seed, tell)
    if "alone" in forms:
        work.alone()
    if "joint" in forms:
        work.joint(joint, sums)
    if "pooled" in forms:
        work.pooled(sums)
    if "ensemble" in forms:
        work.ensemble()
    return report


def train(plan: Plan, rows: Mapping[str, Rows], progress: Progress | None = None) -> LearnedModel:
    """Train the plan's model over these members' rows with plain sums.

    Args:
        plan: its members may be others than those of `rows`: a model of one bank alone needs no threshold.
        rows: with counters' features.
        progress: told after each step.
    """
    from hitoku.learning.trainers import model_task, trainer_of

    kind = plan.model.kind
    summer = IdealSummer({name: {kind: model_task(plan, one, None)} for name, one in rows.items()})
    trainer = trainer_of(plan)
    trainer.prepare(summer)
    trainer.synchronise(summer)
    while not trainer.finished:
        trainer.step(summer)
        if progress is not None:
            progress(f"{trainer.done}")
    return read_model(trainer.model())


def opened_counters(plan: Plan, rows: Mapping[str, Rows]) -> dict[str, Sums]:
    """The counters' sums over these members' rows, as a run would open them."""
    return count(IdealSummer({name: {TASK: CounterTask(plan, one)} for name, one in rows.items()}), plan)


def pool(rows: Mapping[str, Rows]) -> Rows:
    """All banks' rows as one table, bank after bank by name."""
    ordered = [rows[name] for name in sorted(rows)]
    days = [one.day for one in ordered if one.day is not None]
    return Rows(
        np.concatenate([one.features for one in ordered]),
        np.concatenate([one.label for one in ordered]),
        np.concatenate([one.part for one in ordered]),
        np.concatenate(days) if len(days) == len(ordered) else None,
        {name: np.concatenate([one.entities[name] for one in ordered]) for name in ordered[0].entities},
    )


class _Work:
    """One evaluation; keeps scores of holdout and test rows, by form and bank."""

    def __init__(
        self,
        plan: Plan,
        rows: dict[str, Rows],
        report: Report,
        resamples: int,
        seed: int,
        tell: Progress,
    ) -> None:
        self._plan, self._rows, self._report, self._tell = plan, rows, report, tell
        self._resamples, self._seed = resamples, seed
        # A model in one place needs no noise: nobody learns anything from its sums.
        self._plain = plan.model_copy(update={"privacy": None})
        self._everybody = pool(rows)
        self._own: dict[tuple[Form, str], Scores] = {}
        """Each bank's rows, all parts, scored by its model of a form."""
        self._all: dict[tuple[Form, str], Scores] = {}
        """All banks' rows, all parts, likewise."""

    def alone(self) -> None:
        for name, own in self._rows.items():
            self._tell(f"{name} alone")
            began = time.monotonic()
            sums = opened_counters(self._plain, {name: own})
            model = train(self._plain, {name: extend(self._plan.data, own, sums)})
            self._spent("alone", began)
            self._own["alone", name] = self._score(model, own, sums)
            self._all["alone", name] = self._score(model, self._everybody, sums)
            self._enter("alone", name)

    def joint(self, model: LearnedModel | None, sums: Mapping[str, Sums] | None) -> None:
        self._tell("all banks jointly")
        began = time.monotonic()
        sums = opened_counters(self._plan, self._rows) if sums is None else sums
        if model is None:
            whole = {name: extend(self._plan.data, one, sums) for name, one in self._rows.items()}
            model = train(self._plan, whole)
            self._spent("joint", began)
        self._one_for_all("joint", model, sums)

    def pooled(self, sums: Mapping[str, Sums] | None) -> None:
        self._tell("all rows in one place")
        began = time.monotonic()
        sums = opened_counters(self._plain, self._rows) if sums is None else sums
        model = train(self._plain, {"pooled": extend(self._plan.data, self._everybody, sums)})
        self._spent("pooled", began)
        self._one_for_all("pooled", model, sums)
        if self._plan.privacy is not None:
            self._report.notes.append("alone and pooled are without the plan's noise; joint has it")

    def ensemble(self) -> None:
        from hitoku.learning.ensemble import blend, fit

        for name, own in self._rows.items():
            self._tell(f"{name}'s ensemble")
            began = time.monotonic()
            chosen = own.part == HOLDOUT
            fitted = fit(
                self._own["alone", name][chosen], self._own["joint", name][chosen], own.label[chosen]
            )
            self._report.blends[name] = fitted.to_dict()
            self._spent("ensemble", began)
            for place in (self._own, self._all):
                place["ensemble", name] = blend(fitted, place["alone", name], place["joint", name])
            self._enter("ensemble", name)

    def _score(self, model: LearnedModel, rows: Rows, sums: Mapping[str, Sums]) -> Scores:
        return score(model, extend(self._plan.data, rows, sums).features)

    def _one_for_all(self, form: Form, model: LearnedModel, sums: Mapping[str, Sums]) -> None:
        everywhere = self._score(model, self._everybody, sums)
        ends = np.cumsum([len(one.label) for one in self._rows.values()])
        for name, scores in zip(self._rows, np.split(everywhere, ends[:-1]), strict=True):
            self._own[form, name] = scores
            self._all[form, name] = everywhere
            self._enter_own(form, None, name)
        self._enter_all(form, None, next(iter(self._rows)), self._everybody)

    def _enter(self, form: Form, bank: str) -> None:
        self._enter_own(form, bank, bank)
        self._enter_all(form, bank, bank, self._rows[bank])

    def _enter_own(self, form: Form, bank: str | None, name: str) -> None:
        rows, scores = self._rows[name], self._own[form, name]
        threshold = _threshold(rows, scores)
        self._report.entries.append(self._entry(form, bank, name, rows, scores, threshold))
        if form not in {"alone", "pooled"} and ("alone", name) in self._own:
            test = rows.part == TEST
            low, high = auprc_difference(
                rows.label[test], scores[test], self._own["alone", name][test], self._resamples, self._seed
            )
            gain = average_precision(rows.label[test], scores[test]) - average_precision(
                rows.label[test], self._own["alone", name][test]
            )
            self._report.against.append(Against(form, name, gain, low, high))

    def _enter_all(self, form: Form, bank: str | None, name: str, chooses: Rows) -> None:
        """A model on all banks' test rows; its threshold comes from the holdout rows of who `chooses`."""
        scores = self._all[form, name]
        own = self._own[form, name] if len(chooses.label) != len(scores) else scores
        entry = self._entry(form, bank, ALL, self._everybody, scores, _threshold(chooses, own))
        best = max((e.auprc for e in self._report.entries if e.form == form and e.test == ALL), default=-1.0)
        self._report.entries.append(entry)
        if entry.auprc > best:
            test = self._everybody.part == TEST
            self._report.curves[form] = _points(self._everybody.label[test], scores[test])

    def _entry(
        self, form: Form, bank: str | None, where: str, rows: Rows, scores: Scores, threshold: float
    ) -> Entry:
        test = rows.part == TEST
        label, found = rows.label[test], scores[test]
        low, high = auprc_band(label, found, self._resamples, self._seed)
        precision, recall, f = confusion(label, found, threshold)
        cards = None
        if self._plan.data.card is not None and rows.day is not None and label.any():
            cards = card_precision(label, found, _cards(self._plan.data, rows)[test], rows.day[test])
        return Entry(
            form=form,
            bank=bank,
            test=where,
            rows=len(label),
            frauds=int(label.sum()),
            auprc=average_precision(label, found),
            low=low,
            high=high,
            roc_auc=roc_auc(label, found),
            threshold=threshold,
            precision=precision,
            recall=recall,
            f=f,
            recall_at_50=recall_at_precision(label, found, 0.5),
            recall_at_80=recall_at_precision(label, found, 0.8),
            card_precision=cards,
        )

    def _spent(self, form: Form, began: float) -> None:
        self._report.seconds[form] = self._report.seconds.get(form, 0.0) + time.monotonic() - began


def _cards(data: Data, rows: Rows) -> NDArray[np.int64]:
    return rows.entities[data.card or ""]


def _threshold(rows: Rows, scores: Scores) -> float:
    holdout = rows.part == HOLDOUT
    return best_threshold(rows.label[holdout], scores[holdout])


def _points(label: NDArray[np.uint8], scores: Scores) -> list[tuple[float, float]]:
    """A precision-recall curve in at most 200 points, evenly spread over the recall."""
    found = curve(label, scores)
    if not found.positives:
        return []
    at = np.unique(
        np.searchsorted(found.recall, np.linspace(0.0, 1.0, _POINTS)).clip(0, len(found.recall) - 1)
    )
    return [(round(float(found.recall[k]), 4), round(float(found.precision[k]), 4)) for k in at]
