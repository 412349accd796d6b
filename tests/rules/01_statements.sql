-- What counts as a question at all.

-- verdict: accept
-- The plainest allowed question: one count of people per region.
SELECT region, COUNT(DISTINCT phone) AS people FROM customers GROUP BY region;

-- verdict: accept
-- A closing semicolon, comments and line breaks change nothing.
/* monthly */ SELECT region,
  COUNT(DISTINCT phone) AS people -- people
FROM customers GROUP BY region;

-- verdict: accept
-- The whole question may stand in brackets.
(SELECT COUNT(DISTINCT phone) AS people FROM customers);

-- verdict: refuse SEVERAL_STATEMENTS
-- Two statements: the second could be anything.
SELECT COUNT(DISTINCT phone) FROM customers; SELECT 1;

-- verdict: refuse SEVERAL_STATEMENTS
-- A destructive statement hidden behind a question.
SELECT COUNT(DISTINCT phone) FROM customers; DROP TABLE customers;

-- verdict: refuse NOT_A_QUESTION
-- Writing is not asking.
DELETE FROM customers;

-- verdict: refuse NOT_A_QUESTION
-- Writing is not asking.
INSERT INTO customers SELECT * FROM visits;

-- verdict: refuse NOT_A_QUESTION
-- Writing is not asking.
CREATE TABLE copy AS SELECT phone FROM customers;

-- verdict: refuse NOT_A_QUESTION
-- COPY would write a table into a file.
COPY customers TO '/tmp/out.csv';

-- verdict: refuse NOT_A_QUESTION
-- ATTACH would open another database.
ATTACH '/tmp/other.db' AS other;

-- verdict: refuse NOT_A_QUESTION
-- Settings of the engine are not an asker's business.
SET threads = 64;

-- verdict: refuse NOT_A_QUESTION
-- PRAGMA is a setting too.
PRAGMA database_list;

-- verdict: refuse NOT_A_QUESTION
-- Extensions are never installed on request.
INSTALL httpfs;

-- verdict: refuse NOT_A_QUESTION
-- EXPLAIN would show sizes of intermediate results.
EXPLAIN SELECT COUNT(*) FROM customers;

-- verdict: refuse NOT_A_QUESTION
-- DESCRIBE is no question; `room show` tells the columns.
DESCRIBE customers;

-- verdict: refuse NOT_A_QUESTION
-- VALUES asks nothing of a table.
VALUES (1);

-- verdict: refuse NOT_A_QUESTION
-- A call runs code.
CALL pragma_version();

-- verdict: refuse SYNTAX
-- A sentence that is no SQL.
SELECT region, FROM WHERE;

-- verdict: refuse SYNTAX
-- A bracket is missing.
SELECT COUNT(DISTINCT phone FROM customers;

-- verdict: refuse NO_TABLE
-- A question of no table.
SELECT 1 AS one;

-- verdict: refuse CLAUSE_NOT_ALLOWED
-- A sample of rows is not protected by a threshold on all rows.
SELECT COUNT(DISTINCT phone) FROM customers USING SAMPLE 10;

-- verdict: refuse CLAUSE_NOT_ALLOWED
-- The same, written at the table.
SELECT COUNT(DISTINCT phone) FROM customers TABLESAMPLE 10%;

-- verdict: refuse CLAUSE_NOT_ALLOWED
-- QUALIFY filters by window functions: ORDER BY and LIMIT do that for released groups.
SELECT COUNT(DISTINCT phone) AS n FROM customers QUALIFY n > 1;

-- verdict: refuse CLAUSE_NOT_ALLOWED
-- SELECT INTO writes.
SELECT COUNT(DISTINCT phone) INTO copy FROM customers;

-- verdict: refuse NOT_AN_ASKER
-- asker: press
-- press may receive answers; it may not ask.
SELECT COUNT(DISTINCT phone) AS n FROM customers;

-- verdict: refuse NOT_AN_ASKER
-- asker: mallory
-- A name that is no member's.
SELECT COUNT(DISTINCT phone) AS n FROM customers;
