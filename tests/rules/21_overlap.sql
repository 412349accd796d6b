-- overlapColumns: what is asked of a declared column must be readable from the question's text.
-- room: custom.yaml

-- verdict: accept
-- All of the table.
SELECT plan, COUNT(*) AS n FROM visits GROUP BY plan;

-- verdict: accept
-- Comparisons with literals, BETWEEN and IN, joined by AND.
SELECT COUNT(*) AS n FROM visits WHERE age BETWEEN 20 AND 29 AND region IN ('north', 'south') AND day >= '2025-01-01' AND amount < 10.5;

-- verdict: accept
-- A truth value that is compared.
SELECT COUNT(*) AS n FROM visits WHERE vip = TRUE;

-- verdict: accept
-- Grouping divides the box.
SELECT region, age, COUNT(*) AS n FROM visits GROUP BY region, age;

-- verdict: accept
-- Grouped by, the column may be shown through a function.
SELECT UPPER(region) AS r, COUNT(*) AS n FROM visits GROUP BY region;

-- verdict: accept
-- Inside an aggregate it is not asked for.
SELECT AVG(age) AS a, SUM(amount) AS s FROM visits WHERE age > 20;

-- verdict: accept
-- Branches that ask for the same box.
SELECT plan, COUNT(*) AS n FROM visits WHERE age > 20 GROUP BY plan UNION ALL SELECT region, COUNT(*) FROM visits WHERE age > 20 GROUP BY region;

-- verdict: refuse OVERLAP_FORM
-- Branches that ask for different boxes.
SELECT COUNT(*) AS n FROM visits WHERE age > 20 UNION ALL SELECT COUNT(*) FROM visits WHERE age > 21;

-- verdict: refuse OVERLAP_FORM
-- OR is no box.
SELECT COUNT(*) AS n FROM visits WHERE age > 30 OR region = 'north';

-- verdict: refuse OVERLAP_FORM
-- NOT is none.
SELECT COUNT(*) AS n FROM visits WHERE NOT age = 30;

-- verdict: refuse OVERLAP_FORM
-- All but one value is none.
SELECT COUNT(*) AS n FROM visits WHERE age <> 30;

-- verdict: refuse OVERLAP_FORM
-- A function of the column.
SELECT COUNT(*) AS n FROM visits WHERE UPPER(region) = 'NORTH';

-- verdict: refuse OVERLAP_FORM
-- Arithmetic.
SELECT COUNT(*) AS n FROM visits WHERE age * 2 > 60;

-- verdict: refuse OVERLAP_FORM
-- NULL is no value of an interval.
SELECT COUNT(*) AS n FROM visits WHERE region IS NULL;

-- verdict: refuse OVERLAP_FORM
-- A pattern.
SELECT COUNT(*) AS n FROM visits WHERE region LIKE 'n%';

-- verdict: refuse OVERLAP_FORM
-- A bare truth value.
SELECT COUNT(*) AS n FROM visits WHERE vip;

-- verdict: refuse OVERLAP_FORM
-- Another column.
SELECT COUNT(*) AS n FROM visits WHERE region = plan;

-- verdict: refuse OVERLAP_FORM
-- HAVING takes groups of the column away.
SELECT region, COUNT(*) AS n FROM visits GROUP BY region HAVING region = 'north';

-- verdict: refuse OVERLAP_FORM
-- A group that is computed from the column can cut its values anywhere.
SELECT FLOOR(age / 10) AS d, COUNT(*) AS n FROM visits GROUP BY 1;

-- verdict: refuse OVERLAP_FORM
-- So can a CASE.
SELECT CASE WHEN age > 30 THEN 1 ELSE 0 END AS c, COUNT(*) AS n FROM visits GROUP BY 1;

-- verdict: refuse OVERLAP_FORM
-- Also over groups.
SELECT age, CASE WHEN age > 30 THEN COUNT(*) END AS n FROM visits GROUP BY age;

-- verdict: refuse OVERLAP_FORM
-- A join on the column keeps what the other table has.
SELECT COUNT(*) AS n FROM visits v JOIN catalog c ON v.region = c.item;

-- verdict: accept
-- A join on another column does not touch it.
SELECT COUNT(*) AS n FROM visits v JOIN people p ON v.phone = p.phone WHERE v.age >= 18;
