# SPDX-License-Identifier: Apache-2.0
"""Which models members may have their rows scored by, and how much of a model its answers tell.

The owner's node computes on encrypted rows and sees sizes and times alone. An asker learns the model's
client specification, whose hash all members sign, and one noisy score a row and output. Many scores together
tell more and more of a model: that is what the limits here are for.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from hitoku import limits

__all__ = ["ServedModel"]

_MemberName = Annotated[str, Field(max_length=limits.MAX_NAME_CHARS)]


class ServedModel(BaseModel):
    """One model that its owner's node serves.

    Attributes:
        name: its name in the room.
        owner: the member whose node has it.
        client: SHA-256 of the client specification (`client.json`), which every asker gets.
        askers: the members that may have rows scored. No member that is not named may.
        rows_per_day: how many rows each of them may have scored a calendar day (UTC). A batch is charged as
            many rows as it has room for: which of them are used is encrypted.
        rounding: the width of the noise on each score, at least, in the score's own units: differences below
            it tell nothing reliable. The owner's node refuses to serve a model that was compiled with less.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*(-[a-z0-9_]+)*$", max_length=limits.MAX_NAME_CHARS)]
    owner: _MemberName
    client: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
    askers: Annotated[tuple[_MemberName, ...], Field(min_length=1, max_length=limits.MAX_MEMBERS)]
    rows_per_day: Annotated[int, Field(ge=1, le=limits.MAX_MODEL_ROWS_PER_DAY, strict=True)]
    rounding: Annotated[str, Field(pattern=r"^(0|[1-9][0-9]{0,8})(\.[0-9]{1,9})?$")]

    @property
    def step(self) -> Decimal:
        """`rounding` as a number."""
        return Decimal(self.rounding)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(set(self.askers)) != len(self.askers):
            raise ValueError(f"model {self.name!r}: an asker is named twice")
        if self.owner in self.askers:
            raise ValueError(f"model {self.name!r}: its owner needs no permission; name the others")
        if not self.step:
            raise ValueError(f"model {self.name!r}: rounding is more than 0")
        return self
