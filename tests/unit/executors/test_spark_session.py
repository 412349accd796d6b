# SPDX-License-Identifier: Apache-2.0
"""Which sessions are refused. Spark is not needed: only its settings are read."""

from __future__ import annotations

from typing import Any

import pytest

from hitoku.errors import InputError
from hitoku.executors.spark_session import check_session, is_local, open_session

ENCRYPTED = {
    "spark.authenticate": "true",
    "spark.network.crypto.enabled": "true",
    "spark.io.encryption.enabled": "true",
    "spark.ui.enabled": "false",
}


class Settings:
    def __init__(self, values: dict[str, str]) -> None:
        self._values = values

    def getAll(self) -> list[tuple[str, str]]:
        return list(self._values.items())


class Context:
    def __init__(self, master: str, values: dict[str, str]) -> None:
        self.master = master
        self._settings = Settings(values)

    def getConf(self) -> Settings:
        return self._settings


class Session:
    def __init__(self, master: str, values: dict[str, str]) -> None:
        self.sparkContext = Context(master, values)


@pytest.mark.parametrize("master", ["local", "local[1]", "local[*]", "local[2,4]"])
def test_one_process_needs_no_encryption(master: str) -> None:
    assert is_local(master)
    check_session(Session(master, {}))


@pytest.mark.parametrize(
    "master", ["local-cluster[2,1,1024]", "spark://local[2]:7077", "yarn", "k8s://local", "local[2]x"]
)
def test_a_cluster_does(master: str) -> None:
    assert not is_local(master)
    with pytest.raises(InputError) as caught:
        check_session(Session(master, {}))
    for name in ENCRYPTED:
        assert name in str(caught.value) or name == "spark.ui.enabled"
    assert "spark.ssl.ui.enabled" in str(caught.value)
    check_session(Session(master, ENCRYPTED))


@pytest.mark.parametrize("left_out", ENCRYPTED)
@pytest.mark.parametrize("value", [None, "false", "yes"])
def test_each_setting_is_needed(left_out: str, value: str | None) -> None:
    settings = {k: v for k, v in ENCRYPTED.items() if k != left_out}
    if value is not None:
        settings[left_out] = "true" if left_out == "spark.ui.enabled" else value
    with pytest.raises(InputError, match="is not encrypted") as caught:
        check_session(Session("spark://host:7077", settings))
    assert left_out in str(caught.value)
    assert str(caught.value).count("=true") <= 3  # the others are there


@pytest.mark.parametrize(
    "other",
    [
        {"spark.ssl.ui.enabled": "true"},
        {"spark.ssl.enabled": "true"},
        {"spark.ssl.ui.enabled": "TRUE", "spark.ssl.enabled": "false"},
    ],
)
def test_web_pages_may_be_served_over_tls(other: dict[str, str]) -> None:
    check_session(Session("yarn", {**ENCRYPTED, "spark.ui.enabled": "true", **other}))
    with pytest.raises(InputError):
        check_session(
            Session(
                "yarn",
                {
                    **ENCRYPTED,
                    "spark.ui.enabled": "true",
                    "spark.ssl.enabled": "true",
                    "spark.ssl.ui.enabled": "false",
                },
            )
        )


def test_tls_for_rpc_stands_for_the_older_encryption() -> None:
    settings = {k: v for k, v in ENCRYPTED.items() if k != "spark.network.crypto.enabled"}
    check_session(Session("yarn", {**settings, "spark.ssl.rpc.enabled": "true"}))


def test_a_remote_session_is_refused() -> None:
    remote: Any = type("SparkSession", (), {"__module__": "pyspark.sql.connect.session"})()
    with pytest.raises(InputError, match="Spark Connect"):
        check_session(remote)


@pytest.mark.parametrize("name", ["spark.authenticate.secret", "spark.ssl.keyPassword", "spark.x.accessKey"])
def test_secrets_are_no_settings(name: str) -> None:
    with pytest.raises(InputError, match=r"spark-defaults\.conf") as caught:
        open_session("local[1]", {name: "PLANTED"})
    assert "PLANTED" not in str(caught.value)
