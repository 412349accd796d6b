# SPDX-License-Identifier: Apache-2.0
"""A member's node and mutual attestation: it begins handshakes, answers them, and records every verdict.

Where a room demands it (`Attestation.crosstab`), nothing of a run is offered, sent or opened before both
nodes accepted each other's evidence (`hitoku.attestation.handshake`). Whichever node needs a session and has
none begins; that both begin at once does no harm (`hitoku.node.sessions`).
"""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from hitoku import limits
from hitoku.attestation.codes import Refused
from hitoku.attestation.handshake import Appraised, Appraiser, Initiator, Responder, Setting
from hitoku.errors import HitokuError, PeerError, Refusal
from hitoku.node.sessions import Sessions
from hitoku.ports import Clock, KeyStore, Peers
from hitoku.room.agreement import Room
from hitoku.room.canonical import agreement_hash, canonical_json, digest
from hitoku.room.ledger import EntryKind
from hitoku.transport import messages
from hitoku.transport.mutual import Confirm, Done, Hello, Prove, Said, Stopped

if TYPE_CHECKING:
    from hitoku.attestation.attest import Attester
    from hitoku.attestation.binding import Binding
    from hitoku.attestation.evidence import Evidence
    from hitoku.attestation.session import Session
    from hitoku.room.directory import MemberDirectory
    from hitoku.room.records import Records

__all__ = ["MutualAttestation", "mutual_attestation"]

_PATIENCE_SECONDS: Final = 60
"""How long the other node may be away when a session is needed."""
_SETTLING_SECONDS: Final = 10
"""How long a node that has just started may not know its runs."""
_AGAIN_SECONDS: Final = 0.5
_LOOK_SECONDS: Final = 0.02
_NO_SUCH_RUN: Final = "NO_SUCH_RUN"
_NO_HANDSHAKE: Final = "NO_HANDSHAKE"
_RUN_ABORTED: Final = "RUN_ABORTED"
_AGAIN: Final = frozenset({_NO_SUCH_RUN, _NO_HANDSHAKE})
"""What a node says that has just started again: soon it will have taken its runs up."""


class MutualAttestation:
    """One member's sessions in one room.

    Args:
        room: in force, as this member verified it.
        peers: the way to the others.
        keys: what this member signs with.
        clock: the time.
        attester: what makes evidence of this node; asked for when it is first needed.
        judge: this member's appraisal.
        records: where verdicts are recorded.
        shares: whether this member computes a run with another.
    """

    def __init__(
        self,
        *,
        room: Room,
        peers: Peers,
        keys: KeyStore,
        clock: Clock,
        attester: Callable[[], Attester],
        judge: Appraiser,
        records: Callable[[], Records],
        shares: Callable[[str, str], bool],
    ) -> None:
        self._room, self._hash = room, agreement_hash(room.agreement)
        self._peers, self._keys = peers, keys
        self._attester, self._judge, self._records, self._shares = attester, judge, records, shares
        self.sessions = Sessions(clock)
        self._lock = threading.Lock()
        self._answering: dict[tuple[str, str], tuple[Responder, _Judging, float]] = {}
        self._recalled: set[str] = set()
        self._begun: dict[str, int] = {}
        self._beginning: dict[str, threading.Lock] = {}

    def ensure(self, run: str, peer: str, *, wait: float = 0, hear: Callable[[], None] | None = None) -> None:
        """See to it that there is a session; attest where there is none.

        Args:
            run: the run.
            peer: the other side's member.
            wait: how long to wait for the other side to begin, in seconds.
            hear: called while waiting; what it raises ends the waiting.

        Raises:
            Refusal: one side does not accept the other's evidence; the code is the attestation's.
            PeerError: the other side cannot be reached or failed, or the run was aborted.
            InputError: this node makes no evidence.
        """
        self._recall(run)
        until = time.monotonic() + wait
        while self.sessions.newest(run, peer) is None:
            if hear is not None:
                hear()
            if time.monotonic() >= until:
                break
            time.sleep(_LOOK_SECONDS)
        with self._lock:
            turn = self._beginning.setdefault(run, threading.Lock())
        with turn:
            if self.sessions.newest(run, peer) is None:
                self._attest(run, peer, hear)

    def abort(self, run: str, peer: str, stage: str) -> None:
        """The data of a stage did not open: the run's sessions go, and the ledger says at which stage."""
        if self.sessions.abort(run):
            facts = {"stage": stage, "member": peer, "by": self._peers.me, "code": _RUN_ABORTED}
            self._note(EntryKind.REVOCATION, run, **facts)

    def forget(self, run: str) -> None:
        """The run is over."""
        self.sessions.forget(run)
        with self._lock:
            self._recalled.discard(run)
            self._begun.pop(run, None)
            self._beginning.pop(run, None)
            for key in [k for k in self._answering if k[0] == run]:
                del self._answering[key]

    # --- attesting: this side begins ---

    def _attest(self, run: str, peer: str, hear: Callable[[], None] | None) -> None:
        began = time.monotonic()
        while True:
            try:
                self._begin(run, peer)
            except PeerError as error:
                if error.code is not None or time.monotonic() > began + _PATIENCE_SECONDS:
                    raise
            except Refusal as refusal:
                # A node that starts again takes its runs up one after the other.
                if refusal.code not in _AGAIN or time.monotonic() > began + _SETTLING_SECONDS:
                    raise
            else:
                return
            time.sleep(_AGAIN_SECONDS)
            if hear is not None:
                hear()
            if self.sessions.newest(run, peer) is not None:
                return

    def _begin(self, run: str, peer: str) -> None:
        judging = _Judging(self._judge)
        side = Initiator(self._setting(run, peer, judging))
        try:
            offer = self._said(peer, Hello(room=self._hash, run=run, content=_text(side.hello())))
            proof = side.evidence(offer)
            accepted = self._said(peer, Prove(room=self._hash, run=run, content=_text(proof)))
            confirmation = side.confirmation(accepted)
        except Refused as refused:
            self._refused(run, peer, refused, judging)
            with suppress(HitokuError):  # it is told, so that its ledger says so, too
                told = Stopped(room=self._hash, run=run, code=str(refused.code), detail=_cut(refused.detail))
                self._peers.call(peer, told.model_dump(mode="json"))
            raise _refusal(self._peers.me, peer, refused) from None
        except Refusal as refusal:
            if refusal.code not in _AGAIN:
                self._was_refused(run, peer, refusal.code)
            raise
        done = Confirm(room=self._hash, run=run, content=_text(confirmation))
        messages.read(Done, self._peers.call(peer, done.model_dump(mode="json")), peer)
        self._keep(side.session, judging)

    def _said(self, peer: str, message: messages.Message) -> bytes:
        answer = self._peers.call(peer, message.model_dump(mode="json"))
        return _bytes(messages.read(Said, answer, peer).content, peer)

    # --- attesting: the other side begins ---

    def answer(self, sender: str, message: Mapping[str, Any]) -> dict[str, Any]:
        """Answer a message of `hitoku.transport.mutual`.

        Raises:
            Refusal: ``NO_SUCH_RUN``, ``ROOM_DIFFERS``, ``BUSY``, ``NO_HANDSHAKE``; or the code of the
                attestation, where this side does not accept the other's evidence.
            PeerError: the message is malformed.
            InputError: this node makes no evidence.
        """
        kind = message["kind"]
        if kind == "hitoku/attest-stopped/1":
            return self._stopped(sender, messages.read(Stopped, message, sender))
        step: Hello | Prove | Confirm
        if kind == "hitoku/attest-hello/1":
            step = messages.read(Hello, message, sender)
        elif kind == "hitoku/attest-prove/1":
            step = messages.read(Prove, message, sender)
        else:
            step = messages.read(Confirm, message, sender)
        self._check(sender, step.run, step.room)
        content = _bytes(step.content, sender)
        try:
            if isinstance(step, Hello):
                return self._offer(sender, step.run, content)
            return self._go_on(sender, step.run, content, last=isinstance(step, Confirm))
        except Refused as refused:
            raise _refusal(self._peers.me, sender, refused) from None

    def _check(self, sender: str, run: str, room: str) -> None:
        if room != self._hash:
            raise Refusal(
                "ROOM_DIFFERS",
                f"{self._peers.me!r} has signed another version of this room",
                rule="version",
                owner=self._peers.me,
                remedy="exchange the room file that all members signed",
            )
        if not self._shares(run, sender):
            raise Refusal(_NO_SUCH_RUN, f"{self._peers.me!r} computes no such run with {sender!r}")
        self._recall(run)
        if self.sessions.aborted(run):
            raise Refusal(_NO_SUCH_RUN, f"{self._peers.me!r} computes no such run with {sender!r}")

    def _offer(self, sender: str, run: str, content: bytes) -> dict[str, Any]:
        now = time.monotonic()
        with self._lock:
            for key in [k for k, (_, _, end) in self._answering.items() if end < now]:
                del self._answering[key]
            count = self._begun[run] = self._begun.get(run, 0) + 1
        if count > limits.MAX_HANDSHAKES_A_RUN:
            raise Refusal("BUSY", f"{sender!r} has begun too many handshakes for this run")
        judging = _Judging(self._judge)
        side = Responder(self._setting(run, sender, judging))
        offer = side.offer(content)
        with self._lock:
            self._answering[run, sender] = side, judging, now + limits.HANDSHAKE_SECONDS
        return Said(run=run, content=_text(offer)).model_dump(mode="json")

    def _go_on(self, sender: str, run: str, content: bytes, *, last: bool) -> dict[str, Any]:
        with self._lock:  # taken out, so that no two messages meet one handshake
            known = self._answering.pop((run, sender), None)
        if known is None or known[2] < time.monotonic():
            raise Refusal(
                _NO_HANDSHAKE, f"{self._peers.me!r} is in no handshake with {sender!r} for this run"
            )
        side, judging, until = known
        try:
            if last:
                side.end(content)
                self._keep(side.session, judging)
                return Done(run=run).model_dump(mode="json")
            accepted = side.acceptance(content)
        except Refused as refused:
            self._refused(run, sender, refused, judging)
            raise
        with self._lock:
            self._answering[run, sender] = side, judging, until
        return Said(run=run, content=_text(accepted)).model_dump(mode="json")

    def _stopped(self, sender: str, message: Stopped) -> dict[str, Any]:
        self._check(sender, message.run, message.room)
        with self._lock:
            known = self._answering.pop((message.run, sender), None)
        if known is None:
            raise Refusal(
                _NO_HANDSHAKE, f"{self._peers.me!r} is in no handshake with {sender!r} for this run"
            )
        self._was_refused(message.run, sender, message.code)
        return Done(run=message.run).model_dump(mode="json")

    # --- both ---

    def _recall(self, run: str) -> None:
        """Take up from the ledger that a run was aborted, before this process started.

        Raises:
            RoomError: the ledger cannot be read; then nothing is attested.
        """
        with self._lock:
            if run in self._recalled:
                return
        for entry in self._records().ledger.entries(0, EntryKind.REVOCATION):
            if (entry.body.get("run"), entry.body.get("code")) == (run, _RUN_ABORTED):
                self.sessions.abort(run)
        with self._lock:
            self._recalled.add(run)

    def _setting(self, run: str, peer: str, judging: _Judging) -> Setting:
        member = self._room.agreement.member(peer)
        if member is None:
            raise PeerError(f"{peer!r} is no member of this room")
        return Setting(
            room=self._hash,
            run=run,
            me=self._peers.me,
            peer=peer,
            peer_key=member.key,
            keys=self._keys,
            attester=self._attester(),
            appraise=judging,
        )

    def _keep(self, session: Session | None, judging: _Judging) -> None:
        if session is None:
            raise AssertionError("a handshake that ends well has a session")
        facts = {"program": session.peer_program, "ear": session.ear_id, **judging.facts}
        self._note(
            EntryKind.APPRAISAL,
            session.run,
            member=session.peer,
            verdict="accept",
            software_rooted=session.software_rooted,
            session=session.id.hex(),
            **facts,
        )
        self.sessions.add(session)

    def _refused(self, run: str, peer: str, refused: Refused, judging: _Judging) -> None:
        facts = {"code": str(refused.code), **judging.facts}
        self._note(EntryKind.APPRAISAL, run, member=peer, verdict="refuse", by=self._peers.me, **facts)

    def _was_refused(self, run: str, peer: str, code: str) -> None:
        """The other side did not accept this one; its word is kept beside one's own."""
        self._note(EntryKind.APPRAISAL, run, member=self._peers.me, verdict="refuse", by=peer, code=code)

    def _note(self, entry: EntryKind, run: str, **facts: Any) -> None:
        records = self._records()
        with records.store.transaction() as connection:
            records.ledger.append(connection, entry, {"run": run, **facts})


def mutual_attestation(
    directory: MemberDirectory,
    room: Room,
    peers: Peers,
    clock: Clock,
    records: Callable[[], Records],
    shares: Callable[[str, str], bool],
) -> MutualAttestation:
    """That of a member's node: with the attester of its node.toml, and its own registry and policy."""
    keys = directory.keys()

    def judge(evidence: Evidence, binding: Binding, activated: bool) -> Appraised:
        from hitoku.attestation.appraiser import Appraiser as Judge

        made = Judge(directory, lambda: room, records(), keys, clock)
        return made.appraise(evidence, binding, activated, purpose="node")

    def attester() -> Attester:
        from hitoku.node.attester import attester_of

        return attester_of(directory.path)

    return MutualAttestation(
        room=room,
        peers=peers,
        keys=keys,
        clock=clock,
        attester=attester,
        judge=judge,
        records=records,
        shares=shares,
    )


class _Judging:
    """An appraisal that remembers what it was about, for the ledger: by hash."""

    def __init__(self, judge: Appraiser) -> None:
        self._judge = judge
        self.facts: dict[str, str] = {}

    def __call__(self, evidence: Evidence, binding: Binding, activated: bool) -> Appraised:
        name = digest("hitoku/evidence/1", canonical_json(evidence.to_dict()))
        self.facts = {"evidence": name, "kind": str(evidence.kind)}
        return self._judge(evidence, binding, activated)


def _refusal(me: str, peer: str, refused: Refused) -> Refusal:
    return Refusal(
        str(refused.code),
        f"{me!r} does not accept the node of {peer!r}: {refused.detail}",
        rule="attestation.crosstab",
        owner=me,
        remedy=f"{peer} has to run a program, on a platform, that the members signed for; the verdict is in "
        f"the ledger of {me}",
    )


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _bytes(text: str, sender: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise PeerError(f"{sender!r} sent a message that is not in base64") from None


def _cut(text: str) -> str:
    return text[: limits.MAX_CONTROL_TEXT_CHARS]
