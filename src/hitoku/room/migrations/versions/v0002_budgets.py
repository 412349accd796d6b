# SPDX-License-Identifier: Apache-2.0
"""Budgets: charges and uses of tables; answers that a host keeps to give them again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables, and which run a run repeats."""
    op.add_column("runs", sa.Column("repeats", sa.String(32), nullable=True))
    op.create_table(
        "charges",
        sa.Column("run", sa.String(64), primary_key=True),
        sa.Column("unit", sa.String(63), primary_key=True),
        sa.Column("room", sa.String(36), nullable=False),
        sa.Column("period", sa.String(16), nullable=False),
        sa.Column("question", sa.String(71), nullable=False),
        sa.Column("rho", sa.BigInteger, nullable=False),
        sa.Column("delta", sa.BigInteger, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
    )
    op.create_index("charges_of_account", "charges", ["room", "unit", "period"])
    op.create_table(
        "table_uses",
        sa.Column("run", sa.String(64), primary_key=True),
        sa.Column("table", sa.String(63), primary_key=True),
        sa.Column("room", sa.String(36), nullable=False),
        sa.Column("time", sa.String(32), nullable=False),
        sa.Column("box", sa.Text, nullable=True),
        sa.Column("state", sa.String(16), nullable=False),
    )
    op.create_index("uses_of_table", "table_uses", ["room", "table", "time"])
    op.create_table(
        "answers",
        sa.Column("run", sa.String(32), primary_key=True),
        sa.Column("room", sa.String(36), primary_key=True),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("key", sa.String(71), nullable=False),
        sa.Column("tables", sa.LargeBinary, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("answer", sa.LargeBinary, nullable=False),
    )
    op.create_index("answers_by_key", "answers", ["room", "key"])
    op.create_index("answers_by_age", "answers", ["number"])


def downgrade() -> None:
    """Refuse: charges are never forgotten by a migration."""
    raise RuntimeError("charges are never forgotten: restore a backup instead of downgrading")
