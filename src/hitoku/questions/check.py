# SPDX-License-Identifier: Apache-2.0
"""From SQL to a Question, or a Refusal that says which clause, which rule, whose, and what to change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlglot import exp

from hitoku.errors import Refusal
from hitoku.questions.blocks import Select, check_grouped, selected
from hitoku.questions.changes import added, possible
from hitoku.questions.custom import one_mode
from hitoku.questions.derive import Derivation, derive
from hitoku.questions.duties import completed
from hitoku.questions.edits import edited
from hitoku.questions.form import Block, Form, Item, Order, Value
from hitoku.questions.literals import whole_number
from hitoku.questions.names import identifier, span_of
from hitoku.questions.nodes import only
from hitoku.questions.overlap import box_of
from hitoku.questions.privacy import private
from hitoku.questions.question import OutputColumn, OutputKind, Question, UnitConstraint
from hitoku.questions.refusals import refuse
from hitoku.questions.render import normal_text
from hitoku.questions.rules import Rules
from hitoku.questions.sets import alike, branches, renamed
from hitoku.questions.templates import Execution, asked, bound
from hitoku.questions.text import parse
from hitoku.questions.thresholds import thresholds
from hitoku.questions.units import unit_count
from hitoku.questions.verdict import judge, minimum
from hitoku.room.agreement import Ability, Room
from hitoku.room.canonical import agreement_hash
from hitoku.room.rules import CustomRule

__all__ = ["check"]

_MAX_LIMIT = 1_000_000


def check(sql: str, room: Room, asker: str) -> Question:
    """Check a question against every rule of every table in it.

    Args:
        sql: what the asker wrote.
        room: the room; whether its signatures hold is not looked at here.
        asker: the member who asks.

    Raises:
        Refusal: the question is not allowed.
    """
    member = room.agreement.member(asker)
    if member is None or Ability.QUERY not in member.abilities:
        change = None if member is None else added(f"members.{member.name}.abilities", Ability.QUERY.value)
        raise refuse("NOT_AN_ASKER", rule="members", change=change, asker=asker[:63])
    execution: Execution | None = None
    try:
        execution = asked(sql)
        template, tree = (None, parse(sql)) if execution is None else bound(execution, room.agreement)
        rules = Rules(room.agreement, asker, template)
        return _question(_form(tree, rules), rules, asker, agreement_hash(room.agreement))
    except RecursionError:
        raise refuse("TOO_DEEP", clause="SQL", limit="200") from None
    except Refusal as refusal:
        # A template's text is not the asker's to edit.
        edit = None if execution is not None else edited(refusal, sql)
        change = possible(refusal.change, room.agreement)
        if execution is not None and change is not None and change.action == "edit":
            change = None
        refusal.change = change or edit
        raise


@dataclass(slots=True)
class _Outer:
    """What stands around the blocks: WITH, ORDER BY, LIMIT."""

    query: exp.Query
    ctes: Mapping[str, exp.Query]


def _form(tree: exp.Query, rules: Rules) -> Form:
    while isinstance(tree, exp.Subquery):
        only(tree, "this", clause="SELECT")
        tree = tree.this
    outer = _Outer(tree, _ctes(tree))
    selects, combined = branches(tree)
    made = [selected(select, rules, outer.ctes) for select in selects]
    blocks = tuple(completed(select, rules) for select in made)
    alike(blocks, tree)
    blocks = tuple(renamed(block, blocks[0]) for block in blocks)
    order = _order(outer, made, blocks, rules)
    return Form(blocks, combined, order, _count(tree, "limit"), _count(tree, "offset") or 0)


def _ctes(tree: exp.Query) -> dict[str, exp.Query]:
    with_ = tree.args.get("with_")
    if with_ is None:
        return {}
    only(with_, "expressions", clause="WITH")
    found: dict[str, exp.Query] = {}
    for cte in with_.expressions:
        only(cte, "this", "alias", "materialized", clause="WITH")
        only(cte.args["alias"], "this", clause="WITH")
        name = identifier(cte.args["alias"].this)
        if name in found:
            raise refuse("DUPLICATE_NAME", clause="WITH", node=cte.args["alias"], name=name[:63])
        if not isinstance(cte.this, exp.Query):
            raise refuse("NOT_A_QUESTION", clause="WITH", node=cte)
        _only_earlier(cte.this, name, with_)
        found[name] = cte.this
    used = {identifier(t.this) for t in tree.find_all(exp.Table) if isinstance(t.this, exp.Identifier)}
    for name, query in found.items():
        if name not in used:
            raise refuse("CTE_UNUSED", clause="WITH", node=query, name=name[:63])
    return found


def _only_earlier(query: exp.Query, name: str, with_: exp.With) -> None:
    """A common table expression sees those before it only, so expanding them ends."""
    names = [identifier(cte.args["alias"].this) for cte in with_.expressions]
    later = set(names[names.index(name) :])
    for table in query.find_all(exp.Table):
        if isinstance(table.this, exp.Identifier) and identifier(table.this) in later:
            raise refuse("CTE_ORDER", clause="WITH", node=table, name=identifier(table.this)[:63])


# --- ORDER BY and LIMIT ---


def _order(outer: _Outer, made: list[Select], blocks: tuple[Block, ...], rules: Rules) -> tuple[Order, ...]:
    order = outer.query.args.get("order")
    if order is None:
        return ()
    only(order, "expressions", clause="ORDER BY")
    keys: list[Order] = []
    for node in order.expressions:
        if not isinstance(node, exp.Ordered):
            raise refuse("EXPRESSION_NOT_ALLOWED", clause="ORDER BY", node=node, what="ORDER BY")
        only(node, "this", "desc", "nulls_first", clause="ORDER BY")
        value = _key(node.this, made, blocks, rules)
        keys.append(Order(value, bool(node.args.get("desc")), bool(node.args.get("nulls_first"))))
    return tuple(keys)


def _key(node: exp.Expr, made: list[Select], blocks: tuple[Block, ...], rules: Rules) -> Value:
    items = blocks[0].items
    item = _named(node, items)
    if item is None and blocks[0].listing:
        text = made[0].expressions.value(node, "ORDER BY").text
        item = next((known for known in items if known.value.text == text), None)
    if item is None and (len(blocks) > 1 or blocks[0].listing):
        raise refuse("ORDER_BY_OUTPUT", clause="ORDER BY", node=node)
    if item is None:
        value = made[0].expressions.value(node, "ORDER BY")
        check_grouped(value, blocks[0].groups, rules, made[0].expressions, "ORDER BY")
        if value.constant:
            raise refuse("EXPRESSION_NOT_ALLOWED", clause="ORDER BY", node=node, what="ORDER BY constant")
        return value
    if len(blocks) > 1:
        name = exp.Column(this=exp.Identifier(this=item.name, quoted=True))
        return Value(name, item.value.family, span=span_of(node))
    return item.value


def _named(node: exp.Expr, items: tuple[Item, ...]) -> Item | None:
    place = whole_number(node)
    if place is not None:
        if not 1 <= place <= len(items):
            raise refuse("POSITION", clause="ORDER BY", node=node, count=str(len(items)))
        return items[place - 1]
    if isinstance(node, exp.Column) and not node.args.get("table") and isinstance(node.this, exp.Identifier):
        name = identifier(node.this)
        return next((item for item in items if item.name == name), None)
    return None


def _count(tree: exp.Query, part: str) -> int | None:
    clause = tree.args.get(part)
    if clause is None:
        return None
    only(clause, "expression", clause=part.upper())
    number = whole_number(clause.expression)
    if number is None or number > _MAX_LIMIT:
        raise refuse("LIMIT_FORM", clause=part.upper(), node=clause, limit=str(_MAX_LIMIT))
    return number


# --- the Question ---


def _question(form: Form, rules: Rules, asker: str, room_hash: str) -> Question:
    tables = sorted({table for block in form.blocks for table in block.all_tables})
    kind = rules.kind(tables)
    one_mode(rules, tables)
    derivation = derive(form, rules)
    judge(derivation, rules)
    for name in tables:
        rule = rules.table(name).rule
        if isinstance(rule, CustomRule) and rule.overlap_columns:
            box_of(form.blocks, rules.table(name))
    text = normal_text(form)
    privacy = private(form, rules)
    exact = not form.blocks[0].listing and privacy is None
    constraints = _constraints(derivation, rules, tables) if exact else ()
    if exact and not constraints and kind is not CustomRule:
        raise refuse("NO_THRESHOLD", clause="FROM")
    return Question(
        sql=text,
        asker=asker,
        room_hash=room_hash,
        tables=tuple(tables),
        owners=tuple(sorted({rules.table(name).owner for name in tables})),
        outputs=tuple(_output(form, place) for place in range(len(form.blocks[0].items))),
        constraints=constraints,
        sources=tuple(rules.table(name) for name in tables),
        form=form,
        privacy=privacy,
        reveals=derivation.outputs,
        template=None if rules.template is None else rules.template.name,
    )


def _constraints(derivation: Derivation, rules: Rules, tables: list[str]) -> tuple[UnitConstraint, ...]:
    return tuple(
        UnitConstraint(
            table=unit.table.name,
            column=unit.column,
            owner=unit.table.owner,
            minimum=minimum(unit, derivation),
            sql=unit_count(unit.table.name, unit.column),
            alias=f"_hitoku_unit_{number}",
        )
        for number, unit in enumerate(thresholds(rules, tables), 1)
    )


def _output(form: Form, place: int) -> OutputColumn:
    values = [block.items[place].value for block in form.blocks]
    uses = {use.ref for value in values for use in (*value.uses, *value.inside)}
    if form.blocks[0].listing:
        kind = OutputKind.LISTED
    else:
        kind = OutputKind.AGGREGATE if any(v.aggregate or v.window for v in values) else OutputKind.DIMENSION
    sources = tuple(sorted((ref.table, ref.column) for ref in uses))
    return OutputColumn(form.blocks[0].items[place].name, kind, sources)
