# SPDX-License-Identifier: Apache-2.0
"""A session of Spark for the tests marked `spark`: started once, with its log where tests can read it."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass(frozen=True)
class Local:
    """A local session and the folder in which it leaves whatever it writes."""

    session: Any
    folder: Path


def needed() -> None:
    """Skip where Spark cannot run; fail where it must be there."""
    missing = [
        what
        for what, there in (
            ("the extra `spark` (make test-spark installs it)", importlib.util.find_spec("pyspark")),
            ("java", shutil.which("java")),
        )
        if not there
    ]
    if missing:
        reason = f"missing: {', '.join(missing)}"
        if os.environ.get("HITOKU_REQUIRE_ALL") == "1":
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.fixture(scope="session")
def spark_needed() -> None:
    """Skip where Spark cannot run."""
    needed()


@pytest.fixture(scope="session")
def local_spark(spark_needed: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    """Spark on two threads of this machine, with its event log on."""
    from hitoku.executors.spark_session import open_session

    folder = tmp_path_factory.mktemp("spark")
    (folder / "events").mkdir()
    session = open_session(
        "local[2]",
        {
            "spark.local.dir": str(folder / "local"),
            "spark.sql.warehouse.dir": str(folder / "warehouse"),
            "spark.eventLog.enabled": "true",
            "spark.eventLog.dir": (folder / "events").as_uri(),
            "spark.eventLog.compress": "false",
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
        },
    )
    yield Local(session, folder)
    session.stop()
