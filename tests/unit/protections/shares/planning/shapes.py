# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E501 - SQL reads better on one line
"""A room of two owners whose tables have every type and NULLs everywhere, and questions of many shapes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any, Final

import pyarrow as pa

from hitoku.room.agreement import Agreement, Room

_MEMBERS: Final = (
    ("shop", "ed25519:iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w="),
    ("bank", "ed25519:gTl3Dqh9F19Wo1Rmw0x+zMuNipG07jeiXfYPW4/Js5Q="),
    ("lab", "ed25519:bnoc3Smwt4/ROvTFWY/v9O8qlxZuPKby5Pv8zYBQW/E="),
)
KEYS: Final = tuple(key for _, key in _MEMBERS)
_TYPES: Final[dict[str, dict[str, str]]] = {
    "sales": {
        "k": "string",
        "n": "int",
        "whole": "int",
        "big": "bigint",
        "price": "decimal",
        "day": "date",
        "word": "string",
        "flag": "boolean",
        "real": "double",
        "odd": "double",
    },
    "cards": {
        "k": "string",
        "n": "bigint",
        "points": "int",
        "fee": "decimal",
        "kind": "string",
        "since": "date",
    },
    "kinds": {"kind": "string", "weight": "smallint"},
}
ARROW: Final = {
    "string": pa.string(),
    "int": pa.int32(),
    "smallint": pa.int16(),
    "bigint": pa.int64(),
    "decimal": pa.decimal128(9, 2),
    "date": pa.date32(),
    "boolean": pa.bool_(),
    "double": pa.float64(),
}


def room(threshold: int | None = None, **shares: Any) -> Room:
    """The room; with a threshold on the key of sales, or none."""
    rule: dict[str, Any] = {
        "type": "custom",
        "allowedAnalyses": ["ANY_QUERY"],
        "allowedAnalysisProviders": ["shop"],
    }
    thresholded = rule if threshold is None else rule | {
        "aggregationThresholds": [
            {
                "identityColumns": ["k"],
                "minimumIdentityCount": threshold,
                "allowedAggregateExpressionType": "ANY_EXPRESSION",
            }
        ]
    }  # fmt: skip
    declared = {"table": "sales", "columns": [{"columnName": "real", "lower": -9, "upper": 9, "decimals": 2}]}
    data = {
        "id": "0d2c8f5e-6f0e-4f0e-9d0a-3a1f6b0c2e11",
        "name": "Shapes",
        "protections": ["shares"],
        "settings": {
            "allow_cleartext": True,
            "allow_duplicates": True,
            "allow_joins_on_columns_with_different_names": True,
            "preserve_nulls": True,
        },
        "members": [
            {"name": name, "key": key, "abilities": ["query", "receive", "compute"]} for name, key in _MEMBERS
        ],
        "tables": [
            {
                "name": table,
                "owner": "shop" if table == "sales" else "bank",
                "columns": [_column(name, kind) for name, kind in columns.items()],
                "rule": thresholded if table == "sales" else rule,
            }
            for table, columns in _TYPES.items()
        ],
        "shares": {"servers": [name for name, _ in _MEMBERS], "tables": [declared | shares]},
    }
    return Room(agreement=Agreement.model_validate(data))


def _column(name: str, kind: str) -> dict[str, Any]:
    made: dict[str, Any] = {"name": name, "type": kind, "protection": "cleartext"}
    return made | ({"precision": 9, "scale": 2} if kind == "decimal" else {})


def tables(rows: Mapping[str, Any]) -> dict[str, pa.Table]:
    """Tables from rows; missing columns are NULL."""
    return {
        name: pa.Table.from_pylist(rows.get(name, []), pa.schema([(c, ARROW[k]) for c, k in columns.items()]))
        for name, columns in _TYPES.items()
    }


VALUES: Final[dict[str, tuple[Any, ...]]] = {
    "k": (None, "a", "b", "c", "", "Ä"),
    "n": (None, 0, 1, 2, -3),
    "whole": (None, 0, 1, -1, 7, 2**31 - 1, -(2**31)),
    "big": (None, 0, 5, 2**63 - 1, -(2**63)),
    "price": (None, Decimal("0.00"), Decimal("-0.01"), Decimal("12.50"), Decimal("9999999.99")),
    "day": (None, date(1969, 12, 31), date(2024, 2, 29), date(2024, 3, 1), date(9999, 12, 31)),
    "word": (None, "", "x", "y", "long text that has more than eight bytes"),
    "flag": (None, True, False),
    "real": (None, 0.0, -0.0, 1.25, -8.5),
    "odd": (None, 0.1, -0.0, 0.0, 1e300, float("nan"), float("inf")),
    "points": (None, 0, 3, -4, 100),
    "fee": (None, Decimal("0.00"), Decimal("1.10"), Decimal("-7.25")),
    "kind": (None, "gold", "tin", ""),
    "since": (None, date(2024, 3, 1), date(2020, 1, 1)),
    "weight": (None, 1, 2, -32768, 32767),
}
COLUMNS: Final = {name: tuple(columns) for name, columns in _TYPES.items()}

_JOIN: Final = "FROM sales s JOIN cards c ON s.k = c.k"
_LEFT: Final = "FROM sales s LEFT JOIN cards c ON s.k = c.k"

SHAPES: Final[dict[str, str]] = {
    "counts of one table": "SELECT word, COUNT(*) AS n, COUNT(whole) AS w, COUNT(DISTINCT whole) AS d FROM sales GROUP BY word",
    "sums and means of one table": "SELECT flag, SUM(whole) AS a, SUM(big) AS b, AVG(price) AS p, SUM(DISTINCT whole) AS d FROM sales GROUP BY flag",
    "floating-point numbers with declared decimals": "SELECT word, SUM(real) AS a, AVG(real) AS m FROM sales GROUP BY word",
    "groups of floating-point numbers": "SELECT odd, COUNT(*) AS n FROM sales GROUP BY odd",
    "groups of every exact type": "SELECT whole, big, price, day, flag, COUNT(*) AS n FROM sales GROUP BY 1, 2, 3, 4, 5",
    "one group": f"SELECT COUNT(*) AS n, SUM(price) AS p, AVG(points) AS m, COUNT(DISTINCT kind) AS d {_JOIN}",
    "one group of one table": "SELECT COUNT(*) AS n, SUM(price) AS p, MIN(day) AS d, MAX(word) AS w FROM sales",
    "one group, filtered": "SELECT COUNT(*) AS n, SUM(whole) AS p FROM sales WHERE whole > 5 AND word <> ''",
    "a join": f"SELECT kind, COUNT(*) AS n, SUM(price) AS p, SUM(points) AS q {_JOIN} GROUP BY kind",
    "a join by two columns": "SELECT word, COUNT(*) AS n, SUM(fee) AS f FROM sales s JOIN cards c ON s.k = c.k AND s.n = c.n GROUP BY word",
    "a left join": f"SELECT kind, COUNT(*) AS n, COUNT(c.k) AS m, SUM(points) AS q {_LEFT} GROUP BY kind",
    "a left join with conditions on what may be missing": f"SELECT word, COUNT(*) AS n {_LEFT} WHERE c.points IS NULL OR c.points > 1 GROUP BY word",
    "a left join with what becomes of nothing": f"SELECT COALESCE(points, 5) AS p, COUNT(*) AS n {_LEFT} GROUP BY 1",
    "three tables": "SELECT word, COUNT(*) AS n, SUM(weight) AS w FROM sales s JOIN cards c ON s.k = c.k JOIN kinds t ON c.kind = t.kind GROUP BY word",
    "an inner and a left join": "SELECT word, COUNT(t.weight) AS n FROM sales s JOIN cards c ON s.k = c.k LEFT JOIN kinds t ON c.kind = t.kind GROUP BY word",
    "conditions across tables": f"SELECT kind, COUNT(*) AS n {_JOIN} WHERE s.price > c.fee OR s.whole = c.points GROUP BY kind",
    "conditions across tables on dates and texts": f"SELECT word, COUNT(*) AS n {_JOIN} WHERE s.day >= c.since AND NOT (s.word = c.kind) GROUP BY word",
    "logic of NULLs across tables": f"SELECT COUNT(*) AS n {_JOIN} WHERE (s.flag OR c.points > s.whole) IS NULL OR (c.fee > s.price) IS FALSE",
    "choices across tables": f"SELECT CASE WHEN c.points > s.whole THEN 'more' WHEN c.points = s.whole THEN 'same' END AS r, COUNT(*) AS n {_JOIN} GROUP BY 1",
    "numbers across tables": f"SELECT s.n + c.points AS x, COUNT(*) AS n {_JOIN} GROUP BY 1",
    "sums across tables": f"SELECT kind, SUM(s.price * c.points - c.fee) AS x, AVG(s.n - c.points) AS y {_JOIN} GROUP BY kind",
    "sums of choices across tables": f"SELECT word, SUM(CASE WHEN c.kind = 'gold' THEN s.price ELSE 0 END) AS x {_JOIN} GROUP BY word",
    "overflow is NULL": f"SELECT kind, SUM(s.whole * c.points) AS x, COUNT(s.whole + c.points) AS y {_JOIN} GROUP BY kind",
    "wide products": f"SELECT kind, SUM(s.big * c.points) AS x, AVG(s.big * c.points) AS y {_JOIN} GROUP BY kind",
    "least and largest": f"SELECT kind, MIN(s.whole) AS a, MAX(s.price) AS b, MIN(s.day) AS c, MAX(s.word) AS d {_JOIN} GROUP BY kind",
    "medians": "SELECT flag, MEDIAN(n) AS a, MEDIAN(price) AS b FROM sales GROUP BY flag",
    "variances": f"SELECT word, VAR_SAMP(c.points) AS a, STDDEV(s.n) AS b {_JOIN} GROUP BY word",
    "having": f"SELECT kind {_JOIN} GROUP BY kind HAVING COUNT(*) > 1 AND SUM(price) > 0",
    "having with means and quotients": f"SELECT kind, COUNT(*) AS n {_JOIN} GROUP BY kind HAVING AVG(points) > 0.5 OR SUM(points) / COUNT(*) < -1.5",
    "having on a grouping text": f"SELECT kind, COUNT(*) AS n {_JOIN} GROUP BY kind HAVING kind <> 'gold' OR COUNT(*) = 1",
    "having with quotients by what may be zero": f"SELECT word, COUNT(*) AS n {_JOIN} GROUP BY word HAVING SUM(points) / COUNT(fee) > 1",
    "computed outputs": f"SELECT kind, SUM(price) / COUNT(*) AS q, ROUND(AVG(points), 1) * 2 AS r, COUNT(*) + 1 AS s {_JOIN} GROUP BY kind",
    "quotients by what may be zero": "SELECT word, SUM(whole) / COUNT(big) AS q FROM sales GROUP BY word",
    "quotients with signs": "SELECT word, SUM(whole) / SUM(n) AS q FROM sales GROUP BY word",
    "outputs of figures that are outputs": f"SELECT kind, COUNT(*) AS n, SUM(points) AS p, SUM(points) / COUNT(*) AS q {_JOIN} GROUP BY kind",
    "texts that follow from a group": "SELECT UPPER(word) AS u, COUNT(*) AS n FROM sales GROUP BY word",
    "labels of figures": f"SELECT kind, CASE WHEN COUNT(*) > 2 THEN 'many' WHEN SUM(price) IS NULL THEN 'none' END AS l {_JOIN} GROUP BY kind",
    "an order and a limit": f"SELECT kind, COUNT(*) AS n {_JOIN} GROUP BY kind ORDER BY n DESC, kind LIMIT 2",
    "an order by a text with a limit and an offset": "SELECT word, SUM(whole) AS s FROM sales GROUP BY word ORDER BY word DESC NULLS FIRST LIMIT 3 OFFSET 1",
    "an order by a mean with a limit": "SELECT word, COUNT(*) AS n FROM sales GROUP BY word ORDER BY AVG(price) NULLS FIRST, word LIMIT 2",
    "an order by what is not selected": f"SELECT kind {_JOIN} GROUP BY kind ORDER BY COUNT(*), kind",
    "a limit of floating-point groups": "SELECT odd, COUNT(*) AS n FROM sales GROUP BY odd ORDER BY odd LIMIT 2",
    "windows over outputs": f"SELECT kind, COUNT(*) AS n, RANK() OVER (ORDER BY COUNT(*)) AS r, SUM(COUNT(*)) OVER () AS s {_JOIN} GROUP BY kind",
    "unions": f"SELECT kind AS x, COUNT(*) AS n {_JOIN} GROUP BY kind UNION ALL SELECT kind, SUM(weight) FROM kinds GROUP BY kind",
    "unions of computed outputs": f"SELECT kind AS x, COUNT(*) * 2 AS n {_JOIN} GROUP BY kind UNION ALL SELECT kind, SUM(weight) + 1 FROM kinds GROUP BY kind",
    "nothing": f"SELECT kind, COUNT(*) AS n {_JOIN} WHERE s.word = 'no such word' GROUP BY kind",
    "dates": "SELECT EXTRACT(YEAR FROM day) AS y, EXTRACT(MONTH FROM day) AS m, COUNT(*) AS n FROM sales GROUP BY 1, 2",
}  # fmt: skip

PLAIN: Final = {
    "overflow is NULL": "SELECT kind, SUM(TRY(s.whole * c.points)) AS x, COUNT(TRY(s.whole + c.points)) AS y "
    f"{_JOIN} GROUP BY kind",
    "wide products": "SELECT kind, SUM(TRY(s.big * c.points))::DOUBLE AS x, AVG(TRY(s.big * c.points)) AS y "
    f"{_JOIN} GROUP BY kind",
    "unions": f"SELECT kind AS x, COUNT(*)::DOUBLE AS n {_JOIN} GROUP BY kind "
    "UNION ALL SELECT kind, SUM(weight)::DOUBLE FROM kinds GROUP BY kind",
    "unions of computed outputs": f"SELECT kind AS x, (COUNT(*) * 2)::DOUBLE AS n {_JOIN} GROUP BY kind "
    "UNION ALL SELECT kind, (SUM(weight) + 1)::DOUBLE FROM kinds GROUP BY kind",
}
"""As plain DuckDB has to be asked: what fails on a value is NULL, and numbers of two types are united as DOUBLE."""
