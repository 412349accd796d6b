# SPDX-License-Identifier: Apache-2.0
"""The engine: DuckDB in a process of its own that can read the given files and nothing else."""

from __future__ import annotations

from hitoku.engine.process import Engine, EngineLimits
from hitoku.engine.tables import EngineColumn, EngineTable, TableFile

__all__ = ["Engine", "EngineColumn", "EngineLimits", "EngineTable", "TableFile"]
