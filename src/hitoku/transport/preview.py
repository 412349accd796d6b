# SPDX-License-Identifier: Apache-2.0
"""The messages of a preview: what would a question cost, and what is left?"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from hitoku import limits
from hitoku.room.consent import Hash
from hitoku.room.naming import Name
from hitoku.transport.messages import Message, Receivers, Sql, Text, UsersNoise

__all__ = ["PreviewGiven", "PreviewRequest", "Previewed", "WindowLeft"]

Number = Annotated[str, Field(pattern=r"^[0-9]{1,20}(\.[0-9]{1,20})?$")]
Count = Annotated[int, Field(ge=0, le=2**53 - 1)]


class PreviewRequest(Message):
    """Asker to owner: what would this cost, and what is left? Reads no data and charges nothing."""

    kind: Literal["hitoku/preview-request/1"] = "hitoku/preview-request/1"
    sql: Sql
    room: Hash
    receivers: Receivers
    protection: Text
    users_noise: UsersNoise | None = None


class Previewed(Message):
    """One account of an owner: epsilons as decimals; `questions` more of this cost fit."""

    unit: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
    period: Annotated[str, Field(pattern=r"^(ever|[0-9]{4}-[0-9]{2})$")]
    cost: Number
    spent: Number
    epsilon: Number
    questions: Count | None


class WindowLeft(Message):
    """One access budget of an owner's table."""

    table: Name
    window: Annotated[str, Field(pattern=r"^[A-Z_]{1,32}$")]
    left: Count


class PreviewGiven(Message):
    """Owner to asker: how this owner's accounts and access budgets stand against the question."""

    kind: Literal["hitoku/preview-given/1"] = "hitoku/preview-given/1"
    accounts: Annotated[list[Previewed], Field(max_length=limits.MAX_TABLES)]
    windows: Annotated[list[WindowLeft], Field(max_length=4 * limits.MAX_TABLES)]
