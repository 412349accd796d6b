# SPDX-License-Identifier: Apache-2.0
"""Where each leaf stands in the slots of the packed layout, so that few rotations bring its bits there.

A client puts its bits into the slots by a public arrangement: one pseudo-random permutation of all bits after
the other until the slots are full (`arrangement`), the same for every model with that many bits. After
rotations by the steps of a set R the slot p has seen the bits that stand at p + r, r in R. A leaf needs the
few bits of its way, and nothing else says at which slot it stands (all leaves are added up in the end), so it
is put where all of its bits come by. For a slot the chance is about (|R| / B)^bits where there are
B bits, and there are thousands of slots, as long as different slots see different bits: so R is no interval
but a pseudo-random set of baby steps plus one of giant steps (`steps_of`). The least R with which all leaves
find a place of their own (a maximum matching of leaves and slots) has some B / 3 steps for ways of 4 bits:
three times fewer diagonals and less memory than a matrix of leaves in a fixed order has.

The size of R is known to the client, from the rotation keys that it is asked for; it says how hard the leaves
are to place, and nothing else about the trees.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hitoku.inference.errors import ModelError

__all__ = ["Placement", "arrangement", "giant_of", "place", "steps_of"]

_LABEL: Final = b"hitoku packed bits 1"
_FULL: Final = 0.75
"""How full slots may be before another ciphertext of leaves is begun."""
_MOST_GROUPS: Final = 64
_BABIES_TO_A_GIANT: Final = 4.5


def arrangement(bits: int, slots: int) -> NDArray[np.int64]:
    """Which bit stands in each slot, int64[ciphertexts, slots].

    Every bit stands there at least once, and all about equally often. The order comes from SHAKE-256 of the
    sizes, so that client and server make the same one from the same two numbers.
    """
    ciphertexts = -(-bits // slots)
    room = ciphertexts * slots
    copies = -(-room // bits)
    order = np.concatenate([_permutation(b"%d %d %d" % (bits, slots, copy), bits) for copy in range(copies)])
    return np.ascontiguousarray(order[:room].reshape(ciphertexts, slots))


def _permutation(label: bytes, size: int) -> NDArray[np.int64]:
    keys = np.frombuffer(hashlib.shake_256(_LABEL + label).digest(8 * size), dtype="<u8")
    return np.argsort(keys, kind="stable")


def giant_of(slots: int) -> int:
    """How many steps a giant step covers."""
    return 1 << (slots.bit_length() - 1) // 2


def steps_of(size: int, slots: int) -> NDArray[np.int64]:
    """At least `size` rotations: all sums of some baby steps (below `giant_of`) and some giant steps.

    A baby step shares its dear part with all others, a giant step has it to itself: there are 4 or 5 babies
    to a giant.
    """
    giant = giant_of(slots)
    giants = max(math.ceil(math.sqrt(size / _BABIES_TO_A_GIANT)), -(-size // giant))
    babies = -(-size // giants)
    some = _permutation(b"babies", giant)[:babies]
    others = _permutation(b"giants", slots // giant)[:giants] * giant
    return np.sort((some[:, None] + others[None, :]).reshape(-1))


@dataclass(frozen=True, eq=False)
class Placement:
    """Where the leaves stand.

    Attributes:
        order: `arrangement`.
        steps: the rotations.
        groups: how many ciphertexts of leaves there are.
        group, slot: for each leaf its ciphertext and its slot, int64[leaves].
    """

    order: NDArray[np.int64]
    steps: NDArray[np.int64]
    groups: int
    group: NDArray[np.int64]
    slot: NDArray[np.int64]

    def rotation(self, leaf: int, bit: int) -> tuple[int, int]:
        """From which ciphertext and by which rotation a leaf gets a bit."""
        slots = self.order.shape[1]
        places = (self.slot[leaf] + self.steps) % slots
        ciphertext, at = np.nonzero(self.order[:, places] == bit)
        return int(ciphertext[0]), int(self.steps[at[0]])


def place(needs: Sequence[frozenset[int]], bits: int, slots: int) -> Placement:
    """Places for leaves that need these bits, with the fewest rotations that a search finds.

    Raises:
        ModelError: there are too many leaves or bits (``TOO_LARGE``).
    """
    order = arrangement(bits, slots)
    groups = max(1, -(-len(needs) // int(_FULL * slots)))
    if groups > _MOST_GROUPS:
        raise ModelError(
            "TOO_LARGE",
            f"has {len(needs):,} leaves, {int(_MOST_GROUPS * _FULL * slots):,} can be packed",
            where="forest",
            remedy="compile with objective='throughput', or train fewer or shallower trees",
        )
    low, high, found = 0, slots, None
    while found is None or high - low > max(4, high // 32):
        size = high if found is None else (low + high) // 2
        steps = steps_of(size, slots)
        match = _match(needs, order, steps, groups)
        if match is not None:
            found, high = (steps, match), size
        elif found is None:
            raise ModelError("TOO_LARGE", "has leaves that find no place in the slots", where="forest")
        else:
            low = size
    steps, columns = found
    return Placement(order, steps, groups, columns // slots, columns % slots)


def _match(
    needs: Sequence[frozenset[int]], order: NDArray[np.int64], steps: NDArray[np.int64], groups: int
) -> NDArray[np.int64] | None:
    """A place of its own for every leaf, as group * slots + slot, or None."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import maximum_bipartite_matching

    slots = order.shape[1]
    seen: dict[int, NDArray[np.bool_]] = {}
    rows: list[NDArray[Any]] = []
    for need in needs:
        fits = np.ones(slots, dtype=np.bool_)
        for bit in need:
            if bit not in seen:
                seen[bit] = _reach(order, bit, steps)
            fits &= seen[bit]
        places = np.flatnonzero(fits)
        if not len(places):
            return None
        # Fewer edges make the matching fast; where there are many places, other ones for every leaf.
        stride = max(1, len(places) // 256)
        places = places[len(rows) % stride :: stride]
        rows.append(places)
    # Leaves are spread over the groups by turns, each may stand in any of them at its slots.
    indices = np.concatenate([(p[None, :] + slots * np.arange(groups)[:, None]).reshape(-1) for p in rows])
    pointers = np.concatenate([[0], np.cumsum([len(p) * groups for p in rows])])
    graph = csr_array(
        (np.ones(len(indices), dtype=np.int8), indices, pointers), shape=(len(needs), groups * slots)
    )
    match = np.asarray(maximum_bipartite_matching(graph, perm_type="column"), dtype=np.int64)
    return None if (match < 0).any() else match


def _reach(order: NDArray[np.int64], bit: int, steps: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which slots see the bit in one of the rotations."""
    slots = order.shape[1]
    seen = np.zeros(slots, dtype=np.bool_)
    at = np.flatnonzero((order == bit).any(axis=0))
    seen[((at[:, None] - steps[None, :]) % slots).reshape(-1)] = True
    return seen
