# SPDX-License-Identifier: Apache-2.0
"""Jobs: whether a run's secrets were drawn, so that they are never drawn twice."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("jobs", sa.Column("drawn", sa.Boolean, nullable=False, server_default=sa.false()))
