# SPDX-License-Identifier: Apache-2.0
"""The attested sessions that a node has, by run: in memory only, so a process that starts again has none.

Of each run the last few are kept. A stream says which of them it is sealed for, so that it does not
matter which one a side takes while they change: all of them are of members and programs that were
accepted. A run whose data was altered on its way has none any more, and gets none; that is in the ledger,
too, where a process that starts again finds it (`hitoku.node.mutual`).
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from hitoku import limits
from hitoku.errors import PeerError
from hitoku.ports import Clock
from hitoku.transport.sealed import Opener, Opening, Sealing

if TYPE_CHECKING:
    from hitoku.attestation.session import Session

__all__ = ["Sessions"]


class Sessions:
    """One member's sessions in one room. Called by several threads at once.

    Args:
        clock: the time.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._held: dict[str, list[Session]] = {}
        self._aborted: set[str] = set()

    def add(self, session: Session) -> None:
        """Keep a session.

        Raises:
            PeerError: the run was aborted.
        """
        now = self._clock.now()
        with self._lock:
            self._check(session.run)
            # Runs that were consented to and never begun leave theirs.
            live = {run: [s for s in known if now < s.until] for run, known in self._held.items()}
            self._held = {run: known for run, known in live.items() if known}
            held = self._held.setdefault(session.run, [])
            held.append(session)
            del held[: -limits.MAX_SESSIONS_A_RUN]

    def newest(self, run: str, peer: str) -> Session | None:
        """The newest session of a run with a member that still holds; None where there is none.

        Raises:
            PeerError: the run was aborted.
        """
        now = self._clock.now()
        with self._lock:
            self._check(run)
            held = [s for s in self._held.get(run, ()) if s.peer == peer and now < s.until]
        return held[-1] if held else None

    def sealing(self, run: str, peer: str, name: str) -> Sealing | None:
        """What seals one stream of a parcel for a member; None while there is no session.

        Raises:
            PeerError: the run was aborted.
        """
        session = self.newest(run, peer)
        return None if session is None else Sealing(session.id, session.sealing(name))

    def opening(self, run: str, peer: str, name: str) -> Opening:
        """How the streams of a parcel of a member are opened."""

        def opener(identity: bytes) -> Opener | None:
            now = self._clock.now()
            with self._lock:
                self._check(run)
                held = [s for s in self._held.get(run, ()) if s.peer == peer and s.id == identity]
            return held[0].opening(name) if held and now < held[0].until else None

        return Opening(name, opener)

    def abort(self, run: str) -> bool:
        """The run's data was altered: its sessions go, and no others come. Returns whether that is new."""
        with self._lock:
            if run in self._aborted:
                return False
            self._aborted.add(run)
            self._held.pop(run, None)
            return True

    def aborted(self, run: str) -> bool:
        """Whether `abort` was called."""
        with self._lock:
            return run in self._aborted

    def forget(self, run: str) -> None:
        """The run is over."""
        with self._lock:
            self._held.pop(run, None)
            self._aborted.discard(run)

    def _check(self, run: str) -> None:
        if run in self._aborted:
            raise PeerError("the run was aborted: its data was altered on its way", "RUN_ABORTED")
