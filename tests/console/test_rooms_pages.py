# SPDX-License-Identifier: Apache-2.0
"""Pages of rooms, members and proposals in one console: who may what, hostile names, what is shown."""

from __future__ import annotations

import re

import pytest
from tests.console.conftest import Console
from tests.proposing import retold

from hitoku import limits
from hitoku.console.store import notes
from hitoku.console.users import May
from hitoku.console.work import drafts
from hitoku.console.work.plain import brief, fingerprint, subject
from hitoku.node.proposal_book import Book
from hitoku.node.proposal_desk import ProposalDesk
from hitoku.node.settings_file import add_room
from hitoku.room.agreement import Room
from hitoku.room.canonical import agreement_hash
from hitoku.room.files import load_room, save_room
from hitoku.room.invitations import Invitations
from hitoku.room.versions import revise
from hitoku.transport.proposals import draft_text

OTHER = "11111111-1111-4111-8111-111111111111"


def words(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html.partition("<main")[2]))


@pytest.fixture
def signer(console):
    return console.sign_in(*May)


def test_the_agreement_is_told_in_words_in_both_languages(console, signer):
    for language, said in (("en", "Smallest group"), ("ja", "最小のグループ")):
        browser = console.sign_in(May.ASK, language=language)
        html = browser.get(f"/rooms/{console.room}").text
        assert said in html
        assert "tailnum ≥ 3" in words(html)
    for path in (
        "",
        "/versions",
        "/versions/1",
        "/members",
        "/draft",
        "/draft/edit",
        "/draft/crosstab",
        "/invite",
    ):
        assert signer.get(f"/rooms/{console.room}{path}").status_code == 200, path
    for path in ("/versions/2", "/export.pdf", "/nowhere"):
        assert signer.get(f"/rooms/{console.room}{path}").status_code == 404, path
    assert signer.get("/rooms").status_code == 200


def test_what_is_not_there_is_said_in_the_users_language(console):
    page = console.sign_in(May.ASK, language="ja").get(f"/rooms/{OTHER}")
    assert page.status_code == 404
    assert "このアドレスには何もない" in page.text
    assert "there is no such room" not in page.text


def test_who_may_not_see_a_room_finds_none(console):
    stranger = console.sign_in(*May, rooms=frozenset({OTHER}))
    for path in ("", "/versions", "/members", "/members/status", "/draft", "/export.yaml", "/invite"):
        assert stranger.get(f"/rooms/{console.room}{path}").status_code == 404, path
    for path in (
        "/sign",
        "/pull",
        "/draft/sign",
        "/draft/withdraw",
        "/invite/x/admit",
        "/members/host/remove",
    ):
        answer = stranger.submit(f"/rooms/{console.room}{path}", hash="sha256:" + "0" * 64, key="k")
        assert answer.status_code == 404, path
    assert "Test room" not in stranger.get("/rooms").text
    assert stranger.submit("/rooms/new", name="Mine").status_code == 403
    assert stranger.get("/rooms/join").status_code == 403


def test_who_may_not_sign_signs_nothing(console):
    asker = console.sign_in(May.ASK, May.AUDIT)
    for path in (
        "/rooms/new",
        "/rooms/join",
        f"/rooms/{console.room}/invite",
        f"/rooms/{console.room}/draft/edit",
    ):
        assert asker.get(path).status_code == 403, path
    for path in ("sign", "pull", "draft/sign", "draft/decline", "draft/send", "draft/withdraw",
                 "draft/settle", "draft/edit", "draft/crosstab", "invite", "members/host/address",
                 "members/host/remove",
                 "invite/x/withdraw", "invite/x/admit"):  # fmt: skip
        fields = {"hash": "sha256:" + "0" * 64, "key": "k"}
        assert asker.submit(f"/rooms/{console.room}/{path}", **fields).status_code == 403, path


def _draft(console: Console, browser) -> str:
    """A change of the airport's own; nobody can be reached, so it stays open. Returns its hash."""
    room = console.room
    fields = {f"abilities-{m.name}": [str(a) for a in m.abilities] for m in console.place.agreement.members}
    answer = browser.submit(
        f"/rooms/{room}/draft/edit", name="New <b>name</b>", protections=["tokens"], interval="0", round="1",
        settings=["allow_cleartext", "allow_duplicates"], why="<script>alert(1)</script>", **fields,
    )  # fmt: skip
    assert answer.status_code == 303, words(answer.text)
    page = browser.get(f"/rooms/{room}/draft").text
    assert "<script>alert" not in page
    assert "<b>name" not in page
    assert "New &lt;b&gt;name" in page
    found = re.search(r'name="hash" value="(sha256:[0-9a-f]{64})"', page)
    assert found
    return found[1]


def test_a_proposal_shows_who_is_waited_for_and_can_be_taken_back(console, signer):
    hash_ = _draft(console, signer)
    said = words(signer.get(f"/rooms/{console.room}/draft").text)
    assert "waits for host, not reached since" in said
    assert "waits for registry, not reached since" in said
    again = signer.submit(f"/rooms/{console.room}/draft/withdraw", hash="sha256:" + "1" * 64)
    assert again.status_code == 409
    assert "changed since it was shown" in words(again.text)
    settled = signer.submit(f"/rooms/{console.room}/draft/settle", hash=hash_)
    assert settled.status_code == 409  # signatures of others cannot be left out
    assert signer.submit(f"/rooms/{console.room}/draft/withdraw", hash=hash_).status_code == 303
    assert load_room(console.place.room_file).agreement.version == 1
    kept = {one["what"]: one["detail"] for one in notes(console.context)}
    assert kept["proposed"]["signed"] is True
    assert kept["proposal withdrawn"] == {"hash": hash_}


def test_who_drafts_without_the_ability_sign_sends_nothing(console, signer):
    from hitoku.console.users import User
    from hitoku.console.work import drafts

    drafter = User("0" * 32, "drafter", frozenset({May.TABLES}))
    tables = retold(console.place.agreement)["tables"]
    tables[0]["rule"]["outputConstraints"][0]["minimum"] = 9
    made = drafts.propose(console.context, drafter, console.room, {"tables": tables})
    assert made.state == "draft"
    page = signer.get(f"/rooms/{console.room}/draft").text
    assert "drafter" in page
    assert "flights" in page
    book = Book(console.place.members["airport"].path, console.room)
    assert book.bound().hash is None
    answer = signer.submit(f"/rooms/{console.room}/draft/send", hash=made.hash)
    assert answer.status_code == 303
    assert book.bound().hash == made.hash


def test_a_hostile_proposal_is_shown_and_escaped(console, signer):

    room = load_room(console.place.room_file)
    desk = ProposalDesk(console.place.members["airport"], console.room, console.clock)
    evil = revise(room, {"name": '"><img src=x onerror=alert(1)> {{ 7*7 }}'})
    why = "\u202eevil <script>1</script>"
    desk.answer(
        "host", {"kind": "hitoku/propose/1", "draft": draft_text(Room(agreement=evil.agreement)), "why": why}
    )
    page = signer.get(f"/rooms/{console.room}/draft").text
    assert "<img" not in page
    assert "<script>1" not in page
    assert "\u202e" not in page
    assert "49" not in words(page).partition("onerror")[2][:40]
    answer = signer.submit(
        f"/rooms/{console.room}/draft/decline", hash=agreement_hash(evil.agreement), reason="no"
    )
    assert answer.status_code == 303
    assert "declined here" in words(signer.get(f"/rooms/{console.room}/draft").text)


def test_an_invitation_for_another_name_says_what_to_do(console, signer):
    airport = console.place.members["airport"]
    made = Invitations(airport.path, console.clock).issue(
        room=OTHER, file="x.yaml", name="carrier", abilities=(), key=None, hours=1, url="https://127.0.0.1:1",
        inviter=airport.keys({}).public_key(), agreement=agreement_hash(console.place.agreement),
    )  # fmt: skip
    answer = signer.submit("/rooms/join", invitation=made.to_text())
    assert answer.status_code == 422
    assert "for a member named &#39;carrier&#39;" in answer.text
    assert "an invitation as &#39;airport&#39;" in answer.text
    assert signer.submit("/rooms/join", invitation="nonsense").status_code == 422
    assert signer.get(f"/rooms/join/{OTHER}").status_code == 404
    for name in ("", "A b"):
        wrong = signer.submit(f"/rooms/{console.room}/invite", name=name, abilities=["query"], hours="1")
        assert wrong.status_code == 422
        assert "Value error" not in wrong.text


def test_a_room_that_cannot_be_says_why_and_keeps_what_was_typed(console, signer):
    answer = signer.submit("/rooms/new", name="Kept words", protections=["nonsense"], abilities=["query"])
    assert answer.status_code == 422
    assert "protections" in words(answer.text)
    assert "Kept words" in answer.text
    assert signer.submit("/rooms/new", name="", protections=["crosstab"]).status_code == 422
    host = signer.submit("/rooms/new", name="X", protections=["tokens"], abilities=["host", "receive"])
    assert "a host must receive none" in words(host.text)


def test_addresses_are_checked_and_written(console, signer):
    path = f"/rooms/{console.room}/members/host/address"
    assert signer.submit(path, address="https://host.example:8443").status_code == 303
    entry = console.context.node.rooms()[0]
    assert entry.settings.peers["host"] == "https://host.example:8443"
    assert signer.submit(path, address="http://host.example").status_code == 409
    assert signer.submit(f"/rooms/{console.room}/members/nobody/address", address="").status_code == 404
    assert signer.submit(f"/rooms/{console.room}/members/airport/address", address="").status_code == 404


def test_the_first_version_is_signed_as_it_was_shown(console, signer):
    airport = console.place.members["airport"]
    data = retold(console.place.agreement, id=OTHER, tables=[], name="New")
    draft = Room.model_validate({"agreement": data})
    file = airport.path / "new.yaml"
    save_room(draft, file)
    add_room(airport.path, file, {})
    shown = re.search(r'name="hash" value="([^"]+)"', signer.get(f"/rooms/{OTHER}").text)
    assert shown
    save_room(revise(draft, {"name": "Changed meanwhile"}), file)
    answer = signer.submit(f"/rooms/{OTHER}/sign", hash=shown[1])
    assert answer.status_code == 409
    assert "nothing was signed" in words(answer.text)
    assert load_room(file).signatures == ()
    now = agreement_hash(load_room(file).agreement)
    assert signer.submit(f"/rooms/{OTHER}/sign", hash=now).status_code == 303
    assert [s.member for s in load_room(file).signatures] == ["airport"]
    (kept,) = (one for one in notes(console.context) if one["what"] == "signed")
    assert (kept["user"], kept["room"], kept["detail"]) == (signer.account.name, OTHER, {"hash": now})
    edited = signer.submit(
        f"/rooms/{OTHER}/draft/edit", name="Again", protections=["tokens"], interval="0", round="1"
    )
    assert edited.status_code == 422
    assert "signed this draft already" in words(edited.text)


def test_fingerprints_and_words_of_changes():
    groups = fingerprint("ed25519:abc")
    assert len(groups) == 8
    assert all(re.fullmatch("[0-9a-f]{4}", group) for group in groups)
    assert groups != fingerprint("ed25519:abd")
    assert brief({"columnName": "phone", "minimum": 5}) == "phone ≥ 5"
    assert brief([True, None, {"a": 1}]) == "✓; –; a: 1"
    assert len(brief("x" * 10_000)) < 500
    paths = "name protections settings.allow_cleartext release.summary members.a members.a.key"
    paths += " members.a.abilities tables.t tables.t.owner tables.t.columns tables.t.columns.c"
    paths += " tables.t.access_budgets tables.t.rule tables.t.rule.joinColumns tables.t.rule.nonsense"
    paths += " budgets.a.person templates.x models.x crosstab"
    for path in [*paths.split(), "attestation", "shares"]:
        assert subject("en", path)
        assert subject("ja", path) != subject("en", path)


def test_the_page_says_why_everybody_must_sign(console, signer, monkeypatch):
    monkeypatch.setattr(limits, "MAX_HISTORY_BYTES", 3 * limits.MIN_VERSION_BYTES)
    tables = console.place.agreement.model_dump(mode="json", by_alias=True, exclude_none=True)["tables"]
    tables[0]["rule"]["outputConstraints"][0]["minimum"] = 77
    drafts.propose(console.context, signer.account.user(), console.room, {"tables": tables})
    said = words(signer.get(f"/rooms/{console.room}/draft").text)
    assert "airport, registry, host Everybody, because the share" in said
