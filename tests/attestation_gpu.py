# SPDX-License-Identifier: Apache-2.0
"""A hierarchy of our own with NVIDIA's shapes and names: GPUs' measurements of any content."""

from __future__ import annotations

import base64
import json
import struct
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from tests.attestation_pki import NOW, Issued, ec_key, integer, issue, name_of, pem, sign_pair, spki, tlv

from hitoku.attestation.claims import Claims
from hitoku.attestation.evidence import Evidence, Kind
from hitoku.attestation.verify import nvidia

NONCE = bytes(range(32))
FIRMWARE = b"f" * 48
VBIOS = bytes.fromhex("005e009601000000")
OPAQUE = {6: VBIOS, 3: b"535.86.09\0", 11: b"\x55"}
SHA384 = tlv(0x06, bytes.fromhex("608648016503040202"))


def blocks(values: dict[int, bytes]) -> bytes:
    """Measurements by index, in the form that DMTF gives them."""
    return b"".join(
        struct.pack("<BBHBH", index, 1, len(value) + 3, 1, len(value)) + value
        for index, value in values.items()
    )


def fields(values: dict[int, bytes]) -> bytes:
    """NVIDIA's opaque fields."""
    return b"".join(struct.pack("<HH", kind, len(value)) + value for kind, value in values.items())


@dataclass
class GpuWorld:
    """NVIDIA's root, what is below it, and a GPU."""

    tag: str = "ours"
    root: Issued = field(init=False)
    middle: list[Issued] = field(init=False)

    def __post_init__(self) -> None:
        lives = (NOW - timedelta(days=1), NOW + timedelta(days=1))
        self.root = issue(
            ec_key(f"{self.tag}-gpu-root"), name_of("NVIDIA Device Identity CA", O="NVIDIA"), validity=lives
        )
        self.middle = []
        for name in ("NVIDIA GH100 Identity", "NVIDIA GH100 Provisioner ICA 1", "GH100 A01 GSP BROM"):
            above = self.middle[-1] if self.middle else self.root
            key = ec_key(f"{self.tag}-{name}")
            self.middle.append(issue(key, name_of(name, O="NVIDIA Corporation"), above, validity=lives))

    def leaf(self, *, firmware: bytes | None = FIRMWARE, later: bool = False, **options: Any) -> Issued:
        """The GPU's certificate; `later` puts the firmware's digest where Blackwell has it."""
        key = options.pop("key", None) or ec_key(f"{self.tag}-gpu")
        extensions: tuple[tuple[x509.ExtensionType, bool], ...] = ()
        if firmware is not None:
            digest = SHA384 + tlv(0x04, firmware)
            if later:
                oid, value = "2.23.133.5.4.1.1", tlv(0x30, tlv(0xA6, tlv(0x30, digest)))
            else:
                oid, value = "2.23.133.5.4.1", tlv(0x30, integer(1) + spki(key) + tlv(0x30, digest))
            extensions = ((x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), value), False),)
        issuer = options.pop("issuer", self.middle[-1])
        options = {"authority": False, "constraints": False, "serial": 0x1234, **options}
        return issue(
            key,
            name_of("GH100 A01 GSP FMC LF", O="NVIDIA Corporation"),
            issuer,
            extensions=extensions,
            **options,
        )

    def chain(self, leaf: Issued | None = None) -> bytes:
        """PEM, leaf first."""
        return pem((leaf or self.leaf()).der, *(m.der for m in reversed(self.middle)), self.root.der)

    def content(
        self,
        *,
        nonce: bytes = NONCE,
        record: bytes | None = None,
        count: int | None = None,
        opaque: bytes | None = None,
        request: bytes = b"\x11\xe0\x01\xff",
        key: ec.EllipticCurvePrivateKey | None = None,
    ) -> bytes:
        """Request and response, signed."""
        if record is None:
            record = blocks({i: bytes([i]) * 48 for i in range(1, 65)})
        if opaque is None:
            opaque = fields(OPAQUE)
        number = 64 if count is None else count
        signed = request + nonce + b"\0" + b"\x11\x60\x00\x00" + bytes([number])
        signed += len(record).to_bytes(3, "little") + record + bytes(32)
        signed += struct.pack("<H", len(opaque)) + opaque
        r, s = sign_pair(key or ec_key(f"{self.tag}-gpu"), signed)
        return signed + r.to_bytes(48, "big") + s.to_bytes(48, "big")

    def evidence(self, *, leaf: Issued | None = None, **options: Any) -> Evidence:
        """Bytes with their chain."""
        return Evidence(Kind.NVIDIA, self.content(**options), {"chain": self.chain(leaf)})

    def array(self, *contents: bytes, **changes: Any) -> Evidence:
        """JSON as NVIDIA's tools write it, of several devices."""
        devices = [
            {
                "version": "1.0",
                "arch": "HOPPER",
                "nonce": content[4:36].hex(),
                "evidence": base64.b64encode(content).decode(),
                "certificate": base64.b64encode(self.chain()).decode(),
            }
            | changes
            for content in contents
        ]
        return Evidence(Kind.NVIDIA, json.dumps(devices).encode())

    def verify(self, evidence: Evidence, now: datetime = NOW) -> Claims:
        """Check with this world's root in the place of NVIDIA's."""
        return nvidia.verify_against(evidence, now, (self.root.fingerprint,))
