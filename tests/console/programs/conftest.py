# SPDX-License-Identifier: Apache-2.0
"""Nodes that serve, for programs that talk to one of them."""

from __future__ import annotations

import itertools

import pytest
from tests.conftest import fill, make_place
from tests.console.programs.world import World

import hitoku

_NUMBERS = itertools.count(1)


def _template(data):
    data["templates"] = [
        {
            "name": "planes_of",
            "sql": "SELECT COUNT(DISTINCT tailnum) AS n FROM flights WHERE carrier = :carrier",
            "parameters": [{"name": "carrier", "type": "string"}],
        }
    ]


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    made = World(fill(make_place(tmp_path_factory.mktemp("programs"), _template)))
    made.start()
    yield made
    made.stop()


@pytest.fixture
def token(world):
    return world.token(f"everything{next(_NUMBERS)}")


@pytest.fixture
def connection(world, token):
    with hitoku.connect(world.url, token) as made:
        yield made


@pytest.fixture
def room(connection):
    return connection.room()
