# SPDX-License-Identifier: Apache-2.0
"""Statements of an AWS KMS key policy, read strictly: what the linter cannot understand it does not pass."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from hitoku import limits
from hitoku.errors import InputError

__all__ = ["Statement", "statements"]

_FIELDS: Final = frozenset(
    {
        "Sid",
        "Effect",
        "Principal",
        "NotPrincipal",
        "Action",
        "NotAction",
        "Resource",
        "NotResource",
        "Condition",
    }
)
_ROOT: Final = re.compile(r"(\d{12}|arn:[^:]*:iam::[^:]*:root)")


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement.

    Attributes:
        name: its Sid, or its place.
        allows: Allow; else Deny.
        principals: whom it names, as text; ``*`` for everybody.
        actions: patterns of actions that it is about, or (`inverted`) is not about.
        inverted: it has NotAction.
        whole: it is about this key and nothing narrower (Resource ``*``).
        condition: operator to key to values.
        excepted: it has NotPrincipal.
    """

    name: str
    allows: bool
    principals: tuple[str, ...]
    actions: tuple[str, ...]
    inverted: bool
    whole: bool
    condition: Mapping[str, Mapping[str, tuple[str, ...]]]
    excepted: bool

    def covers(self, action: str) -> bool:
        """Whether it is about an action: without case, ``*`` and ``?`` standing for others."""
        return any(_like(pattern, action) for pattern in self.actions) != self.inverted

    @property
    def everybody(self) -> bool:
        """Whether it is about every principal there is; for a Deny."""
        return "*" in self.principals and not self.excepted

    @property
    def anybody(self) -> bool:
        """Whether it lets in principals that are not named; for an Allow."""
        return self.excepted or any("*" in p for p in self.principals)

    @property
    def named(self) -> bool:
        """Whether it is about roles or users by name: not everybody, not an account's root (all its IAM)."""
        return not self.anybody and not any(_ROOT.fullmatch(p) for p in self.principals)


def statements(content: bytes) -> tuple[Statement, ...]:
    """All statements of a key policy.

    Raises:
        InputError: not a key policy.
    """
    if len(content) > limits.MAX_POLICY_BYTES:
        raise InputError(f"the key policy is larger than {limits.MAX_POLICY_BYTES} bytes")
    try:
        data = json.loads(content, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        raise InputError("the key policy is not JSON, or has one name twice in an object") from None
    listed = data.get("Statement") if isinstance(data, dict) else None
    if isinstance(listed, dict):
        listed = [listed]
    if not isinstance(listed, list) or not listed:
        raise InputError("a key policy is an object with `Statement`, which is not empty")
    return tuple(_statement(s, index) for index, s in enumerate(listed))


def _statement(data: object, index: int) -> Statement:
    where = f"statement {index}"
    if not isinstance(data, dict) or not set(data) <= _FIELDS:
        raise InputError(f"{where}: has a field that statements of policies do not have")
    if data.get("Effect") not in {"Allow", "Deny"}:
        raise InputError(f"{where}: Effect is Allow or Deny")
    for one, other in (("Action", "NotAction"), ("Principal", "NotPrincipal")):
        if (one in data) == (other in data):
            raise InputError(f"{where}: needs {one} or {other}, one of them")
    if "Resource" in data and "NotResource" in data:
        raise InputError(f"{where}: has Resource and NotResource")
    name = data.get("Sid", "") or f"#{index}"
    if not isinstance(name, str) or len(name) > 200:
        raise InputError(f"{where}: Sid is a short text")
    inverted = "NotAction" in data
    return Statement(
        name=name,
        allows=data["Effect"] == "Allow",
        principals=_principals(data.get("Principal", data.get("NotPrincipal")), where),
        actions=_texts(data["NotAction" if inverted else "Action"], f"{where}: Action"),
        inverted=inverted,
        # In a key policy "*" is the key it is attached to.
        whole="NotResource" not in data and "*" in _texts(data.get("Resource", "*"), f"{where}: Resource"),
        condition=_condition(data.get("Condition", {}), where),
        excepted="NotPrincipal" in data,
    )


def _principals(value: object, where: str) -> tuple[str, ...]:
    if isinstance(value, dict) and value:
        return tuple(text for part in value.values() for text in _texts(part, f"{where}: Principal"))
    return _texts(value, f"{where}: Principal")


def _condition(value: object, where: str) -> dict[str, dict[str, tuple[str, ...]]]:
    if not isinstance(value, dict) or not all(isinstance(keys, dict) for keys in value.values()):
        raise InputError(f"{where}: Condition is an object of operators, each with keys and values")
    return {
        operator: {key: _texts(values, f"{where}: Condition") for key, values in keys.items()}
        for operator, keys in value.items()
    }


def _texts(value: object, where: str) -> tuple[str, ...]:
    listed = value if isinstance(value, list) else [value]
    plain = [str(v).lower() if isinstance(v, bool) else v for v in listed]  # AWS reads true as "true"
    if not plain or not all(isinstance(v, str) and v for v in plain):
        raise InputError(f"{where} is a text, or a list of texts")
    return tuple(v for v in plain if isinstance(v, str))


def _like(pattern: str, text: str) -> bool:
    expression = "".join(".*" if c == "*" else "." if c == "?" else re.escape(c) for c in pattern)
    return re.fullmatch(expression, text, re.IGNORECASE | re.DOTALL) is not None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError
    return found
