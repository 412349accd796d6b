# SPDX-License-Identifier: Apache-2.0
"""The member's Spark cluster in its node.toml. Spark is not needed: no session is made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hitoku.engine.spark import SparkEngine
from hitoku.errors import InputError
from hitoku.node.cluster import spark_engine, spark_executor
from hitoku.node.engines import Engines
from hitoku.node.settings import NodeSettings

BASE: dict[str, Any] = {
    "listen": "127.0.0.1:8443",
    "url": "https://127.0.0.1:8443",
    "rooms": [{"file": "room.yaml"}],
}
SPARK = {
    "master": "spark://spark.example:7077",
    "folder": "shared",
    "key_file": "/etc/hitoku/spark.key",
    "settings": {"spark.executor.memory": "4g"},
}


def test_without_settings_there_is_no_cluster(tmp_path: Path) -> None:
    assert spark_engine(tmp_path) is None
    assert spark_executor(tmp_path, "run") is None
    NodeSettings.made(BASE, "here").write(tmp_path)
    assert spark_engine(tmp_path) is None
    assert spark_executor(tmp_path, "run") is None


def test_settings_are_written_and_read_again(tmp_path: Path) -> None:
    settings = NodeSettings.made({**BASE, "spark": SPARK}, "here")
    settings.write(tmp_path)
    assert NodeSettings.open(tmp_path) == settings
    assert isinstance(spark_engine(tmp_path), SparkEngine)


def test_a_cluster_without_a_folder_runs_no_batches(tmp_path: Path) -> None:
    NodeSettings.made({**BASE, "spark": {"master": "local[2]"}}, "here").write(tmp_path)
    assert isinstance(spark_engine(tmp_path), SparkEngine)
    assert spark_executor(tmp_path, "run") is None


@pytest.mark.parametrize("spark", [{}, {"master": ""}, {"master": "x", "password": "PLANTED"}])
def test_strange_settings_are_refused(spark: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="spark") as caught:
        NodeSettings.made({**BASE, "spark": spark}, "here")
    assert "PLANTED" not in str(caught.value)


def test_each_run_has_an_engine_of_its_own(tmp_path: Path) -> None:
    made: list[SparkEngine] = []

    def spark() -> SparkEngine:
        made.append(SparkEngine(lambda: None))
        return made[-1]

    engines = Engines(dict, spark)
    engines.take("one", "shop")
    engines.take("two", "shop")
    engines.cancel("one", "shop")
    engines.done("one")
    engines.done("two")
    assert len(made) == 2
    assert [engine._cancelled.is_set() for engine in made] == [True, False]
