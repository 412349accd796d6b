# SPDX-License-Identifier: Apache-2.0
"""Passwords: argon2id, with at least the work that OWASP's Password Storage Cheat Sheet asks for.

Of a name nobody has, the same work is done, so that time does not tell which names there are. Few are hashed
at the same time: each takes 46 MiB.
"""

from __future__ import annotations

import secrets
import threading
import unicodedata
from itertools import pairwise
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from hitoku import limits
from hitoku.errors import InputError

__all__ = ["checked", "generated", "hashed", "matches"]

_HASHER: Final = PasswordHasher(time_cost=2, memory_cost=47_104, parallelism=1, hash_len=32, salt_len=16)
_TURN: Final = threading.BoundedSemaphore(2)
# Of a random password, made with the same parameters, and of use to nobody.
_NOBODY: Final = _HASHER.hash(secrets.token_urlsafe(32))


def _normal(password: str) -> str:
    # NFKC, as NIST SP 800-63B 3.1.1.2 has it: the same keys give the same password on every machine.
    return unicodedata.normalize("NFKC", password)


def checked(password: str, name: str) -> str:
    """A new password that can be used.

    Raises:
        InputError: it is too short, too long, or easily guessed.
    """
    normal = _normal(password)
    if not limits.MIN_PASSWORD_CHARS <= len(normal) <= limits.MAX_PASSWORD_CHARS:
        raise InputError(
            f"a password has {limits.MIN_PASSWORD_CHARS} to {limits.MAX_PASSWORD_CHARS} characters"
        )
    low = normal.casefold()
    steps = {ord(b) - ord(a) for a, b in pairwise(low)}
    if len(set(low)) < 5 or len(steps) < 3 or (len(name) > 2 and name.casefold() in low and len(low) < 20):
        raise InputError("this password is easily guessed: take several words, or let a manager make one")
    return password


def generated() -> str:
    """A password of 100 random bits, to be read out and typed once."""
    text = "".join(secrets.choice("abcdefghijkmnpqrstuvwxyz23456789") for _ in range(20))
    return "-".join(text[n : n + 5] for n in range(0, 20, 5))


def hashed(password: str) -> str:
    """What is stored of a password."""
    with _TURN:
        return _HASHER.hash(_normal(password))


def matches(stored: str | None, password: str) -> bool:
    """Whether a password is the one stored; the same work where there is none."""
    if len(password) > limits.MAX_PASSWORD_CHARS:
        password, stored = "x", None
    with _TURN:
        try:
            good = _HASHER.verify(stored or _NOBODY, _normal(password))
        except (VerificationError, InvalidHashError):
            return False
    return good and stored is not None


def outdated(stored: str) -> bool:
    """Whether a hash was made with other parameters than today's."""
    return _HASHER.check_needs_rehash(stored)
