# SPDX-License-Identifier: Apache-2.0
"""The messages by which members propose a next version of their room, sign it, decline it, take it back.

They go between members of the version in force, so who sends is proven (TLS with the member's key). What is
in them is not believed for that: `hitoku.node.proposals` says what is made of them, and why that is safe.
All may be sent twice: a second one finds what the first left.
"""

from __future__ import annotations

import base64
import json
from typing import Annotated, Any, Final, Literal

from pydantic import Field, ValidationError

from hitoku import limits
from hitoku.errors import PeerError
from hitoku.ports import KeyStore
from hitoku.room.agreement import Room, Signature
from hitoku.room.canonical import canonical_json
from hitoku.room.consent import Hash
from hitoku.room.keys import valid_signature
from hitoku.room.naming import Name
from hitoku.transport.messages import Message, Text

__all__ = [
    "KINDS",
    "Authored",
    "Known",
    "KnownRequest",
    "Noted",
    "Propose",
    "Proposed",
    "SignatureGiven",
    "TakenBack",
    "Withdraw",
    "draft_text",
    "read_draft",
    "valid_withdrawal",
    "withdrawal",
]

KINDS: Final = frozenset(
    {
        "hitoku/propose/1",
        "hitoku/signature/1",
        "hitoku/withdraw/1",
        "hitoku/signed-request/1",
    }
)

_WITHDRAWN: Final = b"hitoku/withdrawn/1\n"
_DraftText = Annotated[str, Field(max_length=limits.MAX_PROPOSAL_CHARS)]
_Version = Annotated[int, Field(ge=1, le=limits.MAX_ROOM_VERSIONS + 1)]
_SignatureText = Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]{86}==$")]
_Signatures = Annotated[list[Signature], Field(max_length=2 * limits.MAX_MEMBERS, strict=False)]


class Propose(Message):
    """Author to every other member: this is to be the next version; later again, with all signatures.

    Attributes:
        draft: the agreement and the signatures gathered so far, as JSON; without the versions before, which
            the receiver has.
        why: what the author says about it.
    """

    kind: Literal["hitoku/propose/1"] = "hitoku/propose/1"
    draft: _DraftText
    why: Text = ""


class Proposed(Message):
    """What became of a proposal at the receiver.

    Attributes:
        state: ``kept``, it waits for its operator, or needs nothing of it; ``in_force``, it is served there;
            ``ahead``, a version of that number or a later one is; ``behind``, an earlier one is;
            ``taken``, another proposal is open there; ``declined``; ``bound``, its member signed another
            draft of that number.
        version: the version in force there.
        author: of ``taken``, whose proposal is open.
        reason: of ``declined``, what its operator says.
        signatures: the receiver's own, where it has signed.
    """

    kind: Literal["hitoku/proposed/1"] = "hitoku/proposed/1"
    state: Literal["kept", "in_force", "ahead", "behind", "taken", "declined", "bound"]
    version: _Version
    author: Name | None = None
    reason: Text | None = None
    signatures: _Signatures = Field(default_factory=list)


class SignatureGiven(Message):
    """Receiver to author: I signed the draft of this hash, or I will not.

    Attributes:
        hash: the draft's.
        signatures: the sender's own; empty where it declines.
        declined: why not.
    """

    kind: Literal["hitoku/signature/1"] = "hitoku/signature/1"
    hash: Hash
    signatures: _Signatures = Field(default_factory=list)
    declined: Text | None = None


class Withdraw(Message):
    """Author to every other member: I take this draft back; nobody is bound to it any more.

    Attributes:
        version: its number.
        hash: the draft's.
        signature: the author's, of `withdrawal`.
    """

    kind: Literal["hitoku/withdraw/1"] = "hitoku/withdraw/1"
    version: _Version
    hash: Hash
    signature: _SignatureText


class KnownRequest(Message):
    """A restored member to every other one: what did I sign and propose that you know of?"""

    kind: Literal["hitoku/signed-request/1"] = "hitoku/signed-request/1"


class Authored(Message):
    """A draft that is kept.

    Attributes:
        version: its number.
        hash: the draft's.
    """

    version: _Version
    hash: Hash


class TakenBack(Message):
    """A draft that its author took back.

    Attributes:
        version: its number.
        hash: the draft's.
        signature: the author's, of `withdrawal`.
    """

    version: _Version
    hash: Hash
    signature: _SignatureText


class Known(Message):
    """The answer to `KnownRequest`.

    Attributes:
        version: the version in force there.
        signed: the receiver's own open draft with the asker's signature, where it has that.
        authored: drafts of the asker's that are kept there: its newest, and the one that is signed.
        taken_back: drafts of the receiver's that it took back.
    """

    kind: Literal["hitoku/signed-given/1"] = "hitoku/signed-given/1"
    version: _Version
    signed: _DraftText | None = None
    authored: Annotated[list[Authored], Field(max_length=2, strict=False)] = Field(default_factory=list)
    taken_back: Annotated[list[TakenBack], Field(max_length=limits.MAX_DRAFTS_AN_HOUR + 1, strict=False)] = (
        Field(default_factory=list)
    )


class Noted(Message):
    """Any answer: it is on disk here."""

    kind: Literal["hitoku/noted/1"] = "hitoku/noted/1"


def draft_text(room: Room) -> str:
    """A draft and its signatures as text, without the versions before."""
    data = room.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"history"})
    return canonical_json(data).decode()


def read_draft(text: str, sender: str) -> Room:
    """A draft that another member sent; its signatures are not verified here.

    Raises:
        PeerError: it is none; never quotes it.
    """
    try:
        data = json.loads(text, object_pairs_hook=_object, parse_constant=_no_constant)
        if not isinstance(data, dict) or "history" in data:
            raise ValueError("a draft comes without history")
        return Room.model_validate(data)
    except (ValidationError, ValueError, RecursionError):
        raise PeerError(f"{sender!r} sent a proposal that is no agreement") from None


def _withdrawal(room: str, version: int, hash_: str) -> bytes:
    return _WITHDRAWN + canonical_json({"room": room, "version": version, "hash": hash_})


def withdrawal(room: str, version: int, hash_: str, keys: KeyStore) -> str:
    """The author's signature that it takes a draft back; by a domain of its own it is nothing else."""
    return base64.b64encode(keys.sign(_withdrawal(room, version, hash_))).decode()


def valid_withdrawal(room: str, version: int, hash_: str, key: str, signature: str) -> bool:
    """Whether it is that signature by that key."""
    return valid_signature(key, _withdrawal(room, version, hash_), signature)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("two keys of one name")
    return result


def _no_constant(_: str) -> None:
    raise ValueError("not a JSON number")
