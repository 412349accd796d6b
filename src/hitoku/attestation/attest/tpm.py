# SPDX-License-Identifier: Apache-2.0
"""Quotes of a TPM 2.0: in hardware, a virtual machine's, or swtpm.

The attestation key is made fresh for each attester and never leaves the TPM. That it is in the TPM of a
certain endorsement key is shown once, by activating a credential (`hitoku.attestation.credential`). What a
quote says of the program is PCR 12, which nothing but a reset of the whole TPM sets back: a launcher extends
it with what it is about to execute.

A TPM that other programs of the machine can reach extends and quotes for them, too. And swtpm is a program
with which its operator can do what he likes: it shows the flow and protects nothing.
"""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Sequence
from types import TracebackType
from typing import Final

from hitoku.attestation.binding import Binding
from hitoku.attestation.codes import Refused
from hitoku.attestation.evidence import Evidence, Kind
from hitoku.attestation.tpm2.commands import ENDORSEMENT, Tpm, TpmError
from hitoku.attestation.tpm2.device import Device
from hitoku.attestation.tpm2.pcrs import Event
from hitoku.attestation.tpm2.structures import EK_TEMPLATE, Attest, ak_template, pcr_digest
from hitoku.attestation.tpm2.wire import Reader
from hitoku.errors import InputError

__all__ = ["PROGRAM_PCR", "QUOTED", "Event", "TpmAttester", "extend_program", "read_pcrs"]

PROGRAM_PCR: Final = 12
QUOTED: Final = (*range(8), PROGRAM_PCR)
"""PCRs of a quote: the boot chain as the PC Client profile has it, and the program's."""

_EK_CERTIFICATE: Final = 0x01C00002
"""NV index of the certificate for template L-1 (EK Credential Profile, 2.2.1.4)."""
_LARGEST_CERTIFICATE: Final = 8_192
_TRIES: Final = 5


def extend_program(device: Device, digest: bytes) -> None:
    """Extend the program's PCR: for a launcher, before it executes what it measured.

    Args:
        device: the TPM.
        digest: 32 bytes.
    """
    Tpm(device).pcr_extend(PROGRAM_PCR, digest)


def read_pcrs(device: Device, pcrs: Sequence[int] = QUOTED) -> dict[int, bytes]:
    """PCRs of the SHA-256 bank, by number. Nobody signs this: it is for whoever trusts the way to the TPM."""
    return Tpm(device).pcr_read(pcrs)


class TpmAttester:
    """Makes evidence with a TPM. Use it as a context manager, or `close` it: the TPM holds few keys at once.

    Args:
        device: the TPM; it stays the caller's to close.
        log: what PCRs were extended with since the TPM was reset, for the verifier to replay.
        chain: certificates in PEM above the endorsement key's, where they are known here.
    """

    def __init__(self, device: Device, *, log: Sequence[Event] = (), chain: bytes = b"") -> None:
        self._tpm = Tpm(device)
        self._log, self._chain = tuple(log), chain
        self._key: int | None = None
        self._public = self._endorsement = b""

    @property
    def kind(self) -> Kind:
        """What kind of evidence it makes."""
        return Kind.TPM

    def identity(self) -> dict[str, bytes]:
        """The keys of this TPM, by the names of endorsements.

        ``ak``: the attestation key (TPM2B_PUBLIC). ``ek``: the endorsement key's certificate (DER) where the
        TPM has one, else its TPM2B_PUBLIC. ``ek-chain``: certificates above it, where they are known.

        Raises:
            InputError: the TPM is not there or refuses.
        """
        self._prepare()
        named = {"ak": self._public, "ek": self._endorsement}
        return named | ({"ek-chain": self._chain} if self._chain else {})

    def activate(self, credential: bytes) -> bytes:
        """The secret in a credential that was made for this TPM and this attestation key.

        Args:
            credential: TPM2B_ID_OBJECT and TPM2B_ENCRYPTED_SECRET, one after the other.

        Raises:
            InputError: it was made for another TPM or key, was changed, or the TPM refuses.
        """
        key = self._prepare()
        try:
            content = Reader(credential, "the credential")
            blob, secret = content.sized(1_024), content.sized(1_024)
            content.end()
        except Refused as error:
            raise InputError(error.detail) from None
        handle, _ = self._tpm.create_primary(ENDORSEMENT, EK_TEMPLATE)
        try:
            return self._tpm.activate_credential(key, handle, blob, secret)
        except TpmError as error:
            raise InputError(f"the credential is not for this TPM and key: {error}") from None
        finally:
            self._tpm.flush(handle)

    def attest(self, binding: Binding, public_key: bytes = b"") -> Evidence:
        """A quote of `QUOTED`, its extraData the binding's `report_data`.

        Args:
            binding: what it is bound to.
            public_key: not used; the binding's digest covers it.

        Raises:
            InputError: the TPM is not there or refuses.
        """
        del public_key
        key = self._prepare()
        extra = binding.report_data(Kind.TPM)
        for _ in range(_TRIES):  # a PCR may be extended between the two commands
            values = self._tpm.pcr_read(QUOTED)
            quote, signature = self._tpm.quote(key, extra, QUOTED)
            if _digest(quote) == pcr_digest(values):
                break
        else:
            raise InputError("the TPM's PCRs change faster than they can be quoted")
        pcrs = {str(number): value.hex() for number, value in values.items()}
        endorsements = self.identity() | {"signature": signature, "pcrs": json.dumps(pcrs).encode()}
        if self._log:
            endorsements["log"] = json.dumps([event.to_dict() for event in self._log]).encode()
        return Evidence(Kind.TPM, quote, endorsements)

    def close(self) -> None:
        """Take the attestation key out of the TPM. A second time does nothing."""
        if self._key is not None:
            with contextlib.suppress(InputError):  # a TPM that is gone holds no key
                self._tpm.flush(self._key)
            self._key = None

    def __enter__(self) -> TpmAttester:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _prepare(self) -> int:
        """The attestation key's handle. The key is made when it is first needed."""
        if self._key is None:
            self._endorsement = self._certificate() or self._endorsement_key()
            self._key, self._public = self._tpm.create_primary(
                ENDORSEMENT, ak_template(secrets.token_bytes(32))
            )
        return self._key

    def _endorsement_key(self) -> bytes:
        handle, public = self._tpm.create_primary(ENDORSEMENT, EK_TEMPLATE)
        self._tpm.flush(handle)
        return public

    def _certificate(self) -> bytes:
        """The endorsement key's certificate, without what its index is filled up with; or nothing."""
        try:
            size = self._tpm.nv_size(_EK_CERTIFICATE)
            if not 4 < size <= _LARGEST_CERTIFICATE:
                return b""
            content = self._tpm.nv_read(_EK_CERTIFICATE, size)
        except TpmError:  # no such index
            return b""
        if content[:2] != b"\x30\x82":
            return b""
        return content[: 4 + int.from_bytes(content[2:4])]


def _digest(quote: bytes) -> bytes:
    try:
        return Attest.parse(quote).digest
    except Refused as error:
        raise InputError(error.detail) from None
