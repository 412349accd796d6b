# SPDX-License-Identifier: Apache-2.0
"""The counts of failed sign-ins, on PostgreSQL."""

from __future__ import annotations

import pytest
from tests.databases.again import take

pytestmark = pytest.mark.slow

take(globals(), "../attacks/test_console_guessing.py")
