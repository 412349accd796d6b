-- Encrypted columns: what AWS documents, and nothing else. Here NULLs are not kept (see room.yaml).

-- verdict: accept
-- A sealed column without NULLs may be counted where its rule says so.
SELECT COUNT(name_sealed) AS n FROM customers;

-- verdict: refuse NULLS_COUNTED
-- note_sealed may hold NULLs, and sealed NULLs look like values: the count would be too high.
SELECT COUNT(note_sealed) AS n FROM customers;

-- verdict: refuse AGGREGATE
-- Every ciphertext is different, so counting distinct ones means nothing; the rule cannot list it.
SELECT COUNT(DISTINCT name_sealed) AS n FROM customers;

-- verdict: refuse ENCRYPTED_COLUMN
-- A sealed column is not shown by a rule for statistics.
SELECT name_sealed, COUNT(phone) AS n FROM customers GROUP BY name_sealed;

-- verdict: refuse ENCRYPTED_COLUMN
-- A fingerprint is never shown.
SELECT phone, COUNT(*) AS n FROM customers GROUP BY phone;

-- verdict: refuse ENCRYPTED_COLUMN
-- Nor as a plain row.
SELECT phone FROM customers;

-- verdict: refuse ENCRYPTED_COLUMN
-- Nor grouped by without being shown.
SELECT COUNT(*) AS n FROM customers GROUP BY phone;

-- verdict: refuse ENCRYPTED_COLUMN
-- Nor cut to pieces.
SELECT SUBSTRING(phone, 1, 12) AS p, COUNT(*) AS n FROM customers GROUP BY 1;

-- verdict: refuse ENCRYPTED_COLUMN
-- Nor filled in.
SELECT COALESCE(phone, 'x') AS p, COUNT(*) AS n FROM customers GROUP BY 1;

-- verdict: refuse ENCRYPTED_COLUMN
-- Nor cast.
SELECT CAST(phone AS INTEGER) AS p, COUNT(*) AS n FROM customers GROUP BY 1;

-- verdict: refuse AGGREGATE
-- SUM of ciphertext.
SELECT SUM(phone) AS s FROM customers;

-- verdict: refuse NULLS_COUNTED
-- visits.phone may be NULL; without a join every such row would count as one more person.
SELECT COUNT(DISTINCT phone) AS n FROM visits;

-- verdict: refuse UNIT_NULLS_COUNTED
-- The threshold itself counts visits.phone: rows of nobody could reach it.
SELECT size, COUNT(DISTINCT t.store) AS n FROM visits v JOIN stores t USING (store) GROUP BY size;

-- verdict: accept
-- Matched with customers, visits.phone is never NULL.
SELECT v.store, COUNT(DISTINCT v.phone) AS n FROM visits v JOIN customers c ON v.phone = c.phone GROUP BY v.store;

-- verdict: refuse NULLS_COUNTED
-- visits.card is not matched by this join, and may be NULL.
SELECT COUNT(DISTINCT v.card) AS n FROM visits v JOIN customers c ON v.phone = c.phone;

-- verdict: refuse UNIT_NULLS_COUNTED
-- A LEFT JOIN keeps visits without a phone; each would count as a person.
SELECT v.store, COUNT(DISTINCT c.phone) AS n FROM visits v LEFT JOIN customers c ON v.phone = c.phone GROUP BY v.store;

-- verdict: accept
-- On the right of a LEFT JOIN only matched phones are counted.
SELECT v.store, COUNT(DISTINCT v.phone) AS n FROM customers c LEFT JOIN visits v ON v.phone = c.phone GROUP BY v.store;

-- verdict: refuse NULLS_COUNTED
-- subscribers.email is not what was matched.
SELECT COUNT(DISTINCT s.email) AS n FROM subscribers s JOIN customers c ON s.phone = c.phone;
