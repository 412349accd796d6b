-- Tables with noise: statistics only, and never beside exact thresholds.
-- room: custom.yaml

-- verdict: accept
-- A noised count.
SELECT COUNT(*) AS n FROM trips;

-- verdict: accept
-- By groups.
SELECT kind, COUNT(DISTINCT phone) AS n FROM trips GROUP BY kind;

-- verdict: refuse PRIVACY_ROWS
-- Rows carry no noise.
SELECT DISTINCT kind FROM trips;

-- verdict: refuse PRIVACY_ROWS
-- Groups without a figure neither.
SELECT kind FROM trips GROUP BY kind;

-- verdict: refuse RULE_MODES_DIFFER
-- An exact threshold would tell what the noise hides.
SELECT COUNT(*) AS n FROM trips t JOIN people p ON t.phone = p.phone;

-- verdict: refuse RULE_MODES_DIFFER
-- Nor in another branch.
SELECT COUNT(*) AS n FROM trips UNION ALL SELECT COUNT(*) FROM people;

-- verdict: refuse PRIVACY_ROWS
-- Rows of another table beside them are rows all the same.
SELECT DISTINCT c.item FROM catalog c JOIN trips t ON c.phone = t.phone;
