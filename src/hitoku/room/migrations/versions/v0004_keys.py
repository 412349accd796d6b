# SPDX-License-Identifier: Apache-2.0
"""Key brokers: data keys, challenges, releases, evidence, tombstones."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "broker_keys",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("room", sa.String(36), nullable=False),
        sa.Column("run", sa.String(32), nullable=False),
        sa.Column("table", sa.String(63), nullable=False),
        sa.Column("host", sa.String(63), nullable=False),
        sa.Column("workers", sa.Integer, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("wrapped", sa.LargeBinary, nullable=True),
        sa.Column("created", sa.String(32), nullable=False),
        sa.UniqueConstraint("room", "run", "table", name="broker_keys_of_run"),
    )
    op.create_table(
        "broker_challenges",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("room", sa.String(36), nullable=False),
        sa.Column("run", sa.String(32), nullable=False),
        sa.Column("host", sa.String(63), nullable=False),
        sa.Column("nonce", sa.LargeBinary(32), nullable=False),
        sa.Column("keys", sa.LargeBinary, nullable=False),
        sa.Column("activated", sa.LargeBinary(32), nullable=True),
        sa.Column("identity", sa.LargeBinary(32), nullable=True),
        sa.Column("expires", sa.String(32), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
    )
    op.create_index("broker_challenges_of_run", "broker_challenges", ["room", "run"])
    op.create_table(
        "broker_releases",
        sa.Column("key", sa.String(32), primary_key=True),
        sa.Column("worker", sa.String(64), primary_key=True),
        sa.Column("challenge", sa.String(32), nullable=False),
        sa.Column("facts", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "broker_evidence",
        sa.Column("room", sa.String(36), primary_key=True),
        sa.Column("hash", sa.String(71), primary_key=True),
        sa.Column("run", sa.String(32), nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.Column("ear", sa.LargeBinary, nullable=True),
    )
    op.create_index("broker_evidence_of_run", "broker_evidence", ["room", "run"])
    op.create_table(
        "broker_tombstones",
        sa.Column("room", sa.String(36), primary_key=True),
        sa.Column("run", sa.String(32), primary_key=True),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "broker_epochs",
        sa.Column("name", sa.String(16), primary_key=True),
        sa.Column("value", sa.BigInteger, nullable=False),
    )
