# SPDX-License-Identifier: Apache-2.0
"""A counter in a TPM that nobody can put back, as a broker wants it (`hitoku.attestation.epoch.Counter`).

A counter of the kind TPM_NT_COUNTER only grows, outlives every reset, and if its index is deleted and defined
again it starts above the highest count that any counter of that TPM ever had (TPM 2.0 Library, part 1, "NV
counters"). So who restores an old state of everything else still finds the count of today. An index that is
gone is an error, never zero: else deleting it would be the way to put it back.

Assumptions: the way to the TPM is this machine's own (its answers to reads are not signed), and nobody but
this broker knows the index's password, else he could raise the count and so stop the broker, though not lower
it. Under swtpm the operator restores the TPM's state with the rest: there it protects nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final

from hitoku.attestation.tpm2.commands import Tpm, TpmError
from hitoku.attestation.tpm2.device import Device
from hitoku.errors import InputError, SecretError

__all__ = ["FIRST_INDEX", "TpmCounter"]

FIRST_INDEX: Final = 0x01800000
"""The first NV index of the range for owners (TCG Registry of Reserved TPM 2.0 Handles)."""
_LAST_INDEX: Final = 0x01BFFFFF
_BYTES: Final = 8
_MOST_STEPS: Final = 100_000
"""How far it is raised at once; a TPM in hardware takes some milliseconds for each step."""


class TpmCounter:
    """A counter at one NV index.

    Args:
        connect: opens a way to the TPM, closed again after each use.
        index: where it is.
        secret: the index's password, 16 to 32 bytes.
    """

    def __init__(
        self, connect: Callable[[], AbstractContextManager[Device]], secret: bytes, index: int = FIRST_INDEX
    ) -> None:
        if not 16 <= len(secret) <= 32:
            raise SecretError("the password of a TPM's counter has 16 to 32 bytes")
        if not FIRST_INDEX <= index <= _LAST_INDEX:
            raise SecretError("a TPM's counter is at an index for owners: 0x01800000 to 0x01bfffff")
        self._connect, self._secret, self._index = connect, secret, index
        self._lock = threading.Lock()

    def define(self) -> int:
        """Make it in the TPM. Returns its first count.

        Raises:
            SecretError: there is one already, or the TPM refuses.
        """
        try:
            with self._lock, self._connect() as device:
                tpm = Tpm(device)
                tpm.nv_define_counter(self._index, self._secret)
                tpm.nv_increment(self._index, self._secret)  # before the first step there is nothing to read
                return self._count(tpm)
        except InputError as error:
            raise SecretError(f"the TPM's counter cannot be made: {error}") from None

    def read(self) -> int:
        """The count.

        Raises:
            SecretError: it is not there, the password is wrong, or the TPM does not answer.
        """
        try:
            with self._lock, self._connect() as device:
                return self._count(Tpm(device))
        except InputError as error:
            raise SecretError(f"the TPM's counter cannot be read: {error}") from None

    def advance(self, to: int) -> None:
        """Raise it to that number; it never falls.

        Raises:
            SecretError: as `read`; or the number is farther away than a counter is ever raised at once.
        """
        try:
            with self._lock, self._connect() as device:
                tpm = Tpm(device)
                steps = to - self._count(tpm)
                if steps > _MOST_STEPS:
                    raise SecretError("the TPM's counter is too far behind: is it another TPM's?")
                for _ in range(steps):
                    tpm.nv_increment(self._index, self._secret)
                if self._count(tpm) < to:
                    raise SecretError("the TPM's counter did not rise")
        except InputError as error:
            raise SecretError(f"the TPM's counter cannot be raised: {error}") from None

    def _count(self, tpm: Tpm) -> int:
        try:
            return int.from_bytes(tpm.nv_read(self._index, _BYTES, self._secret))
        except TpmError as error:
            raise SecretError(
                f"the TPM has no such counter, or another password ({error}); nothing is taken for granted"
            ) from None
