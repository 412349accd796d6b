# SPDX-License-Identifier: Apache-2.0
"""When a measured program has ended, PCR 12 speaks for it no longer.

A TPM of a machine outlives the programs on it. So a process stays beside each program, holds its TPM, waits
until the program is gone, however that came, and extends PCR 12 with a fixed event. Nobody reaches the
program's value again before the machine is reset, since an extend is a hash of the old value, and no command
resets PCR 12 (TCG PC Client Platform TPM Profile, PCR attributes).

While the program runs, PCR 12 has its value for whoever reaches the TPM: this does not help against them.

Standard library only: the launcher imports this.
"""

from __future__ import annotations

import os
import select
import signal
from contextlib import suppress
from typing import Final, NoReturn

from hitoku.attestation.program import ENDED, PROGRAM_PCR
from hitoku.attestation.tpm2.commands import Tpm
from hitoku.attestation.tpm2.device import Descriptor
from hitoku.errors import HitokuError, InputError

__all__ = ["SPENT", "watch"]

SPENT: Final = b"\1"
_TRIES: Final = 5
_LATE_MILLISECONDS: Final = 1000
_MOST: Final = 65_536


def watch(tpm: int, ended: int) -> None:
    """Start the process that waits for the end of this one, and of what this one executes.

    Args:
        tpm: descriptor of the TPM.
        ended: descriptor of a pipe. `SPENT` is written to it when PCR 12 was extended, and then it is closed.

    Raises:
        InputError: the system (Linux before 5.3) cannot tell that a process has ended.
    """
    try:
        process = os.pidfd_open(os.getpid())
    except OSError as error:
        raise InputError(f"the end of a program cannot be waited for ({error.strerror})") from None
    if os.fork() == 0:
        _wait(process, tpm, ended)
    os.close(process)


def _wait(process: int, tpm: int, ended: int) -> NoReturn:
    """In the second process: nothing but the three descriptors is left to it."""
    try:
        os.setsid()
        for stop in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
            signal.signal(stop, signal.SIG_IGN)
        last = 0
        for number in sorted({process, tpm, ended}):
            os.closerange(last, number)
            last = number + 1
        os.closerange(last, os.sysconf("SC_OPEN_MAX"))
        select.select([process], [], [])
        if _spend(tpm):
            os.write(ended, SPENT)
    finally:
        os._exit(0)


def _spend(tpm: int) -> bool:
    """Extend PCR 12. Whether the TPM confirms it.

    A program that was killed may have left a response that nobody took. It is dropped; one that comes late
    makes a command fail, or seem to succeed before its time, and then all is done again: one more extend does
    no harm.
    """
    device = Tpm(Descriptor(tpm))
    late = 0
    for _ in range(_TRIES):
        _drop(tpm, late)
        with suppress(HitokuError):
            before = device.pcr_read([PROGRAM_PCR])
            device.pcr_extend(PROGRAM_PCR, ENDED)
            if device.pcr_read([PROGRAM_PCR]) != before:
                return True
        late = _LATE_MILLISECONDS
    return False


def _drop(tpm: int, milliseconds: int) -> None:
    waiting = select.poll()
    waiting.register(tpm, select.POLLIN)
    while any(event & select.POLLIN for _, event in waiting.poll(milliseconds)):
        with suppress(OSError):
            if not os.read(tpm, _MOST):
                return
