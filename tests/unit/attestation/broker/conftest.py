# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the tests of key brokers and deletion."""

from __future__ import annotations

import pytest
from tests.unit.attestation.brokers import Ended, Office, Platform, attested


@pytest.fixture
def platform() -> Platform:
    """What workers run on."""
    return Platform()


@pytest.fixture
def office(place, clock, platform):
    """One owner's broker."""
    made = Office(place, "registry", clock, platform)
    yield made
    made.records.store.close()


@pytest.fixture
def ended(make, clock):
    """A run of two owners that ended."""
    made = Ended(make(attested), clock)
    yield made
    made.close()
