# SPDX-License-Identifier: Apache-2.0
"""Keys of work on a cluster: one key a job, and who may unwrap it.

A job has a random key. What travels or is stored is sealed under it (AES-256-GCM, NIST SP 800-38D, a fresh
random nonce of 96 bits each): the function with its secrets, the batches, their results. The job's key itself
travels wrapped under a key that Spark never has: each worker reads it where its machine keeps it, in its own
process, and forgets it with the batch. So a sealed function is also proof that its maker holds that key; a
worker unpickles nothing else.

Nonces repeat with a probability below 2^-32 for 2^32 sealed pieces under one key (section 8.3 there); a job
has one piece a batch and way.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol, runtime_checkable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from hitoku.errors import InputError, SecretError

__all__ = ["KEY_FILE", "JobKey", "KeyFile", "KeyWrapper", "make_key_file"]

KEY_FILE: Final = "HITOKU_SPARK_KEY_FILE"
"""The environment variable that names the file with the wrapping key, on the driver and on each worker."""
_KEY: Final = 32
_NONCE: Final = 12
_WRAP: Final = b"hitoku/spark-wrap/1"


@runtime_checkable
class KeyWrapper(Protocol):
    """Wraps a job's key: a file's key, or a key service.

    It is pickled and sent to the workers with the job, so it holds references only (a path, a name, an
    address), never a secret; what proves to a key service who calls is found on the worker's machine.
    """

    def wrap(self, key: bytes) -> bytes:
        """The key, wrapped. Called where the job is made."""
        ...

    def unwrap(self, wrapped: bytes) -> bytes:
        """What `wrap` was given. Called in a worker, once a batch; SecretError where it cannot be done."""
        ...


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A wrapping key in a file: 64 hexadecimal digits, readable by its owner alone (mode 0600 or 0400).

    Attributes:
        path: where it is, the same on every machine; what `HITOKU_SPARK_KEY_FILE` says there where None.
    """

    path: str | None = None

    def wrap(self, key: bytes) -> bytes:
        """The key under this file's key, AES-256-GCM."""
        return _seal(self._key(), key, _WRAP)

    def unwrap(self, wrapped: bytes) -> bytes:
        """The key again.

        Raises:
            SecretError: there is no key file, it is not as it must be, or it is another one.
        """
        try:
            return _open(self._key(), wrapped, _WRAP)
        except InvalidTag:
            raise SecretError("the key file is not the one that the job's key was wrapped under") from None

    def _key(self) -> bytes:
        named = self.path or os.environ.get(KEY_FILE)
        if not named:
            raise SecretError(f"{KEY_FILE} is not set: it names the file with the key for work on Spark")
        try:
            with Path(named).open("rb") as file:
                mode = os.fstat(file.fileno()).st_mode
                content = file.read(2 * _KEY + 2)
        except OSError as error:
            raise SecretError(f"{named}: the key file cannot be read ({error.strerror})") from None
        if not stat.S_ISREG(mode) or stat.S_IMODE(mode) & 0o077:
            raise SecretError(
                f"{named}: the key file must be a file that only its owner may read (chmod 600)"
            )
        try:
            key = bytes.fromhex(content.decode("ascii").strip())
        except (UnicodeDecodeError, ValueError):
            key = b""
        if len(key) != _KEY:
            raise SecretError(f"{named}: a key file has 64 hexadecimal digits")
        return key


def make_key_file(path: Path) -> Path:
    """Make a wrapping key from the operating system's randomness, in a new file of mode 0600.

    Raises:
        InputError: the file is there already, or cannot be written.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise InputError(f"{path}: cannot be made ({error.strerror})") from None
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(os.urandom(_KEY).hex() + "\n")
        file.flush()
        os.fsync(file.fileno())
    return path


@dataclass(frozen=True, slots=True)
class JobKey:
    """What seals the pieces of one job and gives them their names."""

    _sealing: bytes = field(repr=False)
    _naming: bytes = field(repr=False)

    @classmethod
    def of(cls, key: bytes) -> JobKey:
        """The two keys of a job's key: HKDF-SHA256 (RFC 5869) under labels of their own."""
        return cls(*(HKDF(SHA256(), _KEY, None, b"hitoku/spark/1 " + use).derive(key) for use in _USES))

    def name(self, *parts: bytes) -> str:
        """A name for contents: equal contents have equal names, and it tells nothing else of them.

        32 hexadecimal digits of HMAC-SHA256 over the parts, each with its length before it.
        """
        mac = hmac.new(self._naming, digestmod=hashlib.sha256)
        for part in parts:
            mac.update(len(part).to_bytes(8, "big"))
            mac.update(part)
        return mac.hexdigest()[:32]

    def seal(self, content: bytes, place: str) -> bytes:
        """Content for one place: it can be opened as that of no other."""
        return _seal(self._sealing, content, place.encode())

    def open(self, sealed: bytes, place: str) -> bytes:
        """What `seal` was given for the same place.

        Raises:
            InputError: it was altered, is of another place, or of another job.
        """
        try:
            return _open(self._sealing, sealed, place.encode())
        except InvalidTag:
            raise InputError(f"{place}: altered, or of another job; remove the job's folder") from None


_USES: Final = (b"seal", b"name")


def _seal(key: bytes, content: bytes, context: bytes) -> bytes:
    nonce = os.urandom(_NONCE)
    return nonce + AESGCM(key).encrypt(nonce, content, context)


def _open(key: bytes, sealed: bytes, context: bytes) -> bytes:
    return AESGCM(key).decrypt(sealed[:_NONCE].ljust(_NONCE), sealed[_NONCE:], context)
