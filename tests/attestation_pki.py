# SPDX-License-Identifier: Apache-2.0
"""Hierarchies of our own with the vendors' shapes and names: Nitro documents and SNP reports of any content.

What is signed here is signed by keys made for the test, so it passes only where a test says that it trusts
them (`NitroWorld.trusted`, `AmdWorld.trusted`, or `verify_against`). Keys are made once per process.
"""

from __future__ import annotations

import base64
import hashlib
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import cbor2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from hitoku.attestation import roots
from hitoku.attestation.certificates import certificate
from hitoku.attestation.evidence import Evidence, Kind
from hitoku.attestation.verify import sev_snp

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
VECTORS = Path(__file__).resolve().parents[2] / "shared" / "vectors" / "attestation"
"""Real evidence of vendors' machines; it is no part of the project."""

needs_vectors = pytest.mark.skipif(not VECTORS.is_dir(), reason=f"the vendors' evidence is not at {VECTORS}")

P384 = ec.SECP384R1()
PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
PSS = padding.PSS(padding.MGF1(hashes.SHA384()), 48)


@cache
def ec_key(name: str) -> ec.EllipticCurvePrivateKey:
    """A P-384 key of that name."""
    return ec.generate_private_key(P384)


@cache
def rsa_key(name: str) -> rsa.RSAPrivateKey:
    """An RSA key of that name. AMD's have 4096 bits, which take seconds to find."""
    return rsa.generate_private_key(65537, 2048)


def name_of(common: str, **others: str) -> x509.Name:
    """A name as AWS's and AMD's certificates have them."""
    parts = {
        "C": NameOID.COUNTRY_NAME,
        "O": NameOID.ORGANIZATION_NAME,
        "OU": NameOID.ORGANIZATIONAL_UNIT_NAME,
    }
    named = [x509.NameAttribute(parts[k], v) for k, v in others.items()]
    return x509.Name([*named, x509.NameAttribute(NameOID.COMMON_NAME, common)])


def usage(*bits: str) -> x509.KeyUsage:
    """A keyUsage with those bits."""
    every = ["digital_signature", "content_commitment", "key_encipherment", "data_encipherment"]
    every += ("key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only")
    return x509.KeyUsage(**{bit: bit in bits for bit in every})


@dataclass
class Issued:
    """A certificate with its key, from which more are issued."""

    key: PrivateKey
    name: x509.Name
    der: bytes

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(self.der).hexdigest()


def issue(
    key: PrivateKey,
    name: x509.Name,
    issuer: Issued | None = None,
    *,
    authority: bool = True,
    path_length: int | None = None,
    bits: tuple[str, ...] | None = None,
    constraints: bool = True,
    constraints_critical: bool = True,
    validity: tuple[datetime, datetime] = (NOW - timedelta(days=1), NOW + timedelta(days=1)),
    extensions: tuple[tuple[x509.ExtensionType, bool], ...] = (),
    serial: int | None = None,
    signer: PrivateKey | None = None,
    hashed: hashes.SHA256 | hashes.SHA384 | None = None,
) -> Issued:
    """A certificate, self-signed without an issuer. `signer` signs in place of the issuer's key."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer.name if issuer else name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number() if serial is None else max(serial, 1))
        .not_valid_before(validity[0])
        .not_valid_after(validity[1])
    )
    if constraints:
        builder = builder.add_extension(
            x509.BasicConstraints(authority, path_length if authority else None), constraints_critical
        )
    if bits is None:
        bits = ("key_cert_sign", "crl_sign") if authority else ("digital_signature",)
    if bits:
        builder = builder.add_extension(usage(*bits), critical=True)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    signing = signer or (issuer.key if issuer else key)
    rsa_padding = PSS if isinstance(signing, rsa.RSAPrivateKey) else None
    signed = builder.sign(signing, hashed or hashes.SHA384(), rsa_padding=rsa_padding)
    der = signed.public_bytes(Encoding.DER)
    if serial == 0:  # as AMD has it, and as `cryptography` neither makes nor likes it
        der = edited(der, signing, lambda body: body.replace(b"\x02\x01\x01\x30", b"\x02\x01\x00\x30", 1))
    return Issued(key, name, der)


def edited(der: bytes, signer: PrivateKey, edit: Callable[[bytes], bytes]) -> bytes:
    """A certificate whose signed part was edited and signed again."""
    was = certificate(der)
    body = edit(was.body)
    assert body != was.body
    if isinstance(signer, rsa.RSAPrivateKey):
        signature = signer.sign(body, PSS, hashes.SHA384())
    else:
        signature = signer.sign(body, ec.ECDSA(hashes.SHA384()))
    return tlv(0x30, body + was.algorithm + tlv(0x03, b"\x00" + signature))


def tlv(tag: int, content: bytes) -> bytes:
    """A DER element."""
    size = len(content)
    if size < 128:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def crl(
    issuer: Issued, serials: tuple[int, ...] = (), *, this: datetime = NOW, until: datetime | None = None
) -> bytes:
    """A revocation list, DER."""
    builder = x509.CertificateRevocationListBuilder().issuer_name(issuer.name)
    builder = builder.last_update(this).next_update(until or this + timedelta(days=30))
    for serial in serials:
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(this)
        builder = builder.add_revoked_certificate(entry.build())
    padded = PSS if isinstance(issuer.key, rsa.RSAPrivateKey) else None
    return builder.sign(issuer.key, hashes.SHA384(), rsa_padding=padded).public_bytes(Encoding.DER)


# --- Nitro ---

AMAZON = {"OU": "AWS", "O": "Amazon", "C": "US"}


class NitroWorld:
    """A hierarchy with the names of AWS's, and enclaves under it.

    Attributes:
        root: its root.
        middle: regional, zonal and instance certificates, from above.
        leaf: what signs documents.
    """

    def __init__(self, tag: str = "ours", now: datetime = NOW) -> None:
        lives = (now - timedelta(hours=1), now + timedelta(hours=2))
        self.now = now
        self.root = issue(ec_key(f"{tag}-root"), named_as("aws-nitro-g1"), validity=lives)
        self.middle: list[Issued] = []
        for place, (common, length) in enumerate(
            [("a.us-east-1.aws.nitro-enclaves", 2), ("b.zonal.us-east-1.aws.nitro-enclaves", 1), ("i-0", 0)]
        ):
            above = self.middle[-1] if self.middle else self.root
            self.middle.append(
                issue(
                    ec_key(f"{tag}-{place}"),
                    name_of(common, **AMAZON),
                    above,
                    path_length=length,
                    validity=lives,
                )
            )
        self.leaf = issue(
            ec_key(f"{tag}-leaf"),
            name_of("i-0-enc0", **AMAZON),
            self.middle[-1],
            authority=False,
            validity=lives,
        )

    @property
    def pins(self) -> frozenset[str]:
        return frozenset({self.root.fingerprint})

    @contextmanager
    def trusted(self) -> Iterator[NitroWorld]:
        """Let the verifier take this root for AWS's, as a test must say."""
        with mock.patch.object(roots, "AWS_NITRO", self.pins):
            yield self

    def fields(self, **changes: Any) -> dict[str, Any]:
        """A payload; a field that is changed to `...` is left out."""
        pcrs = {i: bytes(48) for i in range(16)}
        pcrs |= {i: bytes([i + 1]) * 48 for i in range(3)}
        pcrs[4] = hashlib.sha384(bytes(48) + b"i-0123456789abcdef0").digest()
        fields = {
            "module_id": "i-0123456789abcdef0-enc0123456789abcdef",
            "digest": "SHA384",
            "timestamp": int(self.now.timestamp() * 1000),
            "pcrs": pcrs,
            "certificate": self.leaf.der,
            "cabundle": [self.root.der, *(m.der for m in self.middle)],
            "public_key": None,
            "user_data": b"data",
            "nonce": b"nonce",
        } | changes
        return {name: value for name, value in fields.items() if value is not ...}

    def document(self, *, key: ec.EllipticCurvePrivateKey | None = None, **changes: Any) -> bytes:
        """A document, signed by the leaf's key or another."""
        return self.sign(cbor2.dumps(self.fields(**changes)), key=key)

    def sign(
        self,
        payload: bytes,
        *,
        key: ec.EllipticCurvePrivateKey | None = None,
        protected: bytes = b"\xa1\x01\x38\x22",
    ) -> bytes:
        """A COSE_Sign1 around a payload."""
        r, s = sign_pair(key or self.leaf.key, cbor2.dumps(["Signature1", protected, b"", payload]))
        signature = r.to_bytes(48, "big") + s.to_bytes(48, "big")
        return cbor2.dumps([protected, {}, payload, signature])

    def evidence(self, **changes: Any) -> Evidence:
        """`document` as evidence."""
        return Evidence(Kind.NITRO, self.document(**changes))


def sign_pair(key: PrivateKey, body: bytes) -> tuple[int, int]:
    """r and s of ECDSA with SHA-384."""
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return decode_dss_signature(key.sign(body, ec.ECDSA(hashes.SHA384())))


# --- SEV-SNP ---

AMD = "1.3.6.1.4.1.3704.1."
ENGINEERING = {"OU": "Engineering", "C": "US", "O": "Advanced Micro Devices"}
CPUIDS = {"milan": (0x19, 0x01), "genoa": (0x19, 0x11), "turin": (0x1A, 0x02)}
CHIP = bytes(range(1, 65))


@dataclass
class AmdWorld:
    """A hierarchy with the names of AMD's for one product, and chips under it."""

    product: str = "milan"
    tag: str = "ours"
    ark: Issued = field(init=False)
    ask: Issued = field(init=False)
    asvk: Issued = field(init=False)

    def __post_init__(self) -> None:
        self.ark = issue(rsa_key(f"{self.tag}-ark"), named_as(f"ark-{self.product}"))
        for short in ("ask", "asvk"):
            one = issue(
                rsa_key(f"{self.tag}-{short}"),
                named_as(f"{short}-{self.product}"),
                self.ark,
                path_length=0,
                bits=("key_cert_sign",),
            )
            setattr(self, short, one)

    @property
    def products(self) -> tuple[sev_snp.Product, ...]:
        """AMD's products with this root in place of that product's."""
        return tuple(
            p._replace(
                root=certificate(self.ark.der),
                authorities=(certificate(self.ask.der), certificate(self.asvk.der)),
            )
            if p.names[0].lower() == self.product
            else p
            for p in sev_snp.products()
        )

    @contextmanager
    def trusted(self) -> Iterator[AmdWorld]:
        """Let the verifier take this root for AMD's, as a test must say."""
        with mock.patch.object(sev_snp, "products", lambda _=self.products: _):
            yield self

    @property
    def turin(self) -> bool:
        return self.product == "turin"

    def tcb(self, *, boot: int = 4, tee: int = 1, snp: int = 24, microcode: int = 219, fmc: int = 2) -> bytes:
        """A security version's 8 bytes, in the product's order."""
        if self.turin:
            return bytes([fmc, boot, tee, snp, 0, 0, 0, microcode])
        return bytes([boot, tee, 0, 0, 0, 0, snp, microcode])

    @property
    def chip(self) -> bytes:
        return CHIP[:8] + bytes(56) if self.turin else CHIP

    def endorse(
        self,
        *,
        loaded: bool = False,
        tcb: bytes | None = None,
        chip: bytes | None = None,
        name: str | None = None,
        serial: int = 0,
        without: str = "",
        issuer: Issued | None = None,
        validity: tuple[datetime, datetime] = (NOW - timedelta(days=1), NOW + timedelta(days=1)),
    ) -> Issued:
        """A certificate of a chip's key (VCEK) or of a loaded one (VLEK); `without` drops an extension."""
        order = (9, 1, 2, 3, 5, 6, 7, 8) if self.turin else (1, 2, 4, 5, 6, 7, 3, 8)
        values = {f"3.{n}": integer(v) for n, v in zip(order, tcb or self.tcb(), strict=True)}
        values |= {"1": integer(0), "2": tlv(0x16, (name or self.product.title()).encode())}
        if loaded:
            values["5"] = tlv(0x16, b"CN=cc-test.example")
        else:
            values["4"] = chip if chip is not None else self.chip[: 8 if self.turin else 64]
        values.pop(without, None)
        extensions = tuple(
            (x509.UnrecognizedExtension(x509.ObjectIdentifier(AMD + short), value), False)
            for short, value in values.items()
        )
        return issue(
            ec_key(f"{self.tag}-{'vlek' if loaded else 'vcek'}"),
            name_of("SEV-VLEK" if loaded else "SEV-VCEK", **ENGINEERING),
            issuer or (self.asvk if loaded else self.ask),
            authority=False,
            constraints=False,
            bits=(),
            extensions=extensions,
            serial=serial,
            validity=validity,
        )

    def report(
        self,
        *,
        version: int = 3,
        loaded: bool = False,
        policy: int = 0x3001F,
        vmpl: int = 0,
        key_info: int | None = None,
        report_data: bytes = bytes(64),
        measurement: bytes = b"\x07" * 48,
        reported: bytes | None = None,
        committed: bytes | None = None,
        current: bytes | None = None,
        cpuid: tuple[int, int] | None = None,
        chip: bytes | None = None,
        algorithm: int = 1,
        patches: dict[int, bytes] | None = None,
        key: ec.EllipticCurvePrivateKey | None = None,
    ) -> bytes:
        """A report; `patches` are bytes by offset, written before it is signed."""
        raw = bytearray(0x4A0)
        struct.pack_into("<IIQ", raw, 0, version, 0, policy)
        struct.pack_into("<II", raw, 0x30, vmpl, algorithm)
        struct.pack_into("<QI", raw, 0x40, 0x25, (loaded << 2) if key_info is None else key_info)
        raw[0x50:0x90] = report_data.ljust(64, b"\x00")
        raw[0x90:0xC0] = measurement
        raw[0x180:0x188] = reported or self.tcb()
        raw[0x38:0x40] = current or reported or self.tcb()
        raw[0x1E0:0x1E8] = committed or reported or self.tcb()
        raw[0x1F0:0x1F8] = committed or reported or self.tcb()
        if version > 2:
            raw[0x188], raw[0x189] = cpuid or CPUIDS[self.product]
        raw[0x1A0:0x1E0] = bytes(64) if loaded else (chip if chip is not None else self.chip)
        for at, content in (patches or {}).items():
            raw[at : at + len(content)] = content
        r, s = sign_pair(key or ec_key(f"{self.tag}-{'vlek' if loaded else 'vcek'}"), bytes(raw[:0x2A0]))
        raw[0x2A0:0x2E8] = r.to_bytes(72, "little")
        raw[0x2E8:0x330] = s.to_bytes(72, "little")
        return bytes(raw)

    def evidence(self, *, endorsements: dict[str, bytes] | None = None, **changes: Any) -> Evidence:
        """`report` as evidence, with its certificate."""
        loaded = bool(changes.get("loaded"))
        named = {("vlek" if loaded else "vcek"): self.endorse(loaded=loaded).der}
        return Evidence(Kind.SEV_SNP, self.report(**changes), named | (endorsements or {}))


def integer(value: int) -> bytes:
    """A DER INTEGER."""
    return tlv(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def spki(key: PrivateKey) -> bytes:
    """The public key, as certificates carry it."""
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def vector(name: str) -> bytes:
    """A file of the vendors' evidence; hexadecimal text is decoded."""
    content = (VECTORS / name).read_bytes()
    return bytes.fromhex(content.decode().strip()) if name.endswith(".hex") else content


def pem(*ders: bytes) -> bytes:
    """Certificates as a PEM bundle; not by `cryptography`, which warns of AMD's serial number."""
    blocks = (base64.encodebytes(der).decode() for der in ders)
    return "".join(f"-----BEGIN CERTIFICATE-----\n{b}-----END CERTIFICATE-----\n" for b in blocks).encode()


def named_as(packaged: str) -> x509.Name:
    """The subject's name of a vendor's certificate, byte for byte."""
    return x509.load_der_x509_certificate(roots.root(packaged).der).subject
