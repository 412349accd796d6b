# SPDX-License-Identifier: Apache-2.0
r"""Signing an agreement, and verifying that it is in force: all signed exactly this who must.

A signature covers ``hitoku/room/1\n`` and the agreement's canonical form; the domain in front keeps a
signature given to a room from being anything else, and the other way round.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

from hitoku.errors import RoomError
from hitoku.ports import KeyStore
from hitoku.room.agreement import Agreement, Room, Signature
from hitoku.room.canonical import canonical, hash_of
from hitoku.room.changes import Signers, TableNames, changes
from hitoku.room.history import Standing, standing
from hitoku.room.keys import valid_signature

__all__ = [
    "fitting",
    "missing",
    "only_needed",
    "problems",
    "sign",
    "signers",
    "signers_of_all",
    "verify",
    "with_signature",
]

_DOMAIN: Final = b"hitoku/room/1\n"


def _message(agreement: Agreement) -> bytes:
    return _DOMAIN + canonical(agreement)


def sign(room: Room, member: str, keys: KeyStore) -> Room:
    """The room with `member`'s signature added, or renewed.

    Where the version before names this key for the member and the new version names another, or the member
    leaves, the signature is the one that lets the key or the member go.

    Raises:
        RoomError: `member` is no member, or the key is not the one the agreement names for it.
        SecretError: the key cannot be read.
    """
    who = room.agreement.member(member)
    before = room.history[-1].agreement.member(member) if room.history else None
    if who is None and before is None:
        raise RoomError(f"{member!r} is no member of room {room.agreement.name!r}: nothing was signed")
    message = _message(room.agreement)
    signature = base64.b64encode(keys.sign(message)).decode()
    if who is not None and valid_signature(who.key, message, signature):
        made = Signature(member=member, signature=signature)
    elif before is not None and valid_signature(before.key, message, signature):
        made = Signature(member=member, key="previous", signature=signature)
    else:
        raise RoomError(
            f"the key of this directory is not the key that the room names for {member!r}: nothing was signed"
        )
    others = tuple(s for s in room.signatures if (s.member, s.key) != (made.member, made.key))
    return room.model_copy(update={"signatures": (*others, made)})


def with_signature(room: Room, member: str, signature: str) -> Room:
    """The room with a signature added that `member` made elsewhere, with the key that the agreement names.

    Raises:
        RoomError: `member` is no member, or the signature is not its signature of this agreement.
    """
    who = room.agreement.member(member)
    if who is None or not valid_signature(who.key, _message(room.agreement), signature):
        raise RoomError(f"this is not a signature of {member!r} of room {room.agreement.name!r} as it stands")
    others = tuple(s for s in room.signatures if (s.member, s.key) != (member, None))
    return room.model_copy(update={"signatures": (*others, Signature(member=member, signature=signature))})


def fitting(room: Room, given: Iterable[Signature]) -> tuple[Signature, ...]:
    """Those of the signatures that their members made of the newest version; no other one is looked at."""
    message = _message(room.agreement)
    before = room.history[-1].agreement if room.history else None
    return tuple(one for one in given if _fits(before, room.agreement, one, message))


def signers(room: Room) -> Signers:
    """Who must sign the newest version: whose data or duty it touches, or everybody.

    Everybody signs the first version, and any for which no share of the history is left
    (`hitoku.room.history`).
    """
    if not room.history:
        return Signers(frozenset(m.name for m in room.agreement.members), frozenset())
    before = standing([v.agreement for v in room.history], room.agreement.previous)
    return before.next(room.history[-1].agreement, room.agreement)[0]


def signers_of_all(room: Room) -> list[Signers]:
    """Who had to sign each version, version 1 first."""
    return [found for _, found, _ in _walk(room)]


def only_needed(room: Room) -> Room:
    """The room without signatures that nobody had to give: they only take room in its file."""
    kept = [
        tuple(s for s in given if s.member in (found.previous if s.key == "previous" else found.current))
        for (_, found, _), given in zip(_walk(room), _given(room), strict=True)
    ]
    history = tuple(
        v.model_copy(update={"signatures": k}) for v, k in zip(room.history, kept[:-1], strict=True)
    )
    return room.model_copy(update={"signatures": kept[-1], "history": history})


def missing(room: Room) -> tuple[str, ...]:
    """The members whose signature of the newest version is still needed, in the order of the agreement."""
    before = room.history[-1].agreement if room.history else None
    lacking = _missing(before, room.agreement, room.signatures, signers(room))
    return tuple(dict.fromkeys(name for name, _ in lacking))


def problems(room: Room) -> tuple[str, ...]:
    """Everything that keeps the room from being in force; empty if it is."""
    found: list[str] = []
    before: Agreement | None = None
    hash_: str | None = None
    names = TableNames()
    for (agreement, needed, content), signatures in zip(_walk(room), _given(room), strict=True):
        wrong = _chain(before, hash_, agreement) or _version(
            before, agreement, signatures, needed, _DOMAIN + content
        )
        wrong += names.taken(before, agreement)
        last = agreement is room.agreement
        found += wrong if last else [f"version {agreement.version}: {problem}" for problem in wrong]
        before, hash_ = agreement, hash_of(content)
    return tuple(found)


def _given(room: Room) -> list[tuple[Signature, ...]]:
    return [*(v.signatures for v in room.history), room.signatures]


def _walk(room: Room) -> Iterator[tuple[Agreement, Signers, bytes]]:
    """Every version, who must sign it, and its canonical form."""
    before: Agreement | None = None
    now = Standing(0, 0, {})
    for agreement in (*(v.agreement for v in room.history), room.agreement):
        content = canonical(agreement)
        if before is None:
            needed, now = (
                Signers(frozenset(m.name for m in agreement.members), frozenset()),
                Standing.first(agreement, content),
            )
        elif agreement.id != before.id:  # wrong, as `problems` says
            needed = Signers(frozenset(m.name for m in agreement.members), frozenset())
        else:
            needed, now = now.next(before, agreement, content)
        yield agreement, needed, content
        before = agreement


def verify(room: Room) -> None:
    """Accept only a room that all have signed who must, in every version, exactly as it stands.

    Raises:
        RoomError: anything else; the message lists every problem.
    """
    found = problems(room)
    if found:
        raise RoomError(f"room {room.agreement.name!r} is not in force: " + "; ".join(found))


def _chain(before: Agreement | None, hash_: str | None, agreement: Agreement) -> list[str]:
    """What is wrong with an agreement's place in the chain of versions; `hash_` is of the one before."""
    if before is None:
        if agreement.version == 1:
            return []
        return [f"it is version {agreement.version}, and the versions before it are not in the file"]
    if agreement.id != before.id:
        return ["it belongs to another room than the version before it"]
    if agreement.version != before.version + 1 or agreement.previous != hash_:
        expected = before.version + 1
        return [
            f"it does not continue version {before.version}: number it {expected} and name that one's hash"
        ]
    if not changes(before, agreement):
        return [f"it changes nothing of version {before.version}"]
    return []


def _version(
    before: Agreement | None,
    agreement: Agreement,
    signatures: Iterable[Signature],
    needed: Signers,
    message: bytes,
) -> list[str]:
    """What is wrong with the signatures of one version."""
    found: list[str] = []
    given = list(signatures)
    for (name, _), times in Counter((s.member, s.key) for s in given).items():
        if times > 1:
            found.append(f"{name!r} signed {times} times: remove all but one of its signatures")
    for signature in given:
        fits = _fits(before, agreement, signature, message)
        if fits is None:
            found.append(f"{signature.member!r} signed but is no member: remove its signature")
        elif not fits:
            found.append(
                f"the signature of {signature.member!r} does not fit: the agreement was changed after it "
                "signed, or its key is another; it must look and sign again"
            )
    found.extend(
        f"{name!r} has not signed yet" + (" with its key of the version before" if old else "")
        for name, old in _missing(before, agreement, given, needed)
    )
    return found


def _fits(
    before: Agreement | None, agreement: Agreement, signature: Signature, message: bytes
) -> bool | None:
    """Whether a signature is its member's, of this message; None where the member is none."""
    source = before if signature.key == "previous" else agreement
    who = None if source is None else source.member(signature.member)
    return None if who is None else valid_signature(who.key, message, signature.signature)


def _missing(
    before: Agreement | None, agreement: Agreement, signatures: Iterable[Signature], needed: Signers
) -> list[tuple[str, bool]]:
    """Who still has to sign, and whether with the key of the version before."""
    signed = {(s.member, s.key) for s in signatures}
    order = dict.fromkeys(m.name for a in (agreement, before) if a is not None for m in a.members)
    return [(name, False) for name in order if name in needed.current and (name, None) not in signed] + [
        (name, True) for name in order if name in needed.previous and (name, "previous") not in signed
    ]
