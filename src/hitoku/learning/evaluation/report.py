# SPDX-License-Identifier: Apache-2.0
"""What an evaluation found: for programs as JSON, for people as tables, and on disk with its plots."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from hitoku.errors import InputError

__all__ = ["ALL", "FORMS", "Entry", "Form", "Report"]

Form = Literal["alone", "joint", "pooled", "ensemble"]
FORMS: Final[tuple[Form, ...]] = ("alone", "joint", "pooled", "ensemble")
ALL: Final = "all banks"
_FIGURES: Final = (
    ("auprc", "AUPRC"),
    ("roc_auc", "ROC AUC"),
    ("precision", "precision"),
    ("recall", "recall"),
    ("f", "F"),
    ("recall_at_50", "recall at precision 50 %"),
    ("recall_at_80", "recall at precision 80 %"),
    ("card_precision", "CardPrecision@100"),
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One model on one set of test rows.

    Attributes:
        form: which kind of model.
        bank: whose model it is; None where there is one for all (joint, pooled).
        test: whose test rows, or "all banks".
        rows: how many.
        frauds: how many of them are frauds.
        auprc: average precision.
        low: the lower end of its 95 % band.
        high: the upper end.
        roc_auc: area under the ROC curve.
        threshold: chosen on holdout rows.
        precision: at that threshold.
        recall: at that threshold.
        f: at that threshold.
        recall_at_50: the highest recall with a precision of at least 50 %.
        recall_at_80: the same with 80 %.
        card_precision: CardPrecision@100; None where cards or days are not known.
    """

    form: Form
    bank: str | None
    test: str
    rows: int
    frauds: int
    auprc: float
    low: float
    high: float
    roc_auc: float
    threshold: float
    precision: float
    recall: float
    f: float
    recall_at_50: float
    recall_at_80: float
    card_precision: float | None = None


@dataclass(frozen=True, slots=True)
class Against:
    """A bank's own test rows: a model of all banks against the bank's own.

    Attributes:
        form: the model of all banks.
        bank: the bank.
        gain: its AUPRC minus that of the bank alone.
        low: the lower end of the 95 % band of the gain, on the same resamples of rows.
        high: the upper end.
    """

    form: Form
    bank: str
    gain: float
    low: float
    high: float

    @property
    def worse(self) -> bool:
        """Whether the bank is worse off, by more than chance explains."""
        return self.high < 0


@dataclass(slots=True)
class Report:
    """An evaluation.

    Attributes:
        name: the plan's.
        plan: its hash, hexadecimal.
        kind: of model.
        banks: by name, sorted.
        entries: all models on all test rows.
        against: each bank's gain over its own model.
        seconds: of training, by form.
        curves: (recall, precision) on all banks' test rows, by form; of `alone` the bank with the best AUPRC.
        blends: how each bank's ensemble mixes, as `Ensemble.to_dict` says.
        notes: sentences on what was not measured.
    """

    name: str
    plan: str
    kind: str
    banks: tuple[str, ...]
    entries: list[Entry] = field(default_factory=list)
    against: list[Against] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    curves: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    blends: dict[str, dict[str, Any]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def of(self, form: Form, test: str, bank: str | None = None) -> Entry:
        """One entry.

        Raises:
            KeyError: there is none.
        """
        for entry in self.entries:
            if (entry.form, entry.test, entry.bank) == (form, test, bank):
                return entry
        raise KeyError((form, test, bank))

    def mean(self, form: Form, where: Literal["own", "all"], figure: str) -> float:
        """The mean of a figure over the banks: on each one's own test rows, or of each model on all rows.

        One model for all has one figure on all rows. NaN where no bank has the figure.
        """
        if where == "own":
            entries = [e for e in self.entries if e.form == form and e.test != ALL]
        else:
            entries = [e for e in self.entries if e.form == form and e.test == ALL]
        values = [getattr(e, figure) for e in entries]
        known = [v for v in values if v is not None and not math.isnan(v)]
        return float(np.mean(known)) if known else float("nan")

    @property
    def worse(self) -> dict[str, list[str]]:
        """For each form, the banks that are worse off than alone on their own test rows, beyond chance."""
        forms = dict.fromkeys(a.form for a in self.against)
        return {form: [a.bank for a in self.against if a.form == form and a.worse] for form in forms}

    def no_bank_worse(self) -> str:
        """The line that a bank wants to read."""
        lines = []
        for form, banks in self.worse.items():
            all_gains = [a for a in self.against if a.form == form]
            lower = [a.bank for a in all_gains if a.gain < 0]
            if banks:
                said = f"worse than alone beyond chance (95 %): {', '.join(banks)}"
            elif lower:
                said = f"no bank worse beyond chance (95 %); AUPRC lower at {', '.join(lower)}"
            else:
                said = "no bank worse than alone"
            lines.append(f"{form}: {said}")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; undefined figures are null."""
        own, everywhere = (
            {form: {name: self.mean(form, where, name) for name, _ in _FIGURES} for form in self._forms()}
            for where in ("own", "all")
        )
        data = {
            "name": self.name,
            "plan": self.plan,
            "kind": self.kind,
            "banks": list(self.banks),
            "means": {"own": own, "all": everywhere},
            "no_bank_worse": {form: not banks for form, banks in self.worse.items()},
            "entries": [asdict(entry) for entry in self.entries],
            "against_alone": [{**asdict(one), "worse": one.worse} for one in self.against],
            "seconds": self.seconds,
            "curves": self.curves,
            "blends": self.blends,
            "notes": self.notes,
        }
        made: dict[str, Any] = _defined(data)
        return made

    def to_text(self) -> str:
        """Tables for a terminal or a file, without colour."""
        from rich.console import Console

        out = io.StringIO()
        console = Console(file=out, width=118, color_system=None)
        for where, title in (
            ("own", "Mean over the banks, each on its own test rows"),
            ("all", "All banks' test rows (alone, ensemble: mean over the banks' models)"),
        ):
            console.print(self._means(where, title))
        console.print(self._each())
        for line in (self.no_bank_worse(), *self.notes):
            if line:
                console.print(line, highlight=False)
        return out.getvalue()

    def save(self, folder: Path) -> list[Path]:
        """Write report.json, report.txt and, with the extra `plots`, auprc.svg and curves.svg.

        Returns:
            What was written.
        """
        from hitoku.learning.evaluation.plots import auprc_chart, curves_chart, svg

        folder.mkdir(parents=True, exist_ok=True)
        texts = {
            "report.json": json.dumps(self.to_dict(), indent=2, ensure_ascii=False) + "\n",
            "report.txt": self.to_text(),
        }
        try:
            texts |= {"auprc.svg": svg(auprc_chart(self)), "curves.svg": svg(curves_chart(self))}
        except InputError as error:
            self.notes.append(str(error))
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8")
        return [folder / name for name in texts]

    def _forms(self) -> list[Form]:
        return [form for form in FORMS if any(entry.form == form for entry in self.entries)]

    def _means(self, where: Any, title: str) -> Any:
        from rich.table import Table

        table = Table(title=title, title_justify="left")
        table.add_column("")
        for name, words in _FIGURES:
            if any(getattr(entry, name) is not None for entry in self.entries):
                table.add_column(words, justify="right")
        for form in self._forms():
            cells = [
                _shown(self.mean(form, where, name))
                for name, _ in _FIGURES
                if any(getattr(entry, name) is not None for entry in self.entries)
            ]
            table.add_row(form, *cells)
        return table

    def _each(self) -> Any:
        from rich.table import Table

        table = Table(title="AUPRC of each bank on its own test rows, with 95 % bands", title_justify="left")
        table.add_column("bank")
        table.add_column("frauds of rows", justify="right")
        for form in self._forms():
            table.add_column(form, justify="right")
        for bank in self.banks:
            found = [e for e in self.entries if e.test == bank]
            by_form = {e.form: e for e in found}
            size = f"{found[0].frauds:,} of {found[0].rows:,}" if found else ""
            cells = [_banded(by_form.get(form)) for form in self._forms()]
            table.add_row(bank, size, *cells)
        return table


def _shown(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"


def _banded(entry: Entry | None) -> str:
    if entry is None or math.isnan(entry.auprc):
        return "-"
    return f"{entry.auprc:.3f} ({entry.low:.3f}-{entry.high:.3f})"


def _defined(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _defined(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_defined(one) for one in value]
    return value
