# SPDX-License-Identifier: Apache-2.0
"""The worker's entry point inside a Nitro enclave or a confidential virtual machine. Not run on hardware.

The platform measured all of the image when it started; there is no launcher. This waits on a vsock for the
host, takes one connection, and becomes the worker for one run. As the first process of a virtual machine it
also makes the kernel's devices visible and switches the machine off at the end: with it goes what its memory
held.
"""

from __future__ import annotations

import ctypes
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from hitoku.protections.enclave.worker.main import CHANNEL, main

__all__ = ["machine", "serve_one"]

PORT: Final = 5005
_MOUNTS: Final = (
    ("devtmpfs", "/dev", "devtmpfs"),
    ("sysfs", "/sys", "sysfs"),
    ("configfs", "/sys/kernel/config", "configfs"),
)
_POWER_OFF: Final = 0x4321FEDC


def serve_one(listening: socket.socket, work: Callable[[], object] = main) -> None:
    """Take one connection and serve it as the worker's channel.

    Args:
        listening: where the host connects; closed before anything is read from it.
        work: the worker.
    """
    connection, _ = listening.accept()
    listening.close()
    number = connection.detach()
    if number != CHANNEL:
        os.dup2(number, CHANNEL, inheritable=False)
        os.close(number)
    work()


def enclave() -> None:
    """In a Nitro enclave, whose own first process has mounted what is needed."""
    serve_one(_listening())


def machine() -> None:
    """As the first process of a confidential virtual machine, which is switched off at the end."""
    if os.getpid() != 1:
        sys.exit("this is the first process of a virtual machine, or nothing")
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        for source, target, kind in _MOUNTS:
            if not Path(target).is_dir():
                Path(target).mkdir(parents=True)
            if libc.mount(source.encode(), target.encode(), kind.encode(), 0, None):
                raise OSError(ctypes.get_errno(), target)
        # The worker never comes back from its work: another process does it, and this one waits.
        worker = os.fork()
        if worker == 0:
            enclave()
            os._exit(0)
        os.waitpid(worker, 0)
    finally:
        os.sync()
        libc.reboot(_POWER_OFF)


def _listening() -> socket.socket:
    if not hasattr(socket, "AF_VSOCK"):
        sys.exit(2)
    listening = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
    listening.bind((socket.VMADDR_CID_ANY, PORT))
    listening.listen(1)
    return listening
