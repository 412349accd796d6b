# SPDX-License-Identifier: Apache-2.0
"""`hitoku.connect`: a node, as one of its users reaches it with a token."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from hitoku.client.http import Door, token_of
from hitoku.errors import PeerError, RoomError
from hitoku.ports import NoProgress, Progress

if TYPE_CHECKING:
    from hitoku.client.room import RoomClient

__all__ = ["Connection", "connect"]


class Connection:
    """A node's API, as one user sees it. May be used by several threads, and as a context manager.

    Attributes:
        url: the node's console.
    """

    def __init__(self, door: Door, progress: Progress | None = None) -> None:
        self._door = door
        self._progress = progress or NoProgress()
        self.url = door.url

    def __repr__(self) -> str:
        return f"Connection({self.url!r})"

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connections to the node; questions that it asks go on there."""
        self._door.close()

    def me(self) -> dict[str, Any]:
        """Who the token belongs to: ``user``, ``member``, ``abilities``, ``rooms``."""
        return _object(self._door.get("me"))

    def health(self) -> dict[str, Any]:
        """Whether the node's API answers, and which version of hitoku it runs."""
        return _object(self._door.get("health"))

    def rooms(self) -> list[dict[str, Any]]:
        """The rooms that the user may see: ``id``, ``name``, ``version``, ``state``, ``missing``."""
        found = _object(self._door.get("rooms")).get("rooms")
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            raise PeerError("the node's answer cannot be read", "BAD_RESPONSE")
        return found

    def room(self, room: str | None = None, *, progress: Progress | None = None) -> RoomClient:
        """A room, by name or id.

        Args:
            room: may be left out where the user sees one room only.
            progress: hears about the phases of questions.

        Raises:
            RoomError: there is no such room, or several of that name.
        """
        from hitoku.client.room import RoomClient

        found = [one for one in self.rooms() if room in {None, one.get("id"), one.get("name")}]
        if len(found) != 1:
            what = "rooms" if room is None else f"rooms called {room!r}"
            raise RoomError(f"this user sees {len(found)} {what}; say which by its id")
        identity = str(found[0].get("id"))
        path = f"rooms/{quote(identity, safe='')}"
        member = str(self.me().get("member"))
        return RoomClient(self._door, path, _object(self._door.get(path)), member, progress or self._progress)


def connect(
    url: str,
    token: str | None = None,
    token_file: str | Path | None = None,
    verify: str | Path | None = None,
    *,
    progress: Progress | None = None,
) -> Connection:
    """Connect to a member's node by its console's address.

    Args:
        url: e.g. ``https://console.example:8480``; ``http`` on this machine only.
        token: the user's token; where neither it nor a file is given, it is taken from ``HITOKU_TOKEN``.
        token_file: a file that holds it and that only this user can read.
        verify: a file with the certificate, or the authority, that the node's is checked against; the
            machine's authorities where nothing is said. The check is never left out.
        progress: hears about the phases of questions.

    Raises:
        InputError: the address is not one that a token may be sent to.
        SecretError: there is no token.
        Refusal: ``NOT_SIGNED_IN``, the node does not know the token.
        PeerError: the node cannot be reached.
    """
    connection = Connection(Door(url, token_of(token, token_file), verify), progress)
    try:
        connection.me()
    except BaseException:
        connection.close()
        raise
    return connection


def _object(data: Any) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise PeerError("the node's answer cannot be read", "BAD_RESPONSE")
    return data
