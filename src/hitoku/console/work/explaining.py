# SPDX-License-Identifier: Apache-2.0
"""What would happen to a question, and at what cost, before it is asked. Reads no data, charges nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hitoku.console.context import Context, RoomEntry
from hitoku.console.work.asks import checked
from hitoku.console.work.running import explained_refusal
from hitoku.errors import Change, HitokuError, InputError, PeerError, Refusal
from hitoku.questions.changes import applied_to_sql

if TYPE_CHECKING:
    from hitoku.ask.preview import Preview
    from hitoku.questions.question import Question
    from hitoku.room.agreement import Room

__all__ = ["Explained", "Fix", "TableFacts", "explain", "fix_of", "options_of", "tables_of"]


@dataclass(frozen=True, slots=True)
class Fix:
    """The change that takes a refusal away.

    Attributes:
        action: ``edit`` of the SQL, or ``add`` or ``set`` of a rule.
        sql: of an edit, the whole SQL with it made; else None.
        rule: of a rule's change, its path.
        value: of a rule's change, what is added or set, as text.
        table: of a rule's change, the table whose rule it is; None where it is no table's.
    """

    action: str
    sql: str | None = None
    rule: str | None = None
    value: str | None = None
    table: str | None = None


@dataclass(frozen=True, slots=True)
class Explained:
    """The verdict on a question, before it is asked.

    Attributes:
        sql: what was explained.
        data: as `hitoku.questions.explain.Explanation.to_dict`.
        fix: the change that takes the refusal away, where there is one.
        cost: as `hitoku.ask.preview.Preview.to_dict`; None where it is refused or could not be asked.
        cost_problem: why the cost could not be asked; None where it could.
    """

    sql: str
    data: dict[str, Any]
    fix: Fix | None = None
    cost: dict[str, Any] | None = None
    cost_problem: str | None = None

    @property
    def accepted(self) -> bool:
        """Whether the rules allow it."""
        return bool(self.data["verdict"] == "accept")

    @property
    def runs_by(self) -> dict[str, Any] | None:
        """The protection that would compute it: the first that the room accepts and that can."""
        found: list[dict[str, Any]] = self.data["protections"]
        return next((choice for choice in found if choice["supported"]), None)


def options_of(receivers: Iterable[str], noise: str, users_noise: str, epsilon: str) -> dict[str, Any]:
    """How to ask, from a form's fields.

    Args:
        receivers: members.
        noise: ``usual``, ``users_noise`` or ``epsilon``: which of the next two holds.
        users_noise: a whole number, as text.
        epsilon: a decimal number, as text.

    Raises:
        InputError: a number is none.
    """
    made: dict[str, Any] = {"receivers": tuple(receivers)[:64], "users_noise": None, "epsilon": None}
    if noise == "users_noise":
        text = users_noise.strip()
        if not (text.isascii() and text.isdigit() and len(text) <= 9):
            raise InputError("the noise is a whole number of people or other units")
        made["users_noise"] = int(text)
    elif noise == "epsilon":
        if not epsilon.strip() or len(epsilon) > 40:
            raise InputError("epsilon is a decimal number above 0")
        made["epsilon"] = epsilon.strip()
    return made


def explain(
    context: Context,
    entry: RoomEntry,
    sql: str,
    *,
    receivers: Iterable[str] = (),
    users_noise: int | None = None,
    epsilon: str | None = None,
    preview: bool = True,
) -> Explained:
    """Explain a question as this member, and ask the owners what it would cost.

    Args:
        context: the console's.
        entry: the room.
        sql: the question.
        receivers: as for `Asks.ask`.
        users_noise: as there.
        epsilon: as there.
        preview: whether to ask the owners for the cost; they hear the question then, and nothing else.

    Raises:
        HitokuError: the text cannot be a question, or the room is not in force.
    """
    from hitoku.node.remote import open_remote_room

    checked(sql)
    handle = open_remote_room(context.node.directory.path, entry.id, clock=context.clock)
    try:
        found = handle.explain(sql)
        data = found.to_dict()
        if found.refusal is not None:
            return Explained(sql, data, fix_of(found.refusal, sql))
        if found.question is not None:
            _predict(context, entry, found.question, handle.room, data)
        if not preview:
            return Explained(sql, data)
        to = tuple(receivers) or handle.receivers
        try:
            cost: Preview = handle.preview(sql, receivers=to, users_noise=users_noise, epsilon=epsilon)
        except Refusal as refusal:  # an owner's own: its budget is spent, its table is not there
            refused = {**data, "verdict": "refuse", "refusal": explained_refusal(refusal)}
            return Explained(sql, refused, fix_of(refusal, sql))
        except (PeerError, InputError) as error:
            if isinstance(error, InputError):
                raise
            return Explained(sql, data, cost_problem=str(error))
        return Explained(sql, data, cost=cost.to_dict())
    finally:
        handle.close()


def _predict(
    context: Context, entry: RoomEntry, question: Question, room: Room, data: dict[str, Any]
) -> None:
    """Predict time and bytes where a table's rows are not known: as if it had as many as the largest here.

    What was assumed stands in ``assumed`` of the protection.
    """
    from hitoku.protections import registry
    from hitoku.protections.base import TableStats

    known = _rows_here(context, entry)
    rows = {name: known[name] for name in question.tables if name in known}
    most = max(rows.values(), default=0)
    if not most:
        return
    stats = TableStats(rows={name: rows.get(name, most) for name in question.tables})
    guessed = {choice.protection: choice for choice in registry.choices(question, room, stats)}
    for choice in data["protections"]:
        guess = guessed.get(choice["protection"])
        if guess is None or choice["seconds"] is not None or guess.seconds is None:
            continue
        choice |= {"seconds": guess.seconds, "network_bytes": guess.network_bytes, "rounds": guess.rounds}
        choice["assumed"] = None if len(rows) == len(question.tables) else most


def _rows_here(context: Context, entry: RoomEntry) -> dict[str, int]:
    """The rows of this member's own tables, where a Parquet file says how many there are."""
    from pyarrow import ArrowException, parquet

    from hitoku.node.people import settings_of

    directory, found = context.node.directory, {}
    for table in entry.agreement.tables:
        if table.owner != directory.name:
            continue
        try:
            source = settings_of(directory, entry.room, table.name).source
            file = directory.path / source
            if file.suffix == ".parquet" and file.is_file():
                found[table.name] = int(parquet.read_metadata(file).num_rows)
        except (HitokuError, OSError, ArrowException, ValueError):
            continue  # a prediction is no reason to fail; the question itself says what is wrong
    return found


def fix_of(refusal: Refusal | dict[str, Any], sql: str) -> Fix | None:
    """The change that a refusal carries, as it can be offered; None where it carries none that fits."""
    change: Any = refusal.change if isinstance(refusal, Refusal) else _change(refusal.get("change"))
    if change is None:
        return None
    if change.action == "edit":
        try:
            return Fix("edit", sql=applied_to_sql(change, sql))
        except HitokuError:
            return None
    value = (
        change.value
        if isinstance(change.value, str)
        else json.dumps(
            dict(change.value) if isinstance(change.value, dict) else change.value, ensure_ascii=False
        )
    )
    parts = (change.rule or "").split(".")
    table = parts[1] if parts[0] == "tables" and len(parts) > 2 else None
    return Fix(change.action, rule=change.rule, value=value, table=table)


def _change(data: dict[str, Any] | None) -> Change | None:
    """A change from its JSON, as it was kept."""
    if data is None:
        return None
    if data["action"] == "edit":
        return Change("edit", edits=tuple((int(s), int(e), str(t)) for s, e, t in data["edits"]))
    return Change(data["action"], data["rule"], data["value"])


@dataclass(frozen=True, slots=True)
class TableFacts:
    """A table, as it stands beside the editor.

    Attributes:
        name: its name.
        owner: its owner.
        columns: of each column its name, type, protection, and what the rule lets be done with it, as keys of
            words: ``join``, ``group``, ``list``, ``count``, ``unit`` and the names of aggregates.
        rule: ``aggregation``, ``list``, ``custom`` or None.
        minimum: the most that a row must rest on, and of which column; None where no threshold is.
        noised: whether its figures are noised.
        templates: whether only approved templates may be asked.
    """

    name: str
    owner: str
    columns: tuple[tuple[str, str, str, tuple[str, ...]], ...]
    rule: str | None
    minimum: tuple[int, str] | None
    noised: bool
    templates: bool


def tables_of(entry: RoomEntry) -> tuple[TableFacts, ...]:
    """The room's tables with what their rules allow, in short."""
    from hitoku.room.rules import AggregationRule, CustomRule, ListRule

    made = []
    for table in entry.agreement.tables:
        rule = table.rule
        ways: dict[str, list[str]] = {column.name: [] for column in table.columns}
        minimum: tuple[int, str] | None = None
        if isinstance(rule, AggregationRule):
            _add(ways, rule.join_columns, "join")
            _add(ways, rule.dimension_columns, "group")
            for aggregate in rule.aggregate_columns:
                _add(ways, aggregate.column_names, aggregate.function.value)
            least = max(rule.output_constraints, key=lambda c: c.minimum)
            minimum = (least.minimum, least.column_name)
        elif isinstance(rule, ListRule):
            _add(ways, rule.join_columns, "join")
            _add(ways, rule.list_columns, "list")
        elif isinstance(rule, CustomRule):
            for threshold in rule.aggregation_thresholds:
                minimum = (threshold.minimum_identity_count, threshold.identity_columns[0])
            if rule.differential_privacy is not None:
                _add(ways, [rule.differential_privacy.column], "unit")
            _add(ways, rule.disallowed_output_columns, "inside")
        noised = isinstance(rule, CustomRule) and rule.differential_privacy is not None
        templates = isinstance(rule, CustomRule) and not rule.any_query
        made.append(
            TableFacts(
                name=table.name,
                owner=table.owner,
                columns=tuple(
                    (c.name, c.type.value, c.protection.value, tuple(ways[c.name])) for c in table.columns
                ),
                rule=None if rule is None else rule.type,
                minimum=minimum,
                noised=noised,
                templates=templates,
            )
        )
    return tuple(made)


def _add(ways: dict[str, list[str]], names: Iterable[str], way: str) -> None:
    for name in names:
        if name in ways:
            ways[name].append(way)
