# SPDX-License-Identifier: Apache-2.0
"""Proposals of a room's next version between its members' nodes: kept, signed, taken up; never by themselves.

The author's node keeps the draft on top of its room file and sends it to every other member. Who must sign
looks at it, and signs the hash that it was shown. When all have signed who must, and every other member has
said that it keeps this draft and no other of that number, the author puts it in force and sends it round with
all signatures. `hitoku.node.courier` does the sending, again and again while a node is down.

Claim: a member that follows nothing of this can make no other member's node act by an agreement that is not
signed by all who must, get no signature for a text that the signer's operator was not shown, and fill no
disk. Argument, for a malicious member M that holds its own key only:

1. *In force.* A node takes a version up only where `hitoku.room.signing.verify` holds for the whole chain of
   versions and `hitoku.room.versions.continues` holds for what this member knows: the same two checks as for
   a file that came by hand. So messages add no way to put an agreement in force, and none to roll one back.
   A draft of another room, of another number, or not on top of the version in force here is not kept.
   What those checks allow, M can do from afar: the terms are the owners' (`hitoku.room.changes`), so a member
   without a table is asked only about itself. Who registers its first table signs the whole agreement as it
   stands then, and the console says so.
2. *Signatures.* A node signs by `sign` only, which its operator calls with a hash; the draft that is on disk
   at that moment must have that hash. A draft that M exchanges between look and signature has another hash,
   and nothing is signed. What M sends as another's signature is verified with that one's key and dropped.
3. *Two drafts of one number.* Who signed a draft is bound to it before the signature leaves (`Book.bind`,
   durable) and signs no other of that number, unless the draft's author took it back under its own signature.
   A draft that was taken back is never taken up here, even if M gathered all signatures before. M can bring
   two versions of one number in force at two others that need not sign either, by signing both itself: both
   nodes then refuse each other's messages (each names the room's hash), no question runs between them, and
   M's two signatures convict it.
4. *Two honest authors at once.* Each node keeps one open proposal of a number besides those it declined; the
   author waits until all keep its own. So two versions of one number never come in force, though each may
   need one signature only. Of two authors that wait for each other, the one later in the agreement gives way.
   A member can hold up another by not answering: then the operator can decline it away at home, or put in
   force what needs no more signatures without waiting (`settle` with `unheard`).
5. *A member restored from a backup* signs, takes back and puts in force nothing of its own before it knows
   what became of it: `hitoku.node.resigned`.
6. *A history that is full.* What a member may add alone is bounded: `hitoku.room.history`.
7. *Flood.* One file an author and room, of at most MAX_PROPOSAL_CHARS, and MAX_DRAFTS_AN_HOUR changes of it.

Assumed: Ed25519 and SHA-256 hold; nobody else writes to the member's directory. Unaudited.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from hitoku import limits
from hitoku.errors import InputError, LimitError, RoomError
from hitoku.findings import findings
from hitoku.node.proposal import Proposal, only_signatures, signers_of, with_signatures
from hitoku.node.proposal_book import Book, Record
from hitoku.ports import Clock
from hitoku.room.agreement import Agreement, Room, SignedVersion
from hitoku.room.canonical import agreement_hash
from hitoku.room.changes import changes
from hitoku.room.consent import moment
from hitoku.room.directory import MemberDirectory
from hitoku.room.files import load_room, locked, save_room
from hitoku.room.history import standing
from hitoku.room.signing import missing, only_needed, problems, sign, signers, verify
from hitoku.room.versions import continues, newest_in_force, revise
from hitoku.transport.messages import encode
from hitoku.transport.proposals import Propose, draft_text, read_draft, withdrawal

__all__ = ["Proposal", "Proposals"]


class Proposals:
    """The proposals of one room at one member's node. For many threads and processes.

    Args:
        directory: the member's.
        file: the room file.
        room: the room's id.
        clock: the time.
    """

    def __init__(self, directory: MemberDirectory, file: Path, room: str, clock: Clock) -> None:
        self.directory, self.file, self.room, self.clock = directory, file, room, clock
        self.me = directory.name
        self.book = Book(directory.path, room)

    @contextmanager
    def turn(self) -> Iterator[tuple[Room, Room]]:
        """Alone with the room file: what it holds, and its newest version in force, verified.

        Raises:
            RoomError: it is another room, or nothing in it is in force.
        """
        with locked(self.file):
            here = load_room(self.file)
            if str(here.agreement.id) != self.room:
                raise RoomError(f"{self.file}: is another room by now")
            force = newest_in_force(here)
            verify(force)
            yield here, force

    def now(self) -> str:
        """The time, as records have it."""
        return moment(self.clock.now())

    # --- what people see ---

    def all(self) -> tuple[Proposal, ...]:
        """The newest proposal of each author; this member's own first.

        Raises:
            RoomError: a record is damaged, or the room is not in force.
        """
        with self.turn() as (here, force):
            here = self._adopt(here, force)
            found = [self._shown(record, here, force) for record in self.book.records()]
        return tuple(sorted(found, key=lambda p: (not p.mine, p.author)))

    def find(self, hash_: str) -> Proposal | None:
        """The proposal of that hash, whoever's it is.

        Raises:
            RoomError: as for `all`.
        """
        return next((p for p in self.all() if p.hash == hash_), None)

    # --- at the author ---

    def propose(
        self, change: dict[str, Any], *, by: str | None = None, why: str = "", signed: bool = True
    ) -> Proposal:
        """Make the next version, in this member's name.

        Args:
            change: fields of the agreement that are replaced, JSON-ready, e.g. ``{"tables": [...]}``.
            by: the user who does it.
            why: what to tell the others about it.
            signed: sign it, where this member must, and send it; otherwise it stays a draft (`give`).

        Raises:
            RoomError: it is no agreement, changes nothing, or another proposal is open.
            LimitError: it is too large to be sent.
        """
        with self.turn() as (here, force):
            self.book.check_open()
            self._free(self._adopt(here, force), force)
            try:
                made = revise(force, change)
            except ValidationError as error:
                raise RoomError(f"the next version cannot be so: {findings(error, 'room')}") from None
            if not changes(force.agreement, made.agreement):
                raise RoomError("this changes nothing of the version in force")
            wrong = only_signatures(made)
            if wrong:
                raise RoomError("the next version cannot be so: " + "; ".join(wrong))
            _check_room_left(made)
            text = draft_text(made)
            if len(text) > limits.MAX_PROPOSAL_CHARS:
                raise LimitError(f"the agreement is larger than {limits.MAX_PROPOSAL_CHARS} characters")
            encode(Propose(draft=text, why=why).model_dump(mode="json"))  # or it could never be sent
            record = Record(
                author=self.me, version=made.agreement.version, hash=agreement_hash(made.agreement),
                draft=text, why=why, by=by, state="draft", created=self.now(), changed=self.now(),
                earlier=self._taken_back(made.agreement), owed=self._owed(force.agreement),
            )  # fmt: skip
            if signed:
                record = self._given(record, made)
            self.book.write(record)
            save_room(made, self.file)
            return self._shown(record, made, force)

    def give(self, hash_: str) -> Proposal:
        """Sign the own draft, where this member must, and let it be sent.

        Raises:
            RoomError: the draft that is there has another hash, or is none any more.
        """
        with self.turn() as (here, force):
            record = self._own(hash_)
            if record.state != "draft":
                raise RoomError("this draft is not a draft any more: look at it again")
            if agreement_hash(here.agreement) != hash_:
                raise RoomError(f"{self.file}: holds another draft by now; look at it again")
            self._free(here, force, but=hash_)
            record = self._given(record, here)
            self.book.write(record)
            return self._shown(record, here, force)

    def withdraw(self, hash_: str) -> None:
        """Take the own proposal back, and free everybody who signed it.

        Raises:
            RoomError: it is in force, or somebody signed it who joins by an invitation; or as for `propose`.
        """
        with self.turn() as (here, force):
            record = self._own(hash_)
            if not record.live:
                raise RoomError("this proposal is over: there is nothing to take back")
            self.book.check_open()  # after a restore, it may be in force at others
            self.take_back(record, here, force, "withdrawn")

    def take_back(self, record: Record, here: Room, force: Room, state: Any) -> None:
        """End the own proposal, with the room file's lock held.

        Raises:
            RoomError: somebody signed it who joins by an invitation, and would be bound to it for ever.
        """
        mine = agreement_hash(here.agreement) == record.hash
        if mine and here.signatures:
            names = ", ".join(s.member for s in here.signatures)
            raise RoomError(
                f"{names} signed this draft by invitation: let it come into force, then change it"
            )
        ended = {"state": state, "changed": self.now(), "told": ()}
        if record.state == "open":
            signature = withdrawal(self.room, record.version, record.hash, self.directory.keys())
            ended["withdrawal"] = signature
        # First nobody is bound; a crash after it leaves a draft in the file that the next look ends.
        self.book.write(record.model_copy(update=ended))
        self.book.bind(self.book.bound().freed(self.me, record.hash))
        if mine:
            save_room(force, self.file)

    def settle(self, unheard: bool = False) -> bool:
        """Put the own proposal in force if nothing is missing. Returns whether it is.

        Args:
            unheard: without waiting until every other member keeps it; the operator's choice (4 above).

        Raises:
            RoomError: it cannot be served by this member.
        """
        with self.turn() as (here, force):
            record = self.book.record(self.me)
            if record is None or record.state != "open":
                return False
            if not unheard and not self.book.is_open():
                return False
            self.book.check_open()  # after a restore, it may have been taken back
            if agreement_hash(force.agreement) == record.hash:  # an invitation's signature was the last one
                self.book.write(self._over(record, "in_force"))
                return True
            whole = self.gathered(record, here, force)
            if problems(whole) or (self._waits(record, force.agreement) and not unheard):
                return False
            self.take_up(whole)
            return True

    # --- at the others ---

    def sign(self, hash_: str) -> Proposal:
        """Sign another member's proposal of this hash: the one that was shown.

        Raises:
            RoomError: what is kept now is another draft, over, or this member signed another of that number.
        """
        with self.turn() as (here, force):
            record = self._others(hash_)
            room = self.on_top(read_draft(record.draft, record.author), force)
            if only_signatures(room):
                raise RoomError("this draft is not on top of the version in force: nothing was signed")
            record = self._signed(record, room).model_copy(
                update={"signed": True, "delivered": False, "changed": self.now()}
            )
            self.book.write(record)
            return self._shown(record, here, force)

    def decline(self, hash_: str, reason: str) -> None:
        """Say no to another member's proposal: it is in the way of nothing here any more.

        Raises:
            RoomError: it is over, or this member signed it.
        """
        with self.turn():
            record = self._others(hash_)
            if record.signed:
                raise RoomError("this member signed it: its author alone can take it back")
            update = {
                "state": "declined",
                "reason": reason[: limits.MAX_CONTROL_TEXT_CHARS],
                "delivered": False,
                "changed": self.now(),
            }
            self.book.write(record.model_copy(update=update))

    # --- both, with the room file's lock held ---

    def take_up(self, room: Room) -> None:
        """Put a version in the room file's place, verified as this member knows the room.

        Raises:
            RoomError: it is not in force, does not continue what is known here, was taken back, or is signed
                by this member, which is bound to another draft of that number.
        """
        known = self.directory.known(room)
        if known is not None:
            continues(room, known)
        verify(room)
        hash_ = agreement_hash(room.agreement)
        self.book.check_kept(room, self.me, known)
        self.directory.check_duties(room.agreement)
        room = only_needed(room)
        save_room(room, self.file)
        self.directory.room(room)
        for record in self.book.records():
            if record.version <= room.agreement.version and record.state not in {"in_force", "withdrawn"}:
                self.book.write(self._over(record, "in_force" if record.hash == hash_ else "superseded"))

    def on_top(self, draft: Room, force: Room) -> Room:
        """A draft that came without the versions before, on top of the one in force here."""
        past = SignedVersion(agreement=force.agreement, signatures=force.signatures)
        return Room(agreement=draft.agreement, signatures=draft.signatures, history=(*force.history, past))

    def gathered(self, record: Record, here: Room, force: Room) -> Room:
        """The draft with all signatures that are known: those that came, and those given by invitation."""
        room = self.on_top(read_draft(record.draft, record.author), force)
        if agreement_hash(here.agreement) == record.hash:
            room = with_signatures(room, here.signatures)
        return room

    def update(self, author: str, change: Callable[[Record], Record]) -> None:
        """Change a record, alone with it; nothing where there is none."""
        with locked(self.file):
            record = self.book.record(author)
            if record is not None:
                self.book.write(change(record))

    def _shown(self, record: Record, here: Room, force: Room) -> Proposal:
        draft = read_draft(record.draft, record.author)
        versions = [*(v.agreement for v in force.history), force.agreement]
        past = versions[: record.version - 1]
        before = past[-1] if len(past) == record.version - 1 else None
        if before is not None and agreement_hash(before) != draft.agreement.previous:
            before = None
        if before is not None and agreement_hash(before) == agreement_hash(force.agreement):
            draft = self.gathered(record, here, force)
        found = () if before is None else changes(before, draft.agreement)
        named, everybody = ((), False) if before is None else signers_of(past, draft.agreement)
        lacking = missing(draft) if draft.history and record.live else ()
        mine = record.author == self.me
        waits = self._waits(record, force.agreement) if mine and record.state == "open" else ()
        return Proposal(record, mine, draft, before, found, named, lacking, waits, everybody)

    def _waits(self, record: Record, agreement: Agreement) -> tuple[str, ...]:
        names = (m.name for m in agreement.members if m.name != self.me)
        return tuple(name for name in names if name not in record.kept)

    def _given(self, record: Record, made: Room) -> Record:
        needed = signers(made)
        if self.me in needed.current | needed.previous:
            record = self._signed(record, made)
        return record.model_copy(update={"state": "open", "changed": self.now()})

    def _signed(self, record: Record, room: Room) -> Record:
        """The record with this member's signature, which is bound to it first."""
        agreement = room.agreement
        self.book.check_free(agreement)
        bound = self.book.bound()
        known = self.directory.known(room)
        if known is not None:  # signed by `hitoku room sign`, say
            continues(room, known)
        if agreement.member(self.me) is not None:
            self.directory.check_duties(agreement)
        signed = sign(room, self.me, self.directory.keys())
        self.book.bind(bound.signed(record.author, agreement.version, record.hash))
        return record.model_copy(update={"draft": draft_text(signed)})

    def _taken_back(self, made: Agreement) -> tuple[tuple[str, str], ...]:
        """The own other drafts of that number that were taken back after they were sent."""
        last, hash_ = self.book.record(self.me), agreement_hash(made)
        if last is None or last.version != made.version:
            return ()
        found = last.earlier if last.withdrawal is None else (*last.earlier, (last.hash, last.withdrawal))
        return tuple(one for one in found if one[0] != hash_)[-limits.MAX_DRAFTS_AN_HOUR :]

    def _owed(self, agreement: Agreement) -> tuple[str, ...]:
        """Who has not heard of the version in force from this member, which made it or one before."""
        last = self.book.record(self.me)
        if last is None:
            return ()
        names = [m.name for m in agreement.members if m.name != self.me]
        untold = names if last.state == "in_force" else []
        return tuple(n for n in names if n in last.owed or (n in untold and n not in last.told))

    def _adopt(self, here: Room, force: Room) -> Room:
        """Know a draft in the room file that was made by hand; end one that a crash left after its end.

        Returns what the room file holds now.
        """
        if here.agreement.version <= force.agreement.version:
            return here
        hash_, last = agreement_hash(here.agreement), self.book.record(self.me)
        if last is not None and last.hash == hash_:
            if last.live:
                return here
            save_room(force, self.file)
            return force
        if last is None or not last.live:
            made = Record(
                author=self.me, version=here.agreement.version, hash=hash_, draft=draft_text(here),
                state="draft", created=self.now(), changed=self.now(),
                earlier=self._taken_back(here.agreement), owed=self._owed(force.agreement),
            )  # fmt: skip
            self.book.write(made)
        return here

    def _free(self, here: Room, force: Room, but: str | None = None) -> None:
        """See to it that no other proposal is open.

        Raises:
            RoomError: one is.
        """
        if here.agreement.version > force.agreement.version and agreement_hash(here.agreement) != but:
            raise RoomError(
                "another draft of the next version is there: send it, sign it or take it back first"
            )
        for record in self.book.records():
            if record.state == "open" and record.version == force.agreement.version + 1:
                raise RoomError(
                    f"a proposal of {record.author!r} is open: sign or decline it first, or wait for it"
                )

    def _own(self, hash_: str) -> Record:
        record = self.book.record(self.me)
        if record is None or record.hash != hash_:
            raise RoomError("this proposal was changed since it was shown: look at it again")
        return record

    def _others(self, hash_: str) -> Record:
        found = [r for r in self.book.records() if r.author != self.me and r.hash == hash_]
        if not found:
            raise RoomError(
                "the proposal was changed since it was shown: look at it again; nothing was signed"
            )
        if found[0].state != "open":
            raise RoomError("this proposal is not open any more: nothing was done")
        return found[0]

    def _over(self, record: Record, state: Any) -> Record:
        return record.model_copy(update={"state": state, "changed": self.now(), "told": ()})

    def too_often(self, record: Record | None) -> tuple[str, ...]:
        """When an author changed its draft during the last hour, now included.

        Raises:
            InputError: too often.
        """
        since = self.clock.now() - timedelta(hours=1)
        times = [t for t in (() if record is None else record.times) if datetime.fromisoformat(t) > since]
        if len(times) >= limits.MAX_DRAFTS_AN_HOUR:
            raise InputError("the draft was changed too often during the last hour")
        return (*times, self.now())


def _check_room_left(made: Room) -> None:
    """Refuse a version that the room's file could not keep.

    Raises:
        LimitError: everybody signed as many, or as large, versions as a room can have.
    """
    full = standing([*(v.agreement for v in made.history), made.agreement]).full
    if full or made.agreement.version > limits.MAX_ROOM_VERSIONS:
        raise LimitError(
            f"the room's history is full: its versions may take {limits.MAX_HISTORY_BYTES} bytes together; "
            "make a new room"
        )
