# SPDX-License-Identifier: Apache-2.0
"""Templates of custom rules: who approved which, proposing one, approving one, asking with one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError
from sqlglot import exp

from hitoku.console.context import Context, NotFound, RoomEntry
from hitoku.console.work.drafts import propose
from hitoku.errors import InputError, Refusal, RoomError
from hitoku.findings import findings
from hitoku.questions.templates import template_hash
from hitoku.questions.text import parse
from hitoku.room.rules import CustomRule
from hitoku.room.templates import ParameterType, Template, TemplateParameter, canonical_value

if TYPE_CHECKING:
    from hitoku.console.users import User
    from hitoku.node.proposals import Proposal

__all__ = ["Approval", "Line", "approve", "execution", "find", "lines", "parameters_of", "propose_template"]

_MAX_LINES: Final = 200


@dataclass(frozen=True, slots=True)
class Approval:
    """How a table's rule stands to a template.

    Attributes:
        table: the table.
        owner: its owner.
        state: ``approved``, ``any`` (the rule allows any question), ``waiting`` or ``other_rule``.
    """

    table: str
    owner: str
    state: str


@dataclass(frozen=True, slots=True)
class Line:
    """A template with its hash and what the owners of its tables say.

    Attributes:
        template: the template.
        hash: what approves it; None where its SQL is no question.
        approvals: one for each of the room's tables in it.
    """

    template: Template
    hash: str | None
    approvals: tuple[Approval, ...]

    @property
    def may_run(self) -> bool:
        """Whether no owner of its tables has still to approve it."""
        return self.hash is not None and all(one.state != "waiting" for one in self.approvals)


def lines(entry: RoomEntry) -> list[Line]:
    """The room's templates."""
    return [_line(entry, template) for template in entry.agreement.templates]


def find(entry: RoomEntry, name: str) -> Line:
    """A template of the room.

    Raises:
        NotFound: there is none of that name.
    """
    template = entry.agreement.template(name)
    if template is None:
        raise NotFound("there is no such template in this room")
    return _line(entry, template)


def _line(entry: RoomEntry, template: Template) -> Line:
    try:
        made = template_hash(template)
    except Refusal:
        return Line(template, None, ())
    used = _tables(template)
    approvals = []
    for table in entry.agreement.tables:
        if table.name not in used:
            continue
        rule, state = table.rule, "other_rule"
        if isinstance(rule, CustomRule):
            state = "any" if rule.any_query else "approved" if made in rule.allowed_analyses else "waiting"
        approvals.append(Approval(table.name, table.owner, state))
    return Line(template, made, tuple(approvals))


def _tables(template: Template) -> set[str]:
    return {table.name.lower() for table in parse(template.sql).find_all(exp.Table)}


def parameters_of(text: str) -> tuple[TemplateParameter, ...]:
    """Parameters from a form: one a line, ``name type`` and, where there is one, ``= default``.

    Raises:
        InputError: a line is none; says which.
    """
    made = []
    known = {kind.value for kind in ParameterType}
    for number, line in enumerate(text.splitlines()[:_MAX_LINES], 1):
        if not line.strip():
            continue
        head, given, default = line.partition("=")
        words = head.split()
        if len(words) != 2 or words[1].lower() not in known:
            raise InputError(
                f"line {number} of the parameters: write a name and a type, one of {', '.join(sorted(known))}"
            )
        try:
            made.append(
                TemplateParameter(
                    name=words[0].lower().removeprefix(":"),
                    type=ParameterType(words[1].lower()),
                    default_value=_unquoted(default.strip()) if given else None,
                )
            )
        except ValidationError as error:
            raise InputError(f"line {number} of the parameters: {findings(error, 'it')}") from None
    return tuple(made)


def _unquoted(text: str) -> str:
    if len(text) >= 2 and text[0] == text[-1] == "'":
        return text[1:-1].replace("''", "'")
    return text


def propose_template(
    context: Context, user: User, room: str, name: str, sql: str, parameters: str
) -> Proposal:
    """Propose a version of the room with one template more.

    Raises:
        InputError: it is no template.
        Refusal: its SQL is no question, or the user may not propose.
        RoomError: there is one of that name, or another proposal is open.
        NotFound: there is no such room for this user.
    """
    entry = context.room(user, room)
    if entry.agreement.template(name.strip().lower()) is not None:
        raise RoomError("there is a template of that name already: give it another")
    try:
        made = Template(name=name.strip().lower(), sql=sql.strip(), parameters=parameters_of(parameters))
    except ValidationError as error:
        raise InputError(f"this is no template: {findings(error, 'it')}") from None
    template_hash(made)  # refuses what is no question
    blanks = {node.name.lower() for node in parse(made.sql).find_all(exp.Placeholder)}
    declared = {parameter.name for parameter in made.parameters}
    if blanks != declared:
        missing, unused = sorted(blanks - declared), sorted(declared - blanks)
        said = [f"declare the parameter {name[:63]!r}" for name in missing]
        said += [f"the question does not use {name!r}" for name in unused]
        raise InputError("; ".join(said))
    kept = [_dumped(template) for template in entry.agreement.templates]
    return propose(context, user, room, {"templates": [*kept, _dumped(made)]})


def approve(context: Context, user: User, room: str, name: str, table: str) -> Proposal:
    """Propose a version of the room in which the rule of an own table allows a template.

    Raises:
        NotFound: there is no such room, template or table of this member.
        RoomError: the table's rule is not of the kind that allows templates, or allows it already.
        Refusal: the user may not propose.
    """
    entry = context.room(user, room)
    line = find(entry, name)
    found = entry.agreement.table(table)
    if found is None or found.owner != context.me or line.hash is None:
        raise NotFound("there is no such table of this member, or the template is no question")
    state = next((one.state for one in line.approvals if one.table == table), None)
    if state != "waiting":
        raise RoomError("the rule of this table has nothing to approve there")
    tables = [one.model_dump(mode="json", by_alias=True, exclude_none=True) for one in entry.agreement.tables]
    for data in tables:
        if data["name"] == table:
            data["rule"]["allowedAnalyses"] = [*data["rule"]["allowedAnalyses"], line.hash]
    return propose(context, user, room, {"tables": tables})


def execution(template: Template, values: Mapping[str, str]) -> str:
    """The statement that asks a template's question with these values.

    A value is read as its parameter's type and written as one literal; the checker reads it again as such.

    Args:
        template: the template.
        values: as typed, by parameter; an empty one has the default.

    Raises:
        InputError: a value is missing or not of its type; names the parameter and never quotes the value.
    """
    made = []
    for parameter in template.parameters:
        text = values.get(parameter.name, "")
        if not text.strip():
            if parameter.default_value is not None:
                continue
            if parameter.type is not ParameterType.STRING:
                raise InputError(f"{parameter.name}: a value is needed ({parameter.type.value})")
        try:
            value = canonical_value(parameter.type, text)
        except ValueError as error:
            raise InputError(f"{parameter.name}: {error}") from None
        bare = parameter.type.is_number or parameter.type is ParameterType.BOOLEAN
        made.append(f"{parameter.name} := {value if bare else _quoted(value)}")
    return f"EXECUTE {template.name}({', '.join(made)})"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _dumped(template: Template) -> dict[str, Any]:
    return template.model_dump(mode="json", by_alias=True, exclude_none=True)
