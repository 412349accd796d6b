# SPDX-License-Identifier: Apache-2.0
"""Attacks on runs of three servers on shares, and their failures, at the nodes.

By the leader, which carries everything and is believed in nothing; by a server, an owner, an asker, a member
without a part; and servers that are slow, killed, or of another mind. Whatever happens: nothing is given out,
the error says who, the owners' charges are right, and nothing stays on a disk.
"""

from __future__ import annotations

import base64
import importlib
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from tests.sharing import CLEAR, SERVERS, SQL, World, agreement_data, make

from hitoku import limits
from hitoku.ask import shared as leading
from hitoku.ask.asker import common_fields
from hitoku.ask.common import examine
from hitoku.ask.host import Host
from hitoku.ask.server import Server
from hitoku.ask.shared import SharedRun
from hitoku.ask.work import Work
from hitoku.errors import EngineError, HitokuError, PeerError, Refusal
from hitoku.node.member import LocalNode
from hitoku.ports import SystemClock
from hitoku.protections.shares import naming
from hitoku.room.canonical import agreement_hash
from hitoku.room.consent import moment
from hitoku.room.ledger import EntryKind
from hitoku.room.parts import SealedPart
from hitoku.room.runs import RunState
from hitoku.room.sealing import give_sealing_key
from hitoku.transport import messages, shares

OTHER = SQL.replace("s.plan", "c.region")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make(tmp_path)


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A world in which no question is answered."""
    return make(tmp_path_factory.mktemp("still"))


def failed(world: World, code: str | None = None, words: str = "") -> HitokuError:
    """Ask, which must fail: nothing was released, the owners charged it, nothing stays."""
    with pytest.raises(HitokuError) as caught:
        world.handle().ask(SQL)
    if code is not None:
        assert getattr(caught.value, "code", None) == code, caught.value
    assert words in str(caught.value)
    assert world.stays() == []
    for name in world.members:
        assert not world.entries(name, EntryKind.RELEASE), name
    for owner in ("shop", "telco"):
        charged = [e for e in world.entries(owner, EntryKind.CHARGE) if e["role"] == "owner"]
        assert len(charged) == 1, owner
    return caught.value


@contextmanager
def at(member: str, monkeypatch: pytest.MonkeyPatch, name: str, change: Callable[..., Any]) -> Iterator[None]:
    """One server's method is another one's: `change(server, its own method, *arguments)`."""
    own = getattr(Server, name)

    def changed(self: Server, *arguments: Any, **more: Any) -> Any:
        if self.peers.me != member:
            return own(self, *arguments, **more)
        return change(self, own, *arguments, **more)

    monkeypatch.setattr(Server, name, changed)
    yield


# --- a server that fails ---


@pytest.mark.slow
@pytest.mark.parametrize("server", SERVERS)
def test_a_server_that_cannot_go_on_ends_the_run_for_all(
    world: World, monkeypatch: pytest.MonkeyPatch, server: str
) -> None:
    secret = "+49 170 0000001"

    def fails(self: Server, own: Any, *arguments: Any) -> Any:
        raise RuntimeError(f"cannot read {secret}")

    with at(server, monkeypatch, "_ready", fails):
        error = failed(world, None if server == "shop" else "RUN_ABORTED")
    assert secret not in str(error)
    if server != "shop":
        assert server in str(error)


@pytest.mark.slow
@pytest.mark.parametrize("server", SERVERS)
def test_a_server_whose_connections_break_ends_the_run_for_all(
    world: World, monkeypatch: pytest.MonkeyPatch, server: str
) -> None:
    """As when its process is killed: what it had in memory is gone, its sockets are closed."""
    operators = importlib.import_module("hitoku.protections.shares.operators.execute")
    run = operators.execute

    def broken(program: Any, party: Any, *rest: Any) -> Any:
        if hasattr(party, "abort") and SERVERS[party.index] == server:  # not the dry run
            party.abort()
            party.close()
            raise EngineError("killed")
        return run(program, party, *rest)

    monkeypatch.setattr(operators, "execute", broken)
    failed(world)


@pytest.mark.slow
def test_a_server_that_does_not_come_is_waited_for_a_while(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "SHARES_CONNECT_SECONDS", 1)
    gone = threading.Event()

    def late(self: Server, own: Any, work: Work, name: str) -> Any:
        own(self, work, name)
        gone.wait(300)
        raise PeerError("too late")

    try:
        with at("lab", monkeypatch, "_ready", late):
            # Who loses patience first is chance, and with whom: a second is short where much else runs.
            failed(world, "RUN_ABORTED", "did not answer in time")
    finally:
        gone.set()


@pytest.mark.slow
def test_a_server_with_another_program_is_named(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    own, turn = naming.program_hash, threading.Lock()

    def other(program: Any) -> str:
        """The first of the three that comes here has another one."""
        return "sha256:" + "0" * 64 if turn.acquire(blocking=False) else own(program)

    monkeypatch.setattr(naming, "program_hash", other)
    failed(world, "RUN_ABORTED", "another program")


@pytest.mark.slow
def test_a_server_with_the_key_of_another_room_is_not_let_in(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hitoku.node import listening

    (tmp_path / "other").mkdir()
    stranger = make(tmp_path / "other").members["lab"]
    own = listening._made
    monkeypatch.setattr(
        listening, "_made", lambda directory: own(stranger if directory.name == "lab" else directory)
    )
    failed(world, "RUN_ABORTED", "server 'lab' is not who the room says")


# --- a leader that lies ---


def begins(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
    """The leader tells the two others something else than it was asked."""
    work = SharedRun.work

    def lied(self: SharedRun, sealing: Any) -> Work:
        made = work(self, sealing)
        said = {k: v(made.order.request) if callable(v) else v for k, v in changes.items()}
        made.order = replace(made.order, request=made.order.request.model_copy(update=said))
        return made

    monkeypatch.setattr(SharedRun, "work", lied)


def forged(request: shares.SharesBegin) -> list[Any]:
    first, *rest = request.consents
    signature = base64.b64encode(bytes(64)).decode()
    return [first.model_copy(update={"signature": signature}), *rest]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"sql": OTHER}, "CONSENT_MISMATCH"),
        ({"receivers": ["shop", "telco"]}, "CONSENT_MISMATCH"),
        ({"asker": "telco"}, "CONSENT_MISMATCH"),
        ({"consents": lambda request: request.consents[:1]}, "CONSENT_MISSING"),
        ({"consents": forged}, "CONSENT_FORGED"),
        ({"sealing": []}, "SEALING_KEY"),
        ({"run": "ab" * 16}, "CONSENT_MISMATCH"),
        ({"room": "sha256:" + "0" * 64}, "ROOM_DIFFERS"),
    ],
    ids=["question", "receivers", "asker", "no-consent", "forged", "no-key", "run", "room"],
)
def test_what_a_leader_makes_up_is_refused_by_the_others(
    world: World, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], code: str
) -> None:
    begins(monkeypatch, **changes)
    failed(world, code)


@pytest.mark.slow
def test_a_leader_cannot_have_the_answer_sealed_for_itself(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = X25519PrivateKey.generate().public_key().public_bytes_raw()

    def swapped(request: shares.SharesBegin) -> list[Any]:
        (given,) = request.sealing
        forged = give_sealing_key(
            world.members["lab"].keys({}),
            receiver="shop",
            room=given.room,
            run=given.run,
            host=given.host,
            key=own,
        )
        return [forged]

    begins(monkeypatch, sealing=swapped)
    failed(world, "SEALING_KEY", "does not carry its signature")


@pytest.mark.slow
@pytest.mark.parametrize("which", ["content", "order", "other run"])
def test_a_leader_cannot_change_the_parts(world: World, monkeypatch: pytest.MonkeyPatch, which: str) -> None:
    run, kept = SharedRun._parts, list[list[list[SealedPart]]]()

    def changed(self: SharedRun, *arguments: Any) -> list[list[SealedPart]]:
        parts = run(self, *arguments)
        kept.append(parts)
        if which == "content":
            (part,) = parts[1]
            return [parts[0], [part.model_copy(update={"content": "AAAA"})], parts[2]]
        if which == "order":
            return [parts[1], parts[0], parts[2]]
        return [kept[0][0], *parts[1:]]

    monkeypatch.setattr(SharedRun, "_parts", changed)
    if which == "other run":
        assert {row[0]: tuple(row[1:]) for row in world.handle().ask(SQL).fetchall()} == CLEAR
    with pytest.raises(PeerError):
        world.handle().ask(SQL)


@pytest.mark.slow
@pytest.mark.parametrize("when", ["early", "late"])
def test_a_leader_cannot_date_the_answer_otherwise(
    world: World, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    from datetime import timedelta

    far = timedelta(hours=1 if when == "late" else -1)
    monkeypatch.setattr(leading, "moment", lambda time: moment(time + far))
    monkeypatch.setattr(Server, "_soon", lambda self, at: None if self.peers.me == "shop" else soon(self, at))
    failed(world, "RELEASE_TIME")


soon = Server._soon


# --- messages out of turn, by anybody ---


def nodes(world: World) -> dict[str, LocalNode]:
    return {node.name: node for node in world.handle()._nodes}


def begin(world: World, run: str, **changes: Any) -> dict[str, Any]:
    return (
        shares.SharesBegin(
            sql=SQL,
            room=agreement_hash(world.room.agreement),
            run=run,
            asker="shop",
            receivers=["shop"],
            protection="shares",
            consents=[],
            sealing=[],
        )
        .model_copy(update=changes)
        .model_dump(mode="json")
    )


def offer(world: World, run: str, **changes: Any) -> dict[str, Any]:
    fields = {k: v for k, v in begin(world, run).items() if k not in {"kind", "consents", "sealing"}}
    return shares.OfferShares(**(fields | changes)).model_dump(mode="json")


def consented(found: dict[str, LocalNode], world: World) -> str:
    """Have both owners consent to a run; returns it."""
    examined = examine(SQL, world.room, "shop", ["shop"])
    run = uuid.uuid4().hex
    common = common_fields(SQL, examined, None) | {"run": run, "repeats": None}
    for owner in ("shop", "telco"):
        asked = messages.ConsentRequest(host="shop", **common).model_dump(mode="json")
        found["shop"].peers.call(owner, asked)
    return run


def test_who_is_no_server_takes_no_part(tmp_path: Path) -> None:
    data = agreement_data()
    data["members"].append({"name": "guest", "abilities": ["query", "receive", "compute"]})
    made = make(tmp_path, data)
    found, run = nodes(made), "ab" * 16
    for kind in ("begin", "where", "wait", "finish", "stop"):
        with pytest.raises(PeerError):
            found["guest"].peers.call("lab", {"kind": f"hitoku/shares-{kind}/1", "run": run})
        with pytest.raises(PeerError):  # nor does a server tell who is none
            found["lab"].peers.call("guest", {"kind": f"hitoku/shares-{kind}/1", "run": run})
    with pytest.raises(Refusal) as caught:
        found["guest"].peers.call("telco", offer(made, consented(found, made)))
    assert caught.value.code == "NO_SUCH_RUN"


def test_runs_that_nobody_has_begun(still: World) -> None:
    found, run = nodes(still), "ab" * 16
    for kind, more in (
        ("where", {}),
        ("wait", {}),
        ("finish", {"released_at": moment(SystemClock().now())}),
    ):
        with pytest.raises(Refusal) as caught:
            found["shop"].peers.call("lab", {"kind": f"hitoku/shares-{kind}/1", "run": run, **more})
        assert caught.value.code == "NO_SUCH_RUN"
    # Whoever leads may end a run that is not there; that is no secret.
    stop = shares.SharesStop(run=run).model_dump(mode="json")
    assert found["shop"].peers.call("lab", stop)["run"] == run


def test_only_the_first_server_leads(still: World) -> None:
    found = nodes(still)
    for sender in ("telco", "lab"):
        with pytest.raises(Refusal) as caught:
            found[sender].peers.call("shop", begin(still, "cd" * 16))
        assert caught.value.code == "HOST_NOT_ALLOWED"
    assert found["shop"].shares._works == {}


def test_tables_are_shared_for_the_consented_run_alone(still: World) -> None:
    found = nodes(still)
    run = consented(found, still)
    asked = offer(still, run)
    for message in (
        asked | {"run": "0" * 32},
        asked | {"sql": OTHER},
        asked | {"receivers": ["shop", "telco"]},
        asked | {"asker": "telco"},
    ):
        with pytest.raises(Refusal) as caught:
            found["lab"].peers.call("telco", message)
        assert caught.value.code == "NO_SUCH_RUN"
    assert not found["telco"].shares.uploads.knows(run)


@pytest.mark.slow
def test_each_server_gets_its_own_seeds_alone(world: World) -> None:
    found = nodes(world)
    run = consented(found, world)
    given: dict[str, dict[str, Any]] = {}
    for server in SERVERS:
        while (tables := found[server].peers.call("telco", offer(world, run))["tables"]) is None:
            pass
        (given[server],) = tables
    seeds = {s: (one["seed_a"], one["seed_b"], one["parcel"]) for s, one in given.items()}
    a, b, none = seeds["shop"]
    assert None not in (a, b)
    assert none is None
    assert seeds["telco"] == (None, b, "share-0")
    assert seeds["lab"] == (a, None, None)
    assert len({one["manifest"] for one in given.values()}) == 1
    shelf = found["telco"].shelves
    assert shelf.parcel("telco", run, "share-0") is not None
    for member in ("shop", "lab"):  # with both seeds, or one, the third share would tell the table
        with pytest.raises(Refusal) as caught:
            shelf.parcel(member, run, "share-0")
        assert caught.value.code == "NO_SUCH_PARCEL"
    # From here on it costs, whatever the leader says.
    settle = messages.Settle(run=run, outcome="aborted").model_dump(mode="json")
    found["shop"].peers.call("telco", settle)
    known = found["telco"].records.consented(run)
    assert known is not None
    assert known.state is RunState.COMMITTED
    assert world.stays() == []
    with pytest.raises(Refusal) as caught:
        found["lab"].peers.call("telco", offer(world, run))
    assert caught.value.code == "RUN_ENDED"


def test_a_run_that_never_began_is_free(still: World) -> None:
    found = nodes(still)
    run = consented(found, still)
    settle = messages.Settle(run=run, outcome="aborted").model_dump(mode="json")
    found["shop"].peers.call("telco", settle)
    known = found["telco"].records.consented(run)
    assert known is not None
    assert known.state is RunState.ABORTED


@pytest.mark.slow
def test_an_owner_that_forgot_does_not_share_twice(world: World) -> None:
    """Other shares of rows of which other servers have the first ones: two of both kinds tell something."""
    found = nodes(world)
    run = consented(found, world)
    found["lab"].peers.call("telco", offer(world, run))
    again = nodes(world)
    with pytest.raises(Refusal) as caught:
        again["lab"].peers.call("telco", offer(world, run))
    assert caught.value.code == "RUN_ENDED"


@pytest.mark.slow
def test_a_run_is_begun_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked again with the same consents, by the asker or by the leader: nothing is computed twice."""
    seen: list[tuple[str, dict[str, Any]]] = []
    orders: list[dict[str, Any]] = []
    desk = LocalNode.handle

    def heard(self: LocalNode, sender: str, message: dict[str, Any]) -> dict[str, Any]:
        if message["kind"] == "hitoku/shares-begin/1":
            seen.append((self.name, message))
        if message["kind"] == "hitoku/run-request/1":
            orders.append(message)
        return desk(self, sender, message)

    monkeypatch.setattr(LocalNode, "handle", heard)
    handle = world.handle()
    handle.ask(SQL)
    found = {node.name: node for node in handle._nodes}
    fresh = nodes(world)
    for known in (found, fresh):
        for name, message in seen[:2]:
            with pytest.raises(Refusal) as caught:
                known["shop"].peers.call(name, message)
            assert caught.value.code == "CONSENT_REPLAYED"
        with pytest.raises(Refusal) as caught:
            known["shop"].peers.call("shop", orders[0])
        assert caught.value.code == "CONSENT_REPLAYED"
    run = orders[0]["run"]
    finish = shares.SharesFinish(run=run, released_at=moment(SystemClock().now())).model_dump(mode="json")
    with pytest.raises(Refusal) as caught:  # nor are the parts given out again
        found["shop"].peers.call("lab", finish)
    assert caught.value.code in {"NO_SUCH_RUN", "RUN_ABORTED"}


@pytest.mark.slow
def test_a_receiver_whose_key_is_missing_stops_it_before_anything_is_charged(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = Host._sealing
    monkeypatch.setattr(
        Host, "_sealing", lambda self, sender, request, examined: given(self, sender, request, examined)[:0]
    )
    with pytest.raises(Refusal) as caught:
        world.handle().ask(SQL)
    assert caught.value.code == "SEALING_KEY"
    for name in world.members:
        assert not world.entries(name, EntryKind.RELEASE)


# --- answers that nobody computed ---


def test_an_answer_that_is_none_is_not_taken(still: World) -> None:
    found, run = nodes(still), "ef" * 16
    fields = {k: v for k, v in begin(still, run).items() if k not in {"kind", "consents", "sealing"}}
    terms = {
        "room": agreement_hash(still.room.agreement),
        "run": run,
        "question": "sha256:" + "0" * 64,
        "plan": "sha256:" + "0" * 64,
        "program": "sha256:" + "0" * 64,
        "released_at": "2026-01-01T00:00:00Z",
    }
    part = {"receiver": "telco", "terms": terms, "hash": terms["program"], "content": "AAAA"}
    shared = {
        "parts": [part | {"server": server} for server in SERVERS],
        "hashes": {"telco": [terms["program"]] * 3},
    }
    message = shares.DeliverShares.model_validate(fields | {"receivers": ["telco"], "shared": shared})
    with pytest.raises(Refusal) as caught:  # nobody asked this receiver for a key
        found["shop"].peers.call("telco", message.model_dump(mode="json"))
    assert caught.value.code == "DELIVERY_REFUSED"
    from hitoku.transport.enclave import SealingKeyRequest

    room = terms["room"]
    found["shop"].peers.call("telco", SealingKeyRequest(room=room, run=run).model_dump(mode="json"))
    with pytest.raises(PeerError):  # and where it was asked, the parts are no server's
        found["shop"].peers.call("telco", message.model_dump(mode="json"))
    assert not (still.members["telco"].path / "answers").exists()


@pytest.mark.slow
def test_an_answer_in_the_plain_is_not_taken_for_one_of_three_servers(world: World) -> None:
    """A leader has no answer; what it sends as one is made up."""
    answer = world.handle().ask(SQL)
    made_up = replace(answer, run="ab" * 16, receivers=("telco",))
    message = messages.Deliver(run=made_up.run, answer=made_up.to_message()).model_dump(mode="json")
    found = nodes(world)
    with pytest.raises(Refusal) as caught:
        found["shop"].peers.call("telco", message)
    assert caught.value.code == "DELIVERY_REFUSED"


@pytest.mark.slow
def test_servers_never_hear_a_value(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that goes between nodes, or stands in a parcel, has a value in it."""
    heard: list[bytes] = []
    desk = LocalNode.handle

    def listening(self: LocalNode, sender: str, message: dict[str, Any]) -> dict[str, Any]:
        answer = desk(self, sender, message)
        heard.extend((messages.encode(message), messages.encode(answer)))
        return answer

    monkeypatch.setattr(LocalNode, "handle", listening)
    world.handle().ask(SQL)
    carried = b"\n".join(heard)
    for value in (b"+49 170", b"basic", b"family", b"region 1"):
        assert value not in carried


# --- an owner that shares something else ---


@pytest.mark.slow
@pytest.mark.parametrize("how", ["altered", "longer", "shorter", "seed"])
def test_an_owner_that_shares_something_else_than_it_signed_ends_the_run(
    world: World, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """The second server gets the explicit share, the others a seed: both are checked against the manifest."""
    import pyarrow as pa

    from hitoku.node.uploads import Uploads
    from hitoku.protections.shares.upload.chunks import SCHEMA
    from hitoku.transport.parcels import write_parcel

    made = Uploads._made

    def other(self: Uploads, *arguments: Any) -> Any:
        done = made(self, *arguments)
        if how == "seed":
            return replace(done, seed_a=bytes(32))
        with pa.ipc.open_file(done.path) as parcel:
            chunks = [
                c for n in range(parcel.num_record_batches) for c in parcel.get_batch(n).column(0).to_pylist()
            ]
        first = bytearray(chunks[0])
        first[0] ^= 1
        chunks = {"altered": [bytes(first), *chunks[1:]], "longer": [*chunks, b"x"], "shorter": chunks[:-1]}[
            how
        ]
        done.path.unlink()
        write_parcel(done.path, SCHEMA, [pa.record_batch([pa.array(chunks, pa.binary())], schema=SCHEMA)])
        return done

    monkeypatch.setattr(Uploads, "_made", other)
    error = failed(world, "RUN_ABORTED")
    assert "'shop'" in str(error) or "'telco'" in str(error)
    # Whichever server the leader lost first: what is told is the owner, and what it did.
    assert {
        "altered": "sent shares that are not those in its manifest",
        "longer": "sent a parcel that is not as agreed",
        "shorter": "sent a parcel that is not as agreed",
        "seed": "gave a seed that is not the one in its manifest",
    }[how] in str(error)


@pytest.mark.slow
@pytest.mark.parametrize("first", ["telco", "lab"])
def test_whose_end_is_heard_first_does_not_change_who_is_named(
    world: World, monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    """The second server finds out; the leader loses it, or the third one, which lost it a moment before."""
    from hitoku.protections.shares.upload.load import _Taking

    monkeypatch.setattr(_Taking, "_is", lambda self, content, digest: self._party.index != 1)

    def lost(self: Server, own: Any, *arguments: Any) -> Any:
        with pytest.raises(HitokuError):
            own(self, *arguments)
        raise PeerError(f"server {first!r} ended the run: nothing was given out", "SHARES_ABORTED")

    with at("shop", monkeypatch, "compute", lost):
        failed(world, "RUN_ABORTED", "'shop' sent shares that are not those in its manifest")
