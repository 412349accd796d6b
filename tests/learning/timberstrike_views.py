# SPDX-License-Identifier: Apache-2.0
"""What parties see when banks learn together, as evidence for `timberstrike`: hitoku, and ways without it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tests.learning.timberstrike import Evidence, Floats, Group, Leaves, Prior, joined
from tests.unit.learning.learning_world import BANKS, make_room

from hitoku.learning.bank import Bank, make_tasks
from hitoku.learning.base import Instruction, Rows
from hitoku.learning.boosting import BoostingTrainer
from hitoku.learning.boosting.shape import shape_of
from hitoku.learning.boosting.trees import Tree, children_of
from hitoku.learning.folders import RunFolder
from hitoku.learning.local import LocalFleet
from hitoku.learning.plan import Plan
from hitoku.learning.planning import made
from hitoku.learning.server import Server
from hitoku.learning.transcript import PAYLOADS, read_transcript
from hitoku.learning.wire import REPLY_DOMAIN, open_signed

RUN = "b" * 32
Vectors = list[NDArray[np.int64]]


@dataclass(frozen=True)
class Table:
    """Everybody's rows: float32 values, labels, whose each is, and public ranges."""

    rows: Floats
    label: NDArray[np.int64]
    bank: NDArray[np.int64]
    low: Floats
    high: Floats

    def of(self, bank: int) -> Floats:
        """One bank's rows."""
        return np.asarray(self.rows[self.bank == bank])

    def prior(self, bank: int) -> Prior:
        """What the bank brings to an attack."""
        mine = self.bank == bank
        return Prior(self.rows[mine], self.label[mine], self.low, self.high)

    @property
    def scale(self) -> Floats:
        """Standard deviations."""
        return np.asarray(self.rows.std(axis=0))


def patients(seed: int, banks: int = 4, skew: float = 1.0) -> Table:
    """scikit-learn's diabetes rows, above the median or not, over banks; with `skew` these differ."""
    from sklearn.datasets import load_diabetes

    random = np.random.default_rng(seed)
    rows, found = load_diabetes(return_X_y=True, scaled=False)
    rows, label = rows.astype(np.float32).astype(np.float64), (found > np.median(found)).astype(np.int64)
    centred = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    kind = np.argsort(np.argsort(centred @ np.linalg.svd(centred, full_matrices=False)[2][0]))
    order = np.argsort(skew * kind / len(rows) + random.random(len(rows)))
    bank = np.empty(len(rows), np.int64)
    bank[order] = np.arange(len(rows)) * banks // len(rows)
    width = rows.max(axis=0) - rows.min(axis=0)
    return Table(rows, label, bank, rows.min(axis=0) - 0.05 * width, rows.max(axis=0) + 0.05 * width)


@dataclass(frozen=True)
class Seen:
    """One run of hitoku over masks.

    Attributes:
        plan: the plan.
        sums: what opened, in order.
        masked: the masked vector of each bank in each sum, as it came.
        plain: what is under the masks; nobody but the bank has it.
        trees, edges, base: what all members have at the end.
        asked: of each sum, the tree's number and the nodes; None for sums that find the bins.
    """

    plan: Plan
    sums: Vectors
    masked: list[Vectors]
    plain: list[Vectors]
    trees: list[Tree]
    edges: list[NDArray[np.float32]]
    base: float
    asked: list[tuple[int, NDArray[np.int32]] | None]


def learned(folder: Path, table: Table, **model: Any) -> Seen:
    """A run in one process, over real masks, and everything that the server's transcript has of it."""
    count = int(table.bank.max()) + 1
    place = make_room(folder / "room", BANKS[:count])
    features = [
        {"name": f"x{k}", "low": float(low), "high": float(high)}
        for k, (low, high) in enumerate(zip(table.low, table.high, strict=True))
    ]
    data = {"features": features, "label": "y", "rows": 2000}
    settings = {"kind": "boosting", "trees": 8, "depth": 4, "bins": 64, "rate": 0.3} | model
    plan = made(
        {
            "name": "attacked",
            "data": data,
            "model": settings,
            "aggregation": {"transcript": "full", "seconds": 60},
        },
        place.agreement,
    )
    signed = place.signed(plan)
    plain: list[Vectors] = [[] for _ in range(count)]
    with ExitStack() as stack:
        handles = {}
        for k, name in enumerate(BANKS[:count]):
            mine = table.bank == k
            rows = Rows(
                table.rows[mine].astype(np.float32),
                table.label[mine].astype(np.uint8),
                np.zeros(int(mine.sum()), np.uint8),
            )
            tasks = {kind: _Noted(task, plain[k]) for kind, task in make_tasks(plan, rows).items()}
            keys = place.members[name].keys({})
            bank = Bank(plan, RUN, name, keys, place.publics, tasks, folder / name, threads=1)
            stack.callback(bank.close)
            handles[name] = bank.handle
        fleet = LocalFleet(handles)
        stack.callback(fleet.close)
        run = RunFolder.create(folder / "run", RUN, "adder", signed, place.room)
        with Server(run, fleet, place.members["adder"].keys({}), threads=1) as server:
            server.run()
    sums, masked = _transcript(run, plan, place.publics, BANKS[:count])
    return _grown(plan, sums, masked, plain)


class _Noted:
    """A task whose vectors are noted."""

    def __init__(self, task: Any, vectors: Vectors) -> None:
        self._task, self._vectors = task, vectors
        self.told = task.told

    def contribute(self, instruction: Instruction, members: tuple[str, ...]) -> NDArray[np.int64]:
        made = self._task.contribute(instruction, members)
        self._vectors.append(np.array(made))
        return np.asarray(made)


def _transcript(
    run: RunFolder, plan: Plan, publics: Mapping[str, str], names: Sequence[str]
) -> tuple[Vectors, list[Vectors]]:
    sums: Vectors = []
    masked: list[Vectors] = [[] for _ in names]
    for entry in read_transcript(run.transcript):
        content = run.path / PAYLOADS / str(entry.get("sha256"))
        if entry.get("direction") == "opened":
            sums.append(np.frombuffer(content.read_bytes(), "<i8").astype(np.int64))
        elif entry.get("direction") == "received" and entry["kind"] == "masks.sum":
            name = entry["member"]
            arrays = open_signed(REPLY_DOMAIN, publics[name], content.read_bytes()).arrays
            masked[names.index(name)].append(np.array(arrays["masked/values"]).view(np.int64))
    return sums, masked


class _Recorded:
    """A Summer that gives sums in their order, and notes what was asked."""

    def __init__(self, plan: Plan, sums: Vectors) -> None:
        self.members = plan.members
        self.asked: list[tuple[int, NDArray[np.int32]] | None] = []
        self._sums = sums

    @contextmanager
    def fixed(self) -> Iterator[Any]:
        yield self

    def sum(self, instruction: Instruction) -> NDArray[np.int64]:
        grows = instruction.body["do"] == "grow"
        nodes = np.array(instruction.arrays["nodes"]) if grows else np.zeros(0, np.int32)
        self.asked.append((instruction.body["tree"], nodes) if grows else None)
        return self._sums[len(self.asked) - 1]

    def tell(self, *_: Any) -> dict[str, Any]:
        return {}


def _grown(plan: Plan, sums: Vectors, masked: list[Vectors], plain: list[Vectors]) -> Seen:
    """The model once more out of the opened sums alone: what structure they give to the attacker."""
    trainer, recorded = BoostingTrainer(plan), _Recorded(plan, sums)
    trainer.prepare(recorded)  # type: ignore[arg-type]
    while not trainer.finished:
        trainer.step(recorded)  # type: ignore[arg-type]
    assert len(recorded.asked) == len(sums)
    assert all(len(vectors) == len(sums) for vectors in (*masked, *plain))
    edges = trainer._edges or []
    return Seen(plan, sums, masked, plain, trainer._trees, edges, trainer._base, recorded.asked)


def simulated(seen: Seen, seed: int) -> Seen:
    """The simulator: masked vectors made from the sums alone, uniform but for adding up to them."""
    random = np.random.default_rng(seed)
    made: list[Vectors] = [[] for _ in seen.masked]
    for total in seen.sums:
        left = total.view(np.uint64).copy()
        for vectors in made[:-1]:
            drawn = random.integers(0, 1 << 64, len(total), np.uint64)
            vectors.append(drawn.view(np.int64))
            left -= drawn
        made[-1].append(left.view(np.int64))
    return replace(seen, masked=made)


def from_sums(seen: Seen, vectors: Vectors, rows: int) -> Evidence:
    """What vectors of one kind tell: all banks' sums, one bank's own, or what a mask hides."""
    shape = shape_of(seen.plan)
    unit, features, bins = shape.scale.unit, shape.features, shape.bins
    bounds = _bounds(seen)
    trees, nodes, groups = [], [], []
    p = 1 / (1 + np.exp(-seen.base))
    for number, tree in enumerate(seen.trees):
        steps = [
            (asked[1], vector.reshape(len(asked[1]), features, bins + 1, 2))
            for asked, vector in zip(seen.asked, vectors, strict=True)
            if asked is not None and asked[0] == number
        ]
        histograms = _histograms(tree, steps)
        total = _totals(tree, histograms)
        leaf = np.flatnonzero(tree.feature < 0)
        low, high = _boxes(tree, bounds)
        trees.append(
            Leaves(
                low[leaf],
                high[leaf],
                tree.value[leaf].astype(np.float64),
                total[leaf, 0] * unit,
                total[leaf, 1] * unit,
            )
        )
        nodes += [histogram[:, :bins] for _, histogram in sorted(histograms.items())]
        if number == 0:
            groups = _groups(tree, histograms, unit, p, rows)
    read, label = joined(nodes, unit)
    if len(read) > rows:  # noise
        read, label = read[:0], label[:0]
    return Evidence(seen.base, rows, trees, (), groups, bounds, read, label)


def from_model(seen: Seen, rows: int, prior: Prior) -> Evidence:
    """What a member has: the trees. Sums of leaves are guessed from how his own rows fall into them."""
    settings = shape_of(seen.plan).settings
    bounds = _bounds(seen)
    margin = np.full(len(prior.rows), seen.base)
    trees = []
    for tree in seen.trees:
        low, high = _boxes(tree, bounds)
        leaf = np.flatnonzero(tree.feature < 0)
        inside = (prior.rows[:, None] >= low[leaf]) & (prior.rows[:, None] < high[leaf])
        into = inside.all(axis=2).argmax(axis=1)
        p = 1 / (1 + np.exp(-margin))
        h = np.bincount(into, p * (1 - p), len(leaf)) * rows / len(prior.rows)
        value = tree.value[leaf].astype(np.float64)
        trees.append(Leaves(low[leaf], high[leaf], value, -value / settings.rate * (h + settings.l2), h))
        margin += value[into]
    return Evidence(seen.base, rows, trees)


def less(one: Vectors, other: Vectors) -> Vectors:
    """Differences, in the ring."""
    with np.errstate(over="ignore"):
        return [a - b for a, b in zip(one, other, strict=True)]


def from_bagging(
    table: Table, target: int, rounds: int = 8, depth: int = 4, rate: float = 0.3, local: int = 1
) -> Evidence:
    """Each bank's own trees with their sums of hessians, as in Flower's FedXgbBagging.

    Every round, each bank grows `local` trees on top of what all have so far.
    """
    import xgboost

    settings = {"max_depth": depth, "eta": rate, "objective": "binary:logistic", "tree_method": "exact"}
    settings |= {"base_score": 0.5, "lambda": 1.0, "nthread": 1, "min_child_weight": 1.0}
    count = int(table.bank.max()) + 1
    margins = np.zeros(len(table.rows))
    trees: list[Leaves] = []
    for _ in range(rounds):
        own: list[Leaves] = []
        rest: list[Leaves] = []
        for bank in range(count):
            mine = table.bank == bank
            data = xgboost.DMatrix(table.rows[mine], table.label[mine], base_margin=margins[mine])
            whole = json.loads(bytes(xgboost.train(settings, data, local).save_raw("json")))
            grown = whole["learner"]["gradient_booster"]["model"]["trees"]
            (own if bank == target else rest).extend(_shared(tree, table, rate) for tree in grown)
        trees += [*own[:-1], replace(own[-1], others=_Added(rest))]
        margins += _Added([*own, *rest])(table.rows)
    return Evidence(0.0, int((table.bank == target).sum()), trees, cuts(trees, table))


def cuts(trees: Sequence[Leaves], table: Table) -> list[Floats]:
    """Where trees split each feature."""
    made = []
    for column in range(len(table.low)):
        ends = np.concatenate([np.unique(tree.high[:, column]) for tree in trees])
        made.append(np.sort(ends[ends < table.high[column]]))
    return made


@dataclass(frozen=True)
class _Added:
    trees: list[Leaves]

    def __call__(self, points: Floats) -> Floats:
        return np.asarray(np.sum([_values(tree, points) for tree in self.trees], axis=0))


def _values(tree: Leaves, points: Floats) -> Floats:
    inside = ((points[:, None] >= tree.low) & (points[:, None] < tree.high)).all(axis=2)
    return np.asarray(tree.value[inside.argmax(axis=1)])


def _shared(tree: Mapping[str, Any], table: Table, rate: float) -> Leaves:
    left, right = tree["left_children"], tree["right_children"]
    boxes: dict[int, tuple[Floats, Floats]] = {0: (table.low, table.high)}
    leaf = []
    for node in range(len(left)):
        low, high = boxes[node]
        if left[node] < 0:
            leaf.append(node)
            continue
        at, cut = tree["split_indices"][node], tree["split_conditions"][node]
        below, above = high.copy(), low.copy()
        below[at], above[at] = min(high[at], cut), max(low[at], cut)
        boxes[left[node]], boxes[right[node]] = (low, below), (above, high)
    value = np.array([tree["split_conditions"][node] for node in leaf])
    h = np.array([tree["sum_hessian"][node] for node in leaf])
    lows, highs = (np.array([boxes[node][side] for node in leaf]) for side in (0, 1))
    return Leaves(lows, highs, value, -value / rate * (h + 1.0), h)


def _bounds(seen: Seen) -> Floats:
    """Where bins begin and end, NaN after a feature's last."""
    width = shape_of(seen.plan).bins
    made = np.full((len(seen.edges), width + 1), np.nan)
    for k, (feature, edge) in enumerate(zip(seen.plan.data.features, seen.edges, strict=True)):
        made[k, 0], made[k, 1 : len(edge) + 1] = feature.low, edge
        made[k, len(edge) + 1] = feature.high
    return made


def _boxes(tree: Tree, bounds: Floats) -> tuple[Floats, Floats]:
    left, right = children_of(tree.feature)
    low = np.tile(bounds[:, 0], (len(tree), 1))
    high = np.tile(np.nanmax(bounds, axis=1), (len(tree), 1))
    for node in np.flatnonzero(tree.feature >= 0):
        at = tree.feature[node]
        cut = bounds[at, tree.bin[node] + 1]
        for child in (left[node], right[node]):
            low[child], high[child] = low[node], high[node]
        high[left[node], at] = np.fmin(high[node, at], cut)
        low[right[node], at] = np.fmax(low[node, at], cut)
    return low, high


def _histograms(tree: Tree, steps: Sequence[tuple[NDArray[np.int32], NDArray[np.int64]]]) -> dict[int, Any]:
    """Every node's that was asked for, and its sibling's by subtraction."""
    left, right = children_of(tree.feature)
    parent = {int(c): n for n in range(len(tree)) if left[n] >= 0 for c in (left[n], right[n])}
    found: dict[int, Any] = {}
    for nodes, histograms in steps:
        for node, histogram in zip(nodes.tolist(), histograms, strict=True):
            found[node] = histogram
            if node:
                above = parent[node]
                sibling = int(left[above] + right[above] - node)
                found[sibling] = found[above] - histogram
    return found


def _totals(tree: Tree, histograms: Mapping[int, Any]) -> NDArray[np.int64]:
    left, right = children_of(tree.feature)
    total = np.zeros((len(tree), 2), np.int64)
    for node, histogram in histograms.items():
        total[node] = histogram[0].sum(axis=0)
    for node in np.flatnonzero(tree.feature >= 0).tolist():
        cells = histograms[node][tree.feature[node]]
        below = cells[: tree.bin[node] + 1].sum(axis=0)
        total[left[node]], total[right[node]] = below, cells.sum(axis=0) - below
    return total


def _groups(tree: Tree, histograms: Mapping[int, Any], unit: float, p: float, rows: int) -> list[Group]:
    """The first tree's lowest histograms as counts by label."""
    left, right = children_of(tree.feature)
    leaves = np.flatnonzero(tree.feature < 0).tolist()
    made = []
    for node, histogram in sorted(histograms.items()):
        mine = [node] if node in leaves else [int(left[node]), int(right[node])]
        mine = [child for child in mine if child in leaves and (child == node or child not in histograms)]
        if not mine:
            continue
        count = np.rint(histogram[:, :-1, 1] * unit / (p * (1 - p)))
        positive = np.clip(np.rint(count * p - histogram[:, :-1, 0] * unit), 0, np.clip(count, 0, rows))
        counts = np.stack([np.clip(count, 0, rows) - positive, positive]).astype(np.int64)
        if counts.sum() <= 2 * rows * len(histogram):  # else noise
            made.append(Group(tuple(leaves.index(child) for child in mine), counts))
    return made
