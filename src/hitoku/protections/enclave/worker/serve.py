# SPDX-License-Identifier: Apache-2.0
"""One run of the worker, from its order to its end. Whatever fails ends it, and only a code leaves.

The order of things is the argument: no key is asked for before everything that decides what is released was
checked; no row is computed on before all tables were opened whole; nothing leaves but sealed answers, their
salted digest, and a statement. Keys are overwritten as soon as the tables are open; what else their memory
held ends with the process.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from hitoku import limits
from hitoku.attestation.attest import Attester
from hitoku.attestation.codes import Refused
from hitoku.attestation.deletion import state_deletion
from hitoku.attestation.release import KeyRequest, WorkerKeys, wipe
from hitoku.engine.process import EngineLimits
from hitoku.errors import (
    DisclosureError,
    EngineError,
    HitokuError,
    LimitError,
    PeerError,
    Refusal,
    RoomError,
    RunAborted,
)
from hitoku.ports import Clock
from hitoku.protections.enclave import proof
from hitoku.protections.enclave.frames import Broken, Channel, Kind
from hitoku.protections.enclave.sealed_table import CHUNK_BYTES, open_table
from hitoku.protections.enclave.sealing import seal_answer
from hitoku.protections.enclave.stamp import stamp_of
from hitoku.protections.enclave.terms import (
    COMPUTE,
    Call,
    Done,
    Failure,
    Order,
    Reply,
    Table,
    read_frame,
    written,
)
from hitoku.protections.enclave.worker.compute import cells, released
from hitoku.protections.enclave.worker.examined import Task, examined
from hitoku.room.canonical import agreement_hash

if TYPE_CHECKING:
    from hitoku.disclosure.answer import Answer

__all__ = ["serve"]

_HOST: Final = "the host"


class _Stopped(HitokuError):
    """The run ends with a code of its own."""

    def __init__(self, code: str, table: str | None = None) -> None:
        super().__init__(code)
        self.code, self.table = code, table


def serve(channel: Channel, attester: Attester, clock: Clock, bounds: EngineLimits | None = None) -> None:
    """Do one run, and tell its end over the channel.

    Args:
        channel: to the host.
        attester: makes this program's evidence.
        clock: the machine's, which is the host's.
        bounds: what the engine may use.
    """
    keys = WorkerKeys()
    run = _Run(channel, attester, keys, clock, bounds or EngineLimits())
    try:
        run.go()
    except Broken:
        return  # nobody is there to be told
    except Exception as error:  # whatever it says stays here
        with suppress(Broken):
            # Which way it fails once rows are read may depend on them: then it is one code for all.
            told = Failure(code=COMPUTE) if run.opened else _failure(error)
            channel.send(Kind.FAILED, written(told))
    finally:
        keys.forget()


def _failure(error: Exception) -> Failure:
    """What may be told of an error: never its words."""
    match error:
        case _Stopped():
            return Failure(code=error.code, table=error.table)
        case RunAborted():
            return Failure(code="RUN_ABORTED")
        case Refused() | Refusal():
            return Failure(code=str(error.code))
        case EngineError():
            return Failure(code=f"ENGINE_{error.code}")
        case LimitError():
            return Failure(code="LIMIT")
        case DisclosureError():
            return Failure(code="DISCLOSURE")
        case RoomError():
            return Failure(code="ROOM")
        case PeerError():
            return Failure(code="PEER")
        case MemoryError():
            return Failure(code="ENGINE_OUT_OF_MEMORY")
        case _:
            return Failure(code="INTERNAL")


class _Run:
    def __init__(
        self, channel: Channel, attester: Attester, keys: WorkerKeys, clock: Clock, bounds: EngineLimits
    ) -> None:
        self._channel, self._attester, self._keys = channel, attester, keys
        self._clock, self._bounds = clock, bounds
        self._started = clock.now()
        self._inputs: dict[str, str] = {}
        self.opened = False
        """Whether all tables are open."""

    def go(self) -> None:
        """All of it."""
        self._channel.send(Kind.READY)
        _, content = self._channel.receive({Kind.ORDER: limits.MAX_ENCLAVE_ORDER_BYTES})
        order = read_frame(Order, content, _HOST)
        self._phase("check")
        task = examined(order, self._clock.now())
        data_keys: dict[str, bytearray] = {}
        ids: dict[str, str] = {}
        vouchers: list[proof.Voucher] = []
        try:
            self._phase("keys")
            refused: _Stopped | None = None
            for owner in task.question.owners:
                try:
                    vouchers.append(self._asked(task, owner, data_keys, ids))
                except _Stopped as stopped:  # every owner decides, and has it in its ledger
                    refused = refused or stopped
            if refused is not None:
                raise refused
            stamp = stamp_of(
                {v.owner: v.released.ear for v in vouchers}, task.room.agreement, self._clock.now()
            )
            self._phase("tables")
            tables = {name: self._table(task, name, data_keys[name]) for name in task.question.tables}
        finally:
            wipe(*data_keys.values())
        self.opened = True
        self._phase("compute")
        answer = self._answer(task, tables, stamp)
        self._phase("seal")
        tables.clear()
        self._leave(task, answer, vouchers, ids, str(stamp["program"]))

    def _asked(
        self, task: Task, owner: str, keys: dict[str, bytearray], ids: dict[str, str]
    ) -> proof.Voucher:
        """Get an owner's keys. They are added to `keys`, their ids to `ids`."""
        request = KeyRequest(task.room.agreement, owner, task.host, task.run, self._keys, self._attester)
        challenged = self._call(owner, request.challenge())
        given = self._call(owner, request.answer(challenged))
        found = request.open(given)
        keys |= found
        ids |= request.key_ids
        agreement = task.room.agreement
        owned = {n for n in task.question.tables if (t := agreement.table(n)) and t.owner == owner}
        if set(found) != owned:
            raise _Stopped("NO_SUCH_KEY")
        return proof.Voucher.model_validate({"owner": owner, "challenged": challenged, "released": given})

    def _call(self, owner: str, message: Mapping[str, Any]) -> dict[str, Any]:
        """A broker's answer, carried by the host."""
        self._channel.send(Kind.CALL, written(Call(owner=owner, message=dict(message))))
        _, content = self._channel.receive({Kind.REPLY: limits.MAX_ENCLAVE_CALL_BYTES})
        answer = read_frame(Reply, content, _HOST).message
        if answer is None:
            raise _Stopped("KEYS_REFUSED")
        return answer

    def _table(self, task: Task, name: str, key: bytearray) -> Any:
        """One table, opened whole."""
        self._channel.send(Kind.TABLE, name.encode())
        _, content = self._channel.receive({Kind.REPLY: limits.MAX_ENCLAVE_CALL_BYTES})
        said = read_frame(Table, content, _HOST)
        declared = task.room.agreement.table(name)
        if said.table != name or declared is None:
            raise _Stopped("PEER")
        head = base64.b64decode(said.head)
        seen = hashlib.sha256(head)
        try:
            made = open_table(
                head,
                said.chunks,
                self._chunks(),
                [c.name for c in task.columns[name]],
                key=key,
                room=task.question.room_hash,
                run=task.run,
                table=name,
                owner=declared.owner,
                opened=seen.update,
            )
        except RunAborted:
            raise _Stopped("RUN_ABORTED", name) from None
        self._inputs[name] = f"sha256:{seen.hexdigest()}"
        return made

    def _chunks(self) -> Iterator[bytearray]:
        while True:
            kind, content = self._channel.receive({Kind.CHUNK: CHUNK_BYTES, Kind.END: 0})
            if kind is Kind.END:
                return
            yield content

    def _answer(self, task: Task, tables: Mapping[str, Any], stamp: Mapping[str, Any]) -> Answer:
        question, plan = task.question, task.plan
        made = released(
            lambda: cells(question, plan, tables, task.columns, self._bounds),
            question,
            plan,
            task.room.agreement,
            leakage=task.protection.leakage(question, task.room),
            protection=str(task.protection.name),
            run=task.run,
            clock=_Paced(self._clock, task.began, task.room.agreement.release.interval_seconds),
        )
        return replace(made, attestation=stamp)

    def _leave(
        self, task: Task, answer: Answer, vouchers: list[proof.Voucher], ids: Mapping[str, str], program: str
    ) -> None:
        """Hand over the sealed answers and the statement."""
        room, question = agreement_hash(task.room.agreement), task.question.hash
        digest, plan, sent = answer.digest, task.plan.hash, answer.to_message()
        message = proof.message_hash(sent)
        signed = proof.proof_bytes(
            room=room,
            run=task.run,
            host=task.host,
            question=question,
            plan=plan,
            answer=digest,
            message=message,
            public_key=self._keys.public_key,
        )
        shown = proof.Proof(
            run=task.run,
            room=room,
            host=task.host,
            question=question,
            plan=plan,
            answer=digest,
            message=message,
            public_key=self._keys.public_key.hex(),
            signing_key=self._keys.signing_key.hex(),
            vouchers=vouchers,
            signature=base64.b64encode(self._keys.sign(signed)).decode(),
        )
        inside = {"answer": sent, "proof": shown.model_dump(mode="json")}
        content = json.dumps(inside, allow_nan=False, separators=(",", ":")).encode()
        outputs: dict[str, str] = {}
        for receiver, key in sorted(task.sealing.items()):
            sealed = seal_answer(content, key, room=room, run=task.run, receiver=receiver)
            outputs[receiver] = f"sha256:{hashlib.sha256(sealed).hexdigest()}"
            name = receiver.encode()
            self._channel.send(Kind.RESULT, len(name).to_bytes(1, "big") + name + sealed)
        statement = state_deletion(
            self._keys,
            room=room,
            run=task.run,
            host=task.host,
            program=program,
            key_ids=list(ids.values()),
            inputs=self._inputs,
            outputs=outputs,
            started=self._started,
            ended=self._clock.now(),
        )
        done = Done(answer=digest, statement=statement.model_dump(mode="json"))
        self._channel.send(Kind.DONE, written(done))

    def _phase(self, name: str) -> None:
        self._channel.send(Kind.PHASE, name.encode())


class _Paced:
    """A clock that tells when an answer leaves: at multiples of the room's interval after the request."""

    def __init__(self, clock: Clock, began: datetime, interval: int) -> None:
        self._clock, self._began, self._interval = clock, began, timedelta(seconds=interval)

    def now(self) -> datetime:
        """When what is released now leaves."""
        now = self._clock.now()
        if not self._interval:
            return now
        passed = max(timedelta(0), now - self._began)
        return self._began + max(1, -(-passed // self._interval)) * self._interval

    def sleep(self, seconds: float) -> None:
        """As the clock does."""
        self._clock.sleep(seconds)
