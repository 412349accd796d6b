# SPDX-License-Identifier: Apache-2.0
"""The tests of `hitoku.room.records`, on PostgreSQL."""

from __future__ import annotations

from tests.databases.again import take

take(globals(), "room/test_records.py", frozenset({"test_a_database_that_stays_locked_is_told_of"}))
