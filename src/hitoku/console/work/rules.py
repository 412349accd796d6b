# SPDX-License-Identifier: Apache-2.0
"""Rules tried out before anybody signs them: what a draft would accept and refuse, reveal and cost."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hitoku import limits
from hitoku.console.context import Context, RoomEntry
from hitoku.console.work.tables import changed_tables
from hitoku.errors import InputError, Refusal
from hitoku.findings import findings
from hitoku.room.agreement import Ability, Agreement, Budget, Room, Table
from hitoku.room.files import write_whole

if TYPE_CHECKING:
    from hitoku.questions.explain import Choice, Explanation

__all__ = [
    "Example",
    "Tried",
    "askers",
    "change_of",
    "draft",
    "draft_room",
    "example_of",
    "examples",
    "keep_draft",
    "keep_examples",
    "try_all",
]

_MAX_FILE: Final = 1024 * 1024


class Example(BaseModel):
    """A question that the owner keeps beside a rule.

    Attributes:
        sql: the question.
        wanted: what the owner wants of the rule.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    sql: str = Field(min_length=1, max_length=limits.MAX_EXAMPLE_CHARS)
    wanted: Literal["accept", "refuse"] = "accept"


@dataclass(frozen=True, slots=True)
class Tried:
    """An example under a draft.

    Attributes:
        example: the question.
        accepted: whether some protection of the room would answer it.
        refusal: why not, if not.
        explanation: what the checker says.
        costs: of each account that would pay: owner, unit, epsilon.
        before: whether the rule in force accepts it; None where it was not tried.
    """

    example: Example
    accepted: bool
    refusal: Refusal | None
    explanation: Explanation
    costs: tuple[tuple[str, str, str], ...] = ()
    before: bool | None = None

    @property
    def as_wanted(self) -> bool:
        """Whether it is as the owner wants it."""
        return self.accepted == (self.example.wanted == "accept")

    @property
    def changes(self) -> bool:
        """Whether the draft decides otherwise than the rule in force."""
        return self.before is not None and self.before != self.accepted

    @property
    def choices(self) -> tuple[Choice, ...]:
        """What each protection of the room would do."""
        return self.explanation.choices


def askers(agreement: Agreement) -> tuple[str, ...]:
    """Who may ask in the room."""
    return tuple(m.name for m in agreement.able(Ability.QUERY))


def draft_room(agreement: Agreement, table: Table, rule: Any, account: Budget | None = None) -> Room:
    """The room as it would be with another rule of a table. Nobody signs it; questions are only explained.

    Args:
        agreement: what the members agreed on.
        table: the table.
        rule: the rule, or None.
        account: an account that is opened with it.

    Raises:
        InputError: the rule does not fit the table or the room; says which field and why.
    """
    data = agreement.model_dump(mode="json", by_alias=True, exclude_none=True)
    try:
        changed = data | change_of(agreement, table, rule, account)
        return Room(agreement=Agreement.model_validate(changed))
    except ValidationError as error:
        raise InputError(findings(error, "rule")) from None


def change_of(agreement: Agreement, table: Table, rule: Any, account: Budget | None = None) -> dict[str, Any]:
    """The change of the agreement: the table with the rule, and the account where one is opened.

    Raises:
        ValidationError: the rule does not fit the table.
    """
    plain = table.model_dump(mode="json", by_alias=True, exclude_none=True)
    plain.pop("rule", None)
    if rule is not None:
        plain["rule"] = rule.model_dump(mode="json", by_alias=True, exclude_none=True)
    change = changed_tables(agreement, Table.model_validate(plain))
    if account is not None and agreement.budget(account.owner, account.unit) is None:
        budgets = (*agreement.budgets, account)
        change["budgets"] = [b.model_dump(mode="json") for b in budgets]
    return change


def try_all(
    wanted: Iterable[Example], room: Room, asker: str, before: Room | None = None
) -> tuple[Tried, ...]:
    """What a draft room says of each example.

    Args:
        wanted: the examples.
        room: with the draft's rule in it.
        asker: who would ask.
        before: with the rule in force, to compare.
    """
    return tuple(_tried(example, room, asker, before) for example in wanted)


def _tried(example: Example, room: Room, asker: str, before: Room | None) -> Tried:
    from hitoku.ask.common import examine
    from hitoku.disclosure.budget import budget_of
    from hitoku.disclosure.plan import default_receivers
    from hitoku.protections.registry import choices
    from hitoku.questions import explain

    found = explain(example.sql, room, asker, choices)
    refusal = found.refusal
    costs: tuple[tuple[str, str, str], ...] = ()
    if refusal is None:
        # What no protection can compute, or nobody may receive, is refused too when it is asked.
        try:
            examined = examine(example.sql, room, asker, default_receivers(room, asker))
            facts = budget_of(examined.plan, room.agreement)
            charges = [] if facts is None else facts["charges"]
            costs = tuple((c["owner"], c["unit"], c["epsilon"]) for c in charges)
        except Refusal as later:
            refusal = later
    earlier = None if before is None else _accepts(example.sql, before, asker)
    return Tried(example, refusal is None, refusal, found, costs, earlier)


def _accepts(sql: str, room: Room, asker: str) -> bool:
    from hitoku.ask.common import examine
    from hitoku.disclosure.plan import default_receivers

    try:
        examine(sql, room, asker, default_receivers(room, asker))
    except Refusal:
        return False
    return True


# --- the owner's examples ---


def examples(context: Context, room: RoomEntry, table: str) -> tuple[Example, ...]:
    """The examples that the owner keeps beside a table's rule; none where the file cannot be read."""
    return _kept(context, room, table)[0]


def draft(context: Context, room: RoomEntry, table: str) -> dict[str, Any] | None:
    """The draft that somebody kept for who may propose it: a rule in its JSON form; None without one."""
    return _kept(context, room, table)[1]


def keep_examples(
    context: Context, room: RoomEntry, table: str, wanted: Iterable[Example]
) -> tuple[Example, ...]:
    """Keep examples instead of those there were; each question once. Returns them.

    Raises:
        RoomError: the file cannot be written.
    """
    kept = tuple({e.sql: e for e in wanted}.values())[: limits.MAX_EXAMPLE_QUESTIONS]
    _keep(context, room, table, kept, draft(context, room, table))
    return kept


def keep_draft(context: Context, room: RoomEntry, table: str, data: dict[str, Any] | None) -> None:
    """Keep the draft of a rule, or forget it.

    Raises:
        InputError: it is too large.
        RoomError: the file cannot be written.
    """
    if data is not None and len(json.dumps(data)) > limits.MAX_CLEAN_ROOMS_CHARS // 2:
        raise InputError("the draft is too large")
    _keep(context, room, table, examples(context, room, table), data)


def _kept(context: Context, room: RoomEntry, table: str) -> tuple[tuple[Example, ...], dict[str, Any] | None]:
    try:
        with _file(context, room, table).open("rb") as file:
            data = json.loads(file.read(_MAX_FILE))
        found = [Example.model_validate(one) for one in data["examples"][: limits.MAX_EXAMPLE_QUESTIONS]]
        kept = data.get("draft")
        return tuple(found), kept if isinstance(kept, dict) else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return (), None


def _keep(
    context: Context,
    room: RoomEntry,
    table: str,
    kept: tuple[Example, ...],
    data: dict[str, Any] | None,
) -> None:
    path = _file(context, room, table)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    content = {"examples": [e.model_dump() for e in kept], "draft": data}
    write_whole(path, json.dumps(content, ensure_ascii=False).encode())


def _file(context: Context, room: RoomEntry, table: str) -> Any:
    # Ids are UUIDs and names were checked by the agreement: neither has a slash or a dot.
    return context.node.directory.path / "examples" / room.id / f"{table}.json"


def example_of(sql: str, wanted: str) -> Example:
    """An example of a form.

    Raises:
        InputError: it is empty or too long.
    """
    try:
        return Example(sql=sql.strip(), wanted="refuse" if wanted == "refuse" else "accept")
    except ValidationError:
        raise InputError(f"a question of 1 to {limits.MAX_EXAMPLE_CHARS:,} characters is expected") from None
