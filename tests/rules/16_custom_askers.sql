-- Custom rules: whose questions are allowed, and of which tables together.
-- room: custom.yaml

-- verdict: accept
-- shop lists itself in allowedAnalysisProviders.
SELECT region, COUNT(*) AS n FROM people GROUP BY region;

-- verdict: accept
-- asker: telco
-- So may telco, of a table that is not its own.
SELECT region, COUNT(DISTINCT phone) AS n FROM people GROUP BY region;

-- verdict: refuse ANALYSIS_NOT_ALLOWED
-- asker: bank
-- bank is not listed by shop.
SELECT region, COUNT(*) AS n FROM people GROUP BY region;

-- verdict: refuse ANALYSIS_NOT_ALLOWED
-- Owning nothing in the question does not help; bank answers to itself only.
SELECT COUNT(*) AS n FROM private;

-- verdict: accept
-- asker: bank
-- The same by bank.
SELECT COUNT(*) AS n FROM private;

-- verdict: refuse ANALYSIS_NOT_ALLOWED
-- Every table of the question must allow the asker.
SELECT COUNT(*) AS n FROM people p JOIN private q ON p.phone = q.phone;

-- verdict: refuse TEMPLATE_REQUIRED
-- bank lists templates, no free question.
SELECT kind, COUNT(*) AS n FROM cards GROUP BY kind;

-- verdict: refuse TEMPLATE_REQUIRED
-- Not even one with the very text of an approved template.
SELECT kind, COUNT(DISTINCT phone) AS people, SUM(amount) AS spent FROM cards WHERE amount >= 0 GROUP BY kind;

-- verdict: refuse TEMPLATE_REQUIRED
-- asker: bank
-- The owner's own question is a question like any other.
SELECT COUNT(*) AS n FROM cards;

-- verdict: refuse TEMPLATE_MISSING
-- bank approved a template that the members have not put into the room yet.
SELECT COUNT(*) AS n FROM future;

-- verdict: refuse ADDITIONAL_ANALYSIS_REQUIRED
-- telco wants the answer to go on into a training.
SELECT COUNT(*) AS n FROM trained;

-- verdict: accept
-- bank's rule lets more than columns stand inside aggregates.
SELECT COUNT(CASE WHEN age > 30 THEN 1 END) AS n FROM nested;

-- verdict: accept
-- Then a group's least value may be asked, too.
SELECT MIN(age) AS youngest, MEDIAN(age) AS m, STDDEV(age) AS s FROM nested;

-- verdict: refuse COLUMNS_ONLY
-- The threshold counts all of the group, not the row that the expression singles out.
SELECT SUM(CASE WHEN age = 99 THEN 1 ELSE 0 END) AS n FROM visits;

-- verdict: refuse COLUMNS_ONLY
-- The largest value of a group is one person's.
SELECT region, MAX(age) AS oldest FROM visits GROUP BY region;

-- verdict: refuse AGGREGATE_ARGUMENT
-- Distinct values are those of a column.
SELECT COUNT(DISTINCT age + 1) AS n FROM nested;

-- verdict: refuse NOT_A_NUMBER
-- Days have no mean.
SELECT MEDIAN(day) AS d FROM nested;

-- verdict: refuse RULE_KINDS_DIFFER
-- A custom and an aggregation rule.
SELECT COUNT(DISTINCT o.phone) AS n FROM old o JOIN people p ON o.phone = p.phone;

-- verdict: refuse RULE_KINDS_DIFFER
-- A custom and a list rule.
SELECT DISTINCT l.tier FROM oldlist l JOIN catalog c ON l.phone = c.phone;

-- verdict: refuse RULE_KINDS_DIFFER
-- Branches of a set operation are one question, too.
SELECT region, COUNT(*) AS n FROM people GROUP BY region UNION ALL SELECT region, COUNT(phone) AS n FROM old GROUP BY region;

-- verdict: accept
-- Several custom tables, each with its own threshold.
SELECT l.tariff, COUNT(DISTINCT p.phone) AS n FROM people p JOIN lines l ON p.phone = l.phone GROUP BY l.tariff;

-- verdict: refuse UNKNOWN_TABLE
-- A name of no table.
SELECT COUNT(*) AS n FROM persons;
