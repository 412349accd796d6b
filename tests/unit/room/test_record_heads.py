# SPDX-License-Identifier: Apache-2.0
"""Others' heads, and how a restored ledger goes on."""

from __future__ import annotations

import pytest

from hitoku.errors import RoomError
from hitoku.room.record_heads import charged_in


@pytest.fixture
def records(place, clock):
    made = place.members["registry"].records(str(place.agreement.id), clock)
    yield made
    made.store.close()


@pytest.fixture
def heads(place, clock):
    """Two heads of another member's ledger, the older one first."""
    other = place.members["airport"].records(str(place.agreement.id), clock)
    other.accept(place.agreement)
    first = other.ledger.head()
    other.deleted("planes", "it left the room")
    second = other.ledger.head()
    other.store.close()
    return first, second


def test_a_head_is_kept_only_after_the_one_it_was_proved_from(records, heads):
    first, second = heads
    assert records.keep_head(first, None) is True
    assert records.keep_head(second, None) is False  # somebody else kept one meanwhile
    assert records.peer_head("airport") == first
    assert records.keep_head(second, first) is True
    assert records.keep_head(first, first) is False
    assert records.keep_head(first, second) is True  # older: it changes nothing
    assert records.peer_head("airport") == second


def test_a_restored_head_takes_the_place_of_the_one_that_is_kept_only(records, heads):
    first, second = heads
    with pytest.raises(RoomError, match="kept meanwhile"):
        records.accept_restored(first, second)  # none is kept
    assert records.keep_head(second, None)
    with pytest.raises(RoomError, match="kept meanwhile"):
        records.accept_restored(second, first)
    entry = records.accept_restored(first, second)
    assert records.peer_head("airport") == first
    body = list(records.ledger.entries())[entry].body
    assert body["stage"] == "restored-accepted"
    assert (body["was"]["size"], body["now"]["size"]) == (second.size, first.size)


def test_nothing_was_lost_where_nothing_was_restored(records):
    assert records.loss() is None
    assert records.peer_head("airport") is None


def test_what_was_charged_is_left_out_where_nothing_was():
    assert charged_in([]) == {}
    assert charged_in([{"owner": "a"}]) == {"charges": [{"owner": "a"}]}
