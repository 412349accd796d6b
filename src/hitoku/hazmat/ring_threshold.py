# SPDX-License-Identifier: Apache-2.0
"""Sums of whole numbers under a key that all members share: additive threshold encryption, n of n. Unaudited.

A low-level door that `hitoku.learning.aggregate.he` stands on; the protocol and its argument are there,
the arithmetic and its proofs (noise, smudging, linear checks) in rust/src/ring/threshold.rs. What this
layer gives:

* `layout`: how values lie in ciphertexts, from the number of members and the bound of a value alone, so
  that all compute the same: several values a coefficient, in the rings of degree 8192 and 16384 at the
  full width of the security standard's table (128 bits). The bound of the noise holds with certainty and
  not only mostly: no sum ever opens wrongly. All room that is left is given to the smudging, at least 64
  bits over that bound.
* `ThresholdKey`, `JointKey`: a member's secret key with its share of the public key; the key of all.
* `add`, `linear_hash`: sums of ciphertexts, and what tells a sum from anything else.
* `ThresholdKey.partial`, `.finish`: a member's part of a decryption of a sum; the sum from all parts.

Whoever has all parts of a decryption of anything reads it: a caller gives a part for a checked sum only,
and once. Key shares come with no proof: a caller has them committed to before any is shown (see the
protocol). Secrets stay in Rust, are wiped by `erase` and when dropped, and cannot be pickled, copied or
printed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hitoku import _core, limits
from hitoku.errors import InputError, PeerError
from hitoku.executors.local import cores
from hitoku.hazmat.ring_errors import RingError, ring_kernel

__all__ = [
    "CHECK_BYTES_MOST",
    "COMMON_BYTES",
    "LEAST_SMUDGING",
    "SHARE_BYTES",
    "JointKey",
    "Layout",
    "Part",
    "ThresholdKey",
    "add",
    "add_hashes",
    "layout",
    "linear_hash",
]

Bytes = NDArray[np.uint8]

COMMON_BYTES: Final = 32
"""Bytes of the seed that all members' key shares have in common."""
LEAST_SMUDGING: Final[int] = _core.THRESHOLD_LEAST_SMUDGING
"""Bits of smudging above the bound of the noise, at least."""
_SMALL: Final = 13
_LARGE: Final = 14
_BITS: Final = {_SMALL: 218, _LARGE: 438}
"""Bits of one residue modulo each of a ring's primes."""
SHARE_BYTES: Final = sum(bits << log_n for log_n, bits in _BITS.items()) // 8
"""Bytes of a key share: of both rings."""
_CHECKS: Final = 3
CHECK_BYTES_MOST: Final = 8 * _CHECKS * 64
"""No linear hash has more bytes."""
_MOST_PER: Final = 64
_MOST_SMUDGING: Final = 110
_MOST_SCALE: Final = 126


@dataclass(frozen=True, slots=True)
class Part:
    """The values of a sum that lie in one ring.

    Attributes:
        log_n: log2 of the degree.
        coefficients: how many are in use, a multiple of 8.
        count: how many values there are in them.
        packing: (values a coefficient, bits of a value, bits between, bits below, bits of smudging).
        first_bytes, second_bytes: of the two halves of a ciphertext.
        primes: of the ring.
    """

    log_n: int
    coefficients: int
    count: int
    packing: tuple[int, int, int, int, int]
    first_bytes: int
    second_bytes: int
    primes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """How a vector lies in ciphertexts: first the part in the larger ring, then the one in the smaller."""

    members: int
    length: int
    parts: tuple[Part, ...]

    @property
    def first_bytes(self) -> int:
        """Bytes of the first halves, and of a part of a decryption."""
        return sum(part.first_bytes for part in self.parts)

    @property
    def second_bytes(self) -> int:
        """Bytes of the second halves."""
        return sum(part.second_bytes for part in self.parts)

    @property
    def hash_length(self) -> int:
        """Numbers of a linear hash."""
        return sum(_CHECKS * len(part.primes) for part in self.parts)


def layout(members: int, bound: int, length: int) -> Layout:
    """How sums of `members` vectors of `length` values within [-bound, bound] lie in ciphertexts.

    Of all ways that the two rings allow it takes the one with the fewest bytes.

    Raises:
        InputError: a sum could reach 2^63, or there are too many values or members.
    """
    if not 1 <= members <= 1024 or not 0 <= length <= limits.MAX_LEARNING_VALUES:
        raise InputError("a threshold sum has 1 to 1,024 members and at most 2^26 values")
    if bound < 0 or members * bound >= 1 << 63:
        raise InputError("the members times the bound reach 2^63: a sum could overflow")
    shapes = {log_n: _packing(log_n, members, bound) for log_n in _BITS}
    large = shapes[_LARGE][0] << _LARGE
    candidates = []
    for rows in {length // large, -(-length // large)}:
        within = min(length, rows * large)
        parts = [
            _part(log_n, count, shapes[log_n], members)
            for log_n, count in ((_LARGE, within), (_SMALL, length - within))
            if count or (length == 0 and log_n == _SMALL)
        ]
        candidates.append(Layout(members, length, tuple(parts)))
    return min(candidates, key=lambda made: made.first_bytes + made.second_bytes)


def _packing(log_n: int, members: int, bound: int) -> tuple[int, int, int, int, int]:
    with ring_kernel():
        _, room, noise = _core.threshold_ring(log_n, members)
    width = (members * bound).bit_length() + 1
    stride = width + (members - 1).bit_length()
    smudging = (noise - 1).bit_length() + LEAST_SMUDGING
    scale = (noise + (members << smudging)).bit_length() + 1
    per = min(_MOST_PER, (room - scale) // stride)
    if per < 1:
        raise InputError("so many members times this bound do not fit into a coefficient")
    more = max(0, min(room - scale - per * stride, _MOST_SMUDGING - smudging, _MOST_SCALE - scale))
    shape = (per, width, stride, scale + more, smudging + more)
    with ring_kernel():
        _core.threshold_check(log_n, shape, members)
    return shape


def _part(log_n: int, count: int, shape: tuple[int, int, int, int, int], members: int) -> Part:
    with ring_kernel():
        primes, _, _ = _core.threshold_ring(log_n, members)
    coefficients = max(8, -(-count // shape[0]))
    coefficients += -coefficients % 8
    rows = -(-coefficients // (1 << log_n))
    first, second = coefficients * _BITS[log_n] // 8, (rows << log_n) * _BITS[log_n] // 8
    return Part(log_n, coefficients, count, shape, first, second, tuple(primes))


class ThresholdKey:
    """A member's secret key for one set of members, from the operating system's randomness."""

    __slots__ = ("_secrets",)

    def __init__(self) -> None:
        with ring_kernel():
            self._secrets = {log_n: _core.threshold_secret(log_n) for log_n in _BITS}

    def __reduce__(self) -> str:
        raise TypeError("a secret key cannot be pickled or copied")

    def erase(self) -> None:
        """Wipe the key; whatever needs it fails from now on."""
        for secret in self._secrets.values():
            secret.erase()

    def share(self, common: bytes) -> Bytes:
        """This member's share of the public key, SHARE_BYTES; new errors on every call, so call it once.

        Args:
            common: COMMON_BYTES that all members have, such as a hash of plan, run and session.
        """
        with ring_kernel():
            return np.concatenate(
                [_core.threshold_share(secret, common) for secret in self._secrets.values()]
            )

    def partial(self, shape: Layout, second: Bytes, *, threads: int | None = None) -> Bytes:
        """This member's part of the decryption of a sum, smudged; it adds up with first halves.

        Args:
            shape: of the sum.
            second: its second halves.
            threads: every core that the process may use by default.

        Raises:
            RingError: the bytes are not of this layout.
        """
        made = []
        for part, half in _split(shape, second, second=True):
            with ring_kernel():
                made.append(
                    _core.threshold_partial(
                        self._secrets[part.log_n],
                        part.packing,
                        shape.members,
                        half,
                        part.coefficients,
                        threads or cores(),
                    )
                )
        return _joined(made)

    def finish(
        self, shape: Layout, first: Bytes, second: Bytes, *, threads: int | None = None
    ) -> NDArray[np.int64]:
        """The values of a sum, exact.

        Args:
            shape: of the sum.
            first: its first halves with all other members' parts added.
            second: its second halves.
            threads: every core that the process may use by default.

        Raises:
            PeerError: these are not the parts of the decryption of a sum.
            RingError: the bytes are not of this layout.
        """
        values = []
        halves = zip(_split(shape, first, second=False), _split(shape, second, second=True), strict=True)
        for (part, low), (_, high) in halves:
            secret = self._secrets[part.log_n]
            try:
                with ring_kernel():
                    made = _core.threshold_finish(
                        secret, part.packing, shape.members, low, high, part.coefficients, threads or cores()
                    )
            except RingError as error:
                if error.code != "not-a-sum":
                    raise
                raise PeerError("the parts of a decryption do not belong to one sum", "WRONG_SUM") from None
            # From modulo 2^width to signed: the sign's bit to the top, and back.
            shift = 64 - part.packing[1]
            made <<= np.uint64(shift)
            values.append((made.view(np.int64) >> np.int64(shift))[: part.count])
        return values[0] if len(values) == 1 else np.concatenate(values)


class JointKey:
    """The public key of all members.

    Args:
        common: the seed that all shares were made with.
        shares: every member's, SHARE_BYTES each.

    Raises:
        RingError: a share is malformed (`row` says which).
    """

    __slots__ = ("_keys",)

    def __init__(self, common: bytes, shares: Sequence[Bytes]) -> None:
        for row, share in enumerate(shares):
            if share.dtype != np.uint8 or share.shape != (SHARE_BYTES,):
                raise RingError("wrong-size", row=row)
        self._keys, place = {}, 0
        for log_n, bits in _BITS.items():
            end = place + (bits << log_n) // 8
            with ring_kernel():
                self._keys[log_n] = _core.threshold_joint(
                    log_n, common, [np.ascontiguousarray(share[place:end]) for share in shares]
                )
            place = end

    def encrypt(
        self, shape: Layout, values: NDArray[np.uint64], *, threads: int | None = None
    ) -> tuple[Bytes, Bytes]:
        """A vector as first and second halves; values count modulo 2^width (see `layout`).

        Raises:
            InputError: another length or type than the layout's.
        """
        if values.dtype != np.uint64 or values.shape != (shape.length,):
            raise InputError("what is encrypted is uint64, as long as the layout says")
        made: list[tuple[Bytes, Bytes]] = []
        place = 0
        for part in shape.parts:
            piece = np.ascontiguousarray(values[place : place + part.count])
            place += part.count
            key = self._keys[part.log_n]
            with ring_kernel():
                made.append(
                    _core.threshold_encrypt(
                        key, part.packing, shape.members, piece, part.coefficients, threads or cores()
                    )
                )
        return _joined([first for first, _ in made]), _joined([second for _, second in made])


def add(shape: Layout, halves: Sequence[Bytes], *, second: bool, threads: int | None = None) -> Bytes:
    """The sum of first halves (and parts of a decryption), or of second ones.

    Raises:
        RingError: a half is malformed or of another layout; `row` says which.
    """
    pieces = [_split(shape, half, second=second, row=row) for row, half in enumerate(halves)]
    made = []
    for at, part in enumerate(shape.parts):
        with ring_kernel():
            made.append(
                _core.threshold_add(
                    part.log_n,
                    part.coefficients,
                    [piece[at][1] for piece in pieces],
                    second,
                    threads or cores(),
                )
            )
    return _joined(made)


def linear_hash(
    shape: Layout, key: bytes, first: Bytes | None, second: Bytes | None, *, threads: int | None = None
) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Inner products of first and of second halves with vectors that a key gives; zeroes for None.

    Linear: hashes of summands add up (`add_hashes`) to that of the sum. Whoever does not know the 32 bytes of
    the key and shows another array than the sum passes with probability below 2^-126.

    Raises:
        RingError: a half is malformed or of another layout.
    """
    lows = _split(shape, first, second=False) if first is not None else [(p, None) for p in shape.parts]
    highs = _split(shape, second, second=True) if second is not None else [(p, None) for p in shape.parts]
    made: tuple[list[int], list[int]] = ([], [])
    for (part, low), (_, high) in zip(lows, highs, strict=True):
        with ring_kernel():
            # Another part, another ring: their vectors may come from one key.
            pair = _core.threshold_hash(part.log_n, key, part.coefficients, low, high, threads or cores())
        for half in (0, 1):
            made[half].extend(pair[half])
    return np.array(made[0], np.uint64), np.array(made[1], np.uint64)


def add_hashes(shape: Layout, hashes: Sequence[NDArray[np.uint64]]) -> NDArray[np.uint64]:
    """The hash of a sum from those of its summands.

    Raises:
        PeerError: one is not of this layout.
    """
    primes = [prime for part in shape.parts for _ in range(_CHECKS) for prime in part.primes]
    moduli = np.array(primes, np.uint64)
    total = np.zeros_like(moduli)
    for given in hashes:
        if given.dtype != np.uint64 or given.shape != moduli.shape or bool((given >= moduli).any()):
            raise PeerError("a linear hash is malformed", "MALFORMED")
        total = (total + given) % moduli
    return total


def _joined(pieces: list[Bytes]) -> Bytes:
    return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)


def _split(shape: Layout, half: Any, *, second: bool, row: int | None = None) -> list[tuple[Part, Bytes]]:
    size = shape.second_bytes if second else shape.first_bytes
    if not isinstance(half, np.ndarray) or half.dtype != np.uint8 or half.shape != (size,):
        raise RingError("wrong-size", row=row)
    pieces, place = [], 0
    for part in shape.parts:
        end = place + (part.second_bytes if second else part.first_bytes)
        pieces.append((part, np.ascontiguousarray(half[place:end])))
        place = end
    return pieces
