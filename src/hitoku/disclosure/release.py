# SPDX-License-Identifier: Apache-2.0
"""Releasing cells under their plan: the only maker of an Answer. It runs where the cells are.

What is released depends on the plan and on the released rows alone: withheld rows leave no trace in the order
of the others, in dictionaries, in unused bytes behind NULLs or beside slices, or in a count.
"""

from __future__ import annotations

import math
import secrets
from array import array
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from hitoku.disclosure.answer import Answer, Withheld
from hitoku.disclosure.margins import protected
from hitoku.errors import DisclosureError
from hitoku.questions.running import TOTAL, summarised
from hitoku.room.consent import moment

if TYPE_CHECKING:
    from hitoku.disclosure.cells import Cells
    from hitoku.disclosure.leakage import Leakage
    from hitoku.disclosure.noise import Draws
    from hitoku.disclosure.plan import DisclosurePlan
    from hitoku.ports import Clock
    from hitoku.questions.question import Question

__all__ = ["release"]

_KNOWN: Final = frozenset({"threshold", "suppression", "rounding", "noise"})
_BEFORE: Final = frozenset({"two discrete Laplace", "three discrete Gaussian"})
"""Laws of noise that is added while figures are computed: cells never have exact ones."""


def release(
    cells: Cells,
    plan: DisclosurePlan,
    question: Question,
    *,
    leakage: Leakage,
    protection: str,
    run: str,
    clock: Clock,
    draws: Draws | None = None,
) -> Answer:
    """Apply what the plan demands and the protection has not applied yet, and make the Answer.

    Args:
        cells: what the protection computed.
        plan: what must be applied.
        question: the question.
        leakage: who learns what.
        protection: its name.
        run: the run's id.
        clock: dates the answer.
        draws: noise that was drawn ahead for this plan, if any; the caller closes it.

    Raises:
        DisclosureError: the cells belong to another question, are not of the plan's form, or carry
            something applied that the plan did not ask for. Nothing is released then.
    """
    if not (cells.question == plan.question == question.hash):
        raise DisclosureError("the cells belong to another question than the plan: nothing is released")
    if not cells.applied <= _KNOWN:
        raise DisclosureError("the cells carry something applied that the plan does not ask for")
    facts: dict[str, Any] = {
        "sql": question.sql,
        "question": question.hash,
        "room": question.room_hash,
        "run": run,
        "asker": question.asker,
        "receivers": plan.receivers,
        "protection": protection,
        "leakage": leakage,
        "released_at": moment(clock.now()),
        "salt": secrets.token_hex(32),
    }
    if question.privacy is not None or plan.noise is not None:
        return _noised(cells, plan, question, draws, facts)
    _suits(cells, plan, question)
    applied = "threshold" in cells.applied
    names = [o.name for o in question.outputs]
    hidden = [] if applied else [t.alias for t in plan.thresholds]
    table = cells.table
    if not isinstance(table, pa.Table) or table.column_names[: len(names)] != names:
        raise DisclosureError("the cells do not have the question's columns: nothing is released")
    rest = [f"{alias}_rest" for alias in hidden]
    totals = _totals(plan, question) if hidden else {}
    given = sorted(table.column_names[len(names) :])
    forms = (sorted(hidden), sorted(hidden + rest), sorted([*hidden, *rest, *totals]))
    if given not in forms or {*hidden, *rest, *totals} & set(names):
        raise DisclosureError("the cells do not have the plan's hidden columns: nothing is released")

    try:
        released = _released(table, names, plan, applied)
    except pa.ArrowException:  # its words may quote a value
        raise DisclosureError("the cells cannot be put into the plan's form: nothing is released") from None
    some = _withheld(table, plan) if plan.thresholds else False
    withheld = Withheld(
        some,
        tuple((t.table, t.column, t.owner, t.minimum) for t in plan.thresholds),
        _summary(table, totals) if some else (),
        protected(question, plan),
    )
    return Answer(table=released, withheld=withheld, **facts)


def _suits(cells: Cells, plan: DisclosurePlan, question: Question) -> None:
    """Refuse cells that lack what only the place where they were made could do, or did it unasked.

    Groups that follow from totals had to be withheld before window functions, set operations and LIMIT, and
    counts rounded before any expression; neither can be made up for here.
    """
    if "noise" in cells.applied:
        raise DisclosureError("the cells carry something applied that the plan does not ask for")
    for name, planned in (
        ("suppression", protected(question, plan)),
        ("rounding", plan.round_counts > 1),
    ):
        if planned and name not in cells.applied:
            raise DisclosureError(f"the cells lack {name}, which the plan asks for: nothing is released")
        if not planned and name in cells.applied:
            raise DisclosureError("the cells carry something applied that the plan does not ask for")


def _totals(plan: DisclosurePlan, question: Question) -> dict[str, str]:
    """The hidden columns of a summary, and the output each is the total of."""
    if not plan.summary:
        return {}
    return {f"{TOTAL}{place}": question.outputs[place].name for place in summarised(question.form)}


def _summary(table: Any, totals: dict[str, str]) -> tuple[tuple[str, int | float], ...]:
    """The totals over all withheld groups; called only where these together are enough units."""
    found: list[tuple[str, int | float]] = []
    for column, name in totals.items():
        value = table.column(column)[0].as_py() if column in table.column_names and table.num_rows else None
        if type(value) is int or (type(value) is float and math.isfinite(value)):
            found.append((name, value))
    return tuple(found)


def _noised(
    cells: Cells, plan: DisclosurePlan, question: Question, draws: Draws | None, facts: dict[str, Any]
) -> Answer:
    """The Answer of a noised question: what was withheld is covered by the noise; nothing is told of it."""
    from hitoku.disclosure.noise import Draws
    from hitoku.disclosure.noising import described, noised

    done = "noise" in cells.applied
    before = plan.noise is not None and all(p.law in _BEFORE for p in plan.noise.parts)
    if plan.noise is None or cells.applied - {"noise"} or plan.thresholds or done != before:
        raise DisclosureError("the plan and the cells do not agree about noise: nothing is released")
    source = None if done else Draws(plan.noise) if draws is None else draws
    try:
        table, bands = noised(cells.table, question, plan.noise, source)
    except pa.ArrowException:  # its words may quote a value
        raise DisclosureError("the cells cannot be put into the plan's form: nothing is released") from None
    finally:
        if draws is None and source is not None:
            source.close()
    return Answer(
        table=table, bands=bands, noise=described(question, plan.noise), withheld=Withheld(False, ()), **facts
    )


def _withheld(table: Any, plan: DisclosurePlan) -> bool | None:
    """Whether groups were withheld, if that may be told: if together they reach every minimum.

    A single withheld group is there or not by its people's values, so it is never told of
    (docs/decisions/0007-what-is-said-of-withheld-groups.md).
    """
    for threshold in plan.thresholds:
        name = f"{threshold.alias}_rest"
        if name not in table.column_names or not table.num_rows:
            return None
        units = table.column(name)[0].as_py()
        if type(units) is not int or units < threshold.minimum:
            return None
    return True


def _released(table: Any, names: list[str], plan: DisclosurePlan, applied: bool) -> Any:
    columns = [_dense(table.column(i)) for i in range(len(names))]
    chosen = _all(table) if applied else _passing(table, plan)
    order = _sorted(columns, names, plan, chosen)
    # `take` copies: nothing of a withheld row, and no byte behind a NULL, stays in the buffers.
    return pa.Table.from_arrays(
        [column.take(order) for column in columns],
        schema=pa.schema([pa.field(n, c.type) for n, c in zip(names, columns, strict=True)]),
    )


def _dense(column: Any) -> Any:
    """One plain array: a dictionary or a view would carry values of withheld rows along."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    if pa.types.is_string_view(kind):
        column, kind = column.cast(pa.string()), pa.string()
    if pa.types.is_binary_view(kind):
        column, kind = column.cast(pa.binary()), pa.binary()
    if pa.types.is_nested(kind) or isinstance(kind, pa.BaseExtensionType):
        raise DisclosureError("an output column has a type that cannot be released")
    combined = column.combine_chunks()
    return pa.concat_arrays(combined.chunks) if isinstance(combined, pa.ChunkedArray) else combined


def _passing(table: Any, plan: DisclosurePlan) -> Any:
    """The indices of the rows that reach every threshold. No count, or a missing one, counts as zero."""
    mask = None
    for threshold in plan.thresholds:
        units = table.column(threshold.alias)
        if not pa.types.is_integer(units.type):
            raise DisclosureError("a hidden column is no count: nothing is released")
        enough = pc.greater_equal(units.cast(pa.int64()), _int64([threshold.minimum])[0])
        mask = enough if mask is None else pc.and_(mask, enough)
    # A missing count compares as NULL, which is no index.
    return _all(table) if mask is None else pc.indices_nonzero(mask)


def _all(table: Any) -> Any:
    return _int64(range(table.num_rows))


def _int64(values: Iterable[int]) -> Any:
    """An Arrow array without `pa.array`, which would import pandas where that is installed: a second."""
    content = array("q", values)
    return pa.Array.from_buffers(pa.int64(), len(content), [None, pa.py_buffer(content)])


def _sorted(columns: list[Any], names: list[str], plan: DisclosurePlan, chosen: Any) -> Any:
    """The chosen rows' indices in the order of release."""
    if not plan.sort_by or len(chosen) < 2:
        return chosen
    positions = [names.index(name) for name in plan.sort_by]
    keys = pa.Table.from_arrays(
        [columns[p].take(chosen) for p in positions], names=[str(i) for i in range(len(positions))]
    )
    keys = keys.select([n for n in keys.column_names if not pa.types.is_null(keys.column(n).type)])
    if not keys.column_names:
        return chosen
    order = pc.sort_indices(keys, sort_keys=[(n, "ascending") for n in keys.column_names])
    return chosen.take(order)
