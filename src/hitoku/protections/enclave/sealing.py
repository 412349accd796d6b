# SPDX-License-Identifier: Apache-2.0
"""An answer sealed for one receiver (`hitoku.room.hpke`), with run, room and receiver in what it is bound to.

HPKE's base mode says nothing of who sealed; what is inside does (`proof`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hitoku import limits
from hitoku.attestation.binding import bound
from hitoku.errors import LimitError, PeerError
from hitoku.room.hpke import NotOpened, open_padded, padded_length, seal_padded

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

__all__ = ["open_answer", "padded_length", "seal_answer"]


def _info(room: str, run: str, receiver: str) -> bytes:
    return bound("hitoku/sealed-answer/1", [room.encode(), run.encode(), receiver.encode()])


def seal_answer(content: bytes, key: bytes, *, room: str, run: str, receiver: str) -> bytes:
    """Seal content for a receiver.

    Args:
        content: what it gets.
        key: its one-time X25519 key, 32 bytes.
        room: the agreement's hash.
        run: the run.
        receiver: its name.

    Raises:
        LimitError: it is too large.
        PeerError: the key is none.
    """
    if padded_length(len(content) + 8) > limits.MAX_SEALED_ANSWER_BYTES:
        raise LimitError(
            "the answer is larger than a sealed one may be; group by fewer columns, or use LIMIT"
        )
    try:
        return seal_padded(content, key, _info(room, run, receiver))
    except ValueError:  # a point of small order
        raise PeerError(f"{receiver!r} gave a sealing key that is none") from None


def open_answer(
    sealed: bytes, key: X25519PrivateKey, *, room: str, run: str, receiver: str, sender: str
) -> bytes:
    """What was sealed for this receiver.

    Raises:
        PeerError: it was altered, or sealed for another key, run, room or receiver.
    """
    try:
        return open_padded(sealed, key, _info(room, run, receiver))
    except NotOpened:
        raise PeerError(
            f"{sender!r} sent a sealed answer that does not open: it was altered, or is of another run"
        ) from None
