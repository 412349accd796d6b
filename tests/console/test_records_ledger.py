# SPDX-License-Identifier: Apache-2.0
"""Ledger pages over a real ledger: search, words, proofs, verification of a ledger that was tampered with."""

from __future__ import annotations

import json
import re
import sqlite3
import time
from html import unescape
from typing import Any

import pytest
from tests.conftest import QUESTION, Place, fill, make_place
from tests.console.records_world import ROOM, World, copied

from hitoku import limits
from hitoku.cli import main as cli
from hitoku.console.users import May
from hitoku.console.words import LANGUAGES, catalogue, say
from hitoku.console.work import ledger as work
from hitoku.console.work import ledger_checks as checks
from hitoku.console.work.ledger_words import sentence
from hitoku.node.local import open_room
from hitoku.room.ledger import Entry, EntryKind, Head, Inclusion, read_entry

BASE = f"/rooms/{ROOM}/ledger"
HOSTILE = "<script>alert(1)</script>\u202e\x1b[31m"


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A room in which a question was answered."""
    place = fill(make_place(tmp_path_factory.mktemp("asked")))
    open_room(place.path, "airport").ask(QUESTION)
    return place


@pytest.fixture
def world(asked: Place, tmp_path: Any) -> World:
    """The airport's console, after that question."""
    return World(copied(asked, tmp_path / "world"))


@pytest.fixture
def empty(place: Place) -> World:
    return World(place)


def text_of(page: str) -> str:
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page)))


def done(world: World, answer: Any) -> str:
    """The page of a verification, when it has ended."""
    place = answer.headers["location"]
    until = time.monotonic() + 300
    while time.monotonic() < until:
        page = world.client.get(place)
        if "refresh" not in page.headers:
            return text_of(page.text)
        time.sleep(0.02)
    raise AssertionError("the verification does not end")


def test_a_question_is_told_in_words(world: World) -> None:
    page = text_of(world.get(BASE))
    assert "airport asked a question by tokens; receivers: airport" in page
    assert "The answer was released." in page


def test_words_are_in_the_users_language(world: World) -> None:
    world.user = world.somebody(May.AUDIT, language="ja")
    page = world.get(BASE)
    assert "台帳" in page
    assert "airport が tokens で質問しました" in page


def test_every_kind_of_entry_has_words() -> None:
    for kind in EntryKind:
        assert f"ledger.kind_{kind}" in catalogue()
        for body in (
            {}, {"verdict": "refuse"}, {"change": "policy"}, {"role": "asker"}, {"state": "ended"},
            {"repeats": "r"}, {"reason": "r"}, {"table": 7}, {"stage": "restored-accepted"},
        ):  # fmt: skip
            key, names = sentence(Entry(0, "t", kind, body, b""))
            for language in LANGUAGES:
                assert "{" not in say(language, key, **names)


def test_an_empty_ledger_has_its_pages(empty: World) -> None:
    assert "Nothing is recorded yet" in empty.get(BASE)
    assert "none seen yet" in empty.get(f"{BASE}/heads")
    assert "Nothing is recorded yet" in empty.get(f"{BASE}/export")
    assert empty.get(f"{BASE}/export.jsonl") == ""
    assert "The ledger holds." in done(empty, empty.post(f"{BASE}/verify", 303))
    empty.get(f"{BASE}/entries/0", 404)
    empty.get(f"{BASE}/entries/0/proof.json", 404)


def test_only_who_audits_reads_it(world: World) -> None:
    world.user = world.somebody(May.ASK, May.SIGN, May.ADMINISTER)
    for path in ("", "/entries/0", "/entries/0/proof.json", "/verify", "/heads", "/export", "/export.jsonl"):
        world.get(BASE + path, 403)
    world.post(f"{BASE}/verify", 403)
    world.post(f"{BASE}/heads", 403)
    world.get(f"{BASE}/proof")  # a proof may be checked by anybody


def test_another_room_is_nobodys(world: World) -> None:
    other = "11111111-2222-3333-4444-555555555555"
    check = world.post(f"{BASE}/verify", 303).headers["location"].rpartition("/")[2]
    with world.store.transaction() as connection:
        world.records(other).ledger.append(connection, EntryKind.DELETION, {"table": "theirs"})
    world.get(f"/rooms/{other}/ledger", 404)
    world.user = world.somebody(May.AUDIT, rooms=frozenset({other}))
    for path in ("", "/entries/0", "/entries/0/proof.json", f"/verify/{check}", "/heads", "/export.jsonl"):
        world.get(BASE + path, 404)
    world.post(f"{BASE}/proof", 404, proof="{}")
    world.user = world.somebody(May.AUDIT)
    assert "theirs" not in world.get(f"{BASE}/export.jsonl")
    assert "theirs" not in world.get(BASE, text="theirs").replace('value="theirs"', "")


def test_a_search_finds_what_fits_and_nothing_else(world: World) -> None:
    entry = world.context.room(world.user, ROOM)  # type: ignore[arg-type]

    def kinds(**wanted: Any) -> list[str]:
        found = work.search(world.context, entry, work.Wanted(**wanted))
        return [str(line.entry.kind) for line in found.lines if line.entry is not None]

    everything = kinds()
    assert len(everything) == world.ledger.head().size  # type: ignore[union-attr]
    assert set(kinds(kind=EntryKind.QUESTION)) == {"question"}
    run = next(e.body["run"] for e in world.ledger.entries() if "run" in e.body)
    assert {"question", "verdict", "release"} <= set(kinds(run=run[:8]))
    assert kinds(run="f" * 32) == []
    assert "question" in kinds(text="MANUFACTURER")
    assert kinds(text="no such text") == []
    assert kinds(member="regis") == []  # a whole name, not a part of one
    assert "question" in kinds(member="airport")
    today = world.context.clock.now().date().isoformat()
    assert kinds(since=today, until=today) == everything
    assert kinds(until="2020-01-01") == []
    assert kinds(since="2999-01-01") == []


def test_what_is_searched_for_is_in_the_pages_links(world: World) -> None:
    for n in range(120):
        with world.store.transaction() as connection:
            world.ledger.append(connection, EntryKind.DELETION, {"table": f"t{n}", "reason": "a & b"})
    page = world.get(BASE, text="a & b", kind="deletion")
    assert "t119 was" in page
    assert "t69 was" not in page
    older = unescape(re.search(r'rel="next" href="([^"]+)"', page)[1])  # type: ignore[index]
    second = world.get(older)
    assert "t69 was" in second
    assert "t119 was" not in second
    third = world.get(unescape(re.search(r'rel="next" href="([^"]+)"', second)[1]))  # type: ignore[index]
    assert "t0 was" in third


def test_text_of_others_is_escaped(world: World) -> None:
    body = {"asker": HOSTILE, "code": HOSTILE, "run": HOSTILE, "reason": HOSTILE, HOSTILE: HOSTILE}
    with world.store.transaction() as connection:
        seq = world.ledger.append(connection, EntryKind.REFUSAL, body)
    proof = json.dumps(world.ledger.prove(seq).to_dict())
    for page in (
        world.get(BASE),
        world.get(BASE, text=HOSTILE, member=HOSTILE, run=HOSTILE),
        world.get(f"{BASE}/entries/{seq}"),
        world.post(f"{BASE}/proof", proof=proof).text,
        world.post(f"{BASE}/proof", proof=HOSTILE).text,
        world.post(f"{BASE}/verify", 400, kept=HOSTILE).text,
    ):
        assert "<script>alert" not in page
        assert "\u202e" not in page
        assert "style=" not in page
        assert "onclick" not in page


def test_a_proof_is_downloaded_pasted_and_verified(world: World) -> None:
    answer = world.client.get(f"{BASE}/entries/1/proof.json")
    assert answer.headers["content-disposition"] == 'attachment; filename="airport-ledger-entry-1.json"'
    page = text_of(world.post(f"{BASE}/proof", proof=answer.text).text)
    assert "Verified" in page
    assert "Entry 1 stands in the ledger of airport" in page
    assert "one of this node's own ledger" in page


def test_a_proof_of_another_member_is_verified_and_compared(world: World) -> None:
    theirs = world.place.members["host"].records(ROOM, world.context.clock)
    proof = json.dumps(theirs.ledger.prove(0).to_dict())
    page = text_of(world.post(f"{BASE}/proof", proof=proof).text)
    assert "Entry 0 stands in the ledger of host" in page


def forged(world: World, seq: int) -> dict[str, str]:
    """Proofs that do not hold, by the outcome expected."""
    good = world.ledger.prove(seq).to_dict()
    host = world.place.members["host"].records(ROOM, world.context.clock).ledger
    elsewhere = world.records("11111111-2222-3333-4444-555555555555").ledger
    with world.store.transaction() as connection:
        elsewhere.append(connection, EntryKind.DELETION, {"table": "x"})

    def changed(**new: Any) -> dict[str, Any]:
        return {**good, **new}

    stranger = {**good["head"], "member": "nobody"}
    mine_as_theirs = {**host.prove(0).to_dict(), "head": {**good["head"], "member": "host"}}
    body = {**good["entry"], "body": {**good["entry"]["body"], "asker": "registry"}}
    cases = {
        "form": {"format": "hitoku/ledger-proof/1"},
        "room": elsewhere.prove(0).to_dict(),
        "member": changed(head=stranger),
        "signature": mine_as_theirs,
        "signature 2": changed(head={**good["head"], "size": good["head"]["size"] + 1}),
        "path": changed(entry=body),
        "path 2": changed(index=seq + 1),
        "path 3": changed(proof=good["proof"][:-1]),
    }
    return {name: json.dumps(case) for name, case in cases.items()}


def test_forged_proofs_are_told_apart(world: World) -> None:
    entry = world.context.room(world.user, ROOM)  # type: ignore[arg-type]
    for name, proof in forged(world, 1).items():
        assert work.check_proof(world.context, entry, proof).outcome == name.split()[0], name
        page = text_of(world.post(f"{BASE}/proof", proof=proof).text)
        assert "Not verified" in page, name
        assert "Verified" not in page, name
    for garbage in ("", "[]", "null", "{" * 5_000, "[" * 50_000, '{"format": 1}', "\ud800"):
        assert work.check_proof(world.context, entry, garbage).outcome == "form"
    huge = json.dumps({"format": "hitoku/ledger-proof/1", "entry": "x" * 300_000})
    assert work.check_proof(world.context, entry, huge).outcome == "form"


def test_a_real_entry_in_another_ledgers_place_is_no_proof(world: World) -> None:
    """A member can sign a tree over anything: what it signs must say that it is that entry of that ledger."""
    import rfc8785

    from hitoku.room import merkle

    entry = world.context.room(world.user, ROOM)  # type: ignore[arg-type]
    raw = rfc8785.dumps({**json.loads(world.ledger.prove(1).entry), "seq": 7})
    unsigned = Head(ROOM, "airport", 1, merkle.leaf_hash(raw), "2026-11-22T00:00:00.000000Z", b"")
    signature = world.directory.keys({}).sign(unsigned.message())
    head = Head(ROOM, "airport", 1, unsigned.root, unsigned.time, signature)
    proof = json.dumps(Inclusion(raw, 0, head, ()).to_dict())
    assert work.check_proof(world.context, entry, proof).outcome == "place"


def test_two_histories_that_one_member_signed_are_found(world: World) -> None:
    """The head is signed and its proof holds, but it is not the ledger that this node knows."""
    entry = world.context.room(world.user, ROOM)  # type: ignore[arg-type]
    proof = json.dumps(world.ledger.prove(1).to_dict())
    size = world.ledger.head().size  # type: ignore[union-attr]
    with sqlite3.connect(world.directory.path / "state.db") as database:
        for table in ("ledger_entries", "ledger_nodes", "ledgers"):
            database.execute(f"DELETE FROM {table} WHERE room = ?", (ROOM,))
    for n in range(size + 1):
        with world.store.transaction() as connection:
            world.ledger.append(connection, EntryKind.DELETION, {"table": f"t{n}"})
    assert work.check_proof(world.context, entry, proof).outcome == "forked"
    assert "two histories are signed" in world.post(f"{BASE}/proof", proof=proof).text


def test_a_sound_ledger_holds(world: World) -> None:
    page = done(world, world.post(f"{BASE}/verify", 303))
    assert "The ledger holds." in page
    assert f"All {world.ledger.head().size} entries give the root" in page  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("UPDATE ledger_entries SET body = replace(body, 'airport', 'Airport') WHERE seq = 1", "was edited"),
        ("DELETE FROM ledger_entries WHERE seq = 1", "has no entry 1"),
        ("DELETE FROM ledger_entries WHERE seq = (SELECT max(seq) FROM ledger_entries)", "head covers"),
        ("UPDATE ledgers SET head = replace(head, '\"size\":', '\"size\":1')", "signature"),
        ("UPDATE ledgers SET head = NULL", "no signed head"),
    ],
    ids=["edited", "missing", "cut", "head", "no head"],
)
def test_a_tampered_database_is_found(world: World, change: str, words: str) -> None:
    with sqlite3.connect(world.directory.path / "state.db") as database:
        database.execute(
            change.replace("replace(body,", "CAST(replace(CAST(body AS TEXT),")
            .replace("'Airport')", "'Airport') AS BLOB)")
            .replace("replace(head,", "CAST(replace(CAST(head AS TEXT),")
            .replace("'\"size\":1')", "'\"size\":1') AS BLOB)")
        )
    page = done(world, world.post(f"{BASE}/verify", 303))
    assert "The ledger does not hold." in page
    assert words in page
    world.get(BASE)  # the list still comes, so that people can look


def test_a_cut_is_found_by_a_head_that_was_kept(world: World) -> None:
    """Ledger and head are put back together to an older state: only somebody who kept a head sees it."""
    kept = world.ledger.head().to_bytes().decode()  # type: ignore[union-attr]
    state = world.directory.path / "state.db"
    with sqlite3.connect(state) as database:
        saved = {t: database.execute(f"SELECT * FROM {t}").fetchall() for t in TABLES}
    with world.store.transaction() as connection:
        world.ledger.append(connection, EntryKind.DELETION, {"table": "secret"})
    newest = world.ledger.head().to_bytes().decode()  # type: ignore[union-attr]
    with sqlite3.connect(state) as database:
        for table, rows in saved.items():
            database.execute(f"DELETE FROM {table}")
            marks = ",".join("?" * len(rows[0]))
            database.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)
    assert "The ledger holds." in done(world, world.post(f"{BASE}/verify", 303, kept=kept))
    assert "cut or forked" in done(world, world.post(f"{BASE}/verify", 303, kept=newest))


TABLES = ("ledger_entries", "ledger_nodes", "ledgers")


def test_a_head_of_another_ledger_is_refused(world: World) -> None:
    theirs = world.place.members["host"].records(ROOM, world.context.clock).ledger.head()
    page = world.post(f"{BASE}/verify", 400, kept=theirs.to_bytes().decode()).text  # type: ignore[union-attr]
    assert "belongs to another ledger" in page


def test_heads_are_shown_as_they_are_kept(world: World) -> None:
    page = text_of(world.get(f"{BASE}/heads"))
    assert "airport (this member)" in page
    assert "not asked yet" in page
    entry = world.context.room(world.user, ROOM)  # type: ignore[arg-type]
    lines = {line.member: line for line in checks.heads(world.context, entry)}
    assert lines["airport"].signed
    assert lines["host"].head is not None  # kept while the question was asked
    assert lines["host"].signed


def test_an_export_is_checked_on_another_machine(world: World, tmp_path: Any, capsys: Any) -> None:
    lines = world.get(f"{BASE}/export.jsonl")
    file, head = tmp_path / "export.jsonl", tmp_path / "head.json"
    file.write_text(lines)
    head.write_bytes(world.ledger.head().to_bytes())  # type: ignore[union-attr]
    room = str(world.place.room_file)
    check = ["ledger", "check-export", str(file), "--room", room, "--head", str(head)]
    assert cli.run(check) == 0
    assert "airport" in capsys.readouterr().out
    file.write_text(lines.replace('"verdict":"accept"', '"verdict":"reject"', 1))
    assert cli.run(check) == 5
    assert "does not continue the kept head" in capsys.readouterr().err
    assert cli.run(check[:-2]) == 5
    assert "edited" in capsys.readouterr().err
    file.write_text("\n".join(lines.splitlines()[:-1]) + "\n")
    assert cli.run(check) == 5


def test_odd_requests_are_answered(world: World) -> None:
    assert world.client.get(BASE, params={"kind": "nothing"}).status_code == 400
    assert world.client.get(BASE, params={"text": "x" * 1_000}).status_code in {400, 422}
    assert world.client.get(BASE, params={"before": -1}).status_code in {400, 422}
    world.get(f"{BASE}/entries/{10**30}", 404)
    world.get(f"{BASE}/verify/{'0' * 32}", 404)


def test_a_page_of_a_big_ledger_reads_little_of_it(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """No timing decides it: what is counted is how many entries are parsed and read."""
    world = World(make_place(tmp_path))
    with world.store.transaction() as connection:
        for n in range(300):
            world.ledger.append(connection, EntryKind.DELETION, {"table": f"t{n}", "reason": "r"})
    parsed: list[bytes] = []

    def counted(raw: bytes) -> Entry:
        parsed.append(raw)
        return read_entry(raw)

    monkeypatch.setattr(work, "read_entry", counted)
    assert "t299" in world.get(BASE)
    assert len(parsed) == 50
    parsed.clear()
    assert "t17 was" in world.get(BASE, run="", text="t17", kind="deletion", before=18)
    assert len(parsed) <= 18
    monkeypatch.setattr(limits, "MAX_CONSOLE_LEDGER_SCAN", 100)
    page = world.get(BASE, text="t5:never")
    assert "down to number 200" in page
    assert "before=200" in page
