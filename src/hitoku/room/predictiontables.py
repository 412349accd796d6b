# SPDX-License-Identifier: Apache-2.0
"""The table of predictions: what members had scored by models served here."""

from __future__ import annotations

import sqlalchemy as sa

from hitoku.room.schema import metadata

__all__ = ["predictions"]

predictions = sa.Table(
    "predictions",
    metadata,
    sa.Column("run", sa.String(32), primary_key=True),
    sa.Column("room", sa.String(36), primary_key=True),
    sa.Column("model", sa.String(63), nullable=False),
    sa.Column("asker", sa.String(63), nullable=False),
    sa.Column("day", sa.String(10), nullable=False),
    sa.Column("rows", sa.BigInteger, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Index("predictions_of_day", "room", "model", "asker", "day"),
)
"""One row a run: whose model, who asked, on which day (UTC), how many rows are charged, and how it stands."""
