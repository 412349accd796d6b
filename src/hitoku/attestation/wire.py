# SPDX-License-Identifier: Apache-2.0
"""Messages of a handshake as bytes: canonical JSON (RFC 8785), one spelling for each.

Two sides that read the same bytes differently would hash the same and mean different things; so a message is
taken only if writing what was read gives the same bytes again.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from hitoku import limits
from hitoku.attestation.codes import Code, Refused
from hitoku.errors import RoomError
from hitoku.room.canonical import canonical_json

__all__ = ["packed", "raw", "text", "unpacked"]


def packed(fields: Mapping[str, Any]) -> bytes:
    """Fields as bytes; bytes among them as base64.

    Raises:
        Refused: ``MALFORMED``, it is larger than a message may be (evidence with too much beside it).
    """
    content = canonical_json({n: text(v) if isinstance(v, bytes) else v for n, v in fields.items()})
    if len(content) > limits.MAX_HANDSHAKE_BYTES:
        raise Refused(
            Code.MALFORMED, f"a handshake's message is larger than {limits.MAX_HANDSHAKE_BYTES} bytes"
        )
    return content


def unpacked(content: bytes) -> dict[str, Any]:
    """A message's fields.

    Raises:
        Refused: ``MALFORMED``.
    """
    if len(content) > limits.MAX_HANDSHAKE_BYTES:
        raise Refused(
            Code.MALFORMED, f"a handshake's message is larger than {limits.MAX_HANDSHAKE_BYTES} bytes"
        )
    try:
        fields = json.loads(content)
        same = isinstance(fields, dict) and canonical_json(fields) == content
    except (ValueError, RecursionError, RoomError):
        same = False
    if not same:
        raise Refused(Code.MALFORMED, "a handshake's message is not in its one form")
    return dict(fields)


def text(content: bytes) -> str:
    """Bytes as base64."""
    return base64.b64encode(content).decode()


def raw(value: object, lengths: tuple[int, ...]) -> bytes:
    """Bytes of one of these lengths out of base64.

    Raises:
        Refused: ``MALFORMED``.
    """
    try:
        if not isinstance(value, str):
            raise ValueError
        content = base64.b64decode(value, validate=True)
        if len(content) not in lengths or text(content) != value:
            raise ValueError
    except ValueError:
        raise Refused(Code.MALFORMED, "a handshake's message is not in its one form") from None
    return content
