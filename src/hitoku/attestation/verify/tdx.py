# SPDX-License-Identifier: Apache-2.0
"""Intel TDX and SGX: quotes checked against the collateral that Intel signed.

Who checks what. `dcap_qvl` (Rust) verifies the quote's signature, the quoting enclave's identity, the
signatures of the collateral and the TCB level, as Intel's "DCAP quote verification" describes. It returns
without an error for every status but Revoked, takes a certificate chain inside the collateral where there is
one, and compares no claim with anything. So this module, before and after it:

- walks the quote's and the collateral's chains itself, to the pinned root, with both revocation lists, now;
- accepts the status ``UpToDate`` alone: of the platform at the domain's launch and now, of the quoting
  enclave, and of all together;
- refuses debug attributes once more, and reads the fields itself: both readings must agree;
- lets nothing but the quote's own chain speak for the quote, where it has one;
- turns what the library says into stable codes (`hitoku.attestation.dcap`).

Endorsement: ``collateral``, the JSON of `QuoteCollateralV3` (PCK revocation list with its issuers, root
revocation list, TCB info and quoting enclave's identity, each with signature and issuers). Nothing is ever
fetched.

Left to the appraisal: measurements, report_data, the newest TCB evaluation number, advisories, platform
flags.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from hitoku.attestation import dcap, roots
from hitoku.attestation.claims import Claims
from hitoku.attestation.codes import Code, Refused
from hitoku.attestation.evidence import Evidence, Kind
from hitoku.attestation.names import common_name
from hitoku.attestation.quote import Quote, parse
from hitoku.attestation.x509 import Certificate, RevocationList, Window, certificates, revocation_list, walk

__all__ = ["verify", "verify_against"]

_TEXTS: Final = (
    "pck_crl_issuer_chain", "root_ca_crl", "pck_crl", "tcb_info_issuer_chain", "tcb_info",
    "tcb_info_signature", "qe_identity_issuer_chain", "qe_identity", "qe_identity_signature",
)  # fmt: skip
_OWN_CHAIN: Final = "pck_certificate_chain"
_SGX_EXTENSION: Final = "1.2.840.113741.1.13.1"
_PLATFORM, _SERVICE = "Intel SGX PCK Certificate", "Intel SGX TCB Signing"
"""Common names of leaves: of a platform's certification key, and of the service that signs collateral."""


def verify(evidence: Evidence, now: datetime) -> Claims:
    """Check a TDX or SGX quote against Intel's root. See `hitoku.attestation.verify.verify`."""
    return verify_against(evidence, now, roots.root("intel-sgx-root"))


def verify_against(evidence: Evidence, now: datetime, root: Certificate) -> Claims:
    """`verify` with another root: for a test's own hierarchy. Nothing else calls it."""
    quote = parse(evidence.content)
    if quote.kind is not evidence.kind:
        raise Refused(Code.MALFORMED, f"the quote is of {quote.kind}, not of {evidence.kind}")
    collateral = _collateral(evidence.endorsements.get("collateral"))
    chain = quote.chain if quote.chain is not None else _text(collateral, _OWN_CHAIN).encode()
    window = _walk(collateral, chain.rstrip(b"\0"), now, root)
    if quote.chain is not None:
        collateral.pop(_OWN_CHAIN, None)
    verified = dcap.claims(quote.content, collateral, now, root.der)
    _check_reading(quote, verified)
    _check_status(verified)
    _check_debug(quote)
    window = _window(window, verified, now)
    return _claims(quote, verified, window)


def _collateral(content: bytes | None) -> dict[str, Any]:
    if content is None:
        raise Refused(
            Code.MISSING_ENDORSEMENT,
            "the quote needs Intel's collateral (TCB info, quoting enclave's identity, revocation lists)",
        )
    try:
        collateral = json.loads(content, object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        raise Refused(Code.MALFORMED, "the collateral is not JSON, or has a name twice") from None
    if not isinstance(collateral, dict):
        raise Refused(Code.MALFORMED, "the collateral is not an object")
    for name in _TEXTS:
        _text(collateral, name)
    return {name: value for name, value in collateral.items() if name in {*_TEXTS, _OWN_CHAIN}}


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError
    return found


def _text(collateral: Mapping[str, Any], name: str) -> str:
    value = collateral.get(name)
    if not isinstance(value, str):
        raise Refused(Code.MISSING_ENDORSEMENT, f"the collateral has no {name}")
    return value


def _walk(collateral: Mapping[str, Any], chain: bytes, now: datetime, root: Certificate) -> Window:
    """Both chains of the collateral and the platform's own, to the pinned root; each leaf in its role.

    The role matters: whoever may sign as a platform must not sign as Intel's service does.
    """
    root_crl, pck_crl = (_crl(collateral[name]) for name in ("root_ca_crl", "pck_crl"))
    windows = []
    for text, role, crls in (
        (chain, _PLATFORM, (root_crl, pck_crl)),
        (collateral["tcb_info_issuer_chain"].encode(), _SERVICE, (root_crl,)),
        (collateral["qe_identity_issuer_chain"].encode(), _SERVICE, (root_crl,)),
    ):
        links = certificates(text)
        windows.append(walk(links, (root.fingerprint,), now, crls=crls, understood=(_SGX_EXTENSION,)))
        if common_name(links[0].subject) != role:
            raise Refused(Code.CHAIN, f"a chain's leaf is not {role}")
    return _both(*windows)


def _crl(text: str) -> RevocationList:
    try:
        return revocation_list(bytes.fromhex(text))
    except ValueError:
        raise Refused(Code.MALFORMED, "a revocation list of the collateral is not hexadecimal") from None


def _both(*windows: Window) -> Window:
    return Window(max(w.not_before for w in windows), min(w.not_after for w in windows))


_NAMES: Final = {
    Kind.TDX: {
        "mrtd": "mr_td", "rtmr0": "rt_mr0", "rtmr1": "rt_mr1", "rtmr2": "rt_mr2", "rtmr3": "rt_mr3",
        "mrconfigid": "mr_config_id", "mrowner": "mr_owner", "mrownerconfig": "mr_owner_config",
        "mrseam": "mr_seam", "mrsignerseam": "mr_signer_seam", "td_attributes": "td_attributes",
        "xfam": "xfam", "tee_tcb_svn": "tee_tcb_svn", "report_data": "report_data",
    },
    Kind.SGX: {
        "mrenclave": "mr_enclave", "mrsigner": "mr_signer", "attributes": "attributes",
        "cpu_svn": "cpu_svn", "report_data": "report_data",
    },
}  # fmt: skip
_MEASUREMENTS: Final = {
    Kind.TDX: ("mrtd", "rtmr0", "rtmr1", "rtmr2", "rtmr3", "mrconfigid", "mrowner", "mrownerconfig",
               "mrseam", "mrsignerseam", "mrservicetd"),
    Kind.SGX: ("mrenclave", "mrsigner"),
}  # fmt: skip


def _check_reading(quote: Quote, claims: Mapping[str, Any]) -> None:
    (report,) = claims["report"].values()
    report = {**report, **report.get("base", {})}
    for ours, theirs in _NAMES[quote.kind].items():
        if report[theirs] != quote.fields[ours].hex():
            raise Refused(Code.INTERNAL, "two readings of the quote differ")


def _check_status(verified: Mapping[str, Any]) -> None:
    statuses = [verified["tcb"]["status"], *(level["tcbStatus"] for level in _levels(verified))]
    if "Revoked" in statuses:
        raise Refused(Code.REVOKED, "Intel revoked the platform's TCB level")
    worse = [status for status in statuses if status != "UpToDate"]
    if worse:
        advisories = ", ".join(_advisories(verified)) or "none named"
        raise Refused(Code.TCB, f"the platform's TCB is {worse[0]}, not UpToDate; advisories: {advisories}")


def _levels(verified: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """TCB levels: of the platform at the domain's launch, of the quoting enclave, of the platform now."""
    platform = verified["platform"]
    levels = [platform["tcb_level"], verified["qe"]["tcb_level"]]
    if platform["current_tcb_level"] is not None:  # of TDX 1.5, whose module may be updated under a domain
        levels.append(platform["current_tcb_level"])
    return levels


def _advisories(verified: Mapping[str, Any]) -> tuple[str, ...]:
    found = [*verified["tcb"]["advisory_ids"]]
    for level in _levels(verified):
        found += level.get("advisoryIDs", ())
    return tuple(sorted({str(advisory) for advisory in found}))


def _check_debug(quote: Quote) -> None:
    """Attributes that let anybody look in: bits 0-7 of TDATTRIBUTES (group TUD), bit 1 of SGX's flags."""
    if quote.kind is Kind.TDX and quote.fields["td_attributes"][0]:
        raise Refused(Code.DEBUG, "the trust domain can be debugged")
    if quote.kind is Kind.SGX and quote.fields["attributes"][0] & 0x02:
        raise Refused(Code.DEBUG, "the enclave can be debugged")


def _window(chains: Window, verified: Mapping[str, Any], now: datetime) -> Window:
    """When all of it holds: chains, revocation lists, and Intel's times in the collateral."""

    def time(*names: str) -> list[datetime]:
        return [datetime.fromtimestamp(verified[name], UTC) for name in names]

    issued = max(time("latest_issue_date", "qe_iden_latest_issue_date"))
    until = min(time("earliest_expiration_date", "qe_iden_earliest_expiration_date"))
    window = _both(chains, Window(issued, until))
    if now < window.not_before:
        raise Refused(Code.NOT_YET, "the collateral is of the future")
    if now > window.not_after:
        raise Refused(Code.EXPIRED, "the collateral is past its time")
    return window


def _claims(quote: Quote, verified: Mapping[str, Any], window: Window) -> Claims:
    pck, fields = verified["platform"]["pck"], quote.fields
    tcb = {f"cpu{i}": svn for i, svn in enumerate(pck["cpu_svn"])}
    tcb |= {"pce": pck["pce_svn"], "evaluation": verified["tcb"]["eval_data_number"]}
    fmspc = bytes(pck["fmspc"]).hex()
    extra: dict[str, Any] = {"quote_version": quote.version, "fmspc": fmspc}
    for flag in ("dynamic_platform", "cached_keys", "smt_enabled"):
        extra[flag] = str(pck[flag]).lower()
    if pck["platform_instance_id"] is not None:
        extra["platform_instance_id"] = bytes(pck["platform_instance_id"]).hex()
    if quote.kind is Kind.TDX:
        tcb |= {f"tdx{i}": svn for i, svn in enumerate(fields["tee_tcb_svn"])}
        extra |= {"td_attributes": fields["td_attributes"].hex(), "xfam": fields["xfam"].hex()}
    else:
        tcb["isvsvn"] = int.from_bytes(fields["isvsvn"], "little")
        extra |= {"isvprodid": int.from_bytes(fields["isvprodid"], "little")}
        extra |= {"attributes": fields["attributes"].hex(), "miscselect": fields["miscselect"].hex()}
    return Claims(
        kind=quote.kind,
        measurements={n: fields[n].hex() for n in _MEASUREMENTS[quote.kind] if n in fields},
        report_data=fields["report_data"],
        software_rooted=False,
        hardware_model=f"Intel {quote.kind.upper()} FMSPC {fmspc}",
        hardware_id=bytes(pck["ppid"]).hex(),
        tcb=tcb,
        tcb_status=str(verified["tcb"]["status"]),
        advisories=_advisories(verified),
        not_before=window.not_before,
        not_after=window.not_after,
        extra=extra,
        not_checked=_NOT_CHECKED[quote.kind],
    )


_COLLATERAL: Final = (
    "whether Intel issued newer collateral since: compare tcb.evaluation with the newest number"
)
_NOT_CHECKED: Final = {
    Kind.TDX: ("which events lie behind the RTMRs: no event log is replayed", _COLLATERAL),
    Kind.SGX: (_COLLATERAL,),
}
