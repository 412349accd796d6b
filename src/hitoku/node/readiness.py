# SPDX-License-Identifier: Apache-2.0
"""Whether a node can do its work: what a supervisor or load balancer asks before it sends somebody there.

Each check says a code, never words of an error: ``ok``, or what is wrong.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from hitoku import limits
from hitoku.ports import Clock

if TYPE_CHECKING:
    from pathlib import Path

    from hitoku.room.store import Store

__all__ = ["OK", "Readiness"]

OK: Final = "ok"


class Readiness:
    """Looks whether a node is ready.

    Args:
        path: the member's directory.
        store: the member's database.
        problems: how many rooms of node.toml cannot be served.
        clock: the time.
    """

    def __init__(
        self, path: Path, store: Callable[[], Store], problems: Callable[[], int], clock: Clock
    ) -> None:
        self._path, self._store, self._problems, self._clock = path, store, problems, clock

    def look(self) -> dict[str, str]:
        """What each check says.

        ``database`` (``ok``, ``no_answer``), ``rooms`` (``ok``, ``unusable``), ``disk`` (``ok``, ``full``,
        ``unreadable``), ``clock`` (``ok``, ``behind``, ``unknown``).

        The clock is behind where another member has signed its ledger at a time that has not come here yet:
        consents between the two would be refused.
        """
        heads = self._newest_head()
        return {
            "database": "no_answer" if heads is None else OK,
            "rooms": "unusable" if self._problems() else OK,
            "disk": self._disk(),
            "clock": "unknown" if heads is None else self._behind(heads),
        }

    def _newest_head(self) -> list[bytes] | None:
        """The newest heads of the others' ledgers; None where the database does not answer."""
        import sqlalchemy as sa

        from hitoku.room.store import peer_heads

        try:
            with self._store().reading() as connection:
                return [
                    bytes(row[0]) for row in connection.execute(sa.select(peer_heads.c.head).limit(1_000))
                ]
        except Exception:  # whatever it is: its words may hold an address or a password
            return None

    def _behind(self, heads: list[bytes]) -> str:
        from hitoku.errors import RoomError
        from hitoku.room.ledger import Head

        until = self._clock.now() + timedelta(seconds=limits.CLOCK_SKEW_SECONDS)
        for raw in heads:
            try:
                said = datetime.fromisoformat(Head.from_bytes(raw).time)
            except (RoomError, ValueError):
                continue
            if said > until:
                return "behind"
        return OK

    def _disk(self) -> str:
        try:
            free = shutil.disk_usage(self._path).free
        except OSError:
            return "unreadable"
        return OK if free >= limits.MIN_FREE_BYTES else "full"
