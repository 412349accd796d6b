# SPDX-License-Identifier: Apache-2.0
"""Four nodes as processes, 20 people at their consoles who look, ask and are refused, for as long as wished.

`soak` returns what was seen: each node's memory, descriptors and threads from time to time, how many people
waited for an answer at that moment, and everything that was not as it must be: an answer that is not the
right one, a page that fails, a line of a log that tells of anything but work that went well, a run that was
charged and answered to nobody, a ledger that does not say what the store says, a file left behind. Each
person is a thread with a browser's session and a program's token; nobody begins before all are signed in.
"""

from __future__ import annotations

import io
import json
import random
import re
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import httpx
import pytest
import sqlalchemy as sa
from tests.attacks.test_crash_of_ask import check
from tests.conftest import AGREEMENT, QUESTION, REFUSED, Place, fill
from tests.e2e.nodes import Nodes, free_ports
from tests.e2e.releases import released

from hitoku.cli import main as cli
from hitoku.client import connect
from hitoku.client.room import RoomClient
from hitoku.errors import Refusal
from hitoku.ports import SystemClock
from hitoku.room import store as tables
from hitoku.room.agreement import Agreement, Room
from hitoku.room.directory import MemberDirectory, write_peers
from hitoku.room.files import save_room
from hitoku.room.runs import RunState
from hitoku.room.signing import sign

PASSWORD = "a password of the soak 9c1e7"
PEOPLE = {"airport": 7, "registry": 4, "agency": 6, "host": 3}
"""How many people there are at each member's console: 20. A host may not ask: who is there looks."""
ACTS = {"look": 55, "ask": 20, "explain": 10, "refused": 8, "records": 5, "again": 2}
"""How often somebody does what."""
QUESTIONS: dict[str, list[tuple[object, ...]]] = {
    QUESTION: [("BIG", 18, 183 / 18)],
    QUESTION.replace("GROUP", "WHERE f.carrier = 'AA' GROUP"): [("BIG", 12, 7.0)],
    QUESTION.replace("GROUP", "WHERE f.carrier = 'ZZ' GROUP"): [("BIG", 4, 15.5)],
    QUESTION.replace("GROUP", "WHERE f.carrier = 'UA' GROUP"): [],
}
"""What is asked, and the only right answer to it."""
WENT_WELL = frozenset({
    "console", "serving", "stopped", "request", "console request", "console ask", "console ask ended",
    "ledger checked",
})  # fmt: skip
"""What a node may log here; anything else tells of something that failed, was given up or was recovered."""
SAMPLED = ("resident", "descriptors", "threads", "children", "engines")
"""What is looked at of a node: bytes, numbers, and the bytes of its child processes."""
PAGES = (
    "/", "/rooms", "/rooms/{room}", "/rooms/{room}/members", "/rooms/{room}/tables", "/rooms/{room}/ask",
    "/rooms/{room}/budgets", "/rooms/{room}/ledger", "/rooms/{room}/attestation", "/rooms/{room}/models",
    "/rooms/{room}/templates", "/jobs", "/learning", "/audit", "/users", "/account",
)  # fmt: skip
_HANGS = 600
"""Seconds."""
_CSRF = re.compile(r'name="csrf" value="([^"]+)"')
_CONSOLE = """
[console]
listen = "127.0.0.1:{port}"
url = "http://127.0.0.1:{port}"

[quotas]
runs = 1000
asks_an_hour = 100000
user_asks_an_hour = 100000
"""


@dataclass
class Seen:
    """What came of it. For many threads.

    Attributes:
        done: how often each thing was done.
        wrong: what was not as it must be, in words.
        samples: by node: seconds since the start, and the figures of `SAMPLED`.
        waiting: of each moment that was looked at: how many people waited for an answer.
        worked: by person, how much it did in each fifth of the time.
        runs: of every answer, which run made it.
        seconds: how long it is to take.
        began: when it began, by the monotonic clock.
        busy: how many people wait for an answer now.
        stopped: somebody cannot go on: it ends early.
    """

    done: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    samples: dict[str, list[tuple[float, ...]]] = field(default_factory=dict)
    waiting: list[int] = field(default_factory=list)
    worked: dict[str, Counter[int]] = field(default_factory=dict)
    runs: set[str] = field(default_factory=set)
    seconds: float = 1.0
    began: float = 0.0
    busy: int = 0
    stopped: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def doing(self, who: str, act: str) -> Iterator[None]:
        """Somebody waits for an answer; what is raised is written down."""
        with self._lock:
            self.busy += 1
        problem = None
        try:
            yield
        except Exception as error:  # whatever it is, it is what is looked for
            problem = f"{who}: {act}: {type(error).__name__}: {error}"[:400]
        with self._lock:
            self.busy -= 1
            if problem is not None:
                self.wrong.append(problem)
                return
            self.done[act] += 1
            fifth = min(4, int(5 * (time.monotonic() - self.began) / self.seconds))
            self.worked.setdefault(who, Counter())[fifth] += 1

    def answered(self, run: str) -> None:
        """An answer came, of that run."""
        with self._lock:
            self.runs.add(run)

    def look(self, name: str, pid: int) -> None:
        """Note how a node stands now."""
        self.samples.setdefault(name, []).append((time.monotonic() - self.began, *_used(pid)))

    def fifths(self, name: str, which: str) -> list[float]:
        """The medians of a figure of a node in each fifth of the time."""
        found = [sample[1 + SAMPLED.index(which)] for sample in self.samples[name]]
        size = max(1, len(found) // 5)
        return [median(found[n * size : (n + 1) * size] or found[-1:]) for n in range(4)] + [
            median(found[4 * size :] or found[-1:])
        ]


def make_four(path: Path) -> Place:
    """A signed room of airport, registry, agency and host, its tables on the host."""
    data = deepcopy(AGREEMENT)
    abilities = {"airport": ["query", "receive"], "registry": ["query", "receive"],
                 "agency": ["query", "receive"], "host": ["host"]}  # fmt: skip
    members = {name: MemberDirectory.create(path / name, name) for name in abilities}
    data["members"] = [
        {"name": name, "key": members[name].keys({}).public_key(), "abilities": able}
        for name, able in abilities.items()
    ]
    room = Room(agreement=Agreement.model_validate(data))
    for name, directory in members.items():
        room = sign(room, name, directory.keys({}))
        directory.remember(room)
    save_room(room, path / "room.yaml")
    write_peers(path, {name: name for name in members})
    return fill(Place(path, members, room))


def made(*arguments: object, text: str = "") -> str:
    """The output of the command line, in this process; it must succeed."""
    out, before = io.StringIO(), sys.stdin
    sys.stdin = io.StringIO(text)
    try:
        with redirect_stdout(out):
            assert cli.run([str(word) for word in arguments]) == 0
    finally:
        sys.stdin = before
    return out.getvalue()


class Person(threading.Thread):
    """Somebody at a console."""

    def __init__(
        self, seed: int, member: str, name: str, url: str, token: str, room: str, seen: Seen,
        all_in: threading.Barrier,
    ) -> None:  # fmt: skip
        super().__init__(name=f"{member}/{name}", daemon=True)
        self._dice, self._number = random.Random(seed), seed
        self._who, self._url, self._token, self._room, self._seen = name, url, token, room, seen
        self._all_in = all_in
        self._asks = member != "host"
        self.over = threading.Event()

    def run(self) -> None:
        """Until `over`."""
        browser = httpx.Client(base_url=self._url, trust_env=False, timeout=_HANGS)
        acts = ACTS if self._asks else {act: ACTS[act] for act in ("look", "records", "again")}
        try:
            with browser, connect(self._url, token=self._token) as program:
                room = program.room(self._room)
                self._sign_in(browser)
                self._all_in.wait(_HANGS)
                act = list(acts)[self._number % len(acts)]  # each is done, however slow the machine is
                while True:
                    with self._seen.doing(self.name, act):
                        self._act(act, browser, room)
                    if self.over.wait(self._dice.uniform(0.2, 2.0)):
                        break
                    act = self._dice.choices(list(acts), list(acts.values()))[0]
        except Exception as error:
            self._seen.wrong.append(f"{self.name}: ended: {type(error).__name__}: {error}"[:400])
            self._seen.stopped = True
            self._all_in.abort()

    def _act(self, act: str, browser: httpx.Client, room: RoomClient) -> None:
        match act:
            case "look":
                path = self._dice.choice(PAGES).format(room=self._room)
                answer = browser.get(path)
                assert answer.status_code == 200, f"{path}: {answer.status_code}"
                assert answer.text.rstrip().endswith("</html>"), path
            case "ask":
                sql, right = self._dice.choice(list(QUESTIONS.items()))
                name = "aircraft"
                if self._dice.random() < 0.5:  # another name is another question: it is not given again
                    name = f"a{self._dice.randrange(10**6)}"
                answered = room.ask(sql.replace("aircraft", name))
                assert answered.column_names == ["manufacturer", name, "delay"], answered.column_names
                assert answered.fetchall() == [pytest.approx(row) for row in right], answered.fetchall()
                self._seen.answered(answered.run)
            case "explain":
                assert room.explain(QUESTION).refusal is None
            case "refused":
                with pytest.raises(Refusal) as refusal:
                    room.ask(REFUSED)
                assert refusal.value.code == "ENCRYPTED_COLUMN", refusal.value.code
            case "records":
                next(iter(room.ledger()), None)
                room.budgets()
            case _:
                token = _CSRF.search(browser.get("/account").text)
                assert token is not None
                left = browser.post("/logout", data={"csrf": token[1]}, headers={"origin": self._url})
                assert left.status_code == 303, left.status_code
                self._sign_in(browser)

    def _sign_in(self, browser: httpx.Client) -> None:
        token = _CSRF.search(browser.get("/login").text)
        assert token is not None
        form = {"csrf": token[1], "name": self._who, "password": PASSWORD, "next": "/"}
        answer = browser.post("/login", data=form, headers={"origin": self._url})
        assert answer.status_code == 303, f"sign-in: {answer.status_code}"


def soak(path: Path, seconds: float, every: float = 10.0) -> Seen:
    """Let them go about their work for so many seconds. What is seen goes to ``soak.jsonl`` there, too."""
    place = make_four(path)
    nodes, seen, room = Nodes(place), Seen(seconds=seconds), str(place.agreement.id)
    consoles = dict(zip(PEOPLE, free_ports(len(PEOPLE)), strict=True))
    people: list[Person] = []
    all_in = threading.Barrier(sum(PEOPLE.values()) + 1)
    for member, port in consoles.items():
        directory = place.members[member].path
        with (directory / "node.toml").open("a") as file:
            file.write(_CONSOLE.format(port=port))
        able = [x for one in ("ask", "tables", "sign", "audit", "administer") for x in ("--ability", one)]
        for number in range(PEOPLE[member]):
            name = f"user{number}"
            made("user", "add", directory, name, *able, text=PASSWORD + "\n")
            token = re.search(r"hitoku_[A-Za-z0-9_-]+", made("user", "token", directory, name))
            assert token is not None
            url = f"http://127.0.0.1:{port}"
            people.append(Person(len(people), member, name, url, token[0], room, seen, all_in))
    nodes.more = released(path / "release").environment  # whoever edits the source does not change what runs
    nodes.start()
    try:
        for person in people:
            person.start()
        with suppress(threading.BrokenBarrierError):  # who could not sign in has said why
            all_in.wait(_HANGS)
        seen.began = time.monotonic()
        _wait(nodes, seen, every, path / "soak.jsonl")
        for person in people:
            person.over.set()
        for person in people:
            person.join(_HANGS)
            if person.is_alive():
                seen.wrong.append(f"{person.name}: still waits")
        for name in tuple(nodes.processes):
            code = nodes.stop(name)
            if code != 0:
                seen.wrong.append(f"{name}: stopped with {code}")
    finally:
        nodes.end()
    for name in place.members:
        seen.wrong += [f"{name}: logged {line}" for line in told(nodes.log(name).read_text("utf-8"))]
        seen.wrong += [f"{name}: left behind {file.name}" for file in nodes.temporary(name).iterdir()]
    _settled(place, seen)
    return seen


def _wait(nodes: Nodes, seen: Seen, every: float, file: Path) -> None:
    """Look at the nodes from time to time until the time is over, or one has ended."""
    with file.open("w", encoding="utf-8") as out:
        while (now := time.monotonic() - seen.began) < seen.seconds and not seen.stopped:
            for name, process in nodes.processes.items():
                if process.poll() is not None:
                    seen.wrong.append(f"{name}: ended with {process.returncode}")
                    return
                seen.look(name, process.pid)
            seen.waiting.append(seen.busy)
            facts = {
                "waiting": seen.busy,
                "done": dict(seen.done),
                "wrong": len(seen.wrong),
                "last": seen.wrong[-1:],
            }
            last = {
                name: dict(zip(SAMPLED, found[-1][1:], strict=True)) for name, found in seen.samples.items()
            }
            out.write(json.dumps({"seconds": round(now), **facts, "nodes": last}) + "\n")
            out.flush()
            time.sleep(max(0.0, min(every, seen.seconds / 30, seen.seconds - now)))


def told(log: str) -> list[str]:
    """The lines of a node's log that tell of anything but work that went well."""
    found = []
    for line in log.splitlines():
        try:
            said = json.loads(line)
        except ValueError:
            found.append(line[:300])  # a traceback, or a warning of Python
            continue
        fine = isinstance(said, dict) and said.get("event") in WENT_WELL
        fine = fine and said.get("status", 200) in {200, 202, 303} and said.get("error") is None
        if fine and said["event"] == "console ask ended":
            fine = (said["state"], said["code"]) in {("done", None), ("refused", "ENCRYPTED_COLUMN")}
        if fine and said["event"] == "stopped":
            fine = said["ended"] is True
        if not fine:
            found.append(line[:300])
    return found


def _settled(place: Place, seen: Seen) -> None:
    """Ledgers verify and agree with each other and with the stores; every charged run was answered."""
    try:
        check(place)
    except Exception as error:
        seen.wrong.append(f"ledgers: {type(error).__name__}: {error}"[:400])
    for owner in ("airport", "registry"):
        records = place.members[owner].records(str(place.agreement.id), SystemClock())
        run = tables.runs.c
        with records.store.reading() as connection:
            found = connection.execute(sa.select(run.run, run.state).where(run.repeats.is_(None))).all()
        records.store.close()
        charged = {key.partition(":")[2] for key, state in found if state == RunState.COMMITTED}
        reserved = {key.partition(":")[2] for key, state in found if state == RunState.RESERVED}
        if charged != seen.runs or reserved:
            more, less = len(charged - seen.runs), len(seen.runs - charged)
            seen.wrong.append(
                f"{owner}: {more} runs charged without an answer, {less} answered without a charge, "
                f"{len(reserved)} still reserved"
            )


def _used(pid: int) -> tuple[int, ...]:
    """The figures of `SAMPLED`."""
    at, engines = Path(f"/proc/{pid}"), []
    resident, threads = _status(pid)
    waiting = _children(pid)
    while waiting:
        child = waiting.pop()
        with suppress(OSError):  # it may end meanwhile
            engines.append(_status(child)[0])
            waiting += _children(child)
    return resident, len(list((at / "fd").iterdir())), threads, len(engines), sum(engines)


def _status(pid: int) -> tuple[int, int]:
    """Resident bytes and threads of a process; it has none when it has ended and nobody looked."""
    words = [line.split() for line in Path(f"/proc/{pid}/status").read_text("utf-8").splitlines()]
    found = {line[0]: line[1] for line in words if len(line) > 1}
    return int(found.get("VmRSS:", 0)) * 1024, int(found["Threads:"])


def _children(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):
            found += [int(child) for child in (task / "children").read_text("utf-8").split()]
    return found
