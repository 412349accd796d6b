# SPDX-License-Identifier: Apache-2.0
"""The tests of `hitoku.room.budgets`, on PostgreSQL."""

from __future__ import annotations

import pytest
from tests.databases.again import take

pytestmark = pytest.mark.slow

take(
    globals(),
    "room/test_budgets.py",
    frozenset({"test_any_order_of_steps", "test_a_database_of_the_first_schema_is_brought_up"}),
)
