# SPDX-License-Identifier: Apache-2.0
"""An owner's signed word on a table that it shares: sizes and widths, rounded up, and hashes of its shares.

It is what servers make their program from, and it is all that a server learns of a table besides uniformly
random shares: how many rows (rounded, or as declared), between which bounds values lie (rounded outward, or
as declared), whether there are NULLs, how many texts there are and how long, how often a key is repeated. It
is bound to one run of one question in one room.

What an asker writes must not make it tell of single rows. So bounds, NULLs, texts and keys are those of a
column as a whole, whatever conditions the question has; and where a leaf is more than a column, or the owner
groups, its bounds follow from the question alone and a validity bit is there wherever NULLs are allowed
(`WantedLeaf.steady`). What still depends on rows there is how many texts or ranks an expression has, and how
long its longest text is: rounded to powers of two with a least (`sizes`), so that an asker who is or has a
server could learn on which side of such a step they lie. The same holds of the number of groups that an owner
makes.
"""

from __future__ import annotations

import base64
import hmac
from dataclasses import dataclass
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from hitoku import limits
from hitoku.errors import PeerError
from hitoku.ports import KeyStore
from hitoku.protections.shares.program import Dictionary, Leaf, Type, Upload
from hitoku.protections.shares.sizes import (
    least_kind,
    padded_rows,
    power_of_two,
    rounded_bounds,
    width_of,
)
from hitoku.protections.shares.wanted import WantedLeaf, WantedTable
from hitoku.room.agreement import Agreement
from hitoku.room.canonical import canonical_json, digest
from hitoku.room.consent import Hash, RunId
from hitoku.room.keys import valid_signature
from hitoku.room.naming import Name

__all__ = [
    "BLIND_BYTES",
    "KeyFacts",
    "LeafFacts",
    "Manifest",
    "Piece",
    "blinded_hash",
    "check_manifest",
    "least_kind",
    "padded_rows",
    "power_of_two",
    "read_manifest",
    "rounded_bounds",
    "sign_manifest",
    "upload_of",
    "width_of",
]

_DOMAIN: Final = b"hitoku/shares-manifest/1\n"
_MOST: Final = 1 << limits.MAX_SHARES_VALUE_BITS
HASH_HIGH: Final = (1 << 64) - 1
BLIND_BYTES: Final = 32
"""Random bytes that stand before the explicit shares; the key of their hashes."""
LONGEST_NAME: Final = 96


def _whole(text: str) -> str:
    if abs(int(text)) > 2 * _MOST:
        raise ValueError("too large")
    return text


Whole = Annotated[str, Field(max_length=40, pattern=r"^(0|-?[1-9][0-9]*)$"), AfterValidator(_whole)]
"""A whole number as text: JSON's numbers are doubles."""
LeafName = Annotated[str, Field(max_length=LONGEST_NAME, pattern=r"^[a-z][a-z0-9_-]*\.[0-9]{1,4}$")]
_Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LeafFacts(_Part):
    """What a leaf is, and how wide."""

    name: LeafName
    kind: Literal["number", "date", "boolean", "code", "hash"]
    scale: Annotated[int, Field(ge=0, le=38)] = 0
    low: Whole
    high: Whole
    nullable: bool
    """Whether there are NULLs; their validity bits are shared then."""
    ring: Literal["r64", "r128"] | None = None
    word: bool = False
    entries: Annotated[int, Field(ge=1, le=limits.MAX_SHARES_ENTRIES)] | None = None
    """Of codes: texts in the dictionary, padded."""
    words: Annotated[int, Field(ge=1, le=limits.MAX_SHARES_TEXT_BYTES // 8)] | None = None
    """Of codes: times 8 bytes a text."""

    @property
    def type(self) -> Type:
        """As programs have it."""
        return Type(
            kind=self.kind,
            low=int(self.low),
            high=int(self.high),
            scale=self.scale,
            nullable=self.nullable,
            dictionary=self.name if self.kind == "code" else None,
        )

    @property
    def kind_of_words(self) -> str:
        """The kind of the vector of its words."""
        return least_kind(self.type.bits)

    @model_validator(mode="after")
    def _check(self) -> Self:
        low, high = int(self.low), int(self.high)
        if high < low or max(abs(low), abs(high)) >= _MOST:
            raise ValueError("bounds that are none")
        if self.kind != "number" and self.scale:
            raise ValueError("numbers alone have a scale")
        code = self.kind == "code"
        if code != (self.entries is not None) or code != (self.words is not None):
            raise ValueError("codes, and nothing else, have a dictionary")
        if any(power_of_two(size) != size for size in (self.entries, self.words) if size is not None):
            raise ValueError("a dictionary's sizes are powers of two")
        fixed = {"boolean": 1, "hash": HASH_HIGH, "code": (self.entries or 1) - 1}.get(self.kind)
        if fixed is not None and (low, high) != (0, fixed):
            raise ValueError("bounds that this kind cannot have")
        if not (self.word or self.ring):
            raise ValueError("a leaf that is not shared")
        if self.ring == "r64" and max(abs(low), abs(high)) >= 1 << 63:
            raise ValueError("values that the ring does not hold")
        return self


class KeyFacts(_Part):
    """How often a key stands in the table."""

    leaves: Annotated[tuple[LeafName, ...], Field(min_length=1, max_length=limits.MAX_SHARES_LEAVES)]
    copies: Annotated[int, Field(ge=1, le=limits.MAX_SHARES_ROWS)]
    """At most so many rows have one key; rounded up to a power of two. 1: it is unique."""
    occurrence: LeafName | None = None
    """The leaf with a row's place among those with its key, where `copies` > 1 and it is wanted."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One vector of an upload, in the order in which the explicit shares stand in it.

    Attributes:
        label: its number, which keeps its randomness apart from other pieces'.
        leaf: the leaf's name; empty of the rows' validity.
        part: rows (validity of rows), ring, word, valid, text.
        kind: of the vector.
        count: elements.
        place: of ``text``: which 8 bytes of the entries.
    """

    label: int
    leaf: str
    part: Literal["rows", "ring", "word", "valid", "text"]
    kind: str
    count: int
    place: int = 0

    @property
    def size(self) -> int:
        """Bytes."""
        return self.count * width_of(self.kind)


class Manifest(_Part):
    """See the module."""

    format: Literal["hitoku/shares-manifest/1"] = "hitoku/shares-manifest/1"
    room: Hash
    run: RunId
    question: Hash
    plan: Hash
    table: Name
    owner: Name
    rows: Annotated[int, Field(ge=1, le=limits.MAX_SHARES_ROWS)]
    leaves: Annotated[tuple[LeafFacts, ...], Field(max_length=limits.MAX_SHARES_LEAVES)]
    keys: Annotated[tuple[KeyFacts, ...], Field(max_length=limits.MAX_SHARES_LEAVES)] = ()
    seeds: tuple[_Digest, _Digest]
    """SHA-256 of both seeds, which are random: servers see that they were given the same."""
    hashes: Annotated[tuple[_Digest, ...], Field(max_length=200 * limits.MAX_SHARES_LEAVES)]
    """Of each explicit share, in the order of `pieces`: `blinded_hash`."""
    signature: Annotated[str, Field(pattern=r"^([A-Za-z0-9+/]{86}==)?$")] = ""

    @model_validator(mode="after")
    def _check(self) -> Self:
        names = {leaf.name: leaf for leaf in self.leaves}
        if len(names) != len(self.leaves) or any(n.rpartition(".")[0] != self.table for n in names):
            raise ValueError("leaves have names of their own")
        for key in self.keys:
            if any(n not in names or not names[n].word for n in key.leaves):
                raise ValueError("a key of leaves that have no words")
            if power_of_two(key.copies) != key.copies:
                raise ValueError("copies are a power of two")
            if key.occurrence is not None and (
                key.occurrence not in names
                or names[key.occurrence].type.low != 0
                or names[key.occurrence].type.high != key.copies - 1
            ):
                raise ValueError("a key's places are those of its copies")
        if len(self.hashes) != len(self.pieces()) or self.size > limits.MAX_SHARES_UPLOAD_BYTES:
            raise ValueError("sizes that are none")
        return self

    def pieces(self) -> tuple[Piece, ...]:
        """The vectors of the upload, in order."""
        return pieces_of(self.rows, self.leaves)

    @property
    def size(self) -> int:
        """Bytes of all explicit shares, and of what blinds their hashes."""
        return BLIND_BYTES + sum(piece.size for piece in self.pieces())

    @property
    def chunks(self) -> int:
        """Into how many chunks they are cut."""
        return -(-self.size // limits.SHARES_CHUNK_BYTES)

    @property
    def hash(self) -> str:
        """The hash of what is signed."""
        return digest("hitoku/shares-manifest", self.message())

    def facts(self, name: str) -> LeafFacts:
        """The leaf of that name."""
        return next(leaf for leaf in self.leaves if leaf.name == name)

    def message(self) -> bytes:
        """The bytes that the owner signs."""
        return _DOMAIN + canonical_json(self.model_dump(mode="json", exclude={"signature"}))


def blinded_hash(blind: bytes, share: bytes | bytearray) -> str:
    """What a manifest says of an explicit share: its HMAC-SHA256 with a key that the first server has not.

    The first server has both seeds, and so the other two shares: a plain hash of the third would tell it
    which of the values that it tries is the right one. With a key of fixed length HMAC binds as SHA-256 does,
    so the third server may take the key from the second, which passes it on with the shares.
    """
    if len(blind) != BLIND_BYTES:
        raise AssertionError("hashes are blinded by bytes of a fixed number")
    return hmac.digest(blind, share, "sha256").hex()


def pieces_of(rows: int, leaves: tuple[LeafFacts, ...]) -> tuple[Piece, ...]:
    """The vectors of an upload of so many rows with these leaves, in order."""
    made = [Piece(0, "", "rows", "u8", rows)]

    def add(
        leaf: str, part: Literal["ring", "word", "valid", "text"], kind: str, count: int, at: int
    ) -> None:
        made.append(Piece(len(made), leaf, part, kind, count, at))

    for leaf in leaves:
        if leaf.ring is not None:
            add(leaf.name, "ring", leaf.ring, rows, 0)
        if leaf.word:
            add(leaf.name, "word", leaf.kind_of_words, rows, 0)
        if leaf.nullable:
            add(leaf.name, "valid", "u8", rows, 0)
        for place in range(leaf.words or 0):
            add(leaf.name, "text", "u64", leaf.entries or 0, place)
    return tuple(made)


def upload_of(wanted: WantedTable, manifest: Manifest) -> Upload:
    """A table as programs have it: what was wanted, with the sizes and widths of the manifest.

    Raises:
        PeerError: the manifest is of something else than was wanted.
    """
    if (manifest.table, manifest.owner) != (wanted.table, wanted.owner):
        raise _other(wanted)
    if wanted.rows is not None and manifest.rows != wanted.rows:
        raise _other(wanted)
    places = {key.occurrence: key for key in manifest.keys if key.occurrence is not None}
    asked = [leaf for leaf in manifest.leaves if leaf.name not in {*places, wanted.boundary}]
    if len(asked) != len(wanted.leaves) or len(wanted.keys) != len(manifest.keys):
        raise _other(wanted)
    made = [_leaf(wanted, leaf, facts) for leaf, facts in zip(wanted.leaves, asked, strict=True)]
    for key, found in zip(wanted.keys, manifest.keys, strict=True):
        place = key.occurrence if found.copies > 1 else None
        declared = key.most is None or found.copies == power_of_two(key.most)
        if found.leaves != key.leaves or found.occurrence != place or not declared:
            raise _other(wanted)
    added = ([] if wanted.boundary is None else [wanted.boundary]) + list(places)
    if [leaf.name for leaf in manifest.leaves[len(asked) :]] != added:
        raise _other(wanted)
    for name in added:
        facts = manifest.facts(name)
        of = (facts.kind, facts.scale, facts.nullable, facts.word, facts.ring)
        if of != ("boolean" if name == wanted.boundary else "number", 0, False, True, None):
            raise _other(wanted)
        made.append(Leaf(name, "", facts.type, None, word=True))
    dictionaries = tuple(
        Dictionary(facts.name, facts.entries, facts.words)
        for facts in manifest.leaves
        if facts.entries is not None and facts.words is not None
    )
    return Upload(
        wanted.table, wanted.owner, manifest.rows, tuple(made), dictionaries, wanted.where, wanted.group
    )


def _leaf(wanted: WantedTable, leaf: WantedLeaf, facts: LeafFacts) -> Leaf:
    same = (facts.name, facts.kind, facts.scale, facts.word) == (leaf.name, leaf.kind, leaf.scale, leaf.word)
    declared = (leaf.low is None or int(facts.low) == leaf.low) and (
        leaf.high is None or int(facts.high) == leaf.high
    )
    ring = facts.ring is not None if leaf.ring == "auto" else facts.ring == leaf.ring
    steady = not leaf.steady or facts.nullable == leaf.nullable
    if not (same and declared and ring and steady) or (facts.nullable and not leaf.nullable):
        raise _other(wanted)
    return Leaf(leaf.name, leaf.sql, facts.type, facts.ring, leaf.word)


def _other(wanted: WantedTable) -> PeerError:
    return PeerError(
        f"{wanted.owner!r} shares something else of table {wanted.table} than the question needs"
    )


def read_manifest(content: bytes, owner: str) -> Manifest:
    """A manifest that came from its owner; not checked for what it is about (`check_manifest`).

    Raises:
        PeerError: it is none.
    """
    if len(content) > limits.MAX_SHARES_MANIFEST_BYTES:
        raise PeerError(f"{owner!r} sent a manifest that is too long")
    try:
        return Manifest.model_validate_json(content)
    except (ValidationError, ValueError, RecursionError):
        raise PeerError(f"{owner!r} sent a manifest that is none") from None


def sign_manifest(keys: KeyStore, manifest: Manifest) -> Manifest:
    """The manifest with its owner's signature.

    Raises:
        SecretError: the owner's key cannot be read.
    """
    signature = base64.b64encode(keys.sign(manifest.message())).decode()
    return manifest.model_copy(update={"signature": signature})


def check_manifest(
    manifest: Manifest, agreement: Agreement, *, table: str, room: str, run: str, question: str, plan: str
) -> None:
    """Accept a manifest only if the table's owner signed it, for exactly this run.

    Raises:
        PeerError: it is forged, or for something else.
    """
    declared = next((t for t in agreement.tables if t.name == table), None)
    member = None if declared is None else agreement.member(declared.owner)
    if declared is None or member is None:
        raise PeerError(f"the room has no table {table}")
    found = (manifest.table, manifest.owner, manifest.room, manifest.run, manifest.question, manifest.plan)
    if found != (table, declared.owner, room, run, question, plan):
        raise PeerError(f"{declared.owner!r} gave a manifest of another run or table")
    if not valid_signature(member.key, manifest.message(), manifest.signature):
        raise PeerError(f"the manifest of table {table} does not carry the signature of {declared.owner!r}")
