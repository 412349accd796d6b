# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E501 - SQL reads better on one line
"""The questions that every protection is asked, and what a plain DuckDB on clear tables must say.

`clear` is written by hand and holds the thresholds (5 customers, 3 subscribers) as HAVING.
"""

from __future__ import annotations

from dataclasses import dataclass

JOIN = "FROM customers c JOIN subscribers s ON c.phone = s.phone"
BOTH = "HAVING COUNT(DISTINCT c.phone) >= 5 AND COUNT(DISTINCT s.phone) >= 3"


@dataclass(frozen=True)
class Asked:
    """One question, its answer in clear, and whether it needs NULLs to be kept."""

    name: str
    sql: str
    clear: str
    asker: str = "shop"
    needs_nulls: bool = False


QUESTIONS = [
    Asked(
        "count by plan",
        f"SELECT plan, COUNT(DISTINCT s.phone) AS people {JOIN} GROUP BY plan",
        f"SELECT plan, COUNT(DISTINCT s.phone) AS people {JOIN} GROUP BY plan {BOTH}",
    ),
    Asked(
        "grand total",
        f"SELECT COUNT(*) AS n, SUM(c.spend) AS total, AVG(s.minutes) AS mean {JOIN}",
        f"SELECT COUNT(*) AS n, SUM(c.spend) AS total, AVG(s.minutes) AS mean {JOIN} {BOTH}",
    ),
    Asked(
        "two dimensions of two owners",
        f"SELECT region, plan, SUM(minutes) AS m, AVG(score) AS q {JOIN} GROUP BY region, plan",
        f"SELECT region, plan, SUM(minutes) AS m, AVG(score) AS q {JOIN} GROUP BY region, plan {BOTH}",
    ),
    Asked(
        "filters",
        f"SELECT roams, COUNT(*) AS n {JOIN} WHERE age >= 30 AND region IN ('north', 'south') AND joined < '2025-06-01' GROUP BY roams",
        f"SELECT roams, COUNT(*) AS n {JOIN} WHERE age >= 30 AND region IN ('north', 'south') AND joined < DATE '2025-06-01' GROUP BY roams {BOTH}",
    ),
    Asked(
        "functions, positions and arithmetic",
        f"SELECT UPPER(region) AS r, EXTRACT(YEAR FROM joined) AS y, ROUND(AVG(spend), 1) * 2 AS x {JOIN} GROUP BY 1, 2",
        f"SELECT UPPER(region) AS r, EXTRACT(YEAR FROM joined) AS y, ROUND(AVG(spend), 1) * 2 AS x {JOIN} GROUP BY 1, 2 {BOTH}",
    ),
    Asked(
        "having and limit act on released groups",
        f"SELECT plan, COUNT(*) AS n {JOIN} GROUP BY plan HAVING COUNT(*) > 10 ORDER BY n DESC, plan LIMIT 2",
        f"SELECT plan, COUNT(*) AS n {JOIN} GROUP BY plan {BOTH} AND COUNT(*) > 10 ORDER BY n DESC, plan LIMIT 2",
    ),
    Asked(
        "common table expressions",
        "WITH old AS (SELECT phone AS p, region FROM customers WHERE age > 20), m AS (SELECT old.p, region, plan FROM old "
        "JOIN subscribers s ON s.phone = old.p) SELECT region, COUNT(DISTINCT p) AS n FROM m GROUP BY region",
        f"SELECT region, COUNT(DISTINCT c.phone) AS n {JOIN} WHERE age > 20 GROUP BY region {BOTH}",
    ),
    Asked(
        "computing with an aggregated result",
        f"SELECT plan, t / n AS each FROM (SELECT plan, SUM(spend) AS t, COUNT(*) AS n {JOIN} GROUP BY plan) AS g WHERE n > 3",
        f"SELECT plan, SUM(spend) / COUNT(*) AS each {JOIN} GROUP BY plan {BOTH} AND COUNT(*) > 3",
    ),
    Asked(
        "union all",
        f"SELECT plan AS k, COUNT(*) AS n {JOIN} GROUP BY plan UNION ALL SELECT region, SUM(minutes) {JOIN} GROUP BY region",
        f"SELECT plan AS k, COUNT(*) AS n {JOIN} GROUP BY plan {BOTH} UNION ALL SELECT region, SUM(minutes) {JOIN} GROUP BY region {BOTH}",
    ),
    Asked(
        "distinct sum and null dimension",
        f"SELECT COALESCE(region, 'none') AS r, SUM(DISTINCT age) AS a {JOIN} GROUP BY 1",
        f"SELECT COALESCE(region, 'none') AS r, SUM(DISTINCT age) AS a {JOIN} GROUP BY 1 {BOTH}",
    ),
    Asked(
        "what would fail on a value is null there",
        f"SELECT 1000 / (age - 20) AS d, COUNT(*) AS n {JOIN} GROUP BY 1",
        f"SELECT TRY(1000 / (age - 20)) AS d, COUNT(*) AS n {JOIN} GROUP BY 1 {BOTH}",
    ),
    Asked(
        "sealed values are counted",
        f"SELECT COUNT(name_sealed) AS n {JOIN}",
        f"SELECT COUNT(name_sealed) AS n {JOIN} {BOTH}",
    ),
    Asked(
        "one table, nulls not counted",
        "SELECT region, COUNT(phone) AS n, COUNT(DISTINCT phone) AS p FROM customers GROUP BY region",
        "SELECT region, COUNT(phone) AS n, COUNT(DISTINCT phone) AS p FROM customers GROUP BY region HAVING COUNT(DISTINCT phone) >= 5",
        needs_nulls=True,
    ),
    Asked(
        "left join",
        "SELECT plan, COUNT(DISTINCT c.phone) AS n FROM subscribers s LEFT JOIN customers c ON c.phone = s.phone GROUP BY plan",
        f"SELECT plan, COUNT(DISTINCT c.phone) AS n FROM subscribers s LEFT JOIN customers c ON c.phone = s.phone GROUP BY plan {BOTH}",
    ),
    Asked(
        "the other company asks",
        f"SELECT roams, AVG(spend) AS a {JOIN} WHERE roams GROUP BY roams",
        f"SELECT roams, AVG(spend) AS a {JOIN} WHERE roams GROUP BY roams {BOTH}",
        asker="telco",
    ),
    Asked(
        "list of the overlap",
        "SELECT DISTINCT tier, offer FROM contacts c JOIN leads l ON c.phone = l.phone WHERE tier <> 'south'",
        "SELECT DISTINCT tier, offer FROM contacts c JOIN leads l ON c.phone = l.phone WHERE tier <> 'south'",
    ),
    Asked(
        "nobody is left",
        f"SELECT COUNT(*) AS n {JOIN} WHERE region = 'nowhere'",
        f"SELECT COUNT(*) AS n {JOIN} WHERE region = 'nowhere' {BOTH}",
    ),
]
