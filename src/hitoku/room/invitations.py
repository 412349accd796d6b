# SPDX-License-Identifier: Apache-2.0
"""Invitations: how a company that is in no room yet gets into one, without files sent by hand.

An invitation is a short text that an operator gives to another over a way that both trust to some degree. It
names the inviter's address and public key, the room, the member's name in it, and a secret. What it gives is
the right to offer *one* key under that name and to read the draft, until it ends. It makes nobody a member:
the inviter's operator compares the offered key with the invited company over another way, the
agreement then names that key, and all sign it.

Claim: who does not hold the invitation learns nothing and changes nothing; who stole it can do no more than
offer a key that the operator then sees. Argument:

1. The caller takes the inviter's key from the invitation, and talks over TLS to the holder of that key only
   (`hitoku.transport.https.tls`): nobody else gets the secret.
2. The secret is 32 random bytes; the inviter keeps only its hash, compares in constant time, and ends an
   invitation after MAX_WRONG_SECRETS wrong ones.
3. The first to come with the secret binds it to a key: the file of the offer is made with O_EXCL, so there is
   one at most. From then on the secret is worth nothing without a signature by that key (`proof_message`),
   which names the inviter and the invitation, so that it serves nowhere else.
4. Whoever comes second with the secret is told so: the rightful one notices a theft.

Assumed: SHA-256 and Ed25519 hold, and nobody else writes to the member's directory.

Files, in the inviter's directory under ``invitations/``, each written once: ``<id>.json`` what was issued,
``<id>.offer`` what was offered, ``<id>.wrong`` one byte for each wrong secret.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from hitoku import limits
from hitoku.errors import InputError, Refusal, RoomError, SecretError
from hitoku.findings import findings
from hitoku.ports import Clock
from hitoku.room.agreement import Ability, PublicKey, Table
from hitoku.room.canonical import canonical_json
from hitoku.room.consent import Hash, moment
from hitoku.room.naming import Name
from hitoku.room.private import read_private, write_private

__all__ = ["Invitation", "InvitationId", "Invitations", "Issued", "Offer", "Secret", "proof_message"]

_FOLDER: Final = "invitations"
_PROOF: Final = b"hitoku/join-proof/1\n"

InvitationId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
Secret = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{43}$", repr=False)]
RoomId = Annotated[str, Field(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
Moment = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Invitation(_Part):
    """What the invited company gets: where to come to, whom to find there, and the secret to be let in.

    Attributes:
        id: names the invitation.
        url: where the inviter's node takes who is invited.
        key: the inviter's public key.
        room: the room's id.
        name: the invited member's name.
        hash: the agreement as it was when this was written.
        secret: proves that one is invited; never shown by `repr`.
        until: when it ends.
    """

    format: Literal["hitoku/invitation/1"] = "hitoku/invitation/1"
    id: InvitationId
    url: Annotated[str, Field(pattern=r"^https://[!-~]{1,300}$")]
    key: PublicKey
    room: RoomId
    name: Name
    hash: Hash
    secret: Secret
    until: Moment

    def to_text(self) -> str:
        """The invitation as one line of base64url."""
        return base64.urlsafe_b64encode(canonical_json(self.model_dump(mode="json"))).decode().rstrip("=")

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read an invitation; line breaks and spaces that a mail put in do not matter.

        Raises:
            InputError: it is none; never quotes it.
        """
        if len(text) > limits.MAX_INVITATION_CHARS:
            raise InputError("the invitation is too long to be one")
        packed = "".join(text.split())
        try:
            content = base64.b64decode(packed + "=" * (-len(packed) % 4), altchars=b"-_", validate=True)
            return cls.model_validate_json(content)
        except (ValidationError, ValueError, binascii.Error):
            raise InputError(
                "this is no invitation that this hitoku can read: is it whole, or made by a newer one?"
            ) from None


class Issued(_Part):
    """What the inviter keeps of an invitation.

    Attributes:
        id: names the invitation.
        room: the room's id.
        file: the room file, relative to the inviter's directory.
        name: the invited member's name.
        abilities: what the member will be able to do.
        key: the only key that may come, where the agreement named it already.
        secret_hash: SHA-256 of the secret.
        until: when it ends.
    """

    id: InvitationId
    room: RoomId
    file: Annotated[str, Field(max_length=4096)]
    name: Name
    abilities: tuple[Ability, ...] = ()
    key: PublicKey | None = None
    secret_hash: Hash
    until: Moment


class Offer(_Part):
    """What came on an invitation: the key, and what the company would bring.

    Attributes:
        key: the offered key, by which the offer was signed.
        tables: descriptions of tables, JSON each.
        url: where the company says its node will be.
    """

    key: PublicKey
    tables: Annotated[tuple[str, ...], Field(max_length=limits.MAX_OFFERED_TABLES)] = ()
    url: Annotated[str, Field(pattern=r"^https://[!-~]{1,300}$")] | None = None

    def read_tables(self, owner: str) -> list[Table]:
        """The tables, checked.

        Raises:
            RoomError: one cannot be used, or is another's.
        """
        try:
            found = [TypeAdapter(Table).validate_python(json.loads(text)) for text in self.tables]
        except (ValidationError, ValueError, RecursionError):
            raise RoomError("an offered table cannot be used: see `hitoku room add-table`") from None
        for table in found:
            if table.owner != owner:
                raise RoomError(f"the offered table {table.name!r} is not {owner!r}'s own")
        return found


def proof_message(inviter: str, request: Mapping[str, Any]) -> bytes:
    """What the holder of the offered key signs: the whole request, and to whom it is made."""
    return _PROOF + canonical_json({"inviter": inviter, **request})


class Invitations:
    """A member's invitations of others, in its directory."""

    def __init__(self, directory: Path, clock: Clock) -> None:
        self._folder, self._clock = directory / _FOLDER, clock

    def issue(
        self,
        *,
        room: str,
        file: str,
        name: str,
        abilities: tuple[Ability, ...],
        key: str | None,
        hours: int,
        url: str,
        inviter: str,
        agreement: str,
    ) -> Invitation:
        """Make an invitation, and keep what is needed to recognise it.

        Raises:
            InputError: it would end at once or too late, or a part of it cannot be used.
            SecretError: it cannot be written down.
        """
        if not 1 <= hours <= limits.MAX_INVITATION_HOURS:
            raise InputError(f"an invitation holds for 1 to {limits.MAX_INVITATION_HOURS} hours")
        until = moment(self._clock.now() + timedelta(hours=hours))
        identity, secret = secrets.token_hex(16), secrets.token_urlsafe(32)
        try:
            made = Invitation(
                id=identity, url=url, key=inviter, room=room, name=name, hash=agreement, secret=secret,
                until=until,
            )  # fmt: skip
            kept = Issued(
                id=identity, room=room, file=file, name=name, abilities=abilities, key=key,
                secret_hash=_hashed(secret), until=until,
            )  # fmt: skip
        except ValidationError as error:
            raise InputError(findings(error, "the invitation")) from None
        self._folder.mkdir(mode=0o700, exist_ok=True)
        write_private(self._folder / f"{identity}.json", _json(kept), "the invitation")
        return made

    def issued(self) -> list[Issued]:
        """All that were issued and not withdrawn, those that ended included; by name.

        Raises:
            SecretError: one is damaged or open to others.
        """
        found = [self._issued(path) for path in sorted(self._folder.glob("*.json"))]
        return sorted(found, key=lambda one: (one.name, one.until, one.id))

    def offer(self, identity: str) -> Offer | None:
        """What was offered on an invitation; None if nothing was yet.

        Raises:
            SecretError: the file is damaged or open to others.
        """
        path = self._folder / f"{identity}.offer"
        if not path.exists():
            return None
        try:
            return Offer.model_validate_json(read_private(path, "the offer"))
        except ValidationError:
            raise SecretError(f"{path}: damaged") from None

    def ended(self, issued: Issued) -> bool:
        """Whether an invitation's time is over."""
        return self._clock.now() >= datetime.fromisoformat(issued.until)

    def withdraw(self, identity: str) -> None:
        """End an invitation now; what was offered on it is forgotten."""
        for suffix in ("json", "offer", "wrong"):
            (self._folder / f"{identity}.{suffix}").unlink(missing_ok=True)

    def enter(self, identity: str, secret: str, offer: Offer) -> Issued:
        """Let in who has the secret, and bind the invitation to the key that comes first.

        That the caller holds the key must be proven before. Not for use by two threads at once.

        Raises:
            Refusal: ``INVITATION_INVALID`` for an unknown invitation, a wrong secret, or after too many of
                them; with the right secret, ``INVITATION_ENDED`` or ``INVITATION_USED``.
            SecretError: a file is damaged or cannot be written.
        """
        path, wrong = self._folder / f"{identity}.json", self._folder / f"{identity}.wrong"
        known = self._issued(path) if path.exists() else None
        tries = wrong.stat().st_size if wrong.exists() else 0
        # An unknown one is compared, too, so that the time does not tell which exist.
        expected = _hashed("") if known is None else known.secret_hash
        fits = hmac.compare_digest(_hashed(secret), expected)
        if known is None or not fits or tries >= limits.MAX_WRONG_SECRETS:
            if known is not None and not fits and tries < limits.MAX_WRONG_SECRETS:
                _add_byte(wrong)
            raise _refused("INVITATION_INVALID", "this invitation is not known here, or was withdrawn")
        if self.ended(known):
            raise _refused("INVITATION_ENDED", f"this invitation ended at {known.until}")
        bound = self.offer(identity)
        if bound is None and known.key in {None, offer.key}:
            path = self._folder / f"{identity}.offer"
            try:
                write_private(path, _json(offer), "the offer")
            except SecretError:
                if not path.exists():
                    raise
            bound = self.offer(identity)
        if bound is None or bound.key != offer.key:
            raise _refused(
                "INVITATION_USED",
                "this invitation belongs to another key by now: if that is not yours, somebody else had it",
            )
        return known

    def _issued(self, path: Path) -> Issued:
        try:
            return Issued.model_validate_json(read_private(path, "the invitation"))
        except ValidationError:
            raise SecretError(f"{path}: damaged; remove it and invite anew") from None


def _refused(code: str, message: str) -> Refusal:
    return Refusal(code, message, remedy="ask the inviter for a new invitation")


def _hashed(secret: str) -> str:
    return "sha256:" + hashlib.sha256(b"hitoku/invitation-secret/1\n" + secret.encode()).hexdigest()


def _json(part: BaseModel) -> bytes:
    return canonical_json(part.model_dump(mode="json"))


def _add_byte(path: Path) -> None:
    """One more wrong try, durable before it is answered."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(handle, b".")
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        raise SecretError(f"{path}: cannot be written ({error.strerror})") from None
