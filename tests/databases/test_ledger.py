# SPDX-License-Identifier: Apache-2.0
"""The tests of `hitoku.room.ledger` that do not look into the file, on PostgreSQL."""

from __future__ import annotations

import pytest
from tests.databases.again import take
from tests.postgresql import Server

pytestmark = pytest.mark.slow

take(
    globals(),
    "room/test_ledger.py",
    frozenset(
        {
            "path",
            "test_a_newer_schema_is_refused",
            "test_the_owner_finds_what_was_tampered_with",
            "test_a_cut_with_a_matching_older_head_is_found_by_whoever_holds_a_newer_one",
        }
    ),
)


@pytest.fixture
def path(postgresql: Server) -> str:
    return postgresql.database(empty=False)
