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

-- verdict: refuse ANY_EXPRESSION_UNSUPPORTED
-- bank's rule asks for more than columns inside aggregates.
SELECT COUNT(*) AS n FROM nested;

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
