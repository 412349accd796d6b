# SPDX-License-Identifier: Apache-2.0
"""A bank's side of boosting: counts for bins, histograms of gradients, holdout losses and votes.

Nothing leaves but what `contribute` returns, inside a secure sum: counts of cells, a level's histograms, a
holdout's loss. What `told` answers in the open is a vote and readiness. The bank's margins follow from the
model that it was told, never from its own rows' labels beyond the sums.

**What a bank checks.** Only work that its plan names, with the plan's sizes; a level's nodes once each, level
by level, over one set of members; the rows that `sampling` allows; no more trees begun than the plan can need
(`_ROOTS` times its trees). It cannot check that the driver chose the best splits or asks for the smaller
siblings: a driver that does not still sees sums over all members only, of nodes of its choice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hitoku.errors import InputError, Refusal
from hitoku.hazmat.histograms import Grower, bin_features
from hitoku.learning.averaging import not_asked
from hitoku.learning.base import Arrays, Instruction, Rows
from hitoku.learning.boosting.bins import MOST_PASSES, count_cells, unpack_edges
from hitoku.learning.boosting.draft import Draft, LevelSplits
from hitoku.learning.boosting.fixed_point import gradients, losses
from hitoku.learning.boosting.keys import LARGEST, cleaned
from hitoku.learning.boosting.kind import trees_on_values
from hitoku.learning.boosting.sampling import Draws
from hitoku.learning.boosting.shape import shape_of
from hitoku.learning.boosting.trees import Tree, unpacked
from hitoku.learning.curve import Curve, spread
from hitoku.learning.guard import ballot, blind_loss
from hitoku.learning.plan import Plan
from hitoku.learning.privacy import Meter

__all__ = ["BoostingTask"]

_ROOTS: Final = 4
_BODY: Final = {"do", "pass", "tree", "level", "attempt", "fresh", "whole"}
_TRAINING, _HOLDOUT = 0, 1
_NOISED: Final = "boosting-noised-sums.json"


class _Growth:
    """The tree that is being grown."""

    def __init__(self, number: int, members: tuple[str, ...], draft: Draft) -> None:
        self.number, self.members, self.draft, self.level = number, members, draft, 0


class BoostingTask:
    """One bank's rows, and what it does with them.

    Args:
        plan: the signed plan, for boosting.
        rows: the bank's rows, those of counters among the features; only training and holdout rows are used.
        state: a folder where the count of noised sums outlives a restart, and the bank's own curve is kept;
            None: in memory.

    Raises:
        InputError: more rows than the plan allows, or other features than it names.
    """

    def __init__(self, plan: Plan, rows: Rows, state: Path | None = None) -> None:
        self._plan, self._shape = plan, shape_of(plan)
        if rows.features.ndim != 2 or rows.features.shape[1] != self._shape.features:
            raise InputError(f"the plan's model has {self._shape.features} inputs, the rows have not")
        used = (rows.part == _TRAINING) | (rows.part == _HOLDOUT)
        if int(used.sum()) > plan.data.rows:
            raise InputError(f"data.rows: the plan allows {plan.data.rows} rows, the table has more")
        self._features = cleaned(np.ascontiguousarray(rows.features[used]))
        self._label = rows.label[used]
        self._training = rows.part[used] == _TRAINING
        self._holdout = rows.part[used] == _HOLDOUT
        self._draws = Draws(plan, self._shape.settings.rows)
        self._meter = (
            None if plan.privacy is None else Meter(plan, None if state is None else state / _NOISED)
        )
        self._curve = Curve(state)
        judged = np.flatnonzero(self._holdout)
        self._judged = judged[spread(len(judged))]
        self._edges: list[NDArray[np.float32]] | None = None
        self._grower: Grower | None = None
        self._base = 0.0
        self._margins = np.zeros(len(self._label))
        self._trees: list[Tree] = []
        self._growth: _Growth | None = None
        self._roots = 0
        self._edges_hashed: tuple[list[NDArray[np.float32]] | None, bytes] = (None, b"")
        """The bins that were hashed last, and their hash: once for all levels and trees."""
        self._hashed: list[tuple[Tree, bytes]] = []
        """The trees, and the hash of each with those before it."""

    def contribute(self, instruction: Instruction, members: tuple[str, ...]) -> NDArray[np.int64]:
        """This bank's vector, shape (instruction.length,).

        Raises:
            Refusal: the plan does not name this work, or it comes out of turn.
        """
        body, arrays = instruction.body, instruction.arrays
        if not set(body) <= _BODY:
            # What else stood there would make the same sum another one to the member's memory of sets.
            raise not_asked(instruction)
        fresh = body.get("fresh") is True
        self._draws.over(members, fresh)
        try:
            match body.get("do"):
                case "count" if instruction.bound == self._shape.count_bound:
                    return self._count(body, arrays, instruction.length, members, fresh)
                case "grow" if instruction.bound == self._shape.level_bound:
                    return self._grow(body, arrays, instruction.length, members, fresh)
                case "loss" if instruction.bound == self._shape.scale.loss and instruction.length == 2:
                    return self._loss(body, arrays, members, fresh)
        except InputError as error:
            raise _wrong(str(error)) from error
        raise not_asked(instruction)

    def told_state(self) -> bytes:
        """A hash of bins, trees and the splits of the tree that grows: what contributions depend on."""
        known = 0
        while known < min(len(self._hashed), len(self._trees)) and (
            self._hashed[known][0] is self._trees[known]
        ):
            known += 1
        del self._hashed[known:]
        for tree in self._trees[known:]:
            before = self._hashed[-1][1] if self._hashed else b""
            self._hashed.append(
                (tree, _digest(before, tree.feature, tree.bin, tree.missing_left, tree.value))
            )
        parts: list[bytes | NDArray[Any]] = [self._hashed[-1][1] if self._hashed else b""]
        if self._edges_hashed[0] is not self._edges:
            self._edges_hashed = (self._edges, _digest(*(self._edges or [])))
        parts += [np.asarray([self._base]), self._edges_hashed[1]]
        if self._growth is not None:
            parts += self._growth.draft.splits_so_far
            parts += [np.asarray([self._growth.number, self._growth.level])]
        return _digest(*parts)

    def told(self, body: Mapping[str, Any], arrays: Arrays) -> tuple[dict[str, Any], Arrays]:
        """Take in the model so far (`sync`), the last tree (`tree`), a roll-back, or vote on a block.

        Raises:
            Refusal: it is malformed, or out of turn.
        """
        try:
            match body.get("do"):
                case "sync":
                    self._synchronise(arrays)
                case "tree":
                    self._finish(body.get("tree"), arrays)
                case "vote":
                    return {"accept": self._vote(body.get("from"))}, {}
                case "rollback":
                    self._rollback(body.get("to"))
                case _:
                    raise not_asked(body)
        except InputError as error:
            raise _wrong(str(error)) from error
        return {"ready": True, "trees": len(self._trees)}, {}

    def _count(
        self, body: Mapping[str, Any], arrays: Arrays, length: int, members: tuple[str, ...], fresh: bool
    ) -> NDArray[np.int64]:
        step = body.get("pass")
        if type(step) is not int or not 0 <= step < MOST_PASSES:
            raise InputError(f"bins are found in at most {MOST_PASSES} sums")
        labels = 2 if step == 0 else 0
        rows = self._draws.rows("count", members, self._training, fresh=fresh, whole=True)
        made = np.empty(length, np.int64)
        made[labels:] = count_cells(self._features, rows, arrays, self._shape.inputs, length - labels)
        if labels:
            positive = int(np.count_nonzero(self._label[rows]))
            made[:2] = positive, int(rows.sum()) - positive
        noise = self._shape.count_noise
        if noise is None or self._meter is None:
            return made
        self._meter.take("quantiles")
        return noise.add(made)

    def _grow(
        self, body: Mapping[str, Any], arrays: Arrays, length: int, members: tuple[str, ...], fresh: bool
    ) -> NDArray[np.int64]:
        tree, level = body.get("tree"), body.get("level")
        if level == 0:
            if "value" in arrays:
                self._finish(None if type(tree) is not int else tree - 1, arrays)
            growth, grower = self._begin(tree, members, fresh)
        else:
            growth, grower = self._deeper(tree, level, members, arrays)
        nodes = arrays.get("nodes")
        draft = growth.draft
        if nodes is None or nodes.dtype != np.int32 or nodes.ndim != 1 or not len(nodes):
            raise InputError("a level is asked for some of its nodes")
        if np.any(np.diff(nodes) <= 0) or nodes[0] < draft.level or nodes[-1] >= draft.count:
            raise InputError("a level is asked for nodes of its own, each once")
        if length != self._shape.level_length(len(nodes)):
            raise InputError("a level's sum has another length")
        noise = self._shape.level_noise
        if noise is not None and self._meter is not None:
            self._meter.take("tree")
        made = grower.histograms(nodes.tolist()).reshape(-1)
        return made if noise is None else noise.add(made)

    def _begin(self, tree: object, members: tuple[str, ...], fresh: bool) -> tuple[_Growth, Grower]:
        settings = self._shape.settings
        if self._grower is None or tree != len(self._trees) or len(self._trees) >= settings.trees:
            raise _not_ready()
        self._roots += 1
        if self._roots > _ROOTS * settings.trees + self._plan.aggregation.changes:
            raise _wrong("more trees were begun than the plan can need")
        g, h = gradients(self._margins, self._label, settings.weights.positive, self._shape.scale)
        rows = self._draws.rows("grow", (tree, members), self._training, fresh=fresh)
        self._grower.reset(g, h, rows)
        self._growth = _Growth(len(self._trees), members, Draft(self._shape.features, self._shape.bins))
        return self._growth, self._grower

    def _deeper(
        self, tree: object, level: object, members: tuple[str, ...], arrays: Arrays
    ) -> tuple[_Growth, Grower]:
        growth = self._growth
        if (
            growth is None
            or self._grower is None
            or (tree, level, members) != (growth.number, growth.level + 1, growth.members)
            or growth.level + 1 >= self._shape.settings.depth
        ):
            raise _wrong("a level out of turn, or over another set of members than the tree's first")
        self._split(growth, growth.draft.splits_in(arrays))
        growth.level += 1
        return growth, self._grower

    def _split(self, growth: _Growth, splits: LevelSplits) -> None:
        left, right = growth.draft.split(splits)
        if self._grower is not None and len(left):
            self._grower.split(*splits, left, right)

    def _finish(self, tree: object, arrays: Arrays) -> None:
        """The tree that was being grown is told to its end: its last splits and its leaves."""
        growth = self._growth
        if growth is None or self._grower is None or tree != growth.number:
            # Also a member that was away while the tree was grown.
            raise _not_ready()
        splits, values = growth.draft.splits_in(arrays), np.asarray(arrays.get("value"))
        growth.draft.check_values(values, len(splits[0]))
        self._split(growth, splits)
        done = growth.draft.finished(values)
        self._grower.add_leaves(self._margins, done.value.astype(np.float64))
        self._trees.append(done)
        self._growth = None
        self._draw()

    def _loss(
        self, body: Mapping[str, Any], arrays: Arrays, members: tuple[str, ...], fresh: bool
    ) -> NDArray[np.int64]:
        settings = self._shape.settings
        if not settings.patience:
            raise InputError("the plan has no early stopping")
        if self._growth is None or members != self._growth.members:
            raise InputError("a holdout's loss is asked for at the end of a tree, over the tree's set")
        self._finish(body.get("tree"), arrays)
        rows = self._draws.rows("loss", members, self._holdout, fresh=fresh, whole=True)
        loss = losses(self._margins[rows], self._label[rows], settings.weights.positive)
        weight = np.where(self._label[rows] == 1, settings.weights.positive, 1.0)
        unit = self._shape.scale.loss_unit
        # Row by row, so that the sum is the same however rows are spread over banks.
        return np.asarray([np.rint(loss / unit).sum(), np.rint(weight / unit).sum()], np.int64)

    def _synchronise(self, arrays: Arrays) -> None:
        base = arrays.get("base")
        if base is None or base.dtype != np.float64 or base.shape != (1,) or not abs(float(base[0])) <= 100:
            raise InputError("a model has a base between -100 and 100")
        edges = _edges(arrays, self._shape.features, self._shape.bins)
        trees = unpacked(arrays, self._shape.features, self._shape.bins)
        if len(trees) > self._shape.settings.trees:
            raise InputError("more trees than the plan has")
        same = self._edges is not None and all(map(np.array_equal, edges, self._edges))
        if not same or self._grower is None:
            self._edges = edges
            count = self._shape.bins + 1
            self._grower = Grower(bin_features(self._features, edges, count), count)
        held = self._trees if same and float(base[0]) == self._base else None
        self._base, self._growth = float(base[0]), None
        if held is None or len(held) != len(trees) or not all(map(Tree.same, held, trees)):
            self._trees = trees
            self._margins = self._margins_after(len(trees), self._features)
            self._draw()

    def _rollback(self, to: object) -> None:
        if type(to) is not int or not 0 <= to <= len(self._trees):
            raise InputError("a roll-back goes to a tree that is there")
        self._growth = None
        self._trees = self._trees[:to]
        self._margins = self._margins_after(to, self._features)
        self._draw()

    def _vote(self, begin: object) -> bool:
        if type(begin) is not int or not 0 <= begin <= len(self._trees):
            raise InputError("a vote is about trees that are there")
        label = self._label[self._holdout]
        if not len(label):
            return True
        positive = self._shape.settings.weights.positive
        weight = np.where(label == 1, positive, 1.0).sum()
        before = self._margins_after(begin, self._features[self._holdout])
        after = self._margins[self._holdout]
        means = [float(losses(margins, label, positive).sum() / weight) for margins in (before, after)]
        return ballot(self._plan, means[0], means[1], blind_loss(label, positive))

    def _draw(self) -> None:
        """A point more of the bank's own curve."""
        label, positive = self._label[self._judged], self._shape.settings.weights.positive
        self._curve.note(
            len(self._trees),
            label,
            positive,
            lambda: float(losses(self._margins[self._judged], label, positive).sum()),
        )

    def _margins_after(self, trees: int, features: NDArray[np.float32]) -> NDArray[np.float64]:
        return trees_on_values(self._base, self._trees[:trees], self._edges or []).margins(features)


def _edges(arrays: Arrays, features: int, bins: int) -> list[NDArray[np.float32]]:
    flat, starts = arrays.get("edges"), arrays.get("edge_starts")
    if flat is None or flat.dtype != np.float32 or flat.ndim != 1 or not np.all(np.abs(flat) < LARGEST):
        raise InputError("edges are finite float32 numbers")
    if starts is None or starts.dtype != np.int64 or starts.shape != (features + 1,):
        raise InputError("edges: a list for each feature")
    sizes = np.diff(starts)
    if starts[0] != 0 or starts[-1] != len(flat) or np.any(sizes < 0) or np.any(sizes > bins - 1):
        raise InputError(f"edges: at most {bins - 1} for each feature")
    edges = unpack_edges(flat.copy(), starts)
    if any(np.any(edge[1:] <= edge[:-1]) for edge in edges):
        raise InputError("edges rise")
    return edges


def _not_ready() -> Refusal:
    return Refusal(
        "LEARNING_NOT_READY",
        "this member has not been told the model so far, or another one",
        rule="model.trees",
        remedy="synchronise, then go on with the next tree",
    )


def _digest(*parts: bytes | NDArray[Any]) -> bytes:
    made = hashlib.sha256()
    for part in parts:
        content = part if isinstance(part, bytes) else np.ascontiguousarray(part).tobytes()
        made.update(len(content).to_bytes(8, "big") + content)
    return made.digest()


def _wrong(message: str) -> Refusal:
    return Refusal(
        "LEARNING_OUT_OF_TURN",
        message,
        rule="model",
        remedy="a server of the same version and plan asks for nothing else",
    )
