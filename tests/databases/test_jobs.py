# SPDX-License-Identifier: Apache-2.0
"""The tests of `hitoku.room.jobs`, on PostgreSQL."""

from __future__ import annotations

import pytest
from tests.databases.again import take

pytestmark = pytest.mark.slow

take(globals(), "room/test_jobs.py")
