# SPDX-License-Identifier: Apache-2.0
"""The driver's side of boosting: trees grown level by level from opened sums, as from pooled rows.

A tree is one session over one set of members. Level 0 asks for the root's histogram; every other level for
that of the lighter child of each split (by summed hessians), its sibling being the parent's less it.
Histograms are sums of whole numbers, so splits and leaves are what one bank with all the rows would find, to
the bit. A tree's end (its last splits and leaves) travels with the next tree's first sum.

**Who learns what.** Whoever opens sums learns, of each tree, the level histograms over all members of its set
and what follows from them. Members learn the edges and the trees. If a member is lost within a tree, the tree
is discarded; the next try is over another set and on fresh rows (`sampling`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hitoku import limits
from hitoku.errors import InputError, PeerError
from hitoku.learning.base import Instruction, Session, SessionLost, Summer
from hitoku.learning.boosting.bins import EdgeSearch, unpack_edges
from hitoku.learning.boosting.draft import Draft, LevelSplits
from hitoku.learning.boosting.kind import trees_on_values
from hitoku.learning.boosting.shape import TASK, shape_of
from hitoku.learning.boosting.splits import Splits, best_splits, leaf_values
from hitoku.learning.boosting.trees import Tree, packed, unpacked
from hitoku.learning.models import LearnedModel, write_model
from hitoku.learning.plan import Plan, plan_hash
from hitoku.learning.privacy import QUANTILE_SUMS
from hitoku.learning.wire import pack, unpack

__all__ = ["BoostingTrainer"]

_FORMAT: Final = "hitoku/boosting-checkpoint/1"


class BoostingTrainer:
    """Grows a plan's trees.

    Args:
        plan: for boosting.

    Raises:
        InputError: the plan's sums would be too long or too large.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan, self._shape = plan, shape_of(plan)
        self._edges: list[NDArray[np.float32]] | None = None
        self._base = 0.0
        self._trees: list[Tree] = []
        self._losses: list[float] = []
        self._stopped = False
        self._first: tuple[str, ...] | None = None
        self._attempt = 0
        self._told = False
        self._recount = False
        self._end: dict[str, NDArray[Any]] = {}

    @property
    def done(self) -> int:
        """How many trees the model has."""
        return len(self._trees)

    @property
    def finished(self) -> bool:
        """Whether all trees are there, or training stopped early."""
        return self._stopped or len(self._trees) >= self._shape.settings.trees

    @property
    def losses(self) -> tuple[float, ...]:
        """The mean holdout loss after each tree; empty without early stopping."""
        return tuple(self._losses)

    def begun(self, members: tuple[str, ...]) -> None:
        """Sums of the run opened over these members before: over others, rows must be fresh."""
        if self._first is None:
            self._first = members

    def prepare(self, summer: Summer) -> None:
        """Find the bins and where margins begin.

        Raises:
            SessionLost: a member was lost; prepare again.
            TooFewMembers: the run cannot go on.
        """
        if self._edges is not None and not self._recount:
            return
        noise = self._shape.count_noise
        spread = 0.0 if noise is None else float(noise.scale) * len(self._plan.members) ** 0.5
        search = EdgeSearch(self._shape.inputs, self._shape.bins, spread)
        try:
            with summer.fixed() as session:
                while search.spans is not None and (noise is None or search.passes < QUANTILE_SUMS):
                    labels = 2 if search.passes == 0 else 0
                    body = {"do": "count", "pass": search.passes}
                    length = search.cells + labels
                    made = self._sum(session, body, length, self._shape.count_bound, search.spans)
                    if labels:
                        self._base = self._first_margin(made[:2])
                    search.learn(made[labels:])
        except SessionLost:
            self._attempt += 1
            raise
        self._edges, self._told, self._recount = search.edges(), False, False

    def synchronise(self, summer: Summer) -> None:
        """Tell every member bins and trees."""
        if self._edges is None:
            raise InputError("the bins are not known yet: prepare first")
        summer.tell(TASK, {"do": "sync"}, self._arrays())
        self._told, self._end = True, {}

    def step(self, summer: Summer) -> None:
        """One tree more.

        Raises:
            SessionLost: a member was lost and the tree is discarded; synchronise, then step again.
            TooFewMembers: the run cannot go on.
        """
        if not self._told:
            self.synchronise(summer)
        number = len(self._trees)
        try:
            with summer.fixed() as session:
                tree, end = self._grow(session, number)
                if self._shape.settings.patience:
                    body = {"do": "loss", "tree": number}
                    loss = self._sum(session, body, 2, self._shape.scale.loss, end)
                    end = {}
                    # Without holdout rows there is no reason to stop.
                    self._losses.append(float(loss[0] / loss[1]) if loss[1] > 0 else -float(number))
        except SessionLost:
            self._attempt += 1
            self._told = False
            raise
        self._trees.append(tree)
        self._end = end
        if self._plan.guard.every and end:
            # A vote may follow, and is about all trees.
            summer.tell(TASK, {"do": "tree", "tree": number}, end)
            self._end = {}
        self._stop_early()

    def rollback(self, done: int) -> None:
        """Forget all trees after the first `done`; followed by `synchronise`, `prepare` and `synchronise`.

        Back at the start, bins and the first margin are counted anew: who spoiled the block is in them.
        """
        if not 0 <= done <= len(self._trees):
            raise InputError("a roll-back goes to a tree that is there")
        self._trees, self._losses = self._trees[:done], self._losses[:done]
        self._stopped, self._told, self._end = False, False, {}
        self._attempt += 1
        self._recount = self._recount or not done

    def checkpoint(self) -> bytes:
        """Bins, trees and what decides on stopping."""
        header: dict[str, Any] = {
            "format": _FORMAT,
            "plan": plan_hash(self._plan).hex(),
            "losses": self._losses,
            "stopped": self._stopped,
            "first": None if self._first is None else list(self._first),
            "attempt": self._attempt,
            "prepared": self._edges is not None,
            "recount": self._recount,
        }
        return pack(header, {} if self._edges is None else self._arrays())

    def restore(self, content: bytes) -> None:
        """Go on from a checkpoint.

        Raises:
            InputError: it is none, or of another plan.
        """
        try:
            header, arrays = unpack(content, limits.MAX_LEARNING_MESSAGE_BYTES)
        except PeerError as error:
            raise InputError("is no checkpoint of boosting") from error
        if header.get("format") != _FORMAT or header.get("plan") != plan_hash(self._plan).hex():
            raise InputError("is no checkpoint of boosting for this plan")
        try:
            self._losses = [float(loss) for loss in header["losses"]]
            self._stopped, self._attempt = bool(header["stopped"]), int(header["attempt"])
            first = header["first"]
            self._first = None if first is None else tuple(str(name) for name in first)
            self._edges, self._recount = None, header.get("recount") is True
            if header["prepared"]:
                self._base = float(arrays["base"][0])
                self._edges = unpack_edges(arrays["edges"].copy(), arrays["edge_starts"])
                self._trees = unpacked(arrays, self._shape.features, self._shape.bins)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise InputError("is no checkpoint of boosting: a part is missing") from error
        self._told, self._end = False, {}

    def model(self) -> bytes:
        """The model so far, as its JSON file."""
        content = trees_on_values(self._base, self._trees, self._edges or [])
        named = plan_hash(self._plan).hex()
        names = tuple(feature.name for feature in self._shape.inputs)
        return write_model(LearnedModel("boosting", self._plan.name, named, names, content))

    def _sum(
        self,
        session: Session,
        body: Mapping[str, Any],
        length: int,
        bound: int,
        arrays: Mapping[str, NDArray[Any]],
    ) -> NDArray[np.int64]:
        if self._first is None:
            self._first = session.members
        asked: dict[str, Any] = {**body, "attempt": self._attempt}
        if session.members != self._first:
            asked["fresh"] = True
        return session.sum(Instruction(TASK, asked, length, bound, arrays))

    def _grow(self, session: Session, number: int) -> tuple[Tree, dict[str, NDArray[Any]]]:
        """A tree, and its end: what members have not heard of it yet."""
        shape, settings, unit = self._shape, self._shape.settings, self._shape.scale.unit
        draft = Draft(shape.features, shape.bins)
        arrays: dict[str, NDArray[Any]] = dict(self._end)
        asked = np.zeros(1, np.int32)
        totals = np.zeros((1, 2), np.int64)
        parents: NDArray[np.int64] | None = None
        children: tuple[NDArray[np.int64], NDArray[np.bool_]] | None = None
        values = np.zeros(1, np.float32)
        for level in range(settings.depth):
            body = {"do": "grow", "tree": number, "level": level}
            made = self._sum(
                session,
                body,
                shape.level_length(len(asked)),
                shape.level_bound,
                arrays | {"nodes": asked},
            ).reshape(len(asked), shape.features, shape.bins + 1, 2)
            self._end = {}
            if children is None or parents is None:
                histograms = made
                totals = self._totals(made, None)
            else:
                histograms = _with_siblings(made, parents, *children)
                totals = self._totals(histograms, totals)
            values[draft.level :] = leaf_values(totals, unit, settings)
            best = best_splits(histograms, totals, unit, settings)
            chosen = np.flatnonzero(best.split)
            splits = _level(draft, best, chosen)
            draft.split(splits)
            totals, lighter = _children(best.left[chosen], totals[chosen])
            values = np.concatenate([values, leaf_values(totals, unit, settings)])
            arrays = _sent(splits)
            if not len(chosen) or level + 1 == settings.depth:
                break
            parents, children = histograms[chosen], (np.arange(len(chosen)), lighter)
            asked = (draft.level + 2 * np.arange(len(chosen)) + ~lighter).astype(np.int32)
        return draft.finished(values), {**arrays, "value": values}

    def _totals(self, histograms: NDArray[np.int64], known: NDArray[np.int64] | None) -> NDArray[np.int64]:
        """Each node's gradient and hessian.

        Without noise every feature's bins have the same sum. With noise they differ, and their mean has the
        least noise.
        """
        if self._shape.level_noise is None:
            return np.asarray(histograms[:, 0].sum(axis=1), np.int64) if known is None else known
        means: NDArray[np.float64] = histograms.sum(axis=2).mean(axis=1)
        return np.rint(means).astype(np.int64)

    def _first_margin(self, counts: NDArray[np.int64]) -> float:
        """The log odds of the weighted labels: where all margins begin."""
        positive, negative = np.maximum(counts, 0).astype(np.float64) + 0.5
        return float(np.log(positive * self._shape.settings.weights.positive / negative))

    def _arrays(self) -> dict[str, NDArray[Any]]:
        edges = self._edges or []
        return {
            "base": np.asarray([self._base]),
            "edges": np.concatenate([*edges, np.zeros(0, np.float32)]).astype(np.float32),
            "edge_starts": np.cumsum([0] + [len(edge) for edge in edges]).astype(np.int64),
            **packed(self._trees),
        }

    def _stop_early(self) -> None:
        patience = self._shape.settings.patience
        if not patience or not self._losses:
            return
        best = int(np.argmin(self._losses)) + 1
        over = len(self._losses) >= best + patience
        if over or (len(self._trees) >= self._shape.settings.trees and best < len(self._trees)):
            self._trees, self._losses = self._trees[:best], self._losses[:best]
            self._stopped, self._told, self._end = True, False, {}


def _level(draft: Draft, best: Splits, chosen: NDArray[np.int64]) -> LevelSplits:
    node = (draft.level + chosen).astype(np.int32)
    return node, best.feature[chosen], best.bin[chosen], best.missing_left[chosen]


def _sent(splits: LevelSplits) -> dict[str, NDArray[Any]]:
    node, feature, at, missing = splits
    return {"node": node, "feature": feature, "bin": at, "missing_left": missing.astype(np.uint8)}


def _children(
    left: NDArray[np.int64], parents: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The children's totals, left and right in turn, and whether the left one is the lighter."""
    both = np.stack([left, parents - left], axis=1)
    return both.reshape(-1, 2), both[:, 0, 1] <= both[:, 1, 1]


def _with_siblings(
    made: NDArray[np.int64],
    parents: NDArray[np.int64],
    order: NDArray[np.int64],
    lighter: NDArray[np.bool_],
) -> NDArray[np.int64]:
    """All children's histograms, left and right in turn: those asked for, the others by subtraction."""
    both = np.empty((len(made), 2, *made.shape[1:]), np.int64)
    side = np.where(lighter, 0, 1)
    both[order, side] = made
    both[order, 1 - side] = parents - made
    return both.reshape(-1, *made.shape[1:])
