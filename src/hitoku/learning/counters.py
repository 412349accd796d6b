# SPDX-License-Identifier: Apache-2.0
"""Risk of an entity (a terminal, a beneficiary) over all banks, from sums of counts that open by the day.

Fraud at a terminal hits customers of many banks; one bank sees few of them. The banks sum, for every entity
and day, how many payments there were and how many of them were frauds, and every row gets, for windows of
days, the count and the share of frauds of its entity. Windows end before the day that lies `delay` days back:
a label that is not known yet never reaches a feature, and days that no row will look at are not sent.

Who learns what: the sums over the banks open, to whom opens sums (the server with `masks`, the leader with
`he`) and to every bank. A bank subtracts its own counts and has the sum of the others'. Where only one bank's
customers use an entity, that sum is that bank's own count: the plan's members agree to it by the counter.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hitoku.errors import InputError, PeerError, Refusal
from hitoku.learning.base import Arrays, Instruction, Rows, Summer
from hitoku.learning.plan import Counter, Cuts, Data, Plan

__all__ = ["TASK", "CounterTask", "Sums", "count", "counted_days", "extend", "instructions"]

TASK: Final = "counters"
_DAY: Final = 86_400
_VALUES: Final = 1 << 22
"""Integers of one sum; a counter with more is summed in blocks of days."""


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """The opened sums of one counter.

    Attributes:
        first: the first day, whole days since 1970-01-01.
        values: int64, shape (days, entities, 2): payments, frauds.
    """

    first: int
    values: NDArray[np.int64]

    def block(self, first: int, days: int) -> NDArray[np.int64]:
        """The sums of some days, shape (days, entities, 2); a view."""
        return self.values[first - self.first : first - self.first + days]


def counted_days(counter: Counter, cuts: Cuts) -> tuple[int, int]:
    """The first day that is counted, and the one after the last: what the tested rows look back to."""
    history, *_, end = cuts.edges
    first = history // _DAY
    return first, max(first, (end - 1) // _DAY - counter.delay)


def instructions(data: Data) -> Iterator[Instruction]:
    """All sums of a plan's counters, in order.

    Raises:
        InputError: the plan has counters and no cuts.
    """
    for place, counter in enumerate(data.counters):
        first, after = counted_days(counter, _cuts(data))
        block = max(1, _VALUES // (2 * counter.entities))
        for begin in range(first, after, block):
            days = min(block, after - begin)
            body = {"do": "count", "counter": place, "first": begin, "days": days}
            yield Instruction(TASK, body, days * counter.entities * 2, data.rows)


def count(summer: Summer, plan: Plan) -> dict[str, Sums]:
    """Open the sums of every counter and tell them to all members.

    Returns:
        By the counter's column.

    Raises:
        TooFewMembers: fewer than the threshold answered.
        PeerError: a member that answered a sum did not take the sums.
    """
    made = _empty(plan.data)
    for instruction in instructions(plan.data):
        body = dict(instruction.body)
        total = summer.total(instruction)
        counter = plan.data.counters[body["counter"]]
        block = total.values.reshape(body["days"], counter.entities, 2)
        made[counter.column].block(body["first"], body["days"])[:] = block
        small = block.astype(np.int32) if block.max(initial=0) < 1 << 31 else block
        answers = summer.tell(TASK, {**body, "do": "sums"}, {"sums": small})
        refused = [name for name, (answer, _) in answers.items() if answer != {"have": True}]
        if refused:
            raise PeerError(f"{', '.join(sorted(refused))} did not take the counters' sums")
    return made


def extend(data: Data, rows: Rows, sums: Mapping[str, Sums]) -> Rows:
    """The rows with the counters' features as their last columns, in the order of `Data.inputs`."""
    columns = [rows.features]
    for counter in data.counters:
        columns.append(_features(counter, rows, sums[counter.column]))
    return replace(rows, features=np.ascontiguousarray(np.concatenate(columns, axis=1)))


class CounterTask:
    """A member's side: counts its rows once, and makes features of the sums.

    Args:
        plan: the plan.
        rows: this member's rows, all parts.

    Raises:
        InputError: the plan has counters and no cuts.
    """

    def __init__(self, plan: Plan, rows: Rows) -> None:
        self._data = plan.data
        self._rows = rows
        self._allowed = {_key(one.body): one for one in instructions(plan.data)}
        self._got: set[str] = set()
        self._sums = _empty(plan.data)

    @property
    def complete(self) -> bool:
        """Whether all sums have come."""
        return len(self._got) == len(self._allowed)

    @property
    def sums(self) -> dict[str, Sums]:
        """The sums by column, once they are complete.

        Raises:
            InputError: they are not.
        """
        if not self.complete:
            raise InputError("the counters' sums have not come yet")
        return self._sums

    def extended(self) -> Rows:
        """The rows with the counters' features.

        Raises:
            InputError: the sums have not come yet.
        """
        return extend(self._data, self._rows, self.sums)

    def contribute(self, instruction: Instruction, members: tuple[str, ...]) -> NDArray[np.int64]:
        """Payments and frauds per day and entity, shape (days * entities * 2,).

        Of two sums over two sets the difference would be one member's counts: that only one opens is for the
        member's memory to see to (`aggregate.memory`), which knows which of the sets opened.

        Raises:
            Refusal: the plan has no such sum.
        """
        del members
        key = _key(instruction.body)
        known = self._allowed.get(key)
        # The body to the letter: a word more in it would be another sum to the member's memory of sets.
        asked = (dict(instruction.body), instruction.length, instruction.bound)
        if known is None or (dict(known.body), known.length, known.bound) != asked:
            raise Refusal(
                "LEARNING_NOT_IN_PLAN",
                "the plan that this member signed has no such sum of counters",
                rule="data.counters",
                remedy="ask for the sums that the plan's counters name",
            )
        body = instruction.body
        counter = self._data.counters[body["counter"]]
        return _contribution(counter, self._rows, body["first"], body["days"])

    def told(self, body: Mapping[str, Any], arrays: Arrays) -> tuple[dict[str, Any], Arrays]:
        """Take opened sums.

        Raises:
            Refusal: they are not those of the plan, or not those that came first.
        """
        key = _key({**body, "do": "count"})
        known = self._allowed.get(key)
        values = arrays.get("sums")
        if body.get("do") != "sums" or known is None or values is None or not _sound(values, known):
            raise Refusal(
                "LEARNING_NOT_IN_PLAN",
                "what came is not a sum of the plan's counters",
                rule="data.counters",
                remedy="the server must send the sums that opened",
            )
        counter = self._data.counters[body["counter"]]
        block = values.reshape(body["days"], counter.entities, 2)
        kept = self._sums[counter.column]
        if key in self._got and not np.array_equal(kept.block(body["first"], body["days"]), block):
            raise Refusal(
                "LEARNING_NOT_IN_PLAN",
                "other sums of these counters came before: the first that opened stay",
                rule="data.counters",
                remedy="the server must send the sums that opened",
            )
        kept.block(body["first"], body["days"])[:] = block
        self._got.add(key)
        return {"have": True}, {}


def _cuts(data: Data) -> Cuts:
    if data.cuts is None:
        raise InputError("counters per day need the same days at every member: give the plan data.cuts")
    return data.cuts


def _key(body: Mapping[str, Any]) -> str:
    return repr([body.get(name) for name in ("do", "counter", "first", "days")])


def _sound(values: NDArray[Any], known: Instruction) -> bool:
    """Whole numbers of the right count; at most as many frauds as payments."""
    if values.dtype not in (np.int32, np.int64) or values.size != known.length:
        return False
    pairs = values.reshape(-1, 2)
    return bool((pairs[:, 1] >= 0).all() and (pairs[:, 0] >= pairs[:, 1]).all())


def _empty(data: Data) -> dict[str, Sums]:
    made = {}
    for counter in data.counters:
        first, after = counted_days(counter, _cuts(data))
        made[counter.column] = Sums(first, np.zeros((after - first, counter.entities, 2), np.int64))
    return made


def _contribution(counter: Counter, rows: Rows, first: int, days: int) -> NDArray[np.int64]:
    if rows.day is None:
        raise InputError("counters need a time column")
    here = (rows.day >= first) & (rows.day < first + days)
    place = (rows.day[here].astype(np.int64) - first) * counter.entities + rows.entities[counter.column][here]
    cells = days * counter.entities
    made = np.empty((cells, 2), np.int64)
    made[:, 0] = np.bincount(place, minlength=cells)
    made[:, 1] = np.bincount(place[rows.label[here] == 1], minlength=cells)
    return made.ravel()


def _features(counter: Counter, rows: Rows, sums: Sums) -> NDArray[np.float32]:
    """Count and share of frauds for every window, shape (rows, 2 * windows)."""
    if rows.day is None:
        raise InputError("counters need a time column")
    days, entities, _ = sums.values.shape
    total = np.zeros((days + 1, entities, 2), np.int64)
    np.cumsum(sums.values, axis=0, out=total[1:])
    entity = rows.entities[counter.column]
    # A fraud of `delay` days ago may be known a few hours later than the row: the window ends a day before.
    end = np.clip(rows.day.astype(np.int64) - counter.delay - sums.first, 0, days)
    made = np.empty((len(entity), 2 * len(counter.windows)), np.float32)
    for k, window in enumerate(counter.windows):
        begin = np.clip(rows.day.astype(np.int64) - counter.delay - window - sums.first, 0, days)
        seen = total[end, entity] - total[begin, entity]
        made[:, 2 * k] = seen[:, 0]
        made[:, 2 * k + 1] = seen[:, 1] / np.maximum(seen[:, 0], 1)
    return made
