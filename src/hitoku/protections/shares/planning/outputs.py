# SPDX-License-Identifier: Apache-2.0
"""What of one SELECT is opened to receivers, what they compute of it, and what is computed before.

An output that is a grouping value or a figure itself is opened. One that can be computed of such is computed
by receivers: it tells them nothing that they do not have. All others are computed on shares and opened alone,
and so is everything that decides which rows there are: thresholds, HAVING, LIMIT, an order by what is not
opened.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from typing import Literal as OneOf

from sqlglot import exp

from hitoku.protections.shares.planning.cannot import Cannot
from hitoku.protections.shares.planning.groups import Groups
from hitoku.protections.shares.planning.rationals import Quantity, Rational, ratio, sign_of_infinite
from hitoku.protections.shares.program import Column, Opened, SortKey
from hitoku.questions.form import Item, Order, Value
from hitoku.questions.render import sql_of
from hitoku.questions.windows import ORDERED

__all__ = ["POSITION", "Shown", "View", "outputs"]

POSITION: Final = "r"
"""The receivers' column with a row's place, where rows were opened in order."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One opened column, as receivers read it.

    Attributes:
        opened: its name in the program.
        column: its name in the receivers' SQL: ``g1``, the SQL of a figure, or ``x1`` for the output at that
            place.
        sql_type: the engine's type that its values get.
        kind: how values come: number (whole numbers of units), date, boolean, text, ratio.
        scale: of numbers.
        labels: the texts that numbers stand for, where they do.
        infinite: the opened column that tells infinite values apart, where there may be some.
        root: whether the value is the square root of what is opened.
    """

    opened: str
    column: str
    sql_type: str
    kind: OneOf["number", "date", "boolean", "text", "ratio"]
    scale: int = 0
    labels: tuple[str, ...] = ()
    infinite: str | None = None
    root: bool = False


@dataclass(frozen=True, slots=True)
class View:
    """What receivers do with one SELECT's opened rows.

    Attributes:
        shown: the opened columns.
        replaced: places of outputs, from 0, that were computed before.
        positioned: whether rows come in the answer's order already.
    """

    shown: tuple[Shown, ...]
    replaced: frozenset[int]
    positioned: bool


def outputs(
    groups: Groups, items: tuple[Item, ...], having: tuple[Value, ...], order: tuple[Order, ...], *, cut: bool
) -> tuple[list[Opened], tuple[SortKey, ...], View]:
    """Decide what is opened, and in which order.

    Args:
        groups: compiles expressions of groups.
        items: the outputs.
        having: the conditions on groups, which only have to be known to the layers.
        order: the question's order; of a set operation none: receivers have it.
        cut: whether LIMIT or OFFSET leaves some rows out.

    Raises:
        Cannot: something would have to be opened that is no part of the answer.
    """
    layers = groups.layers
    uppers = [layers.upper(item.value.node) for item in items]
    sorts = [layers.upper(key.value.node) for key in order]
    for condition in having:
        layers.upper(condition.node)
    plain = {
        upper.name
        for upper in uppers
        if isinstance(upper, exp.Column) and not upper.table and not upper.name.startswith("w")
    }
    everything = {f"g{n}" for n in range(1, len(groups.block.groups) + 1)}
    windows = {f"w{n}": window for n, window in enumerate(layers.windows.values(), 1)}
    inside = cut or not all(_reads(upper, windows, everything) <= plain for upper in sorts)
    by_text = _sorted_texts(order, items, groups) if inside else set()
    for n in range(1, len(groups.block.groups) + 1):
        groups.group(n, opened=f"g{n}" in plain, ordered=f"g{n}" in by_text)
    chosen = _Outputs(groups)
    replaced: set[int] = set()
    for place, (item, upper) in enumerate(zip(items, uppers, strict=True)):
        reads = _reads(upper, windows, everything)
        windowed = any(True for _ in _windows(upper, windows))
        if windowed and cut:
            raise Cannot(
                "a window function is computed over rows that LIMIT leaves out, which are not opened",
                "ask without LIMIT, or without the window function",
            )
        if reads <= plain:
            chosen.plainly(upper)
        elif windowed:
            raise Cannot(
                f"output {item.name!r} is a window function over values that are not outputs themselves",
                f"select {_missing(groups, reads - plain)} as well",
            )
        else:
            chosen.computed(place, item)
            replaced.add(place)
    keys: list[SortKey] = []
    if inside:
        if any(True for upper in sorts for _ in _windows(upper, windows)):
            raise Cannot(
                "the answer is ordered by a window function over values that are not outputs",
                "select what it is computed of, without LIMIT",
            )
        keys = _keys(groups, items, order, everything)
    view = View(tuple(chosen.shown), frozenset(replaced), inside)
    return chosen.opened, tuple(keys), view


class _Outputs:
    def __init__(self, groups: Groups) -> None:
        self._groups = groups
        self.opened: list[Opened] = []
        self.shown: list[Shown] = []

    def plainly(self, upper: exp.Expr) -> None:
        """An output that receivers have: what it is computed of is opened by the outputs that are that."""
        if not isinstance(upper, exp.Column) or upper.table or upper.name.startswith("w"):
            return
        name = upper.name
        if any(shown.opened == name for shown in self.shown):
            return
        groups = self._groups
        kind = groups.type_of(name)
        if name.startswith("g"):
            labels = groups.labelled.get(name, ())
            self._column(name, name, groups.column(name), kind.name, labels)
            return
        node = groups.layers.aggregates[list(groups.layers.aggregates)[int(name[1:]) - 1]]
        if not isinstance(node, exp.AggFunc):
            raise AssertionError("figures are aggregates")
        root = isinstance(node, (exp.Stddev, exp.StddevSamp))
        self._quantity(name, sql_of(node), groups.figure(node), kind.name, root=root)

    def computed(self, place: int, item: Item) -> None:
        """An output that is computed before it is opened."""
        groups, node = self._groups, item.value.node
        kind = groups.described(node)
        name, column = f"o{place + 1}", f"x{place + 1}"
        aggregated = any(True for _ in node.find_all(exp.AggFunc))
        if not aggregated:
            further = groups.further(node, opened=True)
            labels = groups.labelled.get(further.name, ())
            self._column(name, column, further, kind.name, labels)
        elif kind.kind == "text":
            made, labels = groups.labels(node)
            self.opened.append(Opened(name, made))
            self.shown.append(Shown(name, column, kind.name, "number", 0, labels))
        else:
            self._quantity(name, column, groups.value(node), kind.name)

    def _quantity(
        self, name: str, column: str, value: Quantity, sql_type: str, *, root: bool = False
    ) -> None:
        if not isinstance(value, Rational):
            self.opened.append(Opened(name, value))
            kind = value.type.kind
            if kind == "code":
                self.shown.append(Shown(name, column, sql_type, "text"))
                return
            if kind not in {"number", "date", "boolean"}:
                raise AssertionError("figures are numbers, dates or booleans")
            told: OneOf["number", "date", "boolean"] = (
                "date" if kind == "date" else "boolean" if kind == "boolean" else "number"
            )
            self.shown.append(Shown(name, column, sql_type, told, value.type.scale))
            return
        self.opened.append(Opened(name, ratio(value)))
        infinite = f"{name}_infinite" if value.infinite else None
        if infinite is not None:
            self.opened.append(Opened(infinite, sign_of_infinite(value)))
        self.shown.append(Shown(name, column, sql_type, "ratio", infinite=infinite, root=root))

    def _column(self, name: str, column: str, value: Column, sql_type: str, labels: tuple[str, ...]) -> None:
        self.opened.append(Opened(name, value))
        kind = value.type.kind
        if kind == "code":
            self.shown.append(Shown(name, column, sql_type, "text"))
        elif kind == "date":
            self.shown.append(Shown(name, column, sql_type, "date"))
        elif kind == "boolean":
            self.shown.append(Shown(name, column, sql_type, "boolean"))
        else:
            self.shown.append(Shown(name, column, sql_type, "number", value.type.scale, labels))


def _windows(upper: exp.Expr, windows: dict[str, exp.Window]) -> list[exp.Window]:
    return [windows[c.name] for c in upper.find_all(exp.Column) if not c.table and c.name in windows]


def _reads(upper: exp.Expr, windows: dict[str, exp.Window], everything: set[str]) -> set[str]:
    """The layers' columns that an output is computed of, window functions included."""
    found: set[str] = set()
    for column in upper.find_all(exp.Column):
        if column.table:
            raise Cannot("an output reads a column that is not grouped")
        window = windows.get(column.name)
        if window is None:
            found.add(column.name)
            continue
        found |= _reads(window, {}, everything)
        # Among equals, and in frames, the order is that of all grouping values.
        if str(window.this.this) in ORDERED or window.args.get("spec") is not None:
            found |= everything
    return found


def _sorted_texts(order: tuple[Order, ...], items: tuple[Item, ...], groups: Groups) -> set[str]:
    """Grouping values that rows are ordered by inside."""
    values = [key.value for key in order] + [item.value for item in items]
    return {name for value in values if (name := groups.name_of(value.node)) is not None}


def _missing(groups: Groups, names: set[str]) -> str:
    """What would have to be selected, in the question's words: they are public."""
    texts = [group.text for group in groups.block.groups]
    figures = list(groups.layers.aggregates)
    return ", ".join(
        (texts if name.startswith("g") else figures)[int(name[1:]) - 1] for name in sorted(names)
    )


def _keys(
    groups: Groups, items: tuple[Item, ...], order: tuple[Order, ...], everything: set[str]
) -> list[SortKey]:
    """The order inside: the question's, and among equals the outputs', until no two groups are equal."""
    made: list[SortKey] = []
    settled: set[str] = set()
    asked = [(key.value.node, key.descending, key.nulls_first) for key in order]
    for node, descending, nulls_first in asked + [(item.value.node, False, False) for item in items]:
        if settled >= everything:
            break
        if not any(isinstance(part, (exp.Column, exp.AggFunc)) for part in node.walk()):
            continue
        made.append(SortKey(groups.sorted_by(node), descending, nulls_first))
        name = groups.name_of(node)
        if name is not None:
            settled.add(name)
    return made
