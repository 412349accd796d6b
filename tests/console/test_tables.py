# SPDX-License-Identifier: Apache-2.0
"""Pages of tables, rules and budgets, over a real member's directory."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.conftest import make_place
from tests.console.conftest import Browser, Console, make_console
from tests.unit.cli.test_table import ROWS, crosstab

from hitoku.console.store import notes
from hitoku.console.users import May, User
from hitoku.console.work import drafts
from hitoku.console.work.tables import column_of, declared
from hitoku.errors import InputError
from hitoku.node.settings import NodeSettings

PEOPLE = "phone,segment,amount,note\n" + "".join(f"0{n},{'ab'[n % 2]},{n}.50,x\n" for n in range(40))
EVERYTHING = User("0" * 32, "all", frozenset(May))


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """One console for all tests that leave agreement and node.toml as they are."""
    made = make_console(make_place(tmp_path_factory.mktemp("shared")))
    yield made
    made.close()


def in_force(console: Console) -> None:
    """Put what was proposed in force though the other members' nodes are not up; all signatures are there."""
    entry = console.context.room(EVERYTHING, console.room)
    for proposal in drafts.all_of(console.context, entry):
        if proposal.state == "open":
            drafts.settle_now(console.context, EVERYTHING, console.room, proposal.hash)


def agreement(console: Console) -> Any:
    return console.context.room(EVERYTHING, console.room).agreement


def checked(browser: Any, path: str, **more: Any) -> str:
    """The part of the page about a check of a table, when the check has ended."""
    until = time.monotonic() + 300
    while time.monotonic() < until:
        part = browser.get(path, **more).text
        if "hx-get" not in part:
            return str(part)
        time.sleep(0.05)
    raise AssertionError("the check does not end")


def settings(console: Console) -> NodeSettings:
    return NodeSettings.open(console.context.node.directory.path)


def declaration(**more: str) -> dict[str, str]:
    columns = (
        ("phone", "string", "fingerprint"),
        ("segment", "string", "cleartext"),
        ("amount", "decimal", "cleartext"),
        ("note", "string", "sealed"),
    )
    made = {"source": "data/people.csv", "table": "people"}
    for n, (name, kind, protection) in enumerate(columns):
        made |= {f"take-{n}": "yes", f"name-{n}": name, f"type-{n}": kind, f"protection-{n}": protection}
        made |= {f"precision-{n}": "10", f"scale-{n}": "2"}
    return made | more


def people(console: Console) -> Browser:
    """A browser of who keeps tables and signs, after the table `people` is declared and in force."""
    folder = console.context.node.directory.path / "data"
    folder.mkdir(exist_ok=True)
    (folder / "people.csv").write_text(PEOPLE)
    browser = console.sign_in(May.TABLES, May.SIGN)
    answer = browser.submit(f"/rooms/{console.room}/tables", **declaration())
    assert answer.status_code == 303, answer.text
    in_force(console)
    return browser


def test_a_table_from_file_to_room_and_back(console: Console) -> None:
    browser = people(console)
    base = f"/rooms/{console.room}/tables"
    table = agreement(console).table("people")
    assert [c.protection.value for c in table.columns] == ["fingerprint", "cleartext", "cleartext", "sealed"]
    assert (table.columns[2].precision, table.columns[2].scale) == (10, 2)
    assert not table.columns[0].nullable
    assert [(t.name, t.source, t.room) for t in settings(console).tables] == [
        ("people", "data/people.csv", console.room)
    ]
    shown = browser.get(f"{base}/people")
    assert "data/people.csv" in shown.text
    assert browser.submit(f"{base}/people/check").status_code == 303
    part = checked(browser, f"{base}/people/check", headers={"hx-request": "true"})
    assert "<dd>40</dd>" in part
    assert browser.submit(f"{base}/people/leave").status_code == 303
    assert settings(console).tables == ()
    assert browser.submit(f"{base}/people/remove").status_code == 303
    in_force(console)
    assert agreement(console).table("people") is None


def test_a_wrong_declaration_changes_nothing(shared: Console) -> None:
    folder = shared.context.node.directory.path / "data"
    folder.mkdir(exist_ok=True)
    (folder / "people.csv").write_text(PEOPLE)
    before = agreement(shared)
    browser = shared.sign_in(May.TABLES, May.SIGN)
    for change in ({"table": "planes"}, {"type-0": "double"}, {"source": "member.key"}):
        answer = browser.submit(f"/rooms/{shared.room}/tables", **declaration(**change))
        assert answer.status_code == 400, change
    assert agreement(shared) == before
    assert settings(shared).tables == ()


def test_a_column_that_cannot_be_is_told_by_its_place() -> None:
    for change in ({"name-1": "UPPER case!"}, {"type-1": "text"}, {"protection-1": "open"}):
        with pytest.raises(InputError, match="column 2"):
            column_of(declaration(**change), 1)
    for change in ({"precision-2": "x"}, {"precision-2": "60"}, {"scale-2": "11"}):
        with pytest.raises(InputError, match="column 3"):
            column_of(declaration(**change), 2)
    assert column_of({}, 0) is None


def test_a_table_that_cannot_be_is_told() -> None:
    made = [column_of(declaration(), place) for place in range(4)]
    columns = [c.model_dump(mode="json", exclude_none=True) for c in made if c is not None]
    assert declared("people", "airport", columns, None).column("note") is not None
    for name, given in (("No Name", columns), ("people", columns * 2), ("people", [])):
        with pytest.raises(InputError):
            declared(name, "airport", given, None)


def test_who_may_not_sign_makes_a_draft(console: Console) -> None:
    folder = console.context.node.directory.path / "data"
    folder.mkdir(exist_ok=True)
    (folder / "people.csv").write_text(PEOPLE)
    before = agreement(console)
    browser = console.sign_in(May.TABLES)
    answer = browser.submit(f"/rooms/{console.room}/tables", **declaration())
    assert answer.headers["location"].endswith("done=draft")
    assert browser.get(answer.headers["location"]).status_code == 200
    assert agreement(console) == before


@pytest.mark.slow
def test_a_comment_in_node_toml_stays(console: Console) -> None:
    browser = people(console)
    path = console.context.node.directory.path / "node.toml"
    text = path.read_text() + '\n# kept\n[[tables]]\nname = "other"\nsource = "data/other.csv"\n'
    path.write_text(text)
    assert browser.submit(f"/rooms/{console.room}/tables/people/leave").status_code == 303
    assert "# kept" in path.read_text()
    assert [t.name for t in settings(console).tables] == ["other"]


def test_upload_through_the_page(shared: Console) -> None:
    browser = shared.sign_in(May.TABLES)
    path = f"/rooms/{shared.room}/tables/-/upload"
    answer = browser.submit(path, files={"file": ("up.csv", PEOPLE.encode(), "text/csv")})
    assert answer.status_code == 303
    page = browser.get(answer.headers["location"])
    assert page.status_code == 200
    assert "segment" in page.text
    again = browser.submit(path, files={"file": ("up.csv", b"other\n1\n", "text/csv")})
    assert again.status_code == 409
    broken = browser.submit(path, files={"file": ("broken.csv", b"a,b\n1,2\n3\n", "text/csv")})
    assert broken.status_code == 400
    assert "broken.csv: row 2 has another number of fields than the first" in broken.text
    assert 'type="file"' in broken.text  # another file can be chosen at once
    assert not (shared.context.node.directory.path / "data/broken.csv").exists()
    assert browser.post(path, files={"file": ("b.csv", b"a\n1\n", "text/csv")}).status_code == 403


# --- who may see what ---


def test_headers_and_values_come_out_as_text(shared: Console) -> None:
    directory = shared.context.node.directory.path
    (directory / "data").mkdir(exist_ok=True)
    evil = '<img src=x onerror=alert(1)>"\u202e'
    quoted = '"' + evil.replace('"', '""') + '"'
    (directory / "data" / "evil.csv").write_text(f"{quoted},\u0000b\n{quoted},<script>alert(2)</script>\n")
    browser = shared.sign_in(May.TABLES)
    source = "data/evil.csv"
    page = browser.get(f"/rooms/{shared.room}/tables/-/declare", params={"source": source})
    assert page.status_code == 200
    shown = browser.submit(f"/rooms/{shared.room}/tables/-/sample", source=source, table="evil")
    assert shown.status_code == 200
    for text in (page.text, shown.text):
        assert "<img" not in text
        assert "<script>alert" not in text
        assert "\u202e" not in text.replace(f'value="{evil}"', "")
    assert "alert(2)" in shown.text
    assert "alert(2)" not in page.text


def test_only_who_keeps_tables_sees_sources(shared: Console) -> None:
    browser = shared.sign_in(May.ASK, May.AUDIT, May.SIGN)
    base = f"/rooms/{shared.room}/tables"
    for path in (f"{base}/-/new", f"{base}/-/declare?source=data/a.csv", f"{base}/flights/rule"):
        assert browser.get(path).status_code == 403
    for path in (
        f"{base}/-/sample",
        f"{base}/-/upload",
        base,
        f"{base}/flights/check",
        f"{base}/flights/remove",
    ):
        assert browser.submit(path, source="data/a.csv", table="flights").status_code == 403


def test_other_members_tables_cannot_be_edited(shared: Console) -> None:
    browser = shared.sign_in(May.TABLES, May.SIGN)
    base = f"/rooms/{shared.room}/tables/planes"
    assert browser.get(base).status_code == 200
    assert browser.get(f"{base}/rule").status_code == 404
    for path in ("check", "leave", "remove", "rule", "rule/try"):
        assert browser.submit(f"{base}/{path}", action="propose").status_code == 404


def test_another_room_is_not_there(shared: Console) -> None:
    browser = shared.sign_in(May.TABLES, May.SIGN, rooms=frozenset())
    base = f"/rooms/{shared.room}"
    for path in (
        "/tables",
        "/tables/-/new",
        "/tables/flights",
        "/tables/flights/rule",
        "/budgets",
        "/budgets/edit",
    ):
        assert browser.get(base + path).status_code == 404
    for path in ("/tables/-/upload", "/tables/-/sample", "/tables", "/budgets/edit", "/budgets/preview"):
        assert browser.submit(base + path, source="data/a.csv", sql="SELECT 1").status_code == 404


def test_a_path_that_leads_out_is_refused_on_the_page(shared: Console) -> None:
    browser = shared.sign_in(May.TABLES)
    for source in ("../room.yaml", "member.key", "/etc/passwd", "data/../member.key"):
        page = browser.get(f"/rooms/{shared.room}/tables/-/declare", params={"source": source})
        assert page.status_code == 400
        assert "sources" in page.text


# --- more ways ---


@pytest.mark.slow
def test_a_table_is_declared_again_with_its_mapping(console: Console) -> None:
    folder = console.context.node.directory.path / "data"
    folder.mkdir(exist_ok=True)
    (folder / "people.csv").write_text(PEOPLE)
    browser = console.sign_in(May.TABLES, May.SIGN)
    form = declaration(**{"name-0": "mobile"})
    assert browser.submit(f"/rooms/{console.room}/tables", **form).status_code == 303
    in_force(console)
    page = browser.get(
        f"/rooms/{console.room}/tables/-/declare", params={"source": "data/people.csv", "table": "people"}
    )
    assert 'name="name-0" value="mobile"' in page.text
    before = settings(console)
    assert before.tables[0].columns == {"mobile": "phone"}
    again = browser.submit(f"/rooms/{console.room}/tables", **form)
    assert again.headers["location"].endswith("done=entered")
    assert settings(console) == before
    # Another form of it is proposed; the source goes on fitting the one in force until then.
    del form["take-3"]
    changed = browser.submit(f"/rooms/{console.room}/tables", **{**form, "name-0": "handy"})
    assert changed.headers["location"].endswith("done=open")
    assert settings(console) == before
    audit = [e["what"] for e in notes(console.context)]
    assert audit.count("table source entered") == 2


@pytest.mark.slow
def test_identifiers_of_persons_are_chosen(make: Any) -> None:
    console = make_console(make(crosstab))
    try:
        folder = console.context.node.directory.path / "data"
        folder.mkdir(exist_ok=True)
        pq.write_table(pa.table(ROWS), folder / "people.parquet")
        browser = console.sign_in(May.TABLES)
        path = f"/rooms/{console.room}/tables/-/declare"
        page = browser.get(path, params={"source": "data/people.parquet", "table": "flights"})
        assert 'name="person-phone"' in page.text
        form = {"source": "data/people.parquet", "table": "flights", "person": ["phone", "name"]}
        form |= {"person-phone": "Tel", "person-name": "family"}
        table = agreement(console).table("flights")
        for n, name in enumerate(ROWS):
            column = table.column("phone" if name == "Tel" else name)
            if column is not None:
                form |= {f"take-{n}": "yes", f"name-{n}": column.name, f"type-{n}": column.type.value}
                form |= {f"protection-{n}": column.protection.value}
                form |= {f"nullable-{n}": "yes"} if column.nullable else {}
        answer = browser.submit(f"/rooms/{console.room}/tables", **form)
        assert answer.status_code == 303, answer.text
        assert answer.headers["location"].endswith("done=entered")
        assert settings(console).tables[0].person == {"phone": ("Tel",), "name": ("family",)}
        browser.submit(f"/rooms/{console.room}/tables/flights/check")
        part = checked(browser, f"/rooms/{console.room}/tables/flights/check")
        assert "People" in part
        assert "secret-value" not in part
    finally:
        console.close()


@pytest.mark.slow
def test_a_table_of_a_duckdb_file(shared: Console) -> None:
    folder = shared.context.node.directory.path / "data"
    folder.mkdir(exist_ok=True)
    with duckdb.connect(str(folder / "base.duckdb")) as made:
        made.execute("CREATE TABLE people AS SELECT i AS n, 'x' AS segment FROM range(7) t(i)")
    browser = shared.sign_in(May.TABLES)
    path = f"/rooms/{shared.room}/tables/-/declare"
    page = browser.get(path, params={"source": "duckdb:data/base.duckdb?table=people"})
    assert page.status_code == 200
    assert "<dd>7</dd>" in page.text
    assert browser.get(path, params={"source": "duckdb:data/base.duckdb?table=none"}).status_code == 400


def test_what_others_did_is_on_record(shared: Console) -> None:
    folder = shared.context.node.directory.path / "data"
    folder.mkdir(exist_ok=True)
    (folder / "people.csv").write_text(PEOPLE)
    browser = shared.sign_in(May.TABLES)
    browser.submit(f"/rooms/{shared.room}/tables/-/sample", source="data/people.csv", table="people")
    event = notes(shared.context)[0]
    assert (event["what"], event["room"], event["user"]) == (
        "first rows shown",
        shared.room,
        browser.account.name,
    )
