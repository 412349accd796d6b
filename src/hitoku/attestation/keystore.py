# SPDX-License-Identifier: Apache-2.0
"""How a broker keeps data keys at rest: wrapped, never in clear, each bound to its run and table.

`LocalKeys` is the embedded store: a key-encryption key of 32 random bytes in a file of mode 0600 beside the
member's key, AES-256-GCM over each data key with its context (room, run, table, id) as additional data, so
that a wrapped key moved to another row does not open. It protects the database and its backups; whoever can
read the member's directory has both. `hitoku.attestation.kms.AwsKms` keeps the key-encryption key in AWS
instead.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hitoku.errors import SecretError
from hitoku.room.canonical import canonical_json
from hitoku.room.private import read_private, write_private

__all__ = ["KEY_FILE", "KeyWrap", "LocalKeys"]

KEY_FILE: Final = "broker.key"
_NONCE: Final = 12
_WHAT: Final = "the broker's key"


class KeyWrap(Protocol):
    """Wraps data keys for rest, and opens them again."""

    def wrap(self, key: bytes | bytearray, context: Mapping[str, str]) -> bytes:
        """The key, sealed; opens only with the same context.

        Raises:
            SecretError: the key-encryption key cannot be used.
        """
        ...

    def unwrap(self, wrapped: bytes, context: Mapping[str, str]) -> bytearray:
        """The key again, to be wiped by the caller.

        Raises:
            SecretError: the key-encryption key cannot be used, or this was not wrapped with it and for that.
        """
        ...

    def unwrap_for(self, wrapped: bytes, context: Mapping[str, str], document: bytes) -> bytes | None:
        """The key as CMS EnvelopedData for the RSA key in a Nitro attestation document.

        None where the store has no such way: then the broker unwraps the key itself.

        Raises:
            SecretError: the service refuses, or cannot be reached.
        """
        ...


class LocalKeys:
    """The embedded store of a member's directory.

    Args:
        folder: where `broker.key` is, or is made at the first use.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / KEY_FILE

    def __repr__(self) -> str:
        return f"LocalKeys({str(self._path.parent)!r})"

    def wrap(self, key: bytes | bytearray, context: Mapping[str, str]) -> bytes:
        """See `KeyWrap.wrap`."""
        nonce = os.urandom(_NONCE)
        return nonce + self._cipher(make=True).encrypt(nonce, key, _bound(context))

    def unwrap(self, wrapped: bytes, context: Mapping[str, str]) -> bytearray:
        """See `KeyWrap.unwrap`."""
        try:
            return bytearray(self._cipher().decrypt(wrapped[:_NONCE], wrapped[_NONCE:], _bound(context)))
        except (InvalidTag, ValueError):
            raise SecretError(
                f"{self._path}: a data key was not wrapped with this key, or for another run or table"
            ) from None

    def unwrap_for(self, wrapped: bytes, context: Mapping[str, str], document: bytes) -> None:
        """None: the key-encryption key is here, so the broker opens data keys itself."""
        del wrapped, context, document

    def _cipher(self, make: bool = False) -> AESGCM:
        if make and not self._path.exists():
            self._path.parent.mkdir(mode=0o700, exist_ok=True)
            # Two processes may come here at once: a link is made whole, and the second finds the first
            # one's key.
            part = self._path.with_name(f".{KEY_FILE}.{os.urandom(8).hex()}")
            write_private(part, AESGCM.generate_key(256), _WHAT)
            try:
                with suppress(FileExistsError):
                    os.link(part, self._path)
            except OSError as error:
                raise SecretError(f"{self._path}: {_WHAT} cannot be written ({error.strerror})") from None
            finally:
                part.unlink()
        content = read_private(self._path, _WHAT)
        if len(content) != 32:
            raise SecretError(f"{self._path}: not a key of 32 bytes; was the file damaged?")
        return AESGCM(content)


def _bound(context: Mapping[str, str]) -> bytes:
    return b"hitoku/data-key/1\n" + canonical_json(dict(context))
