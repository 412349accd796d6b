# SPDX-License-Identifier: Apache-2.0
"""Where a member's node listens for the other servers of runs on shares: once in a process.

All rooms of a member, and all versions of a room, use the one listener; what comes in says of which run it
is. It is there from the first run on, until nobody needs it any more.
"""

from __future__ import annotations

import ipaddress
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hitoku.errors import InputError
from hitoku.node.certificate import certificate_file
from hitoku.node.settings import SETTINGS_FILE, NodeSettings, SharesSettings, socket_of
from hitoku.room.private import read_private

if TYPE_CHECKING:
    from hitoku.room.directory import MemberDirectory

__all__ = ["Listening"]


@dataclass(slots=True)
class _Shared:
    listener: Any
    address: str
    users: int = 0


_open: dict[Path, _Shared] = {}
_lock = threading.Lock()


class Listening:
    """A share in a member's listener. For many threads.

    Args:
        directory: the member's.
    """

    def __init__(self, directory: MemberDirectory) -> None:
        self._directory = directory
        self._mine: _Shared | None = None

    @property
    def address(self) -> str:
        """``host:port`` where the other servers reach it.

        Raises:
            InputError: node.toml cannot be used, or nothing can be listened to there.
            SecretError: the member's key cannot be used.
        """
        return self._taken().address

    @property
    def listener(self) -> Any:
        """The kernel's listener.

        Raises:
            InputError, SecretError: as for `address`.
        """
        return self._taken().listener

    def close(self) -> None:
        """Not needed here any more; may be needed again later."""
        with _lock:
            mine, self._mine = self._mine, None
            if mine is None:
                return
            mine.users -= 1
            if not mine.users:
                mine.listener.close()
                _open.pop(self._directory.path.resolve(), None)

    def _taken(self) -> _Shared:
        with _lock:
            if self._mine is None:
                place = self._directory.path.resolve()
                found = _open.get(place) or _made(self._directory)
                _open[place] = found
                found.users += 1
                self._mine = found
            return self._mine


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _made(directory: MemberDirectory) -> _Shared:
    from hitoku import _core

    settings, host = SharesSettings(), None
    if (directory.path / SETTINGS_FILE).is_file():
        whole = NodeSettings.open(directory.path)
        settings = whole.shares or settings
        host = socket_of(whole.listen)[0]
    listen, port = socket_of(settings.listen, any_port=True)
    certificate = certificate_file(directory).read_bytes()
    key = read_private(directory.key_file, "the member key")
    try:
        listener = _core.SharesListener(listen, port, certificate, key)
    except (OSError, _core.SharesError):
        raise InputError(f"cannot listen on {settings.listen} for the other servers") from None
    if settings.advertise is not None:
        return _Shared(listener, settings.advertise)
    # Of all interfaces nobody can be told; then it is where the node listens for messages.
    everywhere = ipaddress.ip_address(listen).is_unspecified if _is_address(listen) else False
    shown = host if everywhere and host is not None else listen
    return _Shared(listener, f"[{shown}]:{listener.port}" if ":" in shown else f"{shown}:{listener.port}")
