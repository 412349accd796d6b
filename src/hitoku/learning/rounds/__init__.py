# SPDX-License-Identifier: Apache-2.0
"""Rounds of linear models and networks: the member's contributions, and the trainer that asks for them.

Every round is one `Summer.total`: exact over whoever stayed. Its instruction brings weights and scaling, so
that a member which was started again can take part at once.

**Who learns what.** Whoever opens sums learns the sums of the preparation (counts of values in coarse
buckets, means, squares) and, each round, the summed gradients (`sums`), the averaged weights (`averages`),
or noised sums (privacy), all over at least the plan's threshold of members. Members learn the weights of
each round. Over another set than the run's first, a member computes on four fifths of its rows, drawn anew
(`averaging.FreshRows`): its memory of sets (`aggregate.memory`) tells the task which it is.
"""

from hitoku.learning.rounds.task import RoundsTask
from hitoku.learning.rounds.trainer import RoundsTrainer
from hitoku.learning.rounds.work import Work

__all__ = ["RoundsTask", "RoundsTrainer", "Work"]
