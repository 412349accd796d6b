# SPDX-License-Identifier: Apache-2.0
"""What keeps a ledger that came from a backup from going on (docs/decisions/0018-restore.md).

A restored database may be older than what the other members have seen. A node that goes on from it would
spend budgets a second time, and sign a second history of its ledger. So every restored ledger is closed: no
entry is appended to it, and with that nothing is consented to, hosted or scored, until its owner has compared
it with the heads that the others keep, and has said that what is lost counts as spent.

The mark stands in the ledger's own row, which every writer reads with the lock that it takes anyway: there is
no way to write that does not come past it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, Self

from hitoku.errors import Refusal, RoomError

__all__ = ["LOST_BOX", "Restored"]

LOST_BOX: Final = "lost"
"""Stands for what was asked of a table's overlap columns and is no longer on record: it may be anything."""


@dataclass(frozen=True, slots=True)
class Restored:
    """Why a ledger is closed.

    Attributes:
        state: ``restored`` from a backup; ``moved`` to another place, where it goes on; or ``arriving``: it
            was moved here, and not all other members know so yet (`hitoku.room.arrivals`).
        time: when, as text.
        size: how many entries it had then.
        missing: how many more the others have seen; None while they were not asked.
        instance: which copy of a moved ledger this is; None where it was not moved here. A copy that came
            while another went on keeps it with the state ``restored``.
    """

    state: Literal["restored", "moved", "arriving"]
    time: str
    size: int
    missing: int | None = None
    instance: str | None = None

    def to_text(self) -> str:
        """As it is kept."""
        said = {"state": self.state, "time": self.time, "size": self.size, "missing": self.missing}
        return json.dumps(said if self.instance is None else said | {"instance": self.instance})

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read what `to_text` wrote.

        Raises:
            RoomError: it is something else; then the ledger stays closed.
        """
        try:
            data: dict[str, Any] = json.loads(text)
            missing, instance = data["missing"], data.get("instance")
            if data["state"] not in {"restored", "moved", "arriving"}:
                raise ValueError
            if not isinstance(instance, str) and (instance is not None or data["state"] == "arriving"):
                raise ValueError
            if instance is not None and data["state"] == "moved":
                raise ValueError
            return cls(
                data["state"],
                str(data["time"]),
                int(data["size"]),
                None if missing is None else int(missing),
                instance,
            )
        except (ValueError, KeyError, TypeError, RecursionError):
            raise RoomError("the ledger is closed, and it cannot be read why: restore it again") from None

    @property
    def twice(self) -> bool:
        """Whether another copy of the moved ledger goes on, or did: this one has accepted no loss yet."""
        return self.state == "restored" and self.instance is not None

    def compared(self, missing: int) -> Self:
        """The same, with what the others said."""
        return replace(self, missing=missing)

    def refusal(self, member: str) -> Refusal:
        """What is said to whoever wants the ledger to go on."""
        if self.state == "moved":
            return Refusal(
                "MOVED_AWAY",
                f"the node of {member!r} moved elsewhere on {self.time[:10]}: this copy must not go on",
                owner=member,
                remedy="ask the node where it is now, and delete this copy",
            )
        if self.state == "arriving":
            return Refusal(
                "NOT_ARRIVED",
                f"the node of {member!r} was moved here, and not all other members know yet that it goes on "
                "here and nowhere else: nothing is consented to",
                owner=member,
                remedy=f"{member} runs `hitoku node restore --to DIR` while the other members' nodes serve",
            )
        if self.missing is None:
            what = "and was not compared yet with what the other members have seen of it"
        elif self.missing:
            what = f"and lacks {self.missing} entries that other members have seen"
        else:
            what = "and what it did after the backup is not on record"
        return Refusal(
            "RESTORED_BEHIND",
            f"the ledger of {member!r} was restored from a backup with {self.size} entries, {what}: nothing "
            "is consented to",
            owner=member,
            remedy=f"{member} runs `hitoku node restore --to DIR --accept-loss`: what is lost then counts as "
            "spent",
            params={"member": member, "missing": "unknown" if self.missing is None else str(self.missing)},
        )
