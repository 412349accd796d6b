# SPDX-License-Identifier: Apache-2.0
"""The one catalogue in which all tables of a member's database are declared."""

from __future__ import annotations

import sqlalchemy as sa

__all__ = ["metadata"]

metadata = sa.MetaData()
