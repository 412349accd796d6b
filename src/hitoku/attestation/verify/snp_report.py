# SPDX-License-Identifier: Apache-2.0
"""The SEV-SNP attestation report, read.

Format: AMD 56860, "SEV Secure Nested Paging Firmware ABI Specification", table ATTESTATION_REPORT. Only form
is checked here: length, version, fields that must be zero. The 512 bytes of the signature's field are not
signed themselves, so what stands behind r and s must be zero, or one report would have many spellings.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from hitoku.attestation.codes import Code, Refused

__all__ = ["SIZE", "VERSIONS", "Report", "parse"]

SIZE: Final = 0x4A0
VERSIONS: Final = (2, 3, 5)
_SIGNED: Final = 0x2A0
_ECDSA_P384_SHA384: Final = 1
_MUST_BE_ONE: Final = 1 << 17


@dataclass(frozen=True, slots=True)
class Report:
    """A report, read but not yet checked. Names are the table's.

    Attributes:
        version: 2, 3 or 5.
        guest_svn: the guest's own security version.
        policy: the guest's policy, as bits.
        family_id: 16 bytes from the guest's owner.
        image_id: 16 bytes from the guest's owner.
        vmpl: privilege level that asked, 0 to 3.
        platform_info: bits of the machine.
        key_info: which key signs, and what the host masks.
        report_data: 64 bytes from the guest.
        measurement: SHA-384 of what was launched.
        host_data: 32 bytes from the host at launch.
        id_key_digest: 48 bytes: of the key that signed the guest's identity block.
        author_key_digest: 48 bytes: of the key that signed that key.
        report_id: 32 bytes that name the guest.
        current_tcb: security versions of what runs, 8 bytes.
        reported_tcb: those that the host reports; the signing key is derived from them.
        committed_tcb: those below which it cannot go back.
        launch_tcb: those at launch.
        cpuid: family and model, or None in version 2.
        chip_id: 64 bytes.
        mitigations: of version 5: verified mitigations at launch and now, as bits; else None.
        signed: what is signed.
        r: first, and
        s: second number of the signature.
    """

    version: int
    guest_svn: int
    policy: int
    family_id: bytes
    image_id: bytes
    vmpl: int
    platform_info: int
    key_info: int
    report_data: bytes
    measurement: bytes
    host_data: bytes
    id_key_digest: bytes
    author_key_digest: bytes
    report_id: bytes
    current_tcb: bytes
    reported_tcb: bytes
    committed_tcb: bytes
    launch_tcb: bytes
    cpuid: tuple[int, int] | None
    chip_id: bytes
    mitigations: tuple[int, int] | None
    signed: bytes
    r: int
    s: int

    @property
    def debug(self) -> bool:
        """Whether the host may read and write the guest's memory."""
        return bool(self.policy >> 19 & 1)

    @property
    def migratable(self) -> bool:
        """Whether a migration agent may take the guest elsewhere."""
        return bool(self.policy >> 18 & 1)

    @property
    def signing_key(self) -> int:
        """0: VCEK, 1: VLEK, 7: none."""
        return self.key_info >> 2 & 7

    @property
    def chip_masked(self) -> bool:
        """Whether the host hides the chip (and then does not sign with its key)."""
        return bool(self.key_info >> 1 & 1)


def parse(content: bytes) -> Report:
    """Read a report.

    Args:
        content: 1184 bytes.

    Raises:
        Refused: ``MALFORMED``, or ``UNSUPPORTED`` for another version or signature algorithm.
    """
    if len(content) != SIZE:
        raise _malformed(f"it has not {SIZE} bytes")
    version, guest_svn, policy = struct.unpack_from("<IIQ", content)
    vmpl, algorithm = struct.unpack_from("<II", content, 0x30)
    platform_info, key_info = struct.unpack_from("<QI", content, 0x40)
    if version not in VERSIONS:
        raise Refused(Code.UNSUPPORTED, f"an SEV-SNP report of version {version}; 2, 3 and 5 are verified")
    if algorithm != _ECDSA_P384_SHA384:
        raise Refused(Code.UNSUPPORTED, "an SEV-SNP report that is not signed with ECDSA P-384 and SHA-384")
    if not policy & _MUST_BE_ONE or key_info >> 5:
        raise _malformed("reserved bits of its policy or of its key's description are not what they must be")
    if vmpl > 3:
        raise _malformed("no guest asked for it: its privilege level is none of 0 to 3")
    for start, end in _reserved(version):
        if any(content[start:end]):
            raise _malformed(f"reserved bytes from {start:#x} are not zero")
    r, s = (int.from_bytes(content[at : at + 72], "little") for at in (_SIGNED, _SIGNED + 72))
    return Report(
        version=version,
        guest_svn=guest_svn,
        policy=policy,
        family_id=content[0x10:0x20],
        image_id=content[0x20:0x30],
        vmpl=vmpl,
        platform_info=platform_info,
        key_info=key_info,
        report_data=content[0x50:0x90],
        measurement=content[0x90:0xC0],
        host_data=content[0xC0:0xE0],
        id_key_digest=content[0xE0:0x110],
        author_key_digest=content[0x110:0x140],
        report_id=content[0x140:0x160],
        current_tcb=content[0x38:0x40],
        reported_tcb=content[0x180:0x188],
        committed_tcb=content[0x1E0:0x1E8],
        launch_tcb=content[0x1F0:0x1F8],
        cpuid=None if version == 2 else (content[0x188], content[0x189]),
        chip_id=content[0x1A0:0x1E0],
        mitigations=struct.unpack_from("<QQ", content, 0x1F8) if version == 5 else None,
        signed=content[:_SIGNED],
        r=r,
        s=s,
    )


def _reserved(version: int) -> tuple[tuple[int, int], ...]:
    """From and to: bytes that must be zero. Version 3 brought the processor's family, 5 two vectors."""
    return (
        (0x4C, 0x50),
        (0x188 if version == 2 else 0x18B, 0x1A0),
        (0x1EB, 0x1EC),
        (0x1EF, 0x1F0),
        (0x208 if version == 5 else 0x1F8, _SIGNED),
        (_SIGNED + 144, SIZE),
    )


def _malformed(what: str) -> Refused:
    return Refused(Code.MALFORMED, f"not an SEV-SNP report: {what}")
