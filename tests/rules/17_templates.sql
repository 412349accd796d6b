-- Approved templates: EXECUTE name(parameter := literal, ...).
-- room: custom.yaml

-- verdict: accept
-- An approved template with its default.
EXECUTE spend_by_kind;

-- verdict: accept
-- Empty brackets are the same.
EXECUTE spend_by_kind();

-- verdict: accept
-- A value of the declared type.
EXECUTE spend_by_kind(least := 99.95);

-- verdict: accept
-- A negative number, the name in capitals, a closing semicolon.
execute SPEND_BY_KIND(LEAST := -5) ;

-- verdict: accept
-- A date as text or typed; one parameter has a default.
EXECUTE cards_since(first := '2025-01-01', kind := 'gold');

-- verdict: accept
-- In any order, with DATE, spaces and comments.
EXECUTE cards_since( /* which */ kind := 'gold', last := DATE '2026-01-01', first := DATE '2025-01-01' ) -- end;

-- verdict: accept
-- A quote and a semicolon in a text stay text.
EXECUTE cards_since(first := '2025-01-01', kind := '''); DROP TABLE cards; --');

-- verdict: accept
-- A text that looks like SQL is compared, not read.
EXECUTE cards_since(first := '2025-01-01', kind := 'x'' OR ''1'' = ''1');

-- verdict: accept
-- One parameter of every type, with the largest values.
EXECUTE all_types(flag := FALSE, moment := TIMESTAMP '2025-01-01 12:30:00', small := -32768, whole := 2147483647, large := -9223372036854775808, ratio := 1e-3, rows := 5);

-- verdict: refuse EXECUTE_FORM
-- Values go by name.
EXECUTE spend_by_kind(5);

-- verdict: refuse EXECUTE_FORM
-- No name at all.
EXECUTE;

-- verdict: refuse EXECUTE_FORM
-- Something after the brackets.
EXECUTE spend_by_kind(least := 5) UNION SELECT 1;

-- verdict: refuse EXECUTE_FORM
-- A comma without a value.
EXECUTE spend_by_kind(least := 5,);

-- verdict: refuse EXECUTE_FORM
-- Brackets that are not closed.
EXECUTE spend_by_kind(least := 5;

-- verdict: refuse EXECUTE_FORM
-- The text of a template is not a name.
EXECUTE 'spend_by_kind';

-- verdict: refuse SYNTAX
-- A text without its end.
EXECUTE cards_since(first := '2025-01-01, kind := 'gold');

-- verdict: refuse SEVERAL_STATEMENTS
-- A second statement.
EXECUTE spend_by_kind; SELECT 1;

-- verdict: refuse PARAMETER_LITERAL
-- A value is a literal, not an expression.
EXECUTE spend_by_kind(least := 2 * 3);

-- verdict: refuse PARAMETER_LITERAL
-- Not a column.
EXECUTE spend_by_kind(least := amount);

-- verdict: refuse PARAMETER_LITERAL
-- Not a subquery.
EXECUTE spend_by_kind(least := (SELECT 1));

-- verdict: refuse PARAMETER_LITERAL
-- A parameter has a value; NULL is none.
EXECUTE spend_by_kind(least := NULL);

-- verdict: refuse PARAMETER_LITERAL
-- A minus belongs before a number.
EXECUTE cards_since(first := '2025-01-01', kind := -'x');

-- verdict: refuse UNKNOWN_TEMPLATE
-- No template of that name.
EXECUTE spend_by_colour(least := 5);

-- verdict: refuse UNKNOWN_PARAMETER
-- No parameter of that name.
EXECUTE spend_by_kind(most := 5);

-- verdict: refuse PARAMETER_TWICE
-- Given twice.
EXECUTE spend_by_kind(least := 5, least := 6);

-- verdict: refuse PARAMETER_MISSING
-- kind and first have no default.
EXECUTE cards_since(first := '2025-01-01');

-- verdict: refuse PARAMETER_TYPE
-- A text for a number.
EXECUTE spend_by_kind(least := '5');

-- verdict: refuse PARAMETER_TYPE
-- A number for a text.
EXECUTE cards_since(first := '2025-01-01', kind := 5);

-- verdict: refuse PARAMETER_TYPE
-- A timestamp for a date.
EXECUTE cards_since(first := TIMESTAMP '2025-01-01 00:00:00', kind := 'gold');

-- verdict: refuse PARAMETER_TYPE
-- A number for a truth value.
EXECUTE all_types(flag := 1);

-- verdict: refuse PARAMETER_VALUE
-- No such day.
EXECUTE cards_since(first := '2025-02-30', kind := 'gold');

-- verdict: refuse PARAMETER_VALUE
-- Too large for a smallint.
EXECUTE all_types(small := 32768);

-- verdict: refuse PARAMETER_VALUE
-- Too large for a bigint.
EXECUTE all_types(large := 9223372036854775808);

-- verdict: refuse PARAMETER_VALUE
-- A fraction for an int.
EXECUTE all_types(whole := 1.5);

-- verdict: refuse PARAMETER_VALUE
-- A double beyond all doubles.
EXECUTE all_types(ratio := 1e999);

-- verdict: refuse LIMIT_FORM
-- A bound value is checked where it stands, like any literal.
EXECUTE all_types(rows := -1);

-- verdict: refuse TEMPLATE_NOT_ALLOWED
-- A template of the room that bank has not approved.
EXECUTE not_approved;

-- verdict: refuse THRESHOLD_ROWS
-- Approval does not replace the rest of the rule.
EXECUTE single_rows;

-- verdict: accept
-- A template on a table that allows any question of the asker.
EXECUTE of_people(age := 30);

-- verdict: refuse OUTPUT_COLUMN_DISALLOWED
-- There too the rest of the rule holds.
EXECUTE too_much;

-- verdict: refuse ANALYSIS_NOT_ALLOWED
-- asker: bank
-- And who may ask.
EXECUTE of_people(age := 30);

-- verdict: refuse TEMPLATE_INVALID
-- It uses a parameter that it does not declare.
EXECUTE undeclared(age := 30);

-- verdict: refuse TEMPLATE_INVALID
-- It is no question.
EXECUTE nonsense;

-- verdict: refuse EXPRESSION_NOT_ALLOWED
-- A placeholder outside a template stands for nothing.
SELECT region, COUNT(*) AS n FROM people WHERE age > :age GROUP BY region;
