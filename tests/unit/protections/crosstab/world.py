"""Two members with vaults on this machine, random inputs, and the clear cross table to compare with."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import os
import random
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from hitoku.errors import Refusal
from hitoku.executors.local import Local
from hitoku.hazmat import group
from hitoku.ports import NoProgress
from hitoku.protections.crosstab.draws import Draws
from hitoku.protections.crosstab.figures import Figures
from hitoku.protections.crosstab.masking import integers
from hitoku.protections.crosstab.party import Party
from hitoku.protections.crosstab.prepared import Prepared
from hitoku.protections.crosstab.terms import Parameters, Side
from hitoku.protections.crosstab.vault import Vault
from hitoku.room.keys import FileKeyStore, generate_key
from hitoku.transport.parcels import LocalParcels

NAMES: dict[Side, str] = {"a": "airline", "b": "telco"}
WAIT = 60.0
_WHO = threading.local()


def parameters(**changes: Any) -> Parameters:
    given: dict[str, Any] = {
        "run": os.urandom(16).hex(),
        "room": "sha256:" + "1" * 64,
        "question": "sha256:" + "2" * 64,
        "plan": "sha256:" + "3" * 64,
        "a": NAMES["a"],
        "b": NAMES["b"],
        "groups_a": 2,
        "groups_b": 2,
        "sums": ((0, 100),),
        "users_noise": 10,
        "delta0": "1e-2",
    }
    return Parameters(**{**given, **changes})


def prepared(rows: list[tuple[bytes, int, tuple[int, ...]]], sums: int) -> Prepared:
    """An input of rows: id, group, values."""
    return Prepared(
        group.records(b"".join(one for one, _, _ in rows), 32),
        integers("H", [number for _, number, _ in rows]),
        tuple(integers("q", [values[k] for _, _, values in rows]) for k in range(sums)),
    )


@dataclass
class Inputs:
    """What both members have, in the clear."""

    a: list[tuple[bytes, int, tuple[int, ...]]]
    b: list[tuple[bytes, int, tuple[int, ...]]]
    sums: int

    def of(self, side: Side) -> Prepared:
        return prepared(self.a, 0) if side == "a" else prepared(self.b, self.sums)

    def clear(self, groups_a: int, groups_b: int) -> Figures:
        """The exact cross table."""
        counts = [0] * (groups_a * groups_b)
        sums = tuple([0] * (groups_a * groups_b) for _ in range(self.sums))
        where = {one: number for one, number, _ in self.a}
        for one, number, values in self.b:
            if one in where:
                cell = where[one] * groups_b + number
                counts[cell] += 1
                for k, value in enumerate(values):
                    sums[k][cell] += value
        return Figures(counts, sums)


def people(count: int, at: int = 0) -> list[bytes]:
    """So many ids, the same every time."""
    return [random.Random(f"person {n}").randbytes(32) for n in range(at, at + count)]


def inputs(given: Parameters, only_a: int, both: int, only_b: int, seed: object = 0) -> Inputs:
    """Random groups and values for so many people."""
    drawn = random.Random(repr(seed))
    ids = people(only_a + both + only_b)

    def rows(chosen, groups, bounds):
        made = [
            (one, drawn.randrange(groups), tuple(drawn.randint(low, high) for low, high in bounds))
            for one in chosen
        ]
        drawn.shuffle(made)
        return made

    return Inputs(
        rows(ids[: only_a + both], given.groups_a, ()),
        rows(ids[only_a:], given.groups_b, given.sums),
        len(given.sums),
    )


class LoopKeys:
    """A key made for the tests: no file."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.public = generate_key(folder)
        self._store = FileKeyStore(folder)

    def sign(self, message: bytes) -> bytes:
        return self._store.sign(message)

    def shared_secret(self) -> bytes:
        raise AssertionError("not asked for")


_KEYS: dict[Side, LoopKeys] = {}


def keys(side: Side) -> LoopKeys:
    """The signing key of a side, the same in all tests of a process."""
    return _KEYS[side]


def _make_keys() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for side in NAMES:
            _KEYS[side] = LoopKeys(Path(folder) / side)
            _KEYS[side].sign(b"reads the file while it is there")


_make_keys()


class Killed(BaseException):
    """What a test kills a side with."""


class Desk:
    """A vault's shelf; once its owner gave up, whoever waits is told, as a node would tell it."""

    def __init__(self, vault: Vault, world: World, side: Side) -> None:
        self._vault, self._world, self._side = vault, world, side

    def parcel(self, member: str, run: str, name: str) -> Path | None:
        found = self._vault.parcel(member, run, name)
        if found is None and isinstance(self._world.ended.get(self._side), BaseException):
            raise Refusal("RUN_ENDED", "the run has ended on this node")
        return found

    def left(self, member: str, run: str, name: str) -> None:
        self._vault.left(member, run, name)


class Recording:
    """Parcels that remember what every fetch gave, so that two of one name can be compared."""

    def __init__(self, parcels: LocalParcels, world: World, side: Side) -> None:
        self._parcels, self._world, self._side = parcels, world, side

    def fetch(self, member, run, name, schema, rows, wait):
        given: list[bytes] = []
        self._world.fetched.setdefault(name, []).append(given)
        for batch in self._parcels.fetch(member, run, name, schema, rows, wait):
            given.append(batch.serialize().to_pybytes())
            self._world.tick(self._side, f"fetched {name}")
            yield batch


@dataclass
class World:
    """A run of two members.

    Attributes:
        ticks: what each side did, step by step, all restarts together.
        kill: at which of its steps each side is killed; it is started again after each.
    """

    path: Path
    given: Parameters
    inputs: Inputs
    draws: dict[Side, Draws] = field(default_factory=dict)
    fetched: dict[str, list[list[bytes]]] = field(default_factory=dict)
    ended: dict[Side, Figures | BaseException] = field(default_factory=dict)
    ticks: dict[Side, list[str]] = field(default_factory=lambda: {"a": [], "b": []})
    kill: dict[Side, set[int]] = field(default_factory=lambda: {"a": set(), "b": set()})
    starts: dict[Side, int] = field(default_factory=lambda: {"a": 0, "b": 0})
    threads: int = 1
    wait: float = WAIT

    def tick(self, side: Side, what: str) -> None:
        """A step of a side, after which it may be killed."""
        self.ticks[side].append(what)
        if len(self.ticks[side]) in self.kill[side]:
            raise Killed(what)

    def vault(self, side: Side) -> Vault:
        peer = NAMES["b" if side == "a" else "a"]
        return Vault(self.path / side, run=self.given.run, side=side, peer=peer)

    def party(self, side: Side, **changes: Any) -> Party:
        peer: Side = "b" if side == "a" else "a"
        parcels = LocalParcels(NAMES[side], {NAMES[peer]: Desk(self.vault(peer), self, peer)})
        given: dict[str, Any] = {
            "parameters": self.given,
            "side": side,
            "keys": keys(side),
            "peer_key": keys(peer).public,
            "parcels": Recording(parcels, self, side),
            "executor": Local(self.threads),
            "progress": NoProgress(),
            "wait": self.wait,
        }
        return Party(self.vault(side), **{**given, **changes})

    def run_side(self, side: Side) -> Figures:
        """A side to its end, however often it is killed on the way."""
        while True:
            self.starts[side] += 1
            try:
                return self.party(side).run(lambda: self.inputs.of(side))
            except Killed:
                continue

    def run(self) -> tuple[Figures, Figures]:
        """Both sides at once. Raises the error of the first that gave up."""
        first: list[BaseException] = []

        def work(side: Side) -> None:
            _WHO.side = side
            try:
                self.ended[side] = self.run_side(side)
            except BaseException as error:
                first.append(error)
                self.ended[side] = error

        threads = [threading.Thread(target=work, args=(side,), daemon=True) for side in ("a", "b")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if first:
            raise first[0]
        a, b = self.ended["a"], self.ended["b"]
        assert isinstance(a, Figures)
        assert isinstance(b, Figures)
        return a, b

    def expected(self) -> Figures:
        """The clear cross table plus exactly the noise that both drew."""
        clear = self.inputs.clear(self.given.groups_a, self.given.groups_b)
        a, b = self.draws["a"], self.draws["b"]
        m = self.given.m
        counts = [n + t - m + e for n, t, e in zip(clear.counts, b.counts, a.counts, strict=True)]
        sums = tuple(
            [n + one + two for n, one, two in zip(*cells, strict=True)]
            for cells in zip(clear.sums, a.sums, b.sums, strict=True)
        )
        return Figures(counts, sums)


def watch(monkeypatch: Any, world: World) -> None:
    """Lets the world know what was drawn last, and of every step on disk before and after it is done."""
    real_draw, real_replace, real_unlink = Draws.draw.__func__, Path.replace, Path.unlink  # type: ignore[attr-defined]

    def draw(cls, side, given, digest):
        world.draws[side] = real_draw(cls, side, given, digest)
        return world.draws[side]

    def step(path: Path, what: str) -> None:
        side = getattr(_WHO, "side", None)
        if side and (world.path / side) in path.parents:
            world.tick(side, f"{what} {path.name}")

    def replace(self, target):
        step(self, "before renaming")
        found = real_replace(self, target)
        step(self, "after renaming")
        return found

    def unlink(self, missing_ok=False):
        step(self, "before removing")
        real_unlink(self, missing_ok=missing_ok)

    monkeypatch.setattr(Draws, "draw", classmethod(draw))
    monkeypatch.setattr(Path, "replace", replace)
    monkeypatch.setattr(Path, "unlink", unlink)
    # Polling is what such small runs would spend their time with.
    monkeypatch.setattr("hitoku.transport.parcels._LOOK_SECONDS", 0.001)


def table_of(path: Path) -> pa.Table:
    with pa.memory_map(str(path)) as source:
        return pa.ipc.open_file(source).read_all()
