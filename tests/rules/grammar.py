# SPDX-License-Identifier: Apache-2.0
"""Statements at random: mostly such as people write on the fixture room, with hostile parts mixed in."""

from __future__ import annotations

import random
from dataclasses import dataclass

TABLES = {
    "customers": ["phone", "name_sealed", "region", "city", "age", "vip", "joined", "spend", "score"],
    "visits": ["phone", "card", "store", "amount"],
    "stores": ["store", "city", "size"],
    "subscribers": ["phone", "email", "customer_no", "plan", "months", "minutes"],
    "cells": ["phone", "tower"],
    "accounts": ["phone", "email", "segment", "balance"],
    "loans": ["phone", "kind"],
    "payroll": ["phone", "salary"],
    "contacts": ["phone", "address_sealed", "tier", "opened"],
    "leads": ["phone", "offer", "price", "internal_id"],
}
DIMENSIONS = {
    "customers": ["region", "age", "vip", "joined"],
    "visits": ["store"],
    "stores": ["size", "city"],
    "subscribers": ["plan", "months"],
    "cells": ["tower"],
    "accounts": ["segment"],
    "loans": ["kind"],
}
AGGREGATES = {
    "customers": [
        "COUNT({0}.phone)",
        "COUNT(DISTINCT {0}.phone)",
        "SUM({0}.spend)",
        "AVG({0}.score)",
        "SUM({0}.age)",
    ],
    "visits": ["COUNT(DISTINCT {0}.phone)", "COUNT({0}.phone)", "AVG({0}.amount)"],
    "stores": ["COUNT({0}.store)", "AVG({0}.size)"],
    "subscribers": ["COUNT(DISTINCT {0}.phone)", "SUM({0}.minutes)", "AVG({0}.minutes)"],
    "cells": ["COUNT(DISTINCT {0}.phone)"],
    "accounts": ["COUNT(DISTINCT {0}.phone)", "SUM({0}.balance)"],
    "loans": ["COUNT({0}.phone)", "COUNT(DISTINCT {0}.phone)"],
}
HOSTILE = [
    "*",
    "COLUMNS(*)",
    "MAX({c})",
    "{t}",
    "{t}.*",
    "(SELECT MAX(salary) FROM payroll)",
    "error({c})",
    "LIST({c})",
    "ROW_NUMBER() OVER (ORDER BY {c})",
    "SUM({c}) OVER ()",
    "SUM({c}) FILTER (WHERE {c} IS NULL)",
    "CASE WHEN {c} IS NULL THEN 1 END",
    "CAST({c} AS INTEGER)",
    "getenv('HOME')",
    "{c} || 'x'",
    "[{c}]",
    "{{'a': {c}}}",
    "current_setting('memory_limit')",
    "NULL",
    "-{c}",
    "TRY({c})",
    "{c}::VARCHAR",
    "lambda x: x",
    "{c}[1]",
    "$1",
    "EXISTS (SELECT 1 FROM payroll)",
    "md5({c})",
    "ANY_VALUE({c})",
]
SOURCES = ["read_csv('/etc/passwd')", "'x.parquet'", "(VALUES (1)) AS v(a)", "range(3)", "payroll", "nosuch"]
SOURCES += [
    "information_schema.tables",
    "duckdb_tables()",
    "(SELECT * FROM customers) AS s",
    "main.customers",
]
SETS = ["UNION ALL", "UNION", "EXCEPT", "INTERSECT", "EXCEPT ALL"]
RANKS = ["ROW_NUMBER()", "RANK()", "DENSE_RANK()", "NTILE(3)", "PERCENT_RANK()", "CUME_DIST()"]
FRAMES = [
    *("", "", "", " ROWS BETWEEN 1 PRECEDING AND CURRENT ROW", " rows unbounded preceding"),
    *(" RANGE BETWEEN 1 PRECEDING AND CURRENT ROW", " ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING EXCLUDE TIES"),
]
CHOICES = ["1", "'x'", "NULL"]
DATES = [
    "TO_CHAR({c}, 'YYYY-MM')",
    "STRFTIME({c}, '%Y')",
    "DATE_ADD({c}, INTERVAL 2 MONTH)",
    "TO_CHAR({c}, 'Month')",
    "DATEADD('day', 1, {c})",
    "EXTRACT(MONTH FROM {c})",
]
TAILS = [
    "LIMIT 3",
    "OFFSET 2",
    "LIMIT 10%",
    "QUALIFY 1 = 1",
    "USING SAMPLE 3",
    "; DROP TABLE customers",
    "FOR UPDATE",
]


@dataclass(frozen=True)
class Vocabulary:
    """The tables, columns and aggregates that statements are made of.

    `first` are the tables that a statement begins with, `combined` and `counted` the column and the count of
    the branches of set operations, `listing` the share of SELECT DISTINCT without groups.
    """

    tables: dict[str, list[str]]
    dimensions: dict[str, list[str]]
    aggregates: dict[str, list[str]]
    first: tuple[str, ...]
    combined: dict[str, str]
    counted: dict[str, str]
    listing: float = 0.0


REVIEW = Vocabulary(
    TABLES,
    DIMENSIONS,
    AGGREGATES,
    ("customers", "customers", "visits", "accounts"),
    {"customers": "region", "cells": "tower", "stores": "city"},
    {
        "customers": "COUNT(DISTINCT phone)",
        "cells": "COUNT(DISTINCT phone)",
        "stores": "COUNT(DISTINCT store)",
    },
)


class Grammar:
    """Makes statements from one seed."""

    def __init__(self, seed: int, words: Vocabulary = REVIEW) -> None:
        self._random = random.Random(seed)
        self._words = words

    def _one(self, of: list[str]) -> str:
        return self._random.choice(of)

    def _sometimes(self, share: float) -> bool:
        return self._random.random() < share

    def statement(self) -> str:
        """One statement."""
        made = self._select()
        if self._sometimes(0.08):
            made += f" {self._one(SETS)} {self._select()}"
        elif self._sometimes(0.08):
            made = self._combined()
        if self._sometimes(0.04):
            made += " " + self._one(TAILS)
        if self._sometimes(0.03):
            place = self._random.randrange(len(made) + 1)
            made = (
                made[:place]
                + self._one(["(", ")", ";", "'", '"', "--", "/*", "\x00", "é", ","])
                + made[place:]
            )
        return made

    def _combined(self) -> str:
        """A set operation of branches that fit: so some are accepted."""
        kinds = [self._one(list(self._words.combined)) for _ in range(self._random.choice([2, 2, 3]))]
        parts = []
        for table in kinds:
            column = self._one([self._words.combined[table]])
            count = self._words.counted[table]
            where = f" WHERE {self._condition([table], [table])}" if self._sometimes(0.4) else ""
            parts.append(f"SELECT {column} AS a0, {count} AS a1 FROM {table}{where} GROUP BY {column}")
        made = parts[0]
        for part in parts[1:]:
            made = f"{made} {self._one(SETS)} {part}"
            made = f"({made})" if self._sometimes(0.2) and part is not parts[-1] else made
        return made + (" ORDER BY a1 DESC, a0" if self._sometimes(0.3) else "")

    def _window(self, tables: list[str], names: list[str], groups: list[str]) -> str:
        """A window function; deterministic where it is over groups, so that answers can be compared."""
        keys = ", ".join(groups) if groups else "1"
        inside = self._aggregate(tables, names)
        if self._sometimes(0.08):
            inside = f"{names[0]}.{self._one(self._words.tables[tables[0]])}"
        over = f"PARTITION BY {groups[0]} " if groups and self._sometimes(0.3) else ""
        over += f"ORDER BY {inside if self._sometimes(0.3) else keys}, {keys}"
        if self._sometimes(0.4):
            return f"{self._one(RANKS)} OVER ({over})"
        if self._sometimes(0.3):
            return f"{self._one(['LAG', 'LEAD', 'NTH_VALUE'])}({inside}, 1) OVER ({over})"
        total = self._one(["SUM", "AVG", "MIN", "MAX", "COUNT", "LIST"])
        return f"{total}({inside}) OVER ({over}{self._one(FRAMES)})"

    def _select(self) -> str:
        tables = [self._one(list(self._words.first))]
        tables += [
            self._one(list(self._words.aggregates)) for _ in range(self._random.choice([0, 0, 1, 1, 2, 3]))
        ]
        if self._sometimes(0.9):
            tables = list(dict.fromkeys(tables))
        if self._sometimes(0.03):
            tables.append(self._one(list(self._words.tables)))
        names = [f"{t[0]}{n}" if self._sometimes(0.5) else t for n, t in enumerate(tables)]
        body = self._from(tables, names)
        if self._words.listing and self._sometimes(self._words.listing):
            return self._listed(tables, names, body)
        groups = self._groups(tables, names)
        outputs = [f"{g} AS g{n}" for n, g in enumerate(groups)]
        outputs += [
            f"{self._aggregate(tables, names)} AS a{n}" for n in range(self._random.choice([1, 1, 2, 3]))
        ]
        if self._sometimes(0.06):
            outputs.append(self._hostile(tables, names))
        if self._sometimes(0.12):
            outputs.append(f"{self._window(tables, names, groups)} AS w")
        text = f"SELECT {', '.join(outputs)} FROM {body}"
        if self._sometimes(0.4):
            text += " WHERE " + self._condition(tables, names)
        if groups:
            text += " GROUP BY " + ", ".join(groups if self._sometimes(0.95) else groups[:-1] or ["1"])
        if self._sometimes(0.2):
            text += f" HAVING {self._aggregate(tables, names)} > {self._random.randrange(50)}"
        if self._sometimes(0.3):
            text += f" ORDER BY a0{self._one(['', ' DESC', ' NULLS FIRST'])}, {self._one(['1', 'a0'])}"
            if self._sometimes(0.4):
                text += f" LIMIT {self._random.randrange(20)}"
        return self._wrapped(text)

    def _listed(self, tables: list[str], names: list[str], body: str) -> str:
        """Rows."""
        picked = [self._random.randrange(len(tables)) for _ in range(self._random.choice([1, 2, 2, 3]))]
        columns = [f"{names[n]}.{self._one(self._words.tables[tables[n]])}" for n in picked]
        made = [f"{column} AS a{n}" for n, column in enumerate(dict.fromkeys(columns))]
        text = f"SELECT DISTINCT {', '.join(made)} FROM {body}"
        if self._sometimes(0.5):
            text += " WHERE " + self._condition(tables, names)
        if self._sometimes(0.3):
            text += " ORDER BY a0" + (" LIMIT 7" if self._sometimes(0.5) else "")
        return text

    def _wrapped(self, text: str) -> str:
        if self._sometimes(0.08):
            return f"SELECT a0 AS a0 FROM ({text}) AS q{' WHERE a0 > 3' if self._sometimes(0.5) else ''}"
        return text

    def _from(self, tables: list[str], names: list[str]) -> str:
        text = self._source(tables[0], names[0])
        for n in range(1, len(tables)):
            kind = (
                "JOIN" if self._sometimes(0.85) else self._one(["LEFT JOIN", "CROSS JOIN", "FULL JOIN", ","])
            )
            source = self._source(tables[n], names[n])
            other = self._random.randrange(n)
            key = self._key(tables[other], tables[n])
            if kind in {"CROSS JOIN", ","}:
                text += f" {kind} {source}"
            elif self._sometimes(0.95):
                text += f" {kind} {source} ON {names[other]}.{key} = {names[n]}.{key}"
            else:
                text += f" {kind} {source} ON {self._condition(tables, names)}"
        return text

    def _key(self, left: str, right: str) -> str:
        common = [c for c in self._words.tables[left] if c in self._words.tables[right]]
        return self._one(common) if common else "phone"

    def _source(self, table: str, name: str) -> str:
        if self._sometimes(0.02):
            return self._one(SOURCES)
        if self._sometimes(0.15):
            where = f" WHERE {self._condition([table], [table])}" if self._sometimes(0.5) else ""
            return f"(SELECT {', '.join(self._words.tables[table])} FROM {table}{where}) AS {name}"
        return table if name == table else f"{table} AS {name}"

    def _groups(self, tables: list[str], names: list[str]) -> list[str]:
        made = []
        for _ in range(self._random.choice([0, 1, 1, 2])):
            n = self._random.randrange(len(tables))
            columns = self._words.dimensions.get(tables[n]) or self._words.tables[tables[n]]
            column = f"{names[n]}.{self._one(columns)}"
            if self._sometimes(0.08):
                column = self._case(column)
            elif column.endswith(".joined") and self._sometimes(0.5):
                column = self._one(DATES).format(c=column)
            made.append(f"UPPER({column})" if self._sometimes(0.05) else column)
        return list(dict.fromkeys(made))

    def _case(self, column: str) -> str:
        if self._sometimes(0.5):
            return f"CASE {column} WHEN {self._one(CHOICES)} THEN 'a' ELSE 'b' END"
        test = self._one(["IS NULL", "> 30", "= 'north'", "IN (1, 2)"])
        default = self._one(["2", column])
        return f"CASE WHEN {column} {test} THEN {self._one(['1', '0', 'NULL'])} ELSE {default} END"

    def _aggregate(self, tables: list[str], names: list[str]) -> str:
        if self._sometimes(0.1):
            return "COUNT(*)"
        n = self._random.randrange(len(tables))
        made = self._one(self._words.aggregates.get(tables[n]) or ["COUNT({0}.phone)"]).format(names[n])
        if self._sometimes(0.1):
            made = f"{made} {self._one(['+', '-', '*', '/', '%'])} {self._random.randrange(9)}"
        return f"ROUND({made}, 1)" if self._sometimes(0.05) else made

    def _condition(self, tables: list[str], names: list[str]) -> str:
        n = self._random.randrange(len(tables))
        column = (
            f"{names[n]}.{self._one(self._words.dimensions.get(tables[n]) or self._words.tables[tables[n]])}"
        )
        if self._sometimes(0.03):
            return f"{self._hostile(tables, names)} = 1"
        made = self._one(
            [
                f"{column} IS NOT NULL",
                f"{column} IS NULL",
                f"{column} = 'north'",
                f"{column} > {self._random.randrange(60)}",
                f"{column} IN (1, 30, 31)",
                f"{column} LIKE '%o%'",
                f"{column} <> 'x'",
                f"{column} BETWEEN 10 AND 40",
                f"{column} >= '2024-01-01'",
                f"{column} % 2 = {self._random.randrange(2)}",
                f"{column} / 0 > 1",
            ]
        )
        if self._sometimes(0.2):
            made = f"NOT ({made})"
        if self._sometimes(0.3):
            made = f"({made} {self._one(['AND', 'OR'])} {self._condition(tables, names)})"
        return made

    def _hostile(self, tables: list[str], names: list[str]) -> str:
        n = self._random.randrange(len(tables))
        return self._one(HOSTILE).format(
            c=f"{names[n]}.{self._one(self._words.tables[tables[n]])}", t=names[n]
        )
