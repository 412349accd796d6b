# SPDX-License-Identifier: Apache-2.0
"""What the ring's functions refuse, in words that say what to do. Never a value, never a key."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from hitoku import _core
from hitoku.errors import InputError, LimitError, SecretError

__all__ = ["ParameterError", "RingError", "ring_kernel"]

_WORDS: Final = {
    "bad-operation": "there is no such operation",
    "bad-bytes": "this takes bytes, as to_bytes gave them",
    "bad-count": "the message holds no ciphertext, or more than 2^24",
    "bad-level": "a ciphertext must keep at least one prime, and can only drop primes that it has",
    "bad-parts": "this operation does not take ciphertexts of so many parts: relinearise products first",
    "bad-scale": "a scale must be finite and above zero",
    "bad-seed": "a seed has 32 bytes",
    "bad-shape": "the array does not have the shape that these parameters and operands need",
    "bad-step": "there is no such rotation step",
    "bad-threads": "threads must be 1 to 1,024",
    "bad-rotations": "the steps of rotation keys are not distinct, rising and within 1 to N/2 - 1",
    "no-special-prime": "these parameters have no special prime, which these keys need",
    "not-contiguous": "the array must be C-contiguous: pass numpy.ascontiguousarray(array)",
    "not-finite": "a value is not finite (NaN or infinite), or overflows when it is scaled",
    "not-bgv": "this takes parameters of the scheme 'bgv'",
    "not-ours": "these are not bytes of this library's ring (hitoku.hazmat.ring)",
    "not-reduced": "a residue is not below its prime: the array was not made with these parameters",
    "other-kind": "the bytes are of another kind of thing: ciphertexts, seeded ciphertexts and keys differ",
    "other-parameters": "the bytes, key or operand were made for other parameters",
    "other-version": "the bytes were written by another version of the format; this one reads version 1",
    "reserved-not-zero": "bytes that must be zero are not: the bytes were changed on their way",
    "residue-too-large": "a residue is not below its prime: the bytes were changed on their way",
    "too-large": (
        "a value times the scale is not below half the product of the primes: it would wrap. Take a "
        "smaller scale, a higher level or smaller values"
    ),
    "wrong-size": "the bytes do not have the size that their header and the parameters give: cut or changed",
}
_LIMITS: Final = frozenset({"no-memory", "no-threads"})


class ParameterError(InputError):
    """A set of parameters that cannot be used: not a ring, or below 128 bits of security."""


class RingError(InputError):
    """An array, key or operation that cannot be used.

    Attributes:
        code: what is wrong, e.g. ``bad-shape``, ``other-parameters``, ``scale-mismatch``.
        row: the row of the batch that is to blame, if one is.
    """

    def __init__(self, code: str, words: str | None = None, row: int | None = None) -> None:
        said = words or _WORDS.get(code, f"the kernel cannot go on ({code})")
        super().__init__(said if row is None else f"{said} (row {row})")
        self.code, self.row = code, row


@contextmanager
def ring_kernel() -> Iterator[None]:
    """Tells what a kernel refuses as an error of `hitoku.errors`."""
    try:
        yield
    except _core.RingFault as error:
        code, place = error.args
        if code == "erased":
            raise SecretError("this secret key was erased: it can do nothing more") from None
        if code == "bad-secret":
            raise SecretError("these are not the bytes of a secret key of these parameters") from None
        if code == "no-randomness":
            raise SecretError("the operating system gives no randomness") from None
        if code in _LIMITS:
            raise LimitError(f"the kernel needs more than this machine or call has ({code})") from None
        if code == "no-rotation-key":
            raise RingError(
                code,
                f"there is no key for a rotation by {place} slots to the left: make it with "
                f"SecretKey.rotation_keys([{place}])",
            ) from None
        raise RingError(code, row=place) from None
    except OverflowError:
        raise RingError("bad-number", "a number is negative or too large") from None
