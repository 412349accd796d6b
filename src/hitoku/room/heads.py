# SPDX-License-Identifier: Apache-2.0
"""Exchanging ledger heads: every member keeps the others' newest heads and checks that they only grow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hitoku.errors import Refusal, RoomError
from hitoku.room import merkle
from hitoku.room.agreement import Agreement, Room
from hitoku.room.keys import valid_signature
from hitoku.room.ledger import Head
from hitoku.room.versions import newest_in_force

if TYPE_CHECKING:
    from hitoku.room.records import Records

__all__ = ["check_growth", "give_head", "member_signed", "signed_ever"]


def member_signed(agreement: Agreement) -> Any:
    """A check of signatures by the members' keys, as `Ledger.verify` takes it."""
    import base64

    def verify(member: str, message: bytes, signature: bytes) -> bool:
        who = agreement.member(member)
        return who is not None and valid_signature(who.key, message, base64.b64encode(signature).decode())

    return verify


def signed_ever(room: Room) -> Any:
    """A check of signatures by any key that a member had in a version of the room that was in force.

    For what was signed in the past: a head that others keep, or a proof. What is signed now must carry the
    key of the version in force (`member_signed`). A draft on top of it gives nobody a key.
    """
    agreed = newest_in_force(room)
    versions = [*(version.agreement for version in agreed.history), agreed.agreement]
    checks = [member_signed(agreement) for agreement in versions]

    def verify(member: str, message: bytes, signature: bytes) -> bool:
        return any(check(member, message, signature) for check in checks)

    return verify


def give_head(records: Records, known_size: int) -> tuple[str | None, list[str]]:
    """This member's newest head (canonical JSON) and the proof that it continues `known_size` entries.

    Raises:
        RoomError: the ledger is shorter than `known_size`: something is badly wrong here, or the asker lies.
        Refusal: ``RESTORED_BEHIND``: it is shorter since it was restored from a backup.
    """
    if records.ledger.head() is None and known_size == 0:
        return None, []
    try:
        head, proof = records.ledger.grow(known_size)
    except RoomError:
        _restored(records)
        raise
    return head.to_bytes().decode(), [step.hex() for step in proof]


def _restored(records: Records) -> None:
    """Say so where the ledger is known to have lost entries."""
    closed = records.ledger.restored()
    if closed is not None:
        raise closed.refusal(records.member)
    if records.loss() is not None:
        raise Refusal(
            "RESTORED_BEHIND",
            f"the ledger of {records.member!r} goes on from a backup, and lacks entries that you have seen",
            owner=records.member,
            remedy=f"ask {records.member} what happened, then run `hitoku node accept-restored`",
        )


def check_growth(
    records: Records,
    agreement: Agreement,
    member: str,
    head: str | None,
    proof: list[str],
    known: Head | None,
) -> bool:
    """Check another member's head against the one known, and keep it.

    Args:
        records: where it is kept.
        agreement: has the member's key.
        member: whose head it is.
        head: the head as it came.
        proof: that it continues `known`.
        known: the head that was known when it was asked for.

    Returns:
        False where another head was kept meanwhile: ask again, with a proof from that one.

    Raises:
        Refusal: ``LEDGER_FORKED``: the ledger was cut, rolled back or rewritten, or the head is not the
            member's. The older head stays as the proof.
    """
    try:
        if head is None:
            if known is not None:
                raise RoomError("it has no entries, but once had")
            return True
        given = Head.from_bytes(head.encode())
        if given.room != records.room or given.member != member:
            raise RoomError("its head belongs to another ledger")
        if not member_signed(agreement)(member, given.message(), given.signature):
            raise RoomError("its head is not signed by it")
        if known is not None and not merkle.verify_consistency(
            known.size, known.root, given.size, given.root, [bytes.fromhex(step) for step in proof]
        ):
            raise RoomError(f"it does not continue the head of {known.size} entries that is known")
    except (RoomError, ValueError) as error:
        raise Refusal(
            "LEDGER_FORKED",
            f"the ledger of {member!r} cannot be trusted: {error}",
            owner=member,
            remedy="stop using the room until it explains; the head that is known is the proof",
        ) from None
    return records.keep_head(given, known)
