# SPDX-License-Identifier: Apache-2.0
"""Quotes of a TPM 2.0 (TCG TPM 2.0 Library; PC Client Platform TPM Profile for what each PCR means).

Endorsements: ``signature`` (TPMT_SIGNATURE), ``ak`` (TPM2B_PUBLIC, or the bare key in PEM), ``pcrs`` (values
of the SHA-256 bank); optional ``log`` (events, oldest first), ``ek`` (certificate, or TPM2B_PUBLIC of
template L-1), ``ek-chain`` (PEM) and ``crl``.

Checked here, always: the form; that a TPM made it up itself (magic number) with a key that signs nothing else
of that form (fixedTPM, restricted, sign, not decrypt); the signature; that the selection has PCRs 0 to 7, the
boot chain, without which no later PCR means anything; that the values beside it are those that it signs; that
the log, where there is one, leads to the PCRs that it names; that the TPM's clock did not go back; the
endorsement key's chain, as far as it goes.

What the verifier cannot demand, and the appraisal must:

- PCR 12, the program's. Which PCR names a program is a matter of who measured it, so it stands in reference
  values: a quote without PCR 12 has no measurement ``pcr12`` and so fits none that has.
- the public area of the attestation key (``ak_name``), with a credential activated for that name. A key in
  PEM says nothing of its attributes; the claims then have no ``ak_name``, and ``not_checked`` says so.
- an endorsement key's root (``ek_root``) that the room names as hardware. Any authority can be written: here
  a TPM is always software-rooted.

PCRs 16 to 23 can be set back while the machine runs, 16 and 23 by anyone (PC Client Profile, "PCR
attributes"): a program that resets PCR 23 and extends it again forges any value in it. They are no
measurements; they stand in `extra`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from hitoku.attestation.claims import Claims
from hitoku.attestation.codes import Code, Refused
from hitoku.attestation.credential import endorsement_key
from hitoku.attestation.evidence import Evidence, Kind
from hitoku.attestation.signatures import verify_pair
from hitoku.attestation.strict import der
from hitoku.attestation.tpm2 import wire
from hitoku.attestation.tpm2.pcrs import Event, read_log, read_pcrs, replay
from hitoku.attestation.tpm2.structures import Attest, Public, Signature, pcr_digest
from hitoku.attestation.x509 import (
    KEY_ENCIPHERMENT,
    Certificate,
    Window,
    certificate,
    certificates,
    path,
    revocation_list,
    walk,
)

__all__ = ["BOOT_PCRS", "STATIC_PCRS", "SigningKey", "claims_of_pcrs", "quoted", "verify"]

BOOT_PCRS: Final = frozenset(range(8))
STATIC_PCRS: Final = frozenset(range(16))
"""They start at zero and are reset with the whole TPM only."""

SigningKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey

_ALT_NAME, _KEY_PURPOSE = "2.5.29.17", "2.5.29.37"
_EK_PURPOSE: Final = "2.23.133.8.1"
_TPM_NAMES: Final = {"2.23.133.2.1": "manufacturer", "2.23.133.2.2": "model", "2.23.133.2.3": "version"}
_MOST_CLOCK: Final = 1 << 53
"""What JSON carries exactly; in milliseconds 285,000 years."""


def verify(evidence: Evidence, now: datetime) -> Claims:
    """Check a quote; see the module for what is left to the appraisal.

    Raises:
        Refused: with its code.
    """
    beside = evidence.endorsements
    for name in ("signature", "ak", "pcrs"):
        if name not in beside:
            raise Refused(Code.MISSING_ENDORSEMENT, f"a quote is not checked without its `{name}`")
    key, public = _attestation_key(beside["ak"])
    attest = quoted(evidence.content, key, Signature.parse(beside["signature"]))
    measurements, extra = claims_of_pcrs(attest, read_pcrs(beside["pcrs"]))
    left = ["that the attestation key is in the TPM of its endorsement key: activate a credential for both"]
    if public is None:
        left.insert(
            0, "that the key is an attestation key of a TPM: its public area is not there, the key alone"
        )
    else:
        extra["ak_name"] = public.name.hex()
    if "log" in beside:
        extra["event_log"] = _explained(read_log(beside["log"]), measurements, extra)
    hardware_id = model = window = None
    if "ek" in beside:
        ek = endorsement_key(beside["ek"])
        spki = ek.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        hardware_id = hashlib.sha256(spki).hexdigest()
        root, model, window = _endorsed(beside, now)
        if root is not None:
            extra["ek_root"] = root
            left.append("that the endorsement key's authority is one that makes TPMs in hardware")
        else:
            left.append("who vouches for the endorsement key: no certificate of an issuer is there")
    else:
        left.append("which TPM it is: its endorsement key is not there")
    return Claims(
        kind=Kind.TPM,
        measurements=measurements,
        report_data=attest.extra_data,
        software_rooted=True,
        hardware_model=model,
        hardware_id=hardware_id,
        not_before=window.not_before if window else None,
        not_after=window.not_after if window else None,
        extra=extra,
        not_checked=tuple(left),
    )


def quoted(content: bytes, key: SigningKey, signature: Signature) -> Attest:
    """The quote in these bytes, signed by that key, of the boot chain, by a TPM whose clock is in order.

    Args:
        content: TPMS_ATTEST.
        key: of ECDSA on P-256 or P-384, or RSA of 2048 to 4096 bits.
        signature: with SHA-256.

    Raises:
        Refused: ``MALFORMED``, ``UNSUPPORTED``, ``SIGNATURE`` or ``POLICY``.
    """
    attest = Attest.parse(content)
    if isinstance(key, ec.EllipticCurvePublicKey):
        good = signature.scheme == wire.ECDSA and verify_pair(
            key, signature.r, signature.s, content, SHA256()
        )
    else:
        good = signature.scheme == wire.RSASSA and _rsa(key, signature.rsa, content)
    if not good:
        raise Refused(Code.SIGNATURE, "the quote is not signed by the attestation key beside it")
    if attest.bank != wire.SHA256:
        raise Refused(Code.UNSUPPORTED, "the quote is not of the PCRs of the SHA-256 bank")
    if not BOOT_PCRS.issubset(attest.pcrs):
        raise Refused(Code.POLICY, "the quote leaves out PCRs 0 to 7, the boot chain")
    if not attest.safe or attest.clock >= _MOST_CLOCK:
        raise Refused(
            Code.POLICY,
            "the TPM's clock may have gone back, as it was not shut down in order; wait until it is `safe`",
        )
    return attest


def claims_of_pcrs(attest: Attest, values: Mapping[int, bytes]) -> tuple[dict[str, str], dict[str, Any]]:
    """What a checked quote says: measurements (PCRs 0 to 15), and other facts by name.

    Args:
        attest: as `quoted` gives it.
        values: of PCRs, from anybody; those that the quote does not have are dropped.

    Raises:
        Refused: ``MISSING_ENDORSEMENT`` where a quoted PCR has no value, ``SIGNATURE`` where the quote signs
            other values.
    """
    named = {number: values[number] for number in attest.pcrs if number in values}
    if len(named) != len(attest.pcrs):
        raise Refused(Code.MISSING_ENDORSEMENT, "a PCR of the quote has no value beside it")
    if pcr_digest(named) != attest.digest:
        raise Refused(Code.SIGNATURE, "the quote signs other PCR values than those beside it")
    measurements = {f"pcr{n}": value.hex() for n, value in named.items() if n in STATIC_PCRS}
    extra: dict[str, Any] = {f"pcr{n}": value.hex() for n, value in named.items() if n not in STATIC_PCRS}
    extra |= {
        "clock": attest.clock,
        "reset_count": attest.reset_count,
        "restart_count": attest.restart_count,
        "firmware": f"{attest.firmware:016x}",
    }
    return measurements, extra


def _rsa(key: rsa.RSAPublicKey, signature: bytes, content: bytes) -> bool:
    if len(signature) != (key.key_size + 7) // 8:
        return False
    try:
        key.verify(signature, content, padding.PKCS1v15(), SHA256())
    except InvalidSignature:
        return False
    return True


def _attestation_key(content: bytes) -> tuple[SigningKey, Public | None]:
    """The key, and its public area where that is there."""
    if content.startswith(b"-----BEGIN"):
        try:
            return _usable(load_pem_public_key(content)), None
        except UnsupportedAlgorithm:
            raise Refused(Code.UNSUPPORTED, "the attestation key is of an unknown kind") from None
        except ValueError:
            raise Refused(Code.MALFORMED, "the attestation key is no public key in PEM") from None
    public = Public.parse(content)
    public.require_attestation_key()
    try:
        if public.type == wire.RSA:
            return _usable(rsa.RSAPublicNumbers(public.exponent, public.modulus).public_key()), public
        curve = {256: ec.SECP256R1(), 384: ec.SECP384R1()}.get(public.bits)
        if curve is None:
            raise Refused(Code.UNSUPPORTED, "the attestation key is of an unknown curve")
        return _usable(ec.EllipticCurvePublicNumbers(public.x, public.y, curve).public_key()), public
    except ValueError:
        raise Refused(Code.MALFORMED, "the attestation key is no key") from None


def _usable(key: object) -> SigningKey:
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1 | ec.SECP384R1):
        return key
    if isinstance(key, rsa.RSAPublicKey) and 2048 <= key.key_size <= 4096:
        return key
    raise Refused(Code.UNSUPPORTED, "an attestation key is on P-256 or P-384, or RSA of 2048 to 4096 bits")


def _explained(
    events: tuple[Event, ...], measurements: Mapping[str, str], extra: Mapping[str, Any]
) -> tuple[Any, ...]:
    """The events, if they lead to the PCRs that they name."""
    for number, value in replay(events).items():
        name = f"pcr{number}"
        found = measurements.get(name, extra.get(name))
        if found is None:
            raise Refused(Code.POLICY, f"the event log is of PCR {number}, which the quote leaves out")
        if found != value.hex():
            raise Refused(
                Code.MEASUREMENT_MISMATCH, f"the event log does not lead to the value of PCR {number}"
            )
    return tuple(event.to_dict() for event in events)


def _endorsed(beside: Mapping[str, bytes], now: datetime) -> tuple[str | None, str | None, Window | None]:
    """The fingerprint of the last authority above the endorsement key, the TPM's model, and for how long."""
    if not beside["ek"].startswith((b"\x30", b"-----BEGIN")):
        return None, None, None
    leaf = certificate(beside["ek"])
    chain = path(leaf, certificates(beside["ek-chain"]) if "ek-chain" in beside else ())
    if len(chain) == 1:
        return None, None, None
    purposes = leaf.extensions.get(_KEY_PURPOSE)
    if purposes is not None and _EK_PURPOSE not in [
        p.oid() for p in der(purposes.value, most=256).children()
    ]:
        raise Refused(Code.CHAIN, "the endorsement key's certificate is for another purpose")
    crls = [revocation_list(beside["crl"])] if "crl" in beside else []
    # Whichever root it is: who trusts it decides by its fingerprint.
    window = walk(
        chain, {chain[-1].fingerprint}, now, crls=crls, understood={_ALT_NAME}, use=KEY_ENCIPHERMENT
    )
    return chain[-1].fingerprint, _model(leaf), window


def _model(leaf: Certificate) -> str | None:
    """Manufacturer, model and version of the TPM, from the alternative name (EK Credential Profile)."""
    extension = leaf.extensions.get(_ALT_NAME)
    if extension is None:
        return None
    found = {}
    for name in der(extension.value, most=1_024).children():
        if name.tag != 0xA4:  # a directory name
            continue
        for sequence in name.children(0xA4, most=1):
            for rdn in sequence.children():
                for pair in rdn.children(0x31):
                    kind, value = pair.children(most=2)
                    if (word := _TPM_NAMES.get(kind.oid())) is not None:
                        found[word] = value.content.decode("ascii", "replace")[:64]
    return " ".join(found[word] for word in _TPM_NAMES.values() if word in found) or None
