# SPDX-License-Identifier: Apache-2.0
"""What conditions of AWS policies do to requests with and without an attestation document.

An Allow must hold only where the document names the image (`identifies`); a Deny must hold wherever there
is no document or another image (`excludes`). All operators and keys of one condition must hold together,
the values of a key are alternatives.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

__all__ = ["Problem", "Verdict", "excludes", "identifies", "restricts"]

Condition = Mapping[str, Mapping[str, tuple[str, ...]]]

_KEY: Final = re.compile(
    r"kms:recipientattestation:(imagesha384|pcr\d{1,2}|nitrotpmpcr\d{1,2})", re.IGNORECASE
)
_OPERATOR: Final = re.compile(r"(ForAnyValue:|ForAllValues:)?([A-Za-z]+?)(IfExists)?")
_SAME: Final = frozenset({"StringEquals", "StringEqualsIgnoreCase"})
_OTHER: Final = frozenset({"StringNotEquals", "StringNotEqualsIgnoreCase"})
_SHA384: Final = re.compile(r"[0-9a-fA-F]{96}")

_ENOUGH: Final = (
    {"imagesha384"},
    {"pcr0"},
    {"pcr1", "pcr2"},
    {"pcr8"},
    {"nitrotpmpcr4"},
)
"""Sets of registers that name an image or who signed it. PCR1 alone is AWS's kernel, which others use,
too; PCR3 and PCR4 of an enclave name a role and an instance; PCR7 of a NitroTPM says only that Secure Boot
was on with some keys."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a condition; see `hitoku.attestation.lint_kms.Finding`."""

    code: str
    message: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a condition does.

    Attributes:
        holds: it does what it must.
        others: it has conditions on other things, too.
        problems: what is wrong with it.
    """

    holds: bool
    others: bool
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class _Test:
    """One operator on one key."""

    quantifier: str
    operator: str
    if_exists: bool
    key: str
    values: tuple[str, ...]


def _tests(condition: Condition) -> Iterator[_Test]:
    for written, keys in condition.items():
        match = _OPERATOR.fullmatch(written)
        quantifier, operator, if_exists = match.groups() if match else ("", written, None)
        for key, values in keys.items():
            yield _Test(quantifier or "", operator, bool(if_exists), key, values)


def _register(test: _Test) -> str | None:
    """The register that a key names, without case as AWS compares keys; None for other keys."""
    match = _KEY.fullmatch(test.key)
    return match.group(1).lower() if match else None


def identifies(condition: Condition) -> Verdict:
    """Whether a request passes only with the attestation of named images; for an Allow."""
    problems: list[Problem] = []
    registers: set[str] = set()
    others = False
    for test in _tests(condition):
        register = _register(test)
        if register is None:
            others = True
            continue
        wrong = [*_operator(test, _SAME)] or [*_values(test)]
        problems += wrong
        if not wrong:
            registers.add(register)
    holds = any(enough <= registers for enough in _ENOUGH)
    if registers and not holds and not problems:
        problems.append(
            Problem(
                "WEAK",
                f"{', '.join(sorted(registers))} alone does not name the image",
                "use kms:RecipientAttestation:ImageSha384 (PCR0), or kms:RecipientAttestation:NitroTPMPCR4",
            )
        )
    return Verdict(holds, others, tuple(problems))


def excludes(condition: Condition) -> Verdict:
    """Whether every request without attestation meets it; for a Deny."""
    problems: list[Problem] = []
    others, any_attested = False, False
    for test in _tests(condition):
        if _register(test) is None:
            others = True
            continue
        any_attested = True
        if test.operator == "Null":
            if set(test.values) != {"true"} or test.quantifier or test.if_exists:
                problems.append(_absent(test, "is met where there IS an attestation"))
            continue
        # IfExists and ForAllValues match what is absent, as a Deny should; ForAnyValue does not.
        if test.operator not in _OTHER or test.quantifier == "ForAnyValue:":
            problems.append(_absent(test, "does not match a request without attestation"))
        else:
            problems += _values(test)
            problems += _spelling(test)
    if not any_attested:
        # Without any condition it denies all; with another one it is about something else.
        return Verdict(not others, others, ())
    return Verdict(not problems and not others, others, tuple(problems))


def restricts(condition: Condition) -> bool:
    """Whether a condition restricts anything: one that absence does not meet."""
    return any(
        not test.if_exists and test.quantifier != "ForAllValues:" and "*" not in test.values
        for test in _tests(condition)
        if not (test.operator == "Null" and set(test.values) == {"true"}) and "Not" not in test.operator
    )


def _operator(test: _Test, wanted: frozenset[str]) -> Iterator[Problem]:
    if test.if_exists or test.quantifier == "ForAllValues:":
        how = "...IfExists" if test.if_exists else "ForAllValues"
        yield Problem(
            "IF_EXISTS",
            f"{how} on {test.key} is met by a request that carries no attestation at all",
            "use StringEqualsIgnoreCase",
        )
    elif test.operator not in wanted:
        yield Problem(
            "OPERATOR",
            f"{test.operator} on {test.key} does not compare it with a measurement",
            "use StringEqualsIgnoreCase",
        )
    else:
        yield from _spelling(test)


def _spelling(test: _Test) -> Iterator[Problem]:
    """KMS compares with lower-case hexadecimal: another case never matches where case counts."""
    if not test.operator.endswith("IgnoreCase") and any(v != v.lower() for v in test.values):
        yield Problem(
            "OPERATOR",
            f"{test.operator} on {test.key} counts case, and measurements are lower-case: it never matches",
            "use the operator that ends in IgnoreCase",
        )


def _values(test: _Test) -> Iterator[Problem]:
    for value in test.values:
        if not _SHA384.fullmatch(value):
            yield Problem(
                "VALUE",
                f"a value of {test.key} is no SHA-384 in hexadecimal",
                "write the 96 digits that the image's build printed",
            )
        elif not value.strip("0"):
            yield Problem(
                "DEBUG",
                f"zeros for {test.key} are what every enclave in debug mode has, and its console can be read",
                "write the measurement of the image, and start it without debugging",
            )


def _absent(test: _Test, what: str) -> Problem:
    return Problem(
        "OPERATOR",
        f"{test.quantifier}{test.operator} on {test.key} in a Deny {what}",
        "use StringNotEqualsIgnoreCase, or Null with true",
    )
