# SPDX-License-Identifier: Apache-2.0
"""Who uses the console: people of one member, and what each may do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["May", "User"]


class May(StrEnum):
    """What a user may do. A role is a set of these, nothing else."""

    ASK = "ask"
    """Ask questions, have rows scored, and see what it asked."""
    TABLES = "tables"
    """Register the member's own tables, and draft their rules and budgets."""
    SIGN = "sign"
    """Create rooms, invite, admit, sign and propose versions in the member's name."""
    AUDIT = "audit"
    """Read everything that is recorded: ledgers, everybody's questions, budgets, sign-ins."""
    ADMINISTER = "administer"
    """Users, settings of the console, keys."""


@dataclass(frozen=True, slots=True)
class User:
    """A user who is signed in.

    Attributes:
        id: 32 hexadecimal digits.
        name: what the user signs in with.
        abilities: what it may do.
        rooms: the ids of the rooms it may see; all where None.
        language: ``en`` or ``ja``.
        theme: ``auto``, ``light`` or ``dark``.
    """

    id: str
    name: str
    abilities: frozenset[May]
    rooms: frozenset[str] | None = None
    language: str = "en"
    theme: str = "auto"

    def may(self, ability: May | str) -> bool:
        """Whether the user may do it."""
        return ability in self.abilities

    def sees(self, room: str) -> bool:
        """Whether the user may see a room."""
        return self.rooms is None or room in self.rooms
