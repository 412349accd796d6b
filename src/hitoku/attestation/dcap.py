# SPDX-License-Identifier: Apache-2.0
"""`dcap_qvl`, which checks Intel's quotes in Rust, behind one function: its claims, or a refusal with a code.

The library says in words why it refuses. `_WORDS` turns them into stable codes; words that are not in that
table refuse, too, and none of them is shown, for they may quote what was sent.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from hitoku.attestation.codes import Code, Refused

__all__ = ["claims", "refusal"]

# Parts of what dcap_qvl 0.7 says, in the order in which they are looked for.
_WORDS: Final = (
    ("QE report validation failed", Code.CHAIN, "the quoting enclave is not Intel's, or can be debugged"),
    ("Debug mode is enabled", Code.DEBUG, "the enclave or trust domain can be debugged"),
    ("TD profiling is enabled", Code.DEBUG, "the trust domain can be profiled by its host"),
    ("status is invalid: Revoked", Code.REVOKED, "Intel revoked the platform's key or TCB level"),
    ("CertRevoked", Code.REVOKED, "a certificate was revoked"),
    ("CrlExpired", Code.EXPIRED, "a revocation list is past its time"),
    ("revocation list expired", Code.EXPIRED, "a revocation list is past its time"),
    ("CertExpired", Code.EXPIRED, "a certificate is past its time"),
    ("certificate expired", Code.EXPIRED, "a certificate is past its time"),
    ("CertNotValidYet", Code.NOT_YET, "a certificate is of the future"),
    ("expired", Code.EXPIRED, "the collateral is past its time"),
    ("in the future", Code.NOT_YET, "the collateral is of the future"),
    ("No matching TCB level", Code.TCB, "the platform is below every TCB level that Intel lists"),
    ("below minimum required", Code.TCB, "the quoting enclave or the TDX module is too old"),
    ("No TDX module identity", Code.TCB, "Intel lists no such version of the TDX module"),
    ("No TCB level", Code.TCB, "the platform is below every TCB level that Intel lists"),
    ("Unrecognized TCB status", Code.TCB, "the quoting enclave's TCB is not UpToDate"),
    ("Fmspc mismatch", Code.HARDWARE_MISMATCH, "the collateral is of another model of processor"),
    ("TCB info in the collateral", Code.HARDWARE_MISMATCH, "the collateral is of SGX for TDX, or reverse"),
    ("Unsupported QE Identity", Code.HARDWARE_MISMATCH, "the collateral is of SGX for TDX, or reverse"),
    ("TDX module", Code.HARDWARE_MISMATCH, "the TDX module is not the one that the collateral describes"),
    ("migration is enabled", Code.POLICY, "the trust domain may be moved to another platform"),
    ("SERVTD_EXT", Code.POLICY, "the trust domain takes orders from a service domain"),
    ("MR service TD", Code.POLICY, "the trust domain takes orders from a service domain"),
    ("SEPT_VE_DISABLE", Code.POLICY, "the host can feed exceptions to the trust domain"),
    ("Reserved bits", Code.UNSUPPORTED, "attributes that are not known here are set"),
    ("ISV enclave report signature", Code.SIGNATURE, "the quote's signature is wrong"),
    ("qe_report in quote", Code.SIGNATURE, "the quoting enclave's report is not signed by the platform"),
    ("QE report hash mismatch", Code.SIGNATURE, "the quoting enclave vouches for another key"),
    ("in quote_collateral", Code.CHAIN, "the collateral is not signed by Intel"),
    ("Unknown QE vendor", Code.UNSUPPORTED, "a quoting enclave that is not Intel's"),
    ("auth data length", Code.MALFORMED, "the quote is not in its form"),
    ("QE ", Code.CHAIN, "the quoting enclave is not Intel's"),
    ("UnknownIssuer", Code.UNTRUSTED_ROOT, "a chain does not end in Intel's root"),
    ("UnknownRevocationStatus", Code.MISSING_ENDORSEMENT, "a chain's revocation list is not there"),
    ("too short", Code.CHAIN, "a chain lacks certificates"),
    ("certificate chain", Code.CHAIN, "a certificate chain does not hold"),
    ("Unsupported", Code.UNSUPPORTED, "a form that is not verified here"),
    ("must have version", Code.UNSUPPORTED, "a version of quote that is not verified here"),
    ("Failed to", Code.MALFORMED, "the quote or the collateral is not in its form"),
    ("Could not decode", Code.MALFORMED, "the quote or the collateral is not in its form"),
)  # fmt: skip


def claims(content: bytes, collateral: Mapping[str, Any], now: datetime, root: bytes) -> dict[str, Any]:
    """What the library verified of a quote, as its JSON.

    It returns for every TCB status but Revoked, and compares no claim with anything: that is the caller's.

    Args:
        content: the quote.
        collateral: `QuoteCollateralV3`.
        now: the time.
        root: DER of the root that all chains must end in.

    Raises:
        Refused: with the code of its words.
    """
    import dcap_qvl

    seconds = int(now.timestamp())
    if seconds < 0:
        raise Refused(Code.NOT_YET, "the collateral is of the future")
    given = _guarded(lambda: dcap_qvl.QuoteCollateralV3.from_json(json.dumps(dict(collateral))))
    try:
        verified = _guarded(
            lambda: dcap_qvl.QuoteVerifier(root).verify_with_policy(
                content, given, seconds, dcap_qvl.QuotePolicy.claims_only(seconds)
            )
        )
    except Refused:
        # This call names the outermost cause only, the older one all of them.
        _guarded(lambda: dcap_qvl.verify_with_root_ca(content, given, root, seconds))
        raise
    made: dict[str, Any] = json.loads(verified.to_json())
    return made


def refusal(words: str) -> Refused:
    """The refusal that the library's words stand for."""
    for part, code, detail in _WORDS:
        if part in words:
            return Refused(code, detail)
    return Refused(Code.CHAIN, "the quote does not hold against its collateral")


def _guarded(call: Callable[[], Any]) -> Any:
    """Run a call of the library; whatever it raises refuses, a panic of its Rust code, too."""
    try:
        return call()
    except ValueError as error:
        raise refusal(str(error)) from None
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise Refused(Code.MALFORMED, "the quote or the collateral is not in its form") from None
