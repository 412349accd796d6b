# SPDX-License-Identifier: Apache-2.0
"""The audit page: events and outcomes of questions, filtered, paged, exported; nothing of another room."""

from __future__ import annotations

import csv
import io
import json
import re
from html import unescape
from typing import Any

import pytest
from tests.conftest import Place
from tests.console.records_world import ROOM, World

from hitoku.console.users import May
from hitoku.console.work import audit as work
from hitoku.room import consoletables as tables

HOSTILE = "<script>alert(1)</script>"
OTHER = "11111111-2222-3333-4444-555555555555"


def text_of(page: str) -> str:
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page)))


@pytest.fixture
def world(place: Place) -> World:
    """Two users, 250 sign-ins, one signature in each of two rooms, and questions with secrets in them."""
    made = World(place)
    user = {"abilities": "[]", "language": "en", "theme": "auto", "created": "x", "changed": "x"}
    events: list[dict[str, Any]] = [
        {"time": f"2026-11-21T{n // 60:02}:{n % 60:02}:00Z", "user": "ann", "what": "signed in", "room": None,
         "detail": "{}"}
        for n in range(250)
    ]  # fmt: skip
    for room in (ROOM, OTHER):
        detail = json.dumps({"version": 2, "note": HOSTILE})
        events.append({"time": "2026-11-22T08:00:00Z", "user": "=cmd()", "what": "signed", "room": room,
                       "detail": detail})  # fmt: skip
    events.append(
        {"time": "2026-11-22T09:00:00Z", "user": None, "what": "failed", "room": None, "detail": "{"}
    )
    asks = [
        {"id": f"{n:032x}", "user": "1" * 32, "room": room, "sql": "SELECT 'SECRET'", "options": "SECRET",
         "state": state, "phases": "[]", "answer": b"SECRET", "refusal": refusal, "run": "a" * 32,
         "created": f"2026-11-22T10:00:0{n}Z", "updated": "x"}
        for n, (room, state, refusal) in enumerate(
            [(ROOM, "done", None), (ROOM, "refused", '{"code": "NO_SUCH", "message": "SECRET"}'),
             (OTHER, "failed", None), (ROOM, "refused", "{")]
        )
    ]  # fmt: skip
    with made.store.transaction() as connection:
        connection.execute(
            tables.users.insert(),
            [{"id": "1" * 32, "name": "ann", **user}, {"id": "2" * 32, "name": "bob", **user}],
        )
        connection.execute(tables.events.insert(), events)
        connection.execute(tables.asks.insert(), asks)
    return made


def test_who_did_what_newest_first(world: World) -> None:
    page = text_of(world.get("/audit"))
    assert page.index("failed") < page.index("signed")
    assert "2026-11-22 09:00:00 nobody signed in failed" in page
    assert "note: <script>alert(1)</script>" in page
    assert "<script>alert" not in world.get("/audit")


def test_pages_go_on_without_gaps(world: World) -> None:
    seen: list[str] = []
    after: str | None = ""
    while after is not None:
        assert world.user is not None
        page = work.acts(world.context, world.user, work.Wanted(), after)
        seen += [act.place for act in page.acts]
        after = page.after
    assert len(seen) == len(set(seen)) == 253
    first = world.get("/audit")
    older = unescape(re.search(r'rel="next" href="([^"]+)"', first)[1])  # type: ignore[index]
    assert "2026-11-21 02:3" in world.get(older)


@pytest.mark.parametrize(
    ("wanted", "count"),
    [
        ({"user": "ann"}, 250), ({"user": "an"}, 0), ({"what": "signed"}, 2), ({"room": ROOM}, 1),
        ({"since": "2026-11-22"}, 3), ({"until": "2026-11-21"}, 250),
        ({"since": "2026-11-22T08:30", "until": "2026-11-22"}, 1),
        ({"source": "asks"}, 4), ({"source": "asks", "what": "refused"}, 2),
        ({"source": "asks", "room": OTHER}, 1),
        ({"source": "asks", "user": "bob"}, 0),
    ],
    ids=["user", "part", "what", "room", "since", "until", "both", "asks", "state", "asks room", "asks user"],
)  # fmt: skip
def test_a_filter_takes_what_fits(world: World, wanted: dict[str, str], count: int) -> None:
    assert world.user is not None
    pieces = work.csv_pieces(world.context, world.user, work.Wanted(**wanted))  # type: ignore[arg-type]
    assert len("".join(pieces).splitlines()) == count + 1


def test_of_questions_only_the_outcome_is_told(world: World) -> None:
    page = world.get("/audit", source="asks")
    told = text_of(page)
    assert "refused (NO_SUCH)" in told
    assert "done" in told
    assert f"/rooms/{ROOM}/ledger?run={'a' * 32}" in page
    assert "SECRET" not in page + world.get("/audit.csv", source="asks")


def test_the_export_is_csv_that_no_spreadsheet_computes(world: World) -> None:
    rows = list(csv.reader(io.StringIO(world.get("/audit.csv"))))
    assert rows[0] == ["time", "user", "what", "outcome", "room", "detail"]
    assert rows[1][1:3] == ["Somebody", "audit exported"]  # this very export is on record
    assert len(rows) == 255
    assert {row[1] for row in rows[2:]} == {"ann", "'=cmd()", ""}


def test_it_is_for_auditors_of_the_rooms_they_see(world: World) -> None:
    world.user = world.somebody(May.ASK, May.SIGN, May.ADMINISTER, May.TABLES)
    world.get("/audit", 403)
    world.get("/audit.csv", 403)
    world.user = world.somebody(May.AUDIT, rooms=frozenset({ROOM}))
    for path in ("/audit", "/audit.csv"):
        assert OTHER[:8] not in world.get(path)
        assert OTHER[:8] not in world.get(path, room=OTHER).replace(f"room={OTHER}", "")
        assert OTHER[:8] not in world.get(path, source="asks")
    world.user = None
    assert world.client.get("/audit").status_code in {303, 401}


def test_odd_requests(world: World) -> None:
    world.get("/audit", 400, source="passwords")
    world.get("/audit", after="9" * 50)
    world.get("/audit", after="' OR 1=1 --", who="' OR 1=1 --")
    world.get("/audit", source="asks", after="x|y")
    world.user = world.somebody(May.AUDIT, language="ja")
    assert "監査" in world.get("/audit")


@pytest.mark.parametrize("first", list("=+-@＝＋－＠\t\r\n"), ids=lambda c: f"u{ord(c):04x}")
def test_csv_of_a_formula_is_text(first):
    from hitoku.console.work.audit import _csv

    assert next(csv.reader([_csv((f"{first}1+1", "name"))]))[0].startswith("'")
