# SPDX-License-Identifier: Apache-2.0
"""Keys of encrypted columns: from the shared secret and the room's id, by HKDF-SHA256 (RFC 5869).

The secret and all keys are held by data owners and result receivers only; a host holds none.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from hitoku import limits
from hitoku.errors import InputError, SecretError

__all__ = ["SECRET_VARIABLES", "Keys", "read_secret"]

SECRET_VARIABLES = ("HITOKU_SHARED_SECRET", "C3R_SHARED_SECRET")

_ROOT_INFO = b"c3r-encryption-primary-aes-gcm-256"
_COLUMN_INFO = b"c3r-hmac-sha256-col-"


def check_secret(secret: bytes, name: str = "the shared secret") -> None:
    """Raise SecretError unless a secret has 32 to 1,024 bytes. The message never quotes it."""
    if not isinstance(secret, bytes | bytearray):
        raise SecretError(f"{name} must be bytes")
    if not limits.MIN_SECRET_BYTES <= len(secret) <= limits.MAX_SECRET_BYTES:
        raise SecretError(
            f"{name} must have {limits.MIN_SECRET_BYTES} to {limits.MAX_SECRET_BYTES} bytes "
            f"after decoding; make one with: head -c 32 /dev/urandom | base64"
        )


def read_secret(environment: Mapping[str, str] | None = None) -> bytes:
    """The shared secret from the environment: HITOKU_SHARED_SECRET, or else C3R_SHARED_SECRET.

    Returns:
        The decoded bytes, 32 or more.

    Raises:
        SecretError: neither variable is set, or the first that is holds no base64 of 32 bytes or
            more. The message names the variable and never quotes its value.
    """
    environment = os.environ if environment is None else environment
    for name in SECRET_VARIABLES:
        text = environment.get(name)
        if text is None:
            continue
        try:
            secret = base64.b64decode(text.strip().encode("ascii"), validate=True)
        except (binascii.Error, UnicodeEncodeError, ValueError):
            # `from None`: the cause's text could quote a part of the value.
            raise SecretError(f"the value of {name} is not base64") from None
        check_secret(secret, f"the value of {name}")
        return secret
    raise SecretError(
        f"no shared secret: set {SECRET_VARIABLES[0]} (or {SECRET_VARIABLES[1]}) to the base64 of "
        "at least 32 random bytes, the same for every data owner of the room"
    )


def check_id(room_id: str) -> str:
    """A room's (collaboration's) id in its one spelling: a lower-case UUID with dashes."""
    try:
        parsed = UUID(str(room_id))
    except ValueError:
        raise InputError("the room id (--id) is not a UUID") from None
    return str(parsed)


@dataclass(frozen=True)
class Keys:
    """What is derived from one secret and one room id.

    Attributes:
        root: 32 bytes, from which the keys of sealed rows come.
        shared: fingerprint columns of different names share one key (a setting of the room).
    """

    root: bytes = field(repr=False)
    shared: bool
    _secret: bytes = field(repr=False)
    _salt: bytes = field(repr=False)

    @classmethod
    def derive(cls, secret: bytes, room_id: str, *, shared: bool = False) -> Keys:
        """Derive the keys of a room.

        Raises:
            SecretError: the secret is too short or too long.
            InputError: the id is not a UUID.
        """
        check_secret(secret)
        salt = check_id(room_id).encode()
        return cls(_hkdf(secret, salt, _ROOT_INFO), shared, bytes(secret), salt)

    def fingerprint(self, header: str) -> bytes:
        """The 32-byte key of the fingerprint column with this target header."""
        if self.shared:
            return self.root
        return _hkdf(self._secret, self._salt, _COLUMN_INFO + header.encode())


def _hkdf(secret: bytes, salt: bytes, info: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=salt, info=info).derive(secret)
