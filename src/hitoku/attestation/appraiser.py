# SPDX-License-Identifier: Apache-2.0
"""A member's appraiser: `appraise` with the room, registry, policy and keys that this member has now."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from hitoku.attestation.appraise import Appraisal, appraise
from hitoku.attestation.binding import Binding
from hitoku.attestation.evidence import Evidence
from hitoku.attestation.kept import Kept
from hitoku.attestation.reference import Purpose
from hitoku.ports import Clock, KeyStore
from hitoku.room.agreement import Room

if TYPE_CHECKING:
    from hitoku.room.directory import MemberDirectory
    from hitoku.room.records import Records

__all__ = ["Appraiser"]


class Appraiser:
    """Appraises evidence for one member in one room; revocations and new policies count at once.

    Args:
        directory: the member's.
        room: the room in force, as the member knows it; asked anew each time.
        records: the member's records of the room.
        keys: the member's.
        clock: the time.
    """

    def __init__(
        self,
        directory: MemberDirectory,
        room: Callable[[], Room],
        records: Records,
        keys: KeyStore,
        clock: Clock,
    ) -> None:
        self.kept = Kept(directory, records)
        self._room, self._keys, self._clock = room, keys, clock

    def appraise(
        self, evidence: Evidence, binding: Binding, activated: bool = False, *, purpose: Purpose = "enclave"
    ) -> Appraisal:
        """See `hitoku.attestation.appraise.appraise`.

        Raises:
            Refused: with its code.
        """
        room = self._room()
        return appraise(
            evidence,
            binding,
            now=self._clock.now(),
            room=room,
            registry=self.kept.registry(room.agreement),
            policy=self.kept.policy(),
            keys=self._keys,
            activated=activated,
            purpose=purpose,
        )
