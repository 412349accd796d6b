# SPDX-License-Identifier: Apache-2.0
"""Migrations of the store (alembic), run from the package: no alembic.ini is needed."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy.engine import Connection, Engine

__all__ = ["upgrade", "upgrade_to"]


def upgrade(engine: Engine) -> None:
    """Bring the database to the newest schema, in one transaction; one process after the other."""
    from hitoku.room.store import lock_all

    with engine.connect().execution_options(hitoku_write=True) as connection, connection.begin():
        lock_all(connection, 0)
        upgrade_to(connection, "head")


def upgrade_to(connection: Connection, revision: str) -> None:
    """Bring the database to a schema, within the caller's transaction."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
