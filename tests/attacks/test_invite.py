# SPDX-License-Identifier: Apache-2.0
"""Invitations in hostile hands: stolen, guessed, ended, used twice; and the port of the desk."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import random
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conftest import AGREEMENT, make_place
from tests.e2e.nodes import free_ports

from hitoku import limits
from hitoku.cli import main as cli
from hitoku.errors import InputError, PeerError, Refusal, RoomError
from hitoku.node import joining as joining_module
from hitoku.node.certificate import certificate_file
from hitoku.node.desk import InvitationDesk
from hitoku.node.joined import complete
from hitoku.node.joining import Joining, Stand
from hitoku.node.settings import NodeSettings
from hitoku.node.view import MemberView
from hitoku.room import signing
from hitoku.room.agreement import Agreement, Room
from hitoku.room.canonical import agreement_hash
from hitoku.room.directory import MemberDirectory
from hitoku.room.files import load_room, save_room
from hitoku.room.invitations import Invitation, Invitations, proof_message
from hitoku.room.signing import missing, sign
from hitoku.transport.https import bounds, tls
from hitoku.transport.https import desk as desk_module
from hitoku.transport.https.desk import Desk, ask_desk, desk_context
from hitoku.transport.https.places import Networks

SECONDS = 60
HERE = Networks.of(["127.0.0.1"])


class World:
    """An inviter with a draft of three members, and its desk, called without a network."""

    def __init__(self, path, clock):
        self.path, self.clock = path, clock
        self.place = make_place(path)
        self.airport = self.place.members["airport"]
        self.room_file = path / "draft.yaml"
        self.draft = Room(agreement=self.place.agreement)
        save_room(self.draft, self.room_file)
        self.desk = InvitationDesk(self.airport, clock)
        self.where = ("", 0)

    def called(self, url, inviter, certificate, key, content, networks) -> bytes:
        """Instead of the network."""
        return self.desk.answer(content)

    def invite(self, name="agency", key=None, **more) -> Invitation:
        given = {
            "room": str(self.draft.agreement.id),
            "file": "../draft.yaml",
            "name": name,
            "abilities": (),
            "key": key,
            "hours": 1,
            "url": "https://127.0.0.1:1",
            "inviter": self.airport.keys({}).public_key(),
            "agreement": agreement_hash(self.draft.agreement),
        }
        return Invitations(self.airport.path, self.clock).issue(**(given | more))

    def company(self, name="agency", place=None) -> MemberDirectory:
        return MemberDirectory.create(self.path / (place or f"new-{name}-{os.urandom(4).hex()}"), name)

    def comes(self, invitation, company=None) -> Joining:
        return Joining(company or self.company(invitation.name), invitation, self.clock, None, HERE)

    def admit(self, name, key) -> Room:
        """What the operator does."""
        data = self.draft.agreement.model_dump(mode="json", by_alias=True, exclude_none=True)
        data["members"].append({"name": name, "key": key})
        room = Room(agreement=Agreement.model_validate(data))
        save_room(room, self.room_file)
        return room


@pytest.fixture
def world(tmp_path, clock, monkeypatch):
    made = World(tmp_path, clock)
    monkeypatch.setattr(joining_module, "ask_desk", made.called)
    return made


def request(world: World, invited: Invitation, company: MemberDirectory, **more) -> dict[str, object]:
    """What an honest caller sends, with some of it changed before it is signed."""
    keys = company.keys({})
    claimed = {
        "kind": "hitoku/join/1",
        "invitation": invited.id,
        "secret": invited.secret,
        "key": keys.public_key(),
        "tables": [],
        "signed": None,
        **more,
    }
    message = proof_message(world.airport.keys({}).public_key(), claimed)
    return {**claimed, "proof": base64.b64encode(keys.sign(message)).decode()}


def answered(world: World, message: object) -> dict[str, object]:
    content = message if isinstance(message, bytes) else json.dumps(message).encode()
    found: dict[str, object] = json.loads(world.desk.answer(content))
    return found


def code(world: World, message: object) -> object:
    """The code by which a message is refused; and nothing of the draft is in the answer."""
    found = answered(world, message)
    assert found["kind"] in {"hitoku/refused/1", "hitoku/failed/1"}
    assert "flights" not in json.dumps(found)
    return found["code"]


def test_the_first_key_is_the_only_one(world):
    invitation = world.invite()
    first, thief = world.company(), world.company()
    assert not world.comes(invitation, first).look().admitted
    with pytest.raises(Refusal) as caught:
        world.comes(invitation, thief).look()
    assert caught.value.code == "INVITATION_USED"
    assert "somebody else had it" in str(caught.value)
    offer = Invitations(world.airport.path, world.clock).offer(invitation.id)
    assert offer is not None
    assert offer.key == first.keys({}).public_key()
    assert not world.comes(invitation, first).look().admitted  # the first may come again


def test_a_thief_who_comes_first_gets_no_further_than_the_operator(world):
    """It has offered a key and read the draft; the agreement names no one, and the rightful one is told."""
    invitation = world.invite()
    thief = world.comes(invitation)
    stand = thief.look()
    assert (stand.admitted, stand.in_force, stand.room.signatures) == (False, False, ())
    with pytest.raises(RoomError, match="does not name this member's key yet"):
        thief.sign(agreement_hash(stand.room.agreement))
    signed = {"hash": agreement_hash(stand.room.agreement), "signature": base64.b64encode(b"x" * 64).decode()}
    assert code(world, request(world, invitation, thief.directory, signed=signed)) == "NOT_ADMITTED"
    with pytest.raises(Refusal, match="another key"):
        world.comes(invitation).look()
    assert load_room(world.room_file) == world.draft


def test_an_invitation_ends(world):
    invitation = world.invite(hours=2)
    world.clock.time += timedelta(hours=2)
    with pytest.raises(Refusal) as caught:
        world.comes(invitation).look()
    assert caught.value.code == "INVITATION_ENDED"
    with pytest.raises(InputError, match="1 to"):
        world.invite(hours=0)
    with pytest.raises(InputError, match="1 to"):
        world.invite(hours=limits.MAX_INVITATION_HOURS + 1)


def test_an_invitation_that_was_withdrawn_is_not_known(world):
    invitation = world.invite()
    Invitations(world.airport.path, world.clock).withdraw(invitation.id)
    with pytest.raises(Refusal) as caught:
        world.comes(invitation).look()
    assert caught.value.code == "INVITATION_INVALID"


def test_secrets_cannot_be_tried_out(world):
    """Some wrong ones end the invitation; nobody can tell an unknown one from a wrong secret."""
    invitation, company = world.invite(), world.company()
    wrong = [base64.urlsafe_b64encode(os.urandom(32)).decode().rstrip("=") for _ in range(20)]
    unknown = answered(world, request(world, invitation, company, invitation="0" * 32))
    for n, secret in enumerate(wrong):
        message = request(world, invitation, company, secret=secret)
        assert answered(world, message) == unknown, n
    assert code(world, request(world, invitation, company)) == "INVITATION_INVALID"  # too many
    tries = world.airport.path / "invitations" / f"{invitation.id}.wrong"
    assert tries.stat().st_size == limits.MAX_WRONG_SECRETS
    other = world.invite()  # others are as good as before, also after a restart
    world.desk = InvitationDesk(world.airport, world.clock)
    assert answered(world, request(world, other, company))["kind"] == "hitoku/joined/1"


def test_the_secret_is_kept_nowhere_at_the_inviter(world):
    invitation = world.invite()
    world.comes(invitation).look()
    assert invitation.secret not in repr(invitation)
    for file in world.airport.path.rglob("*"):
        if file.is_file():
            assert invitation.secret.encode() not in file.read_bytes(), file


def test_the_key_must_be_held(world):
    """A key that was only seen cannot be offered: also not with a proof made for another inviter or room."""
    invitation, company, other = world.invite(), world.company(), world.company()
    seen = other.keys({}).public_key()
    assert code(world, request(world, invitation, company, key=seen)) == "PROOF_INVALID"
    good = request(world, invitation, company)
    for change in ({"tables": ["{}"]}, {"invitation": "1" * 32}, {"secret": "A" * 43}, {"key": seen}):
        assert code(world, {**good, **change}) == "PROOF_INVALID"
    claimed = {k: v for k, v in good.items() if k != "proof"}
    elsewhere = company.keys({}).sign(proof_message(seen, claimed))
    assert code(world, {**good, "proof": base64.b64encode(elsewhere).decode()}) == "PROOF_INVALID"
    assert Invitations(world.airport.path, world.clock).offer(invitation.id) is None
    assert answered(world, good)["kind"] == "hitoku/joined/1"


def test_a_name_that_is_taken_is_for_the_key_that_has_it(world):
    registry = world.place.members["registry"]
    invitation = world.invite("registry", registry.keys({}).public_key())
    with pytest.raises(Refusal) as caught:
        world.comes(invitation).look()
    assert caught.value.code == "INVITATION_USED"
    assert world.comes(invitation, registry).look().admitted


def test_a_name_that_was_taken_meanwhile_stays_whose_it_is(world, capsys):
    invitation, company = world.invite(), world.company()
    world.comes(invitation, company).look()
    other = world.company()
    world.admit("agency", other.keys({}).public_key())
    stand = world.comes(invitation, company).look()
    assert not stand.admitted
    signed = sign(load_room(world.room_file), "agency", other.keys({})).signatures[0].signature
    digest = agreement_hash(stand.room.agreement)
    message = request(world, invitation, company, signed={"hash": digest, "signature": signed})
    assert code(world, message) == "NOT_ADMITTED"
    key = company.keys({}).public_key()
    assert cli.run(["room", "admit", str(world.airport.path), "agency", "--key", key]) == 5
    assert "with another key" in capsys.readouterr().err
    assert load_room(world.room_file).signatures == ()


def test_nothing_but_the_shown_agreement_is_signed(world, monkeypatch):
    """The inviter, or whoever changes its draft, cannot have another agreement signed than the one shown."""
    invitation, company = world.invite(), world.company()
    joining = world.comes(invitation, company)
    joining.look()
    room = world.admit("agency", company.keys({}).public_key())
    shown = agreement_hash(joining.look().room.agreement)
    data = room.agreement.model_dump(mode="json", by_alias=True, exclude_none=True)
    data["tables"][0]["rule"]["outputConstraints"][0]["minimum"] = 2
    changed = Room(agreement=Agreement.model_validate(data))
    save_room(changed, world.room_file)
    with pytest.raises(RoomError, match="nothing was signed"):
        joining.sign(shown)
    stand = joining.look()
    again = joining.look()
    assert stand.changed is not None
    assert again.changed == ()
    assert not company.known(changed)
    # Changed between the last look and the signature's arrival.
    real = signing.sign

    def late(*arguments):
        save_room(room, world.room_file)
        return real(*arguments)

    monkeypatch.setattr(joining_module, "sign", late)
    with pytest.raises(Refusal) as caught:
        joining.sign(agreement_hash(changed.agreement))
    assert caught.value.code == "ROOM_DIFFERS"
    assert load_room(world.room_file).signatures == ()


def test_a_signature_must_be_the_members_own(world):
    invitation, company, other = world.invite(), world.company(), world.company()
    world.comes(invitation, company).look()
    room = world.admit("agency", company.keys({}).public_key())
    digest = agreement_hash(room.agreement)
    forged = base64.b64encode(other.keys({}).sign(b"hitoku/room/1\n")).decode()
    message = request(world, invitation, company, signed={"hash": digest, "signature": forged})
    assert code(world, message) == "ROOM"
    assert load_room(world.room_file).signatures == ()
    stand = world.comes(invitation, company).sign(digest)
    assert stand.signed
    assert missing(load_room(world.room_file)) == ("airport", "registry", "host")


@pytest.mark.parametrize("what", ["id", "altered", "none", "huge"])
def test_an_inviter_that_answers_with_something_else_is_noticed(world, monkeypatch, what):
    invitation, company = world.invite(), world.company()
    real = world.called

    def lying(*arguments):
        answer = json.loads(real(*arguments))
        if what == "id":
            answer["room"] = answer["room"].replace(AGREEMENT["id"], AGREEMENT["id"].replace("0d2c", "1d2c"))
        if what == "altered":
            answer["room"] = answer["room"].replace("members:", "memberz:")
        if what == "none":
            answer = {"kind": "hitoku/joined/1"}
        if what == "huge":
            answer["room"] = "x" * (limits.MAX_ROOM_FILE_BYTES + 1)
        return json.dumps(answer).encode()

    monkeypatch.setattr(joining_module, "ask_desk", lying)
    with pytest.raises((RoomError, PeerError)):
        world.comes(invitation, company).look()


def test_an_invitation_is_for_one_name(world):
    with pytest.raises(InputError, match="for a member named 'agency'"):
        Joining(world.company("insurer"), world.invite(), world.clock)


@pytest.mark.parametrize("tables", [["x"], ["{}"], ["[]"], ['{"name": 1}'], ["null"] * 16, ["[" * 9_000]])
def test_offered_tables_are_the_operators_to_judge(world, capsys, tables):
    """Whatever is in them, nothing happens but a refusal, and only when the operator looks."""
    invitation, company = world.invite(), world.company()
    assert answered(world, request(world, invitation, company, tables=tables))["kind"] == "hitoku/joined/1"
    assert cli.run(["room", "admit", str(world.airport.path), "agency"]) == 5
    assert "an offered table cannot be used" in capsys.readouterr().err


def test_a_table_of_another_owner_cannot_be_brought(world, capsys):
    invitation, company = world.invite(), world.company()
    table = json.dumps({**AGREEMENT["tables"][1], "name": "mine"})
    answered(world, request(world, invitation, company, tables=[table]))
    assert cli.run(["room", "admit", str(world.airport.path), "agency"]) == 5
    assert "is not 'agency''s own" in capsys.readouterr().err.replace('"', "'")


def test_a_draft_that_somebody_signed_is_not_changed_by_admitting(world, capsys):
    """Who signed version 1 signs no other version 1, so the room would never be in force."""
    invitation, company = world.invite(), world.company()
    world.comes(invitation, company).look()
    save_room(sign(world.draft, "airport", world.airport.keys({})), world.room_file)
    key = company.keys({}).public_key()
    assert cli.run(["room", "admit", str(world.airport.path), "agency", "--key", key]) == 5
    assert "signed this draft already" in capsys.readouterr().err


def test_messages_that_are_none(world):
    invitation, company = world.invite(), world.company()
    good = request(world, invitation, company)
    bad: list[object] = [
        b"",
        b"{}",
        b"null",
        b"\xff" * 10,
        b"[" * 5_000,
        {**good, "more": 1},
        {**good, "secret": 1},
    ]
    bad += [{**good, "kind": "hitoku/run-request/1"}, {**good, "tables": ["x"] * 17}]
    bad += [{**good, "invitation": "../../member"}, {**good, "tables": ["x" * 65_000]}]
    for message in bad:
        assert code(world, message) == "PEER"
    rng = random.Random(1)
    text = json.dumps(good).encode()
    for _ in range(300):
        cut = bytearray(text)
        cut[rng.randrange(len(cut))] = rng.randrange(256)
        assert json.loads(world.desk.answer(bytes(cut)))["kind"] in {
            "hitoku/refused/1",
            "hitoku/failed/1",
            "hitoku/joined/1",
        }


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        st.text(max_size=300), st.binary(max_size=200).map(lambda b: base64.urlsafe_b64encode(b).decode())
    )
)
def test_texts_that_are_no_invitation(text):
    with pytest.raises(InputError, match=r"no invitation|too long"):
        Invitation.from_text(text)


def test_an_invitation_reads_back_however_a_mail_breaks_it(world):
    invitation = world.invite()
    text = invitation.to_text()
    assert len(text) < limits.MAX_INVITATION_CHARS
    broken = "\r\n".join(text[i : i + 64] for i in range(0, len(text), 64))
    assert Invitation.from_text(f"  {broken}\n") == invitation
    for change in ({"url": "http://a"}, {"format": "hitoku/invitation/2"}, {"room": "../x"}, {"more": 1}):
        data = invitation.model_dump(mode="json") | change
        packed = base64.urlsafe_b64encode(json.dumps(data).encode()).decode()
        with pytest.raises(InputError):
            Invitation.from_text(packed)


# --- the desk's port ---


@contextmanager
def listening(world: World, answer=None) -> Iterator[tuple[str, int]]:
    """The desk on a port, in a thread."""
    bound = socket.create_server(("127.0.0.1", 0))
    context = desk_context(certificate_file(world.airport), world.airport.key_file)
    ready, loop = threading.Event(), asyncio.new_event_loop()
    made = Desk(context, bound, answer or world.desk.answer, lambda *_: None)

    async def serve() -> None:
        await made.start()
        ready.set()
        await stopped.wait()
        made.close()

    stopped = asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert ready.wait(SECONDS)
    try:
        yield bound.getsockname()
    finally:
        loop.call_soon_threadsafe(stopped.set)
        thread.join(SECONDS)
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


@pytest.fixture
def there(tmp_path, clock):
    made = World(tmp_path, clock)
    with listening(made) as where:
        made.where = where
        yield made


def raw(world: World, *pieces: bytes) -> bytes:
    """Send pieces over TLS as a stranger. Returns all that comes back."""
    stranger = world.company()
    context = tls.client_context(
        certificate_file(stranger), stranger.key_file, world.airport.keys({}).public_key()
    )
    found = bytearray()
    with (
        socket.create_connection(world.where, SECONDS) as plain,
        context.wrap_socket(plain, suppress_ragged_eofs=True) as connection,
        suppress(ConnectionError, ssl.SSLError),
    ):
        for piece in pieces:
            connection.sendall(piece)
        while piece := connection.recv(65_536):
            found += piece
    return bytes(found)


def test_the_desk_answers_who_is_invited(there):
    host, port = there.where
    invitation = there.invite(url=f"https://{host}:{port}")
    company = there.company()
    stand = there.comes(invitation, company).look()
    assert stand.room.agreement == there.draft.agreement
    there.admit("agency", company.keys({}).public_key())
    joining = there.comes(invitation, company)
    assert joining.sign(agreement_hash(joining.look().room.agreement)).signed


def test_the_secret_goes_to_the_holder_of_the_inviters_key_only(there):
    """Another machine at the address, with any key but the inviter's, gets not a byte of the message."""
    host, port = there.where
    company, other = there.company(), there.place.members["host"]
    invitation = there.invite(url=f"https://{host}:{port}", inviter=other.keys({}).public_key())
    heard: list[bytes] = []

    def answer(content: bytes) -> bytes:
        heard.append(content)
        return content

    with listening(there, answer) as where:
        invitation = invitation.model_copy(update={"url": f"https://{where[0]}:{where[1]}"})
        with pytest.raises(PeerError, match="nobody there showed the key"):
            there.comes(invitation, company).look()
    assert heard == []


@pytest.mark.parametrize("url", ["https://a/x", "https://a?x", "https://u@a", "https://[::1"])
def test_an_invitation_to_what_is_no_address_goes_nowhere(tmp_path, clock, url):
    world = World(tmp_path, clock)
    with pytest.raises(InputError, match="the invitation's address"):
        world.comes(world.invite(url=url)).look()


@pytest.mark.parametrize(
    "head",
    [
        b"GET /join HTTP/1.1\r\nhost: a\r\n\r\n",
        b"POST /rooms/x/messages HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}",
        b"POST /join HTTP/1.0\r\ncontent-length: 2\r\n\r\n{}",
        b"POST /join?x HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}",
        b"POST /join HTTP/1.1\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}",
        b"POST /join HTTP/1.1\r\ncontent-length: -2\r\n\r\n{}",
        b"POST /join HTTP/1.1\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n{}",
        b"POST /join HTTP/1.1\r\nhost: a\r\n\r\n{}",
        b"POST /join HTTP/1.1\ncontent-length: 2\n\n{}\r\n\r\n",
        b"\x00\r\n\r\n",
    ],
)
def test_the_desk_knows_one_request(there, head):
    assert raw(there, head).startswith(b"HTTP/1.1 400 ")


def test_the_desk_takes_nothing_large(there):
    head = b"POST /join HTTP/1.1\r\ncontent-length: %d\r\n\r\n"
    assert raw(there, head % (limits.MAX_CONTROL_BYTES + 1)).startswith(b"HTTP/1.1 413 ")
    assert raw(there, head % 10**9).startswith(b"HTTP/1.1 400 ")
    assert raw(there, b"POST /join HTTP/1.1\r\n" + b"a: b\r\n" * 10_000) == b""


def test_the_desk_waits_for_nobody(tmp_path, clock, monkeypatch):
    """Who sends slowly is cut off, and who holds all places does not hold them for long."""
    monkeypatch.setattr(desk_module, "SECONDS", 1)
    monkeypatch.setattr(desk_module, "CONNECTIONS", 4)
    monkeypatch.setattr(bounds, "SHUTDOWN_SECONDS", 1)
    world = World(tmp_path, clock)
    with listening(world) as world.where:
        threads = [threading.Thread(target=raw, args=(world, b"POST /join HTTP/1.1\r\n")) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(SECONDS)
            assert not thread.is_alive()
        monkeypatch.setattr(desk_module, "SECONDS", SECONDS)
        host, port = world.where
        invitation = world.invite(url=f"https://{host}:{port}")
        assert not world.comes(invitation).look().admitted


def test_the_members_listener_stays_closed_to_who_is_invited(tmp_path, clock):
    """An invitation opens the desk, and nothing of the port where members talk."""
    from tests.unit.transport.https.parties import listening as members_listening
    from tests.unit.transport.https.test_client import carrying, holder

    world = World(tmp_path, clock)
    place, company = world.place, world.company()
    world.invite()
    heard: list[object] = []

    def handler(sender, message):
        heard.append(message)
        return {"kind": "echo"}

    airport = holder(place, "airport")
    with members_listening(place.agreement, "airport", airport, carrying("airport", handler)) as one:
        key = world.airport.keys({}).public_key()
        with pytest.raises(PeerError):
            ask_desk(
                f"https://127.0.0.1:{one.port}", key, certificate_file(company), company.key_file, b"{}", HERE
            )
    assert heard == []


@pytest.mark.parametrize("host", ["169.254.169.254", "10.0.0.1", "[::ffff:127.0.0.1]", "localhost"])
def test_an_invitation_does_not_make_a_node_on_the_internet_call_inside(tmp_path, clock, monkeypatch, host):
    """Whoever writes an invitation chooses what is called; nothing is tried there."""
    world = World(tmp_path, clock)
    tried: list[object] = []
    monkeypatch.setattr(socket, "create_connection", lambda *a, **_: tried.append(a))
    invitation = world.invite(url=f"https://{host}:8444")
    for networks in (None, Networks.of(["1.1.1.1"])):
        with pytest.raises(InputError, match="is in no network"):
            Joining(world.company(), invitation, clock, None, networks).look()
    assert tried == []


def test_what_answers_at_an_invitations_address_is_not_told(there):
    """A closed port, one that speaks no TLS, and a node of somebody else's look the same."""
    words = set()
    other = there.place.members["host"].keys({}).public_key()
    silent = socket.create_server(("127.0.0.1", 0))
    (free,) = free_ports(1)

    def chatter() -> None:
        with suppress(OSError):
            connection, _ = silent.accept()
            connection.sendall(b"220 mail.inside.example ESMTP secret-banner\r\n")
            connection.close()

    thread = threading.Thread(target=chatter)
    thread.start()
    for port in (free, silent.getsockname()[1], there.where[1]):
        invitation = there.invite(url=f"https://127.0.0.1:{port}", inviter=other)
        with pytest.raises(PeerError) as caught:
            there.comes(invitation).look()
        words.add(str(caught.value).replace(str(port), "PORT"))
    thread.join(SECONDS)
    silent.close()
    assert len(words) == 1
    assert "banner" not in words.pop()


def test_members_addresses_that_others_name_are_kept_where_they_may_be_called(place):
    """Who joins, and who lets join, says where nodes are; the operator can enter what is left out."""
    directory = place.members["airport"]
    settings = 'listen = "0.0.0.0:8443"\nurl = "https://1.1.1.1:8443"\nnetworks = ["10.1.0.0/16"]\n'
    (directory.path / "node.toml").write_text(settings, "utf-8")
    said = {"registry": "https://10.1.2.3:8443", "host": "https://169.254.169.254:80"}

    class Kept:
        def finish(self, stand, path):
            save_room(stand.room, path)

        def forget(self):
            pass

    stand = Stand(place.room, admitted=True, signed=True, changed=None, addresses=said)
    complete(MemberView(directory), cast("Joining", Kept()), stand)
    (room,) = NodeSettings.open(directory.path).rooms
    assert room.peers == {"registry": "https://10.1.2.3:8443"}


def test_a_redirect_is_not_followed(there):
    """The holder of the key that answers sends nobody elsewhere."""
    heard: list[bytes] = []

    def hear(content: bytes) -> bytes:
        heard.append(content)
        return b""

    with listening(there, hear) as elsewhere:
        moved = b"HTTP/1.1 307 x\r\nlocation: https://127.0.0.1:%d/join\r\ncontent-length: 0\r\n\r\n"
        bound = socket.create_server(("127.0.0.1", 0))
        context = desk_context(certificate_file(there.airport), there.airport.key_file)

        def answer() -> None:
            plain, _ = bound.accept()
            with context.wrap_socket(plain, server_side=True) as connection:
                connection.recv(65_536)
                connection.sendall(moved % elsewhere[1])

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(PeerError, match="takes no invitations"):
            there.comes(there.invite(url=f"https://127.0.0.1:{bound.getsockname()[1]}")).look()
        thread.join(SECONDS)
        bound.close()
    assert heard == []
