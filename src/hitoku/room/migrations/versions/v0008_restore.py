# SPDX-License-Identifier: Apache-2.0
"""Restores: which ledgers come from a backup and may not go on yet, and whose database this is."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column and the table."""
    op.add_column("ledgers", sa.Column("restored", sa.Text, nullable=True))
    op.create_table(
        "store_facts",
        sa.Column("name", sa.String(63), primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )
