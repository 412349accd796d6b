# SPDX-License-Identifier: Apache-2.0
"""Multi-layer perceptrons that banks learn together; see `hitoku.learning.rounds` for the course of a run."""

from hitoku.learning.rounds import RoundsTask as PerceptronTask
from hitoku.learning.rounds import RoundsTrainer as PerceptronTrainer

__all__ = ["PerceptronTask", "PerceptronTrainer"]
