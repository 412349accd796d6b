# SPDX-License-Identifier: Apache-2.0
"""What a member keeps of proposals, in files of its directory: durable, bounded, each written in one step.

``proposals/<room id>/<author>.json`` is the newest proposal of each author, this member among them;
``proposals/<room id>/_bound.json`` is which draft this member has signed, so that it signs no other. Whoever
changes one holds the lock of the room file (`hitoku.room.files.locked`). ``.closed.json`` keeps a member that
was restored from a backup, or moved elsewhere, from signing anything; no backup has it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hitoku import limits
from hitoku.errors import RoomError
from hitoku.room.agreement import Agreement, Room
from hitoku.room.canonical import agreement_hash, canonical_json
from hitoku.room.consent import Hash
from hitoku.room.files import read_text, write_whole
from hitoku.room.naming import Name
from hitoku.room.signing import signers_of_all
from hitoku.room.versions import hashes

__all__ = ["Book", "Bound", "Record", "Tried"]

_FOLDER: Final = "proposals"
_KEPT_RELEASED: Final = 200
_CLOSED: Final = ".closed.json"
_Words = Annotated[str, Field(max_length=limits.MAX_CONTROL_TEXT_CHARS)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


P = TypeVar("P", bound=_Part)


class Tried(_Part):
    """How it went to reach a member.

    Attributes:
        since: since when it was not reached; None where the last try reached it.
        last: when it was tried last.
        failures: how often in a row it was not reached.
        problem: what the last try says.
    """

    since: str | None = None
    last: str
    failures: int = 0
    problem: _Words | None = None


class Record(_Part):
    """One author's proposal, as one member knows it.

    Attributes:
        author: who proposes it.
        version: its number.
        hash: of the agreement.
        draft: the agreement and the signatures gathered so far (`hitoku.transport.proposals.draft_text`).
        why: what the author says of it.
        by: the user who made it, at its author's.
        state: ``draft``, its author has not sent it; ``open``; ``in_force``; ``withdrawn``; ``superseded``,
            another version of that number is in force; ``declined``, here.
        created: when it came, or was made.
        changed: when the state changed last.
        signed: at others than the author: whether this member signed it.
        reason: of ``declined`` here, why.
        delivered: at others than the author: whether the author has heard of the signature or the refusal.
        kept: at the author: who keeps this draft and no other.
        told: at the author: who has heard of the end (in force, withdrawn).
        tried: at the author: how it went to reach each member.
        refused: at the author: who declined, and why.
        taken: at the author: at whom another's proposal is in the way, and whose.
        withdrawal: the author's signature that it takes the draft back.
        earlier: at the author: drafts of this number that it took back, each with that signature; for those
            that signed one and have not heard of it.
        owed: at the author: who has not heard of a version that came in force before this proposal.
        times: when the author changed its draft during the last hour.
    """

    format: Literal["hitoku/proposal/1"] = "hitoku/proposal/1"
    author: Name
    version: int
    hash: Hash
    draft: Annotated[str, Field(max_length=limits.MAX_ROOM_FILE_BYTES)]
    why: _Words = ""
    by: str | None = None
    state: Literal["draft", "open", "in_force", "withdrawn", "superseded", "declined"]
    created: str
    changed: str
    signed: bool = False
    reason: _Words | None = None
    delivered: bool = False
    kept: tuple[Name, ...] = ()
    told: tuple[Name, ...] = ()
    tried: dict[Name, Tried] = {}
    refused: dict[Name, _Words] = {}
    taken: dict[Name, Name] = {}
    withdrawal: str | None = None
    earlier: tuple[tuple[Hash, str], ...] = ()
    owed: tuple[Name, ...] = ()
    times: tuple[str, ...] = ()

    @property
    def live(self) -> bool:
        """Whether it can still come into force through this member."""
        return self.state in {"draft", "open"}


class Bound(_Part):
    """What this member has signed of a version that is not in force yet.

    Attributes:
        version: the number.
        hash: the draft that it signed; None where it is free.
        author: whose draft that is: nobody else can take it back.
        released: drafts that it signed and whose authors took them back: never taken up.
    """

    format: Literal["hitoku/bound/1"] = "hitoku/bound/1"
    version: int = 0
    hash: Hash | None = None
    author: Name | None = None
    released: tuple[Hash, ...] = ()

    def holds(self, version: int, hash_: str) -> bool:
        """Whether the member may sign this draft: it signed none of that number, or this one."""
        return self.version != version or self.hash in {None, hash_}

    def signed(self, author: str, version: int, hash_: str) -> Bound:
        """The same, with one more draft signed."""
        released = tuple(h for h in self.released if h != hash_)
        return Bound(version=version, hash=hash_, author=author, released=released)

    def freed(self, author: str, hash_: str) -> Bound:
        """The same, with a draft taken back by that author; nothing of it where it is another's."""
        if self.hash != hash_ or self.author != author:
            return self
        released = (*self.released, hash_)[-_KEPT_RELEASED:]
        return Bound(version=self.version, hash=None, released=released)


class _Closed(_Part):
    format: Literal["hitoku/signing-closed/1"] = "hitoku/signing-closed/1"
    state: Literal["restored", "moved"]
    tried: str | None = None


class _Behind(_Part):
    format: Literal["hitoku/behind/1"] = "hitoku/behind/1"
    members: Annotated[tuple[Name, ...], Field(max_length=limits.MAX_MEMBERS)] = ()
    last: str | None = None


class Book:
    """The files of one room.

    Args:
        directory: the member's.
        room: the room's id.
    """

    def __init__(self, directory: Path, room: str) -> None:
        self._folder = directory / _FOLDER / room

    def records(self) -> tuple[Record, ...]:
        """All that are kept, by author.

        Raises:
            RoomError: one is damaged.
        """
        paths = sorted(self._folder.glob("[a-z]*.json")) if self._folder.is_dir() else []
        return tuple(self._read(path, Record) for path in paths)

    def record(self, author: str) -> Record | None:
        """One author's newest; None where nothing came from it.

        Raises:
            RoomError: it is damaged.
        """
        path = self._folder / f"{author}.json"
        return self._read(path, Record) if path.is_file() else None

    def write(self, record: Record) -> None:
        """Keep a record in the place of the author's last one.

        Raises:
            RoomError: it cannot be written.
        """
        self._write(f"{record.author}.json", record)

    def bound(self) -> Bound:
        """Which draft this member has signed.

        Raises:
            RoomError: the record is damaged: then nothing can be signed.
        """
        path = self._folder / "_bound.json"
        return self._read(path, Bound) if path.is_file() else Bound()

    def check_free(self, agreement: Agreement) -> None:
        """Whoever is about to sign by another way than `proposals` asks here first.

        Raises:
            RoomError: this member signed another draft of that number, or the record of it is damaged.
        """
        self.check_open()
        if not self.bound().holds(agreement.version, agreement_hash(agreement)):
            raise RoomError(
                f"this member signed another draft of version {agreement.version} of room "
                f"{agreement.name!r}: let it come into force, or have its author take it back; nothing was "
                "signed"
            )

    def check_open(self) -> None:
        """Whoever is about to sign or propose anything asks here first.

        Raises:
            RoomError: this member was restored from a backup and does not know what it signed since, or went
                on elsewhere.
        """
        path = self._folder / _CLOSED
        if not path.is_file():
            return
        if self._read(path, _Closed).state == "moved":
            raise RoomError("this node moved elsewhere: this copy signs nothing any more")
        raise RoomError(
            "this member was restored from a backup and may have signed other drafts since: its node, if it "
            "has a console, or `hitoku node restore --to DIR` asks all other members what it signed, and "
            "nothing is signed before all have answered"
        )

    def is_open(self) -> bool:
        """Whether this member may sign and propose, see `check_open`."""
        return not (self._folder / _CLOSED).is_file()

    def closed(self, since: str | None = None) -> bool:
        """Whether it is so since a restore, and the others were not asked after `since`."""
        path = self._folder / _CLOSED
        if not path.is_file():
            return False
        said = self._read(path, _Closed)
        return said.state == "restored" and (since is None or said.tried is None or said.tried <= since)

    def tried(self, now: str) -> None:
        """The others are asked what this member signed; not all answered.

        Raises:
            RoomError: it cannot be written.
        """
        if self.closed():
            self._write(_CLOSED, _Closed(state="restored", tried=now))

    def close(self, state: Literal["restored", "moved"]) -> None:
        """Sign nothing from now on.

        Raises:
            RoomError: it cannot be written.
        """
        self._write(_CLOSED, _Closed(state=state))

    def open(self) -> None:
        """Go on after a restore: all others have said what this member signed."""
        (self._folder / _CLOSED).unlink(missing_ok=True)

    def check_kept(self, room: Room, member: str, known: Agreement | None) -> None:
        """Whoever is about to take up a version of the room asks here first.

        Args:
            room: that version, with those before.
            member: whose book this is.
            known: what the member knows to be in force.

        Raises:
            RoomError: in its chain is a draft that was taken back after this member had signed it, or one
                that needs this member's signature, which is bound to another draft of that number.
        """
        if hashes(room).intersection(self.bound().released):
            raise RoomError("this version was taken back by its author after this member had signed it")
        bound, passed = self.bound(), 0 if known is None else known.version
        if bound.hash is None or not passed < bound.version <= room.agreement.version or self.closed():
            return  # after a restore, what it is bound to is older than what it signed
        one = [*(v.agreement for v in room.history), room.agreement][bound.version - 1]
        needed = signers_of_all(room)[bound.version - 1]
        if member in needed.current | needed.previous and agreement_hash(one) != bound.hash:
            raise RoomError(
                f"version {bound.version} needs this member's signature, which signed another draft of that "
                "number here: it signed elsewhere, or somebody else has its key; nothing was taken up"
            )

    def bind(self, bound: Bound) -> None:
        """Keep which draft this member has signed, before the signature leaves.

        Raises:
            RoomError: it cannot be written.
        """
        self._write("_bound.json", bound)

    def behind(self, member: str) -> None:
        """Keep that a member has a newer version in force, to get it from there.

        Raises:
            RoomError: it cannot be written.
        """
        self._write("_behind.json", _Behind(members=tuple(dict.fromkeys((*self.ahead(), member)))))

    def ahead(self, since: str | None = None) -> tuple[str, ...]:
        """Who said it has a newer version, and did not give it yet; not who was asked after `since`."""
        path = self._folder / "_behind.json"
        known = self._read(path, _Behind) if path.is_file() else _Behind()
        return () if since is not None and known.last is not None and known.last > since else known.members

    def caught_up(self, left: tuple[str, ...], now: str) -> None:
        """Nobody but `left` has anything newer, as far as it is known; `left` could not be asked now.

        Raises:
            RoomError: it cannot be written.
        """
        if left:
            self._write("_behind.json", _Behind(members=left, last=now))
        else:
            (self._folder / "_behind.json").unlink(missing_ok=True)

    def _read(self, path: Path, model: type[P]) -> P:
        try:
            return model.model_validate_json(read_text(path))
        except ValidationError:
            raise RoomError(f"{path}: damaged") from None

    def _write(self, name: str, part: _Part) -> None:
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise RoomError(f"{self._folder}: cannot be made ({error.strerror})") from None
        write_whole(self._folder / name, canonical_json(part.model_dump(mode="json", exclude_none=True)))
