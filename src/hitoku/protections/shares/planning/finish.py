# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: S608 - this file writes SQL from checked names and trees; no asker's text comes here
"""What receivers do with opened rows: what follows from them alone, in the engine, typed as it types.

The opened columns stand in a table for each SELECT, and the question's own execution text runs on these
instead of groups of rows. Thresholds, HAVING and LIMIT have been applied before anything was opened.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from sqlglot import exp

from hitoku.errors import DisclosureError
from hitoku.protections.shares.planning.compiled import grouped
from hitoku.protections.shares.planning.outputs import POSITION, Shown, View
from hitoku.questions.form import Block, Family, Form, Order, Value
from hitoku.questions.layers import Layers
from hitoku.questions.names import quoted
from hitoku.questions.noised import PART
from hitoku.questions.render import sql_of
from hitoku.questions.running import execution_text

if TYPE_CHECKING:
    import pyarrow as pa

    from hitoku.disclosure.plan import DisclosurePlan
    from hitoku.protections.shares.planning.draft import Draft
    from hitoku.questions.question import Question

__all__ = ["finish"]

_TABLE: Final = "_hitoku_p"


def finish(question: Question, plan: DisclosurePlan, made: Draft, branches: Sequence[pa.Table]) -> pa.Table:
    """The table of the answer's cells from what was opened.

    Args:
        question: the question.
        plan: its plan.
        made: what the question was drafted to.
        branches: for each SELECT a table of the opened columns, rows in the order in which they were opened:
            as `output.combine.Combined` has them.

    Returns:
        The question's outputs, in order, with the types that the engine gives them over plain tables; of a
        noised question its grouping values and figures.

    Raises:
        DisclosureError: what was opened is not what the question opens.
        EngineError: the engine failed.
        LimitError: the result is too large.
    """
    from hitoku.engine.memory import MemoryEngine
    from hitoku.engine.process import EngineLimits

    if plan.question != question.hash or len(branches) != len(made.views):
        raise DisclosureError("what was opened is of another question")
    form = question.form if plan.noise is not None else _form(question.form, made.views)
    with MemoryEngine(EngineLimits(threads=1)) as engine:
        for n, (view, opened) in enumerate(zip(made.views, branches, strict=True), 1):
            _add(engine, f"{_TABLE}{n}", view, opened)
        if plan.noise is not None:
            return engine.run(_figures(made.views))
        return engine.run(execution_text(form, (), _groups(form, made.views)))


def _figures(views: Sequence[View]) -> str:
    """Keys and noised figures of all SELECTs, as `hitoku.disclosure.noising` takes them."""
    selects = []
    for n, view in enumerate(views, 1):
        columns = ", ".join(quoted(shown.column) for shown in view.shown)
        selects.append(f"SELECT {n} AS {quoted(PART)}, {columns} FROM {quoted(f'{_TABLE}{n}')}")
    return " UNION ALL BY NAME ".join(selects)


# --- the question over opened columns ---


def _form(form: Form, views: Sequence[View]) -> Form:
    """The question without what was applied already, its computed outputs as columns."""
    made = [grouped(block) for block in form.blocks]
    blocks = tuple(_block(made, n, view) for n, view in enumerate(views))
    order = form.order
    if any(view.positioned for view in views):
        order = (Order(_column(POSITION), descending=False, nulls_first=False),)
    return Form(blocks, form.tree, order)


def _block(blocks: Sequence[Block], number: int, view: View) -> Block:
    items = tuple(
        replace(item, value=_replaced(blocks, number, place)) if place in view.replaced else item
        for place, item in enumerate(blocks[number].items)
    )
    return replace(blocks[number], items=items, having=(), where=(), on=(), lefts=())


def _replaced(blocks: Sequence[Block], number: int, place: int) -> Value:
    """An output that was computed before.

    SELECTs that are put together compare their outputs' SQL to tell whether these have one type. So outputs
    that were equal stay equal here, others differ, and none looks like a plain column.
    """
    value = blocks[number].items[place].value
    same = next(n for n, block in enumerate(blocks) if block.items[place].value.text == value.text)
    column = _column(f"x{place + 1}" if len(blocks) == 1 else f"x{place + 1}_{same}")
    node = column.node
    if len(blocks) > 1 and value.family is Family.NUMBER:
        node = exp.Coalesce(this=node, expressions=[node.copy()])
    return Value(node, value.family)


def _column(name: str) -> Value:
    return Value(exp.Column(this=exp.Identifier(this=name, quoted=True)), Family.NUMBER)


def _groups(form: Form, views: Sequence[View]) -> Callable[[int, Layers], str]:
    """Writes the layer of groups of a SELECT: what was opened, under the layers' names."""

    def written(number: int, layers: Layers) -> str:
        view = views[number - 1]
        opened = {shown.column for shown in view.shown}
        made = []
        for n in range(1, len(layers.groups) + 1):
            made.append(f"{quoted(f'g{n}') if f'g{n}' in opened else 'NULL'} AS g{n}")
        for n, node in enumerate(layers.aggregates.values(), 1):
            name = sql_of(node)
            made.append(f"{quoted(name) if name in opened else 'NULL'} AS a{n}")
        for place in sorted(view.replaced):
            node = form.blocks[number - 1].items[place].value.node
            name = next(column.name for column in node.find_all(exp.Column))
            made.append(f"{quoted(f'x{place + 1}')} AS {quoted(name)}")
        made.append(quoted(POSITION))
        return f"SELECT {', '.join(made)} FROM {quoted(f'{_TABLE}{number}')}"

    return written


# --- opened columns as tables ---


def _add(engine: Any, name: str, view: View, opened: Any) -> None:
    import pyarrow as pa

    from hitoku.engine.memory import TypedColumn

    if set(opened.column_names) != _names(view):
        raise DisclosureError("what was opened is not what the question opens")
    fields, arrays, typed = [], [], []
    for shown in view.shown:
        special = None if shown.infinite is None else opened.column(shown.infinite)
        column = _array(shown, opened.column(shown.opened), special)
        fields.append(pa.field(shown.column, column.type))
        arrays.append(column)
        typed.append(TypedColumn(shown.column, shown.column, shown.sql_type))
    count = opened.num_rows
    fields.append(pa.field(POSITION, pa.int64()))
    content = array("q", range(count))
    arrays.append(pa.Array.from_buffers(pa.int64(), count, [None, pa.py_buffer(content)]))
    typed.append(TypedColumn(POSITION, POSITION, "BIGINT"))
    engine.add(name, typed, pa.Table.from_arrays(arrays, schema=pa.schema(fields)))


def _names(view: View) -> set[str]:
    return {name for shown in view.shown for name in (shown.opened, shown.infinite) if name is not None}


def _array(shown: Shown, column: Any, special: Any | None) -> Any:
    """A column that the engine can read as what it is."""
    import pyarrow as pa

    if shown.labels:
        return _texts([None if v is None else shown.labels[int(v)] for v in column.to_pylist()])
    if special is not None:
        values = [_infinite(*both) for both in zip(column.to_pylist(), special.to_pylist(), strict=True)]
        content = array("d", (0.0 if v is None else v for v in values))
        return pa.Array.from_buffers(pa.float64(), len(values), [_valid(values), pa.py_buffer(content)])
    if shown.root:
        values = [None if v is None else math.sqrt(max(v, 0.0)) for v in column.to_pylist()]
        content = array("d", (0.0 if v is None else v for v in values))
        return pa.Array.from_buffers(pa.float64(), len(values), [_valid(values), pa.py_buffer(content)])
    if shown.sql_type == "TIMESTAMP" and shown.kind == "number":
        return column.cast(pa.timestamp("us"))
    return column


def _infinite(value: float | None, sign: int | None) -> float | None:
    if sign is None:
        return value
    return math.nan if sign == 0 else math.copysign(math.inf, sign)


def _texts(values: Sequence[str | None]) -> Any:
    """A column of texts, without `pyarrow.array`, which would import pandas."""
    import pyarrow as pa

    encoded = [b"" if v is None else v.encode() for v in values]
    offsets, at = array("q", [0]), 0
    for text in encoded:
        at += len(text)
        offsets.append(at)
    buffers = [_valid(values), pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded))]
    return pa.Array.from_buffers(pa.large_string(), len(values), buffers)


def _valid(values: Sequence[Any]) -> Any:
    """A validity bitmap; None where nothing is NULL."""
    import pyarrow as pa

    if not any(v is None for v in values):
        return None
    bits = bytearray(-(-len(values) // 8))
    for n, value in enumerate(values):
        if value is not None:
            bits[n // 8] |= 1 << (n % 8)
    return pa.py_buffer(bytes(bits))
