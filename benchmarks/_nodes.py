# SPDX-License-Identifier: Apache-2.0
"""Two members' nodes as processes, one cross-table question between them, and what each of them used.

Nothing is asked of the nodes themselves: CPU time and memory come from /proc, with children; the stages are
told by the files that a run leaves in its directory, and their sizes are the bytes that members fetch.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from _common import ROOT, _tree, say
from hitoku.demo.crosstab import clear, compare, nodes, rooms
from hitoku.demo.people import places
from hitoku.demo.people.write import write_people
from hitoku.node.remote import open_remote_room
from hitoku.node.settings import NodeSettings

__all__ = ["CELLS", "DUMMIES", "MEMBERS", "Run", "Shaped", "Town", "attesting", "make", "shaped"]

MEMBERS: Final = ("airline", "operator")
"""The airline has the values that are summed, so it is side b; the operator is side a and leads."""
SIDES: Final = {"operator": "a", "airline": "b"}
OTHER: Final = "other"
HOMES: Final = (
    "Aichi",
    "Chiba",
    "Fukuoka",
    "Hokkaido",
    "Hyogo",
    "Kanagawa",
    "Osaka",
    "Saitama",
    "Tokyo",
    OTHER,
)
CELLS: Final = len(HOMES) * len(places.AIRPORTS)
DUMMIES: Final = 33_000
"""Of a side: 2 m of each of 100 cells, m = 165 at epsilon = 7 / 50 and delta = 1e-10 a figure."""
DIMENSIONS: Final = ("home_prefecture", "airport")
QUESTION: Final = """\
SELECT s.home_prefecture, t.airport, COUNT(DISTINCT t.phone) AS travellers_{0}, AVG(t.stay_nights) AS stay_{0}
FROM travellers AS t JOIN subscribers AS s ON t.phone = s.phone
GROUP BY s.home_prefecture, t.airport"""
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_POLL_SECONDS: Final = 0.02
# What a run's directory has when a stage is over, by side.
_STAGES: Final = {
    "a": (("rows", "secrets"), ("masking", "parcels/points-a.arrow"), ("raising", "parcels/cells-a.arrow")),
    "b": (("rows", "secrets"), ("masking", "parcels/points-b.arrow"), ("raising", "parcels/tags-a.arrow")),
}


@dataclass
class Used:
    """What one node used for one question.

    Attributes:
        cpu: CPU-seconds, user and system, of the process and its children.
        memory: the largest resident size of the node's process since the question began, in bytes.
        sent: bytes of the parcels that it made for the other.
        stages: seconds (wall, CPU) of each stage.
    """

    cpu: float = 0
    memory: int = 0
    sent: int = 0
    stages: dict[str, tuple[float, float]] = field(default_factory=dict)


@dataclass
class Run:
    """One question, answered and right.

    Attributes:
        people: distinct people of each table.
        wall: seconds from asking to the answer.
        used: by member.
        error: found, root mean square over the cells' counts; `predicted`: by the law of the noise.
    """

    people: int
    wall: float
    used: dict[str, Used]
    error: float
    predicted: float

    @property
    def cpu(self) -> float:
        """CPU-seconds of both nodes."""
        return sum(used.cpu for used in self.used.values())

    @property
    def sent(self) -> int:
        """Bytes of parcels, both ways."""
        return sum(used.sent for used in self.used.values())

    @property
    def memory(self) -> int:
        """Of the larger node."""
        return max(used.memory for used in self.used.values())

    @property
    def records(self) -> int:
        """Of both lists together: people and dummies; padding (some thousand) left out."""
        return 2 * (self.people + DUMMIES)

    def dump(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)

    @classmethod
    def load(cls, found: Mapping[str, Any]) -> Run:
        """What `dump` gave."""
        used = {
            name: Used(**{**one, "stages": {k: (v[0], v[1]) for k, v in one["stages"].items()}})
            for name, one in found["used"].items()
        }
        return cls(**{**found, "used": used})


@dataclass(frozen=True)
class Town:
    """Two members with their tables, ready to serve."""

    place: Path
    people: int
    exact: dict[compare.Cell, compare.Exact]


def _agreement(keys: dict[str, str]) -> dict[str, Any]:
    """The demo's agreement, with ten homes: all other prefectures are one."""
    made = rooms.travel(keys)
    for table in made["tables"]:
        for public in table["rule"]["differentialPrivacy"]["publicValues"]:
            if public["columnName"] == "home_prefecture":
                public["values"] = sorted(HOMES)
    for table in made["crosstab"]["tables"]:
        if table["table"] == "subscribers":
            table["other"] = [{"column_name": "home_prefecture", "value": OTHER}]
    return made


def make(place: Path, people: int, seed: int = 1) -> Town:
    """Tables, keys, room and settings, and the clear table of plain DuckDB."""
    say(f"{people:,} people each: writing two tables, and the clear cross table")
    made = write_people(people, seed, place / "data")
    tables = {
        owner: [{"name": table, "source": f"../data/{table}.parquet", "person": {"phone": ["phone"]}}]
        for owner, table in (("airline", "travellers"), ("operator", "subscribers"))
    }
    nodes.make(place, _agreement, tables)
    exact: dict[compare.Cell, compare.Exact] = {}
    for (home, _, airport), cell in clear.people(
        made.travellers, made.subscribers, places.MOST_NIGHTS
    ).items():
        key = (home if home in HOMES else OTHER, airport)
        before = exact.get(key, compare.Exact(0))
        exact[key] = compare.Exact(before.people + cell.people, before.total + cell.total)
    return Town(place, people, exact)


@contextmanager
def attesting(town: Town) -> Iterator[Town]:
    """The same tables in a room that demands mutual attestation, with a TPM in software for each node.

    The program is extended into each TPM here, so its digest is any: what is measured is a run, not a launch.
    """
    from hitoku.attestation.attest.tpm import extend_program
    from hitoku.attestation.kept import Kept
    from hitoku.attestation.program import event_digest, pcr_of
    from hitoku.attestation.reference import ReferenceValue
    from hitoku.attestation.swtpm import SwTpm
    from hitoku.ports import SystemClock
    from hitoku.room.consent import moment
    from hitoku.room.directory import MemberDirectory

    place, program = town.place / "attested", "ab" * 48
    with ExitStack() as stack:
        tpms = {name: stack.enter_context(SwTpm(certificate=False)) for name in MEMBERS}
        for tpm in tpms.values():
            with tpm.connect() as device:
                extend_program(device, event_digest(program))
        part = {"accept": ["tpm"], "software": True, "crosstab": True}
        tables = {
            owner: [
                {
                    "name": table,
                    "source": str(town.place / "data" / f"{table}.parquet"),
                    "person": {"phone": ["phone"]},
                }
            ]
            for owner, table in (("airline", "travellers"), ("operator", "subscribers"))
        }
        room = nodes.make(place, lambda keys: {**_agreement(keys), "attestation": part}, tables)
        value = ReferenceValue.model_validate(
            {
                "room": room.agreement.id,
                "serial": 1,
                "program": program,
                "version": "measured",
                "kind": "tpm",
                "purpose": "node",
                "measurements": {"pcr12": (pcr_of(program),)},
                "not_after": moment(SystemClock().now() + timedelta(days=1)),
            }
        )
        directories = [MemberDirectory.open(place / name) for name in MEMBERS]
        for directory in directories:
            value = value.sign(directory.name, directory.keys({}))
            with directory.path.joinpath("node.toml").open("a", encoding="utf-8") as settings:
                device_file = tpms[directory.name].path
                settings.write(f'\n[attestation]\nplatform = "tpm"\ndevice = "{device_file}"\n')
        for directory in directories:
            records = directory.records(str(room.agreement.id), SystemClock())
            Kept(directory, records).put([value], room.agreement, "import")
            records.store.close()
        yield Town(place, town.people, town.exact)


class Serving:
    """The nodes of a town while they serve."""

    def __init__(self, town: Town, running: nodes.Nodes) -> None:
        self._town, self._running = town, running
        self._asked = 0

    def ask(self) -> Run:
        """One question, measured.

        Raises:
            SystemExit: the answer's errors are not those of the noise.
        """
        town = self._town
        self._asked += 1
        # Another name of an output is another question: the same one would be given from what is kept.
        question, number = QUESTION.format(self._asked), self._asked
        watches = {
            name: _Watch(self._running.processes[name].pid, town.place / name / "runs", SIDES[name])
            for name in MEMBERS
        }
        for watch in watches.values():
            watch.start()
        start = time.perf_counter()
        handle = open_remote_room(town.place / "airline")
        try:
            answer = handle.ask(question)
        finally:
            wall = time.perf_counter() - start
            handle.close()
            used = {name: watch.stop() for name, watch in watches.items()}
        found = compare.compare(
            compare.noised(answer, DIMENSIONS, f"travellers_{number}", f"stay_{number}"),
            town.exact,
            *(compare.Law(7 / (5 * rooms.USERS_NOISE), most) for most in (1, places.MOST_NIGHTS)),
        )
        if not found.right or found.cells != CELLS:
            raise SystemExit(f"the answer is wrong: {found}")
        return Run(town.people, wall, used, found.found, found.predicted)


@contextmanager
def serving(town: Town) -> Iterator[Serving]:
    """Both nodes, until the block ends."""
    with nodes.running(town.place, list(MEMBERS)) as running:
        yield Serving(town, running)


class _Watch(threading.Thread):
    """Follows a node's process and the run in its directory."""

    def __init__(self, pid: int, runs: Path, side: str) -> None:
        super().__init__(daemon=True)
        self._pid, self._runs, self._stages = pid, runs, list(_STAGES[side])
        self._before = set(runs.iterdir()) if runs.is_dir() else set()
        self._used, self._done = Used(), threading.Event()
        self._sizes: dict[Path, int] = {}
        # 5: the high-water mark of the resident size begins anew.
        Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")
        self._began = self._last = (time.perf_counter(), _cpu(pid))

    def run(self) -> None:
        while not self._done.wait(_POLL_SECONDS):
            self._look()

    def stop(self) -> Used:
        self._done.set()
        self.join()
        self._stage("end")
        self._used.cpu = _cpu(self._pid) - self._began[1]
        status = Path(f"/proc/{self._pid}/status").read_text(encoding="ascii").splitlines()
        row = next(row for row in status if row.startswith("VmHWM:"))
        self._used.memory = int(row.split()[1]) * 1024
        self._used.sent = sum(self._sizes.values())
        return self._used

    def _look(self) -> None:
        folders = set(self._runs.iterdir()) - self._before if self._runs.is_dir() else set()
        for folder in folders:
            while self._stages and (folder / self._stages[0][1]).exists():
                self._stage(self._stages.pop(0)[0])
            for file in (folder / "parcels").glob("*.arrow"):
                try:
                    self._sizes[file] = file.stat().st_size
                except FileNotFoundError:
                    continue

    def _stage(self, name: str) -> None:
        now = time.perf_counter(), _cpu(self._pid)
        self._used.stages[name] = now[0] - self._last[0], now[1] - self._last[1]
        self._last = now


def _cpu(root: int) -> float:
    """CPU-seconds of a process, its children and those it has waited for."""
    ticks = 0
    for pid in _tree(root):
        try:
            # What follows the name, which may have spaces and parentheses in it.
            text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        except OSError:
            continue
        ticks += sum(map(int, text[11:15]))
    return ticks / _TICKS


@dataclass
class Shaped:
    """The two proxies between the nodes, one before each."""

    proxies: tuple[Any, ...]

    @property
    def carried(self) -> tuple[int, int]:
        """Bytes towards the operator, and towards the airline, all layers of HTTPS included."""
        before_airline, before_operator = (proxy.carried for proxy in self.proxies)
        return before_operator[0] + before_airline[1], before_airline[0] + before_operator[1]


@contextmanager
def shaped(town: Town, *, delay_ms: float = 0, mbit: float | None = None) -> Iterator[Shaped]:
    """Has each of the members reach the other through a proxy of such a network, until the block ends.

    To be entered before the nodes start. A member reaches its own node without.
    """
    sys.path.append(str(ROOT))
    from tests.e2e.proxy import Proxy

    directories = [town.place / name for name in MEMBERS]
    before = [directory.joinpath("node.toml").read_text("utf-8") for directory in directories]
    settings = [NodeSettings.open(directory) for directory in directories]
    with ExitStack() as stack:
        made = []
        for one in settings:
            host, port = one.listen.rsplit(":", 1)
            made.append(stack.enter_context(Proxy((host, int(port)), delay_ms=delay_ms, mbit=mbit)))
        try:
            for at, (directory, text) in enumerate(zip(directories, before, strict=True)):
                far = settings[1 - at].listen.rsplit(":", 1)[1]
                text = text.replace(f"https://127.0.0.1:{far}", f"https://127.0.0.1:{made[1 - at].port}")
                directory.joinpath("node.toml").write_text(text, "utf-8")
            yield Shaped(tuple(made))
        finally:
            for directory, text in zip(directories, before, strict=True):
                directory.joinpath("node.toml").write_text(text, "utf-8")
