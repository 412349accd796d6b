-- Scalar functions that a rule lists, and how they may be called.

-- verdict: accept
-- Rounding and cutting numbers.
SELECT ROUND(age, 0) AS a, TRUNC(age) AS b, CEIL(age) AS c, ABS(-age) AS d, COUNT(DISTINCT phone) AS n FROM customers GROUP BY 1, 2, 3, 4;

-- verdict: accept
-- Logarithms and roots; of a negative number they are NULL or NaN, never an error.
SELECT LN(age) AS a, LOG(age) AS b, LOG10(age) AS c, SQRT(age) AS d, COUNT(DISTINCT phone) AS n FROM customers GROUP BY 1, 2, 3, 4;

-- verdict: accept
-- Texts.
SELECT LOWER(TRIM(region)) AS a, RTRIM(region) AS b, SUBSTRING(region, 1, 2) AS c, COUNT(DISTINCT phone) AS n FROM customers GROUP BY 1, 2, 3;

-- verdict: accept
-- A default for NULL.
SELECT COALESCE(region, 'unknown') AS r, COUNT(DISTINCT phone) AS n FROM customers GROUP BY 1;

-- verdict: accept
-- A cast that fails on a value is NULL there.
SELECT CAST(region AS INTEGER) AS i, CAST(age AS DECIMAL(10, 2)) AS d, CAST(joined AS VARCHAR) AS t, COUNT(DISTINCT phone) AS n FROM customers GROUP BY 1, 2, 3;

-- verdict: accept
-- Parts of dates and timestamps.
SELECT YEAR(joined) AS y, MONTH(joined) AS m, EXTRACT(HOUR FROM last_seen) AS h, COUNT(DISTINCT phone) AS n FROM customers GROUP BY 1, 2, 3;

-- verdict: accept
-- A timestamp compared with a timestamp, a truth tested.
SELECT COUNT(DISTINCT phone) AS n FROM customers WHERE last_seen > '2024-05-01 12:00:00' AND vip IS TRUE AND -age < 0;

-- verdict: refuse FUNCTION_NOT_ALLOWED
-- LTRIM is not on AWS's list.
SELECT LTRIM(region) AS r, COUNT(DISTINCT phone) AS n FROM customers GROUP BY 1;

-- verdict: refuse CLAUSE_NOT_ALLOWED
-- Trimming other characters than spaces.
SELECT TRIM(BOTH 'x' FROM region) AS r, COUNT(DISTINCT phone) AS n FROM customers GROUP BY 1;

-- verdict: refuse ARGUMENT_LITERAL
-- The place must be a number, not another column.
SELECT SUBSTRING(region, age, 1) AS r, COUNT(DISTINCT phone) AS n FROM customers GROUP BY 1;

-- verdict: refuse ARGUMENT_LITERAL
-- Digits must be a number.
SELECT ROUND(age, age) AS r, COUNT(DISTINCT phone) AS n FROM customers GROUP BY 1;

-- verdict: refuse ARGUMENT_LITERAL
-- Logarithms to base ten only.
SELECT LOG(2, age) AS r, COUNT(DISTINCT phone) AS n FROM customers GROUP BY 1;

-- verdict: refuse ARGUMENT_LITERAL
-- A part of a date that nobody knows.
SELECT EXTRACT(EPOCH FROM joined) AS r, COUNT(DISTINCT phone) AS n FROM customers GROUP BY 1;

-- verdict: refuse ARGUMENT_TYPE
-- UPPER of a number.
SELECT UPPER(age) AS r, COUNT(DISTINCT phone) AS n FROM customers GROUP BY 1;

-- verdict: refuse ARGUMENT_TYPE
-- The year of a text.
SELECT EXTRACT(YEAR FROM region) AS r, COUNT(DISTINCT phone) AS n FROM customers GROUP BY 1;

-- verdict: refuse TYPES_DIFFER
-- A default of another type.
SELECT COALESCE(region, 0) AS r, COUNT(DISTINCT phone) AS n FROM customers GROUP BY 1;

-- verdict: refuse NOT_A_NUMBER
-- Arithmetic with texts.
SELECT region + 1 AS r, COUNT(DISTINCT phone) AS n FROM customers GROUP BY 1;

-- verdict: refuse CAST_TYPE
-- More decimals than digits.
SELECT CAST(age AS DECIMAL(2, 5)) AS r, COUNT(DISTINCT phone) AS n FROM customers GROUP BY 1;

-- verdict: refuse EXPRESSION_NOT_ALLOWED
-- IS takes NULL, or a truth value on a boolean column.
SELECT COUNT(DISTINCT phone) AS n FROM customers WHERE age IS TRUE;

-- verdict: refuse NOT_A_DATE
-- A time zone would shift with the place of the host.
SELECT COUNT(DISTINCT phone) AS n FROM customers WHERE last_seen > '2024-05-01 12:00:00+02:00';
