-- comparisonControls: which columns may meet literals, and which other columns.
-- room: custom.yaml

-- verdict: accept
-- Literals may meet region and age.
SELECT COUNT(*) AS n FROM people WHERE region = 'north' AND age BETWEEN 20 AND 30;

-- verdict: accept
-- In any form: IN, LIKE, IS NULL, NOT, OR.
SELECT COUNT(*) AS n FROM people WHERE region IN ('north', 'south') OR region LIKE 'o%' OR NOT age IS NULL;

-- verdict: accept
-- Functions of them, too.
SELECT COUNT(*) AS n FROM people WHERE UPPER(region) = 'NORTH' AND EXTRACT(YEAR FROM joined) = 2025;

-- verdict: refuse LITERAL_COMPARISON
-- city may be grouped by, not compared with a literal.
SELECT COUNT(*) AS n FROM people WHERE city = 'Oslo';

-- verdict: refuse LITERAL_COMPARISON
-- IN is a comparison with literals.
SELECT COUNT(*) AS n FROM people WHERE city IN ('Oslo');

-- verdict: refuse LITERAL_COMPARISON
-- LIKE is.
SELECT COUNT(*) AS n FROM people WHERE city LIKE 'O%';

-- verdict: refuse LITERAL_COMPARISON
-- IS NULL is: it asks for one value.
SELECT COUNT(*) AS n FROM people WHERE city IS NULL;

-- verdict: refuse LITERAL_COMPARISON
-- So is NOT of it.
SELECT COUNT(*) AS n FROM people WHERE NOT city >= 'P';

-- verdict: refuse LITERAL_COMPARISON
-- A bare boolean is compared with TRUE.
SELECT COUNT(*) AS n FROM people WHERE vip;

-- verdict: refuse LITERAL_COMPARISON
-- A cast to one is, too.
SELECT COUNT(*) AS n FROM people WHERE CAST(spend AS BOOLEAN);

-- verdict: refuse LITERAL_COMPARISON
-- A function around the column does not help.
SELECT COUNT(*) AS n FROM people WHERE LOWER(city) = 'oslo';

-- verdict: refuse LITERAL_COMPARISON
-- The literal first.
SELECT COUNT(*) AS n FROM people WHERE 100 < spend;

-- verdict: refuse LITERAL_COMPARISON
-- Arithmetic between column and literal.
SELECT COUNT(*) AS n FROM people WHERE spend - 100 > 0;

-- verdict: refuse LITERAL_COMPARISON
-- In the condition of a CASE.
SELECT CASE WHEN city = 'Oslo' THEN 'a' ELSE 'b' END AS c, COUNT(*) AS n FROM people GROUP BY 1;

-- verdict: refuse LITERAL_COMPARISON
-- In CASE column WHEN literal.
SELECT CASE city WHEN 'Oslo' THEN 'a' ELSE 'b' END AS c, COUNT(*) AS n FROM people GROUP BY 1;

-- verdict: refuse LITERAL_COMPARISON
-- In HAVING, of a grouped column.
SELECT city, COUNT(*) AS n FROM people GROUP BY city HAVING city = 'Oslo';

-- verdict: refuse LITERAL_COMPARISON
-- In a CASE over groups.
SELECT city, CASE WHEN city = 'Oslo' THEN COUNT(*) END AS n FROM people GROUP BY city;

-- verdict: refuse LITERAL_COMPARISON
-- In a common table expression.
WITH some AS (SELECT phone, region FROM people WHERE city = 'Oslo') SELECT region, COUNT(*) AS n FROM some GROUP BY region;

-- verdict: refuse LITERAL_COMPARISON
-- A literal in a group key draws a line through the values, as a comparison does.
SELECT SUBSTRING(city, 1, 3) AS c, COUNT(*) AS n FROM people GROUP BY 1;

-- verdict: refuse LITERAL_COMPARISON
-- So does a cast to a number: 100 and more do not fit here, and are NULL.
SELECT CAST(city AS DECIMAL(2, 0)) AS c, COUNT(*) AS n FROM people GROUP BY 1;

-- verdict: accept
-- A cast of a time to its day does not.
SELECT CAST(joined AS VARCHAR) AS day, COUNT(*) AS n FROM visits v JOIN people p ON v.phone = p.phone GROUP BY 1;

-- verdict: accept
-- Of a column that literals may meet it may.
SELECT FLOOR(EXTRACT(YEAR FROM joined) / 10) AS decade, COUNT(*) AS n FROM people GROUP BY 1;

-- verdict: accept
-- The format of a date is no literal that is compared.
SELECT TO_CHAR(joined, 'YYYY-MM') AS month, COUNT(*) AS n FROM people GROUP BY 1;

-- verdict: accept
-- HAVING on an aggregate compares groups, not a column's values.
SELECT city, COUNT(*) AS n FROM people GROUP BY city HAVING COUNT(*) > 100;

-- verdict: accept
-- Columns that may meet other columns: join, group, compare.
SELECT p.region, COUNT(DISTINCT p.phone) AS n FROM people p JOIN lines l ON p.phone = l.phone WHERE p.region = p.city GROUP BY p.region;

-- verdict: refuse COLUMN_COMPARISON
-- spend may meet nothing: not another column.
SELECT COUNT(*) AS n FROM people p JOIN lines l ON p.phone = l.phone WHERE p.spend > l.minutes;

-- verdict: refuse COLUMN_COMPARISON
-- Not as a group.
SELECT vip, COUNT(*) AS n FROM people GROUP BY vip;

-- verdict: refuse COLUMN_COMPARISON
-- Not as a function in a group.
SELECT ROUND(score) AS s, COUNT(*) AS n FROM people GROUP BY 1;

-- verdict: refuse COLUMN_COMPARISON
-- telco lets phone of offers be joined on, nothing else be compared.
SELECT DISTINCT o.price FROM offers o JOIN catalog c ON o.offer = c.item;

-- verdict: refuse COLUMN_COMPARISON
-- offer is no group.
SELECT offer, COUNT(*) AS n FROM offers GROUP BY offer;

-- verdict: accept
-- But it may be listed, and price filtered by.
SELECT DISTINCT offer FROM offers WHERE price >= 10;

-- verdict: refuse LITERAL_COMPARISON
-- Not with a literal.
SELECT DISTINCT offer FROM offers WHERE offer = 'x';

-- verdict: refuse LITERAL_COMPARISON
-- Nor inside a listed expression.
SELECT DISTINCT CASE WHEN offer = 'x' THEN 1 ELSE 0 END AS x FROM offers;

-- verdict: refuse COLUMN_COMPARISON
-- Two columns in one comparison with a literal are compared with each other, too.
SELECT COUNT(*) AS n FROM visits WHERE age + amount > 3;

-- verdict: refuse LITERAL_COMPARISON
-- A literal in a comparison of columns is compared with.
SELECT COUNT(*) AS n FROM people WHERE region = COALESCE(city, 'Oslo');

-- verdict: accept
-- Without controls any column may meet any literal or column.
SELECT tariff, COUNT(*) AS n FROM lines WHERE minutes > 5 AND months < minutes GROUP BY tariff;

-- verdict: accept
-- Conditions of a join with AND and OR need no list in a custom rule.
SELECT COUNT(*) AS n FROM lines l JOIN catalog c ON l.phone = c.phone AND l.tariff = c.item;

-- verdict: refuse COLUMN_COMPARISON
-- A window's partition compares rows by the column: spend would have to be a group.
SELECT region, SUM(COUNT(*)) OVER (PARTITION BY vip) AS n FROM people GROUP BY region, vip;

-- verdict: accept
-- A window over columns that may meet others.
SELECT region, city, SUM(COUNT(*)) OVER (PARTITION BY region ORDER BY city) AS n FROM people GROUP BY region, city;

-- verdict: refuse LITERAL_COMPARISON
-- A literal in a sort key.
SELECT city, COUNT(*) AS n FROM people GROUP BY city ORDER BY COALESCE(city, 'x');
