# SPDX-License-Identifier: Apache-2.0
"""One server's shares of an answer, sealed for one receiver and signed by the server.

The leader of a run carries the parts of all three servers to the receivers. It cannot open them, and it
cannot put others in their place: each is signed with its server's member key, and says of which run,
question, plan and program it is. One part tells nothing of the answer; two do.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from hitoku import limits
from hitoku.errors import LimitError, PeerError
from hitoku.ports import KeyStore
from hitoku.room.agreement import Agreement
from hitoku.room.canonical import canonical_json, digest
from hitoku.room.consent import Hash, Moment, RunId
from hitoku.room.hpke import NotOpened, open_padded, padded_length, seal_padded
from hitoku.room.keys import valid_signature
from hitoku.room.naming import Name
from hitoku.room.shares import SERVERS

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

__all__ = [
    "SealedPart",
    "SharedAnswer",
    "Terms",
    "check_parts",
    "hashes_of",
    "open_part",
    "parts_digest",
    "seal_part",
]

_DOMAIN: Final = b"hitoku/shares-part/1\n"
_INFO: Final = b"hitoku/shares-part-sealed/1\n"
_SLACK: Final = 64
"""What HPKE adds: its encapsulated key and tag."""


class Terms(BaseModel):
    """What a part is of; the same for all parts of a run.

    Attributes:
        room: the agreement's hash.
        run: the run.
        question: the question's hash.
        plan: the disclosure plan's.
        program: what the servers computed.
        released_at: when.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    room: Hash
    run: RunId
    question: Hash
    plan: Hash
    program: Hash
    released_at: Moment


class SealedPart(BaseModel):
    """One server's part for one receiver.

    Attributes:
        server: who made it.
        receiver: who opens it.
        terms: what it is of.
        hash: SHA-256 of the sealed bytes; it is what is signed.
        content: the sealed bytes, base64.
        signature: the server's.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    format: Literal["hitoku/shares-part/1"] = "hitoku/shares-part/1"
    server: Name
    receiver: Name
    terms: Terms
    hash: Hash
    content: Annotated[
        str,
        Field(
            pattern=r"^[A-Za-z0-9+/]*={0,2}$", max_length=(limits.MAX_SHARES_PART_BYTES + _SLACK) * 4 // 3 + 4
        ),
    ]
    signature: Annotated[str, Field(pattern=r"^([A-Za-z0-9+/]{86}==)?$")] = ""

    def message(self) -> bytes:
        """The bytes that the server signs."""
        return _DOMAIN + canonical_json(self.model_dump(mode="json", exclude={"signature", "content"}))


class SharedAnswer(BaseModel):
    """What one receiver gets: all three parts, and the hashes of all receivers' parts.

    Attributes:
        parts: in the order of the servers.
        hashes: by receiver, of the parts in the order of the servers: from them follows the digest by which
            owners' ledgers name what was released (`parts_digest`).
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    parts: Annotated[list[SealedPart], Field(min_length=SERVERS, max_length=SERVERS)]
    hashes: Annotated[
        dict[Name, Annotated[list[Hash], Field(min_length=SERVERS, max_length=SERVERS)]],
        Field(min_length=1, max_length=limits.MAX_MEMBERS),
    ]


def seal_part(
    content: bytes, key: bytes, keys: KeyStore, *, server: str, receiver: str, terms: Terms
) -> SealedPart:
    """Seal and sign this server's shares for a receiver.

    Args:
        content: the shares.
        key: the receiver's one-time key, 32 bytes.
        keys: the server's.
        server: its name.
        receiver: who opens it.
        terms: what it is of.

    Raises:
        LimitError: it is too large.
        PeerError: the key is none.
        SecretError: the server's key cannot be read.
    """
    if padded_length(len(content) + 8) > limits.MAX_SHARES_PART_BYTES:
        raise LimitError(
            "the answer is larger than a shared one may be; group by fewer columns, or use LIMIT"
        )
    try:
        sealed = seal_padded(content, key, _info(server, receiver, terms))
    except ValueError:  # a point of small order
        raise PeerError(f"{receiver!r} gave a sealing key that is none") from None
    made = SealedPart(
        server=server,
        receiver=receiver,
        terms=terms,
        hash=_hash(sealed),
        content=base64.b64encode(sealed).decode(),
    )
    signature = base64.b64encode(keys.sign(made.message())).decode()
    return made.model_copy(update={"signature": signature})


def check_parts(
    parts: Iterable[SealedPart],
    agreement: Agreement,
    *,
    receiver: str,
    room: str,
    run: str,
    question: str,
    plan: str,
) -> Terms:
    """Accept only one part of each server, signed by it, for exactly this receiver and run.

    Returns:
        What all three are of.

    Raises:
        PeerError: one is missing, forged, of something else, or they are of different programs; names the
            server.
    """
    servers = () if agreement.shares is None else agreement.shares.servers
    given = tuple(parts)
    if tuple(part.server for part in given) != servers or not given:
        raise PeerError("the parts are not those of the room's three servers, in their order")
    terms = given[0].terms
    for part in given:
        member = agreement.member(part.server)
        if member is None or not valid_signature(member.key, part.message(), part.signature):
            raise PeerError(f"the part of {part.server!r} does not carry its signature")
        if part.hash != _hash(_raw(part)):
            raise PeerError(f"the part of {part.server!r} was altered on its way")
        of = part.terms
        if part.receiver != receiver or (of.room, of.run, of.question, of.plan) != (
            room,
            run,
            question,
            plan,
        ):
            raise PeerError(f"the part of {part.server!r} is of another answer")
        if of != terms:
            raise PeerError(f"{part.server!r} computed something else than {given[0].server!r}")
    return terms


def open_part(part: SealedPart, key: X25519PrivateKey) -> bytes:
    """The shares in a part.

    Raises:
        PeerError: it was not sealed for this key.
    """
    try:
        return open_padded(_raw(part), key, _info(part.server, part.receiver, part.terms))
    except NotOpened:
        raise PeerError(f"the part of {part.server!r} does not open: it was sealed for another key") from None


def parts_digest(run: str, hashes: dict[str, list[str]]) -> str:
    """By what owners' and servers' ledgers name what was released: nobody of them knows the answer."""
    return digest("hitoku/shares-answer/1", canonical_json({"run": run, "parts": hashes}))


def hashes_of(parts: Sequence[Sequence[SealedPart]]) -> dict[str, list[str]]:
    """The hashes of all parts by receiver; `parts` is by server, in the servers' order."""
    found: dict[str, list[str]] = {}
    for one in parts:
        for part in one:
            found.setdefault(part.receiver, []).append(part.hash)
    return found


def _raw(part: SealedPart) -> bytes:
    try:
        return base64.b64decode(part.content, validate=True)
    except ValueError:
        raise PeerError(f"{part.server!r} sent a part that is none") from None


def _hash(sealed: bytes) -> str:
    return "sha256:" + hashlib.sha256(sealed).hexdigest()


def _info(server: str, receiver: str, terms: Terms) -> bytes:
    return _INFO + canonical_json({"server": server, "receiver": receiver, "terms": terms.model_dump()})
