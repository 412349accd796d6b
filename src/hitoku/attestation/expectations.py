# SPDX-License-Identifier: Apache-2.0
"""Comparing claims with what a caller expects of them, by name: ``pcr0=...``, ``nonce=...``, ``vmpl=1``.

Equality only, and only of whole values: no prefixes, no patterns, and an empty value equals nothing but an
empty claim. A name that the evidence has no claim for refuses, too, so that a slip in a name accepts nothing.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable
from typing import Final

from hitoku.attestation.claims import Claims
from hitoku.attestation.codes import Code, Refused
from hitoku.attestation.evidence import Kind
from hitoku.errors import InputError

__all__ = ["Expectation", "check", "expectation", "fresh", "named"]

Expectation = tuple[str, str]

_CHALLENGED: Final = frozenset({Kind.TPM, Kind.AZURE_SNP, Kind.AZURE_TDX, Kind.NVIDIA})
"""Kinds whose report_data is what the challenger sent, and nothing else."""
_CODES: Final = {
    "nonce": Code.NONCE_MISMATCH,
    "report_data": Code.BINDING,
    "user_data": Code.BINDING,
    "public_key": Code.BINDING,
}
_LOWER_HEX: Final = re.compile(r"(?:[0-9a-f]{2})+")


def expectation(text: str) -> Expectation:
    """A name and a value of ``name=value``.

    Raises:
        InputError: there is no name or no ``=``.
    """
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise InputError("an expectation is NAME=VALUE, for example pcr0=0123ab...")
    return name.strip(), value.strip()


def fresh(expected: Iterable[Expectation]) -> bool:
    """Whether any of them compares what a challenger may have chosen."""
    return any(name in {"nonce", "report_data", "user_data"} for name, _ in expected)


def named(claims: Claims) -> dict[str, str | int | bool]:
    """The claims by name, with more names that people use.

    ``user_data`` is Nitro's word for report_data; ``nonce`` is report_data where that is the challenge.
    """
    found = claims.flat()
    if claims.kind is Kind.NITRO:
        found["user_data"] = found["report_data"]
    if claims.kind in _CHALLENGED:
        found.setdefault("nonce", found["report_data"])
    return found


def check(claims: Claims, expected: Iterable[Expectation]) -> None:
    """Compare every expectation with its claim.

    Raises:
        Refused: ``NONCE_MISMATCH``, ``BINDING`` (report_data, user_data, public_key) or ``EXPECTATION``.
    """
    found = named(claims)
    for name, value in expected:
        code = _CODES.get(name, Code.EXPECTATION)
        if name not in found:
            names = ", ".join(sorted(found))
            raise Refused(code, f"the evidence has no claim {name!r}; its claims are {names}")
        if not _equal(found[name], value):
            raise Refused(code, f"{name} is not what was expected; it is {_shown(found[name])}")


def _equal(claim: str | int | bool, value: str) -> bool:
    if isinstance(claim, bool):
        return value.lower() == str(claim).lower()
    if isinstance(claim, int):
        return value.removeprefix("-").isdecimal() and value.isascii() and int(value) == claim
    if _LOWER_HEX.fullmatch(claim):
        value = value.lower()
    return hmac.compare_digest(claim.encode(), value.encode())


def _shown(claim: str | int | bool) -> str:
    return str(claim).lower() if isinstance(claim, bool) else str(claim) or "empty"
