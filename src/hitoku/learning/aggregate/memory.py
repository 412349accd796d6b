# SPDX-License-Identifier: Apache-2.0
"""What a member remembers of a run so that no two sums that open tell one member's vector apart.

Two sums of the same rows over sets that differ in one member differ by that member's vector. Therefore:

1. Sums of all of a member's rows open over one set, the run's first, whatever they are sums of and however
   they are asked for. One set for each sum is not enough: counts, counters, bins, and gradients at weights of
   the server's choice are functions of each other.
2. Over every other set the instruction is `fresh`, and the member computes on rows that it drew for that very
   set. A task is told so by the member and not by the server (`whole`, see
   `instructions.checked_contribution`). A single sum's vector is made before it is known who stays; where
   somebody is lost after that, the sum would open over another set than the rows were drawn for, and is
   refused: members are asked again, without whom was lost. With the plan's privacy every vector has noise of
   its own, and opens over whoever stays.
3. Asking for fresh rows again for a purpose (an instruction without its arrays) over the same set counts as
   one more change; a session that asks again for what an earlier one asked, each once, counts as one. Tasks
   keep their draw while the set is the same, since many draws would average out; this counts what a task that
   drew again would give away.
4. A kind of sum (task and `do`) is asked for in sessions or in single sums, never in both.
5. The set changes at most as often as the plan says.

All of it is on the disk before the reply it allows leaves, and survives restarts. With fresh rows the
difference of two sums is a difference over two samples; it hides rows, not a bank's size or rough shape, and
the number of changes bounds how often that happens. The plan's privacy, where it is set, covers it fully.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal

from hitoku import limits
from hitoku.errors import LimitError, PeerError, Refusal
from hitoku.learning.aggregate.instructions import is_fresh, kind, purpose
from hitoku.learning.base import Instruction
from hitoku.learning.ledger import Ledger
from hitoku.learning.plan import Plan, plan_hash

__all__ = ["SHRANK", "Memory", "Numbers"]

SHRANK: Final = "LEARNING_SET_SHRANK"

_BLOCK: Final = 256
Mode = Literal["session", "round"]


class Numbers:
    """Numbers that only rise, also over restarts; a block is written down ahead of use."""

    def __init__(self, ledger: Ledger, name: str) -> None:
        self._ledger, self._name = ledger, name
        used = [entry[name] for entry in ledger.entries if name in entry]
        self.last = self._reserved = int(used[-1]) if used else 0

    def use(self, number: Any) -> bool:
        """Take a number; False if it is not above all before it.

        Raises:
            PeerError: it is no number.
            InputError: the state cannot be written.
        """
        if type(number) is not int or not 0 < number < limits.MAX_LEARNING_SEQUENCE:
            raise PeerError("a session's or round's number is malformed", "MALFORMED")
        if number <= self.last:
            return False
        if number > self._reserved:
            self._ledger.append({self._name: number + _BLOCK})
            self._reserved = number + _BLOCK
        self.last = number
        return True


class Memory:
    """One member's rules about sets, with the ledger they are kept in.

    Args:
        path: the ledger's file.
        plan: the signed plan.
        run: the run's id.
        name: the member.

    Raises:
        InputError: the state belongs to something else, is damaged, or in use.
    """

    def __init__(self, path: Path, plan: Plan, run: str, name: str) -> None:
        self._plan, self._name = plan, name
        self.ledger = Ledger(path, plan_hash(plan), run, name)
        self.sessions = Numbers(self.ledger, "sessions")
        self.rounds = Numbers(self.ledger, "rounds")
        self.changes = 0
        """Changes of the set so far, and repeats."""
        self._first: tuple[str, ...] | None = None
        self._last: tuple[str, ...] | None = None
        self._kinds: dict[str, str] = {}
        self._purposes: dict[str, tuple[str, ...]] = {}
        self._repeating: tuple[str, int] | None = None
        self._asked: tuple[tuple[str, int], set[str]] = (("", 0), set())
        for entry in self.ledger.entries:
            self._apply(entry)

    def close(self) -> None:
        """Let go of the ledger."""
        self.ledger.close()

    def whole(self, members: Sequence[str]) -> bool:
        """Whether all rows may be in a sum over these members: no such sum opened over another set."""
        return self._first is None or self._first == tuple(members)

    def session(self, number: int, instruction: Instruction, members: Sequence[str]) -> None:
        """Before a contribution to a session's sum over these members.

        Raises:
            Refusal: one of the rules above forbids it.
            InputError: the state cannot be written.
        """
        chosen = tuple(members)
        first = chosen if self._first is None else self._first
        entry = self._about("session", instruction, chosen)
        if self._first is None:
            entry["first"] = list(chosen)
        if chosen != first:
            if not is_fresh(instruction):
                raise self._refusal(
                    "LEARNING_NOT_FRESH",
                    "the set of members is another one than at the start of the run: a sum of the same rows "
                    "over it would tell what the lost member's part was",
                    remedy="the driver asks for fresh rows after the set changed",
                )
            self._repeats(entry, ("session", number), instruction, chosen)
        self._write(entry)

    def round(
        self,
        number: int,
        instruction: Instruction,
        members: Sequence[str],
        made_for: tuple[Sequence[str], bool] | None = None,
    ) -> None:
        """Before this member agrees that a single sum opens over these members.

        Args:
            number: of the round.
            instruction: the sum.
            members: over whom it opens.
            made_for: the set that this member's vector was made for, and what `whole` said of it then. None:
                for these members, now.

        Raises:
            Refusal: one of the rules above forbids it. ``LEARNING_SET_SHRANK``: asked again among those who
                are left, it is not refused for that.
            InputError: the state cannot be written.
        """
        chosen = tuple(members)
        drawn, whole = (chosen, self.whole(chosen)) if made_for is None else made_for
        fresh = is_fresh(instruction)
        entry = self._about("round", instruction, chosen)
        if self._first is None:
            entry["first"] = list(chosen)
        if not fresh and not self.whole(chosen):
            raise self._refusal(
                "LEARNING_SAME_SUM",
                "sums of all rows were agreed on over another set of members: both together would tell what "
                "the members that are in one of them contributed",
                remedy="wait until the first set's members are back, go on with what opened, or ask for "
                "fresh rows",
            )
        made_of_this_set = self.whole(chosen) if whole else chosen == tuple(drawn)
        if not made_of_this_set and self._plan.privacy is None:
            raise self._refusal(
                SHRANK,
                "a member was lost after this one had made its vector for a sum with it: opened without it, "
                "the sum would be over rows that other sums were made of",
                remedy="ask again among those who are left",
            )
        self._repeats(entry, ("round", number), instruction, chosen)
        self._write(entry)

    def _about(self, mode: Mode, instruction: Instruction, chosen: tuple[str, ...]) -> dict[str, Any]:
        entry: dict[str, Any] = {}
        asked = kind(instruction)
        known = self._kinds.get(asked)
        if known is not None and known != mode:
            raise self._refusal(
                "LEARNING_TWO_MODES",
                "sums of this kind were asked for in sessions and as single sums: in one of the two only",
                remedy="the driver asks for one kind of sum in one way",
            )
        if known is None:
            entry["kind"], entry["mode"] = asked, mode
        if chosen != self._last:
            entry["set"] = list(chosen)
            if self._last is not None:
                entry["changes"] = self.changes + 1
        return entry

    def _repeats(
        self,
        entry: dict[str, Any],
        where: tuple[str, int],
        instruction: Instruction,
        chosen: tuple[str, ...],
    ) -> None:
        what = _what(instruction)
        before = self._purposes.get(what)
        if before is None and len(self._purposes) >= limits.MAX_LEARNING_PURPOSES:
            raise LimitError("this run has asked for more sums than a member remembers")
        if self._asked[0] != where:
            self._asked = (where, set())
        twice = what in self._asked[1]
        self._asked[1].add(what)
        if before != chosen:
            entry["purpose"] = {what: list(chosen)}
        elif is_fresh(instruction) and (twice or self._repeating != where):
            entry["changes"] = entry.get("changes", self.changes) + 1
            self._repeating = where

    def _write(self, entry: dict[str, Any]) -> None:
        if entry.get("changes", 0) > self._plan.aggregation.changes:
            self._repeating = None
            raise self._refusal(
                "LEARNING_SET_CHANGES",
                f"the set of members has changed {self._plan.aggregation.changes} times, as often as the "
                "plan allows",
                rule="aggregation.changes",
                remedy="end the run with the model it has, or agree on a new plan",
            )
        if entry:
            self.ledger.append(entry)
            self._apply(entry)

    def _apply(self, entry: dict[str, Any]) -> None:
        self.changes = int(entry.get("changes", self.changes))
        if "first" in entry:
            self._first = tuple(entry["first"])
        if "set" in entry:
            self._last = tuple(entry["set"])
        if "kind" in entry:
            self._kinds[entry["kind"]] = entry["mode"]
        for what, chosen in entry.get("purpose", {}).items():
            self._purposes[what] = tuple(chosen)

    def _refusal(self, code: str, message: str, *, remedy: str, rule: str | None = None) -> Refusal:
        return Refusal(code, message, rule=rule, owner=self._name, remedy=remedy)


def _what(instruction: Instruction) -> str:
    """The purpose; of fresh rows apart, so that what they were drawn over does not count for all rows."""
    what = purpose(instruction)
    return f"fresh {what}" if is_fresh(instruction) else what
