# SPDX-License-Identifier: Apache-2.0
"""Which of a member's duties answers which message, topic by topic.

Every topic names the messages that it takes and who of the members has the duty; whatever is left over is
nobody's, and refused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hitoku import ask as way
from hitoku._core import __version__
from hitoku.errors import PeerError
from hitoku.node.enclave import KINDS as ENCLAVE_KINDS
from hitoku.node.shares import KINDS as SHARES_KINDS
from hitoku.room.agreement import Ability
from hitoku.transport import restoring
from hitoku.transport.attested import BROKER_KINDS
from hitoku.transport.heads import give_own_head
from hitoku.transport.joining import give_room
from hitoku.transport.kinds import known_kinds
from hitoku.transport.predictions import KINDS as PREDICTION_KINDS
from hitoku.transport.proposals import KINDS as PROPOSAL_KINDS
from hitoku.transport.restoring import RESTORE_KINDS

if TYPE_CHECKING:
    from hitoku.node.member import LocalNode
    from hitoku.room.agreement import Member

__all__ = ["Duties"]

Duty = Callable[[str, dict[str, Any]], dict[str, Any]]


class Duties:
    """The duties of one member's node."""

    def __init__(self, node: LocalNode) -> None:
        self._node = node

    def answer(self, sender: str, message: dict[str, Any]) -> dict[str, Any]:
        """Answer a message that another member sent.

        Raises:
            PeerError: the sender is no member, or this member has no such duty.
            HitokuError: whatever the duty raises.
        """
        node, kind = self._node, message["kind"]
        agreement = node.room.agreement
        me = agreement.member(node.name)
        if me is None or agreement.member(sender) is None:
            raise PeerError(f"{sender!r} is no member of this room")
        for topic in (self._member, self._owner, self._protections, self._place, self._receiver):
            duty = topic(me, kind)
            if duty is not None:
                return duty(sender, message)
        if kind not in known_kinds():
            from hitoku.questions.refusals import refuse

            raise refuse("VERSION", owner=me.name, asker=sender, version=__version__, kind=kind)
        raise PeerError(f"{me.name!r} does not answer such messages")

    def _member(self, me: Member, kind: str) -> Duty | None:
        """What every member answers."""
        del me
        node = self._node
        agreement = node.room.agreement
        if kind == "hitoku/head-request/1":
            return lambda sender, message: give_own_head(node.records, sender, message)
        if kind in RESTORE_KINDS:
            return lambda sender, message: restoring.answer(node.records, agreement, sender, message)
        if kind == "hitoku/room-request/1":
            return lambda sender, message: give_room(node.room, sender, message)
        if kind in PROPOSAL_KINDS:
            return node.proposals.answer
        return None

    def _owner(self, me: Member, kind: str) -> Duty | None:
        """What owners of tables answer."""
        node = self._node
        if me.name not in node.room.agreement.owners():
            return None
        if node.mutual is not None and kind.startswith("hitoku/attest-"):
            return node.mutual.answer
        if kind in BROKER_KINDS:
            return node.desk.answer
        duties: dict[str, Duty] = {
            "hitoku/consent-request/1": lambda sender, message: node.owner().consent(sender, message),
            "hitoku/settle/1": node.settled,
            "hitoku/preview-request/1": lambda sender, message: node.owner().preview(sender, message),
            "hitoku/begin/1": self._begin,
        }
        return duties.get(kind)

    def _begin(self, sender: str, message: dict[str, Any]) -> dict[str, Any]:
        begun = self._node.partner().begin(sender, message)
        self._node.runs.start(begun["run"])
        return begun

    def _protections(self, me: Member, kind: str) -> Duty | None:
        """What belongs to one way of computing."""
        node = self._node
        if kind in ENCLAVE_KINDS:
            return node.enclaves.answer
        if kind in SHARES_KINDS:
            return node.shares.answer
        if kind in PREDICTION_KINDS and any(m.owner == me.name for m in node.room.agreement.models):
            return node.models.answer
        return None

    def _place(self, me: Member, kind: str) -> Duty | None:
        """What the place of a run answers: a host, who computes, or who leads with its own tables."""
        node = self._node
        computes = {Ability.HOST, Ability.COMPUTE} & set(me.abilities)
        if not computes and me.name not in node.room.agreement.owners():
            return None
        duties: dict[str, Duty] = {
            "hitoku/run-request/1": self._run,
            "hitoku/run-wait/1": self._wait,
            "hitoku/cancel/1": self._cancel,
            "hitoku/lookup/1": lambda sender, message: node.host().look_up(sender, message),
        }
        return duties.get(kind)

    def _run(self, sender: str, message: dict[str, Any]) -> dict[str, Any]:
        node = self._node
        taken: list[str] = []  # a request that is refused must not take away what another runs on
        try:
            done = replace(node.host(), runner=node.taking(taken)).run(sender, message)
        finally:
            for run in taken:
                node.engines.done(run)
                node.enclaves.done(run)
                node.shares.done(run)
        if done["kind"] == "hitoku/run-going/1":
            node.runs.start(done["run"])
        return done

    def _wait(self, sender: str, message: dict[str, Any]) -> dict[str, Any]:
        node = self._node
        return node.host().led.wait(sender, message, node.runs.going(str(message.get("run"))))

    def _cancel(self, sender: str, message: dict[str, Any]) -> dict[str, Any]:
        node = self._node
        cancelled = node.host().cancel(sender, message)
        for ends in (node.engines, node.enclaves, node.shares):
            ends.cancel(cancelled["run"], sender)
        return cancelled

    def _receiver(self, me: Member, kind: str) -> Duty | None:
        """What receivers answer."""
        node = self._node
        if kind == "hitoku/deliver/1" and Ability.RECEIVE in me.abilities:
            return way.Receiver(me.name, node.room, node.keep).deliver
        return None
