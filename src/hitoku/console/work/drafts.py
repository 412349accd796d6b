# SPDX-License-Identifier: Apache-2.0
"""Changing a room: proposing the next version, looking at it, signing, declining, taking back, pulling.

Nothing is signed but the hash that the caller names, which is the one that a person was shown. What happens
between the members' nodes, and why it is safe, is in `hitoku.node.proposals`.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Any, Final

from pydantic import ValidationError

from hitoku import limits
from hitoku.console.context import Context, NotFound, RoomEntry
from hitoku.console.store import note
from hitoku.console.users import May, User
from hitoku.errors import HitokuError, PeerError, Refusal, RoomError
from hitoku.findings import findings
from hitoku.node.certificate import certificate_file
from hitoku.node.courier import pull as pull_from
from hitoku.node.proposal import Proposal, only_signatures
from hitoku.node.proposal_book import Record
from hitoku.node.proposal_service import proposals_of, step
from hitoku.room.agreement import Room
from hitoku.room.canonical import agreement_hash
from hitoku.room.files import load_room, locked, save_room
from hitoku.room.signing import missing, problems, sign
from hitoku.room.versions import revise
from hitoku.transport.https.client import HttpsNetwork
from hitoku.transport.in_process import InProcessPeers
from hitoku.transport.proposals import draft_text

__all__ = [
    "all_of",
    "decline",
    "find",
    "first_draft",
    "give",
    "propose",
    "pull",
    "settle_now",
    "sign_proposal",
    "withdraw",
]

_TELL_SECONDS: Final = 4
"""How long a page waits for the others to hear of a change; afterwards they hear of it without it."""


def propose(context: Context, user: User, room_id: str, change: dict[str, Any], *, why: str = "") -> Proposal:
    """Make the room's next version, or change its first draft; `Proposal.state` says what became of it.

    ``in_force``: all have it. ``open``: it waits for the signatures of `missing` or to reach `waits`.
    ``draft``: it waits for a user with the ability sign (`give`), or the room is not in force at all yet.

    Args:
        context: the console's.
        user: who does it; with the ability tables alone it stays a draft.
        room_id: the room's id.
        change: fields of the agreement that are replaced, JSON-ready, e.g. ``{"tables": [...]}``.
        why: what to tell the others about it.

    Raises:
        NotFound: there is no such room for this user.
        Refusal: the user may neither.
        RoomError: another proposal is open, it changes nothing, or the agreement cannot be so.
        LimitError: it is too large.
    """
    _may(user, May.SIGN, May.TABLES)
    entry = context.room(user, room_id)
    if entry.in_force is None:
        return _changed_first(context, entry, change)
    signs = user.may(May.SIGN)
    proposals = proposals_of(context.node, entry, context.clock)
    why = why[: limits.MAX_CONTROL_TEXT_CHARS]
    made = proposals.propose(change, by=user.name, why=why, signed=signs)
    context.log("proposed", room=entry.id, version=made.version, user=user.id, signed=signs)
    note(context, user, "proposed", room=entry.id, version=made.version, signed=signs)
    return _sent(context, entry, made.hash) if signs else made


def give(context: Context, user: User, room_id: str, hash_: str) -> Proposal:
    """Sign the own draft of this hash, where this member must, and send it to the others.

    Raises:
        NotFound, Refusal: as for `propose`.
        RoomError: the draft was changed since it was shown, or is over.
    """
    _may(user, May.SIGN)
    entry = context.room(user, room_id)
    proposals_of(context.node, entry, context.clock).give(hash_)
    context.log("proposal_sent", room=entry.id, user=user.id)
    note(context, user, "proposal sent", room=entry.id)
    return _sent(context, entry, hash_)


def sign_proposal(context: Context, user: User, room_id: str, hash_: str) -> Proposal:
    """Sign another member's proposal of exactly this hash; the author hears so at once if it is reached.

    Raises:
        NotFound, Refusal: as for `propose`.
        RoomError: another draft is there by now, or this member signed another one.
    """
    _may(user, May.SIGN)
    entry = context.room(user, room_id)
    proposals_of(context.node, entry, context.clock).sign(hash_)
    context.log("signed", room=entry.id, hash=hash_, user=user.id)
    note(context, user, "signed", room=entry.id, hash=hash_)
    return _sent(context, entry, hash_)


def first_draft(context: Context, user: User, room_id: str, hash_: str) -> Room:
    """Sign the first version of a room that this member made, as it stands and was shown.

    Returns:
        The room, in force where all others have signed it.

    Raises:
        NotFound, Refusal: as for `propose`.
        RoomError: the draft was changed since it was shown, or this member signed another one.
    """
    _may(user, May.SIGN)
    entry = context.room(user, room_id)
    directory = context.node.directory
    with locked(entry.file):
        room = load_room(entry.file)
        _same(room, hash_)
        if room.history:
            raise RoomError("this is no first version: look at it again; nothing was signed")
        directory.check_duties(room.agreement)
        signed = sign(room, directory.name, directory.keys())
        directory.remember(room)
        directory.records(entry.id, context.clock).accept(room.agreement)
        save_room(signed, entry.file)
    context.log("signed", room=entry.id, hash=hash_, user=user.id)
    note(context, user, "signed", room=entry.id, hash=hash_)
    context.node.look()
    return signed


def decline(context: Context, user: User, room_id: str, hash_: str, reason: str) -> None:
    """Say no to another member's proposal; its author is told the reason.

    Raises:
        NotFound, Refusal: as for `propose`.
        RoomError: it is over, or this member signed it.
    """
    _may(user, May.SIGN)
    entry = context.room(user, room_id)
    proposals_of(context.node, entry, context.clock).decline(hash_, reason)
    context.log("declined", room=entry.id, hash=hash_, user=user.id)
    note(context, user, "declined", room=entry.id, hash=hash_)
    _step(context, entry)


def withdraw(context: Context, user: User, room_id: str, hash_: str) -> None:
    """Take the own proposal or draft back.

    Raises:
        NotFound, Refusal: as for `propose`.
        RoomError: it is in force, changed since it was shown, or was signed by who joins by invitation.
    """
    _may(user, May.SIGN, May.TABLES)
    entry = context.room(user, room_id)
    proposals = proposals_of(context.node, entry, context.clock)
    found = proposals.find(hash_)
    if found is not None and found.state != "draft":
        _may(user, May.SIGN)
    proposals.withdraw(hash_)
    context.log("withdrawn", room=entry.id, hash=hash_, user=user.id)
    note(context, user, "proposal withdrawn", room=entry.id, hash=hash_)
    _step(context, entry)


def settle_now(context: Context, user: User, room_id: str, hash_: str) -> None:
    """Put the own proposal in force though not all others were reached; all signatures are there.

    Raises:
        NotFound, Refusal: as for `propose`.
        RoomError: signatures are missing, or the proposal is another one by now.
    """
    _may(user, May.SIGN)
    entry = context.room(user, room_id)
    proposals = proposals_of(context.node, entry, context.clock)
    found = proposals.find(hash_)
    if found is None or not found.mine or not proposals.settle(unheard=True):
        raise RoomError("signatures are still missing, or the proposal is another one by now")
    context.log("settled", room=entry.id, hash=hash_, user=user.id)
    note(context, user, "proposal settled", room=entry.id, hash=hash_)
    context.node.look()
    _step(context, entry)


def all_of(context: Context, entry: RoomEntry) -> tuple[Proposal, ...]:
    """The newest proposal of each author of a room; none where the room is not in force yet.

    Raises:
        RoomError: a record is damaged.
    """
    if entry.in_force is None:
        return ()
    return proposals_of(context.node, entry, context.clock).all()


def find(context: Context, entry: RoomEntry, hash_: str) -> Proposal:
    """The proposal of a hash.

    Raises:
        NotFound: there is none any more.
    """
    found = next((p for p in all_of(context, entry) if p.hash == hash_), None)
    if found is None:
        raise NotFound("this proposal is not there any more: it was changed, or another one came")
    return found


def pull(context: Context, user: User, room_id: str) -> tuple[bool, tuple[str, ...]]:
    """Get the newest version in force from the other members.

    Returns:
        Whether one was taken up, and who was not reached.

    Raises:
        NotFound, Refusal: as for `propose`.
        RoomError: a member sent what does not continue what is known here.
    """
    _may(user, May.SIGN)
    entry = context.room(user, room_id)
    force = entry.in_force
    if force is None:
        raise RoomError("the room is not in force yet")
    directory, me = context.node.directory, context.me
    proposals = proposals_of(context.node, entry, context.clock)
    unreached, changed = [], False
    network = HttpsNetwork(
        me, force.agreement, entry.settings.peers, certificate_file(directory), directory.key_file
    )
    try:
        for member in (m.name for m in force.agreement.members if m.name != me):
            try:
                changed = pull_from(proposals, InProcessPeers(network, me), member) or changed
            except PeerError:
                unreached.append(member)
    finally:
        network.close()
    if changed:
        context.node.look()
    return changed, tuple(unreached)


def _changed_first(context: Context, entry: RoomEntry, change: dict[str, Any]) -> Proposal:
    """Change the draft of the first version, which nobody has signed yet."""
    with locked(entry.file):
        room = load_room(entry.file)
        if not problems(room):
            raise RoomError("the room came into force meanwhile: look at it again")
        if room.signatures:
            # Who signed version 1 signs no other version 1.
            names = ", ".join(s.member for s in room.signatures)
            raise RoomError(f"{names} signed this draft already: let it come into force, then change it")
        try:
            made = revise(room, change)
        except ValidationError as error:
            raise RoomError(f"the agreement cannot be so: {findings(error, 'room')}") from None
        wrong = only_signatures(made)
        if wrong:
            raise RoomError("the agreement cannot be so: " + "; ".join(wrong))
        save_room(made, entry.file)
    now = proposals_of(context.node, entry, context.clock).now()
    record = Record(
        author=context.me, version=1, hash=agreement_hash(made.agreement), draft=draft_text(made),
        state="draft", created=now, changed=now,
    )  # fmt: skip
    names_ = tuple(m.name for m in made.agreement.members)
    return Proposal(record, True, made, None, (), names_, missing(made), ())


def _sent(context: Context, entry: RoomEntry, hash_: str) -> Proposal:
    """The proposal after everybody who can be reached was told."""
    _step(context, entry)
    found = proposals_of(context.node, entry, context.clock).find(hash_)
    if found is None:  # the author replaced it in this moment
        raise RoomError("another proposal came meanwhile: look at it")
    return found


def _step(context: Context, entry: RoomEntry) -> None:
    """Tell the others now, and do not keep a person waiting for who does not answer."""

    def tell() -> None:
        with suppress(HitokuError):  # the node's service says it again; nothing is lost
            step(context.node, entry, context.clock, eager=True)

    thread = threading.Thread(target=tell, name="hitoku-tell", daemon=True)
    thread.start()
    thread.join(_TELL_SECONDS)


def _same(room: Room, hash_: str) -> None:
    now = agreement_hash(room.agreement)
    if now != hash_:
        raise RoomError("the agreement was changed since it was shown: look at it again; nothing was signed")


def _may(user: User, *abilities: May) -> None:
    if not any(user.may(ability) for ability in abilities):
        raise Refusal(
            "NOT_ALLOWED",
            "this needs the ability " + " or ".join(abilities),
            remedy="ask who administers this console for it",
        )
