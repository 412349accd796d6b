# SPDX-License-Identifier: Apache-2.0
"""Changes of a network on its way to a circuit, in this order: `fold`, `fit`, `normalise`, `integers`.

Each takes a `Network` and gives a `Network`; what it costs in accuracy it says itself.
"""

from __future__ import annotations

from hitoku.inference.passes.fit import Fit, Fitted, fit
from hitoku.inference.passes.fold import fold
from hitoku.inference.passes.integers import Integers, IntegerWeights, integers
from hitoku.inference.passes.linear import as_dense
from hitoku.inference.passes.measure import Difference, compare
from hitoku.inference.passes.normalise import InputRange, Normalised, normalise

__all__ = [
    "Difference",
    "Fit",
    "Fitted",
    "InputRange",
    "IntegerWeights",
    "Integers",
    "Normalised",
    "as_dense",
    "compare",
    "fit",
    "fold",
    "integers",
    "normalise",
]
