# SPDX-License-Identifier: Apache-2.0
"""What a server tells the members of a run to connect to."""

from __future__ import annotations

import pytest
from tests.unit.learning.learning_world import make_room

from hitoku.errors import InputError
from hitoku.node.learning_run import announced, serve_run
from hitoku.ports import NoProgress, SystemClock


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("bank.example", "bank.example:77"),
        ("bank.example:443", "bank.example:443"),
        ("192.0.2.7", "192.0.2.7:77"),
        ("2001:db8::7", "[2001:db8::7]:77"),
        ("[2001:db8::7]", "[2001:db8::7]:77"),
        ("[2001:db8::7]:443", "[2001:db8::7]:443"),
    ],
)
def test_a_host_gets_the_port_that_is_listened_on(given, told):
    assert announced(given, 77) == told


@pytest.mark.parametrize("given", ["", "https://bank.example", "bank.example:", "bank:99999", "a b", "u@h"])
def test_what_is_no_address_is_refused(given):
    with pytest.raises(InputError, match="no address"):
        announced(given, 77)


def test_nothing_is_begun_where_the_address_is_none(tmp_path):
    place = make_room(tmp_path)
    signed = place.signed(place.plan())
    with pytest.raises(InputError, match="no address"):
        serve_run(
            place.members["adder"], place.room, signed, tmp_path / "run",
            announce="https://bank.example", progress=NoProgress(),
        )  # fmt: skip
    assert not (tmp_path / "run").exists()
    records = place.members["adder"].records(str(place.agreement.id), SystemClock())
    assert not list(records.ledger.entries())
