# SPDX-License-Identifier: Apache-2.0
"""What identifies a run, and where it stands."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from hitoku.room.accounting import Charge

__all__ = ["Role", "Run", "RunState"]


class Role(StrEnum):
    """What a member is in a run; a server is one of three that compute on shares, and not their leader."""

    ASKER = "asker"
    OWNER = "owner"
    HOST = "host"
    SERVER = "server"


class RunState(StrEnum):
    """Where a run stands."""

    RESERVED = "reserved"
    COMMITTED = "committed"
    ABORTED = "aborted"


@dataclass(frozen=True, slots=True)
class Run:
    """What identifies a run: who asks what, under which plan.

    Attributes:
        id: 32 hexadecimal digits, made by the asker, used once.
        role: what this member is in it.
        asker: who asks.
        host: who runs it.
        question: hash of the question.
        sql: its normal form.
        plan: hash of the disclosure plan.
        protection: how it is computed.
        receivers: who receives the answer.
        tables: the tables of this member in it; empty for asker and host.
        charges: what it costs, all owners' accounts; an owner takes its own.
        boxes: table, and what it asks of the table's overlap columns as canonical text.
        repeats: the run whose answer it gives again; None where it computes one.
    """

    id: str
    role: Role
    asker: str
    host: str
    question: str
    sql: str
    plan: str
    protection: str
    receivers: tuple[str, ...]
    tables: tuple[str, ...] = ()
    charges: tuple[Charge, ...] = ()
    boxes: tuple[tuple[str, str], ...] = ()
    repeats: str | None = None
