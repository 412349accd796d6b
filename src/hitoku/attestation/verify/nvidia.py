# SPDX-License-Identifier: Apache-2.0
"""NVIDIA GPUs (Hopper, Blackwell): measurements that the device signed, up to NVIDIA's device identity root.

Content: the SPDM request and response as bytes, with the endorsement ``chain`` (PEM, leaf first); or the JSON
array that NVIDIA's tools write, of one object for each device, with the chain inside.

Checked: form, chain to the pinned root at `now`, signature over request and response, that the leaf's
firmware identity (DICE FWID) is the one that the device reports where it does, one nonce for all devices.
Whether the measurements are good ones, whether the device is in debug mode and whether a certificate was
revoked only NVIDIA's manifests (RIM) and its OCSP service say: these are told as not checked. Evidence of a
GPU does not say in which machine it is: bind its nonce to the machine's own evidence.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from hitoku.attestation import roots
from hitoku.attestation.claims import Claims
from hitoku.attestation.codes import Code, Refused
from hitoku.attestation.evidence import Evidence, Kind
from hitoku.attestation.names import common_name
from hitoku.attestation.signatures import verify_pair
from hitoku.attestation.spdm import Measured, parse
from hitoku.attestation.strict import der
from hitoku.attestation.x509 import Certificate, Window, certificates, walk

__all__ = ["verify", "verify_against"]

_MOST_DEVICES: Final = 16
# DICE extensions of the leaf (TCG, "DICE Attestation Architecture"): Hopper's and Blackwell's.
_COMPOSITE_ID, _TCB_INFO = "2.23.133.5.4.1", "2.23.133.5.4.1.1"
_SHA384: Final = "2.16.840.1.101.3.4.2.2"
_DRIVER, _VBIOS, _FWID = 3, 6, 20
_NOT_CHECKED: Final = (
    "whether the measurements are those of an intact driver and VBIOS: NVIDIA's manifests (RIM) say that",
    "whether the device is in debug mode: that shows in the measurements only",
    "whether a certificate was revoked: NVIDIA's OCSP service says that",
    "in which machine the GPU is: bind its nonce to that machine's evidence",
)


@dataclass(frozen=True, slots=True)
class _Device:
    measured: Measured
    chain: tuple[Certificate, ...]
    window: Window


def verify(evidence: Evidence, now: datetime) -> Claims:
    """Check evidence of one or several GPUs. See `hitoku.attestation.verify.verify`."""
    return verify_against(evidence, now, roots.NVIDIA_DEVICE_IDENTITY)


def verify_against(evidence: Evidence, now: datetime, pins: Collection[str]) -> Claims:
    """The same, to other roots: for tests' own hierarchies. `pins` as `x509.walk` takes them."""
    if evidence.content[:1] == b"[":
        given = [_from_json(one) for one in _array(evidence.content)]
    else:
        chain = evidence.endorsements.get("chain")
        if chain is None:
            raise Refused(Code.MISSING_ENDORSEMENT, "the GPU's certificate chain is needed")
        given = [(evidence.content, chain)]
    devices = [_device(content, chain, now, pins) for content, chain in given]
    nonce = devices[0].measured.nonce
    if any(not hmac.compare_digest(d.measured.nonce, nonce) for d in devices):
        raise Refused(Code.NONCE_MISMATCH, "the devices answer different challenges")
    return _claims(devices)


def _array(content: bytes) -> list[Any]:
    try:
        array = json.loads(content)
    except (ValueError, RecursionError):
        raise Refused(Code.MALFORMED, "the evidence is not JSON") from None
    if not isinstance(array, list) or not 1 <= len(array) <= _MOST_DEVICES:
        raise Refused(Code.MALFORMED, f"the evidence is not of 1 to {_MOST_DEVICES} devices")
    return array


def _from_json(one: object) -> tuple[bytes, bytes]:
    if not isinstance(one, dict):
        raise Refused(Code.MALFORMED, "a device's evidence is not an object")
    content, chain = (_base64(one.get(name)) for name in ("evidence", "certificate"))
    nonce = one.get("nonce")
    if nonce is not None and str(nonce).lower() != content[4:36].hex():
        raise Refused(Code.NONCE_MISMATCH, "the nonce beside the evidence is not the one inside it")
    return content, chain


def _base64(value: object) -> bytes:
    try:
        return base64.b64decode(value, validate=True) if isinstance(value, str) else b""
    except (binascii.Error, ValueError):
        raise Refused(Code.MALFORMED, "a device's evidence or certificate is not base64") from None


def _device(content: bytes, chain: bytes, now: datetime, pins: Collection[str]) -> _Device:
    measured, links = parse(content), certificates(chain)
    window = walk(links, pins, now)
    key = links[0].public_key
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp384r1":
        raise Refused(Code.UNSUPPORTED, "the GPU's key is not of P-384")
    if not verify_pair(key, measured.r, measured.s, measured.signed, hashes.SHA384()):
        raise Refused(Code.SIGNATURE, "the measurements are not signed by the key in the leaf certificate")
    reported = measured.opaque.get(_FWID)
    if reported is not None and reported != _firmware_id(links[0]):
        raise Refused(Code.HARDWARE_MISMATCH, "the GPU runs other firmware than its certificate says")
    return _Device(measured, links, window)


def _firmware_id(leaf: Certificate) -> bytes | None:
    """The SHA-384 digest of the firmware that held the leaf's key when it was certified."""
    extension = leaf.extensions.get(_COMPOSITE_ID)
    if extension is not None:
        fields = der(extension.value, most=1 << 12).children()
        parts = fields[-1].children()
    else:
        extension = leaf.extensions.get(_TCB_INFO)
        if extension is None:
            return None
        fields = der(extension.value, most=1 << 12).children()
        lists = [field for field in fields if field.tag == 0xA6]
        parts = lists[0].children(0xA6)[0].children() if lists else ()
    if len(parts) != 2 or parts[0].oid() != _SHA384:
        raise Refused(Code.UNSUPPORTED, "the firmware's identity is not a SHA-384 digest")
    return parts[1].octets()


def _claims(devices: list[_Device]) -> Claims:
    measurements: dict[str, str] = {}
    extra: dict[str, Any] = {"devices": len(devices)}
    for number, device in enumerate(devices):
        prefix = "" if len(devices) == 1 else f"gpu{number}."
        for index, digest in sorted(device.measured.blocks.items()):
            measurements[f"{prefix}msr{index}"] = digest.hex()
        extra |= {prefix + name: value for name, value in _told(device).items()}
    models = {_model(device) for device in devices}
    return Claims(
        kind=Kind.NVIDIA,
        measurements=measurements,
        report_data=devices[0].measured.nonce,
        software_rooted=False,
        hardware_model=" ".join(sorted(models)),
        hardware_id=",".join(f"{device.chain[0].serial:040x}" for device in devices),
        not_before=max(device.window.not_before for device in devices),
        not_after=min(device.window.not_after for device in devices),
        extra=extra,
        not_checked=_NOT_CHECKED,
    )


def _told(device: _Device) -> Mapping[str, str]:
    """The signed versions. That of the VBIOS is two little-endian numbers: main, then its last byte."""
    told = {}
    driver = device.measured.opaque.get(_DRIVER)
    if driver is not None:
        told["driver_version"] = driver.rstrip(b"\0").decode("ascii", "replace")
    vbios = device.measured.opaque.get(_VBIOS)
    if vbios is not None and len(vbios) == 8:
        main = vbios[3::-1]
        told["vbios_version"] = ".".join(f"{byte:02X}" for byte in (*main, vbios[4]))
    return told


def _model(device: _Device) -> str:
    """The common name of the authority that certified the leaf: the GPU's boot ROM."""
    authority = device.chain[min(1, len(device.chain) - 1)]
    return common_name(authority.subject) or "NVIDIA GPU"
