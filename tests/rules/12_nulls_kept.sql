-- room: nulls_kept.yaml
-- The same room with NULLs kept (preserve_nulls) and one key for all fingerprint columns.

-- verdict: accept
-- With NULLs kept, a NULL is not counted.
SELECT COUNT(note_sealed) AS n FROM customers;

-- verdict: accept
-- Nor as a person.
SELECT COUNT(DISTINCT phone) AS n FROM visits;

-- verdict: accept
-- Nor by a threshold.
SELECT v.store, COUNT(DISTINCT c.phone) AS n FROM visits v LEFT JOIN customers c ON v.phone = c.phone GROUP BY v.store;

-- verdict: accept
-- One key for all columns: phone and email can match.
SELECT COUNT(DISTINCT c.phone) AS n FROM customers c JOIN subscribers s ON c.phone = s.email;

-- verdict: refuse JOIN_TYPES_DIFFER
-- Types still differ.
SELECT COUNT(DISTINCT c.phone) AS n FROM customers c JOIN subscribers s ON c.phone = s.customer_no;

-- verdict: refuse ENCRYPTED_COLUMN
-- AWS would group by a fingerprint here; hitoku's rules cannot list one as a dimension, so it is refused.
SELECT COUNT(phone) AS n FROM visits GROUP BY phone;

-- verdict: refuse COUNT_ROWS
-- A NULL phone is still no row that COUNT(phone) counts.
SELECT COUNT(*) AS n FROM visits;
