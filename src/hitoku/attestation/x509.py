# SPDX-License-Identifier: Apache-2.0
"""Chains of X.509 certificates, walked by hand up to a pinned root.

Why by hand: the general path builders refuse vendors' genuine chains (Nitro's leaf lacks an authority key
identifier), and accept any root that they are given. Here a chain is a list whose last certificate must *be*
a pin, by the SHA-256 of its bytes; every link is then checked from that root down, so that no key is used
before a key above it has vouched for it. What RFC 5280 section 6 asks beyond that (name constraints,
policies) none of these chains uses: a certificate that has them is refused, not waved through.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from hitoku.attestation.certificates import (
    BASIC_CONSTRAINTS,
    KEY_USAGE,
    MOST_CERTIFICATES,
    Certificate,
    Extension,
    RevocationList,
    certificate,
    certificate_from_der,
    certificates,
    revocation_list,
)
from hitoku.attestation.codes import Code, Refused
from hitoku.attestation.signatures import verify_signature

__all__ = ["CRL_SIGN", "DIGITAL_SIGNATURE", "KEY_CERT_SIGN", "KEY_ENCIPHERMENT", "MOST_CERTIFICATES"]
__all__ += ["Certificate", "Extension", "RevocationList", "Window"]
__all__ += ["certificate", "certificate_from_der", "certificates", "path", "revocation_list", "walk"]

DIGITAL_SIGNATURE, KEY_ENCIPHERMENT, KEY_CERT_SIGN, CRL_SIGN = 0, 2, 5, 6
"""Numbers of the bits of the extension keyUsage (RFC 5280 4.2.1.3)."""

_UNDERSTOOD: Final = frozenset({BASIC_CONSTRAINTS, KEY_USAGE})
_NOT_EVALUATED: Final = frozenset({"2.5.29.30", "2.5.29.36", "2.5.29.54"})
"""Name constraints, policy constraints, inhibit anyPolicy: they limit what lies below, critical or not."""


class Window(NamedTuple):
    """The time in which all that was checked holds; both ends belong to it."""

    not_before: datetime
    not_after: datetime


def path(leaf: Certificate, pool: Sequence[Certificate]) -> tuple[Certificate, ...]:
    """The leaf and its issuers in order, by name alone: what `walk` then checks.

    Of several certificates with one name the first of the pool is taken, so what was handed in comes before
    what is packaged. Ends at a self-issued certificate, or where no issuer is found.
    """
    chain = [leaf]
    while chain[-1].issuer != chain[-1].subject and len(chain) < MOST_CERTIFICATES:
        issuer = next((c for c in pool if c.subject == chain[-1].issuer and c not in chain), None)
        if issuer is None:
            break
        chain.append(issuer)
    return tuple(chain)


def walk(
    chain: Sequence[Certificate],
    pins: Collection[str],
    now: datetime,
    *,
    crls: Sequence[RevocationList] = (),
    understood: Collection[str] = (),
    use: int = DIGITAL_SIGNATURE,
) -> Window:
    """Check a chain, leaf first, whose last certificate must be a pinned root.

    Checked are, of each link: names, signature, the issuer's being an authority with keyCertSign and room in
    its path length, no extension that is critical and not understood; of the leaf, that it is no authority
    and has its use; of all, that they hold now. Each revocation list must be of an authority of this chain
    and hold.

    Args:
        chain: the leaf, its issuer, and so on to the root; one certificate alone must itself be a pin.
        pins: SHA-256 of acceptable roots' bytes, lower-case hexadecimal.
        now: the time, with its zone.
        crls: revocation lists; those that are given are used, and none is asked for.
        understood: object identifiers of critical extensions that the caller evaluates itself.
        use: the bit that the leaf's keyUsage must have where it has that extension: signing unless told
            otherwise (a TPM's endorsement key has `KEY_ENCIPHERMENT`).

    Returns:
        The time in which all of it holds.

    Raises:
        Refused: ``UNTRUSTED_ROOT``, ``CHAIN``, ``EXPIRED``, ``NOT_YET``, ``REVOKED``; ``MALFORMED`` or
            ``UNSUPPORTED`` where a key or a constraint cannot be read.
    """
    if not 1 <= len(chain) <= MOST_CERTIFICATES:
        raise Refused(Code.CHAIN, f"a chain has 1 to {MOST_CERTIFICATES} certificates")
    if chain[-1].fingerprint not in pins:
        raise Refused(Code.UNTRUSTED_ROOT, "the chain does not end in a root that is pinned here")
    known = _UNDERSTOOD | frozenset(understood)
    for depth in range(len(chain) - 1, -1, -1):  # from the root down
        _constraints(chain[depth], depth, len(chain), known, use)
        if depth:
            _link(chain[depth - 1], chain[depth], depth)
    for depth, one in enumerate(chain):
        if now < one.not_before:
            raise Refused(
                Code.NOT_YET,
                f"certificate {depth} of the chain holds from {one.not_before:%Y-%m-%dT%H:%M:%SZ}",
            )
        if now > one.not_after:
            raise Refused(
                Code.EXPIRED,
                f"certificate {depth} of the chain held until {one.not_after:%Y-%m-%dT%H:%M:%SZ}",
            )
    for crl in crls:
        _revoked(crl, chain, now)
    return Window(
        max([c.not_before for c in chain] + [c.this_update for c in crls]),
        min([c.not_after for c in chain] + [c.next_update for c in crls]),
    )


def _constraints(one: Certificate, depth: int, links: int, known: frozenset[str], use: int) -> None:
    """What a certificate says of itself, for its place: 0 is the leaf."""
    where = f"certificate {depth} of the chain"
    strange = {n for n, e in one.extensions.items() if e.critical and n not in known} | (
        one.extensions.keys() & _NOT_EVALUATED
    )
    if strange:
        raise Refused(Code.CHAIN, f"{where} has an extension that is not evaluated here: {min(strange)}")
    if not depth and links > 1:
        if one.authority:
            raise Refused(Code.CHAIN, "the chain's leaf is an authority, not what signs evidence")
        if one.key_usage is not None and use not in one.key_usage:
            raise Refused(Code.CHAIN, "the chain's leaf is for another use")
    if depth:
        if not one.authority or not one.extensions[BASIC_CONSTRAINTS].critical:
            raise Refused(Code.CHAIN, f"{where} is no authority")
        if one.key_usage is None or KEY_CERT_SIGN not in one.key_usage:
            raise Refused(Code.CHAIN, f"{where} may not sign certificates")
        if one.path_length is not None and depth - 1 > one.path_length:
            raise Refused(Code.CHAIN, f"{where} allows fewer authorities below it")


def _link(child: Certificate, issuer: Certificate, depth: int) -> None:
    if child.issuer != issuer.subject:
        raise Refused(
            Code.CHAIN, f"certificate {depth - 1} of the chain names another issuer than certificate {depth}"
        )
    if not verify_signature(issuer.public_key, child.algorithm, child.signature, child.body):
        raise Refused(
            Code.CHAIN, f"certificate {depth - 1} of the chain is not signed by certificate {depth}"
        )


def _revoked(crl: RevocationList, chain: Sequence[Certificate], now: datetime) -> None:
    # The leaf's own name does not count: it is no authority.
    place = next((i for i, c in enumerate(chain) if i and c.subject == crl.issuer), None)
    if place is None:
        raise Refused(Code.CHAIN, "a revocation list is of another authority than the chain")
    issuer = chain[place]
    if issuer.key_usage is None or CRL_SIGN not in issuer.key_usage:
        raise Refused(Code.CHAIN, "a revocation list's authority may not sign one")
    if not verify_signature(issuer.public_key, crl.algorithm, crl.signature, crl.body):
        raise Refused(Code.CHAIN, "a revocation list is not signed by its authority")
    if now < crl.this_update:
        raise Refused(Code.NOT_YET, f"a revocation list holds from {crl.this_update:%Y-%m-%dT%H:%M:%SZ}")
    if now > crl.next_update:
        raise Refused(Code.EXPIRED, f"a revocation list held until {crl.next_update:%Y-%m-%dT%H:%M:%SZ}")
    for depth, one in enumerate(chain):
        if one.issuer == crl.issuer and one.serial in crl.serials:
            raise Refused(Code.REVOKED, f"certificate {depth} of the chain was revoked by its issuer")
