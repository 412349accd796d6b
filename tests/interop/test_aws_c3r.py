# SPDX-License-Identifier: Apache-2.0
"""Hitoku against AWS's own client (its C3R SDK from Maven Central, run by the harness in `c3r/`).

Needs Java 17, Maven and a registry that serves ``software.amazon.c3r``; skipped with the reason
where one is missing. ``HITOKU_REQUIRE_ALL=1`` makes that a failure, unless the machine's owner says
in so many words that it is known: ``HITOKU_KNOWN_MISSING=aws-c3r``.
"""

from __future__ import annotations

import os

import pytest

from .exchange import Exchange, exchange
from .harness import MissingError, build_harness
from .peers import Aws
from .suite import Suite

pytestmark = pytest.mark.interop


@pytest.fixture(scope="session")
def harness() -> list[str]:
    try:
        return build_harness()
    except MissingError as problem:
        reason = f"AWS's C3R client cannot be had here: {problem}"
        known = "aws-c3r" in os.environ.get("HITOKU_KNOWN_MISSING", "").split(",")
        if os.environ.get("HITOKU_REQUIRE_ALL") == "1" and not known:
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)


@pytest.fixture(scope="module")
def with_aws(harness: list[str], tmp_path_factory: pytest.TempPathFactory) -> Exchange:
    folder = tmp_path_factory.mktemp("aws")
    return exchange(Aws(harness, folder), folder)


class TestAws(Suite):
    @pytest.fixture
    def exchanged(self, with_aws: Exchange) -> Exchange:
        return with_aws
