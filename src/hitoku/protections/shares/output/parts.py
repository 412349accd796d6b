# SPDX-License-Identifier: Apache-2.0
"""One server's shares of an answer as bytes: a head that says all sizes, then nothing but shares.

::

    "HSO1"  length of the head (u32, big-endian)  head (JSON)  shares

The shares follow each other without anything between: for each branch, column and vector (its vectors, then
the bit of validity) the server's own share, then the next server's; little-endian. A receiver does not trust
a server's bytes: the head is bounded and checked field by field, and says exactly how long the rest is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from hitoku import limits
from hitoku.errors import LimitError, PeerError
from hitoku.protections.shares.manifest import Whole, least_kind, width_of
from hitoku.protections.shares.program import Type
from hitoku.room.consent import Hash, Moment, RunId

if TYPE_CHECKING:
    from hitoku.protections.shares.operators.layout import ColumnLayout

__all__ = ["BranchHead", "ColumnHead", "Part", "PartHead", "Terms", "decode", "encode", "too_large"]

_MAGIC: Final = b"HSO1"
_LENGTH: Final = 4
_MOST: Final = 1 << 128


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Terms(_Part):
    """What a part is of; all three say the same."""

    run: RunId
    question: Hash
    plan: Hash
    program: Hash
    released_at: Moment


class ColumnHead(_Part):
    """A column: what its vectors are. See `operators.layout.ColumnLayout`."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,30}$")]
    form: Literal["word", "text", "ratio"]
    kind: Literal["number", "date", "boolean", "code", "hash"]
    low: Whole
    high: Whole
    scale: Annotated[int, Field(ge=0, le=38)]
    words: Annotated[int, Field(ge=1, le=limits.MAX_SHARES_TEXT_BYTES // 8)]
    """Vectors of a text; of a ratio those of its fraction, or 3 where the whole part has two; 1 of others."""
    nullable: bool

    @model_validator(mode="after")
    def _check(self) -> Self:
        low, high = int(self.low), int(self.high)
        if not 0 <= high - low < _MOST:
            raise ValueError("bounds that are none")
        if (self.form == "text") != (self.kind == "code"):
            raise ValueError("codes, and nothing else, are texts")
        if self.words > {"word": 1, "ratio": 3}.get(self.form, self.words):
            raise ValueError("more vectors than there are")
        if self.form == "ratio" and not (self.kind == "number" and self.nullable):
            raise ValueError("a ratio is a number that can be missing")
        if self.kind == "boolean" and (low, high) != (0, 1):
            raise ValueError("bounds that a boolean cannot have")
        return self

    @classmethod
    def of(cls, layout: ColumnLayout) -> Self:
        """The head of a column of a result."""
        # Of a text the bounds of its codes would tell how many texts there are, withheld ones too.
        low, high = (0, 0) if layout.form == "text" else (layout.type.low, layout.type.high)
        made = cls(
            name=layout.name,
            form=layout.form,
            kind=layout.type.kind,
            low=str(low),
            high=str(high),
            scale=layout.type.scale,
            words={"text": len(layout.kinds), "ratio": len(layout.kinds) - 2}.get(layout.form, 1),
            nullable=layout.nullable,
        )
        if made.vectors()[: len(layout.kinds)] != layout.kinds:
            raise AssertionError("a column's vectors follow from its form and type")
        return made

    @property
    def type(self) -> Type:
        """The type of its values."""
        return Type(self.kind, int(self.low), int(self.high), self.scale, self.nullable)

    def vectors(self) -> tuple[str, ...]:
        """The kinds of its vectors, that of validity last where there is one."""
        match self.form:
            case "word":
                kinds: tuple[str, ...] = (least_kind(self.type.bits),)
            case "text":
                kinds = ("u64",) * self.words
            case "ratio":
                kinds = ("u8", "u64") + ("u64",) * self.words
        return (*kinds, "u8") if self.nullable else kinds


class BranchHead(_Part):
    """The rows of one branch."""

    rows: Annotated[int, Field(ge=0, le=limits.ENGINE_MAX_RESULT_ROWS)]
    columns: Annotated[list[ColumnHead], Field(max_length=limits.MAX_OUTPUT_COLUMNS)]

    @property
    def size(self) -> int:
        """Bytes of one share of all its vectors."""
        return self.rows * sum(width_of(kind) for column in self.columns for kind in column.vectors())


class PartHead(_Part):
    """What a part says of itself."""

    format: Literal["hitoku/shares-output/1"] = "hitoku/shares-output/1"
    index: Annotated[int, Field(ge=0, le=2)]
    salt: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """This server's contribution."""
    terms: Terms
    branches: Annotated[list[BranchHead], Field(min_length=1, max_length=limits.MAX_SHARES_BRANCHES)]

    @property
    def size(self) -> int:
        """Bytes of both shares of all vectors."""
        return 2 * sum(branch.size for branch in self.branches)


@dataclass(frozen=True, slots=True, repr=False)
class Part:
    """A part, read.

    Attributes:
        head: what it says of itself.
        shares: of each vector, in order, the server's own share and the next server's.
    """

    head: PartHead
    shares: list[tuple[memoryview, memoryview]]


def encode(head: PartHead, shares: Iterator[tuple[bytes, bytes]]) -> bytes:
    """A part as bytes.

    Args:
        head: what it says of itself.
        shares: of each vector, in order.

    Raises:
        LimitError: the answer is too large.
    """
    said = json.dumps(head.model_dump(mode="json"), separators=(",", ":"), sort_keys=True).encode()
    if len(said) > limits.MAX_SHARES_HEAD_BYTES or head.size > limits.MAX_SHARES_PART_BYTES:
        raise too_large()
    made = bytearray(_MAGIC + len(said).to_bytes(_LENGTH, "big") + said)
    begin = len(made)
    for own, following in shares:
        made += own
        made += following
    if len(made) - begin != head.size:
        raise AssertionError("shares are as long as their head says")
    return bytes(made)


def too_large() -> LimitError:
    """The error for an answer that is."""
    return LimitError("the answer is larger than a shared one may be; group by fewer columns, or use LIMIT")


def decode(content: bytes, server: str) -> Part:
    """A part that came from a server.

    Raises:
        PeerError: it is none; names the server.
    """
    begin = len(_MAGIC) + _LENGTH
    if len(content) > limits.MAX_SHARES_PART_BYTES + limits.MAX_SHARES_HEAD_BYTES + begin:
        raise PeerError(f"{server!r} sent shares that are too long")
    length = int.from_bytes(content[len(_MAGIC) : begin], "big")
    if content[: len(_MAGIC)] != _MAGIC or length > min(limits.MAX_SHARES_HEAD_BYTES, len(content) - begin):
        raise _none(server)
    try:
        head = PartHead.model_validate_json(content[begin : begin + length])
    except (ValidationError, ValueError, RecursionError):
        raise _none(server) from None
    if len(content) != begin + length + head.size:
        raise PeerError(f"{server!r} sent shares that are not as long as they say")
    rest, at, shares = memoryview(content)[begin + length :], 0, []
    for branch in head.branches:
        for column in branch.columns:
            for kind in column.vectors():
                size = branch.rows * width_of(kind)
                shares.append((rest[at : at + size], rest[at + size : at + 2 * size]))
                at += 2 * size
    return Part(head, shares)


def _none(server: str) -> PeerError:
    return PeerError(f"{server!r} sent something that is no part of an answer")
