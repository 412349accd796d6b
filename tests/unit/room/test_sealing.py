# SPDX-License-Identifier: Apache-2.0
"""One-time keys for sealed answers: signed by their receiver, for one run of one room on one host."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable
from typing import Any

import pytest
from tests.appraisals import KEYS, ROOM

from hitoku.errors import Refusal
from hitoku.room.sealing import SealingKey, check_sealing_keys, give_sealing_key

AGREEMENT = ROOM.agreement
FACTS = {"room": "sha256:" + "1" * 64, "run": "ab" * 16, "host": "cloud"}
RAW = os.urandom(32)


def given(receiver: str = "acme", **changes: Any) -> SealingKey:
    return give_sealing_key(KEYS[receiver], receiver=receiver, key=RAW, **(FACTS | changes))


def check(*keys: SealingKey, receivers: tuple[str, ...] = ("acme",)) -> dict[str, bytes]:
    return check_sealing_keys(keys, AGREEMENT, receivers=receivers, **FACTS)


def test_each_receiver_gives_its_key() -> None:
    assert check(given()) == {"acme": RAW}
    assert check(given(), given("bank"), receivers=("bank", "acme")) == {"acme": RAW, "bank": RAW}
    assert check(receivers=()) == {}


FORGED: dict[str, Callable[[], tuple[SealingKey, ...]]] = {
    "none": tuple,
    "twice": lambda: (given(), given()),
    "another's": lambda: (given("bank"),),
    "one more": lambda: (given(), given("bank")),
    "another run": lambda: (given(run="cd" * 16),),
    "another room": lambda: (given(room="sha256:" + "2" * 64),),
    "another host": lambda: (given(host="bank"),),
    "another key": lambda: (given().model_copy(update={"key": base64.b64encode(bytes(32)).decode()}),),
    "no signature": lambda: (given().model_copy(update={"signature": ""}),),
    "another member's signature": lambda: (
        given().model_copy(update={"signature": given("bank").signature}),
    ),
    "a stranger": lambda: (give_sealing_key(KEYS["stranger"], receiver="acme", key=RAW, **FACTS),),
}


@pytest.mark.parametrize("what", FORGED)
def test_nothing_else_is_accepted(what: str) -> None:
    with pytest.raises(Refusal) as caught:
        check(*FORGED[what]())
    assert caught.value.code == "SEALING_KEY"
