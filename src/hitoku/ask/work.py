# SPDX-License-Identifier: Apache-2.0
"""A run of three servers, as one of them has it: what is to be done, where it stands, what came of it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hitoku.errors import HitokuError, PeerError

if TYPE_CHECKING:
    from hitoku.ask.common import Examined
    from hitoku.protections.shares.operators.loaded import BranchResult
    from hitoku.protections.shares.program import Program
    from hitoku.transport import shares

__all__ = ["Computed", "Order", "Work"]


@dataclass(frozen=True, slots=True)
class Order:
    """A run, as its leader asks for it.

    Attributes:
        leader: who leads it.
        request: the question, consents and keys.
    """

    leader: str
    request: shares.SharesBegin


class Work:
    """A run at one server: where it stands, what the others may know of that, and how to end it."""

    def __init__(self, order: Order, examined: Examined) -> None:
        self.order, self.examined = order, examined
        self.program: str | None = None
        self.computed: Computed | None = None
        self.error: HitokuError | None = None
        self.over = threading.Event()
        self._party: Any = None
        self._lock = threading.Lock()

    @property
    def run(self) -> str:
        """The run."""
        return self.order.request.run

    def check(self) -> None:
        """Nothing, while the run goes on.

        Raises:
            HitokuError: it is over.
        """
        if self.error is not None:
            raise self.error
        if self.over.is_set():
            raise _ended()

    def joined(self, party: Any) -> None:
        """The others are joined; if the run ends, so does that."""
        with self._lock:
            self._party = party
        if self.over.is_set():
            self.end()

    def take(self) -> Computed | None:
        """What was computed, once: who asks at the same time gets nothing. None where nothing is there."""
        with self._lock:
            found, self.computed = self.computed, None
        return found

    def end(self, error: HitokuError | None = None) -> None:
        """The run is over: what waits for the others is woken up. May be said twice."""
        with self._lock:
            if error is not None and self.error is None:
                self.error = error
            self.over.set()
            party, self._party = self._party, None
            self.computed = None
        if party is not None:
            party.abort()
            party.close()


@dataclass(frozen=True, slots=True)
class Computed:
    """What one server has when it has computed.

    Attributes:
        program: the program.
        name: its hash.
        party: this server's side, which turns its shares into bytes.
        results: this server's shares of the released rows.
    """

    program: Program
    name: str
    party: Any = field(repr=False)
    results: Sequence[BranchResult] = field(repr=False)


def _ended() -> PeerError:
    return PeerError("the run has ended", "RUN_ENDED")
