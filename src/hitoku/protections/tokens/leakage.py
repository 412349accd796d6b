# SPDX-License-Identifier: Apache-2.0
"""Who learns what from a question on tokens, in plain words.

The argument. The host sees ciphertext: fingerprints are HMAC-SHA256 under keys it lacks, so two of one
column under one key are equal exactly where their values are (NULLs aside), and tell nothing else; sealed
values are AES-256-GCM with a fresh key a row and tell their padded length. So its view is a function of: the
equality pattern of each fingerprint column and between columns that share a key, all cleartext columns, row
and column counts, lengths, the question and its cells. This holds while no holder of the room's secret
colludes with it; with the secret it decrypts every sealed value and tries guesses against fingerprints.
"""

from __future__ import annotations

from hitoku.disclosure.leakage import Leakage, Learned
from hitoku.questions.question import Question
from hitoku.questions.words import protected_by, revealed
from hitoku.room.agreement import Ability, ColumnProtection, Room, Table

__all__ = ["NO_COLLUSION", "tokens_leakage"]

NO_COLLUSION = (
    "the host does not collude with anyone who holds the room's secret; with that secret it could decrypt "
    "every sealed value and test guesses against every fingerprint"
)


def tokens_leakage(question: Question, room: Room) -> Leakage:
    """What each member learns from a run of the question on tokens."""
    agreement = room.agreement
    learned: list[Learned] = []
    tables = [table for table in agreement.tables if table.name in question.tables]
    for host in agreement.able(Ability.HOST):
        learned.extend(_host(host.name, tables, room))
    for member in agreement.able(Ability.RECEIVE):
        learned.append(
            Learned(
                member.name,
                "ANSWER",
                f"the released answer; {protected_by(question)}; it tells of {revealed(question)}",
            )
        )
    for member in agreement.members:
        learned.append(Learned(member.name, "QUESTION", "that the question was asked, by whom, and its text"))
    return Leakage(tuple(learned))


def _host(host: str, tables: list[Table], room: Room) -> list[Learned]:
    learned = [
        Learned(host, "SIZES", "the number of rows and the names of the columns of " + _names(tables)),
        Learned(host, "CELLS", "the result before thresholds, small groups included", NO_COLLUSION),
    ]
    by_kind = {kind: _columns(tables, kind) for kind in ColumnProtection}
    fingerprints = by_kind[ColumnProtection.FINGERPRINT]
    if fingerprints:
        across = (
            " and between all fingerprint columns of the room, which share one key"
            if room.agreement.settings.allow_joins_on_columns_with_different_names
            else " and between columns of the same name"
        )
        learned.append(
            Learned(
                host,
                "EQUALITY_PATTERN",
                f"which rows have equal values and how often each value occurs, in {fingerprints}{across}; "
                "not the values",
                NO_COLLUSION,
            )
        )
        learned.append(
            Learned(host, "INTERSECTION", "which rows of the joined tables match each other", NO_COLLUSION)
        )
    if by_kind[ColumnProtection.SEALED]:
        learned.append(
            Learned(
                host,
                "LENGTHS",
                f"the padded length of each value of {by_kind[ColumnProtection.SEALED]}; not the values",
                NO_COLLUSION,
            )
        )
    if room.agreement.settings.preserve_nulls and (fingerprints or by_kind[ColumnProtection.SEALED]):
        learned.append(Learned(host, "NULLS", "which encrypted values are NULL"))
    if by_kind[ColumnProtection.CLEARTEXT]:
        learned.append(
            Learned(host, "CLEARTEXT", f"every value of {by_kind[ColumnProtection.CLEARTEXT]}, row by row")
        )
    return learned


def _names(tables: list[Table]) -> str:
    return ", ".join(table.name for table in tables)


def _columns(tables: list[Table], kind: ColumnProtection) -> str:
    return ", ".join(f"{t.name}.{c.name}" for t in tables for c in t.columns if c.protection is kind)
