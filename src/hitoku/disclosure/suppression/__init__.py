# SPDX-License-Identifier: Apache-2.0
"""Secondary suppression: which further cells are withheld so that a withheld one does not follow from totals.

A threshold withholds small groups. Where one question asks for totals beside their parts, the small group is
the total less the other parts. So further groups are withheld ("secondary" or "complementary" suppression;
Hundepool et al., Statistical Disclosure Control, 2012, section 4.4; Fischetti and Salazar, Solving the cell
suppression problem on tabular data with linear constraints, Management Science 47 (2001), 1008-1026).

What is guaranteed. Take everything the question may show at most: for each of its groups, whether it is
withheld, and all counts of those that are not, exact. Let a receiver know besides which rows the groups share
(`Survey.groups`), and that no count is negative. Then for every group that a threshold withholds, and for
each measure (rows; distinct units of each threshold), the values which the receiver cannot exclude by linear
programming reach from 0 to the minimum, and to the group's own value where that is larger. So it can exclude
neither that nobody is in the group nor that the group is large enough to be shown; the interval is never
narrower than the minimum.

What is not. Distinct counts are treated as if no unit were in two groups: then alone they can be subtracted.
Sums are covered as far as no single one can be computed, for the same groups are free; but not by an
interval. The receiver is taken to know tables, not people: who knows all people of a withheld set but one can
subtract those, as with every threshold. Whoever knows this program can ask which small values would have made
it choose what it chose: its choice is a function of the counts of the groups of this one question, and of
nothing finer. No further group is withheld where none is small.

Where the choice is not found within the limits (`limits.SUPPRESSION_*`), all groups of all related branches
but one are withheld. One branch alone has no two groups that share a row, so nothing follows.
"""

from __future__ import annotations

from hitoku.disclosure.suppression.chosen import secondary
from hitoku.disclosure.suppression.survey import Survey, surveys

__all__ = ["Survey", "secondary", "surveys"]
