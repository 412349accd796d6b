# SPDX-License-Identifier: Apache-2.0
"""The messages of runs of three servers on shares, between servers, owners and receivers.

No value is in clear in them. Seeds, from which a server makes its shares, are in `SharesOffered`: it goes to
that server alone, over the nodes' own connection.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from hitoku import limits
from hitoku.room.consent import Consent, Hash, Moment, RunId
from hitoku.room.naming import Name
from hitoku.room.parts import SealedPart, SharedAnswer
from hitoku.room.sealing import SealingKey
from hitoku.transport.messages import Message, Receivers, Sql, Text, UsersNoise

__all__ = [
    "DeliverShares",
    "OfferShares",
    "OfferedShares",
    "SharesAt",
    "SharesBegin",
    "SharesBegun",
    "SharesFinish",
    "SharesGoing",
    "SharesOffered",
    "SharesParts",
    "SharesStop",
    "SharesStopped",
    "SharesWait",
    "SharesWhere",
]

Seed = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Address = Annotated[str, Field(pattern=r"^[A-Za-z0-9.:\[\]_-]{3,270}$")]


class _Question(Message):
    """Who asks what: attributes as in a RunRequest, with the asker."""

    sql: Sql
    room: Hash
    run: RunId
    asker: Name
    receivers: Receivers
    protection: Text
    users_noise: UsersNoise | None = None


class SharesBegin(_Question):
    """The leader of a run to another server: take part. May be said again.

    Attributes:
        consents: every owner's, to this run with the leader as its host.
        sealing: every receiver's one-time key, for the same.
    """

    kind: Literal["hitoku/shares-begin/1"] = "hitoku/shares-begin/1"
    consents: Annotated[list[Consent], Field(max_length=limits.MAX_MEMBERS)]
    sealing: Annotated[list[SealingKey], Field(max_length=limits.MAX_MEMBERS)]


class SharesBegun(Message):
    """A server to the leader: it is under way."""

    kind: Literal["hitoku/shares-begun/1"] = "hitoku/shares-begun/1"
    run: RunId


class SharesWhere(Message):
    """A server to another one of a run: are you ready, for what, and where do you listen for the others?"""

    kind: Literal["hitoku/shares-where/1"] = "hitoku/shares-where/1"
    run: RunId


class SharesAt(Message):
    """The answer.

    Attributes:
        run: the run.
        program: the hash of what that server is to compute; None while it does not know all of it yet.
        address: ``host:port`` where it listens; None until then.
    """

    kind: Literal["hitoku/shares-at/1"] = "hitoku/shares-at/1"
    run: RunId
    program: Hash | None = None
    address: Address | None = None


class SharesWait(Message):
    """The leader to another server: have you computed it?"""

    kind: Literal["hitoku/shares-wait/1"] = "hitoku/shares-wait/1"
    run: RunId


class SharesGoing(Message):
    """A server to the leader: whether it has computed it; where it cannot, the answer is why not."""

    kind: Literal["hitoku/shares-going/1"] = "hitoku/shares-going/1"
    run: RunId
    done: bool


class SharesFinish(Message):
    """The leader to another server, when all three have computed: give out the sealed parts.

    Attributes:
        run: the run.
        released_at: the time that all three write into them.
    """

    kind: Literal["hitoku/shares-finish/1"] = "hitoku/shares-finish/1"
    run: RunId
    released_at: Moment


class SharesParts(Message):
    """A server to the leader: its parts, one for each receiver in the order of their names."""

    kind: Literal["hitoku/shares-parts/1"] = "hitoku/shares-parts/1"
    run: RunId
    parts: Annotated[list[SealedPart], Field(min_length=1, max_length=limits.MAX_MEMBERS)]


class SharesStop(Message):
    """The leader to another server: the run is over, nothing is given out."""

    kind: Literal["hitoku/shares-stop/1"] = "hitoku/shares-stop/1"
    run: RunId


class SharesStopped(Message):
    """A server to the leader: it has ended."""

    kind: Literal["hitoku/shares-stopped/1"] = "hitoku/shares-stopped/1"
    run: RunId


class OfferShares(_Question):
    """A server to an owner: share your tables for this run, to which you consented. May be said again."""

    kind: Literal["hitoku/offer-shares/1"] = "hitoku/offer-shares/1"


class OfferedShares(Message):
    """A table that its owner shared, as far as one server has to know.

    Attributes:
        table: its name.
        manifest: what is public of it, signed by the owner: JSON (`hitoku.protections.shares.manifest`).
        seed_a: of the first share; not for the second server.
        seed_b: of the second share; not for the third server.
        parcel: the name of the parcel with the third share; for the second server alone.
    """

    table: Name
    manifest: Annotated[str, Field(max_length=limits.MAX_SHARES_MANIFEST_BYTES)]
    seed_a: Seed | None = None
    seed_b: Seed | None = None
    parcel: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,32}$")] | None = None


class SharesOffered(Message):
    """Owner to a server: they are shared; or, where `tables` is None, they are being shared."""

    kind: Literal["hitoku/shares-offered/1"] = "hitoku/shares-offered/1"
    run: RunId
    tables: Annotated[list[OfferedShares], Field(max_length=limits.MAX_TABLES_PER_QUESTION)] | None


class DeliverShares(_Question):
    """Leader to receiver: three parts of an answer that only it can open and put together."""

    kind: Literal["hitoku/deliver-shares/1"] = "hitoku/deliver-shares/1"
    shared: SharedAnswer
