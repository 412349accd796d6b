-- Custom rules: rows where no threshold and no noise protects, groups elsewhere.
-- room: custom.yaml

-- verdict: accept
-- catalog has neither threshold nor noise: its rows may be listed, without a join.
SELECT DISTINCT item, price FROM catalog;

-- verdict: accept
-- Filtered, computed with, ordered and limited.
SELECT DISTINCT item, price * 2 AS twice FROM catalog WHERE price > 3 ORDER BY item LIMIT 5;

-- verdict: accept
-- A sealed column is listed as it is.
SELECT DISTINCT item, note_sealed FROM catalog;

-- verdict: accept
-- Rows of two tables of two owners.
SELECT DISTINCT c.item, o.offer FROM catalog c JOIN offers o ON c.phone = o.phone WHERE o.price < 10;

-- verdict: accept
-- Which rows have no match could be told from both lists as well.
SELECT DISTINCT c.item, o.offer FROM catalog c LEFT JOIN offers o ON c.phone = o.phone;

-- verdict: accept
-- Groups without a threshold.
SELECT item, COUNT(*) AS n, AVG(price) AS p FROM catalog GROUP BY item HAVING COUNT(*) > 1 ORDER BY n DESC;

-- verdict: accept
-- Groups without an aggregate.
SELECT item FROM catalog GROUP BY item;

-- verdict: accept
-- A window over groups.
SELECT item, RANK() OVER (ORDER BY COUNT(*) DESC) AS r FROM catalog GROUP BY item;

-- verdict: refuse LIST_NEEDS_DISTINCT
-- How often a row occurs is not listed.
SELECT item FROM catalog;

-- verdict: refuse LIST_FINGERPRINT
-- A fingerprint is never shown: who has the secret could try numbers against it.
SELECT DISTINCT phone, item FROM catalog;

-- verdict: refuse ENCRYPTED_COLUMN
-- Nor grouped by.
SELECT phone, COUNT(*) AS n FROM catalog GROUP BY phone;

-- verdict: refuse ENCRYPTED_COLUMN
-- A sealed column cannot be computed with.
SELECT DISTINCT UPPER(note_sealed) AS n FROM catalog;

-- verdict: refuse ENCRYPTED_COLUMN
-- Nor joined on: equal values have different ciphertexts.
SELECT COUNT(*) AS n FROM catalog c JOIN people p ON c.note_sealed = p.name_sealed;

-- verdict: refuse ENCRYPTED_COLUMN
-- Nor counted distinct.
SELECT COUNT(DISTINCT note_sealed) AS n FROM catalog;

-- verdict: refuse ENCRYPTED_COLUMN
-- A fingerprint has no sum.
SELECT SUM(phone) AS n FROM catalog;

-- verdict: refuse NOT_A_NUMBER
-- A text has no sum.
SELECT SUM(item) AS n FROM catalog;

-- verdict: refuse SUM_OVERFLOW
-- The sum could overflow, and the failure would tell.
SELECT SUM(weight) AS w FROM catalog;

-- verdict: refuse NULLS_COUNTED
-- An encrypted NULL looks like a value.
SELECT COUNT(phone) AS n FROM catalog;

-- verdict: accept
-- MAX returns the value of a single row; this rule lets rows out anyway.
SELECT MAX(price) AS m FROM catalog;

-- verdict: accept
-- An expression inside an aggregate, where no threshold would be got round.
SELECT SUM(price * 2) AS s FROM catalog;

-- verdict: refuse WINDOW
-- A window over rows would show single rows.
SELECT DISTINCT item, ROW_NUMBER() OVER (ORDER BY price) AS n FROM catalog;

-- verdict: refuse SELF_JOIN
-- A table stands once in a SELECT.
SELECT DISTINCT a.item FROM catalog a JOIN catalog b ON a.phone = b.phone;

-- verdict: refuse NOT_GROUPED
-- A column that is neither grouped nor aggregated.
SELECT item, COUNT(*) AS n FROM catalog;

-- verdict: refuse THRESHOLD_ROWS
-- people leave in groups of ten.
SELECT DISTINCT region FROM people;

-- verdict: refuse THRESHOLD_ROWS
-- One table with a threshold is enough.
SELECT DISTINCT c.item, p.region FROM catalog c JOIN people p ON c.phone = p.phone;

-- verdict: accept
-- Grouped, the same is counted and may leave.
SELECT region FROM people GROUP BY region;

-- verdict: refuse SET_OPERATION
-- Lists are asked one by one.
SELECT DISTINCT item FROM catalog UNION SELECT DISTINCT item FROM catalog;

-- verdict: accept
-- A threshold of one table holds for tables without.
SELECT c.item, COUNT(*) AS n FROM catalog c JOIN people p ON c.phone = p.phone GROUP BY c.item;
