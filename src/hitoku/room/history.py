# SPDX-License-Identifier: Apache-2.0
r"""Shares of a room's history, so that nobody can use it up (docs/decisions/0020-shares-of-the-history.md).

All versions of a room stay in its file, which can hold `limits.MAX_HISTORY_BYTES` of them. An owner changes
its own terms with its signature alone, so without a limit one member could fill the file, and nobody could
change anything any more. Hence:

- When everybody has signed a version (the first one, one that touches everybody, or one that this rule asks
  everybody to sign), half of what is left is split evenly: a share for each member, and one for who joins.
- Any other version is paid by one of those who must sign it: who has most of its share left. Where none of
  them had a share yet, because they came since, it is paid from the one for who joins.
- It costs its size, at least `limits.MIN_VERSION_BYTES`, and 16 times what it makes the agreement larger: for
  every later version has that in it again, whoever makes it.
- Where nobody can pay, everybody has to sign; and then it is split anew.

Claim: whoever does not have everybody's signature can take at most half of what was left after the last
version that everybody signed. A member can make ``share / size`` versions alone, whatever the others do;
another member alone makes `size` larger by a 17th of a share at most. Argument: shares together are at most
that half, a share is only ever reduced, and each version reduces one by no less than what it takes in a file
(`hitoku.room.files.dump_room` never writes more than that). A share is reduced with its own member's
signature only; the one for who joins by nobody who had a share, and who joins needs every owner's signature.

Who must sign is a function of the agreements alone, which name each other by their hashes: no clock, no order
in which messages came, and no signature that could have been left away decides it. So all nodes say the same.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self

from hitoku import limits
from hitoku.room.agreement import Agreement
from hitoku.room.canonical import agreement_hash, canonical
from hitoku.room.changes import Signers, must_sign

__all__ = ["AWKWARD", "Standing", "standing", "written"]

JOINS: Final = ""
"""The share of who joins; no member has this name."""
GROWTH: Final = 16
_SIGNATURE: Final = 256
_AROUND: Final = 64
"""What a signature, and what is around a version, take in a file at most."""
_PREVIOUS: Final = 128
"""That the second version names the first, and that numbers grow, is no growth."""

AWKWARD: Final = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
r"""What stands in a file as ``\uXXXX``: RFC 8785 does not escape it, and YAML does not allow it."""

_REMEMBERED: Final = 512
_known: OrderedDict[str, Standing] = OrderedDict()
_lock = threading.Lock()


def written(agreement: Agreement, content: bytes | None = None) -> int:
    """How many bytes an agreement takes in a file at most.

    Args:
        agreement: the agreement.
        content: its canonical form, where it is known.
    """
    content = canonical(agreement) if content is None else content
    return len(content) + 6 * len(AWKWARD.findall(content.decode()))


@dataclass(frozen=True, slots=True)
class Standing:
    """How the shares stand after a version.

    Attributes:
        spent: what all versions so far take.
        largest: the largest agreement since everybody signed one.
        left: what each member may still use alone, and `JOINS`.
    """

    spent: int
    largest: int
    left: Mapping[str, int]

    @classmethod
    def first(cls, agreement: Agreement, content: bytes | None = None) -> Self:
        """After version 1, which everybody signs."""
        length = written(agreement, content)
        return cls._split(agreement, _size(length, len(agreement.members)), length)

    @classmethod
    def _split(cls, agreement: Agreement, spent: int, length: int) -> Self:
        names = (*(m.name for m in agreement.members), JOINS)
        share = max(0, limits.MAX_HISTORY_BYTES - spent) // 2 // len(names)
        return cls(spent, length + _PREVIOUS, dict.fromkeys(names, share))

    def next(
        self, before: Agreement, after: Agreement, content: bytes | None = None
    ) -> tuple[Signers, Standing]:
        """Who must sign the next version, and how the shares stand after it."""
        signers, length = must_sign(before, after), written(after, content)
        everybody = frozenset(m.name for m in after.members)
        if not everybody <= signers.current:
            size = _size(length, len(signers.current) + len(signers.previous))
            cost = size + GROWTH * max(0, length - self.largest)
            payer = self._payer(signers, cost)
            if payer is not None:
                left = {**self.left, payer: self.left[payer] - cost}
                return signers, Standing(self.spent + size, max(self.largest, length), left)
            signers = Signers(everybody, signers.previous, everybody=True)
        spent = self.spent + _size(length, len(signers.current) + len(signers.previous))
        return signers, self._split(after, spent, length)

    def _payer(self, signers: Signers, cost: int) -> str | None:
        names = sorted((signers.current | signers.previous) & self.left.keys()) or [JOINS]
        most = max(names, key=lambda name: self.left.get(name, 0))
        return most if self.left.get(most, 0) >= cost else None

    @property
    def full(self) -> bool:
        """Whether the versions take more than a room can hold."""
        return self.spent > limits.MAX_HISTORY_BYTES


def standing(versions: Sequence[Agreement], hash_: str | None = None) -> Standing:
    """How the shares stand after the last of the versions of a room, the first one included.

    Where they are no chain, nobody has a share: the next version needs everybody, and is in force nowhere.

    Args:
        versions: all versions, number 1 first.
        hash_: what the next version says is the last one's hash. It names the whole chain, so what was found
            for it before holds.
    """
    with _lock:
        found = _known.get(hash_ or "")
    if found is not None:
        return found
    before: Agreement | None = None
    now, last = Standing(0, 0, {}), None
    for agreement in versions:
        if agreement.previous != last or (before is not None and agreement.id != before.id):
            return Standing(0, 0, {})
        now = Standing.first(agreement) if before is None else now.next(before, agreement)[1]
        before, last = agreement, agreement_hash(agreement)
    if last is not None:
        with _lock:
            _known[last] = now
            while len(_known) > _REMEMBERED:
                _known.popitem(last=False)
    return now


def _size(length: int, signatures: int) -> int:
    return max(limits.MIN_VERSION_BYTES, length + _AROUND + _SIGNATURE * signatures)
