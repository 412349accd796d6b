# SPDX-License-Identifier: Apache-2.0
"""Sessions of Spark that hitoku works in: on one machine, or on a cluster that encrypts.

hitoku seals secrets and batches itself. Spark's own encryption is asked for nevertheless: without it, whoever
is in the network could send the workers work of their own (Spark runs what it is sent), and SQL on tokens
goes through Spark's shuffles and spills as it is.
"""

from __future__ import annotations

import atexit
import os
import re
import shutil
import sys
import tempfile
import warnings
from collections.abc import Mapping
from typing import Any, Final

from hitoku.errors import EngineError, InputError

__all__ = ["check_session", "is_local", "open_session", "quiet_pandas"]

_LOCAL: Final = re.compile(r"local(\[[^\]]*\])?")
_SECRET: Final = re.compile(r"(?i)secret|password|token|access\.?key|credential")
_DEFAULTS: Final = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.authenticate": "true",
    "spark.network.crypto.enabled": "true",
    "spark.network.crypto.cipher": "AES/GCM/NoPadding",
    "spark.io.encryption.enabled": "true",
    # Session time zone and semantics as in the embedded engine.
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",
}


def is_local(master: str) -> bool:
    """Whether all of Spark is threads of one process. ``local-cluster`` is a cluster."""
    return _LOCAL.fullmatch(master) is not None


def check_session(session: Any) -> None:
    """Refuse a cluster that sends or spills in clear, or takes work from anybody.

    Raises:
        InputError: with the names of the settings that are missing.
    """
    if type(session).__module__.startswith("pyspark.sql.connect"):
        raise InputError(
            "a session of Spark Connect does not tell whether its cluster encrypts; "
            "use a session that runs in this process"
        )
    context = session.sparkContext
    if is_local(context.master):
        return
    settings = dict(context.getConf().getAll())

    def on(name: str, default: str = "false") -> bool:
        return str(settings.get(name, default)).strip().lower() == "true"

    missing = []
    if not on("spark.authenticate"):
        missing.append("spark.authenticate=true")
    if not (on("spark.network.crypto.enabled") or on("spark.ssl.rpc.enabled")):
        missing.append("spark.network.crypto.enabled=true (or spark.ssl.rpc.enabled=true)")
    if not on("spark.io.encryption.enabled"):
        missing.append("spark.io.encryption.enabled=true")
    ssl = settings.get("spark.ssl.enabled", "false")
    if on("spark.ui.enabled", "true") and not on("spark.ssl.ui.enabled", ssl):
        missing.append("spark.ssl.ui.enabled=true (or spark.ui.enabled=false)")
    if missing:
        raise InputError(
            f"the Spark cluster {context.master!r} is not encrypted: set {', '.join(missing)} "
            "in spark-defaults.conf or where the session is made"
        )


def open_session(master: str, settings: Mapping[str, str] | None = None) -> Any:
    """A session with encryption on. Its web pages are off unless the settings say otherwise.

    Args:
        master: as Spark has it: ``local[2]``, ``spark://host:7077``, ``k8s://...``, ``yarn``.
        settings: further ones. No secrets: Spark puts them on its command line. They stand in
            ``spark-defaults.conf`` (``spark.authenticate.secret``), readable by its owner alone.

    Raises:
        InputError: pyspark or Java is missing, or a setting is a secret or leaves the cluster in clear.
        EngineError: Spark does not start.
    """
    given = dict(settings or {})
    for name in given:
        if _SECRET.search(name) and not name.endswith((".file", ".enabled")):
            raise InputError(f"{name}: secrets of Spark stand in spark-defaults.conf, not here")
    try:
        from pyspark.sql import SparkSession
    except ImportError:
        raise InputError("Spark needs the extra `spark`: make build EXTRAS=spark, or pip install") from None
    # Workers run the Python that runs here unless the cluster's owner says which.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.master(master).appName("hitoku")
    given.setdefault("spark.sql.warehouse.dir", _nowhere())
    for name, value in {**_DEFAULTS, **given}.items():
        builder = builder.config(name, value)
    try:
        quiet_pandas()
        session = builder.getOrCreate()
    except Exception as error:
        kind = type(error).__name__
        raise EngineError(
            f"Spark does not start with master {master!r} ({kind}); is Java 17 there? "
            "See Spark's own log on this machine",
            "CRASHED",
        ) from None
    try:
        check_session(session)
    except InputError:
        session.stop()
        raise
    return session


def _nowhere() -> str:
    """A folder that goes with the process: Spark wants one for tables of its own, or makes one."""
    folder = tempfile.mkdtemp(prefix="hitoku-spark-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def quiet_pandas() -> None:
    """Without pyspark's warning that it does not know pandas 3: nothing here is made of pandas."""
    warnings.filterwarnings("ignore", message="PySpark does not yet fully support pandas")
