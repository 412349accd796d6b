# SPDX-License-Identifier: Apache-2.0
"""A member's own policy: a small total language over claims that can only refuse more.

What cannot be turned off is not written in it (`hitoku.attestation.appraise`): no debugging, a vendor's
word that the platform is up to date, a program that the members signed for, a hardware root unless the
room says otherwise. A policy adds to that; without one nothing is added::

    {"format": "hitoku/attestation-policy/1",
     "allow": {"allOf": [{"equals": ["kind", "sev-snp"]},
                         {"gte": ["tcb.microcode", 210]},
                         {"in": ["hardware_model", ["Genoa", "Turin"]]},
                         {"not": {"equals": ["reference.version", "1.0.3"]}}]}}

The truth of an expression is true, false or unknown (Kleene's strong logic): a claim that is absent, or of
another type, makes it unknown, and ``not`` of unknown is unknown. Only true allows. So a condition written as
"not the bad value" refuses evidence that leaves the claim out, which is how such policies usually fail open
(AWS's ``...IfExists``). No loops, no references, bounded size: every policy gives a verdict on every input.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from hitoku import limits
from hitoku.attestation.codes import Code, Refused
from hitoku.errors import InputError
from hitoku.room.canonical import canonical_json, digest

__all__ = ["FORMAT", "Facts", "Policy", "Step"]

FORMAT: Final = "hitoku/attestation-policy/1"

Facts = Mapping[str, str | int | bool]
"""Claims and what the appraisal found, by dotted name."""

_LARGEST: Final = 2**53 - 1
"""The largest whole number that canonical JSON has (RFC 8785)."""


@dataclass(frozen=True, slots=True)
class Step:
    """One expression with its truth, for people: `explain` shows why a policy refuses.

    Attributes:
        words: the expression in words, without its parts.
        truth: true, false, or None for unknown.
        parts: the expressions in it.
    """

    words: str
    truth: bool | None
    parts: tuple[Step, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {"words": self.words, "truth": self.truth, "parts": [p.to_dict() for p in self.parts]}


@dataclass(frozen=True, slots=True)
class Policy:
    """A member's policy.

    Attributes:
        allow: the expression; None where nothing is added to what always holds.
    """

    allow: Mapping[str, Any] | None = None

    @classmethod
    def from_json(cls, content: bytes, where: str = "policy") -> Self:
        """Read a policy.

        Raises:
            InputError: not a policy; says where in it and what is wrong.
        """
        if len(content) > limits.MAX_POLICY_BYTES:
            raise InputError(f"{where}: larger than {limits.MAX_POLICY_BYTES} bytes")
        try:
            data = json.loads(
                content, object_pairs_hook=_once, parse_float=_no_float, parse_constant=_no_float
            )
        except (ValueError, RecursionError) as error:
            detail = str(error) if isinstance(error, _Problem) else "not JSON"
            raise InputError(f"{where}: {detail}") from None
        if not isinstance(data, dict) or set(data) != {"format", "allow"} or data["format"] != FORMAT:
            raise InputError(f"{where}: an object of `format` ({FORMAT}) and `allow` is expected")
        _Checker().check(data["allow"], f"{where}: allow", 0)
        return cls(data["allow"])

    @classmethod
    def open(cls, path: Path) -> Self:
        """The policy in a file; one that adds nothing where there is no file.

        Raises:
            InputError: unreadable, or not a policy.
        """
        try:
            with path.open("rb") as file:
                content = file.read(limits.MAX_POLICY_BYTES + 1)
        except FileNotFoundError:
            return cls()
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror})") from None
        return cls.from_json(content, str(path))

    @property
    def digest(self) -> str:
        """What results and ledgers call it: the hash of its canonical form."""
        return digest("hitoku/attestation-policy/1", canonical_json({"allow": self.allow}))

    def explain(self, facts: Facts) -> Step:
        """The policy's verdict on facts, with that of every expression in it."""
        if self.allow is None:
            return Step("no policy of one's own: only what always holds", True)
        return _step(self.allow, facts)

    def check(self, facts: Facts) -> None:
        """Allow, or refuse.

        Raises:
            Refused: ``POLICY``; names the first condition that does not hold.
        """
        step = self.explain(facts)
        if step.truth is not True:
            raise Refused(
                Code.POLICY,
                f"this member's policy does not allow it: {_reason(step)}; `hitoku attest policy explain` "
                "shows all of it",
            )


class _Problem(ValueError):
    """Why JSON is refused, in words of ours."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Problem("a name is there twice in one object")
    return found


def _no_float(text: str) -> Any:
    del text
    raise _Problem("numbers are whole")


class _Checker:
    """Checks an expression's form, and counts what is in it."""

    def __init__(self) -> None:
        self._left = limits.MAX_POLICY_NODES

    def check(self, expression: object, where: str, depth: int) -> None:
        self._left -= 1
        if self._left < 0 or depth > limits.MAX_POLICY_DEPTH:
            raise InputError(
                f"{where}: more than {limits.MAX_POLICY_NODES} expressions, or deeper than "
                f"{limits.MAX_POLICY_DEPTH}"
            )
        if not isinstance(expression, dict) or len(expression) != 1:
            raise InputError(f"{where}: an expression is an object with one operator")
        ((operator, argument),) = expression.items()
        if operator in {"allOf", "anyOf"}:
            if not isinstance(argument, list) or not argument:
                raise InputError(f"{where}.{operator}: a list of at least one expression is expected")
            for index, part in enumerate(argument):
                self.check(part, f"{where}.{operator}[{index}]", depth + 1)
        elif operator == "not":
            self.check(argument, f"{where}.not", depth + 1)
        elif operator == "exists":
            _claim(argument, f"{where}.exists")
        elif operator in {"equals", "in", "gte"}:
            self._comparison(operator, argument, f"{where}.{operator}")
        else:
            raise InputError(f"{where}: operators are allOf, anyOf, not, equals, in, gte and exists")

    def _comparison(self, operator: str, argument: object, where: str) -> None:
        if not isinstance(argument, list) or len(argument) != 2:
            raise InputError(f"{where}: a claim's name and what it is compared with are expected")
        _claim(argument[0], where)
        value = argument[1]
        if operator == "in":
            if not isinstance(value, list) or not value or not all(map(_plain, value)):
                raise InputError(f"{where}: a list of texts, whole numbers or truths is expected")
            self._left -= len(value)
        elif operator == "gte":
            if isinstance(value, bool) or not isinstance(value, int) or not _plain(value):
                raise InputError(f"{where}: a whole number is expected")
        elif not _plain(value):
            raise InputError(f"{where}: a text, a whole number or a truth is expected")


def _claim(name: object, where: str) -> None:
    if not isinstance(name, str) or not 1 <= len(name) <= 200 or not name.isprintable():
        raise InputError(f"{where}: a claim's name is expected")


def _plain(value: object) -> bool:
    if isinstance(value, str):
        return value.isprintable()
    return isinstance(value, int) and abs(value) <= _LARGEST


def _step(expression: Mapping[str, Any], facts: Facts) -> Step:
    ((operator, argument),) = expression.items()
    if operator in {"allOf", "anyOf"}:
        parts = tuple(_step(part, facts) for part in argument)
        truths = [part.truth for part in parts]
        decisive = operator == "anyOf"  # one such truth decides, whatever is unknown
        truth = decisive if decisive in truths else None if None in truths else not decisive
        return Step("any of" if decisive else "all of", truth, parts)
    if operator == "not":
        part = _step(argument, facts)
        return Step("not", None if part.truth is None else not part.truth, (part,))
    if operator == "exists":
        return Step(f"{argument} is there", argument in facts)
    name, value = argument
    known = facts.get(name)
    if operator == "in":
        same = [_equal(known, v) for v in value]
        truth = True if True in same else None if all(s is None for s in same) else False
        return Step(f"{name} is one of {_shown(value)}", truth)
    if operator == "gte":
        number = known if isinstance(known, int) and not isinstance(known, bool) else None
        return Step(f"{name} is at least {value}", None if number is None else number >= value)
    return Step(f"{name} is {_shown(value)}", _equal(known, value))


def _equal(known: str | int | bool | None, value: str | int | bool) -> bool | None:
    """Unknown where the types differ: `true` is not 1."""
    return known == value if type(known) is type(value) else None


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 120 else text[:119] + "…"


def _reason(step: Step) -> str:
    """The first expression that is to blame, in words."""
    if step.words == "not":
        return f"not ({_reason(step.parts[0]) if step.truth is None else _whole(step.parts[0])})"
    blamed = next((p for p in step.parts if p.truth is not True), None)
    if blamed is None or step.words == "any of":
        return _whole(step)
    return _reason(blamed)


def _whole(step: Step) -> str:
    state = {True: "true", False: "false", None: "unknown"}[step.truth]
    return (
        f"{step.words} is {state}" if not step.parts else f"{step.words} {len(step.parts)} parts is {state}"
    )
