# SPDX-License-Identifier: Apache-2.0
"""The worker's entry point: what a launcher starts, with its channel at descriptor 3 and its TPM at 4.

Before anything is read, the process gives up what it will not need: it starts no other process, opens no
file to write, connects to nothing. The launcher has taken most of that away already (no network, no files
but the image, no privileges); this is the second lock on the same door, for platforms where the first is
another's, and it keeps a mistake in a library from becoming a way out.
"""

from __future__ import annotations

import ctypes
import os
import resource
import socket
import sys
from contextlib import suppress
from typing import Any, Final, NoReturn

from hitoku.attestation.attest import Attester
from hitoku.ports import SystemClock
from hitoku.protections.enclave.frames import Channel
from hitoku.protections.enclave.worker.serve import serve

__all__ = ["ATTESTERS", "confine", "main"]

CHANNEL: Final = 3
TPM: Final = 4
KEY: Final = 5

ATTESTERS: Final = ("tpm", "dev", "nitro", "tsm")
"""What the one argument says; it is measured with the program."""

_NEVER: Final = frozenset(
    {
        "os.exec",
        "os.fork",
        "os.forkpty",
        "os.posix_spawn",
        "os.spawn",
        "os.system",
        "pty.spawn",
        "socket.bind",
        "socket.connect",
        "socket.getaddrinfo",
        "socket.sendto",
        "subprocess.Popen",
    }
)
_EVIDENCE: Final = ("/dev/nsm", "/sys/kernel/config/tsm/report/")
"""Where evidence is asked for, which is a write: the kernel's devices, no storage."""
_PR_SET_DUMPABLE: Final = 4
_WRITES: Final = os.O_WRONLY | os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_TRUNC


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    """Python's audit hook: it cannot be taken away again (PEP 578)."""
    if event in _NEVER:
        raise PermissionError("an enclave's worker does not do that")
    if event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITES:
        if isinstance(arguments[0], str) and arguments[0].startswith(_EVIDENCE):
            return
        raise PermissionError("an enclave's worker writes no file")


def confine() -> None:
    """Give up files to write, other processes, the network and core files, for good.

    Nor can a process of the same user look into this one (ptrace(2), proc(5): that needs it dumpable, which
    execve makes it, so that the launcher cannot do this).

    Raises:
        OSError: the system does not allow it.
    """
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")
    for what in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE):
        with suppress(ValueError, OSError):
            resource.setrlimit(what, (0, 0))
    sys.addaudithook(_hook)


def _attester(kind: str) -> Attester:
    if kind == "tpm":
        from hitoku.attestation.attest.tpm import TpmAttester
        from hitoku.attestation.tpm2.device import Descriptor

        return TpmAttester(Descriptor(TPM))
    if kind == "dev":
        from hitoku.attestation.attest.dev import DevAttester

        with open(KEY, "rb", closefd=True) as file:  # noqa: PTH123
            return DevAttester.from_bytes(file.read(4_096))
    if kind == "nitro":
        from hitoku.attestation.attest.nitro import NitroAttester

        return NitroAttester()
    if kind == "tsm":
        from hitoku.attestation.attest.tsm import TsmAttester

        return TsmAttester()
    raise SystemExit(2)


def main() -> NoReturn:
    """Do one run, and end: with the process ends what its memory held."""
    connection = socket.socket(fileno=CHANNEL)
    attester = _attester(sys.argv[1])
    confine()
    serve(Channel(connection), attester, SystemClock())
    os._exit(0)


if __name__ == "__main__":
    main()
