# SPDX-License-Identifier: Apache-2.0
"""The console: its users, their sessions and tokens, what they did, asked and drafted."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "console_users",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("name", sa.String(63), nullable=False, unique=True),
        sa.Column("password", sa.String(255), nullable=True),
        sa.Column("onetime", sa.LargeBinary, nullable=True),
        sa.Column("onetime_used", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("recovery", sa.Text, nullable=False, server_default="[]"),
        sa.Column("abilities", sa.Text, nullable=False),
        sa.Column("rooms", sa.Text, nullable=True),
        sa.Column("language", sa.String(8), nullable=False),
        sa.Column("theme", sa.String(8), nullable=False),
        sa.Column("issuer", sa.String(255), nullable=True),
        sa.Column("subject", sa.String(255), nullable=True),
        sa.Column("disabled", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("created", sa.String(32), nullable=False),
        sa.Column("changed", sa.String(32), nullable=False),
        sa.Index("console_users_subject", "issuer", "subject", unique=True),
    )
    op.create_table(
        "console_sessions",
        sa.Column("hash", sa.String(64), primary_key=True),
        sa.Column("user", sa.String(32), nullable=False),
        sa.Column("created", sa.Float, nullable=False),
        sa.Column("seen", sa.Float, nullable=False),
        sa.Column("until", sa.Float, nullable=False),
        sa.Column("strength", sa.String(16), nullable=False),
        sa.Index("console_sessions_user", "user"),
    )
    op.create_table(
        "console_tokens",
        sa.Column("hash", sa.String(64), primary_key=True),
        sa.Column("id", sa.String(32), nullable=False, unique=True),
        sa.Column("user", sa.String(32), nullable=False),
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("abilities", sa.Text, nullable=False),
        sa.Column("created", sa.Float, nullable=False),
        sa.Column("used", sa.Float, nullable=True),
        sa.Column("until", sa.Float, nullable=False),
        sa.Index("console_tokens_user", "user"),
    )
    op.create_table(
        "console_attempts",
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("time", sa.Float, nullable=False),
        sa.Index("console_attempts_key", "key", "time"),
    )
    op.create_table(
        "console_events",
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("time", sa.String(32), nullable=False),
        sa.Column("user", sa.String(63), nullable=True),
        sa.Column("what", sa.String(63), nullable=False),
        sa.Column("room", sa.String(36), nullable=True),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Index("console_events_room", "room"),
    )
    op.create_table(
        "console_asks",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("user", sa.String(32), nullable=False),
        sa.Column("room", sa.String(36), nullable=False),
        sa.Column("sql", sa.Text, nullable=False),
        sa.Column("options", sa.Text, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("phases", sa.Text, nullable=False),
        sa.Column("answer", sa.LargeBinary, nullable=True),
        sa.Column("refusal", sa.Text, nullable=True),
        sa.Column("run", sa.String(64), nullable=True),
        sa.Column("created", sa.String(32), nullable=False),
        sa.Column("updated", sa.String(32), nullable=False),
        sa.Index("console_asks_user", "user", "created"),
        sa.Index("console_asks_room", "room", "created"),
    )
    op.create_table(
        "console_drafts",
        sa.Column("room", sa.String(36), primary_key=True),
        sa.Column("seq", sa.Integer, primary_key=True),
        sa.Column("author", sa.String(63), nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.Column("created", sa.String(32), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
    )
