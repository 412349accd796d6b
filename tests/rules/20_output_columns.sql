-- disallowedOutputColumns, identity columns and thresholds of single output columns.
-- room: custom.yaml

-- verdict: accept
-- age comes out inside an aggregate.
SELECT region, AVG(age) AS a, SUM(age) AS s, COUNT(DISTINCT age) AS d FROM people GROUP BY region;

-- verdict: accept
-- It may be compared: that is the business of comparisonControls.
SELECT region, COUNT(*) AS n FROM people WHERE age > 30 GROUP BY region;

-- verdict: refuse OUTPUT_COLUMN_DISALLOWED
-- Not as a group and output.
SELECT age, COUNT(*) AS n FROM people GROUP BY age;

-- verdict: refuse OUTPUT_COLUMN_DISALLOWED
-- Not as a group alone: the counts are then those of each age.
SELECT COUNT(*) AS n FROM people GROUP BY age;

-- verdict: refuse OUTPUT_COLUMN_DISALLOWED
-- Not as a function of it.
SELECT FLOOR(age / 10) AS decade, COUNT(*) AS n FROM people GROUP BY 1;

-- verdict: refuse OUTPUT_COLUMN_DISALLOWED
-- Not inside a CASE in a group.
SELECT CASE WHEN age > 30 THEN 'old' ELSE 'young' END AS g, COUNT(*) AS n FROM people GROUP BY 1;

-- verdict: refuse OUTPUT_COLUMN_DISALLOWED
-- Not as the partition of a window.
SELECT region, SUM(COUNT(*)) OVER (PARTITION BY age) AS n FROM people GROUP BY region, age;

-- verdict: refuse OUTPUT_COLUMN_DISALLOWED
-- Not as a sort key; it would have to be a group.
SELECT region, COUNT(*) AS n FROM people GROUP BY region, age ORDER BY age;

-- verdict: accept
-- Aggregated, it may sort.
SELECT region, COUNT(*) AS n FROM people GROUP BY region ORDER BY AVG(age);

-- verdict: accept
-- Aggregated, it may stand in a window.
SELECT region, RANK() OVER (ORDER BY AVG(age)) AS r FROM people GROUP BY region;

-- verdict: refuse OUTPUT_COLUMN_DISALLOWED
-- Not through a common table expression.
WITH x AS (SELECT age AS a, phone FROM people) SELECT a, COUNT(*) AS n FROM x GROUP BY a;

-- verdict: refuse OUTPUT_COLUMN_DISALLOWED
-- Not in a list.
SELECT DISTINCT item, shelf FROM catalog;

-- verdict: refuse OUTPUT_COLUMN_DISALLOWED
-- Not as part of a listed expression.
SELECT DISTINCT item, UPPER(shelf) AS s FROM catalog;

-- verdict: refuse OUTPUT_COLUMN_DISALLOWED
-- Not through another branch.
SELECT region, COUNT(*) AS n FROM people GROUP BY region UNION ALL SELECT tariff, COUNT(*) FROM lines GROUP BY tariff, minutes;

-- verdict: accept
-- A listed row may be filtered by it.
SELECT DISTINCT item FROM catalog WHERE shelf = 'top';

-- verdict: refuse IDENTITY_COMPARED
-- A literal would name one member.
SELECT SUM(fee) AS s FROM clubs WHERE member <> 'm1';

-- verdict: refuse IDENTITY_COMPARED
-- In any form.
SELECT SUM(fee) AS s FROM clubs WHERE SUBSTRING(member, 1, 1) IN ('a', 'b');

-- verdict: refuse IDENTITY_COMPARED
-- Also inside a group.
SELECT CASE member WHEN 'm1' THEN 'one' ELSE 'others' END AS who, SUM(fee) AS s FROM clubs GROUP BY 1;

-- verdict: accept
-- Compared with a column it names nobody.
SELECT club, COUNT(DISTINCT member) AS n FROM clubs WHERE member <> club GROUP BY club;

-- verdict: accept
-- Grouped by, each group has one member, and none is released.
SELECT member, SUM(fee) AS s FROM clubs GROUP BY member;

-- verdict: accept
-- tariff is exempt and nothing else is shown: the general minimum holds all the same.
SELECT tariff, COUNT(DISTINCT phone) AS n FROM lines GROUP BY tariff;

-- verdict: accept
-- months raises the minimum of the whole row to 50.
SELECT tariff, months, COUNT(*) AS n FROM lines GROUP BY tariff, months;

-- verdict: accept
-- A sum of minutes alone lowers it to 5.
SELECT tariff, SUM(minutes) AS m FROM lines GROUP BY tariff;

-- verdict: refuse SUM_OVERFLOW
-- Thresholds do not make a sum fit.
SELECT SUM(wide) AS w FROM lines;
