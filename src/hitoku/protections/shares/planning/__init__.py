# SPDX-License-Identifier: Apache-2.0
"""From a question's normal form to a program on shares, and from what it opens to the answer's cells."""

from __future__ import annotations

from hitoku.protections.shares.planning.draft import Draft, draft, program
from hitoku.protections.shares.planning.finish import finish
from hitoku.protections.shares.planning.predict import Prediction, expected, predict

__all__ = ["Draft", "Prediction", "draft", "expected", "finish", "predict", "program"]
