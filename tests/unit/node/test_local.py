# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json

import pytest

import hitoku
from hitoku.ask import Sent
from hitoku.errors import PeerError, Refusal, RoomError
from hitoku.ports import SystemClock
from hitoku.room.files import save_room
from hitoku.room.ledger import EntryKind
from hitoku.room.signing import sign
from hitoku.room.versions import revise


class Heard:
    def __init__(self):
        self.phases = []

    def phase(self, name, total=None):
        self.phases.append(name)

    def advance(self, amount=1):
        self.phases.append("+")


def test_a_question_from_beginning_to_end(filled, question):
    heard = Heard()
    room = hitoku.open_room(filled.path, progress=heard)
    assert room.me == "airport"
    assert "Test room" in repr(room)
    answer = room.ask(question)
    assert answer.fetchall() == [("BIG", 18, pytest.approx((190 - 7) / 18))]
    assert answer.withheld.some is None
    assert answer.room == room.hash
    assert answer.asker == "airport"
    assert answer.receivers == ("airport",)
    assert heard.phases[:4] == ["check", "consent", "+", "+"]
    assert heard.phases[-2:] == ["release", "receive"]
    assert {i.member for i in answer.leakage.learned} == {"airport", "registry", "host"}
    # A second question of the same handle has its own engine.
    assert room.ask(question).fetchall() == answer.fetchall()


def test_nothing_is_left_of_a_run_but_the_members_records(filled, question):
    before = {p for p in filled.path.rglob("*") if p.is_file()}
    hitoku.open_room(filled.path).ask(question)
    new = {p.relative_to(filled.path) for p in filled.path.rglob("*") if p.is_file()} - {
        p.relative_to(filled.path) for p in before
    }
    assert {str(path) for path in new} == {f"{name}/state.db" for name in ("airport", "registry", "host")}


def test_the_answer_goes_to_whom_the_asker_names(filled, question):
    room = hitoku.open_room(filled.path)
    with pytest.raises(Refusal) as caught:
        room.ask(question, receivers=["registry"])
    assert caught.value.code == "ASKER_DOES_NOT_RECEIVE"
    sent = room.send(question, receivers=["registry"])
    assert isinstance(sent, Sent)
    (file,) = (filled.path / "registry" / "answers").iterdir()
    data = json.loads(file.read_text())
    assert data["rows"][0][0] == "BIG"
    assert data["run"] == sent.run == sent.to_dict()["run"]
    assert not (filled.path / "airport" / "answers").exists()
    both = hitoku.open_room(filled.path).ask(question, receivers=["registry", "airport"])
    assert both.receivers == ("airport", "registry")
    assert len(list((filled.path / "registry" / "answers").iterdir())) == 2
    assert room.send(question).receivers == ("airport",)


def test_a_refused_question_says_why_and_runs_nothing(filled, refused):
    room = hitoku.open_room(filled.path)
    with pytest.raises(Refusal) as caught:
        room.ask(refused)
    assert caught.value.span is not None
    assert not (filled.path / "host" / "runs").exists()
    explanation = room.explain(refused)
    assert explanation.refusal is not None
    assert explanation.refusal.code == caught.value.code


def test_explaining_runs_nothing(filled, question):
    explanation = hitoku.open_room(filled.path).explain(question)
    data = explanation.to_dict()
    assert data["verdict"] == "accept"
    assert data["protections"][0]["protection"] == "tokens"
    assert not (filled.path / "host" / "runs").exists()


def test_who_may_not_ask_is_refused(filled, question):
    with pytest.raises(Refusal) as caught:
        hitoku.open_room(filled.path, "registry").ask(question)
    assert caught.value.code == "NOT_AN_ASKER"


def test_who_may_not_receive_is_refused(filled, question):
    with pytest.raises(Refusal) as caught:
        hitoku.open_room(filled.path).send(question, receivers=["host"])
    assert caught.value.code == "RECEIVER_NOT_ALLOWED"


def test_a_table_that_is_not_there_is_named(filled, question):
    (filled.path / "host" / "tables" / "planes.parquet").unlink()
    with pytest.raises(Refusal) as caught:
        hitoku.open_room(filled.path).ask(question)
    assert caught.value.code == "TABLE_NOT_AT_HOST"
    assert caught.value.owner == "registry"


def test_a_damaged_table_is_an_error_of_the_host_without_its_words(filled, question):
    (filled.path / "host" / "tables" / "planes.parquet").write_bytes(b"PAR1 PLANTED PAR1")
    with pytest.raises(PeerError, match=r"'host' failed") as caught:
        hitoku.open_room(filled.path).ask(question)
    assert "PLANTED" not in str(caught.value)


def test_an_owner_that_is_not_here_cannot_consent(filled, question):
    (filled.path / "peers.toml").write_text('[members]\nairport = "airport"\nhost = "host"\n')
    with pytest.raises(PeerError, match="'registry' cannot be reached"):
        hitoku.open_room(filled.path).ask(question)


def test_it_must_be_clear_who_asks(make):
    def two(data):
        data["members"][1]["abilities"] = ["query", "receive"]

    place = make(two)
    with pytest.raises(RoomError, match="airport or registry"):
        hitoku.open_room(place.path)
    with pytest.raises(RoomError, match="not on this machine"):
        hitoku.open_room(place.path, "bank")
    assert hitoku.open_room(place.path, "registry").me == "registry"


def test_a_room_without_a_host(make, question):
    place = make(lambda data: data["members"][2].update(abilities=[]))
    with pytest.raises(Refusal) as caught:
        hitoku.open_room(place.path).ask(question)
    assert caught.value.code in {"NO_HOST", "NO_PROTECTION"}


def test_a_room_that_accepts_nothing_we_have(make, question):
    place = make(lambda data: data.update(protections=["shares"]))
    with pytest.raises(Refusal) as caught:
        hitoku.open_room(place.path).ask(question)
    assert caught.value.code == "NO_PROTECTION"


def test_an_altered_room_is_not_opened(filled):
    text = filled.room_file.read_text()
    filled.room_file.write_text(text.replace("minimum: 3", "minimum: 2", 1))
    with pytest.raises(RoomError, match="not the one that was signed"):
        hitoku.open_room(filled.path)


def test_public_names():
    for name in hitoku.__all__:
        assert getattr(hitoku, name) is not None
    assert set(dir(hitoku)) == set(hitoku.__all__)
    with pytest.raises(AttributeError):
        hitoku.nothing_of_that_name  # noqa: B018


def test_a_running_question_can_be_cancelled(filled, question, monkeypatch):
    import threading

    from hitoku.errors import EngineError
    from hitoku.protections.tokens import Tokens

    room = hitoku.open_room(filled.path)
    run = Tokens.run

    def slow(self, *args):
        thread = threading.Thread(target=room.cancel)
        thread.start()
        thread.join(60)
        return run(self, *args)

    monkeypatch.setattr(Tokens, "run", slow)
    with pytest.raises((EngineError, PeerError)):
        room.ask(question)
    monkeypatch.undo()
    assert room.ask(question).num_rows > 0


def test_a_host_deletes_its_copy_of_a_table_that_left_the_room(filled, question):
    hitoku.open_room(filled.path).ask(question)
    data = filled.agreement.model_dump(mode="json", by_alias=True, exclude_none=True)
    rest = [t for t in data["tables"] if t["name"] != "planes"]
    later = sign(revise(filled.room, {"tables": rest}), "registry", filled.members["registry"].keys({}))
    save_room(later, filled.room_file)
    copy = filled.members["host"].table_file("planes")
    assert copy is not None
    handle = hitoku.open_room(filled.path, "airport")
    assert handle.agreement.version == 2
    assert not copy.exists()
    records = filled.members["host"].records(str(filled.agreement.id), SystemClock())
    (entry,) = records.ledger.entries(kind=EntryKind.DELETION)
    assert entry.body["table"] == "planes"
    records.store.close()
    with pytest.raises(Refusal):
        handle.ask(question)
