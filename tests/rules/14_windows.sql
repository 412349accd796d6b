-- Window functions: over released groups only, computed after the thresholds. Never over rows of people.

-- verdict: accept
-- Regions by rank of their number of people; a withheld region has no rank and leaves no gap.
SELECT region, COUNT(DISTINCT phone) AS n, RANK() OVER (ORDER BY COUNT(DISTINCT phone) DESC) AS place FROM customers GROUP BY region;

-- verdict: accept
-- The share of each region in what is released; a withheld region is not in the total either.
SELECT region, COUNT(phone) / SUM(COUNT(phone)) OVER () AS share FROM customers GROUP BY region;

-- verdict: accept
-- Totals within a dimension.
SELECT region, vip, SUM(spend) AS s, SUM(SUM(spend)) OVER (PARTITION BY region) AS of_region FROM customers GROUP BY region, vip;

-- verdict: accept
-- Running totals and moving averages of whole groups.
SELECT age, SUM(COUNT(phone)) OVER (ORDER BY age) AS so_far, AVG(COUNT(phone)) OVER (ORDER BY age ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) AS smooth FROM customers GROUP BY age;

-- verdict: accept
-- The group before and after, quarters of the groups, numbers from one.
SELECT age, COUNT(phone) - LAG(COUNT(phone)) OVER (ORDER BY age) AS d, LEAD(age, 2) OVER (ORDER BY age) AS e, NTILE(4) OVER (ORDER BY age) AS q, ROW_NUMBER() OVER (ORDER BY age) AS r FROM customers GROUP BY age;

-- verdict: accept
-- The other ranks; smallest and largest of statistics that are shown anyway.
SELECT region, DENSE_RANK() OVER (ORDER BY SUM(spend)) AS a, PERCENT_RANK() OVER (ORDER BY SUM(spend)) AS b, CUME_DIST() OVER (ORDER BY SUM(spend)) AS c, MIN(SUM(spend)) OVER () AS d, MAX(SUM(spend)) OVER () AS e, COUNT(*) OVER () AS f FROM customers GROUP BY region;

-- verdict: accept
-- Ordered by a window function.
SELECT region, COUNT(phone) AS n FROM customers GROUP BY region ORDER BY RANK() OVER (ORDER BY SUM(spend) DESC) LIMIT 3;

-- verdict: accept
-- HAVING comes first: groups that it leaves out are in no total.
SELECT region, SUM(COUNT(phone)) OVER () AS n FROM customers GROUP BY region HAVING COUNT(phone) > 20;

-- verdict: accept
-- Over an aggregated result, after its filter.
SELECT region, n, RANK() OVER (ORDER BY n DESC) AS place FROM (SELECT region, COUNT(phone) AS n FROM customers GROUP BY region) AS g WHERE n > 20;

-- verdict: accept
-- In a branch of UNION ALL each branch has its own groups.
SELECT region AS k, RANK() OVER (ORDER BY COUNT(phone) DESC) AS r FROM customers GROUP BY region UNION ALL SELECT tower, RANK() OVER (ORDER BY COUNT(DISTINCT phone)) FROM cells GROUP BY tower;

-- verdict: refuse WINDOW
-- A total over rows beside each row.
SELECT region, SUM(spend) OVER (PARTITION BY region) AS s, COUNT(phone) AS n FROM customers GROUP BY region;

-- verdict: refuse WINDOW
-- Ordered by something of single rows.
SELECT region, COUNT(phone) AS n, RANK() OVER (ORDER BY age) AS r FROM customers GROUP BY region;

-- verdict: refuse WINDOW
-- Rows numbered under another name, to be counted later.
WITH a AS (SELECT phone, region, ROW_NUMBER() OVER (ORDER BY age) AS r FROM customers) SELECT r, COUNT(phone) AS n FROM a GROUP BY r;

-- verdict: refuse ENCRYPTED_COLUMN
-- Ordering by a fingerprint.
SELECT COUNT(phone) AS n, ROW_NUMBER() OVER (ORDER BY phone) AS r FROM customers GROUP BY region;

-- verdict: refuse AGGREGATE
-- The statistic inside obeys the rule: AVG is not listed for age.
SELECT region, COUNT(phone) AS n, RANK() OVER (ORDER BY AVG(age)) AS r FROM customers GROUP BY region;

-- verdict: refuse AGGREGATE_KIND
-- The largest of maxima is one person's value.
SELECT region, COUNT(phone) AS n, MAX(MAX(spend)) OVER () AS m FROM customers GROUP BY region;

-- verdict: refuse WINDOW_FUNCTION
-- Functions that are not on the list.
SELECT region, COUNT(phone) AS n, NTH_VALUE(region, 2) OVER (ORDER BY COUNT(phone)) AS r FROM customers GROUP BY region;

-- verdict: refuse WINDOW_FUNCTION
-- A list of all groups in one value.
SELECT region, COUNT(phone) AS n, STRING_AGG(region, ',') OVER () AS r FROM customers GROUP BY region;

-- verdict: refuse WINDOW_PLACE
-- A filter by rank inside HAVING.
SELECT region, COUNT(phone) AS n FROM customers GROUP BY region HAVING RANK() OVER (ORDER BY COUNT(phone)) < 3;

-- verdict: refuse WINDOW_PLACE
-- A window function of a window function.
SELECT region, COUNT(phone) AS n, SUM(RANK() OVER (ORDER BY COUNT(phone))) OVER () AS r FROM customers GROUP BY region;

-- verdict: refuse WINDOW_PLACE
-- Grouping by a rank.
SELECT COUNT(phone) AS n, RANK() OVER (ORDER BY region) AS r FROM customers GROUP BY r;

-- verdict: refuse WINDOW_PLACE
-- Filtering rows by a rank.
SELECT COUNT(phone) AS n FROM customers WHERE ROW_NUMBER() OVER (ORDER BY age) = 1;

-- verdict: refuse WINDOW_FILTERED
-- Filtering ranked groups from outside: write ORDER BY and LIMIT instead.
SELECT region, r FROM (SELECT region, RANK() OVER (ORDER BY COUNT(phone) DESC) AS r FROM customers GROUP BY region) AS g WHERE r < 4;

-- verdict: refuse WINDOW_FRAME
-- A frame by distance of values.
SELECT age, SUM(COUNT(phone)) OVER (ORDER BY age RANGE BETWEEN 5 PRECEDING AND CURRENT ROW) AS s FROM customers GROUP BY age;

-- verdict: refuse WINDOW_FRAME
-- A frame that ends before it begins.
SELECT age, SUM(COUNT(phone)) OVER (ORDER BY age ROWS BETWEEN 1 FOLLOWING AND 1 PRECEDING) AS s FROM customers GROUP BY age;

-- verdict: accept
-- Keywords may be written small.
select age, sum(count(phone)) over (order by age rows between 2 preceding and unbounded following) as s from customers group by age;

-- verdict: refuse CLAUSE_NOT_ALLOWED
-- A frame that leaves one group out: the difference is that group, which the answer shows anyway, but nobody needs it.
SELECT age, SUM(COUNT(phone)) OVER (ORDER BY age ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING EXCLUDE CURRENT ROW) AS s FROM customers GROUP BY age;

-- verdict: refuse CLAUSE_NOT_ALLOWED
-- Named windows: write them out.
SELECT region, SUM(COUNT(phone)) OVER w AS s FROM customers GROUP BY region WINDOW w AS ();

-- verdict: refuse WINDOW_FUNCTION
-- FILTER in a window.
SELECT region, SUM(COUNT(phone)) FILTER (WHERE region = 'x') OVER () AS s FROM customers GROUP BY region;

-- verdict: refuse ARGUMENT_LITERAL
-- The number of parts must be a number.
SELECT region, COUNT(phone) AS n, NTILE(COUNT(phone)) OVER (ORDER BY region) AS q FROM customers GROUP BY region;

-- verdict: refuse NOT_A_NUMBER
-- A sum of texts.
SELECT region, COUNT(phone) AS n, SUM(region) OVER () AS q FROM customers GROUP BY region;

-- verdict: refuse WINDOW_FRAME
-- A frame with one edge runs from there to the current row, so it cannot begin after it.
SELECT age, SUM(COUNT(phone)) OVER (ORDER BY age ROWS 3 FOLLOWING) AS s FROM customers GROUP BY age;

-- verdict: accept
-- The last three groups and this one.
SELECT age, SUM(COUNT(phone)) OVER (ORDER BY age ROWS 3 PRECEDING) AS s FROM customers GROUP BY age;
