# SPDX-License-Identifier: Apache-2.0
"""What a ledger entry says, as a sentence: the key of its words and the names to put in.

Entries come from this member's own ledger, but what is in them came from others: a field may be missing or of
another type, and then a dash stands for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hitoku.room.ledger import Entry, EntryKind

__all__ = ["sentence"]

_FIELDS = (
    "asker", "bound", "broker", "by", "code", "host", "member", "model", "name", "owner", "protection",
    "reason", "role", "rows", "stage", "table", "version",
)  # fmt: skip


def sentence(entry: Entry) -> tuple[str, dict[str, str]]:
    """The key of the words of an entry, and the names in them.

    Returns:
        The key, ``ledger.say_...``, and every name that any of these words takes.
    """
    body = entry.body
    names = {field: _text(body.get(field)) for field in _FIELDS}
    names |= {
        "tables": _list(body.get("tables")),
        "receivers": _list(body.get("receivers")),
        "members": _list(body.get("members")),
        "run": _text(body.get("run"))[:8],
    }
    return f"ledger.say_{_which(entry.kind, body)}", names


def _which(kind: EntryKind, body: Mapping[str, Any]) -> str:
    name = str(kind).replace("-", "_")
    if kind is EntryKind.QUESTION and "repeats" in body:
        return "question_again"
    if kind is EntryKind.RELEASE and "repeats" in body:
        return "release_again"
    if kind is EntryKind.CHARGE and "reason" in body:
        return "charge_failed"
    if kind is EntryKind.RESERVATION and not body.get("tables"):
        return "reservation_none"
    if kind is EntryKind.DELETION and "table" not in body:
        return "deletion_run"
    if kind is EntryKind.APPRAISAL:
        return "appraisal_refused" if body.get("verdict") == "refuse" else "appraisal"
    if kind is EntryKind.REFERENCE and body.get("change") == "policy":
        return "reference_policy"
    if kind is EntryKind.PREDICTION and body.get("role") == "asker":
        return "prediction_asked"
    if kind is EntryKind.RESTORE and body.get("stage") == "restored-accepted":
        return "restore_accepted"
    if kind is EntryKind.RESTORE and body.get("stage") == "arrived":
        return "restore_arrived"
    if kind is EntryKind.LEARNING and body.get("state") == "ended":
        return "learning_ended"
    return name


def _text(value: Any) -> str:
    return str(value) if isinstance(value, str | int) else "–"


def _list(value: Any) -> str:
    return ", ".join(_text(one) for one in value) if isinstance(value, list) and value else "–"
