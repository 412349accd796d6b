# SPDX-License-Identifier: Apache-2.0
"""Products, comparisons and conversions of shares; each with its argument. Notation as in `shares`."""

from __future__ import annotations

from typing import Any

from hitoku.hazmat.shares_errors import SharesError, shares_kernel
from hitoku.hazmat.shares_local import LocalOperations, Vector, checked_bits, checked_pair, checked_vector
from hitoku.hazmat.shares_values import RINGS, WORDS, as_array, checked_kind

__all__ = ["CircuitOperations"]


class CircuitOperations(LocalOperations):
    """The part of a party that multiplies."""

    # --- own addends ---

    def addends(self, kind: str, values: Any) -> Vector:
        """The sum of three vectors, each known to one party: every party gives its own addend, in secret.

        It is a product's last step with other summands: party i takes its addend v_i in place of ``x_i y_i +
        x_i y_{i+1} + x_{i+1} y_i`` of `mul`, and sends ``z_i = v_i + F(k_i) - F(k_{i+1})`` to party i - 1.
        The masks cancel, so the three z add up to v_0 + v_1 + v_2. (The kernel multiplies v_i, 0 by 1, 0:
        vectors that are no sharings, exist here alone and are handed to nobody.)

        Who learns what: nobody anything of another's addend. Simulator: party i receives z_{i+1}, whose mask
        has F(k_{i+2}), unknown to it: uniform elements, as in `mul`; what the summand is does not enter that
        argument. A party knows its own addend, and so what the sum is more than it. Cost: 1 round, 3 n w
        bytes. Source: Araki et al., CCS 2016, section 2 (re-sharing of three summands).

        Args:
            kind: a ring.
            values: this party's addends, as `as_array` takes them; equally many at all three.

        Raises:
            SharesError: ``kind`` or ``value``; or the run's.
        """
        mine = as_array(checked_kind(kind, RINGS), values)
        ones = as_array(kind, [1] * len(mine))
        zeros = bytes(mine.nbytes)
        summand, one = (
            self.load(kind, content.astype(content.dtype.newbyteorder("<")).tobytes(), zeros)
            for content in (mine, ones)
        )
        with shares_kernel():
            return self._kernel.mul(summand, one)

    # --- products ---

    def mul(self, a: Any, b: Any) -> Vector:
        """Products, row by row, in a ring.

        Each party computes ``z_i = x_i y_i + x_i y_{i+1} + x_{i+1} y_i + F(k_i) - F(k_{i+1})`` and sends it
        to party i - 1. The three z add up to the product, since the masks cancel.

        Who learns what: nobody anything. Simulator: party i receives z_{i+1}, whose mask has F(k_{i+2}),
        which is unknown to it: uniform elements. Cost: 1 round, 3 n w bytes.
        Source: Araki, Furukawa, Lindell, Nof, Ohara, CCS 2016, section 2; there with shares of another
        arrangement, here in the replicated one.

        Raises:
            SharesError: ``kind`` or ``length``, before anything is sent; or the run's.
        """
        left, right = checked_pair(a, b, RINGS)
        with shares_kernel():
            return self._kernel.mul(left, right)

    def and_(self, a: Any, b: Any) -> Vector:
        """AND of words: `mul` over XOR and AND, bit by bit.

        Who learns what, simulator, cost and source as of `mul`, with uniform words.

        Raises:
            SharesError: ``kind`` or ``length``; or the run's.
        """
        left, right = checked_pair(a, b, WORDS)
        with shares_kernel():
            return self._kernel.and_(left, right)

    def or_(self, a: Any, b: Any) -> Vector:
        """OR of words: ``a ^ b ^ (a & b)``. All else as of `and_`.

        Raises:
            SharesError: ``kind`` or ``length``; or the run's.
        """
        left, right = checked_pair(a, b, WORDS)
        with shares_kernel():
            return self._kernel.or_(left, right)

    def select(self, bit: Any, a: Any, b: Any) -> Vector:
        """``a`` where the bit is 1, else ``b``; words or rings.

        ``b + bit (a - b)``, in words ``b ^ (m & (a ^ b))`` with the bit in every place of m (each share by
        itself), in rings with the bit brought there (`bit_to_ring`).

        Who learns what: nobody anything. Simulator: those of `and_`, or of `bit_to_ring` and `mul`: uniform
        messages. Cost: words 1 round, 3 n w bytes; rings 3 rounds, 6 n w bytes.

        Args:
            bit: words ``u8`` of 0 and 1.
            a: where it is 1.
            b: where it is 0; of the kind of `a`.

        Raises:
            SharesError: ``kind`` or ``length``; or the run's.
        """
        condition = checked_vector(bit, ("u8",))
        left, right = checked_pair(a, b)
        if len(condition) != len(left):
            raise SharesError("length")
        with shares_kernel():
            return self._kernel.select(condition, left, right)

    # --- comparisons ---

    def equal(self, a: Any, b: Any, bits: int) -> Vector:
        """A bit (``u8``) for each row: whether the low `bits` bits are equal.

        The complement of ``a ^ b`` is folded in halves by AND: halves of words down to bytes, then rows
        packed into bytes.

        Who learns what: nobody anything. Simulator: that of each `and_`: uniform words. One bit is compared
        without sending, and its result is not freshly shared. Cost: a round for every halving of `bits`;
        about 3 n bits / 8 bytes.
        Source: folklore (a tree of ANDs); Araki et al., CCS 2016, for each AND.

        Raises:
            SharesError: ``kind``, ``length`` or ``bits``; or the run's.
        """
        left, right = checked_pair(a, b, WORDS)
        width = checked_bits(left.kind, bits)
        with shares_kernel():
            return self._kernel.equal(left, right, width)

    def less(self, a: Any, b: Any, bits: int) -> Vector:
        """A bit (``u8``) for each row: whether ``a < b``, as unsigned words of `bits` bits.

        Of each place p says whether a and b are equal there, v is the bit of b. Neighbours h, l become ``(p_h
        p_l, v_h ^ p_h (v_h ^ v_l))`` in a tree: v ends as b's bit at the topmost place where the two differ.

        Who learns what: nobody anything. Simulator: that of each `and_`: uniform words. Cost: a round for
        every halving of `bits` (rounded up to a power of two, and one round more if it is one); about 6 n
        bits / 8 bytes.
        Source: Damgård, Fitzi, Kiltz, Nielsen, Toft, TCC 2006, section 5 (the tree).

        Raises:
            SharesError: ``kind``, ``length`` or ``bits``; or the run's.
        """
        left, right = checked_pair(a, b, WORDS)
        width = checked_bits(left.kind, bits)
        with shares_kernel():
            return self._kernel.less(left, right, width)

    # --- conversions ---

    def bit_to_ring(self, bit: Any, kind: str) -> Vector:
        """A bit (``u8`` of 0 and 1) as 0 or 1 of a ring.

        A dealer P_d (the three take turns, by rows) knows u = b_d ^ b_{d+1} and shares it in the ring between
        the other two, masked by F(k_d); they know v = b_{d+2}, multiply by ``1 - 2 v``, add v, and share that
        anew, masked by keys that the receiver lacks.

        Who learns what: nobody anything. Simulator: P_{d+1} receives words under two outputs of F(k_d),
        P_{d+2} one under F(k_{d+1}), and lacks the key: uniform elements. Cost: 2 rounds, 3 n w bytes.
        Source: Mohassel, Rindal (ABY3), CCS 2018, section 5.4.1, without oblivious transfer.

        Raises:
            SharesError: ``kind``; or the run's.
        """
        vector = checked_vector(bit, ("u8",))
        checked_kind(kind, RINGS)
        with shares_kernel():
            return self._kernel.bit_to_ring(vector, kind)

    def words_to_ring(self, a: Any, bits: int, kind: str) -> Vector:
        """Words of `bits` bits as ring elements, of a ring that holds as many.

        Few bits: each by `bit_to_ring`, added up with its weight. More: shares d and d + 1 of the result are
        F(k_d) and F(k_{d+1}); the borrows of the word less their sum are computed by products, and the third
        share is opened to P_{d+1} and P_{d+2}, who hold it.

        Who learns what: nobody anything. Simulator: those of `bit_to_ring` and `and_`; the opened share is
        the value less two masks, of which each receiver lacks one: draw it uniformly, and the message is that
        less the receiver's own shares of it.
        Source: Mohassel, Rindal (ABY3), CCS 2018, sections 5.3 and 5.4.

        Raises:
            SharesError: ``kind`` or ``bits``; or the run's.
        """
        vector = checked_vector(a, WORDS)
        checked_kind(kind, RINGS)
        width = checked_bits(kind, checked_bits(vector.kind, bits))
        with shares_kernel():
            return self._kernel.words_to_ring(vector, width, kind)

    def ring_to_words(self, a: Any, bits: int) -> Vector:
        """The low `bits` bits of ring elements, as words of the least kind that holds them.

        A dealer P_d (the three take turns, by rows) shares u = x_d + x_{d+1} as a word; the other two know v
        = x_{d+2}. Carries of u + v: made where both bits are 1, passed on where one is, in a prefix tree.

        Who learns what: nobody anything. Simulator: those of `bit_to_ring`'s messages and of each `and_`:
        uniform words.
        Source: Mohassel, Rindal (ABY3), CCS 2018, section 5.3; the tree is Sklansky's (IRE Trans. 1960).

        Raises:
            SharesError: ``kind`` or ``bits``; or the run's.
        """
        vector = checked_vector(a, RINGS)
        with shares_kernel():
            return self._kernel.ring_to_words(vector, checked_bits(vector.kind, bits))
