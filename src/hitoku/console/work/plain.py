# SPDX-License-Identifier: Apache-2.0
"""Agreements and their differences in words: what a change is about, and values for people."""

from __future__ import annotations

from typing import Any

from hitoku.console.words import say
from hitoku.room.canonical import digest

__all__ = ["brief", "fingerprint", "subject"]

_MOST = 400
_RULE = {
    "joinColumns": "join",
    "joinRequired": "join_required",
    "aggregateColumns": "aggregate",
    "dimensionColumns": "dimension",
    "outputConstraints": "minimum",
    "scalarFunctions": "functions",
    "listColumns": "list",
    "allowedAnalyses": "analyses",
    "allowedAnalysisProviders": "providers",
    "allowedResultReceivers": "receivers",
    "differentialPrivacy": "privacy",
    "additionalAnalyses": "additional",
    "disallowedOutputColumns": "hidden",
}


def fingerprint(key: str) -> tuple[str, ...]:
    """A public key as eight groups of four hexadecimal digits, for two people to compare; 128 bits."""
    text = digest("hitoku/key-fingerprint/1", key.encode()).removeprefix("sha256:")
    return tuple(text[n : n + 4] for n in range(0, 32, 4))


def brief(value: Any) -> str:
    """A JSON-ready value of an agreement as one line."""
    text = _brief(value)
    return text if len(text) <= _MOST else text[:_MOST] + "…"


def _brief(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "✓" if value else "✗"
    if isinstance(value, dict):
        if "minimum" in value and "columnName" in value:
            return f"{value['columnName']} ≥ {value['minimum']}"
        if "columnNames" in value and "function" in value:
            return f"{value['function']}({', '.join(map(str, value['columnNames']))})"
        return ", ".join(f"{k}: {_brief(v)}" for k, v in value.items() if v not in (None, [], ""))
    if isinstance(value, (list, tuple)):
        return "; ".join(_brief(v) for v in value) or "–"
    text = str(value)
    return " ".join(fingerprint(text)) if text.startswith("ed25519:") else text


def subject(language: str, path: str) -> str:
    """What a change is about, of its path; names in it are as they are."""
    first, _, rest = path.partition(".")
    name, _, more = rest.partition(".")
    if first in {"settings", "release"}:
        return say(language, "rooms.subject_setting", what=say(language, f"rooms.{first}_{name}"))
    if first == "members":
        key = {"key": "rooms.subject_key", "abilities": "rooms.subject_abilities"}.get(
            more, "rooms.subject_member"
        )
        return say(language, key, name=name)
    if first == "tables":
        return _table(language, name, more)
    if first == "budgets":
        return say(language, "rooms.subject_budget", name=name, unit=more)
    if first in {"templates", "models"}:
        return say(language, f"rooms.subject_{first}", name=rest)
    return say(language, f"rooms.subject_{first}")


def _table(language: str, name: str, more: str) -> str:
    part, _, rest = more.partition(".")
    if part == "rule":
        if not rest:
            return say(language, "rooms.subject_rule", name=name)
        known = _RULE.get(rest)
        what = rest if known is None else say(language, f"rooms.rule_{known}")
        return say(language, "rooms.subject_rule_part", name=name, what=what)
    if part == "columns":
        if not rest:
            return say(language, "rooms.subject_columns", name=name)
        return say(language, "rooms.subject_column", name=name, column=rest)
    keys = {"owner": "rooms.subject_owner", "access_budgets": "rooms.subject_access"}
    return say(language, keys.get(part, "rooms.subject_table"), name=name)
