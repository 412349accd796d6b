# SPDX-License-Identifier: Apache-2.0
"""TPMs for tests: swtpm where it is installed, and quotes of any content signed by keys of our own."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import struct
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.attestation_pki import AmdWorld, Issued, issue, name_of, pem

from hitoku.attestation import swtpm
from hitoku.attestation.evidence import Evidence, Kind
from hitoku.attestation.tpm2.structures import EK_TEMPLATE, selection
from hitoku.attestation.tpm2.wire import sized, u8, u16, u32

CONFIGURATION = {"secure-boot": True, "tpm-enabled": True, "console-enabled": False, "vmUniqueId": "1"}
QUOTED = (*range(8), 12)
EXTRA = hashlib.sha256(b"what it is bound to").digest()
RESTRICTED_SIGNING = 0x00050072


def need_swtpm() -> None:
    """Skip, or fail where everything is required, unless swtpm is installed."""
    if (what := swtpm.missing()) is not None:
        _missing(what)


def need_tools() -> None:
    """The same of tpm2-tools."""
    need_swtpm()
    for tool in ("tpm2_quote", "tpm2_checkquote", "tpm2_makecredential", "tpm2_activatecredential"):
        if shutil.which(tool) is None:
            _missing(f"{tool} is not installed (Debian: tpm2-tools, libtss2-tcti-swtpm0)")


def _missing(what: str) -> None:
    if os.environ.get("HITOKU_REQUIRE_ALL") == "1":
        pytest.fail(f"required, but missing: {what}")
    pytest.skip(what)


@cache
def rsa_key(name: str) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@cache
def ec_key(name: str, curve: str = "secp256r1") -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key({"secp256r1": ec.SECP256R1(), "secp384r1": ec.SECP384R1()}[curve])


def public_area(
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey,
    *,
    attributes: int = RESTRICTED_SIGNING,
    name_alg: int = 0x000B,
    scheme: int | None = None,
    hashed: int = 0x000B,
    curve: int = 3,
    tail: bytes = b"",
) -> bytes:
    """TPM2B_PUBLIC of an attestation key."""
    if isinstance(key, rsa.RSAPrivateKey):
        numbers = key.public_key().public_numbers()
        parameters = u16(key.key_size) + u32(0) + sized(numbers.n.to_bytes(key.key_size // 8))
        kind, scheme = 1, 0x0014 if scheme is None else scheme
    else:
        point = key.public_key().public_numbers()
        size = (key.curve.key_size + 7) // 8
        parameters = u16(curve) + u16(0x0010) + sized(point.x.to_bytes(size)) + sized(point.y.to_bytes(size))
        kind, scheme = 0x23, 0x0018 if scheme is None else scheme
    named = u16(scheme) + (b"" if scheme == 0x0010 else u16(hashed))
    head = u16(kind) + u16(name_alg) + u32(attributes) + sized(b"") + u16(0x0010)
    return sized(head + named + parameters + tail)


@dataclass
class PaperTpm:
    """Makes quotes as a TPM does, of whatever it is told, with keys that anybody may know.

    Attributes change what is said; `patches` override a field of the quote by name.
    """

    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey = field(default_factory=lambda: ec_key("ak"))
    values: dict[int, bytes] = field(default_factory=lambda: {n: bytes([n]) * 32 for n in QUOTED})
    patches: dict[str, bytes] = field(default_factory=dict)

    def quote(self, extra: bytes = EXTRA) -> bytes:
        digest = hashlib.sha256(b"".join(self.values[n] for n in sorted(self.values))).digest()
        fields = {
            "magic": bytes.fromhex("ff544347"),
            "type": bytes.fromhex("8018"),
            "signer": sized(bytes.fromhex("000b") + bytes(32)),
            "extra": sized(extra),
            "clock": struct.pack(">Q", 1234),
            "counts": u32(2) + u32(0),
            "safe": u8(1),
            "firmware": struct.pack(">Q", 0x2019102300163636),
            "selection": selection(self.values),
            "digest": sized(digest),
            "tail": b"",
        }
        assert self.patches.keys() <= fields.keys()
        return b"".join((fields | self.patches).values())

    def sign(self, quote: bytes) -> bytes:
        if isinstance(self.key, rsa.RSAPrivateKey):
            return u16(0x14) + u16(0x0B) + sized(self.bare(quote))
        r, s = decode_dss_signature(self.key.sign(quote, ec.ECDSA(hashes.SHA256())))
        return (
            u16(0x18) + u16(0x0B) + sized(r.to_bytes(48).lstrip(b"\0")) + sized(s.to_bytes(48).lstrip(b"\0"))
        )

    def bare(self, quote: bytes) -> bytes:
        assert isinstance(self.key, rsa.RSAPrivateKey)
        return self.key.sign(quote, padding.PKCS1v15(), hashes.SHA256())

    def pcrs(self) -> bytes:
        return json.dumps({str(n): value.hex() for n, value in self.values.items()}).encode()

    def evidence(self, **endorsements: bytes | None) -> Evidence:
        """A quote with its endorsements; those given replace, None takes away."""
        quote = self.quote()
        named: dict[str, bytes | None] = {
            "signature": self.sign(quote),
            "ak": public_area(self.key),
            "pcrs": self.pcrs(),
        }
        named |= {name.replace("_", "-"): content for name, content in endorsements.items()}
        return Evidence(Kind.TPM, quote, {n: c for n, c in named.items() if c is not None})


def ak_pem(key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey) -> bytes:
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def ek_public(key: rsa.RSAPrivateKey) -> bytes:
    """TPM2B_PUBLIC of template L-1."""
    return sized(EK_TEMPLATE[:-256] + key.public_key().public_numbers().n.to_bytes(256))


@dataclass
class Maker:
    """A maker of TPMs: a root, an intermediate authority, certificates of endorsement keys."""

    tag: str = "maker"

    def __post_init__(self) -> None:
        self.root = issue(ec_key(f"{self.tag}-root", "secp384r1"), name_of(f"{self.tag} root"))
        self.middle = issue(
            ec_key(f"{self.tag}-middle", "secp384r1"), name_of(f"{self.tag} CA"), self.root, path_length=0
        )

    @property
    def chain(self) -> bytes:
        return pem(self.middle.der, self.root.der)

    def certify(self, key: rsa.RSAPrivateKey, purpose: str = "2.23.133.8.1", **changes: Any) -> Issued:
        """The certificate of an endorsement key, as the EK Credential Profile has it."""
        tpm = x509.Name(
            [
                x509.NameAttribute(x509.ObjectIdentifier(f"2.23.133.2.{n}"), text)
                for n, text in ((1, "id:54455354"), (2, "paper"), (3, "id:00010002"))
            ]
        )
        extensions = (
            (x509.SubjectAlternativeName([x509.DirectoryName(tpm)]), True),
            (x509.ExtendedKeyUsage([x509.ObjectIdentifier(purpose)]), False),
        )
        given: dict[str, Any] = {"authority": False, "bits": ("key_encipherment",), "extensions": extensions}
        return issue(key, name_of("unknown"), self.middle, **(given | changes))


def azure_report(
    hardware: bytes, key: rsa.RSAPrivateKey, *, kind: int = 2, hashed: int = 1, runtime: bytes | None = None
) -> bytes:
    """Azure's report (HCL) over a hardware report."""
    runtime = runtime_data(key) if runtime is None else runtime
    head = b"HCLA" + struct.pack("<7I", 2, 32 + 0x4A0 + 20 + len(runtime), 2, 0, 0, 0, 0)
    middle = struct.pack("<5I", 20 + len(runtime), 1, kind, hashed, len(runtime))
    return (head + hardware.ljust(0x4A0, b"\0") + middle + runtime).ljust(2600, b"\0")


def runtime_data(key: rsa.RSAPrivateKey, **changes: Any) -> bytes:
    modulus = key.public_key().public_numbers().n.to_bytes(key.key_size // 8)
    jwk = {"kid": "HCLAkPub", "key_ops": ["sign"], "kty": "RSA", "e": "AQAB", "n": _base64url(modulus)}
    data = {"keys": [jwk], "vm-configuration": CONFIGURATION, "user-data": "00"}
    return json.dumps(data | changes).encode()


@dataclass
class AzureWorld:
    """Azure's form of evidence on an AMD hierarchy of our own."""

    amd: AmdWorld = field(default_factory=AmdWorld)
    vtpm: PaperTpm = field(default_factory=lambda: PaperTpm(rsa_key("vtpm"), _twenty_four()))

    @property
    def key(self) -> rsa.RSAPrivateKey:
        assert isinstance(self.vtpm.key, rsa.RSAPrivateKey)
        return self.vtpm.key

    def parts(self, *, runtime: bytes | None = None, **report: Any) -> dict[str, Any]:
        """The inner object, to be edited."""
        runtime = runtime_data(self.key) if runtime is None else runtime
        report = {"report_data": hashlib.sha256(runtime).digest()} | report
        hardware = self.amd.report(**report)
        quote = self.vtpm.quote()
        return {
            "version": 1,
            "tpm_quote": {
                "signature": self.vtpm.bare(quote).hex(),
                "message": quote.hex(),
                "pcrs": [self.vtpm.values[n].hex() for n in range(24)],
            },
            "hcl_report": _base64url(azure_report(hardware, self.key, runtime=runtime)),
            "vcek": _base64url(self.amd.endorse().der),
        }

    def evidence(self, parts: Mapping[str, Any] | None = None, **changes: Any) -> Evidence:
        whole = {"platform": "az-snp", "evidence": self.parts(**changes) if parts is None else parts}
        return Evidence(Kind.AZURE_SNP, json.dumps(whole).encode())


def _twenty_four() -> dict[int, bytes]:
    return {n: bytes([n]) * 32 for n in range(24)}


def _base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def flipped(content: bytes, places: Iterable[int]) -> Iterable[bytes]:
    """The content with the lowest bit of one byte flipped, for each place in turn."""
    for place in places:
        changed = bytearray(content)
        changed[place] ^= 1
        yield bytes(changed)


def tool(place: Any, *words: str, folder: Any) -> str:
    """Run one of tpm2-tools on a swtpm that listens at a path."""
    done = subprocess.run(
        words,
        cwd=folder,
        env={"PATH": os.environ["PATH"], "TPM2TOOLS_TCTI": f"swtpm:path={place}"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{words[0]}: {done.stderr}"
    return done.stdout
