# SPDX-License-Identifier: Apache-2.0
"""Which nodes a SuperLink lets in: those whose key a member of the plan has signed.

Flower authenticates a SuperNode by an elliptic-curve key that signs the time of each request. A member's
process makes such a key when it starts and signs it, once, with the member's Ed25519 key, bound to the plan
and to the run. The SuperLink lets in what carries a signature of a member of the plan, and knows from it
whose node it is: no name has to be believed, and no list of node keys has to be exchanged beforehand. A
signature that somebody copies is worth nothing without the node's key.

What is learnt this way is only who is connected. Every request and reply is signed by itself, a layer above.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from typing import Final

from hitoku.room.keys import valid_signature

__all__ = ["MEMBER_HEADER", "SIGNATURE_HEADER", "admission_headers", "admitted"]

MEMBER_HEADER: Final = "hitoku-member"
SIGNATURE_HEADER: Final = "hitoku-admission"
_DOMAIN: Final = b"hitoku/learning-node/1"


def _message(context: bytes, member: str, node_key: bytes) -> bytes:
    parts = (context, member.encode(), node_key)
    return _DOMAIN + b"".join(hashlib.sha256(part).digest() for part in parts)


def admission_headers(
    context: bytes, member: str, node_key: bytes, sign: Callable[[bytes], bytes]
) -> dict[str, str]:
    """What a node says of itself when it registers.

    Args:
        context: what all members know of the plan and the run, for example both hashes.
        member: whose node it is.
        node_key: the node's public key, as Flower sends it.
        sign: signs with the member's key.
    """
    signature = base64.b64encode(sign(_message(context, member, node_key))).decode()
    # A header has ASCII only, a member's name may have more.
    return {MEMBER_HEADER: base64.b64encode(member.encode()).decode(), SIGNATURE_HEADER: signature}


def admitted(
    context: bytes, publics: Mapping[str, str], node_key: bytes, member: str, signature: str
) -> str | None:
    """The member whose node it is by the two headers; None if they do not prove it."""
    try:
        name = base64.b64decode(member, validate=True).decode()
    except ValueError:
        return None
    public = publics.get(name)
    if public is None or not valid_signature(public, _message(context, name, node_key), signature):
        return None
    return name
