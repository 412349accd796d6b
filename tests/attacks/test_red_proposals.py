# SPDX-License-Identifier: Apache-2.0
"""Two signatures of one member under two drafts of one number: both could come in force, at two nodes."""

from __future__ import annotations

import pytest
from tests.attacks.test_proposals import draft, says
from tests.proposing import World

from hitoku.errors import RoomError
from hitoku.node import rotation
from hitoku.room.canonical import agreement_hash
from hitoku.room.files import load_room


@pytest.fixture
def world(tmp_path, clock):
    return World(tmp_path, clock)


def test_who_signed_a_proposal_does_not_sign_a_change_of_its_key_beside_it(world):
    other = draft(world, name="Signed on the console")
    says(world, "registry", "airport", other)
    world["airport"].proposals.sign(agreement_hash(other.agreement))
    with pytest.raises(RoomError, match="signed another draft of version 2"):
        rotation.begin(world["airport"].directory)
    assert load_room(world["airport"].file).agreement.version == 1


def test_who_began_to_change_its_key_signs_no_proposal_beside_it(world):
    other = draft(world, name="Came afterwards")
    rotation.begin(world["airport"].directory)
    rotation.begin(world["airport"].directory)  # said again, it is the same draft
    made = load_room(world["airport"].file)
    assert made.agreement.version == 2
    assert says(world, "registry", "airport", other)["state"] == "bound"
    with pytest.raises(RoomError):
        world["airport"].proposals.sign(agreement_hash(other.agreement))
    assert world["airport"].proposals.book.bound().hash == agreement_hash(made.agreement)
