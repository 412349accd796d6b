-- Several questions in one: UNION [ALL], INTERSECT, EXCEPT. Every branch obeys its own tables' rules and thresholds,
-- and only rows that every threshold releases are united, matched or taken away.

-- verdict: accept
-- Two counts, one under the other.
SELECT 'customers' AS what, COUNT(DISTINCT phone) AS n FROM customers UNION ALL SELECT 'cells', COUNT(DISTINCT phone) FROM cells;

-- verdict: accept
-- Ordered together.
SELECT region AS k, COUNT(DISTINCT phone) AS n FROM customers GROUP BY region UNION ALL SELECT tower, COUNT(DISTINCT phone) FROM cells GROUP BY tower ORDER BY n DESC LIMIT 10;

-- verdict: accept
-- UNION without ALL drops equal rows; the asker could do so with the two answers.
SELECT COUNT(DISTINCT phone) AS n FROM customers UNION SELECT COUNT(DISTINCT phone) FROM cells;

-- verdict: accept
-- EXCEPT takes released rows from released rows; a group that the second branch withholds takes nothing away.
SELECT region, COUNT(DISTINCT phone) AS n FROM customers GROUP BY region EXCEPT SELECT region, COUNT(DISTINCT phone) FROM customers WHERE age > 30 GROUP BY region;

-- verdict: accept
-- INTERSECT keeps released rows that both branches have.
SELECT COUNT(DISTINCT phone) AS n FROM customers INTERSECT SELECT COUNT(DISTINCT phone) FROM cells;

-- verdict: accept
-- Several, in brackets, ordered and limited together.
(SELECT region AS k, COUNT(phone) AS n FROM customers GROUP BY region UNION SELECT city, COUNT(DISTINCT store) FROM stores GROUP BY city, size) EXCEPT SELECT tower, COUNT(DISTINCT phone) FROM cells GROUP BY tower ORDER BY n DESC, k LIMIT 5;

-- verdict: accept
-- INTERSECT binds tighter than UNION, as everywhere in SQL.
SELECT region AS k, COUNT(phone) AS n FROM customers GROUP BY region UNION SELECT region, COUNT(phone) FROM customers WHERE vip GROUP BY region INTERSECT SELECT tower, COUNT(DISTINCT phone) FROM cells GROUP BY tower;

-- verdict: refuse SET_OPERATION
-- INTERSECT ALL counts how often equal rows occur; nobody reads that from an answer.
SELECT COUNT(DISTINCT phone) AS n FROM customers INTERSECT ALL SELECT COUNT(DISTINCT phone) FROM cells;

-- verdict: refuse SET_OPERATION
-- EXCEPT ALL likewise.
SELECT COUNT(DISTINCT phone) AS n FROM customers EXCEPT ALL SELECT COUNT(DISTINCT phone) FROM cells;

-- verdict: refuse NO_AGGREGATE
-- Taking rows of people from rows of people.
SELECT region FROM customers EXCEPT SELECT region FROM customers WHERE age > 30;

-- verdict: refuse DIMENSION
-- The branch that takes away obeys its rules too.
SELECT COUNT(phone) AS n FROM customers EXCEPT SELECT COUNT(phone) FROM customers WHERE spend > 9999;

-- verdict: refuse AGGREGATE_KIND
-- A maximum compared by INTERSECT is a maximum shown.
SELECT COUNT(phone) AS n FROM customers INTERSECT SELECT MAX(age) FROM customers;

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
