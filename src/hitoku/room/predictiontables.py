# SPDX-License-Identifier: Apache-2.0
"""The table of predictions: what members had scored by models served here."""

from __future__ import annotations

import secrets
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from hitoku.room.agreement import Agreement
from hitoku.room.schema import metadata

__all__ = ["close_models", "predictions"]

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


def close_models(connection: Connection, agreement: Agreement, owner: str, now: datetime) -> None:
    """Count all rows of the day of this owner's models as scored, for every asker."""
    rows = [
        {
            "run": secrets.token_hex(16),
            "room": str(agreement.id),
            "model": model.name,
            "asker": asker,
            "day": now.date().isoformat(),
            "rows": model.rows_per_day,
            "state": "failed",
        }
        for model in agreement.models
        if model.owner == owner
        for asker in model.askers
    ]
    if rows:
        connection.execute(sa.insert(predictions), rows)
