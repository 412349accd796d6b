# SPDX-License-Identifier: Apache-2.0
"""Jobs: runs that outlive a request, and the process."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "jobs",
        sa.Column("run", sa.String(32), primary_key=True),
        sa.Column("room", sa.String(36), primary_key=True),
        sa.Column("part", sa.String(16), nullable=False),
        sa.Column("sender", sa.String(63), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("request", sa.LargeBinary, nullable=False),
        sa.Column("result", sa.LargeBinary, nullable=True),
        sa.Column("created", sa.String(32), nullable=False),
    )
