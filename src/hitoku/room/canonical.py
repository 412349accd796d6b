# SPDX-License-Identifier: Apache-2.0
"""The canonical form of an agreement: the one sequence of bytes that members sign and hash.

RFC 8785 (JSON Canonicalization Scheme) of the agreement's data, absent (None) fields left out, so that a
field added by a later version of hitoku does not change what an older agreement means or hashes to.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import rfc8785

from hitoku.errors import RoomError

if TYPE_CHECKING:
    from hitoku.room.agreement import Agreement

__all__ = ["agreement_hash", "canonical", "canonical_json", "digest", "hash_of"]


def canonical_json(data: Mapping[str, Any]) -> bytes:
    """The RFC 8785 form of JSON-ready data.

    Raises:
        RoomError: the data has no canonical form (a number that is not finite, a lone surrogate).
    """
    try:
        return rfc8785.dumps(dict(data))
    except (rfc8785.CanonicalizationError, UnicodeError) as error:
        raise RoomError(
            "the data has no canonical form: text that is not Unicode, or a bad number"
        ) from error


def digest(domain: str, message: bytes) -> str:
    """``sha256:`` and the hash of `message` in its own `domain`, so that no two kinds of hash collide."""
    return "sha256:" + hashlib.sha256(domain.encode() + b"\n" + message).hexdigest()


def canonical(agreement: Agreement) -> bytes:
    """The bytes that every member signs (after the domain, see `hitoku.room.signing`).

    Raises:
        RoomError: the agreement has no canonical form.
    """
    return canonical_json(agreement.model_dump(mode="json", exclude_none=True))


def agreement_hash(agreement: Agreement) -> str:
    """The agreement's name in every record: ``sha256:`` and 64 hexadecimal digits.

    Raises:
        RoomError: the agreement has no canonical form.
    """
    return hash_of(canonical(agreement))


def hash_of(content: bytes) -> str:
    """The same, of an agreement's canonical form."""
    return "sha256:" + hashlib.sha256(content).hexdigest()
