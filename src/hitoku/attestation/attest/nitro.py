# SPDX-License-Identifier: Apache-2.0
"""Attestation documents of AWS Nitro Enclaves, from the Nitro Security Module's device.

Not run on hardware: written after aws-nitro-enclaves-nsm-api (`src/driver/mod.rs`, `src/api/mod.rs`) and the
kernel's `drivers/misc/nsm.c`, and tested against a fake of the device.

One request is one ``ioctl``: its argument is two ``iovec`` structures, the request's and the response's
buffer, each holding CBOR; the kernel writes the response's length into the second.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import struct
from collections.abc import Mapping
from typing import Any, Final

from hitoku.attestation.binding import Binding
from hitoku.attestation.codes import Refused
from hitoku.attestation.evidence import Evidence, Kind
from hitoku.attestation.strict import cbor, encode_cbor
from hitoku.errors import InputError

__all__ = ["NitroAttester"]

DEVICE: Final = "/dev/nsm"
_MOST_RESPONSE: Final = 0x3000
_IOVECS: Final = struct.Struct("@PNPN")
_REQUEST_CODE: Final = 3 << 30 | _IOVECS.size << 16 | 0x0A << 8
"""_IOWR(0x0A, 0, two iovecs)."""
_MOST_FIELD: Final = 512
_MOST_KEY: Final = 1024


class NitroAttester:
    """Makes attestation documents of the enclave that it runs in.

    The binding's digest stands in `user_data`, its nonce in `nonce`, the key in `public_key`.

    Args:
        device: the Nitro Security Module's.
    """

    kind: Final = Kind.NITRO

    def __init__(self, device: str = DEVICE) -> None:
        self._device = device

    def identity(self) -> dict[str, bytes]:
        """Empty: Nitro has no key of its own that a broker must know before."""
        return {}

    def activate(self, credential: bytes) -> bytes:  # noqa: ARG002 - Nitro has no such step
        """Empty."""
        return b""

    def attest(self, binding: Binding, public_key: bytes = b"") -> Evidence:
        """A fresh document.

        Raises:
            InputError: no enclave's device is there, or it refuses.
        """
        fields = {
            "user_data": binding.report_data(self.kind),
            "nonce": binding.nonce,
            "public_key": public_key or None,
        }
        longest = max(len(binding.nonce), len(fields["user_data"] or b""))
        if longest > _MOST_FIELD or len(public_key) > _MOST_KEY:
            raise InputError(f"Nitro takes nonces and data of {_MOST_FIELD} bytes, and keys of {_MOST_KEY}")
        answer = self._ask({"Attestation": fields})
        inner = answer.get("Attestation") if isinstance(answer, dict) else None
        document = inner.get("document") if isinstance(inner, dict) else None
        if not isinstance(document, bytes):
            raise InputError(f"{self._device} gave no attestation document")
        return Evidence(self.kind, document)

    def _ask(self, request: Mapping[str, Any]) -> Any:
        content = encode_cbor(request)  # the fields' bounds keep it below the driver's 4096 bytes
        size = len(content)
        asked = ctypes.create_string_buffer(content, size)
        answered = ctypes.create_string_buffer(_MOST_RESPONSE)
        message = bytearray(
            _IOVECS.pack(ctypes.addressof(asked), size, ctypes.addressof(answered), _MOST_RESPONSE)
        )
        try:
            device = os.open(self._device, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            raise InputError(
                f"{self._device} cannot be opened: Nitro's attestation works inside a Nitro Enclave only"
            ) from None
        try:
            fcntl.ioctl(device, _REQUEST_CODE, message)
        except OSError as error:
            why = os.strerror(error.errno or 0)
            raise InputError(f"{self._device} refused the request ({why})") from None
        finally:
            os.close(device)
        length = _IOVECS.unpack(message)[3]
        if not 0 < length <= _MOST_RESPONSE:
            raise InputError(f"{self._device} answered with an impossible length")
        try:
            answer = cbor(answered.raw[:length], most=_MOST_RESPONSE)
        except Refused:
            raise InputError(f"{self._device} answered with something that is not CBOR") from None
        if isinstance(answer, dict) and isinstance(answer.get("Error"), str):
            raise InputError(f"{self._device} refused the request ({answer['Error'][:40]})")
        return answer
