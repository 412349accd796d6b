# SPDX-License-Identifier: Apache-2.0
"""20 people at the consoles of four nodes: no error, no growth. Half a minute; `make long` takes an hour."""

from __future__ import annotations

import os
import sys

import pytest
from tests.e2e.soak import PEOPLE, soak

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

SECONDS = 3600 if os.environ.get("HITOKU_LONG") else 30


def test_no_error_and_no_growth(tmp_path):
    assert sum(PEOPLE.values()) == 20
    seen = soak(tmp_path, SECONDS)
    sys.stdout.write(f"{dict(seen.done)}\n")
    for name in seen.samples:
        sys.stdout.write(f"{name}: {[seen.growth(name, which) for which in (1, 2, 3)]}\n")
    assert seen.wrong == []
    assert min(seen.done[act] for act in ("look", "ask", "explain", "refused", "records", "again")) > 0
    if SECONDS < 600:
        return  # caches still fill: what grows in a minute says nothing
    for name in seen.samples:
        for which, slack in ((1, 64 << 20), (2, 20), (3, 20)):
            before, after = seen.growth(name, which)
            assert after <= 1.1 * before + slack, (name, which, before, after)
