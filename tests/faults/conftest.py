# SPDX-License-Identifier: Apache-2.0
"""A PostgreSQL server for faults: each test has one of its own, since it is stopped."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.postgresql import PASSWORD, Server, server


@pytest.fixture
def postgresql(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server that the test may stop."""
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    with server() as made:
        yield made
