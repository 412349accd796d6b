# SPDX-License-Identifier: Apache-2.0
"""A server takes its shares of the owners' tables: from seeds, from a parcel, from another server.

The second server has the explicit share from the owner and passes it on to the third; both check it against
the hashes in the owner's signed manifest before it is used. The hashes have a key of random bytes that go the
same way, so that the first server cannot try values against them. All check their seeds: a share that one of
them has otherwise than another ends the run before anything is computed.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

from hitoku.errors import PeerError
from hitoku.ports import NoProgress
from hitoku.protections.shares.manifest import BLIND_BYTES, blinded_hash, width_of

if TYPE_CHECKING:
    from hitoku.ports import Progress
    from hitoku.protections.shares.manifest import Manifest, Piece
    from hitoku.protections.shares.operators.loaded import Loaded
    from hitoku.protections.shares.upload.spool import Spool

__all__ = ["Given", "Party", "kernel_expand", "load"]

Expand = Callable[[str, int, bytes, int], bytes]
"""Kind, elements, a seed and a label: the share's bytes."""
_SECOND: Final = 1
_THIRD: Final = 2
_RELAY_BYTES: Final = 4 * 1024 * 1024


class Party(Protocol):
    """What is needed of a server's part in the kernel (`hitoku.hazmat.shares.Party`)."""

    @property
    def index(self) -> int:
        """0, 1 or 2."""
        ...

    def load(self, kind: str, first: bytes, second: bytes) -> Any:
        """A vector from this party's two shares."""
        ...

    def relay(self, data: bytes | None, size: int) -> bytes:
        """Party 1 gives bytes, party 2 gets them; all three call it."""
        ...


@dataclass(frozen=True, slots=True)
class Given:
    """What a server was given of a table.

    Attributes:
        manifest: checked (`manifest.check_manifest`).
        seed_a: at the first and the third server.
        seed_b: at the first and the second.
        spool: at the second, filled.
    """

    manifest: Manifest
    seed_a: bytes | None = field(default=None, repr=False)
    seed_b: bytes | None = field(default=None, repr=False)
    spool: Spool | None = None


def kernel_expand(kind: str, rows: int, seed: bytes, label: int) -> bytes:
    """The kernel's."""
    from hitoku.hazmat.shares import expand

    return expand(kind, rows, seed, label)


def load(
    given: Mapping[str, Given],
    party: Party,
    servers: Sequence[str],
    *,
    progress: Progress | None = None,
    expand: Expand = kernel_expand,
) -> Loaded:
    """This server's shares of all tables. All three servers call it for the same manifests.

    Args:
        given: by table.
        party: this server's part.
        servers: the three, in order, for errors.
        progress: hears of the bytes.
        expand: what a seed stands for.

    Raises:
        PeerError: an owner gave this server something else than its manifest says, or another server passed
            on something else.
        SharesError: the connection to another server failed.
    """
    from hitoku.protections.shares.operators.loaded import Loaded

    progress = progress or NoProgress()
    progress.phase("load", sum(one.manifest.size for one in given.values()))
    for one in given.values():
        _check(one, party.index)
    made = Loaded(rows={})
    for table in sorted(given):
        taking = _Taking(given[table], party, servers, expand)
        for piece in given[table].manifest.pieces():
            _put(made, table, piece, taking.vector(piece))
            progress.advance(piece.size)
        progress.advance(BLIND_BYTES)
    return made


def _check(given: Given, index: int) -> None:
    """That the server has what its place has, and nothing else, and the seeds are those of the manifest."""
    manifest = given.manifest
    has = (given.seed_a is not None, given.seed_b is not None, given.spool is not None)
    if has != (index != _SECOND, index != _THIRD, index == _SECOND):
        raise _wrong(manifest, "gave this server not what its place among the three has")
    for seed, expected in zip((given.seed_a, given.seed_b), manifest.seeds, strict=True):
        if seed is not None and not hmac.compare_digest(hashlib.sha256(seed).hexdigest(), expected):
            raise _wrong(manifest, "gave a seed that is not the one in its manifest")


class _Taking:
    """One table's vectors."""

    def __init__(self, given: Given, party: Party, servers: Sequence[str], expand: Expand) -> None:
        self._given, self._party, self._servers, self._expand = given, party, servers, expand
        self._blind = bytes(self._relayed(BLIND_BYTES))

    def vector(self, piece: Piece) -> Any:
        """A vector of the upload."""
        explicit = self._explicit(piece)
        a, b = self._stream(piece, self._given.seed_a), self._stream(piece, self._given.seed_b)
        first, second = ((a, b), (b, explicit), (explicit, a))[self._party.index]
        bits = self._bits(piece)
        return self._party.load(piece.kind, _low(piece.kind, first, bits), _low(piece.kind, second, bits))

    def _bits(self, piece: Piece) -> int:
        """Of each element, so many bits count."""
        if piece.part in ("rows", "valid"):
            return 1
        whole = 8 * width_of(piece.kind)
        return self._given.manifest.facts(piece.leaf).type.bits if piece.part == "word" else whole

    def _stream(self, piece: Piece, seed: bytes | None) -> bytes:
        return b"" if seed is None else self._expand(piece.kind, piece.count, seed, piece.label)

    def _explicit(self, piece: Piece) -> bytes:
        """The third share; nothing at the first server."""
        index, manifest = self._party.index, self._given.manifest
        digest = manifest.hashes[piece.label]
        found = self._relayed(piece.size, digest)
        if index == _THIRD and not self._is(found, digest):
            raise PeerError(
                f"{self._servers[_SECOND]!r} passed on shares of table {manifest.table} that are not those "
                f"of {manifest.owner!r}"
            )
        return bytes(found)

    def _relayed(self, size: int, digest: str | None = None) -> bytes | bytearray:
        """The parcel's next bytes, at the second server, which checks before it passes on, and the third."""
        index, spool = self._party.index, self._given.spool
        mine = b""
        if index == _SECOND and spool is not None:
            mine = spool.read(size)
            if digest is not None and not self._is(mine, digest):
                raise _wrong(self._given.manifest, "sent shares that are not those in its manifest")
        found = bytearray()
        for start in range(0, size, _RELAY_BYTES):
            count = min(_RELAY_BYTES, size - start)
            found += self._party.relay(mine[start : start + count] if index == _SECOND else None, count)
        return mine if index == _SECOND else found

    def _is(self, content: bytes | bytearray, digest: str) -> bool:
        return hmac.compare_digest(blinded_hash(self._blind, content), digest)


def _low(kind: str, share: bytes, bits: int) -> bytes:
    """A share of words without the bits above them: an owner has no say in what is packed beside its words.

    Words are shared by XOR, so the words lose what their shares lose.
    """
    import numpy as np

    width = width_of(kind)
    if bits >= 8 * width:
        return share
    mask = ((1 << bits) - 1).to_bytes(width, "little")
    lane = np.dtype(f"<u{min(width, 8)}")
    lanes = np.frombuffer(share, lane).reshape(-1, width // lane.itemsize)
    cut: bytes = (lanes & np.frombuffer(mask, lane)).tobytes()
    return cut


def _put(loaded: Loaded, table: str, piece: Piece, vector: Any) -> None:
    match piece.part:
        case "rows":
            loaded.rows[table] = vector
        case "ring":
            loaded.ring[piece.leaf] = vector
        case "word":
            loaded.words[piece.leaf] = vector
        case "valid":
            loaded.valid[piece.leaf] = vector
        case "text":
            loaded.dictionaries.setdefault(piece.leaf, []).append(vector)


def _wrong(manifest: Manifest, how: str) -> PeerError:
    return PeerError(f"{manifest.owner!r} {how}, of table {manifest.table}: nothing was computed")
