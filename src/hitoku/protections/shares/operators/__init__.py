# SPDX-License-Identifier: Apache-2.0
"""SQL's operators on shared vectors, over `hitoku.protections.shares.engine.Engine` alone.

Every step makes the same calls in the same order at all three servers, with sizes that follow from the
program: nothing here looks at a value. The one exception is the number of released rows; `select` says why.
"""

from __future__ import annotations

from hitoku.protections.shares.operators.execute import execute
from hitoku.protections.shares.operators.layout import ColumnLayout, result_layout
from hitoku.protections.shares.operators.loaded import BranchResult, Loaded, ResultColumn

__all__ = ["BranchResult", "ColumnLayout", "Loaded", "ResultColumn", "execute", "result_layout"]
