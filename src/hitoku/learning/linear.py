# SPDX-License-Identifier: Apache-2.0
"""Logistic regression that banks learn together.

By default it is Newton's method on exactly summed gradients and second derivatives (`methods.Newton`): the
model is that of pooled rows to rounding, in about ten sums. A sum has (d + 1)(d + 4) / 2 + 3 numbers for d
inputs: 5,200 for 100, 2 million for 2000.
"""

from hitoku.learning.rounds import RoundsTask as LinearTask
from hitoku.learning.rounds import RoundsTrainer as LinearTrainer

__all__ = ["LinearTask", "LinearTrainer"]
