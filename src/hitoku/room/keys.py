# SPDX-License-Identifier: Apache-2.0
"""A member's keys in its own directory: the Ed25519 key it signs with, the secret it shares with owners.

Keys are files with mode 0600 (or, for the secret, an environment variable); they are never arguments,
never logged, never part of an error.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from hitoku import limits
from hitoku.errors import SecretError
from hitoku.room.private import read_private, write_private

__all__ = ["KEY_FILE", "SECRET_FILE", "SECRET_VARIABLES", "FileKeyStore", "generate_key", "valid_signature"]

KEY_FILE: Final = "member.key"
SECRET_FILE: Final = "shared.secret"  # noqa: S105 (its name)
SECRET_VARIABLES: Final = ("HITOKU_SHARED_SECRET", "C3R_SHARED_SECRET")


def _text(key: Ed25519PublicKey) -> str:
    return "ed25519:" + base64.b64encode(key.public_bytes_raw()).decode()


def generate_key(directory: Path) -> str:
    """Make a member's key in its directory. Returns the public key, `ed25519:...`.

    Raises:
        SecretError: there is a key already, or it cannot be written.
    """
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_private(directory / KEY_FILE, pem, "the member key")
    return _text(key.public_key())


def valid_signature(public_key: str, message: bytes, signature: str) -> bool:
    """Whether `signature` (base64) is the key's signature of `message`. Never raises."""
    try:
        raw = base64.b64decode(public_key.removeprefix("ed25519:"), validate=True)
        Ed25519PublicKey.from_public_bytes(raw).verify(base64.b64decode(signature, validate=True), message)
    except (InvalidSignature, ValueError):
        return False
    return True


class FileKeyStore:
    """The KeyStore (see `hitoku.ports`) of one member's directory.

    The secret is looked for in `environment` (HITOKU_SHARED_SECRET, then C3R_SHARED_SECRET), then in the
    directory's `shared.secret`, base64 each.
    """

    def __init__(self, directory: Path, environment: Mapping[str, str] | None = None) -> None:
        self._directory = directory
        self._environment = os.environ if environment is None else environment
        self._key: Ed25519PrivateKey | None = None

    def __repr__(self) -> str:
        return f"FileKeyStore({str(self._directory)!r})"

    def _private(self) -> Ed25519PrivateKey:
        if self._key is None:
            path = self._directory / KEY_FILE
            content = read_private(path, "the member key")
            try:
                key = serialization.load_pem_private_key(content, password=None)
            except (ValueError, TypeError):
                key = None
            if not isinstance(key, Ed25519PrivateKey):
                raise SecretError(f"{path}: not an Ed25519 key in PEM; was the file damaged?") from None
            self._key = key
        return self._key

    def public_key(self) -> str:
        """The member's public key, `ed25519:...`.

        Raises:
            SecretError: the key is missing, damaged, or open to others.
        """
        return _text(self._private().public_key())

    def sign(self, message: bytes) -> bytes:
        """Sign with the member's Ed25519 key. Returns 64 bytes.

        Raises:
            SecretError: the key is missing, damaged, or open to others.
        """
        return self._private().sign(message)

    def shared_secret(self) -> bytes:
        """The secret that the owners of encrypted tables share.

        Raises:
            SecretError: there is none, or it is malformed, too short or too long.
        """
        for variable in SECRET_VARIABLES:
            if variable in self._environment:
                return _decode(self._environment[variable], f"environment variable {variable}")
        path = self._directory / SECRET_FILE
        if not path.exists():
            raise SecretError(
                f"no shared secret: set {SECRET_VARIABLES[0]} (base64 of at least "
                f"{limits.MIN_SECRET_BYTES} random bytes) or put it into {path} with mode 600"
            )
        content = read_private(path, "the shared secret")
        return _decode(content.decode("ascii", errors="replace").strip(), str(path))


def _decode(text: str, where: str) -> bytes:
    try:
        secret = base64.b64decode(text.encode("ascii", errors="replace"), validate=True)
    except (binascii.Error, ValueError):
        raise SecretError(f"{where}: the shared secret is not base64") from None
    if not limits.MIN_SECRET_BYTES <= len(secret) <= limits.MAX_SECRET_BYTES:
        raise SecretError(
            f"{where}: the shared secret must be {limits.MIN_SECRET_BYTES} to "
            f"{limits.MAX_SECRET_BYTES} bytes before base64"
        )
    return secret
