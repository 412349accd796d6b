# SPDX-License-Identifier: Apache-2.0
"""Where a run's server is: a small file that it signs with its member key and hands to the members.

It names the plan, the run, the address and the certificate. A member trusts no other certificate, and no
server that the room does not name as the plan's.
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hitoku.errors import InputError, PeerError
from hitoku.learning.signing import SignedPlan
from hitoku.ports import KeyStore
from hitoku.room.canonical import canonical_json
from hitoku.room.files import read_text, write_whole
from hitoku.room.keys import valid_signature

__all__ = ["Invitation"]

FORMAT: Final = "hitoku/learning-server/1"
_DOMAIN: Final = b"hitoku/learning-server/1\n"
_ADDRESS: Final = re.compile(r"[A-Za-z0-9.:\[\]-]{1,255}:[0-9]{1,5}")
_RUN: Final = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Invitation:
    """A server that is up, for one run of one plan.

    Attributes:
        plan: the plan's hash, ``sha256:...``.
        run: the run's id.
        address: ``host:port``.
        certificate: what the server shows, PEM.
    """

    plan: str
    run: str
    address: str
    certificate: str

    def _message(self) -> bytes:
        return _DOMAIN + canonical_json(self._data())

    def _data(self) -> dict[str, str]:
        return {
            "format": FORMAT,
            "plan": self.plan,
            "run": self.run,
            "address": self.address,
            "certificate": self.certificate,
        }

    def save(self, path: Path, keys: KeyStore) -> None:
        """Sign it and write it, whole.

        Raises:
            RoomError: it cannot be written.
            SecretError: the key cannot be read.
        """
        signature = base64.b64encode(keys.sign(self._message())).decode()
        content = json.dumps({**self._data(), "signature": signature}, indent=2) + "\n"
        write_whole(path, content.encode())

    @classmethod
    def load(cls, path: Path, signed: SignedPlan, server_key: str) -> Invitation:
        """Read one that the plan's server signed for this plan.

        Raises:
            InputError: it is none.
            PeerError: it is of another plan, or another signed it.
        """
        try:
            data = json.loads(read_text(path))
            signature = data.pop("signature")
            made = cls(data["plan"], data["run"], data["address"], data["certificate"])
            texts = [made.plan, made.run, made.address, made.certificate, signature]
            if data != made._data() or not all(isinstance(text, str) for text in texts):
                raise ValueError
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise InputError(f"{path}: not of the format {FORMAT}") from None
        if not (_ADDRESS.fullmatch(made.address) and _RUN.fullmatch(made.run)):
            raise InputError(f"{path}: has no address, or no run")
        if not valid_signature(server_key, made._message(), signature):
            raise PeerError(f"{path}: {signed.plan.server!r}, the plan's server, did not sign this")
        if made.plan != signed.hash:
            raise PeerError(
                f"{path}: is of another plan: ask {signed.plan.server!r} for the one of this plan"
            )
        return made

    @property
    def context(self) -> bytes:
        """What a member's admission is bound to."""
        return f"{self.plan}\n{self.run}\n".encode()
