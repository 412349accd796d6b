# SPDX-License-Identifier: Apache-2.0
"""How good a model is: each bank alone, all jointly, all rows in one place, the ensemble, side by side."""

from __future__ import annotations

from hitoku.learning.evaluation.evaluate import evaluate, train
from hitoku.learning.evaluation.report import Entry, Report

__all__ = ["Entry", "Report", "evaluate", "train"]
