-- Common table expressions and subqueries in FROM are folded into one question, and all rules apply to it.

-- verdict: accept
-- A filtered table under a name.
WITH adults AS (SELECT phone, region FROM customers WHERE age >= 18) SELECT region, COUNT(DISTINCT phone) AS n FROM adults GROUP BY region;

-- verdict: accept
-- The same as a subquery.
SELECT region, COUNT(DISTINCT phone) AS n FROM (SELECT phone, region FROM customers WHERE age >= 18) AS adults GROUP BY region;

-- verdict: accept
-- One builds on another.
WITH a AS (SELECT phone, region, age FROM customers), b AS (SELECT phone, region FROM a WHERE age > 30) SELECT region, COUNT(DISTINCT phone) AS n FROM b GROUP BY region;

-- verdict: accept
-- A join under a name.
WITH m AS (SELECT c.phone AS p, plan FROM customers c JOIN subscribers s ON c.phone = s.phone) SELECT plan, COUNT(DISTINCT p) AS n FROM m GROUP BY plan;

-- verdict: accept
-- Joining what stands under a name.
WITH m AS (SELECT c.phone AS p, plan FROM customers c JOIN subscribers s ON c.phone = s.phone) SELECT plan, segment, COUNT(DISTINCT p) AS n FROM m JOIN accounts a ON a.phone = m.p GROUP BY plan, segment;

-- verdict: accept
-- Computing with an aggregated result, and filtering it.
SELECT region, total / people AS mean FROM (SELECT region, SUM(spend) AS total, COUNT(DISTINCT phone) AS people FROM customers GROUP BY region) AS r WHERE people > 100;

-- verdict: refuse DIMENSION
-- A new name does not make a dimension of city.
WITH a AS (SELECT city AS region, phone FROM customers) SELECT region, COUNT(DISTINCT phone) AS n FROM a GROUP BY region;

-- verdict: refuse DIMENSION
-- A filter inside is a filter.
WITH a AS (SELECT phone FROM customers WHERE spend > 9999) SELECT COUNT(DISTINCT phone) AS n FROM a;

-- verdict: refuse ENCRYPTED_COLUMN
-- A fingerprint under another name is a fingerprint.
WITH a AS (SELECT phone AS region FROM customers) SELECT region, COUNT(*) AS n FROM a GROUP BY region;

-- verdict: refuse JOIN_REQUIRED
-- The duty to join reaches into a common table expression.
WITH s AS (SELECT phone, plan FROM subscribers) SELECT plan, COUNT(DISTINCT phone) AS n FROM s GROUP BY plan;

-- verdict: refuse AGGREGATE_TWICE
-- Counting groups instead of people: a threshold on groups would mean nothing.
SELECT COUNT(region) AS n FROM (SELECT region, COUNT(DISTINCT phone) AS p FROM customers GROUP BY region) AS g;

-- verdict: refuse AGGREGATE_TWICE
-- Summing up single people who were made groups of one.
SELECT SUM(p) AS n FROM (SELECT age, COUNT(phone) AS p FROM customers GROUP BY age) AS g;

-- verdict: refuse AGGREGATE_TWICE
-- Grouping an aggregated result again.
SELECT n FROM (SELECT region, COUNT(DISTINCT phone) AS n FROM customers GROUP BY region) AS g GROUP BY n;

-- verdict: refuse AGGREGATES_JOINED
-- An aggregated result joined with single rows would tell of each row's group.
SELECT COUNT(DISTINCT c.phone) AS n FROM customers c JOIN (SELECT city, COUNT(store) AS k FROM stores GROUP BY city) AS g ON c.city = g.city;

-- verdict: refuse NESTED_CLAUSE
-- A LIMIT inside picks single people.
SELECT COUNT(DISTINCT phone) AS n FROM (SELECT phone FROM customers LIMIT 1) AS one;

-- verdict: refuse NESTED_CLAUSE
-- ORDER BY inside is the first half of that.
SELECT COUNT(DISTINCT phone) AS n FROM (SELECT phone FROM customers ORDER BY age) AS o;

-- verdict: refuse NESTED_CLAUSE
-- DISTINCT inside changes what is counted.
SELECT COUNT(phone) AS n FROM (SELECT DISTINCT phone FROM customers) AS d;

-- verdict: refuse STAR
-- Every column, even if only inside.
WITH a AS (SELECT * FROM customers) SELECT COUNT(DISTINCT phone) AS n FROM a;

-- verdict: refuse SELF_JOIN
-- The same table under two names.
WITH a AS (SELECT phone FROM customers), b AS (SELECT phone FROM customers) SELECT COUNT(DISTINCT a.phone) AS n FROM a JOIN b ON a.phone = b.phone;

-- verdict: refuse CLAUSE_NOT_ALLOWED
-- Recursion.
WITH RECURSIVE a AS (SELECT phone FROM customers) SELECT COUNT(DISTINCT phone) AS n FROM a;

-- verdict: refuse CTE_ORDER
-- A name that is not complete yet.
WITH a AS (SELECT phone FROM b), b AS (SELECT phone FROM customers) SELECT COUNT(DISTINCT phone) AS n FROM a;

-- verdict: refuse CTE_ORDER
-- A name for a table of the room hides the table, inside itself too.
WITH customers AS (SELECT phone FROM customers) SELECT COUNT(DISTINCT phone) AS n FROM customers;

-- verdict: refuse CTE_UNUSED
-- What is not used is not checked, so it must not be there.
WITH a AS (SELECT salary FROM payroll) SELECT COUNT(DISTINCT phone) AS n FROM customers;

-- verdict: refuse NO_RULE
-- A table without a rule, deep inside.
SELECT COUNT(DISTINCT phone) AS n FROM (SELECT phone FROM (SELECT phone FROM payroll) AS a) AS b;

-- verdict: refuse SET_OPERATION_NESTED
-- A union inside would mix people of two tables.
SELECT COUNT(phone) AS n FROM (SELECT phone FROM customers UNION ALL SELECT phone FROM cells) AS u;

-- verdict: refuse DUPLICATE_NAME
-- Two things under one name.
WITH a AS (SELECT phone FROM customers), a AS (SELECT phone FROM cells) SELECT COUNT(DISTINCT phone) AS n FROM a;

-- verdict: refuse LEFT_JOIN_SOURCE
-- A filtered table on the right of a LEFT JOIN.
SELECT COUNT(DISTINCT c.phone) AS n FROM customers c LEFT JOIN (SELECT phone FROM cells WHERE tower = 'x') AS e ON c.phone = e.phone;
