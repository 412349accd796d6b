-- Where rows may come from: the tables of the room, and nothing else.

-- verdict: refuse UNKNOWN_TABLE
-- There is no such table in the room.
SELECT COUNT(*) FROM passwords;

-- verdict: refuse NO_RULE
-- telco has set no rule on payroll: nothing can be asked of it.
SELECT AVG(salary) FROM payroll;

-- verdict: refuse TABLE_FUNCTION
-- A file on the host is no table of the room.
SELECT COUNT(*) FROM read_csv('/etc/passwd');

-- verdict: refuse TABLE_FUNCTION
-- Nor is a Parquet file.
SELECT COUNT(*) FROM read_parquet('s3://bucket/key');

-- verdict: refuse UNKNOWN_TABLE
-- A file name in quotes is a file all the same.
SELECT COUNT(*) FROM 'customers.parquet';

-- verdict: refuse TABLE_FUNCTION
-- The engine's own tables tell about the host.
SELECT COUNT(*) FROM duckdb_settings();

-- verdict: refuse CLAUSE_NOT_ALLOWED
-- Catalogues of the engine are reached by a schema; the room has none.
SELECT COUNT(*) FROM information_schema.tables;

-- verdict: refuse CLAUSE_NOT_ALLOWED
-- A table is named without a schema.
SELECT COUNT(DISTINCT phone) FROM main.customers;

-- verdict: refuse TABLE_FUNCTION
-- Made-up rows: a partner could pad a group with people who do not exist.
SELECT COUNT(*) FROM (VALUES (1), (2)) AS t(a);

-- verdict: refuse TABLE_FUNCTION
-- Generated rows likewise.
SELECT COUNT(*) FROM range(1000);

-- verdict: refuse CROSS_JOIN
-- UNNEST makes rows out of values.
SELECT COUNT(*) FROM customers, UNNEST([1, 2, 3]);

-- verdict: refuse STAR
-- FROM without SELECT means every column.
FROM customers;

-- verdict: refuse STAR
-- Every column.
SELECT * FROM customers;

-- verdict: refuse STAR
-- Every column of one table.
SELECT customers.* FROM customers;

-- verdict: refuse STAR
-- Every column that matches a pattern.
SELECT COLUMNS('p.*') FROM customers;

-- verdict: refuse STAR
-- Every column, by DuckDB's COLUMNS.
SELECT COLUMNS(*) FROM customers;

-- verdict: refuse WHOLE_ROW
-- In DuckDB a table's name as a column is the whole row.
SELECT customers FROM customers;

-- verdict: refuse WHOLE_ROW
-- The same through an alias.
SELECT COUNT(DISTINCT c) FROM customers AS c;

-- verdict: refuse UNKNOWN_COLUMN
-- No such column.
SELECT COUNT(DISTINCT email) FROM customers;

-- verdict: refuse UNKNOWN_COLUMN
-- A hidden column of the engine.
SELECT COUNT(DISTINCT rowid) FROM customers;

-- verdict: refuse UNKNOWN_NAME
-- An alias replaces the table's name.
SELECT COUNT(DISTINCT customers.phone) FROM customers AS c;

-- verdict: refuse AMBIGUOUS_COLUMN
-- Both tables have a phone: say which.
SELECT COUNT(DISTINCT phone) AS n FROM customers JOIN visits ON customers.phone = visits.phone;

-- verdict: refuse CLAUSE_NOT_ALLOWED
-- A field of a column: three names instead of two.
SELECT COUNT(DISTINCT a.customers.phone) FROM customers;

-- verdict: refuse CLAUSE_NOT_ALLOWED
-- Column aliases of a table could hide which column is meant.
SELECT COUNT(DISTINCT a) FROM customers AS t(a, b);

-- verdict: refuse DUPLICATE_NAME
-- One name for two tables.
SELECT COUNT(DISTINCT a.phone) AS n FROM customers AS a JOIN visits AS a ON a.phone = a.phone;

-- verdict: accept
-- Names are folded as everywhere in SQL; quotes do not change that.
SELECT "Region", COUNT(DISTINCT PHONE) AS n FROM "CUSTOMERS" GROUP BY REGION;

-- verdict: refuse UNKNOWN_TABLE
-- A look-alike letter (Cyrillic es) is another letter.
SELECT COUNT(*) FROM сustomers;

-- verdict: refuse UNKNOWN_COLUMN
-- The Kelvin sign is not the letter k.
SELECT COUNT(DISTINCT "Åphone") FROM customers;
