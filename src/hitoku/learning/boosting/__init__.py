# SPDX-License-Identifier: Apache-2.0
"""Gradient boosting over histograms that are summed securely: bins, trees, losses from sums alone."""

from __future__ import annotations

from hitoku.learning.boosting.task import BoostingTask
from hitoku.learning.boosting.trainer import BoostingTrainer

__all__ = ["BoostingTask", "BoostingTrainer"]
