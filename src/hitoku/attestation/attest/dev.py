# SPDX-License-Identifier: Apache-2.0
"""Evidence signed by a key on disk: for trying things out where there is no TPM. It protects nothing.

The file is JSON: the developer's Ed25519 key, and the program that its evidence is to name. It is never a
member's own key, whose signatures mean the member. A room takes such evidence only where its agreement says
``software: true``, and everything that comes of it carries the mark.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hitoku.attestation.binding import Binding
from hitoku.attestation.evidence import Evidence, Kind
from hitoku.attestation.verify.dev import DOMAIN, TIME
from hitoku.errors import SecretError
from hitoku.ports import Clock, SystemClock
from hitoku.room.canonical import canonical_json
from hitoku.room.private import read_private, write_private

__all__ = ["DevAttester", "make_key_file"]

_WHAT: Final = "the developer's key"
_PROGRAM: Final = re.compile(r"[0-9a-f]{96}")


def make_key_file(path: Path, program: str) -> str:
    """Make a key, and the file that `DevAttester.open` reads, for its owner only.

    Args:
        path: where; there must be no file.
        program: SHA-384 of the program's manifest, hexadecimal, as the evidence is to claim.

    Returns:
        The public key, as agreements name it among their authorities: ``ed25519:`` and base64.

    Raises:
        SecretError: there is a file already, or it cannot be written.
    """
    key = Ed25519PrivateKey.generate()
    held = {"key": base64.b64encode(key.private_bytes_raw()).decode(), "program": program}
    write_private(path, json.dumps(held).encode() + b"\n", _WHAT)
    return _text(key)


class DevAttester:
    """Makes `dev` evidence.

    Args:
        key: what it signs with.
        program: SHA-384 of the program's manifest, hexadecimal, as it is claimed.
        clock: the time.
    """

    def __init__(self, key: Ed25519PrivateKey, program: str, clock: Clock | None = None) -> None:
        self._key, self._program = key, program
        self._clock = clock or SystemClock()

    @classmethod
    def open(cls, path: Path, clock: Clock | None = None) -> DevAttester:
        """Read the file that `make_key_file` wrote.

        Raises:
            SecretError: it is not there, open to others, or no such file.
        """
        return cls.from_bytes(read_private(path, _WHAT), clock)

    @classmethod
    def from_bytes(cls, content: bytes, clock: Clock | None = None) -> DevAttester:
        """Read that file's content.

        Raises:
            SecretError: it is no such file's.
        """
        try:
            held = json.loads(content)
            key = Ed25519PrivateKey.from_private_bytes(base64.b64decode(held["key"], validate=True))
            program = held["program"]
            if not _PROGRAM.fullmatch(program):
                raise ValueError
        except (ValueError, KeyError, TypeError, binascii.Error):
            raise SecretError(f"{_WHAT} is not in its form: JSON with `key` and `program`") from None
        return cls(key, program, clock)

    @property
    def public_key(self) -> str:
        """As agreements name it among their authorities: ``ed25519:`` and base64."""
        return _text(self._key)

    @property
    def kind(self) -> Kind:
        """What kind of evidence it makes."""
        return Kind.DEV

    def identity(self) -> dict[str, bytes]:
        """Nothing."""
        return {}

    def activate(self, credential: bytes) -> bytes:
        """Nothing."""
        del credential
        return b""

    def attest(self, binding: Binding, public_key: bytes = b"") -> Evidence:
        """A fresh statement.

        Args:
            binding: what it is bound to.
            public_key: not used; the binding's digest covers it.
        """
        del public_key
        statement = {
            "key": self.public_key,
            "made_at": self._clock.now().strftime(TIME),
            "measurements": {"program": self._program},
            "report_data": binding.report_data(Kind.DEV).hex(),
            "version": 1,
        }
        signature = base64.b64encode(self._key.sign(DOMAIN + canonical_json(statement))).decode()
        return Evidence(Kind.DEV, canonical_json({"signature": signature, "statement": statement}))


def _text(key: Ed25519PrivateKey) -> str:
    return "ed25519:" + base64.b64encode(key.public_key().public_bytes_raw()).decode()
