# SPDX-License-Identifier: Apache-2.0
"""Four nodes as processes, 20 people at their consoles who look, ask and are refused, for as long as wished.

`soak` returns what was seen: each node's memory, descriptors and threads from time to time, and everything
that was not as it must be. Each person is a thread with a browser's session and a program's token.
"""

from __future__ import annotations

import io
import random
import re
import sys
import threading
import time
from collections import Counter
from contextlib import redirect_stdout
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import httpx
import pytest
from tests.conftest import AGREEMENT, QUESTION, REFUSED, Place, fill
from tests.e2e.nodes import Nodes, free_ports, hitoku

from hitoku.cli import main as cli
from hitoku.client import connect
from hitoku.errors import Refusal
from hitoku.room.agreement import Agreement, Room
from hitoku.room.directory import MemberDirectory, write_peers
from hitoku.room.files import save_room
from hitoku.room.signing import sign

PASSWORD = "a password of the soak 9c1e7"
PEOPLE = {"airport": 8, "registry": 4, "agency": 8}
"""How many people there are at each member's console: 20."""
PAGES = (
    "/", "/rooms", "/rooms/{room}", "/rooms/{room}/members", "/rooms/{room}/tables", "/rooms/{room}/ask",
    "/rooms/{room}/budgets", "/rooms/{room}/ledger", "/rooms/{room}/attestation", "/rooms/{room}/models",
    "/rooms/{room}/templates", "/jobs", "/learning", "/audit", "/users", "/account",
)  # fmt: skip
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
    """What came of it.

    Attributes:
        done: how often each thing was done.
        wrong: what was not as it must be, in words.
        samples: by node: (seconds since the start, resident bytes, descriptors, threads).
    """

    done: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    samples: dict[str, list[tuple[float, int, int, int]]] = field(default_factory=dict)

    def growth(self, name: str, which: int) -> tuple[float, float]:
        """The median of a figure (1 bytes, 2 descriptors, 3 threads) in the second fifth, and in the last."""
        values = [sample[which] for sample in self.samples[name]]
        fifth = max(1, len(values) // 5)
        return median(values[fifth : 2 * fifth]), median(values[-fifth:])


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
        self, seed: int, member: str, name: str, url: str, token: str, room: str, seen: Seen
    ) -> None:
        super().__init__(name=f"{member}/{name}", daemon=True)
        self._dice = random.Random(seed)
        self._who, self._url, self._token, self._room, self._seen = name, url, token, room, seen
        self.over = threading.Event()

    def run(self) -> None:
        """Until `over`."""
        browser = httpx.Client(base_url=self._url, trust_env=False, timeout=60)
        try:
            with browser, connect(self._url, token=self._token) as program:
                room = program.room(self._room)
                self._sign_in(browser)
                while not self.over.wait(self._dice.uniform(0.2, 2.0)):
                    act = self._dice.choices(
                        ["look", "ask", "explain", "refused", "records", "again"], [55, 20, 10, 8, 5, 2]
                    )[0]
                    try:
                        self._act(act, browser, room)
                        self._seen.done[act] += 1
                    except Exception as error:  # whatever it is, it is what is looked for
                        self._seen.wrong.append(f"{self.name}: {act}: {type(error).__name__}: {error}"[:400])
        except Exception as error:
            self._seen.wrong.append(f"{self.name}: ended: {type(error).__name__}: {error}"[:400])

    def _act(self, act: str, browser: httpx.Client, room: object) -> None:
        match act:
            case "look":
                path = self._dice.choice(PAGES).format(room=self._room)
                answer = browser.get(path)
                assert answer.status_code == 200, f"{path}: {answer.status_code}"
            case "ask":
                # Other names are another question: it is computed, and not given again.
                named = QUESTION.replace("aircraft", f"a{self._dice.randrange(10**6)}")
                answered = room.ask(self._dice.choice([QUESTION, named]))  # type: ignore[attr-defined]
                assert [row[:2] for row in answered.fetchall()] == [("BIG", 18)], answered.fetchall()
            case "explain":
                room.explain(QUESTION)  # type: ignore[attr-defined]
            case "refused":
                with pytest.raises(Refusal) as refusal:
                    room.ask(REFUSED)  # type: ignore[attr-defined]
                assert refusal.value.code == "ENCRYPTED_COLUMN", refusal.value.code
            case "records":
                next(iter(room.ledger()))  # type: ignore[attr-defined]
                room.budgets()  # type: ignore[attr-defined]
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
    """Let them go about their work for so many seconds."""
    place = make_four(path)
    nodes, seen, room = Nodes(place), Seen(), str(place.agreement.id)
    consoles = dict(zip(PEOPLE, free_ports(len(PEOPLE)), strict=True))
    people: list[Person] = []
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
            people.append(Person(len(people), member, name, url, token[0], room, seen))
    nodes.start()
    try:
        began = time.monotonic()
        for person in people:
            person.start()
        while (now := time.monotonic() - began) < seconds:
            for name, process in nodes.processes.items():
                if process.poll() is not None:
                    seen.wrong.append(f"{name}: ended with {process.returncode}")
                    return seen
                seen.samples.setdefault(name, []).append((now, *_used(process.pid)))
            time.sleep(min(every, seconds - now + 0.01))
        for person in people:
            person.over.set()
        for person in people:
            person.join(120)
            if person.is_alive():
                seen.wrong.append(f"{person.name}: still waits")
        for name in tuple(nodes.processes):
            code = nodes.stop(name)
            if code != 0:
                seen.wrong.append(f"{name}: stopped with {code}")
            seen.wrong += [f"{name}: {line}" for line in nodes.lines(name) if line.get("status") == 500]
    finally:
        nodes.end()
    for name in place.members:
        checked = hitoku("ledger", "verify", "--room", place.path, "--as", name)
        if checked.returncode != 0:
            seen.wrong.append(f"{name}: ledger: {checked.stdout}{checked.stderr}")
    return seen


def _used(pid: int) -> tuple[int, int, int]:
    """Resident bytes, descriptors and threads of a process."""
    words = [line.split() for line in Path(f"/proc/{pid}/status").read_text("utf-8").splitlines()]
    found = {line[0]: line[1] for line in words if len(line) > 1}
    descriptors = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    return int(found["VmRSS:"]) * 1024, descriptors, int(found["Threads:"])
