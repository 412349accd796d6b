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
        f"SELECT plan AS k, COUNT(*) AS n {JOIN} GROUP BY plan UNION ALL SELECT plan, SUM(minutes) {JOIN} GROUP BY plan",
        f"SELECT plan AS k, COUNT(*) AS n {JOIN} GROUP BY plan {BOTH} UNION ALL SELECT plan, SUM(minutes) {JOIN} GROUP BY plan {BOTH}",
    ),
    # A plan is withheld; the cheapest other group, those without a plan, with it, or the total would tell.
    Asked(
        "totals beside their parts",
        f"SELECT plan AS k, COUNT(*) AS n {JOIN} GROUP BY plan UNION ALL SELECT NULL, COUNT(*) {JOIN}",
        f"SELECT plan AS k, COUNT(*) AS n {JOIN} GROUP BY plan {BOTH} AND plan IS NOT NULL UNION ALL SELECT NULL, COUNT(*) {JOIN} {BOTH}",
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
        "union drops equal rows",
        f"SELECT plan AS k, roams AS r, COUNT(*) AS n {JOIN} GROUP BY 1, 2 UNION SELECT plan, roams, COUNT(*) {JOIN} WHERE age > 20 OR age <= 20 OR age IS NULL GROUP BY 1, 2",
        f"SELECT plan AS k, roams AS r, COUNT(*) AS n {JOIN} GROUP BY 1, 2 {BOTH}",
    ),
    Asked(
        "except compares released rows",
        f"SELECT region AS k, COUNT(*) AS n {JOIN} GROUP BY 1 EXCEPT SELECT region, COUNT(*) {JOIN} WHERE region = 'north' OR region = 'rare' GROUP BY 1",
        f"(SELECT region AS k, COUNT(*) AS n {JOIN} GROUP BY 1 {BOTH}) EXCEPT (SELECT region, COUNT(*) {JOIN} WHERE region = 'north' OR region = 'rare' GROUP BY 1 {BOTH})",
    ),
    Asked(
        "intersect keeps what all branches have",
        f"SELECT plan AS k, COUNT(*) AS n {JOIN} GROUP BY 1 INTERSECT SELECT plan, COUNT(*) {JOIN} WHERE plan IS NULL OR plan <> 'south' GROUP BY 1 INTERSECT SELECT plan, COUNT(*) {JOIN} GROUP BY 1",
        f"(SELECT plan AS k, COUNT(*) AS n {JOIN} GROUP BY 1 {BOTH}) INTERSECT (SELECT plan, COUNT(*) {JOIN} WHERE plan IS NULL OR plan <> 'south' GROUP BY 1 {BOTH})",
    ),
    Asked(
        "set operations nested, ordered and limited",
        f"SELECT plan AS k, COUNT(*) AS n {JOIN} GROUP BY 1 UNION ALL (SELECT region, COUNT(*) {JOIN} GROUP BY 1 EXCEPT SELECT region, COUNT(*) {JOIN} WHERE region = 'north' GROUP BY 1) ORDER BY n DESC, k LIMIT 3 OFFSET 1",
        f"SELECT plan AS k, COUNT(*) AS n {JOIN} GROUP BY 1 {BOTH} UNION ALL (SELECT region, COUNT(*) {JOIN} GROUP BY 1 {BOTH} EXCEPT SELECT region, COUNT(*) {JOIN} WHERE region = 'north' GROUP BY 1 {BOTH}) ORDER BY n DESC, k LIMIT 3 OFFSET 1",
    ),
    Asked(
        "set operations with having",
        f"SELECT region AS k, COUNT(*) AS n {JOIN} GROUP BY 1 HAVING COUNT(*) > 20 EXCEPT SELECT region, COUNT(*) {JOIN} GROUP BY 1 HAVING COUNT(*) > 70",
        f"SELECT region AS k, COUNT(*) AS n {JOIN} GROUP BY 1 {BOTH} AND COUNT(*) > 20 EXCEPT SELECT region, COUNT(*) {JOIN} GROUP BY 1 {BOTH} AND COUNT(*) > 70",
    ),
    Asked(
        "ranks among released groups",
        f"SELECT region, RANK() OVER (ORDER BY COUNT(*)) AS r, DENSE_RANK() OVER (ORDER BY COUNT(*) DESC) AS d, PERCENT_RANK() OVER (ORDER BY SUM(spend)) AS p, CUME_DIST() OVER (ORDER BY SUM(spend)) AS c {JOIN} GROUP BY region",
        f"SELECT region, RANK() OVER (ORDER BY COUNT(*)) AS r, DENSE_RANK() OVER (ORDER BY COUNT(*) DESC) AS d, PERCENT_RANK() OVER (ORDER BY SUM(spend)) AS p, CUME_DIST() OVER (ORDER BY SUM(spend)) AS c {JOIN} GROUP BY region {BOTH}",
    ),
    Asked(
        "shares of the released total",
        f"SELECT region, plan, COUNT(*) / SUM(COUNT(*)) OVER () AS a, SUM(spend) / SUM(SUM(spend)) OVER (PARTITION BY region) AS b, COUNT(*) OVER (PARTITION BY plan) AS m {JOIN} GROUP BY 1, 2",
        f"SELECT region, plan, COUNT(*) / SUM(COUNT(*)) OVER () AS a, SUM(spend) / SUM(SUM(spend)) OVER (PARTITION BY region) AS b, COUNT(*) OVER (PARTITION BY plan) AS m {JOIN} GROUP BY 1, 2 {BOTH}",
    ),
    Asked(
        "running totals, neighbours and numbers",
        f"SELECT joined, SUM(COUNT(*)) OVER (ORDER BY joined) AS s, AVG(SUM(spend)) OVER (ORDER BY joined ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS a, LAG(COUNT(*)) OVER (ORDER BY joined) AS l, LEAD(joined, 2) OVER (ORDER BY joined) AS e, NTILE(3) OVER (ORDER BY joined) AS t, ROW_NUMBER() OVER (ORDER BY joined) AS r {JOIN} GROUP BY joined HAVING COUNT(*) > 0",
        f"SELECT joined, SUM(COUNT(*)) OVER (ORDER BY joined) AS s, AVG(SUM(spend)) OVER (ORDER BY joined ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS a, LAG(COUNT(*)) OVER (ORDER BY joined) AS l, LEAD(joined, 2) OVER (ORDER BY joined) AS e, NTILE(3) OVER (ORDER BY joined) AS t, ROW_NUMBER() OVER (ORDER BY joined) AS r {JOIN} GROUP BY joined {BOTH}",
    ),
    Asked(
        "windows over an aggregated result, after having",
        f"SELECT plan, n, MAX(n) OVER () - n AS behind FROM (SELECT plan, COUNT(*) AS n {JOIN} GROUP BY plan) AS g WHERE n > 10 ORDER BY n DESC, plan LIMIT 2",
        f"SELECT plan, COUNT(*) AS n, MAX(COUNT(*)) OVER () - COUNT(*) AS behind {JOIN} GROUP BY plan {BOTH} AND COUNT(*) > 10 ORDER BY n DESC, plan LIMIT 2",
    ),
    Asked(
        "windows of each branch, then united",
        f"SELECT plan AS k, RANK() OVER (ORDER BY COUNT(*)) AS r {JOIN} GROUP BY plan UNION SELECT plan, RANK() OVER (ORDER BY SUM(minutes)) {JOIN} GROUP BY plan",
        f"SELECT plan AS k, RANK() OVER (ORDER BY COUNT(*)) AS r {JOIN} GROUP BY plan {BOTH} UNION SELECT plan, RANK() OVER (ORDER BY SUM(minutes)) {JOIN} GROUP BY plan {BOTH}",
    ),
    Asked(
        "classes by case",
        f"SELECT CASE WHEN age >= 40 THEN 'old' WHEN age >= 30 THEN 'middle' ELSE 'other' END AS class, CASE plan WHEN 'north' THEN 1 WHEN 'rare' THEN 2 END AS p, COUNT(*) AS n {JOIN} GROUP BY 1, 2",
        f"SELECT CASE WHEN age >= 40 THEN 'old' WHEN age >= 30 THEN 'middle' ELSE 'other' END AS class, CASE plan WHEN 'north' THEN 1 WHEN 'rare' THEN 2 END AS p, COUNT(*) AS n {JOIN} GROUP BY 1, 2 {BOTH}",
    ),
    Asked(
        "case of released statistics and in a filter",
        f"SELECT plan, CASE WHEN COUNT(*) > 40 THEN 'many' ELSE 'few' END AS size {JOIN} WHERE CASE WHEN roams THEN age > 20 ELSE age >= 20 END GROUP BY plan",
        f"SELECT plan, CASE WHEN COUNT(*) > 40 THEN 'many' ELSE 'few' END AS size {JOIN} WHERE CASE WHEN roams THEN age > 20 ELSE age >= 20 END GROUP BY plan {BOTH}",
    ),
    Asked(
        "dates moved, shown and read",
        f"SELECT TO_CHAR(joined, 'YYYY-MM') AS m, TO_CHAR(DATEADD('month', -1, joined), 'YYYY') AS y, TO_DATE(TO_CHAR(joined, 'YYYY-MM-DD'), 'YYYY-MM-DD') < '2025-01-01' AS early, TO_DATE(region, 'YYYYMMDD') AS none, COUNT(*) AS n {JOIN} GROUP BY 1, 2, 3, 4",
        f"SELECT STRFTIME(joined, '%Y-%m') AS m, STRFTIME(joined - INTERVAL 1 MONTH, '%Y') AS y, joined < DATE '2025-01-01' AS early, NULL AS none, COUNT(*) AS n {JOIN} GROUP BY 1, 2, 3, 4 {BOTH}",
    ),
    Asked(
        "nobody is left",
        f"SELECT COUNT(*) AS n {JOIN} WHERE region = 'nowhere'",
        f"SELECT COUNT(*) AS n {JOIN} WHERE region = 'nowhere' {BOTH}",
    ),
]
