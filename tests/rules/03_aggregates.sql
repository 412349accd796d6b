-- Which statistics: those that aggregateColumns lists, of one column each.

-- verdict: accept
-- COUNT, SUM and AVG as listed.
SELECT COUNT(phone) AS rows_, SUM(spend) AS total, AVG(score) AS mean FROM customers;

-- verdict: accept
-- SUM(DISTINCT) is listed for age.
SELECT SUM(DISTINCT age) AS s FROM customers;

-- verdict: accept
-- Computing with allowed statistics.
SELECT SUM(spend) / COUNT(DISTINCT phone) AS per_person FROM customers;

-- verdict: accept
-- A listed scalar function of a statistic.
SELECT ROUND(AVG(spend), 1) AS mean FROM customers;

-- verdict: accept
-- COUNT(*) equals COUNT(phone), because phone is never NULL, and that is listed.
SELECT COUNT(*) AS n FROM customers;

-- verdict: accept
-- COUNT(1) is COUNT(*).
SELECT COUNT(1) AS n FROM customers;

-- verdict: refuse COUNT_ROWS
-- asker: telco
-- cells lists no COUNT that would equal the number of rows.
SELECT COUNT(*) AS n FROM cells;

-- verdict: refuse COUNT_ROWS
-- visits.phone may be NULL, so COUNT(phone) is not the number of rows.
SELECT COUNT(*) AS n FROM visits;

-- verdict: refuse AGGREGATE
-- COUNT(DISTINCT) is not listed for region.
SELECT COUNT(DISTINCT region) AS n FROM customers;

-- verdict: refuse AGGREGATE
-- AVG is not listed for age.
SELECT AVG(age) AS a FROM customers;

-- verdict: refuse AGGREGATE
-- SUM is not listed for score.
SELECT SUM(score) AS s FROM customers;

-- verdict: refuse AGGREGATE
-- SUM(DISTINCT) is another function than SUM.
SELECT SUM(DISTINCT spend) AS s FROM customers;

-- verdict: refuse AGGREGATE_ARGUMENT
-- AVG(DISTINCT) is not on AWS's list at all.
SELECT AVG(DISTINCT spend) AS s FROM customers;

-- verdict: refuse AGGREGATE
-- telco does not list COUNT of email.
SELECT COUNT(s.email) AS n FROM customers c JOIN subscribers s ON c.phone = s.phone;

-- verdict: refuse AGGREGATE_KIND
-- MAX returns the value of one person.
SELECT MAX(spend) AS m FROM customers;

-- verdict: refuse AGGREGATE_KIND
-- So does MIN.
SELECT MIN(age) AS m FROM customers;

-- verdict: refuse AGGREGATE_KIND
-- ANY_VALUE returns somebody's value.
SELECT ANY_VALUE(region) AS v FROM customers;

-- verdict: refuse AGGREGATE_KIND
-- FIRST returns somebody's value.
SELECT FIRST(region) AS v FROM customers;

-- verdict: refuse AGGREGATE_KIND
-- LIST returns all values.
SELECT LIST(spend) AS v FROM customers;

-- verdict: refuse AGGREGATE_KIND
-- ARRAY_AGG is LIST.
SELECT ARRAY_AGG(spend) AS v FROM customers;

-- verdict: refuse AGGREGATE_KIND
-- STRING_AGG returns all values in one text.
SELECT STRING_AGG(region, ',') AS v FROM customers;

-- verdict: refuse AGGREGATE_KIND
-- MODE returns the commonest value, of one person if need be.
SELECT MODE(region) AS v FROM customers;

-- verdict: refuse AGGREGATE_KIND
-- ARG_MAX returns one person's value.
SELECT ARG_MAX(region, spend) AS v FROM customers;

-- verdict: refuse AGGREGATE_KIND
-- An exact median is somebody's value.
SELECT MEDIAN(spend) AS m FROM customers;

-- verdict: refuse AGGREGATE_KIND
-- So is an exact quantile.
SELECT QUANTILE_CONT(spend, 0.99) AS m FROM customers;

-- verdict: refuse FUNCTION_NOT_ALLOWED
-- A histogram lists values with their counts.
SELECT HISTOGRAM(age) AS h FROM customers;

-- verdict: refuse AGGREGATE_KIND
-- STDDEV is not on AWS's list for this rule.
SELECT STDDEV(spend) AS s FROM customers;

-- verdict: refuse AGGREGATE_ARGUMENT
-- The argument is a column, not an expression: SUM(age * 1000000) would carry one person's age in its digits.
SELECT SUM(age * 1000000) AS s FROM customers;

-- verdict: refuse AGGREGATE_ARGUMENT
-- A condition inside an aggregate counts a part of the group, past the threshold counted on all of it.
SELECT SUM(CASE WHEN age = 44 THEN spend END) AS s FROM customers;

-- verdict: refuse AGGREGATE_MODIFIED
-- FILTER does the same.
SELECT SUM(spend) FILTER (WHERE age = 44) AS s FROM customers;

-- verdict: refuse AGGREGATE_ARGUMENT
-- Two columns in one COUNT(DISTINCT).
SELECT COUNT(DISTINCT phone, city) AS n FROM customers;

-- verdict: refuse AGGREGATE_ARGUMENT
-- An aggregate of an aggregate.
SELECT SUM(COUNT(phone)) AS n FROM customers;

-- verdict: refuse WINDOW
-- A window function over rows shows rows; over groups it is allowed (see 14_windows.sql).
SELECT SUM(spend) OVER (PARTITION BY region) AS s FROM customers;

-- verdict: refuse WINDOW
-- Ranking people, not groups.
SELECT ROW_NUMBER() OVER (ORDER BY spend) AS r FROM customers;

-- verdict: refuse AGGREGATE_ARGUMENT
-- An order inside an aggregate.
SELECT SUM(spend ORDER BY age) AS s FROM customers;

-- verdict: refuse SUM_OVERFLOW
-- A sum of 30-digit amounts may not fit, and the failure would tell so.
SELECT SUM(v.amount) AS s FROM visits v JOIN customers c ON v.phone = c.phone;

-- verdict: refuse NO_AGGREGATE
-- Regions alone are no statistic.
SELECT region FROM customers GROUP BY region;

-- verdict: refuse NO_AGGREGATE
-- Rows are no statistic.
SELECT region, age FROM customers;

-- verdict: refuse DISTINCT_GROUPS
-- DISTINCT over groups.
SELECT DISTINCT COUNT(phone) AS n FROM customers GROUP BY region;
