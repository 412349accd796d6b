# SPDX-License-Identifier: Apache-2.0
"""Three members' nodes as processes of their own, over HTTPS on loopback: the same as in one process."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from tests.attacks.test_crash_of_ask import check
from tests.conftest import PLANTED, QUESTION, REFUSED, SECRET, fill, make_place
from tests.e2e.nodes import SECONDS, Nodes, hitoku

import hitoku as api
from hitoku.errors import EngineError, HitokuError, PeerError, Refusal
from hitoku.node.remote import open_remote_room
from hitoku.ports import SystemClock
from hitoku.room.records import Role, RunState

OTHER = QUESTION.replace("AVG(f.arr_delay) AS delay", "COUNT(f.tailnum) AS flights")
TRIES = 20
"""How often a question is asked anew whose engine was there for too short a time to be caught."""


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    place = fill(make_place(tmp_path_factory.mktemp("nodes")))
    nodes = Nodes(place)
    try:
        nodes.start()
        yield nodes
    finally:
        nodes.end()


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The same tables in another room, all in one process."""
    return fill(make_place(tmp_path_factory.mktemp("alone")))


def room(world: Nodes, me: str = "airport"):
    return open_remote_room(world.place.members[me].path)


def facts(answer: api.Answer) -> object:
    """All of an answer but what is a run's own."""
    data = answer.to_dict()
    return data["rows"], data["columns"], data["withheld"], data["leakage"], data["protection"]


@pytest.mark.parametrize("sql", [QUESTION, OTHER])
def test_the_answer_is_the_same_as_in_one_process(world, alone, sql):
    far, near = room(world).ask(sql), api.open_room(alone.path, "airport").ask(sql)
    assert facts(far) == facts(near)
    assert far.num_rows == 1
    again = room(world).ask(sql)
    assert again.run == far.run
    assert again.fetchall() == far.fetchall()


def test_the_shell_asks_over_the_network_from_a_members_directory(world, alone):
    place = world.place.members["airport"].path
    far = hitoku("ask", QUESTION, "--room", str(place), "--json")
    assert far.returncode == 0, far.stderr
    near = api.open_room(alone.path, "airport").ask(QUESTION)
    assert json.loads(far.stdout)["rows"] == near.to_dict()["rows"]
    other = hitoku("ask", QUESTION, "--room", str(place), "--as", "registry")
    assert other.returncode == 5
    assert "is the directory of 'airport'" in other.stderr


def test_a_refusal_is_the_same_as_in_one_process(world, alone):
    caught = []
    for handle in (room(world), api.open_room(alone.path, "airport")):
        with pytest.raises(Refusal) as one:
            handle.ask(REFUSED)
        caught.append(one.value.to_dict())
    assert caught[0] == caught[1]
    # What only the others can refuse comes from them.
    with pytest.raises(Refusal) as one:
        room(world).ask(QUESTION, receivers=["airport", "host"])
    assert one.value.code == "RECEIVER_NOT_ALLOWED"


def test_an_answer_goes_to_another_member(world):
    sent = room(world).send(QUESTION, receivers=["registry"])
    kept = world.place.members["registry"].path / "answers" / f"{sent.run}.json"
    assert json.loads(kept.read_text("utf-8"))["run"] == sent.run


def test_explain_and_preview_work_from_afar(world):
    assert room(world).explain(QUESTION).refusal is None
    assert room(world).preview(QUESTION).accounts == ()


def test_the_ledgers_hold_and_continue_what_the_others_saw(world):
    for name in world.place.members:
        done = hitoku("ledger", "verify", "--room", world.place.path, "--as", name, "--json")
        assert done.returncode == 0, done.stderr
        assert len(json.loads(done.stdout)["heads"]) == 2
    check(world.place)


def test_status_says_who_answers(world):
    done = hitoku("node", "status", world.place.members["airport"].path, "--json")
    assert done.returncode == 0, done.stderr
    found = {one["member"]: one for one in json.loads(done.stdout)["members"]}
    assert all(one["reached"] and one["same_room"] for one in found.values())
    assert found["host"]["head"]["size"] > 0
    world.stop("host")
    done = hitoku("node", "status", world.place.members["airport"].path)
    assert done.returncode == PeerError.exit_code
    assert "'host' cannot be reached at https://127.0.0.1:" in done.stdout
    with pytest.raises(PeerError, match="'host' cannot be reached"):
        room(world).ask(QUESTION)
    world.start("host")
    assert room(world).ask(QUESTION).num_rows == 1


def test_an_asker_whose_own_node_is_down_is_told_so(world):
    world.stop("airport")
    with pytest.raises(PeerError, match="this member's own node must serve while it asks"):
        room(world).ask(QUESTION)
    world.start("airport")
    assert room(world).ask(QUESTION).num_rows == 1


def test_nothing_of_the_data_is_in_memory_files_or_logs_of_others(world):
    """The owners' own tables, and the shared secret, are with the owners alone; SQL is in no log."""
    room(world).ask(QUESTION)
    # Ids are short, so that one of them may be somewhere by chance; a table of them is not.
    ids = [f"N{n:03}".encode() for n in range(20)]
    secret = base64.b64encode(SECRET)
    for name, process in world.processes.items():
        memory = _memory(process.pid)
        for known in (b"hitoku", world.place.agreement.name.encode()):  # the search finds what is there
            assert known in memory
        assert PLANTED.encode() not in memory
        assert secret not in memory
        assert len(set(re.findall(rb"N0[01][0-9]", memory))) < 5
        key = world.place.members[name].key_file.read_bytes().splitlines()[1]
        log = world.log(name).read_bytes()
        for needle in (*ids, key, secret, b"SELECT", b"PLANTED", b"manufacturer", b"BIG"):
            assert needle not in log
    for file in world.place.members["host"].path.rglob("*"):
        with suppress(FileNotFoundError, IsADirectoryError):  # the database's journal comes and goes
            content = file.read_bytes()
            assert PLANTED.encode() not in content, file
            assert secret not in content, file
            assert sum(one in content for one in ids) < 3, file  # four bytes may stand anywhere by chance


def _memory(pid: int) -> bytes:
    """What a process has in its own writable memory."""
    found = bytearray()
    with Path(f"/proc/{pid}/mem").open("rb") as memory:
        for line in Path(f"/proc/{pid}/maps").read_text("ascii").splitlines():
            place, rights, *_ = line.split()
            start, end = (int(part, 16) for part in place.split("-"))
            if rights.startswith("rw") and end - start < 1 << 30:
                try:
                    memory.seek(start)
                    found += memory.read(end - start)
                except (OSError, ValueError):
                    continue
    return bytes(found)


def test_logs_are_json_without_words_of_others(world):
    for name in world.place.members:
        for line in world.lines(name):
            assert set(line) <= {
                "event", "timestamp", "room", "sender", "route", "kind", "received", "status", "answer",
                "bytes", "seconds", "member", "listen", "rooms", "ended", "error", "request",
            }  # fmt: skip
            assert "error" not in line


def test_questions_at_once_get_their_own_answers(world):
    """Each asks for another least number of aircraft, so that answers cannot be mistaken for each other."""
    asked = [f"{OTHER} HAVING COUNT(DISTINCT p.tailnum) > {n}" for n in (4, 5, 6, 17, 18, 19)]
    with ThreadPoolExecutor(len(asked)) as threads:
        answers = list(threads.map(lambda sql: room(world).ask(sql), asked))
    assert [answer.num_rows for answer in answers] == [1, 1, 1, 1, 0, 0]
    assert len({answer.run for answer in answers}) == len(asked)
    assert [answer.question for answer in answers] == [room(world).ask(sql).question for sql in asked]
    check(world.place)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_host_that_ends_during_runs_leaves_everything_in_order(world, number):
    """Whatever moment it ends at: an answer or a clean error, and ledgers that hold and fit the stores."""
    outcomes: list[object] = []
    for n, wait in enumerate((0.0, 0.3, 0.8, None)):
        found: list[object] = []

        def begun(attempt: int, n=n, found=found) -> threading.Thread:
            sql = f"{OTHER} HAVING COUNT(DISTINCT p.tailnum) > {n + 3 + 10 * number + 1000 * attempt}"

            def ask() -> None:
                try:
                    found.append(room(world).ask(sql).num_rows)
                except HitokuError as error:
                    found.append(error)

            found.clear()
            thread = threading.Thread(target=ask)
            thread.start()
            return thread

        if wait is None:  # for sure in the midst of one
            thread, engine = _held(world, begun)
        else:
            seen = len(world.lines("host"))
            thread, engine = begun(0), None
            until = time.monotonic() + SECONDS
            while len(world.lines("host")) == seen and time.monotonic() < until:
                time.sleep(0.01)
            time.sleep(wait)
        world.stop("host", number)
        if engine is not None:
            with suppress(ProcessLookupError):
                os.kill(engine, signal.SIGCONT)
        thread.join(SECONDS)
        world.start("host")
        assert len(found) == 1
        assert isinstance(found[0], int | PeerError | Refusal), found
        outcomes.append(found[0])
        check(world.place)
    assert room(world).ask(QUESTION).num_rows == 1
    for name in world.place.members:
        done = hitoku("ledger", "verify", "--room", world.place.path, "--as", name)
        assert done.returncode == 0, done.stderr
    assert isinstance(outcomes[-1], HitokuError), "no run was cut off"


@pytest.mark.slow
def test_a_node_that_ends_leaves_no_engine_behind(world):
    """Also one that is killed while its engine works."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        before = set(world.temporary("host").rglob("*"))  # other tests have killed it at any moment
        for attempt in range(TRIES):
            sql = f"{OTHER} HAVING COUNT(DISTINCT p.tailnum) > {100 + number + 1000 * attempt}"
            thread = threading.Thread(target=_asked, args=(world, sql))
            thread.start()
            while not (seen := _working(world)) and thread.is_alive():
                time.sleep(0.002)
            if seen:
                break
            thread.join(SECONDS)
        assert seen, "no engine was seen: the test looked too late"
        world.stop("host", number)
        thread.join(SECONDS)
        until = time.monotonic() + SECONDS
        while _engines(world) and time.monotonic() < until:
            time.sleep(0.05)
        assert not _engines(world)
        left = [path for path in world.temporary("host").rglob("*") if path not in before]
        # Killed before its engine said a word, a node leaves the engine's directory, which is empty.
        assert not [path for path in left if number == signal.SIGTERM or not path.is_dir()], (number, left)
        world.start("host")


def _heard(world: Nodes, name: str, kind: str, since: int) -> None:
    """Wait until a node has answered a message of a kind."""
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        if any(line.get("kind") == kind for line in world.lines(name)[since:]):
            return
        time.sleep(0.01)
    raise AssertionError(f"{name} heard no {kind}")


@pytest.mark.slow
def test_an_asker_ends_its_own_runs_at_the_host(world):
    """One that has begun is ended, and one that waits for its turn never begins; others' runs go on."""
    running, waiting, third = room(world), room(world), room(world)
    found: dict[str, object] = {}

    def ask(name: str, handle: object, number: int) -> None:
        sql = f"{OTHER} HAVING COUNT(DISTINCT p.tailnum) > {number}"
        try:
            found[name] = handle.ask(sql).num_rows  # type: ignore[attr-defined]
        except HitokuError as error:
            found[name] = error

    def begun(attempt: int) -> threading.Thread:
        found.clear()
        thread = threading.Thread(target=ask, args=("running", running, 7 + 1000 * attempt))
        thread.start()
        return thread

    first, _ = _held(world, begun)
    until = time.monotonic() + SECONDS
    since = {name: len(world.lines(name)) for name in world.place.members}
    others = [
        threading.Thread(target=ask, args=("waiting", waiting, 8)),
        threading.Thread(target=ask, args=("third", third, 9)),
    ]
    others[0].start()
    while not waiting._https.orders and time.monotonic() < until:
        time.sleep(0.01)
    others[1].start()
    while not third._https.orders and time.monotonic() < until:
        time.sleep(0.01)
    time.sleep(0.5)
    (buried,) = waiting._https.orders
    waiting.cancel()
    _heard(world, "registry", "hitoku/settle/1", since["registry"])
    assert found == {}
    running.cancel()
    for thread in (first, *others):
        thread.join(SECONDS)
    assert found["third"] == 1
    for name in ("running", "waiting"):
        error = found[name]
        assert isinstance(error, EngineError)
        assert error.code == "CANCELLED"
    for name in ("airport", "registry"):
        records = world.place.members[name].records(str(world.place.agreement.id), SystemClock())
        assert records.state(buried, Role.OWNER) is RunState.ABORTED
        assert name != "airport" or records.state(buried, Role.ASKER) is RunState.ABORTED
        records.store.close()
    check(world.place)


def _working(world: Nodes) -> list[int]:
    """The engines that the host's node has begun, looked for as quickly as it goes."""
    found = []
    for task in Path(f"/proc/{world.processes['host'].pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in task.read_text("ascii").split():
                # Not one that is about to become an engine: the node waits for that.
                if b"worker.py" in Path(f"/proc/{child}/cmdline").read_bytes():
                    found.append(int(child))
    return found


def _stopped(engine: int) -> bool:
    """Stop an engine by a signal. Whether that was in time: before it had loaded what it computes with."""
    with suppress(OSError):
        os.kill(engine, signal.SIGSTOP)
        while Path(f"/proc/{engine}/stat").read_text().rpartition(") ")[2][0] not in "TZ":
            time.sleep(0.001)
        if b"duckdb" not in Path(f"/proc/{engine}/maps").read_bytes():
            return True
        os.kill(engine, signal.SIGCONT)
    return False


def _held(world: Nodes, begun: Callable[[int], threading.Thread]) -> tuple[threading.Thread, int]:
    """Have a run begin whose engine is stopped, so that it does not end by itself.

    Args:
        world: the nodes.
        begun: asks a question of that number, and returns the thread that waits for the answer.
    """
    for attempt in range(TRIES):
        thread = begun(attempt)
        while thread.is_alive():
            for engine in _working(world):
                if _stopped(engine):
                    return thread, engine
            time.sleep(0.002)
    raise AssertionError("no engine was stopped in time")


def _engines(world: Nodes) -> list[Path]:
    """The engines that work in the host's directory for temporary files, whoever began them."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            begun = b"worker.py" in (process / "cmdline").read_bytes()
            if begun and (process / "cwd").readlink().is_relative_to(world.temporary("host")):
                found.append(process)
    return found


def _asked(world: Nodes, sql: str) -> None:
    with suppress(HitokuError):
        room(world).ask(sql)
