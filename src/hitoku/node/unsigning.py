# SPDX-License-Identifier: Apache-2.0
"""Taking a signature back: the way out for who signed a proposal that never comes to an end.

Who signed a draft signs no other of its number, and its author alone can take the draft back. An author that
is gone, or does not want to, would hold the signer for ever. So the signer S asks every other member of the
version in force to promise, signed and on disk first, never to take that draft D up. The author's node
promises as all others do, and takes the proposal back with it. When all have promised, S is free.

Claim: while S and a set of other members follow this, no two of them take up D and another version of the
same number for which S's signature is needed. Argument: before it is free, S signs no other
(`Book.check_free`), so such a version is in force nowhere. S is free only when each of them has promised,
which none does that has D in force; and none takes D up after it promised, nor does S (`Book.check_kept`). A
promise ends only when S says that D is in force after all (`void`), which it says when it has taken D up, and
then D's number has passed.

What remains:

- Every other member has to answer, the author too. One that is gone keeps S bound, as a coordinator that is
  gone keeps those who voted in every two-phase commit: it may have D in force, and nobody else can tell. Then
  the ways out are those of `docs/decisions/0006-who-signs-a-change.md`: a version that needs no signature of
  S, or a new room. No time limit is sound: a node that was down cannot tell what was in force before the
  limit.
- A draft that brings somebody new is not given back: who joins takes D up too, and cannot be asked yet.
- An S that lies can leave those who promised behind those who have D in force. S's signatures of D and of
  `hitoku.transport.proposals.unsigning` convict it. Others that lie can let D in force at themselves alone.
"""

from __future__ import annotations

from hitoku.errors import PeerError, RoomError
from hitoku.node.proposal_book import Promised, Record
from hitoku.node.proposals import Proposals
from hitoku.room.agreement import Agreement
from hitoku.room.canonical import agreement_hash
from hitoku.room.versions import hashes
from hitoku.transport import messages
from hitoku.transport.in_process import InProcessPeers
from hitoku.transport.proposals import Unsign, Unsigned, never, unsigning, valid_never, valid_unsigning

__all__ = ["answer", "ask", "waits_for"]


def waits_for(record: Record, agreement: Agreement, me: str) -> tuple[str, ...]:
    """Who has still to be asked about a draft whose signature is taken back; or told that it is in force."""
    if record.state == "unsigning":
        return tuple(m.name for m in agreement.members if m.name != me and m.name not in record.unsigned)
    if record.state == "in_force":
        return tuple(m.name for m in agreement.members if m.name in record.unsigned)
    return ()


def answer(proposals: Proposals, sender: str, message: Unsign) -> Unsigned:
    """A member takes its signature back: promise never to take the draft up, unless it is in force.

    Raises:
        PeerError: the signature is not the sender's.
        RoomError: it is this member's own proposal, and somebody signed it by an invitation.
        LimitError: the sender did so too often.
    """
    with proposals.turn() as (here, force):
        agreement, version, hash_ = force.agreement, message.version, message.hash
        who = agreement.member(sender)
        if who is None or not valid_unsigning(
            proposals.room, version, hash_, message.void, who.key, message.signature
        ):
            raise PeerError(f"{sender!r} takes a signature back without its signature of that")
        if message.void:
            proposals.book.unpromise(sender, hash_)
            return Unsigned(state="free")
        if version <= agreement.version:
            return Unsigned(state="in_force" if hash_ in hashes(force) else "newer")
        record = proposals.book.record(proposals.me)
        if record is not None and record.live and record.hash == hash_:
            proposals.take_back(record, here, force, "withdrawn")
        elif agreement_hash(here.agreement) == hash_:
            raise RoomError("this draft was made by hand: it has to be taken out of the room file here first")
        signature = never(proposals.room, version, hash_, sender, proposals.directory.keys())
        made = Promised(to=sender, version=version, hash=hash_, signature=signature)
        proposals.book.promise(made, agreement.version)
        return Unsigned(state="promised", signature=signature)


def ask(proposals: Proposals, peers: InProcessPeers, member: str, record: Record) -> bool:
    """Ask one member for its promise, or say that it is void. Returns whether it has a newer version.

    Raises:
        PeerError: it cannot be reached, or gave no promise.
    """
    void = record.state == "in_force"
    signature = unsigning(proposals.room, record.version, record.hash, void, proposals.directory.keys())
    said = Unsign(version=record.version, hash=record.hash, void=void, signature=signature)
    reply = messages.read(Unsigned, peers.call(member, said.model_dump(mode="json")), member)
    if reply.state in {"in_force", "newer"}:
        return True
    with proposals.turn() as (_, force):
        now = proposals.book.record(record.author)
        if now is None or (now.hash, now.state) != (record.hash, record.state):
            return False
        if void:
            kept = {name: given for name, given in now.unsigned.items() if name != member}
            proposals.book.write(now.model_copy(update={"unsigned": kept}))
            return False
        who = force.agreement.member(member)
        given = reply.signature or ""
        if who is None or not valid_never(
            proposals.room, record.version, record.hash, proposals.me, who.key, given
        ):
            raise PeerError(f"{member!r} did not promise that it never takes up this draft")
        now = now.model_copy(update={"unsigned": {**now.unsigned, member: given}})
        if waits_for(now, force.agreement, proposals.me):
            proposals.book.write(now)
            return False
        # First what was promised, then that it is free: a crash between asks again, and all promise again.
        proposals.book.bind(proposals.book.bound().freed(record.author, record.hash))
        over = {"state": "declined", "signed": False, "delivered": True, "changed": proposals.now()}
        proposals.book.write(now.model_copy(update=over))
    return False
