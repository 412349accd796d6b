# SPDX-License-Identifier: Apache-2.0
"""`hitoku attest`: what evidence says, and whether it holds."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

from cyclopts import App, Parameter

from hitoku import limits
from hitoku.cli.show import one_line
from hitoku.errors import InputError

if TYPE_CHECKING:
    from hitoku.attestation.claims import Claims
    from hitoku.attestation.codes import Refused
    from hitoku.attestation.evidence import Evidence
    from hitoku.attestation.expectations import Expectation

__all__ = ["app"]

app = App(
    name="attest",
    help="Evidence of what runs where: make it, verify it, and say which programs are accepted.",
    help_format="plaintext",
)
for _place, _name, _help in (
    ("attest_tools:collect", "collect", "Make evidence of what runs here."),
    ("attest_tools:measure", "measure", "Say what a program of this installation is."),
    ("attest_reference:app", "reference", "Which programs this room's members accept."),
    ("attest_policy:app", "policy", "This member's own conditions on evidence."),
    ("attest_tools:lint_kms", "lint-kms", "Check an AWS KMS key policy."),
):
    app.command(f"hitoku.cli.{_place}", name=_name, help=_help)

Json = Annotated[bool, Parameter(name="--json", negative="")]
_EXTRA: Final = {"cbor2", "asn1crypto", "dcap_qvl"}
_WIDTH: Final = 16


@app.command
def verify(
    file: Path,
    *more: Path,
    now: str | None = None,
    endorsement: list[Path] | None = None,
    expect: list[str] | None = None,
    json_: Json = False,
) -> int:
    """Check a file of evidence, offline: exit code 0 if it is accepted, 3 with a code if it is refused.

    The kind is told from the bytes. Signature, chain to the vendor's root, endorsements, debug mode and TCB
    are always checked; what could not be checked is listed.

    Parameters
    ----------
    file
        The evidence: bytes as the platform made them, hexadecimal or base64 text, JSON, or a certificate.
    more
        Further endorsements.
    now
        The time to check at, such as 2025-06-25T12:00:00Z, or seconds since 1970; UTC unless it says
        otherwise. By default the clock's.
    endorsement
        A file that the check needs: certificates, Intel's collateral (whole, or as its service gives it:
        TCB info, quoting enclave's identity, chains, revocation lists), signature, key ...; once for each.
    expect
        NAME=VALUE that a claim must equal, such as nonce=..., report_data=..., pcr0=...; once for each.
    json_
        Print one JSON object.
    """
    from hitoku.attestation.codes import Refused
    from hitoku.attestation.expectations import check, expectation

    when = _time(now)
    expected = [expectation(text) for text in expect or ()]
    paths = [*(endorsement or ()), *more]
    content, *files = [_read(path) for path in (file, *paths)]
    evidence = None
    try:
        evidence, claims = _verified(content, files, when)
        check(claims, expected)
    except Refused as refused:
        return _refused(refused, when, json_)
    unused = [str(path) for path, one in zip(paths, _unused(content, files, evidence), strict=True) if one]
    _accepted(claims, when, expected, unused, json_)
    return 0


@app.command
def explain(file: Path, *, endorsement: list[Path] | None = None, json_: Json = False) -> int:
    """Say what a file of evidence holds. Nothing of it is verified.

    Parameters
    ----------
    file
        As for verify.
    endorsement
        As for verify; needed only where the evidence is in several files.
    json_
        Print one JSON object.
    """
    from hitoku.attestation.codes import Refused
    from hitoku.attestation.explain import explain as explained
    from hitoku.attestation.recognise import recognise

    content, *files = [_read(path) for path in (file, *(endorsement or ()))]
    try:
        found = explained(recognise(content, files))
    except Refused as refused:
        return _refused(refused, None, json_)
    if json_:
        sys.stdout.write(json.dumps({"verified": False, **found}, ensure_ascii=False) + "\n")
        return 0
    sys.stdout.write(f"{found['kind']}: NOT VERIFIED, anybody can write this\n")
    _lines(found["fields"])
    return 0


def _verified(content: bytes, files: Sequence[bytes], when: datetime) -> tuple[Evidence, Claims]:
    try:
        from hitoku.attestation.recognise import recognise
        from hitoku.attestation.verify import verify as verified

        evidence = recognise(content, files)
        return evidence, verified(evidence, when)
    except ModuleNotFoundError as error:
        if error.name not in _EXTRA:
            raise
        raise InputError("attestation needs the extra: install hitoku[attestation]") from None


def _unused(content: bytes, files: Sequence[bytes], evidence: Evidence) -> list[bool]:
    """Of each endorsement, whether the evidence is the same without it, and without files that equal it."""
    from hitoku.attestation.codes import Refused
    from hitoku.attestation.recognise import recognise

    def same(left_out: bytes) -> bool:
        try:
            return recognise(content, [file for file in files if file != left_out]) == evidence
        except Refused:
            return False

    return [same(file) for file in files]


# --- input ---


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(limits.MAX_EVIDENCE_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None


def _time(text: str | None) -> datetime:
    if text is None:
        return datetime.now(UTC)
    try:
        if text.isdecimal():
            return datetime.fromtimestamp(int(text), UTC)
        time = datetime.fromisoformat(text)
    except (ValueError, OverflowError, OSError):
        raise InputError("--now is a time such as 2025-06-25T12:00:00Z, or seconds since 1970") from None
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


# --- output ---


def _accepted(
    claims: Claims, when: datetime, expected: Sequence[Expectation], unused: Sequence[str], as_json: bool
) -> None:
    from hitoku.attestation.expectations import fresh, named

    not_checked = list(claims.not_checked)
    if not fresh(expected):
        not_checked.append(
            "freshness: old evidence passes, too; compare its challenge by --expect nonce= or report_data="
        )
    if not any(name in claims.measurements for name, _ in expected):
        not_checked.append("which program it is: compare measurements with --expect")
    holds = [None if t is None else _stamp(t) for t in (claims.not_before, claims.not_after)]
    if as_json:
        data = {"accepted": True, "kind": str(claims.kind), "now": _stamp(when), "holds": holds}
        data |= {"claims": named(claims), "expected": [name for name, _ in expected]}
        data |= {"not_checked": not_checked, "unused_endorsements": list(unused)}
        sys.stdout.write(json.dumps(data, ensure_ascii=False) + "\n")
        return
    sys.stdout.write(f"accepted: {claims.kind}, as of {_stamp(when)}\n")
    if claims.software_rooted:
        _line("WARNING", "no hardware vouches for this: whoever runs the machine can make such evidence")
    if any(holds):
        _line("holds", f"{holds[0]} to {holds[1]}")
    flat = named(claims)
    _lines({name: value for name, value in flat.items() if not name.startswith("tcb.")})
    if claims.tcb:
        _line("tcb", " ".join(f"{component}={level}" for component, level in claims.tcb.items()))
    for name, _ in expected:
        _line("as expected", name)
    for sentence in not_checked:
        _line("not checked", sentence)
    for path in unused:
        _line("not used", path)


def _refused(refused: Refused, when: datetime | None, as_json: bool) -> int:
    """The verdict is the result that was asked for, so it goes to standard output."""
    if as_json:
        at = {} if when is None else {"now": _stamp(when)}
        data: dict[str, Any] = {"accepted": False, **refused.to_dict(), **at}
        sys.stdout.write(json.dumps(data, ensure_ascii=False) + "\n")
    else:
        sys.stdout.write(f"refused ({refused.code}): {one_line(refused.detail)}\n")
    return refused.exit_code


def _lines(fields: dict[str, Any]) -> None:
    for name, value in fields.items():
        if value is None:
            continue
        _line(name, json.dumps(value) if isinstance(value, bool | dict | list) else str(value))


def _line(name: str, value: str) -> None:
    sys.stdout.write(f"  {one_line(name):<{_WIDTH}} {one_line(value)}\n")


def _stamp(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
