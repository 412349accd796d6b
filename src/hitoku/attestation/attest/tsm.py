# SPDX-License-Identifier: Apache-2.0
"""Reports of confidential virtual machines (SEV-SNP, TDX) through the kernel's configfs-tsm.

Not run on hardware: written after the kernel's `Documentation/ABI/testing/configfs-tsm-report` (Linux 6.7)
and google/go-configfs-tsm, and tested against a fake directory.

One report is one directory: made, filled by writing `inblob`, read at `outblob` and removed. Its `generation`
counts writes; one that moved while we read means that somebody else used the directory, and its report is not
ours.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from hitoku import limits
from hitoku.attestation.binding import Binding
from hitoku.attestation.evidence import Evidence, Kind
from hitoku.errors import InputError

__all__ = ["TsmAttester", "certificate_table"]

DIRECTORY: Final = Path("/sys/kernel/config/tsm/report")
_PROVIDERS: Final = {"sev_guest": Kind.SEV_SNP, "tdx_guest": Kind.TDX}
_REPORT_BYTES: Final = 1184
_TRIES: Final = 5
_CERTIFICATES: Final = {
    uuid.UUID("63da758d-e664-4564-adc5-f4b93be8accd").bytes: "vcek",
    uuid.UUID("a8074bc2-a25a-483e-aae6-39c045a0b8a1").bytes: "vlek",
    uuid.UUID("92f81bc3-5811-4d3d-97ff-d19f88dc67ea").bytes: "crl",
}
"""Entries of the host's certificate table (AMD 56421, "Guest-Hypervisor Communication Block", 4.1.8.1).

The intermediates that it may hold, too, are packaged here.
"""


class TsmAttester:
    """Makes reports of the virtual machine that it runs in.

    The binding's digest is the report's `report_data`; there is no field for a key.

    Args:
        endorsements: certificates or collateral that go with every report, by name, for hosts that hand none
            out (``vcek``, ``chain``, ``crl``; ``collateral``); what the host gives wins. Or a function that
            finds them for a report.
        privilege: the level (VMPL) that is asked for, where the platform has some.
        directory: the kernel's.

    Raises:
        InputError: the kernel offers no reports here, or of a platform that is not known.
    """

    def __init__(
        self,
        endorsements: Mapping[str, bytes] | Callable[[bytes], Mapping[str, bytes]] | None = None,
        *,
        privilege: int | None = None,
        directory: Path = DIRECTORY,
    ) -> None:
        self._endorsements = endorsements or {}
        self._privilege = privilege
        self._directory = directory
        with self._entry() as entry:
            provider = self._read(entry, "provider", 64).strip().decode("ascii", "replace")
        if provider not in _PROVIDERS:
            raise InputError(f"{directory} makes reports of a platform that is not known ({provider[:40]!r})")
        self._kind = _PROVIDERS[provider]

    @property
    def kind(self) -> Kind:
        """As the kernel's provider says: SEV-SNP or TDX."""
        return self._kind

    def identity(self) -> dict[str, bytes]:
        """Empty: a report names its chip itself."""
        return {}

    def activate(self, credential: bytes) -> bytes:  # noqa: ARG002 - these platforms have no such step
        """Empty."""
        return b""

    def attest(self, binding: Binding, public_key: bytes = b"") -> Evidence:  # noqa: ARG002 - no field for it
        """A fresh report, with the endorsements that the host or the caller has for it.

        Raises:
            InputError: the kernel refuses, or somebody else wrote between.
        """
        for _ in range(_TRIES):
            found = self._report(binding.report_data(self.kind))
            if found is not None:
                content, auxiliary = found
                return Evidence(self.kind, content, self._endorse(content, auxiliary))
        raise InputError(f"other programs keep writing to {self._directory}; try again")

    def _report(self, data: bytes) -> tuple[bytes, bytes] | None:
        """Report and what the host adds, or None where the generation moved."""
        with self._entry() as entry:
            before = self._number(entry, "generation")
            writes = [("inblob", data)]
            if self._privilege is not None:
                writes.append(("privlevel", str(self._privilege).encode()))
            for name, content in writes:
                self._write(entry, name, content)
            content = self._read(entry, "outblob", limits.MAX_EVIDENCE_BYTES)
            auxiliary = b""
            if (entry / "auxblob").exists():
                with contextlib.suppress(InputError):  # hosts that hand no certificates out
                    auxiliary = self._read(entry, "auxblob", limits.MAX_EVIDENCE_BYTES)
            if self._number(entry, "generation") != before + len(writes):
                return None
        if not content or (self.kind is Kind.SEV_SNP and len(content) != _REPORT_BYTES):
            raise InputError(f"{self._directory} gave no report")
        return content, auxiliary

    def _endorse(self, content: bytes, auxiliary: bytes) -> dict[str, bytes]:
        given = self._endorsements(content) if callable(self._endorsements) else self._endorsements
        found = certificate_table(auxiliary) if self.kind is Kind.SEV_SNP else {}
        return {**given, **found}

    # --- the kernel's files ---

    @contextlib.contextmanager
    def _entry(self) -> Iterator[Path]:
        entry = self._directory / f"hitoku-{os.getpid()}-{secrets.token_hex(8)}"
        try:
            entry.mkdir(mode=0o700)
        except OSError:
            raise InputError(
                f"{self._directory} offers no reports: it needs a confidential virtual machine, Linux 6.7 or "
                "later, and the rights of root"
            ) from None
        try:
            yield entry
        finally:
            with contextlib.suppress(OSError):
                entry.rmdir()

    def _read(self, entry: Path, name: str, most: int) -> bytes:
        try:
            with (entry / name).open("rb") as file:
                content = file.read(most + 1)
        except OSError as error:
            raise InputError(f"the kernel gave no `{name}` ({os.strerror(error.errno or 0)})") from None
        if len(content) > most:
            raise InputError(f"the kernel's `{name}` is longer than {most} bytes")
        return content

    def _number(self, entry: Path, name: str) -> int:
        text = self._read(entry, name, 32).strip()
        if not text.isdigit():
            raise InputError(f"the kernel's `{name}` is no number")
        return int(text)

    def _write(self, entry: Path, name: str, content: bytes) -> None:
        try:
            with (entry / name).open("wb", buffering=0) as file:
                written = file.write(content)
        except OSError as error:
            raise InputError(f"the kernel took no `{name}` ({os.strerror(error.errno or 0)})") from None
        if written != len(content):
            raise InputError(f"the kernel took no whole `{name}`")


def certificate_table(content: bytes) -> dict[str, bytes]:
    """The certificates of a host's table by endorsement name; what is not known or out of bounds is left out.

    The host is not trusted with anything here: the verifier checks what it gave against AMD's roots.
    """
    found: dict[str, bytes] = {}
    for at in range(0, min(len(content), 64 * 24) - 23, 24):
        entry = content[at : at + 24]
        if not any(entry):
            break
        offset, size = int.from_bytes(entry[16:20], "little"), int.from_bytes(entry[20:24], "little")
        name = _CERTIFICATES.get(entry[:16])
        if name is not None and size and offset + size <= len(content):
            found.setdefault(name, content[offset : offset + size])
    return found
