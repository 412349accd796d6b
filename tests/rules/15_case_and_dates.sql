-- CASE, dates moved, shown and read: functions of dimensions and literals only.

-- verdict: accept
-- Classes of a dimension.
SELECT CASE WHEN age < 18 THEN 'young' WHEN age < 65 THEN 'middle' ELSE 'old' END AS class, COUNT(DISTINCT phone) AS n FROM customers GROUP BY 1;

-- verdict: accept
-- The short form, without ELSE: NULL for all others.
SELECT CASE region WHEN 'north' THEN 'n' WHEN 'south' THEN 's' END AS r, COUNT(DISTINCT phone) AS n FROM customers GROUP BY 1;

-- verdict: accept
-- Of two owners' dimensions, each allowed by its owner.
SELECT CASE WHEN vip AND segment = 'gold' THEN 1 ELSE 0 END AS best, COUNT(DISTINCT c.phone) AS n FROM customers c JOIN accounts a ON c.phone = a.phone GROUP BY 1;

-- verdict: accept
-- In a filter.
SELECT COUNT(DISTINCT phone) AS n FROM customers WHERE CASE WHEN vip THEN age > 30 ELSE age > 40 END;

-- verdict: accept
-- Of statistics that are released: words for numbers.
SELECT region, CASE WHEN COUNT(DISTINCT phone) > 1000 THEN 'many' ELSE 'few' END AS size FROM customers GROUP BY region;

-- verdict: accept
-- Under a name, then grouped by.
WITH a AS (SELECT phone, CASE WHEN age > 40 THEN 'old' ELSE 'young' END AS class FROM customers) SELECT class, COUNT(DISTINCT phone) AS n FROM a GROUP BY class;

-- verdict: refuse DIMENSION
-- CASE does not make a dimension of spend.
SELECT CASE WHEN spend > 9999 THEN 'rich' ELSE 'poor' END AS r, COUNT(DISTINCT phone) AS n FROM customers GROUP BY 1;

-- verdict: refuse DIMENSION
-- Nor of what it returns.
SELECT CASE WHEN age > 40 THEN spend END AS r, COUNT(DISTINCT phone) AS n FROM customers GROUP BY 1;

-- verdict: refuse ENCRYPTED_COLUMN
-- A fingerprint cannot be tested by CASE.
SELECT CASE phone WHEN '02:hmac:AAAA' THEN 1 END AS r, COUNT(*) AS n FROM customers GROUP BY 1;

-- verdict: refuse AGGREGATE_ARGUMENT
-- A CASE under a name inside an aggregate: it would count a part of the group, past the threshold on all of it.
WITH a AS (SELECT phone, CASE WHEN age = 44 THEN spend END AS x FROM customers) SELECT SUM(x) AS s FROM a;

-- verdict: refuse NOT_GROUPED
-- A class of something that is not grouped.
SELECT region, CASE WHEN age > 40 THEN 1 ELSE 0 END AS o, COUNT(phone) AS n FROM customers GROUP BY region;

-- verdict: refuse TYPES_DIFFER
-- Values of different types.
SELECT CASE WHEN age > 40 THEN 'old' ELSE 0 END AS o, COUNT(phone) AS n FROM customers GROUP BY 1;

-- verdict: refuse TYPES_DIFFER
-- A number compared with a text.
SELECT CASE age WHEN 'forty' THEN 1 END AS o, COUNT(phone) AS n FROM customers GROUP BY 1;

-- verdict: refuse SUBQUERY
-- A question inside.
SELECT CASE WHEN EXISTS (SELECT 1 FROM payroll) THEN 1 END AS o, COUNT(phone) AS n FROM customers GROUP BY 1;

-- verdict: accept
-- A month later; the result is a timestamp.
SELECT DATEADD('month', 1, joined) AS d, COUNT(phone) AS n FROM customers GROUP BY 1;

-- verdict: accept
-- The same in other words, and back in time.
SELECT DATEADD('day', -7, last_seen) AS d, DATE_ADD(joined, INTERVAL 3 MONTH) AS e, COUNT(phone) AS n FROM customers GROUP BY 1, 2;

-- verdict: accept
-- Months as text.
SELECT TO_CHAR(joined, 'YYYY-MM') AS month, COUNT(phone) AS n FROM customers GROUP BY 1;

-- verdict: accept
-- DuckDB's word for it.
SELECT STRFTIME(last_seen, '%H:%M') AS t, COUNT(phone) AS n FROM customers GROUP BY 1;

-- verdict: accept
-- A text read as a date; NULL where it is none.
SELECT TO_DATE(region, 'DD.MM.YYYY') AS d, COUNT(phone) AS n FROM customers WHERE TO_DATE(region, 'YYYYMMDD') < '2024-01-01' GROUP BY 1;

-- verdict: refuse FUNCTION_OTHERWISE
-- CONVERT takes the type first in one engine and last in another: write CAST(column AS type).
SELECT CONVERT(age, VARCHAR) AS a, COUNT(phone) AS n FROM customers GROUP BY 1;

-- verdict: refuse FORMAT
-- Formats of a list only: others differ between engines.
SELECT TO_CHAR(joined, 'Day, DDth Month') AS d, COUNT(phone) AS n FROM customers GROUP BY 1;

-- verdict: refuse FORMAT
-- The format is a literal, not a column.
SELECT TO_DATE(region, region) AS d, COUNT(phone) AS n FROM customers GROUP BY 1;

-- verdict: refuse FORMAT
-- A date that is read needs year, month and day.
SELECT TO_DATE(region, 'YYYY') AS d, COUNT(phone) AS n FROM customers GROUP BY 1;

-- verdict: refuse ARGUMENT_TYPE
-- A number is no date.
SELECT TO_CHAR(age, 'YYYY') AS d, COUNT(phone) AS n FROM customers GROUP BY 1;

-- verdict: refuse ARGUMENT_TYPE
-- Nor can a text be moved.
SELECT DATEADD('day', 1, region) AS d, COUNT(phone) AS n FROM customers GROUP BY 1;

-- verdict: refuse ARGUMENT_LITERAL
-- By a number of another column.
SELECT DATEADD('day', age, joined) AS d, COUNT(phone) AS n FROM customers GROUP BY 1;

-- verdict: refuse ARGUMENT_LITERAL
-- The part is a literal: without quotes it would read as a column.
SELECT DATEADD(day, 1, joined) AS d, COUNT(phone) AS n FROM customers GROUP BY 1;

-- verdict: refuse ARGUMENT_LITERAL
-- A part that nobody knows.
SELECT DATEADD('fortnight', 1, joined) AS d, COUNT(phone) AS n FROM customers GROUP BY 1;

-- verdict: refuse DIMENSION
-- A date that is no dimension stays none.
SELECT TO_DATE(city, 'YYYY-MM-DD') AS d, COUNT(phone) AS n FROM customers GROUP BY 1;

-- verdict: refuse SCALAR_FUNCTION
-- The bank does not list TO_DATE.
SELECT TO_DATE(segment, 'YYYY-MM-DD') AS d, COUNT(DISTINCT phone) AS n FROM accounts GROUP BY 1;

-- verdict: refuse FUNCTION_OTHERWISE
-- TO_NUMBER reads formats that differ between engines: write CAST.
SELECT TO_NUMBER(region, '999') AS d, COUNT(phone) AS n FROM customers GROUP BY 1;

-- verdict: refuse FUNCTION_OTHERWISE
-- TO_TIMESTAMP is the seconds since 1970 in one engine and a format in another: write CAST.
SELECT TO_TIMESTAMP(region, 'YYYY') AS d, COUNT(phone) AS n FROM customers GROUP BY 1;

-- verdict: refuse NOT_REPEATABLE
-- Now is another time tomorrow.
SELECT COUNT(phone) AS n FROM customers WHERE last_seen < GETDATE();

-- verdict: refuse FUNCTION_NOT_ALLOWED
-- A format read that may fail.
SELECT STRPTIME(region, '%Y') AS d, COUNT(phone) AS n FROM customers GROUP BY 1;

-- verdict: refuse EXPRESSION_NOT_ALLOWED
-- Intervals are written with DATEADD.
SELECT joined + INTERVAL 1 DAY AS d, COUNT(phone) AS n FROM customers GROUP BY 1;
