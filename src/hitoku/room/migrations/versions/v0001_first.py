# SPDX-License-Identifier: Apache-2.0
"""The first schema: agreements, ledgers with entries and nodes, peers' heads, runs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create all tables."""
    op.create_table(
        "agreements",
        sa.Column("room", sa.String(36), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("hash", sa.String(71), nullable=False),
    )
    op.create_table(
        "ledgers",
        sa.Column("room", sa.String(36), primary_key=True),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("head", sa.LargeBinary, nullable=True),
    )
    op.create_table(
        "ledger_entries",
        sa.Column("room", sa.String(36), primary_key=True),
        sa.Column("seq", sa.BigInteger, primary_key=True),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "ledger_nodes",
        sa.Column("room", sa.String(36), primary_key=True),
        sa.Column("level", sa.Integer, primary_key=True),
        sa.Column("index", sa.BigInteger, primary_key=True),
        sa.Column("hash", sa.LargeBinary(32), nullable=False),
    )
    op.create_table(
        "peer_heads",
        sa.Column("room", sa.String(36), primary_key=True),
        sa.Column("member", sa.String(63), primary_key=True),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("head", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "runs",
        sa.Column("run", sa.String(64), primary_key=True),
        sa.Column("room", sa.String(36), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("asker", sa.String(63), nullable=False),
        sa.Column("host", sa.String(63), nullable=False),
        sa.Column("question", sa.String(71), nullable=False),
        sa.Column("plan", sa.String(71), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("created", sa.String(32), nullable=False),
        sa.Column("updated", sa.String(32), nullable=False),
    )


def downgrade() -> None:
    """Refuse: the ledger is never taken down by a migration."""
    raise RuntimeError("a ledger is append-only: restore a backup instead of downgrading")
