# SPDX-License-Identifier: Apache-2.0
"""The protection `crosstab`: what it answers, what it costs, and the two owners' parts of a run."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from hitoku import limits
from hitoku.disclosure.cells import Cells
from hitoku.disclosure.laplace import delta_of_a_figure, dummies_of
from hitoku.disclosure.leakage import Leakage
from hitoku.errors import EngineError, LimitError, PeerError, Refusal, RunAborted
from hitoku.protections.base import Cost, Supported, TableStats, Unsupported
from hitoku.protections.crosstab.leakage import crosstab_leakage
from hitoku.protections.crosstab.shape import Shape, ShapeSide, recognise
from hitoku.questions.privacy import FigureKind
from hitoku.room.agreement import ProtectionName, Room
from hitoku.transport import messages
from hitoku.transport.runs import Begun

if TYPE_CHECKING:
    from hitoku.disclosure.plan import DisclosurePlan
    from hitoku.ports import Executor, KeyStore, Parcels, Peers, Progress
    from hitoku.protections.crosstab.figures import Figures
    from hitoku.protections.crosstab.prepared import Prepared
    from hitoku.protections.crosstab.terms import Parameters
    from hitoku.protections.crosstab.vault import Witness
    from hitoku.questions.question import Question

__all__ = ["Attested", "Crosstab", "Site"]

# Measured by benchmarks/crosstab.py on 2 cores: CPU seconds of both parties for a person of each, and bytes.
_SECONDS_A_PERSON: Final = 65e-6
_BYTES_A_PERSON: Final = 70

# How long the other owner's node may be away when a run begins, and when it goes on.
_PATIENCE_SECONDS: Final = 60
_AGAIN_SECONDS: Final = 0.5


class Attested(Protocol):
    """The attested session of a run with the other owner's node, where the room demands one."""

    def ensure(self, hear: Callable[[], None] | None = None) -> None:
        """See to it that both nodes have accepted each other; `hear` is called while waiting.

        Raises:
            Refusal: one did not.
            PeerError: the other node cannot be reached or failed.
        """
        ...

    def aborted(self, stage: str) -> None:
        """What came at that stage is not what the other node sealed: the session is gone, and on record."""
        ...


@dataclass(frozen=True, slots=True)
class Site:
    """What a run has at one owner.

    Attributes:
        room: the room, verified.
        run: the run's id.
        vault: the directory of the run.
        keys: the owner's keys.
        parcels: the way to what the other owner has ready.
        prepare: makes this side's rows: one a person, de-identified.
        begin: at the leader, the message by which the other owner begins its part.
        attested: the session that `parcels` come sealed for; None where the room does not demand one.
        witness: remembers, outside the vault, that the run's secrets were drawn.
    """

    room: Room
    run: str
    vault: Path
    keys: KeyStore
    parcels: Parcels
    prepare: Callable[[ShapeSide], Prepared]
    begin: dict[str, Any] = field(default_factory=dict)
    attested: Attested | None = None
    witness: Witness | None = None


class Crosstab:
    """Private cross statistics. Two owners run it; supports, leakage and estimate work anywhere.

    Args:
        site: what the run has here; None anywhere but at its two owners.
    """

    by_owners = True
    long = True
    sealed = False
    shared = False

    def __init__(self, site: Site | None = None) -> None:
        self.name = ProtectionName.CROSSTAB
        self._site = site

    def supports(self, question: Question, room: Room) -> Supported | Unsupported:
        """Counts of people and sums over two owners' tables; see `shape`."""
        found = recognise(question, room)
        return found if isinstance(found, Unsupported) else Supported()

    def place(self, question: Question, room: Room) -> str:
        """The owner that joins, and leads."""
        return _shape(question, room).a.owner

    def receivers(self, question: Question, room: Room) -> tuple[str, ...]:
        """Both owners: they learn the noised table while they compute it."""
        shape = _shape(question, room)
        return (shape.a.owner, shape.b.owner)

    def leakage(self, question: Question, room: Room) -> Leakage:
        """What each member learns from a run."""
        return crosstab_leakage(question, _shape(question, room), room)

    def estimate(self, question: Question, stats: TableStats) -> Cost:
        """From public row counts and the number of cells; None where a table's rows are not known."""
        rows = [stats.rows.get(name) for name in question.tables]
        known = [count for count in rows if count is not None]
        if len(known) < len(rows) or question.privacy is None:
            return Cost(None, None)
        domain = question.privacy.parts[0].domain or ()
        cells = 1
        for values in domain:
            cells *= len(values)
        users = question.privacy.least_noise
        people = sum(known) + 2 * cells * dummies_of(users, delta_of_a_figure(question.privacy))
        return Cost(people * _SECONDS_A_PERSON, int(people * _BYTES_A_PERSON))

    def feasible(self, question: Question, plan: DisclosurePlan, room: Room) -> None:
        """Refuse what would fail however few people there are: too many dummies, sums too wide to open.

        Raises:
            Refusal: ``TOO_LARGE``; says the numbers.
        """
        try:
            made = parameters(question, plan, _shape(question, room), "0" * 32)
            made.check_sums(made.dummies)
        except LimitError as error:
            raise Refusal(
                "TOO_LARGE",
                str(error),
                rule="crosstab",
                remedy="group by fewer or coarser columns, ask for less noise, or agree on lower bounds",
            ) from None

    def begin(self, question: Question, peers: Peers) -> None:
        """Have the other owner begin its part; before that, attest to it where the room demands it.

        Raises:
            PeerError: it cannot be reached or failed.
            Refusal: it refused, or one of the two nodes does not accept what runs at the other.
        """
        site = self._at()
        if site.attested is not None:
            site.attested.ensure()
        other = _shape(question, site.room).b.owner
        messages.read(Begun, _called(peers, other, site.begin), other)

    def nothing_left(self) -> bool:
        """Whether no byte of a message of this side may have left: not even the noised sizes."""
        return not any(self._at().vault.glob("left-*"))

    def run(
        self,
        question: Question,
        plan: DisclosurePlan,
        peers: Peers,
        executor: Executor,
        progress: Progress,
    ) -> Cells:
        """Lead a run: the noised figures of every cell.

        Raises:
            PeerError: the other owner cannot be reached, failed, or did not follow the protocol.
            Refusal: the other owner refused to take part.
            InputError: this owner's table is not as declared.
            LimitError: the sums could not be opened within the limits; says the number.
        """
        shape = _shape(question, self._at().room)
        progress.phase("begin")
        self.begin(question, peers)
        figures = self._party(question, plan, shape, "a", executor, progress)
        return Cells(question.hash, _table(shape, figures), frozenset({"noise"}))

    def take_part(
        self, question: Question, plan: DisclosurePlan, executor: Executor, progress: Progress
    ) -> None:
        """Do the other owner's part of a run.

        Raises:
            PeerError: the leader cannot be reached, failed, or did not follow the protocol.
            InputError: this owner's table is not as declared.
            LimitError: the sums could not be opened within the limits; says the number.
        """
        self._party(question, plan, _shape(question, self._at().room), "b", executor, progress)

    def _party(
        self,
        question: Question,
        plan: DisclosurePlan,
        shape: Shape,
        side: Literal["a", "b"],
        executor: Executor,
        progress: Progress,
    ) -> Figures:
        from hitoku.protections.crosstab.party import Party
        from hitoku.protections.crosstab.vault import Vault

        site = self._at()
        if site.attested is not None:
            progress.phase("attesting")
            site.attested.ensure(lambda: progress.advance(0))
        mine, other = (shape.a, shape.b) if side == "a" else (shape.b, shape.a)
        peer = site.room.agreement.member(other.owner)
        if peer is None:
            raise AssertionError("an owner is a member")
        party = Party(
            Vault(site.vault, run=site.run, side=side, peer=other.owner),
            parameters(question, plan, shape, site.run),
            side,
            site.keys,
            peer.key,
            site.parcels,
            executor,
            progress,
            wait=limits.JOB_SECONDS,
            witness=site.witness,
        )
        try:
            return party.run(lambda: site.prepare(mine))
        except RunAborted as error:
            if site.attested is not None:
                site.attested.aborted(error.stage)
            raise

    def _at(self) -> Site:
        if self._site is None:
            raise EngineError("private cross statistics run at the owners of the two tables only")
        return self._site


def _called(peers: Peers, member: str, message: dict[str, Any]) -> dict[str, Any]:
    """The answer of a member whose node may just be starting again, as this one may."""
    until = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            return peers.call(member, message)
        except PeerError as error:
            if error.code is not None or time.monotonic() > until:  # a code is the member's own word
                raise
        time.sleep(_AGAIN_SECONDS)


def parameters(question: Question, plan: DisclosurePlan, shape: Shape, run: str) -> Parameters:
    """The public parameters of a run, the same at both owners."""
    from hitoku.protections.crosstab.terms import Parameters

    if plan.noise is None or question.privacy is None:
        raise AssertionError("private cross statistics are noised")
    sums = []
    for figure in shape.b.sums:
        if figure.bounds is None:
            raise AssertionError("a sum has bounds")
        unit = 10**figure.bounds.decimals
        sums.append((figure.bounds.lower * unit, figure.bounds.upper * unit))
    return Parameters(
        run=run,
        room=question.room_hash,
        question=question.hash,
        plan=plan.hash,
        a=shape.a.owner,
        b=shape.b.owner,
        groups_a=shape.a.cells,
        groups_b=shape.b.cells,
        sums=tuple(sums),
        users_noise=plan.noise.users_noise,
        delta0=delta_of_a_figure(question.privacy),
    )


def _shape(question: Question, room: Room) -> Shape:
    found = recognise(question, room)
    if isinstance(found, Unsupported):
        raise Refusal("NO_PROTECTION", found.reason, rule="protections", remedy=found.remedy)
    return found


def _table(shape: Shape, figures: Figures) -> Any:
    """The figures as the release expects them: a row a cell, its keys in the order of GROUP BY."""
    import pyarrow as pa

    from hitoku.questions.noised import PART, key_name

    count = max((place for side in (shape.a, shape.b) for place, _, _ in side.groups), default=-1) + 1
    keys: list[list[str]] = [[] for _ in range(count)]
    for cell in product(*(values for side in (shape.a, shape.b) for _, _, values in side.groups)):
        places = [place for side in (shape.a, shape.b) for place, _, _ in side.groups]
        for place, value in zip(places, cell, strict=True):
            keys[place].append(value)
    columns: dict[str, Any] = {PART: pa.array([1] * shape.cells, pa.int32())}
    columns |= {key_name(1, n): pa.array(values, pa.string()) for n, values in enumerate(keys, 1)}
    sums = iter(figures.sums)
    for n, figure in enumerate(shape.part.figures, 1):
        made = figures.counts if figure.kind is FigureKind.UNITS else next(sums)
        columns[f"_hitoku_f{n}"] = pa.array(made, pa.int64())
    return pa.table(columns)
