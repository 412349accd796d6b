# SPDX-License-Identifier: Apache-2.0
"""The messages of runs that take long and that two owners compute together (`crosstab`)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from hitoku import limits
from hitoku.room.consent import Consent, Hash, RunId
from hitoku.room.naming import Name
from hitoku.transport.messages import Message, Receivers, Sql, Text, UsersNoise

__all__ = ["Begin", "Begun", "RunGoing", "RunWait"]

Count = Annotated[int, Field(ge=0, le=2**53 - 1)]


class Begin(Message):
    """Leader to the other owner: begin your part of this run, to which you have consented."""

    kind: Literal["hitoku/begin/1"] = "hitoku/begin/1"
    sql: Sql
    room: Hash
    run: RunId
    asker: Name
    receivers: Receivers
    protection: Text
    consents: Annotated[list[Consent], Field(max_length=limits.MAX_MEMBERS)]
    users_noise: UsersNoise | None = None


class Begun(Message):
    """The other owner to the leader: it is under way, or was already."""

    kind: Literal["hitoku/begun/1"] = "hitoku/begun/1"
    run: RunId


class RunWait(Message):
    """Asker to the place of a run: has it ended? May be asked again and again."""

    kind: Literal["hitoku/run-wait/1"] = "hitoku/run-wait/1"
    run: RunId


class RunGoing(Message):
    """The place of a run to its asker: not yet; what it does, and how much of that is done."""

    kind: Literal["hitoku/run-going/1"] = "hitoku/run-going/1"
    run: RunId
    phase: Text = ""
    done: Count = 0
    total: Count | None = None
