# SPDX-License-Identifier: Apache-2.0
"""A SELECT becomes a relation: rows of base tables, one aggregated result, or a list of distinct rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sqlglot import exp

from hitoku.questions.changes import renamed
from hitoku.questions.expressions import Expressions
from hitoku.questions.form import Block, Item, Value
from hitoku.questions.layers import grouped
from hitoku.questions.literals import whole_number
from hitoku.questions.names import identifier, span_of
from hitoku.questions.nodes import describe, only
from hitoku.questions.refusals import refuse
from hitoku.questions.remedies import no_statistics
from hitoku.questions.rows import Relation, Rows
from hitoku.questions.rules import Rules
from hitoku.questions.scope import Scope
from hitoku.room.rules import ListRule

__all__ = ["Select", "check_grouped", "selected"]

_MAX_NAME = 128
_HIDDEN = "_hitoku"


@dataclass(slots=True)
class Select:
    """A checked SELECT: its items and rows, and how to check more of its clauses (ORDER BY)."""

    scope: Scope
    expressions: Expressions
    items: tuple[Item, ...]
    block: Block | None
    distinct: bool
    written: exp.Select

    @property
    def relation(self) -> Relation:
        """The SELECT as a source of an outer one."""
        return Relation({item.name: item.value for item in self.items}, self.scope.rows, self.block)


def selected(select: exp.Select, rules: Rules, ctes: Mapping[str, exp.Query]) -> Select:
    """Check a SELECT and everything in its FROM; ORDER BY, LIMIT and WITH are the caller's.

    Raises:
        Refusal: some part is not allowed.
    """
    only(
        select,
        *("expressions", "from_", "joins", "where", "group", "having", "distinct"),
        *("order", "limit", "offset", "with_"),
        clause="SELECT",
    )
    scope = Scope(rules, ctes, lambda query: _nested(query, rules, ctes))
    scope.open(select)
    expressions = Expressions(scope)
    where = select.args.get("where")
    conditions: tuple[Value, ...] = ()
    if where is not None:
        only(where, "this", clause="WHERE")
        conditions = expressions.condition(where.this, "WHERE")
        if scope.aggregated is None:
            for value in conditions:
                _dimensions(value, rules, "WHERE", expressions)
            scope.filtered(conditions)
    items = _items(select, expressions)
    made = Select(scope, expressions, items, None, _distinct(select), select)
    over = next((item.value for item in items if item.value.window), None)
    if scope.aggregated is not None:
        made.block = _narrowed(made, conditions)
    elif select.args.get("group") is not None or any(item.value.aggregate for item in items):
        made.block = _aggregated(made, rules)
    elif over is not None:
        raise refuse("WINDOW", clause="SELECT", span=over.span)
    elif select.args.get("having") is not None:
        raise refuse("HAVING_WITHOUT_GROUPS", clause="HAVING", node=select.args["having"])
    return made


def _nested(query: exp.Query, rules: Rules, ctes: Mapping[str, exp.Query]) -> Relation:
    """A common table expression or subquery as a source."""
    while isinstance(query, exp.Subquery):
        only(query, "this", "alias", clause="FROM")
        query = query.this
    if not isinstance(query, exp.Select):
        raise refuse("SET_OPERATION_NESTED", clause="FROM", node=query)
    for part in ("order", "limit", "offset", "with_"):
        if query.args.get(part) is not None:
            what = part.strip("_").upper()
            raise refuse("NESTED_CLAUSE", clause="FROM", node=query.args[part], what=what)
    inner = selected(query, rules, ctes)
    if inner.distinct:
        raise refuse("NESTED_CLAUSE", clause="FROM", node=query, what="DISTINCT")
    return inner.relation


def _items(select: exp.Select, expressions: Expressions) -> tuple[Item, ...]:
    items: list[Item] = []
    names: set[str] = set()
    for place, node in enumerate(select.expressions, 1):
        alias: exp.Expr | None = None
        inner = node
        if isinstance(node, exp.Alias):
            only(node, "this", "alias", clause="SELECT")
            inner, alias = node.this, node.args["alias"]
        if isinstance(inner, exp.Star):
            raise refuse("STAR", clause="SELECT", node=inner)
        value = expressions.value(inner, "SELECT")
        if isinstance(alias, exp.Identifier):
            name = identifier(alias)
        elif isinstance(inner, exp.Column):
            name = identifier(inner.this)
        else:
            name = (
                f"{describe(inner).removesuffix('()').lower()}_{place}"
                if value.aggregate
                else f"column_{place}"
            )
        if not name or len(name) > _MAX_NAME or name.startswith(_HIDDEN) or not name.isprintable():
            change = renamed(alias, f"column_{place}")
            raise refuse("OUTPUT_NAME", clause="SELECT", node=node, change=change, place=str(place))
        if name in names:
            change = renamed(alias, f"{name[: _MAX_NAME - 4]}_{place}")
            raise refuse("DUPLICATE_OUTPUT", clause="SELECT", node=node, change=change, name=name)
        names.add(name)
        items.append(Item(name, replace(value, span=value.span or span_of(node))))
    return tuple(items)


def _distinct(select: exp.Select) -> bool:
    distinct = select.args.get("distinct")
    if distinct is None:
        return False
    only(distinct, clause="SELECT")
    return True


def _dimensions(value: Value, rules: Rules, clause: str, expressions: Expressions) -> None:
    expressions.readable(value, clause)
    for use in value.uses:
        rules.dimension(use, clause, value.span)


def _aggregated(made: Select, rules: Rules) -> Block:
    select, rows = made.written, made.scope.rows
    if rules.kind(rows.all_tables) is ListRule:
        raise no_statistics(rules, rows.all_tables, "GROUP BY", select.args.get("group"), "GROUP BY")
    if made.distinct:
        raise refuse("DISTINCT_GROUPS", clause="SELECT", node=select.args["distinct"])
    groups = _groups(made, rules)
    for item in made.items:
        check_grouped(item.value, groups, rules, made.expressions, "SELECT")
    having: tuple[Value, ...] = ()
    if select.args.get("having") is not None:
        only(select.args["having"], "this", clause="HAVING")
        having = made.expressions.condition(_outputs_for_names(select.args["having"].this, made), "HAVING")
        for value in having:
            check_grouped(value, groups, rules, made.expressions, "HAVING")
    return _block(rows, groups, made.items, having)


def _outputs_for_names(node: exp.Expr, made: Select) -> exp.Expr:
    """HAVING may name an output; a column of the tables comes first."""
    aliases = {
        identifier(part.args["alias"]): part.this
        for part in made.written.expressions
        if isinstance(part, exp.Alias) and isinstance(part.args["alias"], exp.Identifier)
    }
    known = made.scope.names()

    def replaced(part: exp.Expr) -> exp.Expr:
        if (
            isinstance(part, exp.Column)
            and isinstance(part.this, exp.Identifier)
            and not part.args.get("table")
        ):
            name = identifier(part.this)
            if name in aliases and name not in known:
                return exp.Paren(this=aliases[name].copy())
        return part

    return node.transform(replaced)


def _groups(made: Select, rules: Rules) -> tuple[Value, ...]:
    group = made.written.args.get("group")
    if group is None:
        return ()
    only(group, "expressions", clause="GROUP BY")
    found: dict[str, Value] = {}
    for node in group.expressions:
        value = _group(node, made)
        if value.aggregate:
            raise refuse("AGGREGATE_PLACE", clause="GROUP BY", node=node, what="GROUP BY")
        if value.window:
            raise refuse("WINDOW_PLACE", clause="GROUP BY", node=node, what="A window function")
        if value.constant:
            raise refuse("GROUP_BY_CONSTANT", clause="GROUP BY", node=node)
        value = replace(value, span=span_of(node) or value.span)
        _dimensions(value, rules, "GROUP BY", made.expressions)
        found.setdefault(value.text, value)
    return tuple(found[text] for text in sorted(found))


def _group(node: exp.Expr, made: Select) -> Value:
    place = whole_number(node)
    if place is not None:
        if not 1 <= place <= len(made.items):
            raise refuse("POSITION", clause="GROUP BY", node=node, count=str(len(made.items)))
        return made.items[place - 1].value
    if isinstance(node, exp.Column) and not node.args.get("table") and isinstance(node.this, exp.Identifier):
        name = identifier(node.this)
        if name not in made.scope.names():
            named = next((item for item in made.items if item.name == name), None)
            if named is not None:
                return named.value
    return made.expressions.value(node, "GROUP BY")


def check_grouped(
    value: Value, groups: Sequence[Value], rules: Rules, expressions: Expressions, clause: str
) -> None:
    """Refuse an expression that reads a column which is neither grouped nor aggregated."""
    column = grouped(value.node, groups)
    if column is None:
        return
    expressions.readable(value, clause)
    if value.window:
        raise refuse("WINDOW", clause=clause, span=value.span)
    found = [use for use in value.uses if (use.ref.table, use.ref.column) == (column.table, column.name)]
    for use in found:
        rules.dimension(use, clause, value.span)
    span = next((use.span for use in found if use.span is not None), value.span)
    raise refuse("NOT_GROUPED", clause=clause, span=span, column=column.name)


def _narrowed(made: Select, conditions: tuple[Value, ...]) -> Block:
    """A SELECT over one aggregated result: fewer or computed columns, its WHERE a condition on groups."""
    source = made.scope.aggregated
    block = source.block if source is not None else None
    if source is None or block is None:
        raise refuse("AGGREGATES_JOINED", clause="FROM", node=made.written)
    for part in ("group", "having"):
        if made.written.args.get(part) is not None:
            raise refuse("AGGREGATE_TWICE", clause="GROUP BY", node=made.written.args[part], what="GROUP BY")
    if made.distinct:
        raise refuse("DISTINCT_GROUPS", clause="SELECT", node=made.written.args["distinct"])
    # A condition here would take groups out of the window after it was computed, not before, as HAVING does.
    over = next((value for value in source.columns.values() if value.window), None)
    if over is not None and conditions:
        raise refuse("WINDOW_FILTERED", clause="WHERE", node=made.written.args["where"])
    texts = {value.text: value for value in (*block.having, *conditions)}
    having = tuple(texts[text] for text in sorted(texts))
    return replace(block, items=made.items, having=having)


def _block(
    rows: Rows, groups: tuple[Value, ...], items: tuple[Item, ...], having: tuple[Value, ...]
) -> Block:
    return Block(rows.tables, rows.on, rows.lefts, rows.where, groups, items, having)
