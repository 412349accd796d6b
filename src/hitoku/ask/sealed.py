# SPDX-License-Identifier: Apache-2.0
"""The host's side of a run whose answer it cannot read: it starts an enclave, and carries what is sealed.

Nothing that tells of a row is here, and no answer is kept: asked again, a question is computed again and
charged again. When the worker has ended, the owners' brokers are told to destroy the run's keys; their
tombstones and the worker's statement are the certificate that goes to the receivers with the answer. Where a
run fails, the brokers are told to release nothing for it any more. An owner whose host says nothing of that
keeps its keys live until they end by themselves, and its charge stays in any case.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from hitoku import limits
from hitoku.ask.common import Examined
from hitoku.ask.pace import Pace
from hitoku.errors import EngineError, HitokuError, PeerError, Refusal, RunAborted
from hitoku.room.consent import moment
from hitoku.room.runs import Role
from hitoku.room.sealing import SealingKey
from hitoku.transport import attested, enclave, messages

if TYPE_CHECKING:
    from hitoku.ask.host import Host
    from hitoku.protections.enclave import Enclave
    from hitoku.protections.enclave.enclosure import Enclosed

__all__ = ["SealedRun"]

_SHORTEST_PAUSE: Final = 0.02
_LONGEST_PAUSE: Final = 1.0
_STAGE: Final = "run"


@dataclass(frozen=True, slots=True)
class SealedRun:
    """One run in an enclave, at its host.

    Attributes:
        host: the host's side.
        sender: who asked.
        request: the asker's order.
        examined: the question, as the host examined it.
        protection: what starts the enclave.
    """

    host: Host
    sender: str
    request: messages.RunRequest
    examined: Examined
    protection: Enclave

    def run(self, pace: Pace, sealing: Sequence[SealingKey]) -> dict[str, Any]:
        """Run, settle, and deliver. The run is reserved already.

        Raises:
            HitokuError: whatever ended it; the owners know then.
        """
        host, run = self.host, self.request.run
        owners = self.examined.question.owners
        try:
            enclosed = self._enclosed(sealing)
        except BaseException as error:
            if isinstance(error, Exception):
                pace.wait()
            host.records.fail(run, Role.HOST, type(error).__name__)
            self._revoke("tables" if isinstance(error, RunAborted) else _STAGE)
            host.settle(owners, messages.Settle(run=run, outcome="failed"))
            if isinstance(error, RunAborted):
                raise self._altered() from None
            raise
        host.progress.phase("delete the keys")
        certificate = self._deleted(enclosed)
        pace.wait()
        host.records.commit(run, Role.HOST, host.facts(self.examined, enclosed.answer))
        outcome = messages.Settle(
            run=run, outcome="released", question=self.examined.question.hash, answer=enclosed.answer
        )
        host.settle(owners, outcome)
        if self._deliver(enclosed, certificate):
            pace.wait()  # how long it took to deliver tells how large the answer is
        mine = enclosed.sealed.get(self.sender)
        return messages.RunDone(
            run=run,
            answer=None,
            sealed=None if mine is None else base64.b64encode(mine).decode(),
            certificate=None if mine is None else certificate,
        ).model_dump(mode="json")

    def _altered(self) -> Refusal:
        """What the asker hears of data that was altered on its way."""
        return Refusal(
            "RUN_ABORTED",
            f"a sealed table was altered, moved or cut on its way to the enclave at {self.host.peers.me!r}: "
            "the run has ended, and its keys are revoked",
            remedy="ask again, and find out who carries the data",
        )

    def _enclosed(self, sealing: Sequence[SealingKey]) -> Enclosed:
        from hitoku.protections.enclave.terms import Order

        host, request, question = self.host, self.request, self.examined.question
        enclosure = self.protection.enclosure
        if enclosure is None:
            raise EngineError("this node starts no enclaves")
        offers = _Offers(self)
        offers.begin()
        order = Order(
            room=host.room.model_dump(mode="json", exclude_none=True),
            sql=request.sql,
            run=request.run,
            host=host.peers.me,
            asker=self.sender,
            receivers=list(self.examined.plan.receivers),
            users_noise=request.users_noise,
            consents=request.consents,
            sealing=list(sealing),
            began=moment(host.clock.now()),
        )
        tables = {table.name: table.owner for table in question.sources}
        return enclosure.run(order, tables, offers.of, host.progress)

    def _deleted(self, enclosed: Enclosed) -> dict[str, Any] | None:
        """Have the brokers destroy the run's keys. Returns the certificate; None where not all answered.

        Then it can be asked for again, of the owners: their tombstones stay.
        """
        from hitoku.attestation.certificate import Carried, make_certificate

        run, owners = self.request.run, self.examined.question.owners
        message = attested.DeleteKeys(run=run, statement=dict(enclosed.statement)).model_dump(mode="json")
        found: dict[str, Carried] = {}
        for owner in owners:
            with suppress(HitokuError, KeyError):
                reply = self.host.peers.call(owner, message)
                messages.read(attested.KeysDeleted, reply, owner)
                challenged, release, released = enclosed.carried[owner]
                found[owner] = Carried(challenged, release, released, reply)
        if len(found) < len(owners):
            return None
        made = make_certificate(enclosed.statement, found)
        self.protection.certified(run, made)
        return made

    def _revoke(self, stage: str) -> None:
        message = attested.RevokeKeys(run=self.request.run, stage=stage).model_dump(mode="json")
        for owner in self.examined.question.owners:
            with suppress(HitokuError):
                self.host.peers.call(owner, message)

    def _deliver(self, enclosed: Enclosed, certificate: Mapping[str, Any] | None) -> bool:
        """Send the others theirs. Returns whether there were any."""
        others = [receiver for receiver in enclosed.sealed if receiver != self.sender]
        for receiver in others:
            message = enclave.DeliverSealed(
                run=self.request.run,
                sealed=base64.b64encode(enclosed.sealed[receiver]).decode(),
                certificate=None if certificate is None else dict(certificate),
            )
            reply = self.host.peers.call(receiver, message.model_dump(mode="json"))
            messages.read(messages.Delivered, reply, receiver)
        return bool(others)


class _Offers:
    """What the owners say of their sealed tables; asked for once, then waited for."""

    def __init__(self, run: SealedRun) -> None:
        self._run = run
        request, question = run.request, run.examined.question
        self._message = enclave.OfferTables(
            sql=request.sql,
            room=request.room,
            run=request.run,
            asker=run.sender,
            receivers=list(run.examined.plan.receivers),
            protection=request.protection,
            users_noise=request.users_noise,
        ).model_dump(mode="json")
        self._owners = {table.name: table.owner for table in question.sources}
        self._known: dict[str, dict[str, enclave.OfferedTable]] = {}

    def begin(self) -> None:
        """Have every owner begin to seal."""
        for owner in self._run.examined.question.owners:
            self._ask(owner)

    def of(self, table: str) -> enclave.OfferedTable:
        """What a table's owner says, once it is sealed.

        Raises:
            PeerError: the owner cannot be reached, or offers something else.
            Refusal: it refuses.
        """
        owner, pause = self._owners[table], _SHORTEST_PAUSE
        until = time.monotonic() + limits.RUN_SECONDS
        while owner not in self._known and not self._ask(owner):
            if time.monotonic() > until:
                raise PeerError(f"{owner!r} did not seal its tables in time", "LATE")
            self._run.host.clock.sleep(pause)
            pause = min(_LONGEST_PAUSE, pause * 1.5)
        found = self._known[owner].get(table)
        if found is None:
            raise PeerError(f"{owner!r} does not offer its table {table}")
        return found

    def _ask(self, owner: str) -> bool:
        reply = self._run.host.peers.call(owner, self._message)
        given = messages.read(enclave.TablesOffered, reply, owner)
        if given.run != self._run.request.run:
            raise PeerError(f"{owner!r} answered about another run")
        if given.tables is None:
            return False
        self._known[owner] = {offered.table: offered for offered in given.tables}
        return True
