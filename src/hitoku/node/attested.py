# SPDX-License-Identifier: Apache-2.0
"""One run at this node where the room demands mutual attestation: what the protection is handed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from hitoku.node.mutual import MutualAttestation
from hitoku.ports import Parcels
from hitoku.transport.sealed import Opening, SealingParcels

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["AttestedRun"]

_FOLLOWER_SECONDS: Final = 1
"""How long the side that does not lead waits for the other to begin, before it begins itself."""


class AttestedRun:
    """This side of one run (`hitoku.protections.crosstab.Site.attested`).

    Args:
        mutual: the node's.
        run: the run.
        peer: the other owner.
        leads: whether this side leads, and so begins.
    """

    def __init__(self, mutual: MutualAttestation, run: str, peer: str, *, leads: bool) -> None:
        self._mutual, self._run, self._peer = mutual, run, peer
        self._wait = 0.0 if leads else _FOLLOWER_SECONDS

    def ensure(self, hear: Callable[[], None] | None = None) -> None:
        """See `MutualAttestation.ensure`."""
        self._mutual.ensure(self._run, self._peer, wait=self._wait, hear=hear)

    def aborted(self, stage: str) -> None:
        """See `MutualAttestation.abort`."""
        self._mutual.abort(self._run, self._peer, stage)

    def parcels(self, parcels: SealingParcels) -> Parcels:
        """The way to the other side's parcels, each opened; a session is seen to before each."""
        return _Opened(self, parcels.opened_by(self._opening))

    def _opening(self, name: str) -> Opening:
        return self._mutual.sessions.opening(self._run, self._peer, name)


class _Opened:
    """Parcels that come sealed."""

    def __init__(self, attested: AttestedRun, parcels: Parcels) -> None:
        self._attested, self._parcels = attested, parcels

    def fetch(
        self, member: str, run: str, name: str, schema: pa.Schema, rows: int, wait: float
    ) -> Iterator[pa.RecordBatch]:
        """See `hitoku.ports.Parcels.fetch`."""
        self._attested.ensure()
        return self._parcels.fetch(member, run, name, schema, rows, wait)
