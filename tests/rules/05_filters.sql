-- WHERE, HAVING, ORDER BY and LIMIT.

-- verdict: accept
-- A filter on a dimension.
SELECT COUNT(DISTINCT phone) AS n FROM customers WHERE region = 'north' AND age >= 18;

-- verdict: accept
-- Every kind of comparison that AWS documents.
SELECT COUNT(DISTINCT phone) AS n FROM customers WHERE (age BETWEEN 20 AND 29 OR age IN (40, 41)) AND region LIKE 'n%' AND region IS NOT NULL AND NOT vip AND age <> 25;

-- verdict: accept
-- Dates compare with dates written as text.
SELECT COUNT(DISTINCT phone) AS n FROM customers WHERE joined >= '2024-01-01' AND joined < DATE '2025-01-01';

-- verdict: accept
-- A filter after aggregation, on an allowed statistic.
SELECT region, COUNT(DISTINCT phone) AS n FROM customers GROUP BY region HAVING COUNT(DISTINCT phone) > 100;

-- verdict: accept
-- The same by alias.
SELECT region, COUNT(DISTINCT phone) AS n FROM customers GROUP BY region HAVING n > 100;

-- verdict: accept
-- Ordered and limited after aggregation; the limit counts released groups only.
SELECT region, COUNT(DISTINCT phone) AS n FROM customers GROUP BY region ORDER BY n DESC, region LIMIT 3 OFFSET 1;

-- verdict: accept
-- Ordered by a statistic that is not shown but allowed.
SELECT region, COUNT(DISTINCT phone) AS n FROM customers GROUP BY region ORDER BY SUM(spend) DESC;

-- verdict: refuse DIMENSION
-- Filtering by spend would let an asker halve the amounts until one person is left.
SELECT COUNT(DISTINCT phone) AS n FROM customers WHERE spend > 9999;

-- verdict: refuse DIMENSION
-- A join column is no filter.
SELECT COUNT(DISTINCT phone) AS n FROM customers WHERE city = 'Oslo';

-- verdict: refuse ENCRYPTED_COLUMN
-- A fingerprint cannot be compared with a value.
SELECT COUNT(DISTINCT phone) AS n FROM customers WHERE phone = '+4712345678';

-- verdict: refuse ENCRYPTED_COLUMN
-- Nor with a fingerprint that somebody has seen.
SELECT COUNT(*) AS n FROM customers WHERE phone = '02:hmac:AAAA';

-- verdict: refuse ENCRYPTED_COLUMN
-- Nor tested for NULL: an encrypted NULL looks like a value.
SELECT COUNT(*) AS n FROM customers WHERE phone IS NOT NULL;

-- verdict: refuse ENCRYPTED_COLUMN
-- Nor by the back of an OR.
SELECT COUNT(*) AS n FROM customers WHERE region = 'x' OR phone LIKE '02%';

-- verdict: refuse AGGREGATE_PLACE
-- Aggregates do not stand in WHERE.
SELECT COUNT(DISTINCT phone) AS n FROM customers WHERE COUNT(phone) > 3;

-- verdict: refuse AGGREGATE
-- HAVING may use allowed statistics only.
SELECT region, COUNT(DISTINCT phone) AS n FROM customers GROUP BY region HAVING AVG(age) > 40;

-- verdict: refuse AGGREGATE_KIND
-- HAVING MAX would be a yes-or-no about one person.
SELECT region, COUNT(DISTINCT phone) AS n FROM customers GROUP BY region HAVING MAX(spend) > 9999;

-- verdict: refuse NOT_GROUPED
-- HAVING on a column of single rows.
SELECT region, COUNT(DISTINCT phone) AS n FROM customers GROUP BY region HAVING age > 3;

-- verdict: refuse AGGREGATE_KIND
-- Ordering by MAX tells who has it.
SELECT region, COUNT(DISTINCT phone) AS n FROM customers GROUP BY region ORDER BY MAX(spend);

-- verdict: refuse NOT_GROUPED
-- Ordering by a column of single rows.
SELECT region, COUNT(DISTINCT phone) AS n FROM customers GROUP BY region ORDER BY age;

-- verdict: refuse LIMIT_FORM
-- The limit is a number.
SELECT region, COUNT(DISTINCT phone) AS n FROM customers GROUP BY region LIMIT (SELECT 3);

-- verdict: refuse CLAUSE_NOT_ALLOWED
-- A share of the groups.
SELECT region, COUNT(DISTINCT phone) AS n FROM customers GROUP BY region LIMIT 10%;

-- verdict: refuse EXPRESSION_NOT_ALLOWED
-- ORDER BY ALL leaves open what is ordered by.
SELECT region, COUNT(DISTINCT phone) AS n FROM customers GROUP BY region ORDER BY ALL;

-- verdict: refuse HAVING_WITHOUT_GROUPS
-- HAVING without groups is a WHERE in disguise.
SELECT region FROM customers HAVING region = 'x';

-- verdict: refuse TYPES_DIFFER
-- A number is compared with a text: the conversion could fail on somebody's value.
SELECT COUNT(DISTINCT phone) AS n FROM customers WHERE age = 'forty';

-- verdict: refuse NOT_A_DATE
-- There is no thirtieth of February.
SELECT COUNT(DISTINCT phone) AS n FROM customers WHERE joined = '2024-02-30';

-- verdict: refuse NOT_A_CONDITION
-- A number is no condition.
SELECT COUNT(DISTINCT phone) AS n FROM customers WHERE age;

-- verdict: accept
-- A pattern may be denied in two ways.
SELECT COUNT(DISTINCT phone) AS n FROM customers WHERE region NOT LIKE 'n%' AND NOT region LIKE 's%';

-- verdict: refuse LIKE_FORM
-- A pattern made of another column.
SELECT COUNT(DISTINCT phone) AS n FROM customers WHERE region LIKE region;

-- verdict: refuse EXPRESSION_NOT_ALLOWED
-- Regular expressions are not on AWS's list.
SELECT COUNT(DISTINCT phone) AS n FROM customers WHERE region ILIKE 'n%';

-- verdict: refuse EXPRESSION_NOT_ALLOWED
-- A parameter without a value.
SELECT COUNT(DISTINCT phone) AS n FROM customers WHERE region = ?;

-- verdict: refuse SUBQUERY
-- A subquery in a filter reads a table that is not in FROM.
SELECT COUNT(DISTINCT phone) AS n FROM customers WHERE region IN (SELECT tower FROM cells);

-- verdict: refuse SUBQUERY
-- EXISTS likewise.
SELECT COUNT(DISTINCT phone) AS n FROM customers WHERE EXISTS (SELECT 1 FROM payroll);

-- verdict: refuse SUBQUERY
-- A scalar subquery in SELECT reads a raw value.
SELECT COUNT(DISTINCT phone) AS n, (SELECT MAX(salary) FROM payroll) AS m FROM customers;
