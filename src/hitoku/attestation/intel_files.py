# SPDX-License-Identifier: Apache-2.0
"""Intel's collateral in separate files, as Intel's service gives it, put together for one quote.

`hitoku.attestation.verify.tdx` reads one JSON object (`QuoteCollateralV3`). Its parts come from Intel's
Provisioning Certification Service as separate answers: TCB info and the quoting enclave's identity, the
chains of who signed them, two revocation lists. Which of them belong together is told by what they hold: a
document by the quote's platform, a chain by what its leaf signed, a revocation list by its issuer.

Nothing is checked and nothing is trusted: signatures are tried only to see which pieces belong together, and
the verifier checks all that was chosen, again. A wrong choice can refuse good evidence, not accept bad.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final, TypeVar

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from hitoku.attestation import quote
from hitoku.attestation.certificates import (
    MOST_CERTIFICATES,
    Certificate,
    RevocationList,
    certificates,
)
from hitoku.attestation.codes import Code, Refused
from hitoku.attestation.endorsements import pem
from hitoku.attestation.evidence import Kind
from hitoku.attestation.intel_pieces import IDENTITY, TCB_INFO, Document, Pieces, read
from hitoku.attestation.names import common_name
from hitoku.attestation.signatures import verify_pair, verify_signature
from hitoku.attestation.strict import der

__all__ = ["collateral"]

_CALLED: Final = {TCB_INFO: "TCB info", IDENTITY: "quoting enclave's identity"}
_IDS: Final = {
    Kind.TDX: {TCB_INFO: "TDX", IDENTITY: "TD_QE"},
    Kind.SGX: {TCB_INFO: "SGX", IDENTITY: "QE"},
}
_SGX_EXTENSION: Final = "1.2.840.113741.1.13.1"
_FMSPC: Final = f"{_SGX_EXTENSION}.4"
_SERVICE: Final = "Intel SGX TCB Signing"
_MOST_EXTENSION: Final = 1 << 12

_Piece = TypeVar("_Piece")


def collateral(content: bytes, files: Sequence[bytes]) -> bytes | None:
    """The collateral for that quote as JSON, or None where no file is a piece of Intel's.

    Args:
        content: the quote.
        files: in any order; what is no piece is passed over.

    Raises:
        Refused: ``MISSING_ENDORSEMENT`` naming what lacks; ``MALFORMED`` where two files are the same piece
            or one cannot be read; ``HARDWARE_MISMATCH`` where several documents are all of other platforms.
    """
    pieces = read(files)
    if not (any(pieces.documents.values()) or pieces.lists or pieces.certificates):
        return None
    return _Choice(pieces, quote.parse(content)).made()


class _Choice:
    """The pieces for one quote; what lacks is collected, so that one refusal names all of it."""

    def __init__(self, pieces: Pieces, of: quote.Quote) -> None:
        self._pieces, self._kind = pieces, of.kind
        self._lacks: list[str] = []
        own = () if of.chain is None else certificates(of.chain.rstrip(b"\0"))
        self._pool = list({one.der: one for one in (*pieces.certificates.values(), *own)}.values())
        platforms = [one for one in pieces.certificates.values() if _SGX_EXTENSION in one.extensions]
        self._given = of.chain is None and len(platforms) == 1
        self._platform = platforms[0] if self._given else (own[0] if own else None)

    def made(self) -> bytes:
        """`QuoteCollateralV3`. Raises as `collateral` does."""
        found: dict[str, str] = {}
        if self._platform is None:
            self._lacks.append("the chain of the platform's certificate (PCK), which the quote has not")
        else:
            if self._given:
                found["pck_certificate_chain"] = self._chain(self._platform, "platform's chain")
            found |= self._revocation(self._platform)
        for name in _CALLED:
            found |= self._document(name)
        if self._lacks:
            lacking = "; ".join(dict.fromkeys(self._lacks))
            raise Refused(Code.MISSING_ENDORSEMENT, f"Intel's collateral is not whole. Missing: {lacking}")
        return json.dumps(found).encode()

    def _revocation(self, platform: Certificate) -> dict[str, str]:
        """Both revocation lists, and the chain of the one of platforms."""
        found = {}
        above = [one for one in self._pool if one.subject == platform.issuer]
        listed = self._list(platform.issuer, above, f"PCK revocation list of {_called(platform.issuer)}")
        if listed is not None:
            found["pck_crl"] = listed.hex()
        authority = _best(above, lambda one: listed is not None and _signed(self._pieces.lists[listed], one))
        if authority is None:
            self._lacks.append(f"certificate of the PCK revocation list's issuer, {_called(platform.issuer)}")
            return found
        found["pck_crl_issuer_chain"] = self._chain(authority, "PCK revocation list's issuer chain")
        roots = [one for one in self._pool if one.subject == authority.issuer]
        root = self._list(authority.issuer, roots, f"revocation list of {_called(authority.issuer)}")
        if root is not None:
            found["root_ca_crl"] = root.hex()
        return found

    def _list(self, issuer: bytes, authorities: Sequence[Certificate], called: str) -> bytes | None:
        """The revocation list of that issuer, DER; of several the one that an authority here signed."""
        lists = {content: one for content, one in self._pieces.lists.items() if one.issuer == issuer}
        if not lists:
            self._lacks.append(called)
            return None
        signed = [content for content, one in lists.items() if any(_signed(one, by) for by in authorities)]
        return _one(signed or list(lists), called)

    def _document(self, name: str) -> dict[str, str]:
        """A document, its signature, and the chain of who signed it: what matches.

        Where nothing matches what there is, which the verifier then refuses.
        """
        called = _CALLED[name]
        document = self._fitting(name)
        if document is None:
            self._lacks.append(called)
            return {}
        signers = [one for one in self._pool if common_name(one.subject) == _SERVICE]
        signers.sort(key=_age, reverse=True)
        signatures = document.signatures or self._free(document, signers)
        if not signatures:
            self._lacks.append(f"signature of the {called}")
        if not signers:
            self._lacks.append(f"chain of who signed the {called} (TCB signing chain)")
        if not signatures or not signers:
            return {}
        text, signature, signer = next(
            (
                (text, signature, signer)
                for text in document.texts
                for signature in signatures
                for signer in signers
                if _made(signature, text, signer)
            ),
            (document.texts[-1], signatures[0], signers[0]),
        )
        return {
            name: text.decode(),
            f"{name}_signature": signature.hex(),
            f"{name}_issuer_chain": self._chain(signer, f"chain of who signed the {called}"),
        }

    def _free(self, document: Document, signers: Sequence[Certificate]) -> list[bytes]:
        """Signatures in files of their own, but those that are of another document."""
        others = [
            one for kept in self._pieces.documents.values() for one in kept.values() if one is not document
        ]
        texts = [text for other in others for text in other.texts]
        return [
            signature
            for signature in self._pieces.signatures
            if not any(_made(signature, text, signer) for text in texts for signer in signers)
        ]

    def _fitting(self, name: str) -> Document | None:
        """The document of that kind for the quote's platform; the only one there is, whatever it is for."""
        documents = list(self._pieces.documents[name].values())
        fitting = [one for one in documents if self._fits(name, one.fields)]
        if len(documents) > 1 and not fitting:
            raise Refused(Code.HARDWARE_MISMATCH, f"no file's {_CALLED[name]} is of the quote's platform")
        return _one(fitting or documents, _CALLED[name]) if documents else None

    def _fits(self, name: str, fields: dict[str, Any]) -> bool:
        if fields.get("id", "SGX") != _IDS[self._kind][name]:
            return False
        return name != TCB_INFO or str(fields.get("fmspc")).lower() == self._fmspc()

    def _fmspc(self) -> str | None:
        """The model of the platform, lower-case hexadecimal, as its certificate says."""
        extension = None if self._platform is None else self._platform.extensions.get(_SGX_EXTENSION)
        if extension is None:
            return None
        for entry in der(extension.value, most=_MOST_EXTENSION).children():
            pair = entry.children(most=2)
            if len(pair) == 2 and pair[0].oid() == _FMSPC:
                return pair[1].octets().hex()
        return None

    def _chain(self, leaf: Certificate, called: str) -> str:
        """From the leaf to a certificate that issued itself, PEM."""
        chain = [leaf]
        while chain[-1].issuer != chain[-1].subject:
            last = chain[-1]
            above = [one for one in self._pool if one.subject == last.issuer and one not in chain]
            issuer = _best(above, partial(_signed, last))
            if issuer is None or len(chain) == MOST_CERTIFICATES:
                self._lacks.append(f"certificate of {_called(last.issuer)} in the {called}")
                break
            chain.append(issuer)
        return pem(chain).decode()


# --- helpers ---


def _one(found: Sequence[_Piece], called: str) -> _Piece:
    if len(found) > 1:
        raise Refused(Code.MALFORMED, f"two files are both the {called}")
    return found[0]


def _best(found: Sequence[Certificate], fits: Callable[[Certificate], bool]) -> Certificate | None:
    """Of several certificates with one name, one that fits; of those that do, the one that holds longest."""
    return max(found, key=lambda one: (fits(one), *_age(one)), default=None)


def _age(one: Certificate) -> tuple[datetime, bytes]:
    return one.not_after, one.der


def _signed(child: Certificate | RevocationList, issuer: Certificate) -> bool:
    try:
        return verify_signature(issuer.public_key, child.algorithm, child.signature, child.body)
    except Refused:
        return False


def _made(signature: bytes, text: bytes, signer: Certificate) -> bool:
    """Whether that certificate's key signed a document, as Intel's service does: ECDSA on P-256."""
    r, s = (int.from_bytes(half) for half in (signature[:32], signature[32:]))
    try:
        key = signer.public_key
    except Refused:
        return False
    return isinstance(key, ec.EllipticCurvePublicKey) and verify_pair(key, r, s, text, SHA256())


def _called(name: bytes) -> str:
    return common_name(name) or "a certificate without a name"
