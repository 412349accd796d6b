# SPDX-License-Identifier: Apache-2.0
"""Nodes in one process, and `open_room`: a room whose members' directories are on this machine.

Each node reads only its own directory and answers the same messages that it would answer over a network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING

from hitoku import ask as way
from hitoku import limits
from hitoku.disclosure.plan import default_receivers
from hitoku.errors import InputError, PeerError, Refusal, RoomError
from hitoku.node.member import LocalNode
from hitoku.ports import Clock, NoProgress, Progress, SystemClock
from hitoku.room.agreement import Ability, Agreement
from hitoku.room.canonical import agreement_hash
from hitoku.room.directory import Workspace
from hitoku.transport.in_process import InProcessNetwork

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from hitoku.ask.preview import Preview
    from hitoku.disclosure.answer import Answer
    from hitoku.node.predicting import Scored
    from hitoku.questions import Explanation

__all__ = ["LocalNode", "RoomHandle", "open_room"]

_END_SECONDS = 30.0
"""So long a run that has been answered may take to tidy up."""


class RoomHandle:
    """A room in force, as one member sees it.

    Attributes:
        me: the member who asks.
        room: the agreement with its signatures, as `me` knows and verified it.
        cut_off: runs that `me` asked for, the process of which ended: see `hitoku.ask.ask`.
        begun: is told which run is asked for, before it is: see there.
    """

    cut_off: Iterable[str] = ()
    begun: Callable[[str], None] | None = None

    def __init__(self, workspace: Workspace, me: str, clock: Clock, progress: Progress) -> None:
        self.me = me
        self._network = InProcessNetwork()
        self._progress = progress
        nodes = {
            name: LocalNode(directory, workspace.room, self._network, clock, progress)
            for name, directory in workspace.members.items()
        }
        if me not in nodes:
            workspace.member(me)  # raises, with the names that are here
        self._nodes = tuple(nodes.values())
        self.room = nodes[me].room
        self._node = nodes[me]
        self._peers = nodes[me].peers

    def __repr__(self) -> str:
        return f"RoomHandle({self.agreement.name!r}, me={self.me!r})"

    @property
    def agreement(self) -> Agreement:
        """What the members agreed on."""
        return self.room.agreement

    @property
    def hash(self) -> str:
        """The agreement's hash, its name in every record."""
        return agreement_hash(self.room.agreement)

    def ask(
        self,
        sql: str,
        *,
        receivers: Iterable[str] | None = None,
        progress: Progress | None = None,
        users_noise: int | None = None,
        epsilon: Decimal | str | None = None,
    ) -> Answer:
        """Ask a question and receive its answer.

        Asked again, it has the same answer and costs nothing, as long as the tables stay as they are.

        Args:
            sql: one SQL statement over the room's tables.
            receivers: who else receives the answer; this member must be among them.
            progress: hears about the phases.
            users_noise: how many units' contributions the noise hides, 10 to 100,000: more costs less. The
                accounts' own number where it is larger, and where nothing is said.
            epsilon: what the question may cost of every account; the least noise for that is taken.

        Raises:
            InputError: `users_noise` and `epsilon` are both given, or one is out of its range.
            Refusal: a rule does not allow it; says which, whose, and what to change. Also where this
                member may not receive: then `send` is the way.
            PeerError: another member cannot be reached or failed.
        """
        to = self.receivers if receivers is None else tuple(receivers)
        if self.me not in to:
            raise Refusal(
                "ASKER_DOES_NOT_RECEIVE",
                f"{self.me!r} would not receive the answer",
                rule=f"members.{self.me}.abilities",
                remedy="send the answer to who may receive: `--to MEMBER`, in Python `send`",
            )
        answer = self._go(sql, to, progress, users_noise, epsilon)
        if isinstance(answer, way.Sent):
            raise PeerError("the answer went to others")
        return answer

    def send(
        self,
        sql: str,
        *,
        receivers: Iterable[str] | None = None,
        progress: Progress | None = None,
        users_noise: int | None = None,
        epsilon: Decimal | str | None = None,
    ) -> way.Sent:
        """Ask a question whose answer goes to others.

        Args:
            sql: one SQL statement over the room's tables.
            receivers: who receives the answer; all who may, where nobody is named and this member may not.
            progress: hears about the phases.
            users_noise: as for `ask`.
            epsilon: as for `ask`.

        Raises:
            InputError: `users_noise` and `epsilon` are both given, or one is out of its range.
            Refusal: a rule does not allow it.
            PeerError: another member cannot be reached or failed.
        """
        to = self.receivers if receivers is None else tuple(receivers)
        done = self._go(sql, to, progress, users_noise, epsilon)
        return done if isinstance(done, way.Sent) else way.Sent(done.run, done.question, done.receivers)

    @property
    def receivers(self) -> tuple[str, ...]:
        """Who receives where nobody is named: this member, if it may, otherwise all who may."""
        return default_receivers(self.room, self.me)

    def preview(
        self,
        sql: str,
        *,
        receivers: Iterable[str] | None = None,
        users_noise: int | None = None,
        epsilon: Decimal | str | None = None,
    ) -> Preview:
        """What a question would cost each owner's accounts. Reads no data and charges nothing.

        Args:
            sql: one SQL statement over the room's tables.
            receivers: as for `ask`.
            users_noise: as for `ask`.
            epsilon: as for `ask`.

        Raises:
            InputError: `users_noise` and `epsilon` are both given, or one is out of its range.
            Refusal: a rule does not allow it.
            PeerError: another member cannot be reached or failed.
        """
        from hitoku.ask.preview import preview

        to = self.receivers if receivers is None else tuple(receivers)
        try:
            noise = self._noise(sql, to, users_noise, epsilon)
            return preview(sql, self.room, self._peers, to, noise)
        finally:
            self._close()

    def predict(self, model: str, rows: ArrayLike, *, progress: Progress | None = None) -> Scored:
        """Have rows scored by a model that another member's node serves, without showing them.

        Args:
            model: the model's name in the room.
            rows: [n, *shape of the model's input], numbers.
            progress: hears about the phases.

        Raises:
            Refusal: the room or the model's owner does not allow it, or the day's rows are spent.
            ModelError: rows that the model was not made for; nothing was sent then, and nothing charged.
            PeerError: the model's owner cannot be reached or failed.
        """
        try:
            return self._node.predict(model, rows, progress or self._progress)
        finally:
            self._close()

    def _go(
        self,
        sql: str,
        to: tuple[str, ...],
        progress: Progress | None,
        users_noise: int | None,
        epsilon: Decimal | str | None,
    ) -> Answer | way.Sent:
        try:
            for node in self._nodes:
                node.prepare()
            noise = self._noise(sql, to, users_noise, epsilon)
            hears = progress or self._progress
            return way.ask(
                sql,
                self.room,
                self._peers,
                self._node.records,
                hears,
                to,
                noise,
                sealing=self._node.sealing,
                cut_off=self.cut_off,
                begun=self.begun,
            )
        finally:
            self._close()

    def _noise(
        self, sql: str, to: tuple[str, ...], users_noise: int | None, epsilon: Decimal | str | None
    ) -> int | None:
        """The noise that is asked for, in units' contributions."""
        if epsilon is None:
            if users_noise is not None and not (
                limits.MIN_USERS_NOISE <= users_noise <= limits.MAX_USERS_NOISE
            ):
                raise InputError(f"users_noise is {limits.MIN_USERS_NOISE} to {limits.MAX_USERS_NOISE}")
            return users_noise
        if users_noise is not None:
            raise InputError("say either users_noise or epsilon: each sets the other")
        try:
            most = Decimal(epsilon)
        except InvalidOperation:
            raise InputError("epsilon is a decimal number") from None
        if not (most.is_finite() and most > 0):
            raise InputError("epsilon is a number above 0")
        from hitoku.ask.preview import noise_for

        return noise_for(sql, self.room, self.me, to, most)

    def _close(self) -> None:
        for node in self._nodes:
            node.runs.wait(_END_SECONDS)
        for node in self._nodes:
            node.close()

    def cancel(self) -> None:
        """End the question that another thread is asking with this handle; that thread gets an EngineError.

        What the host had begun is charged: whether and when it would have ended can depend on the data.
        """
        for node in self._nodes:
            node.cancel()

    def explain(self, sql: str) -> Explanation:
        """What would happen to a question, and what each member would learn; nothing is run."""
        from hitoku import questions
        from hitoku.protections import registry

        return questions.explain(sql, self.room, self.me, registry.choices)


def open_room(
    path: str | Path,
    me: str | None = None,
    *,
    clock: Clock | None = None,
    progress: Progress | None = None,
) -> RoomHandle:
    """Open a room whose members' directories are on this machine, or a member's own room over the network.

    Args:
        path: a workspace directory, or the room file in it; or a member's directory with a node.toml.
        me: the member to act as; may be left out if only one member here may ask.
        clock: the time; the machine's by default.
        progress: hears about phases; nobody by default.

    Raises:
        RoomError: the room is not in force, was altered, or cannot be read; or `me` is not here.
    """
    place = Path(path)
    if (place / "node.toml").is_file():  # a member's own directory: the others are reached over the network
        from hitoku.node.remote import open_remote_room

        remote = open_remote_room(place, clock=clock, progress=progress)
        if me not in {None, remote.me}:
            raise RoomError(f"{place} is the directory of {remote.me!r}, not of {me!r}")
        return remote
    workspace = Workspace.open(place)
    if me is None:
        able = [m.name for m in workspace.room.agreement.able(Ability.QUERY) if m.name in workspace.members]
        if len(able) != 1:
            raise RoomError(f"say who asks: {' or '.join(able) or 'no member here has the ability query'}")
        me = able[0]
    return RoomHandle(workspace, me, clock or SystemClock(), progress or NoProgress())
