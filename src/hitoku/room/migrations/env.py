# SPDX-License-Identifier: Apache-2.0
"""Alembic's entry: runs the migrations on the connection that `hitoku.room.migrations.upgrade` opened."""

from __future__ import annotations

from alembic import context

from hitoku.room.store import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
