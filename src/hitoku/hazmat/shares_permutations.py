# SPDX-License-Identifier: Apache-2.0
"""Moving rows by permutations that no party knows; each with its argument. Notation as in `shares`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hitoku.hazmat.shares_circuits import CircuitOperations
from hitoku.hazmat.shares_errors import SharesError, shares_kernel
from hitoku.hazmat.shares_local import Order, Vector, checked_bits, checked_rows, checked_vector
from hitoku.hazmat.shares_values import WORDS, checked_count, checked_label, checked_seed

__all__ = ["PermutationOperations"]


class PermutationOperations(CircuitOperations):
    """The part of a party that shuffles and sorts."""

    @property
    def index(self) -> int:
        """0, 1 or 2."""
        return self._kernel.index

    def shuffle(self, vectors: Sequence[Any]) -> list[Vector]:
        """Vectors of one length, all put into one random order that no party knows.

        Three permutations, the j-th drawn from k_j: P_j and P_{j-1} know it, and **each party lacks one**.
        The lead L knows a and b, left M knows a and c, right N knows b and c. Rows are between L and M; L
        sends M its part moved by b after a, under a mask of each of its keys; M sends N its part moved by a;
        so they are between M and N, who move by c. Two new shares are F of the keys that L has, and M and N
        send each other what is left for the third.

        Who learns what: nobody anything. A composition with the permutation that a party lacks is uniform to
        it. Simulator: L receives nothing. M and N each receive rows under fresh output of the key that the
        receiver lacks: uniform elements; and the other's part of the new third share, which is that share
        (the party's output) less its own part. Cost: 2 rounds, 4 n bytes times the widths of all vectors.
        Source: Laur, Willemson, Zhang, ISC 2011 (a pass for each set of parties that may know it); Araki,
        Furukawa, Ohara, Pinkas, Rosemarin, Tsuchida, CCS 2021, section 4 (masks from keys).

        Raises:
            SharesError: ``empty`` or ``length``; or the run's.
        """
        found = checked_rows(vectors)
        with shares_kernel():
            return self._kernel.shuffle(found)

    def order(self, keys: Sequence[tuple[Any, int]]) -> Order:
        """The stable ascending order of rows by keys, as a shared permutation.

        Radix sort from the least digit (two bits) up: a digit's destinations are computed under sharing
        (counting sort), destinations and what is left of the keys are moved by permutations of k_1 and k_0,
        and the moved destinations are opened to P_1 and P_2, who place their parts. In the end the rows'
        numbers are opened to them in the same way, and become a permutation that `apply` can use.

        Who learns what: P_1 and P_2 each see, for every digit, destinations moved by two permutations of
        which it lacks one, drawn for this digit alone: a uniformly random permutation, whatever the keys are,
        equal ones included. P_0 sees none. Nobody learns anything else. Simulator: of the opened permutation
        a uniformly random one, and the message that opens it is that less the receiver's own part; all else
        is masked by streams that the receiver lacks: uniform words. P_1 and P_2 also compare hashes of what
        was opened. Cost: grows with rows times bits; see the protocol page.
        Source: Hamada, Ikarashi, Chida, Takahashi, ePrint 2014/121 (opening shuffled destinations); Chida et
        al., ePrint 2019/695 (counting); Asharov et al., CCS 2022, sections 3 and 4 (three parties, digits of
        more bits).

        Args:
            keys: words and the number of their bits that count, most significant first.

        Raises:
            SharesError: ``empty``, ``kind``, ``length`` or ``bits``; or the run's.
        """
        pairs = list(keys)
        found = checked_rows(key for key, _ in pairs)
        for vector, (_, bits) in zip(found, pairs, strict=True):
            checked_vector(vector, WORDS)
            checked_bits(vector.kind, bits)
        with shares_kernel():
            return self._kernel.order(
                [(vector, int(bits)) for vector, (_, bits) in zip(found, pairs, strict=True)]
            )

    def apply(self, order: Any, vectors: Sequence[Any]) -> list[Vector]:
        """Vectors put into an order: row j of the result is the row that comes j-th.

        The passes of `shuffle`, with the order's permutations in the place of fresh ones, and fresh masks.

        Who learns what: nobody anything; nothing is opened. Each party has two of the order's three
        permutations and lacks one that is uniformly random given those: together they say nothing. Simulator,
        cost and source as of `shuffle`. An order may be applied any number of times.

        Raises:
            SharesError: ``order``, ``empty`` or ``length``; or the run's.
        """
        found = self._fit(order, vectors)
        with shares_kernel():
            return self._kernel.apply(order, found)

    def unapply(self, order: Any, vectors: Sequence[Any]) -> list[Vector]:
        """Back from an order: the inverse of `apply`.

        Who learns what, simulator, cost and source as of `apply`.

        Raises:
            SharesError: ``order``, ``empty`` or ``length``; or the run's.
        """
        found = self._fit(order, vectors)
        with shares_kernel():
            return self._kernel.unapply(order, found)

    def owner_order(self, rows: int, parts: Sequence[bytes | None], label: int) -> Order:
        """An order that an owner knows and shared with `split_permutation`. Nothing is sent.

        Who learns what: nobody anything; of the three permutations each party has two, and lacks one that is
        uniformly random given those. Using it costs what `apply` costs. Whoever knows the order could link
        rows that are opened later to its own: shuffle first.

        Args:
            rows: of the order.
            parts: seed a (at parties 0 and 2), seed b (at 0 and 1), the explicit part (at 1 and 2); None for
                the one that this party lacks.
            label: as the owner used.

        Raises:
            SharesError: ``parts``, ``seed``, ``label``, ``value`` or ``length``; ``disagree`` where the
                explicit part is no permutation, which ends the run.
        """
        given = list(parts)
        count = checked_count(rows, "rows")
        if [part is None for part in given] != [party == self.index for party in (1, 2, 0)]:
            raise SharesError("parts")
        for seed in given[:2]:
            if seed is not None:
                checked_seed(seed)
        if given[2] is not None and (not isinstance(given[2], bytes) or len(given[2]) != 4 * count):
            raise SharesError("length", "the explicit part of an order has 4 bytes a row")
        number = checked_label(label)
        with shares_kernel():
            return self._kernel.owner_order(count, given, number)

    def _fit(self, order: Any, vectors: Sequence[Any]) -> list[Vector]:
        if not isinstance(order, Order):
            raise SharesError("order")
        found = checked_rows(vectors)
        if len(found[0]) != len(order):
            raise SharesError(
                "length", f"the order has {len(order)} rows and the vectors have {len(found[0])}"
            )
        return found
