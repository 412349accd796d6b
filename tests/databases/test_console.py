# SPDX-License-Identifier: Apache-2.0
"""Users, sessions and tokens of the console, on PostgreSQL."""

from __future__ import annotations

import pytest
from tests.console.conftest import console  # noqa: F401 (a fixture)
from tests.databases.again import take

pytestmark = pytest.mark.slow

take(globals(), "../console/test_signing_in.py")
