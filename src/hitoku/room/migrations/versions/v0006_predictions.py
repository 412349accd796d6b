# SPDX-License-Identifier: Apache-2.0
"""Predictions: what members had scored by models served here."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "predictions",
        sa.Column("run", sa.String(32), primary_key=True),
        sa.Column("room", sa.String(36), primary_key=True),
        sa.Column("model", sa.String(63), nullable=False),
        sa.Column("asker", sa.String(63), nullable=False),
        sa.Column("day", sa.String(10), nullable=False),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Index("predictions_of_day", "room", "model", "asker", "day"),
    )
