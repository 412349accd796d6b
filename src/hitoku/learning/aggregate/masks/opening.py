# SPDX-License-Identifier: Apache-2.0
"""The server's arithmetic of a single sum: routes encrypted shares, then takes off what does not cancel."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import combinations, islice
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from hitoku.errors import PeerError
from hitoku.hazmat import masks as kernel
from hitoku.learning.aggregate.masks.rounds import (
    SEALED_BYTES,
    agreed_statement,
    round_context,
    round_pair,
    round_self,
)
from hitoku.learning.aggregate.masks.statements import Scope, sign_of

__all__ = ["Opening"]

_Replies = Mapping[str, tuple[Mapping[str, Any], Mapping[str, NDArray[Any]]]]
_Made = TypeVar("_Made")
_MOST_TRIES: Final = 500
"""Sets of shares that are tried where some member gave a wrong one."""


class Opening:
    """One round at the server, after keys were advertised.

    Args:
        scope: plan and run.
        number: of the round.
        known: U1's keys and signatures.
        asked: the instruction's hash.
        threads: for masks.
    """

    def __init__(
        self,
        scope: Scope,
        number: int,
        known: Mapping[str, tuple[bytes, bytes]],
        asked: bytes,
        threads: int | None,
    ) -> None:
        self._scope, self._number, self._threads = scope, number, threads
        self._known = {name: known[name][0] for name in sorted(known)}
        self._digest = scope.set_hash("round-keys", number, known)
        self._asked = asked
        self._commitments: dict[str, bytes] = {}
        self.sharing: tuple[str, ...] = ()
        """U2."""
        self.members: tuple[str, ...] = ()
        """U3."""
        self.told = b""
        """What masks of pairs are bound to beside the instruction (`instructions.told_state`)."""

    def shared(self, replies: _Replies) -> dict[str, NDArray[np.uint8]]:
        """For each member of U2, the shares that the others of U2 encrypted to it, by name of the sender."""
        names = list(self._known)
        tables: dict[str, NDArray[np.uint8]] = {}
        for name, (said, arrays) in replies.items():
            table = arrays.get("sealed/shares")
            if table is None or table.dtype != np.uint8 or table.shape != (len(names) - 1, SEALED_BYTES):
                continue
            try:
                self._commitments[name] = bytes.fromhex(said["commitment"])
            except (KeyError, TypeError, ValueError):
                continue
            tables[name] = table
        self.sharing = tuple(name for name in names if name in tables)
        routed = {}
        for receiver in self.sharing:
            rows = [
                tables[sender][[n for n in names if n != sender].index(receiver)]
                for sender in self.sharing
                if sender != receiver
            ]
            routed[receiver] = np.array(rows, np.uint8).reshape(len(rows), SEALED_BYTES)
        return routed

    def agreed(self, replies: _Replies) -> dict[str, bytes]:
        """The signatures that are of this round's sets."""
        statement = agreed_statement(
            self._scope, self._number, self._digest, self.sharing, self.members, self._asked
        )
        valid = {}
        for name, (said, _) in replies.items():
            try:
                signature = bytes.fromhex(said["signature"])
            except (KeyError, TypeError, ValueError):
                continue
            if self._scope.valid(name, statement, signature):
                valid[name] = signature
        return valid

    def shares(self, replies: _Replies) -> dict[str, dict[str, bytes]]:
        """Who gave shares in form: of each member of U2 the one that it gave."""
        lost = [name for name in self.sharing if name not in self.members]
        size, names = kernel.SHARE_BYTES, list(self._known)
        given = {}
        for name, (_, arrays) in replies.items():
            seeds, keys = arrays.get("seeds"), arrays.get("keys")
            if seeds is None or seeds.dtype != np.uint8 or seeds.shape != (len(self.members), size):
                continue
            if keys is None or keys.dtype != np.uint8 or keys.shape != (len(lost), size):
                continue
            number = names.index(name) + 1
            if (seeds[:, 0] != number).any() or (keys[:, 0] != number).any():
                continue
            given[name] = {
                owner: row.tobytes()
                for owner, row in (*zip(self.members, seeds, strict=True), *zip(lost, keys, strict=True))
            }
        return given

    def unmask(self, total: NDArray[np.uint64], held: Mapping[str, Mapping[str, bytes]]) -> None:
        """Take off, in place, the masks that do not cancel in the sum of U3's vectors.

        Args:
            total: the sum of the masked vectors modulo 2^64.
            held: at least a threshold of members' shares.

        Raises:
            PeerError: no set of shares gives back what its member had announced.
        """
        terms: list[tuple[kernel.MaskSecret, int]] = []
        lost: list[tuple[kernel.MaskSecret, int]] = []
        pair = round_pair(self._scope, self._number, self._digest)
        for owner in self.sharing:
            shares = [of[owner] for of in held.values()]
            if owner in self.members:
                seed = self._combined(
                    kernel.MaskSeed.combine,
                    kernel.MaskSeed.commitment,
                    shares,
                    owner,
                    self._commitments[owner],
                )
                own = round_self(self._scope, self._number, self._digest, owner)
                terms.append((seed.secret(own), -1))
                continue
            public = self._known[owner][kernel.PUBLIC_BYTES :]
            key = self._combined(kernel.MaskKey.combine, lambda made: made.public, shares, owner, public)
            for member in self.members:
                secret = key.agree(self._known[member][kernel.PUBLIC_BYTES :], pair)
                lost.append((secret, -sign_of(member, owner)))
        context = round_context(self.sharing, self._asked)
        if self.told:
            kernel.mask_into(total, lost, context + self.told, threads=self._threads)
        else:
            terms += lost
        kernel.mask_into(total, terms, context, threads=self._threads)

    def _combined(
        self,
        combine: Callable[[list[bytes], int], _Made],
        told: Callable[[_Made], bytes],
        shares: list[bytes],
        owner: str,
        announced: bytes,
    ) -> _Made:
        """What the shares give back; wrong ones among them are left out by trying, as far as that goes."""
        threshold = self._scope.plan.threshold
        sets = (
            list(some)
            for size in range(len(shares), threshold - 1, -1)
            for some in combinations(shares, size)
        )
        for some in islice(sets, _MOST_TRIES):
            try:
                made = combine(some, threshold)
            except PeerError:
                continue
            if told(made) == announced:
                return made
        raise PeerError(f"the shares of what {owner!r} masked with do not belong together", "WRONG_SHARES")
