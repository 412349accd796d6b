# SPDX-License-Identifier: Apache-2.0
"""The TPM commands that attestation needs (TCG TPM 2.0 Library, part 3), each a method.

Hierarchies and PCRs are used with empty passwords, as swtpm and most machines have them. Nobody needs to
trust the channel for what leaves this machine: a quote proves itself by its signature, an activated
credential by its secret.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from hitoku.attestation.codes import Refused
from hitoku.attestation.tpm2.device import Device
from hitoku.attestation.tpm2.structures import selection
from hitoku.attestation.tpm2.wire import ALG_NULL, SHA256, Reader, sized, u8, u16, u32
from hitoku.errors import InputError

__all__ = ["ENDORSEMENT", "NULL", "OWNER", "Tpm", "TpmError"]

OWNER: Final = 0x40000001
NULL: Final = 0x40000007
ENDORSEMENT: Final = 0x4000000B
_PASSWORD: Final = 0x40000009

_AGAIN: Final = {0x0908, 0x090A, 0x0922}
"""TPM_RC_YIELDED, TPM_RC_TESTING, TPM_RC_RETRY: nothing was done; the same command may be sent again."""
_TRIES: Final = 100
_BLOCK: Final = 512
"""Bytes of an NV index read at once; every TPM takes as many."""


class TpmError(InputError):
    """The TPM refused a command.

    Attributes:
        command: its code.
        response: the TPM's response code.
    """

    def __init__(self, command: int, response: int) -> None:
        super().__init__(f"the TPM refused command 0x{command:03x} with 0x{response:03x}")
        self.command, self.response = command, response


class Tpm:
    """A TPM's commands over a device.

    Args:
        device: the way to it. It stays the caller's to close.
    """

    def __init__(self, device: Device) -> None:
        self._device = device

    def run(
        self,
        code: int,
        handles: Sequence[int],
        parameters: bytes,
        sessions: Sequence[bytes] | None = None,
        made: int = 0,
    ) -> tuple[list[int], Reader]:
        """One command.

        Args:
            code: TPM_CC.
            handles: of the objects it works on.
            parameters: marshalled.
            sessions: authorizations, one for each handle that needs one; None where none does.
            made: how many handles the response has.

        Returns:
            The handles and the parameters of the response.

        Raises:
            TpmError: the TPM refused it.
            InputError: the TPM cannot be reached, or its response has no valid form.
        """
        body = b"".join(map(u32, handles))
        if sessions is not None:
            area = b"".join(sessions)
            body += u32(len(area)) + area
        body += parameters
        tag = 0x8001 if sessions is None else 0x8002
        command = u16(tag) + u32(10 + len(body)) + u32(code) + body
        for attempt in range(_TRIES):
            try:
                response = Reader(self._device.transmit(command), "the TPM's response")
                response.take(6)
                result = response.u32()
                if result in _AGAIN:
                    time.sleep(min(0.002 * 2**attempt, 0.2))
                    continue
                if result:
                    raise TpmError(code, result)
                found = [response.u32() for _ in range(made)]
                if sessions is None:
                    return found, response
                return found, Reader(response.take(response.u32()), "the TPM's response")
            except Refused as error:
                raise InputError(error.detail) from None
        raise TpmError(code, result)

    def _answer(
        self, code: int, handles: Sequence[int], parameters: bytes, sessions: Sequence[bytes]
    ) -> bytes:
        """Run a command whose response starts with one buffer; the buffer."""
        return _buffer(self.run(code, handles, parameters, sessions)[1])

    # --- PCRs ---

    def pcr_read(self, pcrs: Iterable[int]) -> dict[int, bytes]:
        """The values of PCRs of the SHA-256 bank."""
        values: dict[int, bytes] = {}
        left = set(pcrs)
        while left:
            _, response = self.run(0x17E, (), selection(left))
            read = _pcrs(response)
            if not read or not left.issuperset(read):
                raise InputError("the TPM has no PCRs of the SHA-256 bank, or gives others than asked for")
            values |= read
            left -= set(read)
        return values

    def pcr_extend(self, pcr: int, digest: bytes) -> None:
        """Extend a PCR: its new value is SHA-256(old value || digest).

        Args:
            pcr: its number.
            digest: 32 bytes.
        """
        self.run(0x182, (pcr,), u32(1) + u16(SHA256) + digest, [password()])

    def pcr_reset(self, pcr: int) -> None:
        """Reset a PCR to zero; PCRs 0 to 15 cannot be.

        Raises:
            TpmError: with response 0x907 (TPM_RC_LOCALITY) for such a PCR.
        """
        self.run(0x13D, (pcr,), b"", [password()])

    # --- keys ---

    def create_primary(self, hierarchy: int, template: bytes) -> tuple[int, bytes]:
        """Make a primary key, or make it again: a hierarchy and a template give one key.

        Returns:
            Its handle and its TPM2B_PUBLIC.
        """
        nothing = sized(b"")
        parameters = sized(nothing + nothing) + sized(template) + nothing + u32(0)
        handles, response = self.run(0x131, (hierarchy,), parameters, [password()], made=1)
        return handles[0], sized(_buffer(response))

    def read_public(self, handle: int) -> bytes:
        """The TPM2B_PUBLIC of a loaded or persistent key."""
        return sized(_buffer(self.run(0x173, (handle,), b"")[1]))

    def flush(self, handle: int) -> None:
        """Forget a key or session."""
        self.run(0x165, (), u32(handle))

    def quote(self, key: int, extra_data: bytes, pcrs: Iterable[int]) -> tuple[bytes, bytes]:
        """A quote of PCRs of the SHA-256 bank.

        Returns:
            TPMS_ATTEST and TPMT_SIGNATURE.
        """
        parameters = sized(extra_data) + u16(ALG_NULL) + selection(pcrs)
        _, response = self.run(0x158, (key,), parameters, [password()])
        return _buffer(response), response.rest()

    def activate_credential(self, key: int, endorsement_key: int, blob: bytes, secret: bytes) -> bytes:
        """What a credential holds, if it was made for these two keys.

        Args:
            key: the attestation key.
            endorsement_key: made with template L-1, whose use needs PolicySecret(TPM_RH_ENDORSEMENT).
            blob: TPM2B_ID_OBJECT's content.
            secret: TPM2B_ENCRYPTED_SECRET's content.

        Raises:
            TpmError: it was made for another key, or changed.
        """
        nonce = sized(secrets.token_bytes(32))
        begin = nonce + sized(b"") + u8(1) + u16(ALG_NULL) + u16(SHA256)
        (session,), _ = self.run(0x176, (NULL, NULL), begin, made=1)
        try:
            policy = sized(b"") * 3 + u32(0)
            self.run(0x151, (ENDORSEMENT, session), policy, [password()])
            # Neither salt, bind nor PolicyAuthValue: the session's HMAC is empty (part 1, session HMAC).
            authorization = u32(session) + sized(b"") + u8(1) + sized(b"")
            both = [password(), authorization]
            return self._answer(0x147, (key, endorsement_key), sized(blob) + sized(secret), both)
        finally:
            self.flush(session)

    # --- storage that outlives a reset ---

    def nv_size(self, index: int) -> int:
        """How many bytes an NV index holds."""
        public = Reader(_buffer(self.run(0x169, (index,), b"")[1]), "TPMS_NV_PUBLIC")
        public.take(10)
        public.sized(64)
        return public.u16()

    def nv_read(self, index: int, size: int, secret: bytes = b"") -> bytes:
        """The content of an NV index, by its own password."""
        content = b""
        while len(content) < size:
            most = min(_BLOCK, size - len(content))
            parameters = u16(most) + u16(len(content))
            piece = self._answer(0x14E, (index, index), parameters, [password(secret)])
            if not piece:
                raise InputError("the TPM gives less of an NV index than it said")
            content += piece
        return content

    def nv_define_counter(self, index: int, secret: bytes) -> None:
        """Define a counter (TPM_NT_COUNTER) that only who knows `secret` reads and increments."""
        attributes = 1 << 4 | 1 << 2 | 1 << 18 | 1 << 25  # COUNTER, AUTHWRITE, AUTHREAD, NO_DA
        public = u32(index) + u16(SHA256) + u32(attributes) + sized(b"") + u16(8)
        self.run(0x12A, (OWNER,), sized(secret) + sized(public), [password()])

    def nv_increment(self, index: int, secret: bytes) -> None:
        """Add one to a counter."""
        self.run(0x134, (index, index), b"", [password(secret)])

    def nv_undefine(self, index: int) -> None:
        """Delete an NV index of the owner's."""
        self.run(0x122, (OWNER, index), b"", [password()])


def password(secret: bytes = b"") -> bytes:
    """An authorization by password."""
    return u32(_PASSWORD) + sized(b"") + u8(0) + sized(secret)


def _buffer(response: Reader) -> bytes:
    """The next buffer of a response."""
    try:
        return response.sized(65_535)
    except Refused as error:
        raise InputError(error.detail) from None


def _pcrs(response: Reader) -> Mapping[int, bytes]:
    """What PCR_Read answers: an update counter, a selection, values in its order."""
    try:
        response.u32()
        if response.u32() != 1 or response.u16() != SHA256:
            return {}
        bitmap = response.take(response.u8())
        read = [n for n in range(len(bitmap) * 8) if bitmap[n // 8] >> (n % 8) & 1]
        if response.u32() != len(read):
            return {}
        return {number: response.sized(32) for number in read}
    except Refused as error:
        raise InputError(error.detail) from None
