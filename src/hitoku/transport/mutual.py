# SPDX-License-Identifier: Apache-2.0
"""The messages that carry a mutual attestation between two nodes (`hitoku.attestation.handshake`).

What is in them is the handshake's own, bytes in base64; nothing rests on this wrapping.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from hitoku import limits
from hitoku.room.consent import Hash, RunId
from hitoku.transport.messages import Message, Text

__all__ = ["Confirm", "Done", "Hello", "Prove", "Said", "Stopped"]

Content = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9+/]*={0,2}$", max_length=limits.MAX_HANDSHAKE_BYTES * 4 // 3 + 4)
]


class _Step(Message):
    """Attributes: the room's hash, the run, and the handshake's message."""

    room: Hash
    run: RunId
    content: Content


class Hello(_Step):
    """One owner's node to the other's: M1. May be sent again: that begins another handshake."""

    kind: Literal["hitoku/attest-hello/1"] = "hitoku/attest-hello/1"


class Prove(_Step):
    """M3."""

    kind: Literal["hitoku/attest-prove/1"] = "hitoku/attest-prove/1"


class Confirm(_Step):
    """M5."""

    kind: Literal["hitoku/attest-confirm/1"] = "hitoku/attest-confirm/1"


class Said(Message):
    """The answer to Hello and to Prove: M2 and M4."""

    kind: Literal["hitoku/attest-said/1"] = "hitoku/attest-said/1"
    run: RunId
    content: Content


class Done(Message):
    """The answer to Confirm and Stopped."""

    kind: Literal["hitoku/attest-done/1"] = "hitoku/attest-done/1"
    run: RunId


class Stopped(Message):
    """Who began a handshake to the other: your evidence is refused, with this code."""

    kind: Literal["hitoku/attest-stopped/1"] = "hitoku/attest-stopped/1"
    room: Hash
    run: RunId
    code: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{1,63}$")]
    detail: Text
