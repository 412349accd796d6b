# SPDX-License-Identifier: Apache-2.0
"""20 people at the consoles of four nodes: no error, no growth. Half a minute; `make long` takes an hour."""

from __future__ import annotations

import os
import sys
from statistics import mean

import pytest
from tests.e2e.soak import ACTS, PEOPLE, SAMPLED, WENT_WELL, soak, told

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

SECONDS = int(os.environ.get("HITOKU_SOAK_SECONDS", 3600 if os.environ.get("HITOKU_LONG") else 30))
MIB = 1 << 20
SLACK = {"resident": 16 * MIB, "descriptors": 20, "threads": 10, "children": 2, "engines": 16 * MIB}
"""By how much more than a tenth the last fifth of the time may lie above the second, which is warm."""


def test_no_error_and_no_growth(tmp_path):
    assert sum(PEOPLE.values()) == 20
    assert len(PEOPLE) == 4
    seen = soak(tmp_path, SECONDS)
    sys.stdout.write(f"{dict(seen.done)}, {len(seen.runs)} runs\n")
    sys.stdout.write(f"people waiting: {mean(seen.waiting):.1f} on average, {max(seen.waiting)} at most\n")
    for name in seen.samples:
        for which in SAMPLED:
            unit = MIB if SLACK[which] >= MIB else 1
            figures = ", ".join(f"{one / unit:.0f}" for one in seen.fifths(name, which))
            sys.stdout.write(f"{name}: {which}{' (MiB)' if unit == MIB else ''} by fifths: {figures}\n")
    assert seen.wrong == []
    assert min(seen.done[act] for act in ACTS) > 0
    assert max(seen.waiting) > 1  # they do come at the same time
    assert len(seen.worked) == 20
    if SECONDS < 600:
        return  # caches still fill: what grows in a minute says nothing
    # Each of them worked all the time: nobody was left waiting while the others went on.
    assert all(done[fifth] > 0 for done in seen.worked.values() for fifth in range(5)), seen.worked
    for name in seen.samples:
        for which, slack in SLACK.items():
            _, before, _, _, after = seen.fifths(name, which)
            assert after <= 1.1 * before + slack, (name, which, seen.fifths(name, which))


def test_every_line_that_tells_of_a_failure_is_found():
    """The soak's own test: a log in which nothing went wrong, and each way in which something did."""
    fine = [f'{{"event": "{event}", "ended": true, "state": "done", "code": null}}' for event in WENT_WELL]
    assert told("\n".join(fine)) == []
    for wrong in (
        '{"event": "recovered", "runs": 1}',
        '{"event": "library", "level": "WARNING"}',
        '{"event": "console failed", "type": "KeyError"}',
        '{"event": "look_failed", "error": "OSError"}',
        '{"event": "request", "status": 500}',
        '{"event": "request", "status": 200, "error": "KeyError"}',
        '{"event": "console request", "status": 429}',
        '{"event": "console ask ended", "state": "failed", "code": "UNREACHABLE"}',
        '{"event": "console ask ended", "state": "refused", "code": "BUDGET_SPENT"}',
        '{"event": "stopped", "ended": false}',
        "Traceback (most recent call last):",
        "[]",
    ):
        assert told("\n".join([*fine, wrong])) == [wrong]
