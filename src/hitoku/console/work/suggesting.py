# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: S608 (SQL for people to read: it is checked like any question, and never run from here)
"""Examples to begin with: questions that show what a rule does, and a careful first rule of each kind."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from hitoku.console.work.rules import Example
from hitoku.room.agreement import Agreement, ColumnProtection, ProtectionName, Table
from hitoku.room.rules import AggregateFunction, AggregationRule, CustomRule, ListRule

__all__ = ["starting_point", "suggested"]

_PLAIN: Final = re.compile(r"[a-z_][a-z0-9_]*")
_RESERVED: Final = frozenset(
    """
    all analyse analyze and any array as asc asymmetric at both by case cast check collate column
    constraint create cross current_date current_time current_timestamp date default deferrable desc
    describe distinct do else end except false fetch filter first for foreign from full grant group
    having in index initially inner int integer intersect interval into is join key lambda last lateral
    leading left like limit map natural not null nulls offset on only or order outer over partition
    pivot placing primary qualify references returning right row rows select set show some struct
    summarize symmetric table then time timestamp to trailing true union unique unpivot user using
    values variadic when where window with year month day hour
    """.split()  # noqa: SIM905
)


def suggested(agreement: Agreement, table: Table, rule: Any) -> tuple[Example, ...]:
    """Questions that show what a rule does, made of the table's columns."""
    return tuple({e.sql: e for e in _suggestions(agreement, table, rule)}.values())[:8]


def _suggestions(agreement: Agreement, table: Table, rule: Any) -> Iterable[Example]:
    clear = [c for c in table.columns if c.protection is ColumnProtection.CLEARTEXT]
    keys = [c for c in table.columns if c.protection is ColumnProtection.FINGERPRINT]
    sealed = [c for c in table.columns if c.protection is ColumnProtection.SEALED]
    units = _units(rule) or [c.name for c in keys] or [c.name for c in table.columns][:1]
    groups = [c for c in clear if not c.type.is_number and c.name not in units] or clear
    numbers = [c for c in clear if c.type.is_number and c.name not in units]
    name, unit = _quoted(table.name), _quoted(units[0])
    lists = isinstance(rule, ListRule)
    # Private cross statistics answer of two owners' tables together, never of one.
    alone = set(agreement.protections) != {ProtectionName.CROSSTAB}
    for column in groups[:2] if alone else ():
        group = _quoted(column.name)
        sql = f"SELECT {group}, COUNT(DISTINCT {unit}) AS people FROM {name} GROUP BY {group}"
        yield Example(sql=sql, wanted="refuse" if lists else "accept")
    computed = _computed(rule, [c.name for c in numbers])
    if computed is not None and groups and alone:
        value, group = f"{computed[0]}({_quoted(computed[1])}) AS figure", _quoted(groups[0].name)
        sql = f"SELECT {group}, {value} FROM {name} GROUP BY {group}"
        yield Example(sql=sql, wanted="refuse" if lists else "accept")
    for other in agreement.tables:
        shared = [c.name for c in keys if _joins(other, c.name)]
        if other.owner != table.owner and shared:
            yield from _joined(table, other, shared[0], groups[0].name if groups else None, lists=lists)
            break
    yield Example(sql=f"SELECT * FROM {name}", wanted="refuse")
    if clear:
        listed = ", ".join(_quoted(c.name) for c in clear[:3])
        yield Example(sql=f"SELECT {listed} FROM {name} LIMIT 100", wanted="refuse")
    for column in sealed[:1]:
        sql = f"SELECT COUNT(DISTINCT {unit}) AS people FROM {name} WHERE {_quoted(column.name)} = 'x'"
        yield Example(sql=sql, wanted="refuse")
    yield Example(
        sql=f"SELECT COUNT(*) AS n FROM {name} WHERE {unit} = 'one person'",
        wanted="refuse",
    )


def _computed(rule: Any, numbers: list[str]) -> tuple[str, str] | None:
    """A statistic of a number that the rule names, or SUM where it names none."""
    if isinstance(rule, AggregationRule):
        for aggregate in rule.aggregate_columns:
            found = [n for n in aggregate.column_names if n in numbers]
            if found and aggregate.function in {AggregateFunction.SUM, AggregateFunction.AVG}:
                return aggregate.function.value, found[0]
    return ("SUM", numbers[0]) if numbers else None


def _joins(other: Table, name: str) -> bool:
    column = other.column(name)
    return column is not None and column.protection is ColumnProtection.FINGERPRINT


def _joined(table: Table, other: Table, key: str, group: str | None, *, lists: bool) -> Iterable[Example]:
    a, b, k = _quoted(table.name), _quoted(other.name), _quoted(key)
    join = f"FROM {a} AS a JOIN {b} AS b ON a.{k} = b.{k}"
    if group is not None and not lists:
        g = _quoted(group)
        yield Example(sql=f"SELECT a.{g}, COUNT(DISTINCT a.{k}) AS people {join} GROUP BY a.{g}")
    elif not lists:
        yield Example(sql=f"SELECT COUNT(DISTINCT a.{k}) AS people {join}")
    if group is not None:
        yield Example(sql=f"SELECT a.{_quoted(group)} {join}", wanted="accept" if lists else "refuse")


def _units(rule: Any) -> list[str]:
    if isinstance(rule, AggregationRule):
        return [c.column_name for c in rule.output_constraints]
    if isinstance(rule, CustomRule):
        if rule.differential_privacy is not None:
            return [rule.differential_privacy.column]
        return [n for t in rule.aggregation_thresholds for n in t.identity_columns]
    return []


def _quoted(name: str) -> str:
    """A name in SQL; in quotes where it needs them."""
    plain = _PLAIN.fullmatch(name) is not None and name not in _RESERVED
    return name if plain else '"' + name.replace('"', '""') + '"'


def starting_point(table: Table, kind: str, members: Iterable[str]) -> Mapping[str, Any]:
    """A careful first rule of a kind, to begin with: JSON form, maybe with gaps that the form shows."""
    clear = [c for c in table.columns if c.protection is ColumnProtection.CLEARTEXT]
    keys = [c.name for c in table.columns if c.protection is ColumnProtection.FINGERPRINT]
    units = keys or [c.name for c in table.columns if c.protection is not ColumnProtection.SEALED]
    if kind == "list":
        return {"type": "list", "joinColumns": keys[:1], "listColumns": [c.name for c in clear][:1]}
    if kind == "custom":
        privacy = {
            "identityColumns": units[:1],
            "minimumIdentityCount": 50,
            "type": "COUNT_DISTINCT",
            "allowedAggregateExpressionType": "COLUMNS_ONLY",
        }
        asking = list(members)
        return {
            "type": "custom",
            "allowedAnalyses": ["ANY_QUERY"],
            "allowedAnalysisProviders": asking,
            **({"aggregationThresholds": [privacy]} if units else {}),
        }
    if kind != "aggregation":
        return {}
    sums = [c.name for c in clear if c.type.is_number]
    aggregates = [{"columnNames": units[:1], "function": "COUNT_DISTINCT"}] if units else []
    if sums:
        aggregates += [{"columnNames": sums, "function": "SUM"}, {"columnNames": sums, "function": "AVG"}]
    return {
        "type": "aggregation",
        "aggregateColumns": aggregates,
        "joinColumns": keys,
        "dimensionColumns": [c.name for c in clear if not c.type.is_number and c.name not in units],
        "outputConstraints": [
            {"columnName": unit, "minimum": 50, "type": "COUNT_DISTINCT"} for unit in units[:1]
        ],
    }
