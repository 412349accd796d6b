-- Names of the answer's columns.

-- verdict: accept
-- Names with spaces, quotes or another script are fine.
SELECT region AS "地域", COUNT(DISTINCT phone) AS "people (distinct)" FROM customers GROUP BY 1;

-- verdict: accept
-- Columns without an alias get a name.
SELECT COUNT(DISTINCT phone), SUM(spend) FROM customers;

-- verdict: refuse DUPLICATE_OUTPUT
-- Two columns of one name.
SELECT COUNT(phone) AS n, COUNT(DISTINCT phone) AS n FROM customers;

-- verdict: refuse OUTPUT_NAME
-- A name that pretends to be one of hitoku's own.
SELECT COUNT(phone) AS _hitoku_unit_1 FROM customers;

-- verdict: accept
-- A constant beside the statistics.
SELECT 'all' AS what, COUNT(DISTINCT phone) AS n FROM customers;

-- verdict: refuse LITERAL
-- A number longer than any column.
SELECT COUNT(DISTINCT phone) AS n FROM customers WHERE age > 9999999999999999999999999999999999999999;
