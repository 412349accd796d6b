# SPDX-License-Identifier: Apache-2.0
"""One person, one id: rows that name a person by different kinds of identifiers are brought together.

A person may have a phone number in one row and only a mail address in another. Each row alone would get the
id of the first kind that it has, and the person two ids: it would count twice, for the noise of once. So
wherever a row has identifiers of several kinds, the later ones are links to the one that counts, and every
row follows them. One identifier may be linked to several: then the earliest kind stands for all later ones,
and of several of one kind the smallest is taken, so that the order of the rows tells nothing. Two ids of the
first kind are never brought together: a mail address that two phone numbers share makes no one of two.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Links"]

_ID: Final = 32
_TO: Final = _ID + 1


class Links:
    """Which id stands for which.

    Args:
        kinds: how many kinds of identifiers there are: no chain of links is longer.
    """

    def __init__(self, kinds: int) -> None:
        self._kinds = kinds
        self._pairs: list[NDArray[np.uint8]] = []

    def add(self, later: NDArray[np.uint8], counts: NDArray[np.uint8], kinds: NDArray[np.uint8]) -> None:
        """Identifiers that do not count in their rows, and those that do.

        Args:
            later: ids of a later kind, ``(n, 32)``.
            counts: of the same rows the ids that count.
            kinds: which kind each of those is of, from 0.
        """
        if len(later):
            self._pairs.append(np.concatenate([later, kinds[:, None], counts], axis=1))

    def take(self, others: Links) -> None:
        """Those of a part of the table, too."""
        self._pairs += others._pairs

    def followed(self, ids: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The ids that stand for these, ``(n, 32)``."""
        if not self._pairs or not len(ids):
            return ids
        pairs = self._resolved()
        keys = _keys(pairs)
        found = np.ascontiguousarray(ids)
        for _ in range(self._kinds):
            # The first eight bytes of a hash find the place, all of them decide.
            place = np.minimum(np.searchsorted(keys, _keys(found)), len(keys) - 1)
            same = (pairs[place, :_ID] == found).all(axis=1)
            if not same.any():
                break
            found = np.where(same[:, None], pairs[place, _TO:], found)
        return found

    def _resolved(self) -> NDArray[np.uint8]:
        """One target for each linked id: of the earliest kind, of these the smallest."""
        pairs = np.unique(np.concatenate(self._pairs), axis=0)
        for _ in range(self._kinds):
            begins = np.ones(len(pairs), np.bool_)
            begins[1:] = (pairs[1:, :_ID] != pairs[:-1, :_ID]).any(axis=1)
            chosen = pairs[np.flatnonzero(begins)[np.cumsum(begins) - 1]]
            # Another target of a later kind is the same person, too: it shares the identifier.
            more = pairs[:, _ID] > chosen[:, _ID]
            further = np.concatenate([pairs[more, _TO:], chosen[more, _ID:]], axis=1)
            grown = np.unique(np.concatenate([pairs, further]), axis=0)
            if len(grown) == len(pairs):
                break
            pairs = grown
        begins = np.ones(len(pairs), np.bool_)
        begins[1:] = (pairs[1:, :_ID] != pairs[:-1, :_ID]).any(axis=1)
        return np.ascontiguousarray(pairs[begins])


def _keys(ids: NDArray[np.uint8]) -> NDArray[np.uint64]:
    return np.ascontiguousarray(ids[:, :8]).view(">u8").reshape(-1).astype(np.uint64)
