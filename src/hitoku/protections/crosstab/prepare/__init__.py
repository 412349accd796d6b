# SPDX-License-Identifier: Apache-2.0
"""From a member's plain table to its input in a run: one row a person, de-identified. All of it is local.

What is left out (rows without a usable identifier, values outside a domain), how many rows a person has and
what was clamped is told to nobody here; `survey` tells a table's owner, on its own machine.
"""

from __future__ import annotations

from hitoku.protections.crosstab.prepare.columns import find, identifiers
from hitoku.protections.crosstab.prepare.prepare import prepare
from hitoku.protections.crosstab.prepare.side import Dimension, Measure, Side
from hitoku.protections.crosstab.prepare.survey import Survey, survey

__all__ = ["Dimension", "Measure", "Side", "Survey", "find", "identifiers", "prepare", "survey"]
