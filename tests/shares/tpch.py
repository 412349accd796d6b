# SPDX-License-Identifier: Apache-2.0
"""Tables and questions in the shape of TPC-H, split between three owners.

The tables are made here, with TPC-H's columns, sizes and value ranges as far as the questions need them; the
questions are its 22, as near as hitoku's SQL comes: one aggregation, each table once (so `nation` is there
twice, as two owners' copies), no subqueries. What each had to leave is in its note.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["OWNERS", "QUESTIONS", "Asked", "agreement", "tables"]

OWNERS: Final = {
    "customer": "retailer",
    "orders": "retailer",
    "lineitem": "retailer",
    "home": "retailer",
    "part": "maker",
    "partsupp": "maker",
    "supplier": "maker",
    "nation": "bureau",
    "region": "bureau",
}
_TYPES: Final[dict[str, dict[str, str]]] = {
    "customer": {
        "c_custkey": "int",
        "c_name": "string",
        "c_nationkey": "int",
        "c_phone": "string",
        "c_acctbal": "decimal(12,2)",
        "c_mktsegment": "string",
    },
    "orders": {
        "o_orderkey": "int",
        "o_custkey": "int",
        "o_orderstatus": "string",
        "o_totalprice": "decimal(12,2)",
        "o_orderdate": "date",
        "o_orderpriority": "string",
        "o_shippriority": "int",
    },
    "lineitem": {
        "l_orderkey": "int",
        "l_partkey": "int",
        "l_suppkey": "int",
        "l_linenumber": "int",
        "l_quantity": "decimal(12,2)",
        "l_extendedprice": "decimal(12,2)",
        "l_discount": "decimal(12,2)",
        "l_tax": "decimal(12,2)",
        "l_returnflag": "string",
        "l_linestatus": "string",
        "l_shipdate": "date",
        "l_commitdate": "date",
        "l_receiptdate": "date",
        "l_shipinstruct": "string",
        "l_shipmode": "string",
    },
    "home": {"h_nationkey": "int", "h_name": "string"},
    "part": {
        "p_partkey": "int",
        "p_name": "string",
        "p_brand": "string",
        "p_type": "string",
        "p_size": "int",
        "p_container": "string",
    },
    "partsupp": {
        "ps_partkey": "int",
        "ps_suppkey": "int",
        "ps_availqty": "int",
        "ps_supplycost": "decimal(12,2)",
    },
    "supplier": {
        "s_suppkey": "int",
        "s_name": "string",
        "s_nationkey": "int",
        "s_acctbal": "decimal(12,2)",
        "s_comment": "string",
    },
    "nation": {"n_nationkey": "int", "n_name": "string", "n_regionkey": "int"},
    "region": {"r_regionkey": "int", "r_name": "string"},
}
_NATIONS: Final = (
    *("ALGERIA", "ARGENTINA", "BRAZIL", "CANADA", "EGYPT", "ETHIOPIA", "FRANCE", "GERMANY", "INDIA"),
    *("INDONESIA", "IRAN", "IRAQ", "JAPAN", "JORDAN", "KENYA", "MOROCCO", "MOZAMBIQUE", "PERU", "CHINA"),
    *("ROMANIA", "SAUDI ARABIA", "VIETNAM", "RUSSIA", "UNITED KINGDOM", "UNITED STATES"),
)
_NATION_REGION: Final = (0, 1, 1, 1, 4, 0, 3, 3, 2, 2, 4, 4, 2, 4, 0, 0, 0, 1, 2, 3, 4, 2, 3, 3, 1)
_REGIONS: Final = ("AFRICA", "AMERICA", "ASIA", "EUROPE", "MIDDLE EAST")
_SEGMENTS: Final = ("AUTOMOBILE", "BUILDING", "FURNITURE", "HOUSEHOLD", "MACHINERY")
_PRIORITIES: Final = ("1-URGENT", "2-HIGH", "3-MEDIUM", "4-NOT SPECIFIED", "5-LOW")
_MODES: Final = ("AIR", "FOB", "MAIL", "RAIL", "REG AIR", "SHIP", "TRUCK")
_INSTRUCTIONS: Final = ("COLLECT COD", "DELIVER IN PERSON", "NONE", "TAKE BACK RETURN")
_CONTAINERS: Final = ("SM CASE", "SM BOX", "MED BAG", "MED BOX", "LG CASE", "LG BOX", "JUMBO PKG", "WRAP JAR")
_TYPE_WORDS: Final = (
    ("STANDARD", "SMALL", "MEDIUM", "LARGE", "ECONOMY", "PROMO"),
    ("ANODIZED", "BURNISHED", "PLATED", "POLISHED", "BRUSHED"),
    ("TIN", "NICKEL", "BRASS", "STEEL", "COPPER"),
)
_COLORS: Final = ("almond", "azure", "forest", "green", "ivory", "lemon", "navy", "plum", "red", "tan")
CENT: Final = pa.scalar(Decimal("0.01"), pa.decimal128(3, 2))
_FIRST_DAY: Final = 8035  # 1992-01-01


@dataclass(frozen=True)
class Asked:
    """One question.

    Attributes:
        number: TPC-H's.
        sql: as it is asked, and as DuckDB answers it on plain tables.
        note: what had to be left of the original.
    """

    number: int
    sql: str
    note: str = ""


def tables(scale: float, seed: int) -> dict[str, pa.Table]:
    """All tables at a scale (0.01: 60,000 lines), drawn anew for each seed."""
    chance = np.random.default_rng(seed)
    many = {name: max(int(size * scale), 5) for name, size in _SIZES.items()}

    def text(words: Any, rows: int) -> Any:
        return np.array(words, dtype=object)[chance.integers(0, len(words), rows)]

    def cents(low: int, high: int, rows: int) -> Any:
        return chance.integers(low * 100, high * 100 + 1, rows)

    customers, orders, parts, suppliers = (many[n] for n in ("customer", "orders", "part", "supplier"))
    nationkeys = chance.integers(0, 25, customers)
    lines_an_order = chance.integers(1, 8, orders)
    orderkeys = np.arange(1, orders + 1) * 4
    orderdays = chance.integers(_FIRST_DAY, _FIRST_DAY + 2405, orders)
    lines = int(lines_an_order.sum())
    partkeys = chance.integers(1, parts + 1, lines)
    which = chance.integers(0, 4, lines)
    supplied = np.repeat(np.arange(1, parts + 1), 4)
    nth = np.tile(np.arange(4), parts)
    quantity = chance.integers(1, 51, lines)
    days = np.repeat(orderdays, lines_an_order)
    shipped = days + chance.integers(1, 122, lines)
    flags = np.where(shipped > 9298, "N", text(("R", "A"), lines))  # 1995-06-17
    kinds = [
        " ".join(str(v) for v in row) for row in zip(*(text(w, parts) for w in _TYPE_WORDS), strict=True)
    ]
    columns: dict[str, dict[str, Any]] = {
        "customer": {
            "c_custkey": np.arange(1, customers + 1),
            "c_name": [f"Customer#{n:09}" for n in range(1, customers + 1)],
            "c_nationkey": nationkeys,
            "c_phone": [f"{10 + k}-{n % 900 + 100}-{n % 9000 + 1000}" for n, k in enumerate(nationkeys)],
            "c_acctbal": cents(-999, 9999, customers),
            "c_mktsegment": text(_SEGMENTS, customers),
        },
        "orders": {
            "o_orderkey": orderkeys,
            # A third of the customers never orders.
            "o_custkey": chance.integers(1, max(customers * 2 // 3, 2), orders),
            "o_orderstatus": text(("F", "O", "P"), orders),
            "o_totalprice": cents(1_000, 400_000, orders),
            "o_orderdate": orderdays,
            "o_orderpriority": text(_PRIORITIES, orders),
            "o_shippriority": np.zeros(orders, dtype=np.int64),
        },
        "lineitem": {
            "l_orderkey": np.repeat(orderkeys, lines_an_order),
            "l_partkey": partkeys,
            "l_suppkey": _supplier_of(partkeys, which, suppliers),
            "l_linenumber": np.concatenate([np.arange(1, n + 1) for n in lines_an_order]),
            "l_quantity": quantity * 100,
            "l_extendedprice": quantity * chance.integers(90_000, 200_000, lines),
            "l_discount": chance.integers(0, 11, lines),
            "l_tax": chance.integers(0, 9, lines),
            "l_returnflag": flags,
            "l_linestatus": np.where(shipped > 9298, "O", "F"),
            "l_shipdate": shipped,
            "l_commitdate": days + chance.integers(30, 91, lines),
            "l_receiptdate": shipped + chance.integers(1, 31, lines),
            "l_shipinstruct": text(_INSTRUCTIONS, lines),
            "l_shipmode": text(_MODES, lines),
        },
        "home": {"h_nationkey": np.arange(25), "h_name": _NATIONS},
        "part": {
            "p_partkey": np.arange(1, parts + 1),
            "p_name": [f"{a} {b}" for a, b in zip(text(_COLORS, parts), text(_COLORS, parts), strict=True)],
            "p_brand": [f"Brand#{n}" for n in chance.integers(11, 56, parts)],
            "p_type": kinds,
            "p_size": chance.integers(1, 51, parts),
            "p_container": text(_CONTAINERS, parts),
        },
        "partsupp": {
            "ps_partkey": supplied,
            "ps_suppkey": _supplier_of(supplied, nth, suppliers),
            "ps_availqty": chance.integers(1, 10_000, 4 * parts),
            "ps_supplycost": cents(1, 1_000, 4 * parts),
        },
        "supplier": {
            "s_suppkey": np.arange(1, suppliers + 1),
            "s_name": [f"Supplier#{n:09}" for n in range(1, suppliers + 1)],
            "s_nationkey": chance.integers(0, 25, suppliers),
            "s_acctbal": cents(-999, 9999, suppliers),
            "s_comment": text(("quick", "slow", "Customer Complaints", "even"), suppliers),
        },
        "nation": {"n_nationkey": np.arange(25), "n_name": _NATIONS, "n_regionkey": _NATION_REGION},
        "region": {"r_regionkey": np.arange(5), "r_name": _REGIONS},
    }
    return {
        name: pa.table({column: _arrow(values, _TYPES[name][column]) for column, values in made.items()})
        for name, made in columns.items()
    }


_SIZES: Final = {"customer": 150_000, "orders": 1_500_000, "part": 200_000, "supplier": 10_000}


def _supplier_of(part: Any, nth: Any, suppliers: int) -> Any:
    """The nth of four different suppliers of a part, as TPC-H spreads them."""
    return (part + nth * (suppliers // 4 + (part - 1) // suppliers)) % suppliers + 1


def _arrow(values: Any, kind: str) -> pa.Array:
    if kind == "string":
        return pa.array([str(v) for v in values], pa.string())
    whole = pa.array(np.asarray(values, dtype=np.int64))
    if kind == "date":
        return whole.cast(pa.int32()).cast(pa.date32())
    if kind.startswith("decimal"):
        return pc.multiply(whole.cast(pa.decimal128(19, 0)), CENT).cast(pa.decimal128(12, 2))
    return whole.cast(pa.int32())


def _column(name: str, kind: str) -> dict[str, Any]:
    made: dict[str, Any] = {"name": name, "protection": "cleartext", "nullable": False, "type": kind}
    if kind.startswith("decimal"):
        made |= {"type": "decimal", "precision": 12, "scale": 2}
    return made


def agreement() -> dict[str, Any]:
    """The members, tables and rules; servers and protections are the caller's."""
    rule = {"type": "custom", "allowedAnalyses": ["ANY_QUERY"], "allowedAnalysisProviders": ["bureau"]}
    return {
        "name": "Trade",
        "settings": {
            "allow_cleartext": True,
            "allow_duplicates": True,
            "allow_joins_on_columns_with_different_names": True,
            "preserve_nulls": True,
        },
        "tables": [
            {
                "name": name,
                "owner": owner,
                "columns": [_column(column, kind) for column, kind in _TYPES[name].items()],
                "rule": rule,
            }
            for name, owner in OWNERS.items()
        ],
    }


_REVENUE: Final = "SUM(l_extendedprice * (1 - l_discount))"

QUESTIONS: Final = (
    Asked(
        1,
        "SELECT l_returnflag, l_linestatus, SUM(l_quantity) AS sum_qty, SUM(l_extendedprice) AS sum_base, "
        f"{_REVENUE} AS sum_disc, SUM(l_extendedprice * (1 - l_discount) * (1 + l_tax)) AS sum_charge, "
        "AVG(l_quantity) AS avg_qty, AVG(l_extendedprice) AS avg_price, AVG(l_discount) AS avg_disc, "
        "COUNT(*) AS n FROM lineitem WHERE l_shipdate <= DATE '1998-09-02' "
        "GROUP BY l_returnflag, l_linestatus ORDER BY l_returnflag, l_linestatus",
    ),
    Asked(
        2,
        "SELECT ps_partkey, MIN(ps_supplycost) AS cheapest FROM partsupp JOIN part ON ps_partkey = p_partkey "
        "JOIN supplier ON ps_suppkey = s_suppkey JOIN nation ON s_nationkey = n_nationkey "
        "JOIN region ON n_regionkey = r_regionkey WHERE p_size = 15 AND p_type LIKE '%BRASS' "
        "AND r_name = 'EUROPE' GROUP BY ps_partkey",
        "the supplier who has the least cost is a second look at the same tables",
    ),
    Asked(
        3,
        f"SELECT l_orderkey, {_REVENUE} AS revenue, o_orderdate, o_shippriority FROM customer "
        "JOIN orders ON c_custkey = o_custkey JOIN lineitem ON l_orderkey = o_orderkey "
        "WHERE c_mktsegment = 'BUILDING' AND o_orderdate < DATE '1995-03-15' "
        "AND l_shipdate > DATE '1995-03-15' GROUP BY l_orderkey, o_orderdate, o_shippriority "
        "ORDER BY revenue DESC, o_orderdate LIMIT 10",
    ),
    Asked(
        4,
        "SELECT o_orderpriority, COUNT(DISTINCT o_orderkey) AS order_count FROM orders "
        "JOIN lineitem ON l_orderkey = o_orderkey WHERE o_orderdate >= DATE '1993-07-01' "
        "AND o_orderdate < DATE '1993-10-01' AND l_commitdate < l_receiptdate "
        "GROUP BY o_orderpriority ORDER BY o_orderpriority",
        "EXISTS as a join and a distinct count: the same answer",
    ),
    Asked(
        5,
        f"SELECT n_name, {_REVENUE} AS revenue FROM lineitem JOIN orders ON l_orderkey = o_orderkey "
        "JOIN customer ON c_custkey = o_custkey "
        "JOIN supplier ON l_suppkey = s_suppkey AND c_nationkey = s_nationkey "
        "JOIN nation ON s_nationkey = n_nationkey JOIN region ON n_regionkey = r_regionkey "
        "WHERE r_name = 'ASIA' AND o_orderdate >= DATE '1994-01-01' AND o_orderdate < DATE '1995-01-01' "
        "GROUP BY n_name ORDER BY revenue DESC",
    ),
    Asked(
        6,
        "SELECT SUM(l_extendedprice * l_discount) AS revenue FROM lineitem "
        "WHERE l_shipdate >= DATE '1994-01-01' AND l_shipdate < DATE '1995-01-01' "
        "AND l_discount BETWEEN 0.05 AND 0.07 AND l_quantity < 24",
    ),
    Asked(
        7,
        "SELECT n_name AS supp_nation, h_name AS cust_nation, EXTRACT(YEAR FROM l_shipdate) AS l_year, "
        f"{_REVENUE} AS revenue FROM lineitem JOIN supplier ON s_suppkey = l_suppkey "
        "JOIN orders ON o_orderkey = l_orderkey JOIN customer ON c_custkey = o_custkey "
        "JOIN nation ON s_nationkey = n_nationkey JOIN home ON c_nationkey = h_nationkey "
        "WHERE ((n_name = 'FRANCE' AND h_name = 'GERMANY') OR (n_name = 'GERMANY' AND h_name = 'FRANCE')) "
        "AND l_shipdate BETWEEN DATE '1995-01-01' AND DATE '1996-12-31' "
        "GROUP BY n_name, h_name, EXTRACT(YEAR FROM l_shipdate)",
        "two copies of nation, for a table stands once in a question",
    ),
    Asked(
        8,
        "SELECT EXTRACT(YEAR FROM o_orderdate) AS o_year, "
        "SUM(CASE WHEN n_name = 'BRAZIL' THEN l_extendedprice * (1 - l_discount) ELSE 0 END) "
        f"/ {_REVENUE} AS mkt_share FROM lineitem JOIN part ON p_partkey = l_partkey "
        "JOIN supplier ON s_suppkey = l_suppkey JOIN orders ON l_orderkey = o_orderkey "
        "JOIN nation ON s_nationkey = n_nationkey WHERE p_type LIKE 'ECONOMY%' "
        "AND o_orderdate BETWEEN DATE '1995-01-01' AND DATE '1996-12-31' "
        "GROUP BY EXTRACT(YEAR FROM o_orderdate)",
        "customers of every region: their nation would be a second copy",
    ),
    Asked(
        9,
        "SELECT n_name, EXTRACT(YEAR FROM o_orderdate) AS o_year, "
        "SUM(l_extendedprice * (1 - l_discount) - ps_supplycost * l_quantity) AS profit FROM lineitem "
        "JOIN part ON p_partkey = l_partkey JOIN supplier ON s_suppkey = l_suppkey "
        "JOIN partsupp ON ps_suppkey = l_suppkey AND ps_partkey = l_partkey "
        "JOIN orders ON o_orderkey = l_orderkey JOIN nation ON s_nationkey = n_nationkey "
        "WHERE p_name LIKE '%green%' GROUP BY n_name, EXTRACT(YEAR FROM o_orderdate)",
    ),
    Asked(
        10,
        f"SELECT c_custkey, c_name, {_REVENUE} AS revenue, c_acctbal, h_name FROM lineitem "
        "JOIN orders ON l_orderkey = o_orderkey JOIN customer ON c_custkey = o_custkey "
        "JOIN home ON c_nationkey = h_nationkey WHERE o_orderdate >= DATE '1993-10-01' "
        "AND o_orderdate < DATE '1994-01-01' AND l_returnflag = 'R' "
        "GROUP BY c_custkey, c_name, c_acctbal, h_name ORDER BY revenue DESC, c_custkey LIMIT 20",
    ),
    Asked(
        11,
        "SELECT ps_partkey, SUM(ps_supplycost * ps_availqty) AS worth FROM partsupp "
        "JOIN supplier ON ps_suppkey = s_suppkey JOIN nation ON s_nationkey = n_nationkey "
        "WHERE n_name = 'GERMANY' GROUP BY ps_partkey HAVING SUM(ps_supplycost * ps_availqty) > 1000000",
        "a number instead of a share of the total, which is a subquery",
    ),
    Asked(
        12,
        "SELECT l_shipmode, SUM(CASE WHEN o_orderpriority IN ('1-URGENT', '2-HIGH') THEN 1 ELSE 0 END) "
        "AS high_line_count, SUM(CASE WHEN o_orderpriority NOT IN ('1-URGENT', '2-HIGH') THEN 1 ELSE 0 END) "
        "AS low_line_count FROM lineitem JOIN orders ON o_orderkey = l_orderkey "
        "WHERE l_shipmode IN ('MAIL', 'SHIP') AND l_commitdate < l_receiptdate "
        "AND l_shipdate < l_commitdate AND l_receiptdate >= DATE '1994-01-01' "
        "AND l_receiptdate < DATE '1995-01-01' GROUP BY l_shipmode",
    ),
    Asked(
        13,
        "SELECT c_custkey, COUNT(o_orderkey) AS c_count FROM customer "
        "LEFT JOIN orders ON c_custkey = o_custkey GROUP BY c_custkey",
        "all orders; the distribution of the counts would aggregate twice",
    ),
    Asked(
        14,
        "SELECT 100.00 * SUM(CASE WHEN p_type LIKE 'PROMO%' THEN l_extendedprice * (1 - l_discount) "
        f"ELSE 0 END) / {_REVENUE} AS promo_revenue FROM lineitem JOIN part ON l_partkey = p_partkey "
        "WHERE l_shipdate >= DATE '1995-09-01' AND l_shipdate < DATE '1995-10-01'",
    ),
    Asked(
        15,
        f"SELECT s_suppkey, s_name, {_REVENUE} AS total_revenue FROM lineitem "
        "JOIN supplier ON s_suppkey = l_suppkey WHERE l_shipdate >= DATE '1996-01-01' "
        "AND l_shipdate < DATE '1996-04-01' GROUP BY s_suppkey, s_name "
        "ORDER BY total_revenue DESC, s_suppkey LIMIT 1",
        "the first, not all that share the maximum",
    ),
    Asked(
        16,
        "SELECT p_brand, p_type, p_size, COUNT(DISTINCT ps_suppkey) AS supplier_cnt FROM partsupp "
        "JOIN part ON p_partkey = ps_partkey JOIN supplier ON s_suppkey = ps_suppkey "
        "WHERE p_brand <> 'Brand#45' AND p_type NOT LIKE 'MEDIUM POLISHED%' "
        "AND p_size IN (49, 14, 23, 45, 19, 3, 36, 9) AND s_comment NOT LIKE '%Complaints%' "
        "GROUP BY p_brand, p_type, p_size ORDER BY supplier_cnt DESC, p_brand, p_type, p_size",
        "NOT IN a subquery as a condition on the joined table",
    ),
    Asked(
        17,
        "SELECT p_brand, SUM(l_extendedprice) / 7.0 AS avg_yearly, MEDIAN(l_quantity) AS m FROM lineitem "
        "JOIN part ON p_partkey = l_partkey WHERE p_container = 'MED BOX' AND l_quantity < 10 "
        "GROUP BY p_brand",
        "a number instead of a fifth of each part's mean, which is a correlated subquery",
    ),
    Asked(
        18,
        "SELECT c_name, c_custkey, o_orderkey, o_orderdate, o_totalprice, SUM(l_quantity) AS quantity "
        "FROM lineitem JOIN orders ON o_orderkey = l_orderkey JOIN customer ON c_custkey = o_custkey "
        "GROUP BY c_name, c_custkey, o_orderkey, o_orderdate, o_totalprice HAVING SUM(l_quantity) > 250 "
        "ORDER BY o_totalprice DESC, o_orderdate, o_orderkey LIMIT 100",
    ),
    Asked(
        19,
        f"SELECT {_REVENUE} AS revenue FROM lineitem JOIN part ON p_partkey = l_partkey WHERE "
        "l_shipinstruct = 'DELIVER IN PERSON' AND ((p_brand = 'Brand#12' AND l_quantity >= 1 AND "
        "l_quantity <= 11 AND p_size BETWEEN 1 AND 15) OR (p_container IN ('MED BAG', 'MED BOX') AND "
        "l_quantity >= 10 AND l_quantity <= 20 AND p_size BETWEEN 1 AND 30) OR (p_brand = 'Brand#34' AND "
        "l_quantity >= 20 AND l_quantity <= 30))",
    ),
    Asked(
        20,
        "SELECT s_name, ps_partkey, MIN(ps_availqty) AS available, SUM(l_quantity) AS sold FROM lineitem "
        "JOIN partsupp ON ps_suppkey = l_suppkey AND ps_partkey = l_partkey "
        "JOIN supplier ON s_suppkey = ps_suppkey WHERE l_shipdate >= DATE '1994-01-01' "
        "AND l_shipdate < DATE '1995-01-01' GROUP BY s_name, ps_partkey "
        "HAVING 2 * MIN(ps_availqty) < SUM(l_quantity)",
        "parts and suppliers together, where the original goes on to the suppliers alone",
    ),
    Asked(
        21,
        "SELECT s_name, COUNT(*) AS numwait FROM lineitem JOIN supplier ON s_suppkey = l_suppkey "
        "JOIN orders ON o_orderkey = l_orderkey JOIN nation ON s_nationkey = n_nationkey "
        "WHERE o_orderstatus = 'F' AND l_receiptdate > l_commitdate AND n_name = 'SAUDI ARABIA' "
        "GROUP BY s_name ORDER BY numwait DESC, s_name LIMIT 100",
        "without the two conditions on other lines of the order, which join a table to itself",
    ),
    Asked(
        22,
        "SELECT SUBSTRING(c_phone, 1, 2) AS cntrycode, COUNT(*) AS numcust, SUM(c_acctbal) AS totacctbal "
        "FROM customer LEFT JOIN orders ON o_custkey = c_custkey WHERE o_orderkey IS NULL "
        "AND c_acctbal > 0 AND SUBSTRING(c_phone, 1, 2) IN ('13', '31', '23', '29', '30', '18', '17') "
        "GROUP BY SUBSTRING(c_phone, 1, 2) ORDER BY cntrycode",
        "a number instead of the mean balance",
    ),
)
