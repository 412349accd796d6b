# SPDX-License-Identifier: Apache-2.0
"""AMD SEV-SNP: a report, signed by a key of the chip (VCEK) or one loaded for a cloud's fleet (VLEK).

Endorsements: ``vcek`` or ``vlek`` (DER, or PEM, which may go on with its chain); optionally ``chain`` (PEM:
ASK or ASVK, and ARK), without which the packaged ones are taken; optionally ``crl`` (AMD's list for that
product). Whatever is given, the chain must end in one of AMD's three pinned roots.

What ties a report to its certificate: the key is derived from the chip and from the *reported* security
versions, and the certificate names both (AMD 57230, "VCEK Certificate and KDS Interface Specification",
section 3). So all of these must be equal, component by component, or a host could report versions that it has
not, with a certificate of old.

Assumptions: ECDSA P-384, RSA-PSS and SHA-384 are not forged; the processor keeps its key. Who holds the
hardware and can tap its memory bus may take that key out (Battering RAM, TEE.fail): against that stands only
a list of allowed chips. For VLEK, whose holder is a cloud, the chip is not named at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from hitoku.attestation import roots, x509
from hitoku.attestation.claims import Claims
from hitoku.attestation.codes import Code, Refused
from hitoku.attestation.evidence import Evidence
from hitoku.attestation.signatures import verify_pair
from hitoku.attestation.strict import der
from hitoku.attestation.verify.snp_report import Report, parse

__all__ = ["Product", "products", "verify", "verify_against"]

_VCEK, _VLEK, _UNSIGNED = 0, 1, 7
_AMD: Final = "1.3.6.1.4.1.3704.1."
_PRODUCT_NAME, _HARDWARE_ID, _CLOUD = _AMD + "2", _AMD + "4", _AMD + "5"
_IA5_STRING: Final = 0x16

_CLASSIC: Final = ("bootloader", "tee", "spl4", "spl5", "spl6", "spl7", "snp", "microcode")
_TURIN: Final = ("fmc", "bootloader", "tee", "snp", "spl5", "spl6", "spl7", "microcode")
"""Components of the security version, by byte; those named spl are reserved."""
_COMPONENTS: Final = {
    "bootloader": "3.1",
    "tee": "3.2",
    "snp": "3.3",
    "spl4": "3.4",
    "spl5": "3.5",
    "spl6": "3.6",
    "spl7": "3.7",
    "microcode": "3.8",
    "fmc": "3.9",
}


class Product(NamedTuple):
    """A family of processors under one root.

    Attributes:
        root: the ARK's certificate.
        authorities: ASK and ASVK.
        names: how certificates' names of its processors begin; a stepping may follow.
        models: CPUID's family, first model, last model.
        layout: components of the security version, by byte.
        chip_id_bytes: how many bytes of chip_id name the chip.
    """

    root: x509.Certificate
    authorities: tuple[x509.Certificate, ...]
    names: tuple[str, ...]
    models: tuple[tuple[int, int, int], ...]
    layout: tuple[str, ...]
    chip_id_bytes: int


def products() -> tuple[Product, ...]:
    """AMD's products that are verified here, with their pinned roots.

    Bergamo and Siena (family 19h, models a0h to afh) are endorsed under Genoa's root.
    """
    milan, genoa, turin = roots.PRODUCTS
    return (
        _product(milan, ("Milan",), ((0x19, 0x00, 0x0F),), _CLASSIC, 64),
        _product(
            genoa, ("Genoa", "Bergamo", "Siena"), ((0x19, 0x10, 0x1F), (0x19, 0xA0, 0xAF)), _CLASSIC, 64
        ),
        _product(turin, ("Turin",), ((0x1A, 0x00, 0x1F),), _TURIN, 8),
    )


def verify(evidence: Evidence, now: datetime) -> Claims:
    """Check a report against AMD's roots.

    Raises:
        Refused: with the code of what does not hold.
    """
    return verify_against(evidence, now, products())


def verify_against(evidence: Evidence, now: datetime, trusted: Sequence[Product]) -> Claims:
    """`verify` with other products' roots: for a test's own hierarchy. Nothing else calls it."""
    report = parse(evidence.content)
    chain, crls = _endorsements(report, evidence.endorsements, trusted)
    window = x509.walk(chain, [p.root.fingerprint for p in trusted], now, crls=crls)
    product = next(p for p in trusted if p.root.fingerprint == chain[-1].fingerprint)
    leaf = chain[0]
    name = _check_endorsement(report, leaf, product)
    _check_signature(report, leaf)
    if report.debug:
        raise Refused(Code.DEBUG, "the guest's policy allows debugging: the host may read its memory")
    if report.migratable:
        raise Refused(Code.POLICY, "the guest's policy lets a migration agent take it elsewhere")
    tcb = _levels(report, product)
    return Claims(
        kind=evidence.kind,
        measurements={
            field: getattr(report, field).hex()
            for field in ("measurement", "host_data", "id_key_digest", "author_key_digest")
        },
        report_data=report.report_data,
        software_rooted=False,
        hardware_model=name,
        hardware_id=report.chip_id.hex() if any(report.chip_id) else None,
        tcb=tcb,
        not_before=window.not_before,
        not_after=window.not_after,
        extra=_extra(report, leaf),
        not_checked=_not_checked(report, crls),
    )


def _not_checked(report: Report, crls: Sequence[x509.RevocationList]) -> tuple[str, ...]:
    sentences = []
    if not crls:
        sentences.append("Revocation: no revocation list of AMD's was given (endorsement `crl`).")
    if report.signing_key == _VLEK:
        sentences.append("The chip: a cloud's fleet shares the key that signed (VLEK), so no chip is proved.")
    return tuple(sentences)


# --- endorsements ---


def _product(
    name: str,
    names: tuple[str, ...],
    models: tuple[tuple[int, int, int], ...],
    layout: tuple[str, ...],
    chip_id_bytes: int,
) -> Product:
    authorities = (roots.root(f"ask-{name}"), roots.root(f"asvk-{name}"))
    return Product(roots.root(f"ark-{name}"), authorities, names, models, layout, chip_id_bytes)


def _endorsements(
    report: Report, given: Mapping[str, bytes], trusted: Sequence[Product]
) -> tuple[tuple[x509.Certificate, ...], list[x509.RevocationList]]:
    """The chain from the signing key to a root, in order but not yet checked, and revocation lists."""
    if report.signing_key == _UNSIGNED:
        raise Refused(Code.SIGNATURE, "the report is not signed")
    if report.signing_key not in {_VCEK, _VLEK}:
        raise Refused(Code.MALFORMED, "not an SEV-SNP report: no key of that number signs reports")
    needed = "vcek" if report.signing_key == _VCEK else "vlek"
    if needed not in given:
        raise Refused(
            Code.MISSING_ENDORSEMENT, f"the report's certificate is not there (endorsement `{needed}`)"
        )
    leaf, *pool = x509.certificates(given[needed])
    if "chain" in given:
        pool += x509.certificates(given["chain"])
    packaged = [c for product in trusted for c in (*product.authorities, product.root)]
    crls = [x509.revocation_list(given["crl"])] if "crl" in given else []
    return x509.path(leaf, (*pool, *packaged)), crls


def _check_endorsement(report: Report, leaf: x509.Certificate, product: Product) -> str:
    """Whether the certificate is of this report's chip, product and security version.

    Returns:
        The product's name.
    """
    name = _text(leaf, _PRODUCT_NAME)
    if not name.startswith(product.names):
        raise _mismatch("the certificate's product is not of the root that vouches for it")
    if report.cpuid is not None and not any(
        report.cpuid[0] == family and first <= report.cpuid[1] <= last
        for family, first, last in product.models
    ):
        raise _mismatch("the report is of another product than its certificate")
    if report.signing_key == _VCEK:
        chip = leaf.extensions.get(_HARDWARE_ID)
        size = product.chip_id_bytes
        if chip is None:
            raise _mismatch("the certificate names no chip")
        if report.chip_masked:
            raise _mismatch("the host hides the chip's identity, so the certificate cannot be compared")
        if chip.value != report.chip_id[:size] or any(report.chip_id[size:]):
            raise _mismatch("the certificate is of another chip than the report")
    elif _CLOUD not in leaf.extensions:
        raise _mismatch("the certificate names no cloud, as one of a loaded key does")
    certified = [_number(leaf, _AMD + _COMPONENTS[component]) for component in product.layout]
    if certified != list(report.reported_tcb):
        raise _mismatch("the certificate is of another security version than the report")
    return name


def _text(leaf: x509.Certificate, name: str) -> str:
    extension = leaf.extensions.get(name)
    if extension is None:
        raise _mismatch("the certificate names no product; it is none of AMD's")
    element = der(extension.value, most=256)
    text = element.content.decode("ascii", "replace")
    if element.tag != _IA5_STRING or not text.isprintable() or not text.isascii():
        raise Refused(Code.MALFORMED, "a name in the certificate is no text")
    return text


def _number(leaf: x509.Certificate, name: str) -> int:
    extension = leaf.extensions.get(name)
    if extension is None:
        raise _mismatch("the certificate lacks a security version; it is of another product")
    return der(extension.value, most=16).integer()


def _mismatch(what: str) -> Refused:
    return Refused(Code.HARDWARE_MISMATCH, what)


# --- the report ---


def _check_signature(report: Report, leaf: x509.Certificate) -> None:
    key = leaf.public_key
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP384R1):
        raise Refused(Code.CHAIN, "the certificate has no P-384 key")
    if not verify_pair(key, report.r, report.s, report.signed, hashes.SHA384()):
        raise Refused(Code.SIGNATURE, "the report's signature is wrong")


def _levels(report: Report, product: Product) -> dict[str, int]:
    """The least of what is reported and what is committed, by component.

    What is committed can be below what is reported, and the host may go back to it while the guest runs; so a
    minimum must hold for both. Neither can be above what runs.
    """
    pairs = zip(report.reported_tcb, report.committed_tcb, report.current_tcb, strict=True)
    if any(reported > current or committed > current for reported, committed, current in pairs):
        raise Refused(Code.TCB, "the report's security versions are above those of what runs")
    least = map(min, report.reported_tcb, report.committed_tcb)
    return {n: level for n, level in zip(product.layout, least, strict=True) if not n.startswith("spl")}


def _extra(report: Report, leaf: x509.Certificate) -> dict[str, str | int | bool]:
    extra: dict[str, str | int | bool] = {
        "report_version": report.version,
        "vmpl": report.vmpl,
        "guest_svn": report.guest_svn,
        "policy": report.policy,
        "smt": bool(report.policy >> 16 & 1),
        "single_socket": bool(report.policy >> 20 & 1),
        "ciphertext_hiding": bool(report.policy >> 24 & 1),
        "platform_info": report.platform_info,
        "signing_key": "vcek" if report.signing_key == _VCEK else "vlek",
        "author_key": bool(report.key_info & 1),
    }
    for field in ("family_id", "image_id", "report_id"):
        extra[field] = getattr(report, field).hex()
    for field in ("current_tcb", "reported_tcb", "committed_tcb", "launch_tcb"):
        extra[field] = getattr(report, field).hex()
    if report.mitigations is not None:
        extra["launch_mitigations"], extra["current_mitigations"] = report.mitigations
    if report.signing_key == _VLEK:
        extra["cloud"] = _text(leaf, _CLOUD)
    return extra
