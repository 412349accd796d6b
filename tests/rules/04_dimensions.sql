-- By what may be grouped, filtered and shown: dimensionColumns.

-- verdict: accept
-- Grouping by several dimensions.
SELECT region, vip, COUNT(DISTINCT phone) AS n FROM customers GROUP BY region, vip;

-- verdict: accept
-- Grouping by position and by alias.
SELECT region AS r, age, COUNT(DISTINCT phone) AS n FROM customers GROUP BY r, 2;

-- verdict: accept
-- A dimension may be grouped by and not shown.
SELECT COUNT(DISTINCT phone) AS n FROM customers GROUP BY region;

-- verdict: accept
-- A listed function of a dimension.
SELECT UPPER(region) AS r, COUNT(DISTINCT phone) AS n FROM customers GROUP BY UPPER(region);

-- verdict: accept
-- The year of a date.
SELECT EXTRACT(YEAR FROM joined) AS y, COUNT(DISTINCT phone) AS n FROM customers GROUP BY 1;

-- verdict: accept
-- Decades of age: arithmetic and FLOOR.
SELECT FLOOR(age / 10) * 10 AS decade, COUNT(DISTINCT phone) AS n FROM customers GROUP BY 1;

-- verdict: accept
-- A function of a function that is grouped by.
SELECT LOWER(UPPER(region)) AS r, COUNT(DISTINCT phone) AS n FROM customers GROUP BY UPPER(region);

-- verdict: refuse DIMENSION
-- city is no dimension: it may be joined on and counted only.
SELECT city, COUNT(DISTINCT phone) AS n FROM customers GROUP BY city;

-- verdict: refuse DIMENSION
-- spend may be summed, not grouped by.
SELECT spend, COUNT(DISTINCT phone) AS n FROM customers GROUP BY spend;

-- verdict: refuse DIMENSION
-- A function does not make a dimension of it.
SELECT ROUND(spend) AS s, COUNT(DISTINCT phone) AS n FROM customers GROUP BY 1;

-- verdict: refuse DIMENSION
-- Nor an alias.
SELECT city AS region, COUNT(DISTINCT phone) AS n FROM customers GROUP BY 1;

-- verdict: refuse DIMENSION
-- Shown beside an aggregate without grouping.
SELECT city, COUNT(DISTINCT phone) AS n FROM customers;

-- verdict: refuse NOT_GROUPED
-- A dimension that is neither grouped nor aggregated.
SELECT region, COUNT(DISTINCT phone) AS n FROM customers;

-- verdict: refuse NOT_GROUPED
-- Grouped by the function, shown without it: finer than the groups.
SELECT age, COUNT(DISTINCT phone) AS n FROM customers GROUP BY FLOOR(age);

-- verdict: refuse GROUP_BY_CONSTANT
-- A constant is no dimension.
SELECT COUNT(DISTINCT phone) AS n FROM customers GROUP BY 'x';

-- verdict: refuse POSITION
-- There is no fifth column.
SELECT region, COUNT(DISTINCT phone) AS n FROM customers GROUP BY 5;

-- verdict: refuse CLAUSE_NOT_ALLOWED
-- GROUP BY ALL leaves open what is grouped by.
SELECT region, COUNT(DISTINCT phone) AS n FROM customers GROUP BY ALL;

-- verdict: refuse EXPRESSION_NOT_ALLOWED
-- ROLLUP makes totals and parts at once: a hidden part could be computed from the total.
SELECT region, COUNT(DISTINCT phone) AS n FROM customers GROUP BY ROLLUP (region);

-- verdict: refuse EXPRESSION_NOT_ALLOWED
-- CUBE likewise.
SELECT region, COUNT(DISTINCT phone) AS n FROM customers GROUP BY CUBE (region, vip);

-- verdict: refuse EXPRESSION_NOT_ALLOWED
-- Grouping sets likewise.
SELECT region, COUNT(DISTINCT phone) AS n FROM customers GROUP BY GROUPING SETS ((region), ());

-- verdict: refuse AGGREGATE_PLACE
-- Aggregates cannot be grouped by.
SELECT COUNT(DISTINCT phone) AS n FROM customers GROUP BY COUNT(phone);

-- verdict: refuse SCALAR_FUNCTION
-- telco lists no scalar function for subscribers.
SELECT UPPER(plan) AS p, COUNT(DISTINCT s.phone) AS n FROM subscribers s JOIN customers c ON c.phone = s.phone GROUP BY 1;

-- verdict: refuse SCALAR_FUNCTION
-- A function of columns of two tables must be allowed by both owners.
SELECT COALESCE(region, segment) AS r, COUNT(DISTINCT c.phone) AS n FROM customers c JOIN accounts a ON c.phone = a.phone GROUP BY 1;

-- verdict: accept
-- Allowed by both owners.
SELECT UPPER(region) AS r, UPPER(segment) AS s, COUNT(DISTINCT c.phone) AS n FROM customers c JOIN accounts a ON c.phone = a.phone GROUP BY 1, 2;

-- verdict: refuse FUNCTION_NOT_ALLOWED
-- A function that nobody knows.
SELECT leak(region) AS r, COUNT(DISTINCT phone) AS n FROM customers GROUP BY 1;

-- verdict: refuse FUNCTION_NOT_ALLOWED
-- error() would print the value in the engine's message.
SELECT COUNT(DISTINCT phone) AS n FROM customers WHERE error(region) IS NULL;

-- verdict: refuse FUNCTION_NOT_ALLOWED
-- Environment variables of the host.
SELECT getenv('HOME') AS h, COUNT(DISTINCT phone) AS n FROM customers GROUP BY 1;

-- verdict: refuse FUNCTION_NOT_ALLOWED
-- Random numbers could pick single people.
SELECT COUNT(DISTINCT phone) AS n FROM customers WHERE random() < 0.1;

-- verdict: refuse NOT_REPEATABLE
-- Today is another day tomorrow; the question must mean the same.
SELECT COUNT(DISTINCT phone) AS n FROM customers WHERE joined = CURRENT_DATE;

-- verdict: refuse CAST_TYPE
-- A cast to a type that no column has.
SELECT CAST(region AS BLOB) AS r, COUNT(DISTINCT phone) AS n FROM customers GROUP BY 1;

-- verdict: accept
-- CASE on a dimension says what a filter on it would say.
SELECT CASE WHEN age > 40 THEN 'old' ELSE 'young' END AS a, COUNT(DISTINCT phone) AS n FROM customers GROUP BY 1;
