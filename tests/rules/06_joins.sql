-- Joins: equalities of join columns, fingerprint with fingerprint.

-- verdict: accept
-- Two companies matched on the phone's fingerprint.
SELECT plan, COUNT(DISTINCT s.phone) AS n FROM customers c JOIN subscribers s ON c.phone = s.phone GROUP BY plan;

-- verdict: accept
-- USING says the same.
SELECT plan, COUNT(DISTINCT s.phone) AS n FROM customers c JOIN subscribers s USING (phone) GROUP BY plan;

-- verdict: accept
-- Three companies.
SELECT plan, segment, COUNT(DISTINCT c.phone) AS n FROM customers c JOIN subscribers s ON c.phone = s.phone JOIN accounts a ON a.phone = s.phone GROUP BY plan, segment;

-- verdict: accept
-- Five tables of three companies.
SELECT kind, COUNT(DISTINCT c.phone) AS n FROM customers c JOIN subscribers s ON c.phone = s.phone JOIN accounts a ON a.phone = c.phone JOIN loans l ON l.phone = a.phone JOIN cells e ON e.phone = c.phone GROUP BY kind;

-- verdict: accept
-- Cleartext with cleartext.
SELECT size, COUNT(DISTINCT c.phone) AS n FROM customers c JOIN stores t ON c.city = t.city GROUP BY size;

-- verdict: accept
-- COUNT(*) of a join: phone is matched, so it is never NULL, and its COUNT is listed.
SELECT plan, COUNT(*) AS n FROM customers c JOIN subscribers s ON c.phone = s.phone GROUP BY plan;

-- verdict: accept
-- AND of two equalities: both owners list AND.
SELECT segment, COUNT(DISTINCT a.phone) AS n FROM subscribers s JOIN accounts a ON a.phone = s.phone AND a.email = s.email JOIN customers c ON c.phone = s.phone GROUP BY segment;

-- verdict: refuse JOIN_OPERATOR
-- asker: bank
-- loans does not list AND.
SELECT COUNT(DISTINCT l.phone) AS n FROM accounts a JOIN loans l ON a.phone = l.phone AND l.phone = a.phone;

-- verdict: accept
-- asker: bank
-- OR: both owners list it.
SELECT kind, COUNT(DISTINCT l.phone) AS n FROM accounts a JOIN loans l ON a.phone = l.phone OR a.phone = l.phone GROUP BY kind;

-- verdict: refuse JOIN_OPERATOR
-- subscribers does not list OR.
SELECT COUNT(DISTINCT a.phone) AS n FROM subscribers s JOIN accounts a ON a.phone = s.phone OR a.email = s.email JOIN customers c ON c.phone = s.phone;

-- verdict: refuse JOIN_COLUMN
-- region is no join column.
SELECT COUNT(DISTINCT c.phone) AS n FROM customers c JOIN stores t ON c.region = t.city;

-- verdict: refuse JOIN_COLUMN
-- visits.card may be counted, not joined on.
SELECT COUNT(DISTINCT c.phone) AS n FROM customers c JOIN visits v ON c.phone = v.card;

-- verdict: refuse JOIN_PROTECTIONS_DIFFER
-- A fingerprint never equals a cleartext value.
SELECT COUNT(DISTINCT c.phone) AS n FROM customers c JOIN stores t ON c.phone = t.city;

-- verdict: refuse JOIN_NAMES_DIFFER
-- In this room each column name has its own key: phone and email never match.
SELECT COUNT(DISTINCT c.phone) AS n FROM customers c JOIN subscribers s ON c.phone = s.email;

-- verdict: refuse JOIN_TYPES_DIFFER
-- A number's fingerprint never equals a text's, even of the same digits.
SELECT COUNT(DISTINCT a.phone) AS n FROM accounts a JOIN subscribers s ON a.customer_no = s.customer_no JOIN customers c ON c.phone = a.phone;

-- verdict: refuse CROSS_JOIN
-- Every row with every row: nothing is matched.
SELECT COUNT(DISTINCT c.phone) AS n FROM customers c CROSS JOIN cells e;

-- verdict: refuse CROSS_JOIN
-- A comma is a cross join.
SELECT COUNT(DISTINCT c.phone) AS n FROM customers c, cells e;

-- verdict: refuse CROSS_JOIN
-- A comma with the condition in WHERE: write JOIN ... ON.
SELECT COUNT(DISTINCT c.phone) AS n FROM customers c, cells e WHERE c.phone = e.phone;

-- verdict: refuse JOIN_CONDITION
-- A condition that is always true is a cross join.
SELECT COUNT(DISTINCT c.phone) AS n FROM customers c JOIN cells e ON TRUE;

-- verdict: refuse JOIN_CONDITION
-- Not an equality.
SELECT COUNT(DISTINCT c.phone) AS n FROM customers c JOIN cells e ON c.phone <> e.phone;

-- verdict: refuse JOIN_CONDITION
-- Order of fingerprints means nothing.
SELECT COUNT(DISTINCT c.phone) AS n FROM customers c JOIN cells e ON c.phone > e.phone;

-- verdict: refuse JOIN_CONDITION
-- A filter belongs in WHERE.
SELECT COUNT(DISTINCT c.phone) AS n FROM customers c JOIN stores t ON c.city = t.city AND c.age > 3;

-- verdict: refuse JOIN_CONDITION
-- NULL-safe equality would match people without a phone.
SELECT COUNT(DISTINCT c.phone) AS n FROM customers c JOIN cells e ON c.phone IS NOT DISTINCT FROM e.phone;

-- verdict: refuse JOIN_CONDITION
-- A function of a fingerprint.
SELECT COUNT(DISTINCT c.phone) AS n FROM customers c JOIN cells e ON UPPER(c.phone) = UPPER(e.phone);

-- verdict: refuse JOIN_CONDITION
-- A table equated with itself connects nothing.
SELECT COUNT(DISTINCT c.phone) AS n FROM customers c JOIN cells e ON c.phone = c.phone;

-- verdict: refuse JOIN_KIND
-- NATURAL JOIN leaves open what is matched.
SELECT COUNT(DISTINCT c.phone) AS n FROM customers c NATURAL JOIN cells e;

-- verdict: refuse JOIN_KIND
-- FULL JOIN keeps everybody's rows.
SELECT COUNT(DISTINCT c.phone) AS n FROM customers c FULL JOIN cells e ON c.phone = e.phone;

-- verdict: refuse JOIN_KIND
-- RIGHT JOIN: write it as LEFT JOIN.
SELECT COUNT(DISTINCT c.phone) AS n FROM customers c RIGHT JOIN cells e ON c.phone = e.phone;

-- verdict: refuse JOIN_KIND
-- ANTI JOIN lists who is not there.
SELECT COUNT(DISTINCT c.phone) AS n FROM customers c ANTI JOIN cells e ON c.phone = e.phone;

-- verdict: refuse JOIN_KIND
-- SEMI JOIN hides a table from the answer, and its threshold with it.
SELECT COUNT(DISTINCT c.phone) AS n FROM customers c SEMI JOIN cells e ON c.phone = e.phone;

-- verdict: refuse JOIN_KIND
-- POSITIONAL JOIN pairs rows by their place in the file.
SELECT COUNT(DISTINCT c.phone) AS n FROM customers c POSITIONAL JOIN cells e;

-- verdict: refuse SELF_JOIN
-- A table with itself would pair people with each other.
SELECT COUNT(DISTINCT a.phone) AS n FROM customers a JOIN customers b ON a.phone = b.phone;

-- verdict: accept
-- LEFT JOIN: people without a cell stay, and cells' threshold counts only those who have one.
SELECT tower, COUNT(DISTINCT c.phone) AS n FROM customers c LEFT JOIN cells e ON c.phone = e.phone GROUP BY tower;

-- verdict: refuse OUTER_THEN_INNER
-- Joining on a column that the LEFT JOIN may leave empty.
SELECT COUNT(DISTINCT c.phone) AS n FROM customers c LEFT JOIN cells e ON c.phone = e.phone JOIN loans l ON l.phone = e.phone;

-- verdict: refuse JOIN_REQUIRED
-- telco asks that subscribers is matched with a table of the asker.
SELECT plan, COUNT(DISTINCT phone) AS n FROM subscribers GROUP BY plan;

-- verdict: refuse JOIN_REQUIRED
-- Matched with the bank's table only; the asker is the shop.
SELECT plan, COUNT(DISTINCT s.phone) AS n FROM subscribers s JOIN accounts a ON s.phone = a.phone GROUP BY plan;

-- verdict: accept
-- asker: bank
-- The same, asked by the bank.
SELECT plan, COUNT(DISTINCT s.phone) AS n FROM subscribers s JOIN accounts a ON s.phone = a.phone GROUP BY plan;

-- verdict: accept
-- Matched with the asker's table through the bank's.
SELECT plan, COUNT(DISTINCT s.phone) AS n FROM subscribers s JOIN accounts a ON s.phone = a.phone JOIN customers c ON c.phone = a.phone GROUP BY plan;

-- verdict: refuse JOIN_REQUIRED
-- A LEFT JOIN keeps telco's rows that do not match.
SELECT COUNT(DISTINCT c.phone) AS n FROM customers c LEFT JOIN subscribers s ON s.phone = c.phone;
