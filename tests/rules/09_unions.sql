-- Several questions in one: UNION ALL. Every branch obeys its own tables' rules and thresholds.

-- verdict: accept
-- Two counts, one under the other.
SELECT 'customers' AS what, COUNT(DISTINCT phone) AS n FROM customers UNION ALL SELECT 'cells', COUNT(DISTINCT phone) FROM cells;

-- verdict: accept
-- Ordered together.
SELECT region AS k, COUNT(DISTINCT phone) AS n FROM customers GROUP BY region UNION ALL SELECT tower, COUNT(DISTINCT phone) FROM cells GROUP BY tower ORDER BY n DESC LIMIT 10;

-- verdict: refuse SET_OPERATION
-- UNION without ALL drops equal rows and so tells which are equal.
SELECT COUNT(DISTINCT phone) AS n FROM customers UNION SELECT COUNT(DISTINCT phone) FROM cells;

-- verdict: refuse SET_OPERATION
-- EXCEPT is a difference.
SELECT region, COUNT(DISTINCT phone) AS n FROM customers GROUP BY region EXCEPT SELECT region, COUNT(DISTINCT phone) FROM customers WHERE age > 30 GROUP BY region;

-- verdict: refuse SET_OPERATION
-- INTERSECT likewise.
SELECT COUNT(DISTINCT phone) AS n FROM customers INTERSECT SELECT COUNT(DISTINCT phone) FROM cells;

-- verdict: refuse ENCRYPTED_COLUMN
-- One honest branch does not cover another.
SELECT region, COUNT(DISTINCT phone) AS n FROM customers GROUP BY region UNION ALL SELECT phone, 1 FROM customers;

-- verdict: refuse JOIN_REQUIRED
-- The duty to join holds in each branch.
SELECT COUNT(DISTINCT phone) AS n FROM customers UNION ALL SELECT COUNT(DISTINCT phone) FROM subscribers WHERE FALSE;

-- verdict: refuse UNION_DIFFERS
-- Branches with different columns.
SELECT region, COUNT(DISTINCT phone) AS n FROM customers GROUP BY region UNION ALL SELECT COUNT(DISTINCT phone) FROM cells;

-- verdict: refuse UNION_DIFFERS
-- Branches with different types.
SELECT region AS a, COUNT(phone) AS n FROM customers GROUP BY region UNION ALL SELECT COUNT(phone), COUNT(phone) FROM customers;

-- verdict: refuse CLAUSE_NOT_ALLOWED
-- BY NAME matches columns by name.
SELECT COUNT(DISTINCT phone) AS n FROM customers UNION ALL BY NAME SELECT COUNT(DISTINCT phone) AS n FROM cells;

-- verdict: refuse NESTED_CLAUSE
-- A LIMIT inside a branch.
(SELECT region, COUNT(DISTINCT phone) AS n FROM customers GROUP BY region LIMIT 1) UNION ALL SELECT tower, COUNT(DISTINCT phone) FROM cells GROUP BY tower;

-- verdict: refuse RULE_KINDS_DIFFER
-- A list and a statistic in one SELECT.
SELECT COUNT(DISTINCT c.phone) AS n FROM customers c JOIN leads l ON c.phone = l.phone;
