# SPDX-License-Identifier: Apache-2.0
"""The member's Spark cluster, where its node.toml names one: for SQL on tokens, and for batches of a run.

The session is the process's one: it is made when it is first needed, and again only where it has ended.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hitoku.node.settings import SETTINGS_FILE, NodeSettings, SparkSettings

if TYPE_CHECKING:
    from hitoku.engine.spark import SparkEngine
    from hitoku.executors.spark import Spark

__all__ = ["spark_engine", "spark_executor"]


def spark_engine(directory: Path) -> SparkEngine | None:
    """What joins and groups encrypted tables for the member of a directory; None: its own engine does.

    Raises:
        InputError: node.toml cannot be used.
    """
    settings = _settings(directory)
    if settings is None:
        return None
    from hitoku.engine.spark import SparkEngine

    return SparkEngine(_session(settings))


def spark_executor(directory: Path, run: str) -> Spark | None:
    """What runs the batches of a run for the member of a directory; None: its own cores do.

    Args:
        directory: the member's.
        run: the run's id; its batches and results have a folder of their own. `Spark.clear` empties it.

    Raises:
        InputError: node.toml cannot be used, has no folder for it, or the cluster is not encrypted.
        SecretError: the key file cannot be used.
        EngineError: Spark does not start.
    """
    settings = _settings(directory)
    if settings is None or settings.folder is None:
        return None
    from hitoku.executors.spark import Spark
    from hitoku.executors.spark_keys import KeyFile

    return Spark(_session(settings)(), directory / settings.folder / run, KeyFile(settings.key_file))


def _settings(directory: Path) -> SparkSettings | None:
    if not (directory / SETTINGS_FILE).exists():
        return None
    return NodeSettings.open(directory).spark


def _session(settings: SparkSettings) -> Callable[[], Any]:
    def made() -> Any:
        from hitoku.executors.spark_session import open_session

        return open_session(settings.master, settings.settings)

    return made
