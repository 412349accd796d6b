# SPDX-License-Identifier: Apache-2.0
"""Memory that a node takes does not grow with its database."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest
import sqlalchemy as sa

from hitoku.room.store import Store

CONNECTIONS, ROWS = 12, 60


def resident() -> int:
    """Bytes of this process."""
    return int(Path("/proc/self/statm").read_text("utf-8").split()[1]) * 4096


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux")
def test_connections_keep_little_of_a_large_database(tmp_path):
    store = Store(tmp_path / "state.db")
    with store.transaction() as connection:
        connection.execute(sa.text("CREATE TABLE large (body BLOB)"))
        for _ in range(ROWS):
            connection.execute(sa.text("INSERT INTO large VALUES (randomblob(100000))"))
    before = resident()
    with ExitStack() as held:
        for _ in range(CONNECTIONS):
            connection = held.enter_context(store.reading())
            assert (
                connection.scalar(sa.text("SELECT count(DISTINCT hex(substr(body, -8))) FROM large")) == ROWS
            )
        grown = resident() - before
    store.close()
    assert grown < CONNECTIONS * (1 << 20), grown  # by itself SQLite keeps twice as much
