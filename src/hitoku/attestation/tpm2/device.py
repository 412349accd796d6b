# SPDX-License-Identifier: Apache-2.0
"""Ways to a TPM: a command goes in, its response comes out."""

from __future__ import annotations

import os
import select
import socket
import stat
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol

from hitoku.errors import InputError

__all__ = ["Descriptor", "Device", "open_device"]

_HEADER: Final = 10
_LARGEST: Final = 65_536
_SECONDS: Final = 180.0
"""A TPM in hardware may take minutes to make an RSA key."""


class Device(Protocol):
    """Something that answers TPM commands."""

    def transmit(self, command: bytes) -> bytes:
        """One command, whole; its response, whole.

        Raises:
            InputError: the device does not answer, or not with a response.
        """
        ...


class Descriptor:
    """A TPM behind an open descriptor: a stream socket (swtpm's data channel), or a character device.

    Args:
        descriptor: read and write; closed with this object.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._stream = stat.S_ISSOCK(os.fstat(descriptor).st_mode)

    def transmit(self, command: bytes) -> bytes:
        """See `Device.transmit`."""
        try:
            rest = memoryview(command)
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
            response = self._read(_LARGEST if not self._stream else _HEADER)
            while self._stream and len(response) < _HEADER:
                response += self._read(_HEADER - len(response))
            size = int.from_bytes(response[2:6])
            if not _HEADER <= size <= _LARGEST:
                raise InputError("the TPM's response has no valid size")
            while self._stream and len(response) < size:
                response += self._read(size - len(response))
        except OSError as error:
            raise InputError(f"the TPM cannot be reached: {error.strerror}") from None
        if len(response) != size:
            raise InputError("the TPM's response is not as long as it says")
        return response

    def _read(self, most: int) -> bytes:
        waiting = select.poll()
        waiting.register(self._descriptor, select.POLLIN)
        if not waiting.poll(_SECONDS * 1000):
            raise InputError(f"the TPM did not answer within {_SECONDS:.0f} seconds")
        piece = os.read(self._descriptor, most)
        if not piece:
            raise InputError("the TPM closed its channel")
        return piece

    def close(self) -> None:
        """Close the descriptor. A second time does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Descriptor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_device(path: str | Path) -> Descriptor:
    """Open a TPM by its path: swtpm's unix socket (data, not control), or a device as ``/dev/tpmrm0``.

    Raises:
        InputError: it is not there, or not to be opened.
    """
    try:
        if not stat.S_ISSOCK(Path(path).stat().st_mode):
            return Descriptor(os.open(path, os.O_RDWR | os.O_CLOEXEC))
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
            channel.connect(str(path))
            return Descriptor(channel.detach())
    except OSError as error:
        raise InputError(f"no TPM at {path}: {error.strerror}") from None
