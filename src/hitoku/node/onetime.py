# SPDX-License-Identifier: Apache-2.0
"""A receiver's one-time keys for sealed answers: files that only it can read, gone when the answer came."""

from __future__ import annotations

import base64
import json
import re
import threading
import time
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from hitoku import limits
from hitoku.errors import Refusal, SecretError
from hitoku.room.private import read_private, write_private

__all__ = ["OneTimeKeyFiles"]

_RUN: Final = re.compile(r"[0-9a-f]{32}")
_WHAT: Final = "the one-time key"
_SECONDS: Final = 2 * limits.RUN_SECONDS
"""So long an answer may be on its way."""


class OneTimeKeyFiles:
    """See `hitoku.ask.receiver.OneTimeKeys`. For many threads.

    Args:
        folder: where they are; made where it is not there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()

    def make(self, run: str, host: str) -> bytes:
        """The public key of a run at that host, made at the first call. 32 bytes.

        Raises:
            Refusal: too many are waiting, or the run is another host's.
            SecretError: it cannot be kept.
        """
        with self._lock:
            path = self._path(run)
            if path.exists():
                key = self.find(run, host)
                if key is None:
                    raise Refusal("SEALING_KEY", "the key of this run is for another host")
                return key.public_key().public_bytes_raw()
            self._folder.mkdir(parents=True, mode=0o700, exist_ok=True)
            if self._waiting() >= limits.MAX_SEALING_KEYS:
                raise Refusal(
                    "BUSY", "too many sealed answers are on their way already", remedy="ask again later"
                )
            made = X25519PrivateKey.generate()
            held = {"host": host, "key": base64.b64encode(made.private_bytes_raw()).decode()}
            write_private(path, json.dumps(held).encode(), _WHAT)
            return made.public_key().public_bytes_raw()

    def find(self, run: str, host: str) -> X25519PrivateKey | None:
        """The key of a run at that host; None where there is none.

        Raises:
            SecretError: the file is damaged, or open to others.
        """
        path = self._path(run)
        if not path.exists():
            return None
        try:
            held = json.loads(read_private(path, _WHAT))
            if held["host"] != host:
                return None
            return X25519PrivateKey.from_private_bytes(base64.b64decode(held["key"], validate=True))
        except (ValueError, KeyError, TypeError):
            raise SecretError(f"{path}: {_WHAT} is damaged") from None

    def forget(self, run: str) -> None:
        """Destroy the key of a run."""
        self._path(run).unlink(missing_ok=True)

    def _waiting(self) -> int:
        """How many there are; what nobody waits for any more goes."""
        oldest, count = time.time() - _SECONDS, 0
        for file in self._folder.glob("*.json"):
            if file.stat().st_mtime < oldest:
                file.unlink(missing_ok=True)
            else:
                count += 1
        return count

    def _path(self, run: str) -> Path:
        if not _RUN.fullmatch(run):
            raise ValueError("a run has 32 hexadecimal digits")
        return self._folder / f"{run}.json"
