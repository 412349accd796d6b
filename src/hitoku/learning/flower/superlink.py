# SPDX-License-Identifier: Apache-2.0
"""A SuperLink as a child of this process: started, waited for, and ended with us whatever happens."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from hitoku.errors import InputError, PeerError
from hitoku.learning.flower.certificate import certificate_files
from hitoku.learning.flower.clients import plain_client
from hitoku.learning.flower.environment import flower_variables, require_flower
from hitoku.learning.flower.gate import MEMBERS_PATH, SECRET_HEADER

__all__ = ["SuperLink"]

LOG_FILE: Final = "superlink.log"
_PORT_FILE: Final = "superlink.port"
_START_SECONDS: Final = 90.0
_LOG_CHARS: Final = 2_000
_EVERYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - never a default
_ALLOCATOR: Final = {"MALLOC_ARENA_MAX": "2", "MALLOC_MMAP_THRESHOLD_": "4194304"}
"""Large messages go back to the system when they are done: by default glibc keeps them, thread by thread."""


class SuperLink:
    """Flower's server process behind its gate; close it, or use it in `with`.

    Args:
        folder: where everything of it is written: certificate, log, Flower's home.
        publics: the members' keys; nobody else's node is let in.
        context: what the nodes' admissions are bound to.
        host: the address to listen on.
        port: the port; 0 takes a free one, the same again after a restart on the same folder if it is free.

    Raises:
        InputError: Flower is missing, or the port is taken.
        PeerError: the process did not start.
    """

    def __init__(
        self, folder: Path, publics: Mapping[str, str], context: bytes, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder = folder.resolve()
        require_flower(folder / "flower")
        self.certificate_file, key = certificate_files(folder)
        self.certificate = self.certificate_file.read_bytes()
        self.secret = secrets.token_hex(32)
        self._host = host
        self.port = _port(folder, host, port)
        self._log = folder / LOG_FILE
        settings = {
            "host": host,
            "port": self.port,
            "certificate": str(self.certificate_file),
            "key": str(key),
            "secret": self.secret,
            "publics": dict(publics),
            "parent": os.getpid(),
            "context": base64.b64encode(context).decode(),
        }
        with os.fdopen(os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "hitoku.learning.flower.link"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=folder,
                env=os.environ | flower_variables(folder / "flower") | _ALLOCATOR,
                start_new_session=True,  # Ctrl-C is for us; we end it ourselves
            )
        try:
            self._tell(json.dumps(settings).encode() + b"\n")
            self._wait()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> SuperLink:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def address(self) -> str:
        """Where nodes find it, as ``host:port``; by this machine's name if it listens on all addresses."""
        everywhere = self._host in _EVERYWHERE
        return _address(socket.gethostname() if everywhere else self._host, self.port)

    @property
    def own_address(self) -> str:
        """Where this process finds it."""
        return _address(_EVERYWHERE.get(self._host, self._host), self.port)

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    @property
    def process_id(self) -> int:
        """For measurements."""
        return self._process.pid

    def members(self) -> dict[bytes, str]:
        """Whose nodes have been let in: each node's public key and its member."""
        try:
            answer = self._client().get(
                f"https://{self.own_address}{MEMBERS_PATH}", headers={SECRET_HEADER: self.secret}
            )
            answer.raise_for_status()
            found = answer.json()
        except (self._parts().httpx.HTTPError, ValueError):
            raise PeerError("the SuperLink does not answer", "SUPERLINK") from None
        return {base64.b64decode(key): name for key, name in found.items()}

    def close(self) -> None:
        """End the process."""
        client = self.__dict__.pop("_http", None)
        if client is not None:
            client.close()
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):  # it is gone already
                self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _tell(self, line: bytes) -> None:
        pipe = self._process.stdin
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):  # `_wait` says what happened
                pipe.write(line)
                pipe.flush()

    def _parts(self) -> Any:
        from hitoku.learning.flower import parts

        return parts

    def _client(self) -> Any:
        if "_http" not in self.__dict__:
            self._http = plain_client(self.own_address, self.certificate)
        return self._http

    def _wait(self) -> None:
        until = time.monotonic() + _START_SECONDS
        while time.monotonic() < until:
            if not self.alive:
                raise PeerError(f"Flower's SuperLink ended at its start: {self._last_words()}", "SUPERLINK")
            try:
                self.members()
                return
            except PeerError:
                time.sleep(0.1)
        raise PeerError(f"Flower's SuperLink did not start in {_START_SECONDS:.0f} seconds", "SUPERLINK")

    def _last_words(self) -> str:
        lines = self._log.read_text(errors="replace")[-_LOG_CHARS:].strip().splitlines()
        return f"{lines[-1] if lines else 'no word'} (all of it in {self._log})"


def _port(folder: Path, host: str, port: int) -> int:
    """The port asked for; or the one of before; or a free one. Checked to be free."""
    kept = folder / _PORT_FILE
    before = 0
    if port == 0 and kept.exists():
        text = kept.read_text().strip()
        before = int(text) if text.isdigit() and 0 < int(text) < 65536 else 0
    for each in (port or before, 0) if port == 0 else (port,):
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, each))
            except OSError:
                continue
            found = int(probe.getsockname()[1])
            kept.write_text(f"{found}\n")
            return found
    raise InputError(f"cannot listen on {_address(host, port)}: the port is taken, or the address not ours")


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
