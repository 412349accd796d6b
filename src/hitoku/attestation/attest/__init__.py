# SPDX-License-Identifier: Apache-2.0
"""Attesters: each makes evidence of one kind, bound to what it is given."""

from __future__ import annotations

from typing import Protocol

from hitoku.attestation.binding import Binding
from hitoku.attestation.evidence import Evidence, Kind

__all__ = ["Attester"]


class Attester(Protocol):
    """Makes evidence of what runs here."""

    @property
    def kind(self) -> Kind:
        """What kind of evidence it makes."""
        ...

    def identity(self) -> dict[str, bytes]:
        """What a broker must know before it makes its challenge; empty but for a TPM (``ek``, ``ak``)."""
        ...

    def activate(self, credential: bytes) -> bytes:
        """Of a TPM: what the broker encrypted to the endorsement key and the attestation key's name.

        Empty where the platform has no such step.
        """
        ...

    def attest(self, binding: Binding, public_key: bytes = b"") -> Evidence:
        """Fresh evidence, with all endorsements that its check needs.

        Args:
            binding: what it is bound to; its `report_data` goes where the platform has room.
            public_key: the key that released keys are sealed for, where the platform has a field (Nitro).

        Raises:
            InputError: the platform's device is not there or refuses.
        """
        ...
