# SPDX-License-Identifier: Apache-2.0
"""A hierarchy of our own with Intel's shapes and names: TDX and SGX quotes with collateral, of any content.

It passes only where a test names its root (`IntelWorld.verify`).
"""

from __future__ import annotations

import hashlib
import json
import struct
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.attestation_pki import NOW, Issued, integer, issue, name_of, pem, tlv

from hitoku.attestation.certificates import certificate
from hitoku.attestation.claims import Claims
from hitoku.attestation.evidence import Evidence, Kind
from hitoku.attestation.verify import tdx

QE_VENDOR = bytes.fromhex("939a7233f79c4ca9940a0db3957f0607")
FMSPC = bytes.fromhex("b0c06f000000")
CPU_SVN = bytes([3, 3, 2, 2, 4, 1, 0, 5]) + bytes(8)
TEE_TCB_SVN = bytes([6, 1, 3]) + bytes(13)
MR_SIGNER = bytes(range(32))
SEPT_VE_DISABLE = bytes.fromhex("0000001000000000")
PLACE = {"O": "Intel Corporation", "C": "US"}


@cache
def p256(name: str) -> ec.EllipticCurvePrivateKey:
    """A P-256 key of that name."""
    return ec.generate_private_key(ec.SECP256R1())


def raw_signature(key: ec.EllipticCurvePrivateKey, body: bytes) -> bytes:
    """ECDSA with SHA-256, r then s."""
    r, s = decode_dss_signature(key.sign(body, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def sgx_extension(
    *, fmspc: bytes = FMSPC, cpu_svn: bytes = CPU_SVN, pce_svn: int = 11, ppid: bytes = b"P" * 16
) -> bytes:
    """What Intel writes into a platform's certificate."""
    base = bytes.fromhex("2a864886f84d010d01")

    def pair(arcs: bytes, value: bytes) -> bytes:
        return tlv(0x30, tlv(0x06, base + arcs) + value)

    parts = [pair(bytes([2, i + 1]), integer(svn)) for i, svn in enumerate(cpu_svn)]
    parts += [pair(bytes([2, 17]), integer(pce_svn)), pair(bytes([2, 18]), tlv(0x04, cpu_svn))]
    fields = pair(b"\x01", tlv(0x04, ppid)) + pair(b"\x02", tlv(0x30, b"".join(parts)))
    fields += pair(b"\x03", tlv(0x04, bytes(2))) + pair(b"\x04", tlv(0x04, fmspc))
    return tlv(0x30, fields + pair(b"\x05", tlv(0x0A, b"\x01")))


def level(status: str = "UpToDate", *, cpu: bytes = CPU_SVN, pce: int = 11, tee: bytes | None = None) -> Any:
    """A TCB level of the TCB info."""
    tcb: dict[str, Any] = {"sgxtcbcomponents": [{"svn": svn} for svn in cpu], "pcesvn": pce}
    if tee is not None:
        tcb["tdxtcbcomponents"] = [{"svn": svn} for svn in tee]
    made = {"tcb": tcb, "tcbDate": "2026-01-01T00:00:00Z", "tcbStatus": status}
    return made if status == "UpToDate" else made | {"advisoryIDs": ["INTEL-SA-00615"]}


def enclave(**fields: Any) -> bytes:
    """An SGX report body, 384 bytes."""
    made = bytearray(384)
    places = {"cpu_svn": 0, "miscselect": 16, "attributes": 48, "mrenclave": 64, "mrsigner": 128}
    places |= {"isvprodid": 256, "isvsvn": 258, "report_data": 320}
    for name, value in {"cpu_svn": CPU_SVN, "attributes": b"\x05", **fields}.items():
        made[places[name] : places[name] + len(value)] = value
    return bytes(made)


def domain(version: int = 4, **fields: bytes) -> bytes:
    """A TD report body: 584 bytes, or 648 for version 5 (TDX 1.5)."""
    names = {"tee_tcb_svn": 16, "mrseam": 48, "mrsignerseam": 48, "seam_attributes": 8, "td_attributes": 8}
    names |= {"xfam": 8, "mrtd": 48, "mrconfigid": 48, "mrowner": 48, "mrownerconfig": 48}
    names |= {f"rtmr{i}": 48 for i in range(4)} | {"report_data": 64}
    names |= {"tee_tcb_svn2": 16, "mrservicetd": 48} if version == 5 else {}
    given = {
        "tee_tcb_svn": TEE_TCB_SVN,
        "tee_tcb_svn2": TEE_TCB_SVN,
        "td_attributes": SEPT_VE_DISABLE,
        "mrtd": b"\x07" * 48,
    } | fields
    return b"".join(given.get(name, b"").ljust(size, b"\0") for name, size in names.items())


@dataclass
class IntelWorld:
    """A root, a platform under it, and the service that signs collateral.

    Attributes:
        tag: other tags give other keys, with the same names.
        now: certificates and lists hold a day before and after it.
    """

    tag: str = "ours"
    now: datetime = NOW
    root: Issued = field(init=False)
    platform: Issued = field(init=False)
    service: Issued = field(init=False)

    def __post_init__(self) -> None:
        self.root = self.issue("Intel SGX Root CA", None, path_length=1)
        self.platform = self.issue("Intel SGX PCK Platform CA", self.root, path_length=0)
        self.service = self.issue("Intel SGX TCB Signing", self.root, authority=False)

    def issue(self, common: str, issuer: Issued | None, **options: Any) -> Issued:
        """A certificate of that name, signed with SHA-256."""
        lives = options.pop("validity", (self.now - timedelta(days=1), self.now + timedelta(days=1)))
        key = p256(f"{self.tag}-{options.pop('key', common)}")
        named = name_of(common, **PLACE)
        return issue(key, named, issuer, hashed=hashes.SHA256(), validity=lives, **options)

    def pck(self, common: str = "Intel SGX PCK Certificate", **options: Any) -> Issued:
        """A platform's certificate; options are `sgx_extension`'s, ``issuer`` and ``validity``."""
        issuer = options.pop("issuer", self.platform)
        lives = {name: options.pop(name) for name in ("validity", "serial") if name in options}
        oid = x509.ObjectIdentifier("1.2.840.113741.1.13.1")
        extension = x509.UnrecognizedExtension(oid, sgx_extension(**options))
        bits = ("digital_signature", "content_commitment")
        return self.issue(
            common, issuer, key="pck", authority=False, bits=bits, extensions=((extension, False),), **lives
        )

    def crl(self, issuer: Issued, serials: tuple[int, ...] = (), *, until: datetime | None = None) -> bytes:
        """A revocation list with the number that Intel's have."""
        builder = x509.CertificateRevocationListBuilder().issuer_name(issuer.name)
        builder = builder.last_update(self.now - timedelta(days=1))
        builder = builder.next_update(until or self.now + timedelta(days=1))
        builder = builder.add_extension(x509.CRLNumber(1), critical=False)
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()), critical=False
        )
        for serial in serials:
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(self.now)
            builder = builder.add_revoked_certificate(entry.build())
        return builder.sign(issuer.key, hashes.SHA256()).public_bytes(Encoding.DER)

    # --- collateral ---

    def tcb_info(self, kind: Kind = Kind.TDX, **changes: Any) -> str:
        """The TCB info as Intel writes it; a change to `...` leaves a field out."""
        made: dict[str, Any] = {"id": kind.upper(), "version": 3} | self._times()
        made |= {"fmspc": FMSPC.hex(), "pceId": "0000", "tcbType": 0, "tcbEvaluationDataNumber": 17}
        tee = TEE_TCB_SVN if kind is Kind.TDX else None
        if kind is Kind.TDX:
            module = {"mrsigner": "00" * 48, "attributes": "00" * 8, "attributesMask": "FF" * 8}
            ok = {"tcb": {"isvsvn": 4}, "tcbDate": "2026-01-01T00:00:00Z", "tcbStatus": "UpToDate"}
            made |= {
                "tdxModule": module,
                "tdxModuleIdentities": [{"id": "TDX_01", **module, "tcbLevels": [ok]}],
            }
        made |= {"tcbLevels": [level(tee=tee)]} | changes
        return json.dumps({name: value for name, value in made.items() if value is not ...})

    def qe_identity(self, kind: Kind = Kind.TDX, status: str = "UpToDate", **changes: Any) -> str:
        """The quoting enclave's identity."""
        made: dict[str, Any] = {"id": "TD_QE" if kind is Kind.TDX else "QE", "version": 2} | self._times()
        made |= {"tcbEvaluationDataNumber": 17, "miscselect": "00000000", "miscselectMask": "FFFFFFFF"}
        made |= {"attributes": "05" + "00" * 15, "attributesMask": "FF" * 16, "mrsigner": MR_SIGNER.hex()}
        made["isvprodid"] = 2 if kind is Kind.TDX else 1
        made["tcbLevels"] = [
            {"tcb": {"isvsvn": 4}, "tcbDate": "2026-01-01T00:00:00Z", "tcbStatus": status, "advisoryIDs": []}
        ]
        return json.dumps(made | changes)

    def _times(self) -> dict[str, str]:
        form = "%Y-%m-%dT%H:%M:%SZ"
        issued, until = self.now - timedelta(hours=6), self.now + timedelta(hours=6)
        return {"issueDate": issued.strftime(form), "nextUpdate": until.strftime(form)}

    def collateral(self, kind: Kind = Kind.TDX, **changes: Any) -> dict[str, Any]:
        """`QuoteCollateralV3`, signed; a change to `...` leaves a field out."""
        tcb_info = changes.pop("tcb_info", None) or self.tcb_info(kind)
        identity = changes.pop("qe_identity", None) or self.qe_identity(kind)
        service = changes.pop("service", self.service)
        chain = pem(service.der, self.root.der).decode()
        made: dict[str, Any] = {
            "pck_crl_issuer_chain": pem(self.platform.der, self.root.der).decode(),
            "root_ca_crl": self.crl(self.root).hex(),
            "pck_crl": self.crl(self.platform).hex(),
            "tcb_info_issuer_chain": chain,
            "tcb_info": tcb_info,
            "tcb_info_signature": raw_signature(service.key, tcb_info.encode()).hex(),
            "qe_identity_issuer_chain": chain,
            "qe_identity": identity,
            "qe_identity_signature": raw_signature(service.key, identity.encode()).hex(),
        } | changes
        return {name: value for name, value in made.items() if value is not ...}

    # --- quotes ---

    def quote(
        self,
        kind: Kind = Kind.TDX,
        version: int = 4,
        *,
        body: bytes | None = None,
        chain: bytes | None = None,
        certification: int = 5,
        qe: dict[str, bytes] | None = None,
        key: str = "attestation",
        vouched: str = "attestation",
        vendor: bytes = QE_VENDOR,
        key_type: int = 2,
    ) -> bytes:
        """A quote; `key` signs it, the quoting enclave vouches for `vouched`."""
        tee = 0x81 if kind is Kind.TDX else 0
        if body is None:
            body = domain(version) if kind is Kind.TDX else enclave(report_data=b"\x01" * 64)
        signed = struct.pack("<HHI", version, key_type, tee) + bytes(4) + vendor + bytes(20)
        if version == 5:
            signed += struct.pack("<HI", {584: 2, 648: 3}.get(len(body), 9), len(body))
        signed += body
        auth, point = bytes(range(32)), _point(p256(f"{self.tag}-{vouched}"))
        fields = {
            "mrsigner": MR_SIGNER,
            "isvprodid": b"\x02\x00" if tee else b"\x01\x00",
            "isvsvn": b"\x05\x00",
        }
        report = enclave(**(fields | {"report_data": hashlib.sha256(point + auth).digest()} | (qe or {})))
        if chain is None:
            chain = pem(self.pck().der, self.platform.der, self.root.der)
        platform = raw_signature(p256(f"{self.tag}-pck"), report)
        inner = report + platform + struct.pack("<H", len(auth)) + auth
        inner += struct.pack("<HI", certification, len(chain)) + chain
        if tee:
            inner = struct.pack("<HI", 6, len(inner)) + inner
        signing = p256(f"{self.tag}-{key}")
        data = raw_signature(signing, signed) + _point(signing) + inner
        return signed + struct.pack("<I", len(data)) + data

    def evidence(
        self, kind: Kind = Kind.TDX, collateral: dict[str, Any] | None = None, **options: Any
    ) -> Evidence:
        """`quote` with its collateral, as evidence."""
        version = options.pop("version", 4 if kind is Kind.TDX else 3)
        given = self.collateral(kind) if collateral is None else collateral
        quote = self.quote(kind, version, **options)
        return Evidence(kind, quote, {"collateral": json.dumps(given).encode()})

    def verify(self, evidence: Evidence, now: datetime | None = None) -> Claims:
        """Check with this world's root in the place of Intel's."""
        return tdx.verify_against(evidence, now or self.now, certificate(self.root.der))


def _point(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)[1:]
