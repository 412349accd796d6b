# SPDX-License-Identifier: Apache-2.0
"""What the kernels of learning refuse, in words. Never a value, a key or a share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from hitoku import _core
from hitoku.errors import HitokuError, InputError, LimitError, PeerError

__all__ = ["learning_kernel"]

_INPUT: Final = {
    "bad-array": "an array is not C-contiguous or not of the type and shape that this takes",
    "bad-bins": "there are 2 to 256 bins, and every bin is below their number",
    "bad-context": "a context has at most 65,536 bytes",
    "bad-edges": "edges must rise strictly, without NaN, and be at most bins - 2 for each feature",
    "bad-feature": "a feature number is not below the number of features",
    "bad-forest": "the arrays do not describe trees: parents before children, children within their tree",
    "bad-length": "arrays that belong together do not have the same length",
    "bad-node": "a node does not exist, is split already, or a new number is in use or too large",
    "bad-rows": "there must be at least one feature, and fewer than 2^31 rows",
    "bad-sign": "the sign of a term is 1 or -1",
    "bad-threads": "threads must be 1 to 1,024",
    "bad-threshold": "a secret is shared among 2 to 255 members, with a threshold of 2 to their number",
    "bad-values": "a node has rows but no value",
    "overflow": "rows x greatest gradient reaches 2^63: a sum could overflow; use fewer fraction bits",
}
_PEER: Final = {
    "bad-public-key": "a public key for masks must have 32 bytes and lead to a secret that is not zero",
    "bad-share": "a share must have 33 bytes: its number from 1, and a scalar in canonical form",
    "few-shares": "there are fewer shares than the threshold",
    "repeated-share": "two shares have the same number",
    "uneven-shares": "the shares do not belong to one secret",
}


@contextmanager
def learning_kernel() -> Iterator[None]:
    """Tells what a kernel refuses as an error of `hitoku.errors`.

    Raises:
        InputError: the caller's arguments.
        PeerError: what another member sent: a public key or a share.
        LimitError: the machine gives no threads, memory or randomness.
    """
    try:
        yield
    except _core.LearningFault as fault:
        raise _told(str(fault.args[0])) from None
    except OverflowError:
        raise InputError("a number is negative or too large") from None


def _told(code: str) -> HitokuError:
    if code in _PEER:
        return PeerError(_PEER[code])
    if code in _INPUT:
        return InputError(_INPUT[code])
    return LimitError(f"the kernel needs more than this machine has ({code})")
