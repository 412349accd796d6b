-- List rules: distinct rows of the overlap, listed columns only.

-- verdict: accept
-- Which offers reach contacts of the asker.
SELECT DISTINCT tier, offer FROM contacts c JOIN leads l ON c.phone = l.phone;

-- verdict: accept
-- A sealed column may be listed; receivers with the secret decrypt it.
SELECT DISTINCT address_sealed, offer AS o FROM contacts c JOIN leads l ON c.phone = l.phone;

-- verdict: accept
-- Filtered by a listed column, ordered, limited.
SELECT DISTINCT offer, price FROM contacts c JOIN leads l ON c.phone = l.phone WHERE price < 100 AND opened > '2024-01-01' ORDER BY price LIMIT 10;

-- verdict: accept
-- Arithmetic is allowed on listed columns.
SELECT DISTINCT offer, price * 12 AS a_year FROM contacts c JOIN leads l USING (phone);

-- verdict: refuse LIST_NEEDS_DISTINCT
-- How often a row occurs is not listed.
SELECT tier, offer FROM contacts c JOIN leads l ON c.phone = l.phone;

-- verdict: refuse LIST_NEEDS_JOIN
-- All leads, matched or not.
SELECT DISTINCT offer FROM leads;

-- verdict: refuse LIST_NEEDS_JOIN
-- asker: bank
-- The asker owns neither table.
SELECT DISTINCT offer FROM contacts c JOIN leads l ON c.phone = l.phone;

-- verdict: refuse LIST_OUTER_JOIN
-- A LEFT JOIN shows who does not match.
SELECT DISTINCT offer, tier FROM contacts c LEFT JOIN leads l ON c.phone = l.phone;

-- verdict: refuse LIST_COLUMN
-- internal_id is not listed.
SELECT DISTINCT internal_id FROM contacts c JOIN leads l ON c.phone = l.phone;

-- verdict: refuse LIST_COLUMN
-- Nor may it be filtered by.
SELECT DISTINCT offer FROM contacts c JOIN leads l ON c.phone = l.phone WHERE internal_id = 'x';

-- verdict: refuse LIST_COLUMN
-- leads does not list phone.
SELECT DISTINCT l.phone FROM contacts c JOIN leads l ON c.phone = l.phone;

-- verdict: refuse LIST_FINGERPRINT
-- contacts lists phone, but a fingerprint is never shown: who has the secret could try numbers against it.
SELECT DISTINCT c.phone FROM contacts c JOIN leads l ON c.phone = l.phone;

-- verdict: refuse LIST_AGGREGATE
-- A list rule allows no statistics.
SELECT COUNT(l.phone) AS n FROM contacts c JOIN leads l ON c.phone = l.phone;

-- verdict: refuse LIST_AGGREGATE
-- Nor groups.
SELECT offer FROM contacts c JOIN leads l ON c.phone = l.phone GROUP BY offer;

-- verdict: refuse SCALAR_FUNCTION
-- Nor scalar functions.
SELECT DISTINCT UPPER(offer) AS o FROM contacts c JOIN leads l ON c.phone = l.phone;

-- verdict: refuse JOIN_COLUMN
-- tier is no join column.
SELECT DISTINCT offer FROM contacts c JOIN leads l ON c.tier = l.offer;

-- verdict: refuse ENCRYPTED_COLUMN
-- A sealed column cannot be filtered by.
SELECT DISTINCT offer FROM contacts c JOIN leads l ON c.phone = l.phone WHERE address_sealed = 'x';

-- verdict: refuse SET_OPERATION
-- Two lists in one.
SELECT DISTINCT offer FROM contacts c JOIN leads l ON c.phone = l.phone UNION ALL SELECT DISTINCT tier FROM contacts c JOIN leads l ON c.phone = l.phone;

-- verdict: refuse CLAUSE_NOT_ALLOWED
-- DISTINCT ON picks one row of many.
SELECT DISTINCT ON (offer) offer, tier FROM contacts c JOIN leads l ON c.phone = l.phone;
