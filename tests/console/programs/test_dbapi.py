# SPDX-License-Identifier: Apache-2.0
"""PEP 249, and pandas on top of it."""

from __future__ import annotations

import datetime as dt
import inspect

import pyarrow as pa
import pytest
from tests.conftest import QUESTION, REFUSED

from hitoku.client import dbapi
from hitoku.errors import Refusal

BY_CARRIER = """\
SELECT carrier, COUNT(DISTINCT tailnum) AS planes FROM flights WHERE carrier = ? GROUP BY carrier"""


@pytest.fixture
def database(world, token):
    with dbapi.connect(world.url, "Test room", token=token) as made:
        yield made


def test_the_module_says_what_pep_249_asks_for():
    assert (dbapi.apilevel, dbapi.threadsafety, dbapi.paramstyle) == ("2.0", 1, "qmark")
    for name in (
        "Date",
        "Time",
        "Timestamp",
        "DateFromTicks",
        "TimeFromTicks",
        "TimestampFromTicks",
        "Binary",
    ):
        assert callable(getattr(dbapi, name))
    assert dbapi.DateFromTicks(86_400) == dt.date(1970, 1, 2)
    assert dbapi.TimeFromTicks(3_661) == dt.time(1, 1, 1)
    assert len({dbapi.STRING, dbapi.BINARY, dbapi.NUMBER, dbapi.DATETIME, dbapi.ROWID}) == 5


@pytest.mark.parametrize(
    ("name", "base"),
    [
        ("Warning", "Exception"),
        ("Error", "Exception"),
        ("InterfaceError", "Error"),
        ("DatabaseError", "Error"),
        ("DataError", "DatabaseError"),
        ("OperationalError", "DatabaseError"),
        ("IntegrityError", "DatabaseError"),
        ("InternalError", "DatabaseError"),
        ("ProgrammingError", "DatabaseError"),
        ("NotSupportedError", "DatabaseError"),
    ],
)
def test_errors_stand_in_the_pep_s_tree(name, base):
    kind = getattr(dbapi, name)
    assert inspect.isclass(kind)
    assert kind.__mro__[1].__name__ == base
    assert getattr(dbapi.Connection, name) is kind


def test_rows_come_as_the_pep_says(database):
    cursor = database.cursor()
    assert (cursor.description, cursor.rowcount, cursor.rownumber, cursor.arraysize) == (None, -1, None, 1)
    with pytest.raises(dbapi.ProgrammingError, match="execute a question first"):
        cursor.fetchone()
    assert cursor.execute(BY_CARRIER, ["AA"]) is cursor
    assert [(c[0], c[1]) for c in cursor.description] == [("carrier", dbapi.STRING), ("planes", dbapi.NUMBER)]
    assert all(len(column) == 7 for column in cursor.description)
    assert cursor.rowcount == 1
    assert cursor.fetchone() == ("AA", 14)
    assert cursor.rownumber == 1
    assert cursor.fetchone() is None
    assert cursor.fetchmany(3) == []
    assert cursor.fetchall() == []
    assert cursor.nextset() is None
    assert cursor.answer.withheld.thresholds
    cursor.execute(
        "SELECT carrier, COUNT(DISTINCT tailnum) AS n FROM flights GROUP BY carrier ORDER BY n DESC"
    )
    cursor.arraysize = 2
    assert cursor.fetchmany() == [("AA", 14), ("ZZ", 4)]
    assert list(cursor) == []
    cursor.setinputsizes([1])
    cursor.setoutputsize(1, 1)
    with pytest.raises(dbapi.NotSupportedError):
        cursor.executemany(BY_CARRIER, [["AA"], ["ZZ"]])


def test_arrow_tables_hold_what_is_left(database):
    cursor = database.cursor()
    cursor.execute(
        "SELECT carrier, COUNT(DISTINCT tailnum) AS n FROM flights GROUP BY carrier ORDER BY n DESC"
    )
    whole = cursor.answer.to_arrow()
    cursor.fetchone()
    assert cursor.fetch_arrow_table().equals(whole.slice(1))
    assert cursor.fetchone() is None
    assert isinstance(whole, pa.Table)


def test_values_go_by_name_too_and_templates_are_called(database):
    cursor = database.cursor()
    cursor.execute(BY_CARRIER.replace("?", ":carrier"), {"carrier": "AA"})
    assert cursor.fetchall() == [("AA", 14)]
    assert cursor.callproc("planes_of", {"carrier": "AA"}) == {"carrier": "AA"}
    assert cursor.fetchall() == [(14,)]
    cursor.callproc("planes_of", {"carrier": "O'Hare') --"})
    assert cursor.fetchall() == []
    with pytest.raises(dbapi.ProgrammingError, match="names"):
        cursor.callproc("planes_of); DROP", {"carrier": "AA"})


def test_a_hostile_value_stays_a_value(database):
    cursor = database.cursor()
    cursor.execute(BY_CARRIER, ["' OR 1 = 1 --"])
    assert cursor.fetchall() == []


def test_a_refusal_is_a_programming_error_with_the_refusal_behind_it(database):
    with pytest.raises(dbapi.ProgrammingError) as found:
        database.cursor().execute(REFUSED)
    refusal = found.value.__cause__
    assert isinstance(refusal, Refusal)
    assert found.value.code == refusal.code
    assert "PLANTED" not in str(found.value)


def test_errors_of_the_way_are_operational(world, token, database):
    with pytest.raises(dbapi.OperationalError) as found:
        dbapi.connect(world.url, token="hitoku_" + "A" * 43)
    assert found.value.code == "NOT_SIGNED_IN"
    with pytest.raises(dbapi.InterfaceError):
        dbapi.connect("http://console.example", token=token)
    with pytest.raises(dbapi.ProgrammingError):
        dbapi.connect(world.url, "another room", token=token)


def test_what_is_closed_is_closed(world, token):
    made = dbapi.connect(world.url, token=token)
    cursor, other = made.cursor(), made.cursor()
    cursor.close()
    with pytest.raises(dbapi.InterfaceError):
        cursor.execute(QUESTION)
    made.commit()
    made.rollback()
    made.close()
    for call in (made.close, made.commit, made.rollback, made.cursor, other.fetchall):
        with pytest.raises(dbapi.InterfaceError):
            call()


def test_pandas_reads_sql(database):
    import pandas as pd

    with pytest.warns(UserWarning, match="SQLAlchemy"):
        frame = pd.read_sql(BY_CARRIER, database, params=["AA"])
    assert frame.to_dict("records") == [{"carrier": "AA", "planes": 14}]
