# SPDX-License-Identifier: Apache-2.0
"""What the three-server kernel refuses or reports, in words that say what to do. Never a value or a share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from hitoku import _core
from hitoku.errors import HitokuError

__all__ = ["SharesError", "shares_kernel"]

_WORDS: Final = {
    "aborted": "this party has ended: an earlier step failed, or another party gave up. Begin a new run",
    "bits": "the number of bits must be at least 1 and at most what the kind holds",
    "certificate": "the other server did not show the key that the agreement names for it",
    "closed": "the other server closed the connection before the computation was over",
    "disagree": "the servers did not open the same values: one of them departed from the program",
    "empty": "this needs at least one vector",
    "hello": "the other server is not of this run, or computes another program",
    "kind": "the vector is of a kind that this operation does not take",
    "label": "a label is a whole number from 0 to 2^64 - 1",
    "length": "vectors that are computed together must have the same number of rows",
    "order": "this takes an order that this party made",
    "parts": "an owner's order has three parts, and each server must be given exactly its two",
    "permutation": "the places are not a permutation: each row must be named once",
    "places": "places must be whole numbers of rows that the vector has",
    "random": "the operating system gives no randomness",
    "record": "this party does not record what it receives: make it with record=True",
    "rows": "that many rows cannot be put in order",
    "seed": "a seed has 32 bytes",
    "size": "a message or share does not have the size that the program gives",
    "threads": "the machine gives no threads",
    "timeout": "the other server did not answer in time",
    "value": "a value is not a whole number, or does not fit the kind",
    "vector": "this takes vectors that this party made",
}


class SharesError(HitokuError):
    """A step of a three-server computation that cannot be done, or that another server broke.

    Attributes:
        code: stable. Of the call: ``bits``, ``empty``, ``kind``, ``label``, ``length``, ``order``,
            ``parts``, ``permutation``, ``places``, ``record``, ``rows``, ``seed``, ``value``, ``vector``. Of
            the run, after which the party only says ``aborted``: ``aborted``, ``certificate``, ``closed``,
            ``disagree``, ``hello``, ``random``, ``size``, ``timeout``. Of the machine: ``threads``.
        peer: the server that it came from (0, 1 or 2), where one is to blame.
    """

    exit_code = 8

    def __init__(self, code: str, words: str | None = None, peer: int | None = None) -> None:
        said = words or _WORDS.get(code, f"the kernel cannot go on ({code})")
        super().__init__(said if peer is None else f"{said} (server {peer})")
        self.code, self.peer = code, peer


@contextmanager
def shares_kernel() -> Iterator[None]:
    """Tells what the kernel refuses as a `SharesError`."""
    try:
        yield
    except _core.SharesError as error:
        raise SharesError(error.code, peer=error.peer) from None
