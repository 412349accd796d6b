# SPDX-License-Identifier: Apache-2.0
"""What both owners sign before a run: its public parameters, and each side's offer of sizes.

`Parameters` follow from the question, the room and the plan, and are equal on both sides or nothing runs.
An `Offer` adds what only its sender knows beforehand: the padded and noised size of each of its groups and,
from the side whose values are summed, the key they are encrypted under. `Terms` are the three together;
their hash is the ``run`` that every identifier is hashed to the group with, so that points of one run mean
nothing in another.

Side a has ``groups_a`` groups, side b ``groups_b``; cell ``(a, b)`` has the number ``a * groups_b + b``.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from hitoku import limits
from hitoku.errors import LimitError, PeerError
from hitoku.ports import KeyStore
from hitoku.protections.crosstab.noise import count_bound, epsilon_of, sum_offset
from hitoku.room.canonical import canonical_json, digest
from hitoku.room.keys import valid_signature

__all__ = ["Offer", "Parameters", "Side", "Terms", "other"]

Side = Literal["a", "b"]
Hash = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
Name = Annotated[str, Field(min_length=1, max_length=limits.MAX_NAME_CHARS)]
Value = Annotated[int, Field(ge=-(2**53 - 1), le=2**53 - 1)]

_OFFER: Final = "hitoku/crosstab/offer/1"


class _Signed(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def other(side: Side) -> Side:
    """The side opposite."""
    return "b" if side == "a" else "a"


class Parameters(_Signed):
    """The public parameters of one run.

    Attributes:
        run: 32 hexadecimal digits.
        room: the hash of the agreement in force.
        question: the hash of the question.
        plan: the hash of the disclosure plan.
        a: the member that leads and counts matches.
        b: the member whose values are summed.
        groups_a: groups of a's rows.
        groups_b: groups of b's rows.
        sums: lower and upper bound of a row's value, one pair a sum, in units of its last decimal.
        users_noise: each figure's noise has the standard deviation of so many persons' contributions, for
            each of the two sides.
        delta0: one share of delta, a decimal number.

    Raises:
        LimitError: a run of these parameters would be too large; the message has the numbers.
    """

    format: Literal["hitoku/crosstab/1"] = "hitoku/crosstab/1"
    run: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    room: Hash
    question: Hash
    plan: Hash
    a: Name
    b: Name
    groups_a: Annotated[int, Field(ge=1, le=65_535)]
    groups_b: Annotated[int, Field(ge=1, le=65_535)]
    sums: Annotated[tuple[tuple[Value, Value], ...], Field(max_length=limits.MAX_CROSSTAB_SUMS)] = ()
    users_noise: Annotated[int, Field(ge=limits.MIN_USERS_NOISE, le=limits.MAX_USERS_NOISE)]
    delta0: Annotated[str, Field(pattern=r"^(1e-[1-9][0-9]?|0\.[0-9]{1,30})$")]

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        if self.a == self.b:
            raise ValueError("a run has two different members")
        if any(lower > upper for lower, upper in self.sums):
            raise ValueError("a lower bound is above its upper bound")
        if not 0 < Fraction(self.delta0) < 1:
            raise ValueError("delta0 must be above 0 and below 1")
        if self.cells > limits.MAX_NOISED_CELLS:
            raise LimitError(
                f"{self.groups_a:,} by {self.groups_b:,} groups are {self.cells:,} cells, each with "
                f"{self.dummies:,} dummy records a side; the limit is {limits.MAX_NOISED_CELLS:,} cells: "
                "group by fewer or coarser columns"
            )
        if self.cells * self.dummies > limits.MAX_CROSSTAB_DUMMIES:
            raise LimitError(
                f"{self.cells:,} cells with noise of {self.users_noise:,} users need {self.dummies:,} dummy "
                f"records each, {self.cells * self.dummies:,} a side; the limit is "
                f"{limits.MAX_CROSSTAB_DUMMIES:,}: group by fewer columns, or ask for less noise"
            )
        _ = self.offsets
        return self

    @property
    def cells(self) -> int:
        """K."""
        return self.groups_a * self.groups_b

    @cached_property
    def epsilon(self) -> Fraction:
        """What one figure, or the sizes, cost each side."""
        return epsilon_of(self.users_noise)

    @cached_property
    def m(self) -> int:
        """Noise of counts and of sizes is within ``[-m, m]``."""
        return count_bound(self.epsilon, Fraction(self.delta0))

    @property
    def dummies(self) -> int:
        """D, of each cell."""
        return 2 * self.m

    @cached_property
    def largest(self) -> tuple[int, ...]:
        """What a person can change each sum by, at least 1."""
        return tuple(max(abs(lower), abs(upper), 1) for lower, upper in self.sums)

    @cached_property
    def offsets(self) -> tuple[int, ...]:
        """The noise of each sum is within ``[-offset, offset]``."""
        delta0 = Fraction(self.delta0)
        return tuple(sum_offset(self.epsilon, most, self.cells, delta0) for most in self.largest)

    def scale(self, number: int | None = None) -> Fraction:
        """The scale of the noise of counts and sizes, or of sum `number`."""
        return (1 if number is None else self.largest[number]) / self.epsilon

    def log_range(self, number: int, matches: int) -> tuple[int, int]:
        """What a's ciphertexts of sum `number` can hold where at most `matches` records fall into a cell."""
        lower, upper = self.sums[number]
        offset = self.offsets[number]
        return matches * min(0, lower) - offset, matches * max(0, upper) + offset

    def check_sums(self, matches: int) -> None:
        """Whether b can open the sums of cells of at most so many matched records.

        Raises:
            LimitError: not within the limits of the discrete logarithm; the message has the numbers.
        """
        from hitoku import _core
        from hitoku.hazmat.faults import kernel

        for number in range(len(self.sums)):
            low, high = self.log_range(number, matches)
            if high - low >= 2**62:
                raise LimitError(
                    f"sum {number + 1} can have {high - low + 1:,} values with its noise; the limit is "
                    f"{2**62:,}: lower the bounds of the values"
                )
            with kernel():
                table, size, steps = _core.DiscreteLog.plan(low, high, self.cells, limits.MAX_LOG_TABLE_BYTES)
            if table + self.cells * steps > limits.MAX_LOG_STEPS:
                total = table + self.cells * steps
                raise LimitError(
                    f"opening {self.cells:,} cells of sum {number + 1}, each of {high - low + 1:,} values, "
                    f"takes {total:,} steps with a table of {size:,} bytes; the limit is "
                    f"{limits.MAX_LOG_STEPS:,} steps: lower the bounds of the values, keep fewer decimals, "
                    "or group by fewer columns"
                )

    @cached_property
    def hash(self) -> str:
        """The parameters' name."""
        return digest("hitoku/crosstab/parameters/1", canonical_json(self.model_dump(mode="json")))

    def groups(self, side: Side) -> int:
        """How many groups a side has."""
        return self.groups_a if side == "a" else self.groups_b

    def least_size(self, side: Side) -> int:
        """What every group of a side holds at least: the dummies of its cells."""
        return self.groups(other(side)) * self.dummies

    def member(self, side: Side) -> str:
        """Who a side is."""
        return self.a if side == "a" else self.b

    @property
    def width(self) -> int:
        """Bytes of a record of b: a point and a ciphertext a sum."""
        return 32 + 64 * len(self.sums)


class Offer(_Signed):
    """A side's sizes and key, signed by its member.

    Attributes:
        party: the side.
        parameters: the hash of the run's.
        sizes: how many records each of its groups has, dummies and padding included. Public.
        nonce: 64 random hexadecimal digits of this side's draws. A side that drew anew, because it lost its
            folder, cannot make the same offer again, and the terms are fresh from both sides.
        public: b's ElGamal key, hexadecimal, where values are summed.
        signature: of the rest, base64.
    """

    format: Literal["hitoku/crosstab/offer/1"] = _OFFER
    party: Side
    parameters: Hash
    sizes: Annotated[
        tuple[Annotated[int, Field(ge=0, le=limits.MAX_CROSSTAB_RECORDS)], ...], Field(max_length=65_535)
    ]
    nonce: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    public: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    signature: Annotated[str, Field(max_length=100)] = ""

    @classmethod
    def make(
        cls,
        side: Side,
        parameters: Parameters,
        sizes: list[int],
        nonce: bytes,
        public: bytes | None,
        keys: KeyStore,
    ) -> Offer:
        """This member's own offer, signed.

        Raises:
            LimitError: the sizes are too large.
        """
        if sum(sizes) > limits.MAX_CROSSTAB_RECORDS:
            raise LimitError(
                f"side {side} would send {sum(sizes):,} records; the limit is {limits.MAX_CROSSTAB_RECORDS:,}"
            )
        bare = cls(
            party=side,
            parameters=parameters.hash,
            sizes=tuple(sizes),
            nonce=nonce.hex(),
            public=None if public is None else public.hex(),
        )
        return bare.model_copy(
            update={"signature": base64.b64encode(keys.sign(bare._message())).decode("ascii")}
        )

    @property
    def body(self) -> dict[str, object]:
        """What is signed."""
        return self.model_dump(mode="json", exclude={"signature"}, exclude_none=True)

    def _message(self) -> bytes:
        return _OFFER.encode() + b"\n" + canonical_json(self.body)

    def dump(self) -> bytes:
        """The one encoding that is sent."""
        return canonical_json(self.model_dump(mode="json", exclude_none=True))

    @classmethod
    def read(cls, data: bytes, side: Side, parameters: Parameters, key: str) -> Offer:
        """The other side's offer, if it is in every way as it must be.

        Args:
            data: what it sent.
            side: which side it is.
            parameters: the run's.
            key: its member's public key, as the room has it.

        Raises:
            PeerError: it is not.
        """
        who = parameters.member(side)
        offer = None
        if len(data) <= limits.MAX_OFFER_BYTES:
            try:
                offer = cls.model_validate_json(data)
            except ValidationError:
                offer = None
        if offer is None or offer.dump() != data or offer.party != side:
            raise PeerError(f"what {who!r} sent as offer-{side} is not its offer in this run")
        if not valid_signature(key, offer._message(), offer.signature):
            raise PeerError(f"the offer of {who!r} is not signed with the key that the room has for it")
        if offer.parameters != parameters.hash:
            raise PeerError(
                f"{who!r} offers a run of other parameters: its room, question or plan is not this node's"
            )
        if len(offer.sizes) != parameters.groups(side):
            raise PeerError(f"the offer of {who!r} does not have a size for each of its groups")
        if min(offer.sizes) < parameters.least_size(side):
            raise PeerError(f"{who!r} offers a group that is too small to hold its dummies")
        if sum(offer.sizes) > limits.MAX_CROSSTAB_RECORDS:
            raise PeerError(
                f"{who!r} offers {sum(offer.sizes):,} records; the limit is {limits.MAX_CROSSTAB_RECORDS:,}"
            )
        if (offer.public is not None) != (side == "b" and bool(parameters.sums)):
            raise PeerError(f"the offer of {who!r} has a key where none belongs, or none where one belongs")
        if offer.public is not None:
            from hitoku.hazmat import group

            try:
                group.check_points(group.records(bytes.fromhex(offer.public), group.POINT))
            except group.RecordError as error:
                raise PeerError(f"the key in the offer of {who!r} is of no use: {error}") from None
        return offer


@dataclass(frozen=True)
class Terms:
    """What a run is bound to.

    Attributes:
        parameters: public, of both.
        offer_a: of side a.
        offer_b: of side b.

    Raises:
        LimitError: the sums of cells of such sizes cannot be opened.
    """

    parameters: Parameters
    offer_a: Offer
    offer_b: Offer

    def __post_init__(self) -> None:
        self.parameters.check_sums(self.matches)

    @property
    def matches(self) -> int:
        """More records than this cannot match in a cell."""
        return min(max(self.offer_a.sizes), max(self.offer_b.sizes))

    @cached_property
    def hash(self) -> str:
        """The terms' name. Signatures are not in it: they follow from the rest."""
        return digest(
            "hitoku/crosstab/terms/1",
            canonical_json(
                {
                    "parameters": self.parameters.model_dump(mode="json"),
                    "a": self.offer_a.body,
                    "b": self.offer_b.body,
                }
            ),
        )

    @property
    def run(self) -> bytes:
        """The hash's 32 bytes, for hashing to the group."""
        return bytes.fromhex(self.hash.removeprefix("sha256:"))

    def offer(self, side: Side) -> Offer:
        """The offer of a side."""
        return self.offer_a if side == "a" else self.offer_b

    def sizes(self, side: Side) -> tuple[int, ...]:
        """The sizes of a side's groups."""
        return self.offer(side).sizes

    def total(self, side: Side) -> int:
        """How many records a side sends."""
        return sum(self.sizes(side))

    @property
    def public(self) -> bytes:
        """The key that values are encrypted under."""
        assert self.offer_b.public is not None  # noqa: S101 (asked for only where values are summed)
        return bytes.fromhex(self.offer_b.public)
