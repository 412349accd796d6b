# SPDX-License-Identifier: Apache-2.0
"""hitoku: ask one question of data that nobody may show another.

The public names. They are imported when first used, so that ``import hitoku`` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hitoku.errors import (
    DisclosureError,
    EngineError,
    HitokuError,
    InputError,
    LimitError,
    PeerError,
    Refusal,
    RoomError,
    SecretError,
)

if TYPE_CHECKING:
    from hitoku import columns as columns
    from hitoku._core import __version__ as __version__
    from hitoku.ask import Sent as Sent
    from hitoku.client import connect as connect
    from hitoku.disclosure.answer import Answer as Answer
    from hitoku.node.local import RoomHandle as RoomHandle
    from hitoku.node.local import open_room as open_room
    from hitoku.room.agreement import Agreement as Agreement
    from hitoku.room.agreement import Room as Room

__all__ = [
    "Agreement",
    "Answer",
    "DisclosureError",
    "EngineError",
    "HitokuError",
    "InputError",
    "LimitError",
    "PeerError",
    "Refusal",
    "Room",
    "RoomError",
    "RoomHandle",
    "SecretError",
    "Sent",
    "__version__",
    "columns",
    "connect",
    "open_room",
]

_WHERE = {
    "Agreement": "hitoku.room.agreement",
    "Answer": "hitoku.disclosure.answer",
    "Room": "hitoku.room.agreement",
    "RoomHandle": "hitoku.node.local",
    "Sent": "hitoku.ask",
    "__version__": "hitoku._core",
    "connect": "hitoku.client",
    "open_room": "hitoku.node.local",
}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name == "columns":
        return import_module("hitoku.columns")
    if name in _WHERE:
        return getattr(import_module(_WHERE[name]), name)
    raise AttributeError(f"module 'hitoku' has no attribute {name!r}")


def load_ipython_extension(shell: Any) -> None:
    """``%load_ext hitoku``: the magic ``%%hitoku``; see `hitoku.client.magic`."""
    from importlib import import_module

    import_module("hitoku.client.magic").load_ipython_extension(shell)


def __dir__() -> list[str]:
    return sorted(__all__)
