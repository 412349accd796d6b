# SPDX-License-Identifier: Apache-2.0
"""What a launched program finds at its descriptors."""

from __future__ import annotations

import os
import socket
import stat
from typing import TYPE_CHECKING, Final

from hitoku.attestation.launch.launcher import FIRST_DESCRIPTOR

if TYPE_CHECKING:
    from hitoku.attestation.tpm2.device import Descriptor

__all__ = ["CHANNEL", "TPM", "channel", "tpm"]

CHANNEL: Final = FIRST_DESCRIPTOR
TPM: Final = FIRST_DESCRIPTOR + 1
_NOTHING: Final = os.makedev(1, 3)


def channel() -> socket.socket:
    """The stream socket to who launched this program. Call it once."""
    return socket.socket(fileno=CHANNEL)


def tpm() -> Descriptor | None:
    """The program's own TPM, whose PCR 12 holds its measure; None where it was launched without one."""
    from hitoku.attestation.tpm2.device import Descriptor

    try:
        found = os.fstat(TPM)
    except OSError:
        return None
    if stat.S_ISCHR(found.st_mode) and found.st_rdev == _NOTHING:
        return None
    if not stat.S_ISCHR(found.st_mode) and not stat.S_ISSOCK(found.st_mode):
        return None
    return Descriptor(TPM)
