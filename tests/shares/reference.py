# SPDX-License-Identifier: Apache-2.0
"""All three parties of replicated secret sharing in one slow object, written from the papers.

It has the methods of `hitoku.protections.shares.engine.Engine`, and shares no code or layout of messages with
the Rust kernel: circuits go bit by bit, sorting digit by digit of one bit. Every message is kept with its
receiver, and faults can be planted that tests of views must find:

* ``reused_mask``: zero-sharings repeat (Araki et al. 2016, section 2: a fresh one for every product);
* ``no_shuffle``: what permutations open is not shuffled first;
* ``biased_permutation``: Fisher-Yates with the bound off by one, which only makes cycles of full length;
* ``half_reshare``: in a pass of a shuffle one of two parties sends its share without its new mask.

(A fifth, ``compact_before_threshold``, is of a program, not of a primitive: see `views.release`.)
"""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from tests.shares.reference_base import (
    PARTIES,
    RINGS,
    WORDS,
    Base,
    Shares,
    array,
    from_bytes,
    minus,
    plus,
    times,
    to_bytes,
    width,
    wrap,
    zeros,
)


class Circuits(Base):
    """Products, comparisons and conversions."""

    def zero_sharing(self, kind, rows):
        """Araki et al. 2016, section 2: alpha_i = F(k_i) - F(k_{i+1}), which add up to 0."""
        if self.fault == "reused_mask":
            size = rows * width(kind) // 8
            drawn = [from_bytes(kind, self.keyed(key, 0, size)) for key in PARTIES]
        else:
            drawn = [self.random(key, kind, rows) for key in PARTIES]
        return [minus(kind, drawn[i], drawn[(i + 1) % 3]) for i in PARTIES]

    def mul(self, a, b, step="mul"):
        """Araki et al. 2016, section 2, in replicated form: one element from each to its neighbour."""
        kind, masks = a.kind, self.zero_sharing(a.kind, len(a))
        parts = []
        for i in PARTIES:
            x, y, x_next, y_next = a.parts[i], b.parts[i], a.parts[(i + 1) % 3], b.parts[(i + 1) % 3]
            own = plus(kind, times(kind, x, y), plus(kind, times(kind, x, y_next), times(kind, x_next, y)))
            parts.append(plus(kind, own, masks[i]))
        self.rounds += 1
        for i in PARTIES:
            self.send(step, i, (i - 1) % 3, kind, parts[i])
        return Shares(kind, parts)

    def and_(self, a, b):
        return self.mul(a, b, "and")

    def or_(self, a, b):
        return self.xor(self.xor(a, b), self.and_(a, b))

    def bits(self, a, bits):
        """Bits from the lowest up, each as a word u8."""
        lowest = [self.cast(self.shift_right(a, j), "u8") for j in range(bits)]
        return [self.and_public(bit, 1) for bit in lowest]

    def flip(self, bit):
        return self.xor_public(bit, 1)

    def equal(self, a, b, bits):
        """AND of the complements of all bits of a ^ b, one after the other."""
        same = [self.flip(bit) for bit in self.bits(self.xor(a, b), bits)]
        found = same[0]
        for bit in same[1:]:
            found = self.and_(found, bit)
        return found

    def less(self, a, b, bits):
        """The borrow of a - b: from bit to bit, (not a and b) or (a = b and the borrow below)."""
        borrow = self.public("u8", 0, len(a))
        for x, y in zip(self.bits(a, bits), self.bits(b, bits), strict=True):
            here = self.and_(self.flip(x), y)
            passed = self.and_(self.flip(self.xor(x, y)), borrow)
            borrow = self.xor(here, passed)
        return borrow

    def input(self, kind, values):
        """Party 0's own values as shares: (r, x - r, 0), r under k_0, which party 1 lacks; it gets x - r."""
        mask = self.random(0, kind, len(values))
        self.rounds += 1
        rest = self.send("input", 0, 1, kind, minus(kind, array(kind, values), mask))
        return Shares(kind, [mask, rest, zeros(kind, len(values))])

    def bit_to_ring(self, bit, kind):
        """u + v - 2uv, u = b_0 ^ b_1 known to party 0, v = b_2 as shares (0, 0, b_2)."""
        bit = self.and_public(bit, 1)  # shares of a bit fill the byte
        u = self.input(kind, bit.parts[0] ^ bit.parts[1])
        none = zeros(kind, len(bit))
        v = Shares(kind, [none, none, array(kind, bit.parts[2])])
        return self.sub(self.add(u, v), self.mul_public(self.mul(u, v), 2))

    def words_to_ring(self, a, bits, kind):
        total = self.public(kind, 0, len(a))
        for j, bit in enumerate(self.bits(a, bits)):
            total = self.add(total, self.mul_public(self.bit_to_ring(bit, kind), 2**j % 2 ** width(kind)))
        return total

    def ring_to_words(self, a, bits):
        """Each share is a word known to two parties; the three are added by full adders, bit by bit."""
        word = "u" + a.kind[1:]
        none = zeros(word, len(a))
        addends = [Shares(word, [a.parts[i] if j == i else none for j in PARTIES]) for i in PARTIES]
        first = self.added([self.bits(x, bits) for x in addends[:2]])
        total = self.added([first, self.bits(addends[2], bits)])
        least = next(kind for kind in WORDS if width(kind) >= bits)
        out = self.public(least, 0, len(a))
        for j, bit in enumerate(total):
            out = self.xor(out, self.shift_left(self.cast(bit, least), j))
        return out

    def added(self, pair):
        """Ripple-carry: carry' = ((a ^ c) & (b ^ c)) ^ c."""
        carry = self.public("u8", 0, len(pair[0][0]))
        total = []
        for a, b in zip(*pair, strict=True):
            total.append(self.xor(self.xor(a, b), carry))
            carry = self.xor(self.and_(self.xor(a, carry), self.xor(b, carry)), carry)
        return total

    def select(self, bit, a, b):
        if a.kind in RINGS:
            return self.add(b, self.mul(self.bit_to_ring(bit, a.kind), self.sub(a, b)))
        # A share of the bit in every place of the word: XOR of them is the bit in every place.
        low = self.and_public(self.cast(bit, a.kind), 1)
        mask = self.each(lambda x: wrap(a.kind, np.zeros_like(x) - x), low)
        return self.xor(b, self.and_(mask, self.xor(a, b)))


@dataclass
class Order:
    """A shared permutation, as r32: row `sources[j]` comes j-th."""

    sources: Shares

    def __len__(self):
        return len(self.sources)


@dataclass
class OwnerOrder:
    """A permutation as three, each missing at one party; applied one after the other."""

    steps: list[Any]

    def __len__(self):
        return len(self.steps[0])


class Reference(Circuits):
    """All of it."""

    def draw_permutation(self, key, rows):
        """Fisher-Yates (Knuth's algorithm P) with draws by rejection, under a key of two parties."""
        stream = self.stream(key, 32)
        counter, places = 0, np.arange(rows)
        for i in range(rows - 1, 0, -1):
            bound = i if self.fault == "biased_permutation" else i + 1
            while True:
                word = int.from_bytes(
                    hashlib.blake2b(stream + counter.to_bytes(8, "big"), digest_size=8).digest()
                )
                counter += 1
                if word < 2**64 // bound * bound:
                    break
            j = word % bound
            places[i], places[j] = places[j], places[i]
        return places

    def one_pass(self, vectors, key, places):
        """Parties key and key - 1 permute: row j of the result is row places[j].

        They hold a two-party sharing of each vector (Araki et al. 2021, section 4): party a = key - 1 adds
        its shares a and a + 1, party b = key takes share a + 2. The new shares a and a + 2 are F(k_a) and
        F(k_{a+2}), each known to one of the two and the third party; the rest is share a + 1, in two halves
        that they send each other.
        """
        a, b, c = (key - 1) % 3, key % 3, (key + 1) % 3
        self.rounds += 1
        made = []
        for v in vectors:
            kind = v.kind
            half_a = plus(kind, v.parts[a], v.parts[b])[places]
            half_b = v.parts[c][places]
            new_a, new_c = self.random(a, kind, len(v)), self.random(c, kind, len(v))
            if self.fault == "half_reshare":
                new_c = zeros(kind, len(v))
            to_b = self.send("pass", a, b, kind, minus(kind, half_a, new_a))
            to_a = self.send("pass", b, a, kind, minus(kind, half_b, new_c))
            parts = [None] * 3
            parts[a], parts[b], parts[c] = new_a, plus(kind, to_a, to_b), new_c
            made.append(Shares(kind, parts))
        return made

    def shuffle(self, vectors):
        """Laur, Willemson, Zhang 2011: a pass for every pair; each party misses one permutation."""
        for key in PARTIES:
            vectors = self.one_pass(vectors, key, self.draw_permutation(key, len(vectors[0])))
        return vectors

    def place(self, destinations, vectors, step):
        """Rows to shared destinations: shuffle both, open the destinations, place."""
        if self.fault != "no_shuffle":
            destinations, *vectors = self.shuffle([destinations, *vectors])
        where = np.argsort(self.open(destinations, step), kind="stable")
        return [self.take(v, where) for v in vectors]

    def order(self, keys):
        """Hamada et al. 2014: stable counting sorts by one bit each, from the lowest up."""
        rows = len(keys[0][0])
        pending = [bit for word, bits in reversed(keys) for bit in self.bits(word, bits)]
        sources = self.public("r32", np.arange(rows))
        for digit in range(len(pending)):
            one = self.bit_to_ring(pending[digit], "r32")
            zero = self.add_public(self.neg(one), 1)
            counted = self.prefix_sum(self.concat([zero, one]))
            low, high = self.slice(counted, 0, rows), self.slice(counted, rows, 2 * rows)
            destination = self.add_public(self.add(low, self.mul(one, self.sub(high, low))), 2**32 - 1)
            *rest, sources = self.place(destination, [*pending[digit + 1 :], sources], "sort")
            pending[digit + 1 :] = rest
        return Order(sources)

    def apply(self, order, vectors):
        if isinstance(order, OwnerOrder):
            for key in PARTIES:
                vectors = self.one_pass(vectors, key, order.steps[key])
            return vectors
        identity = self.public("r32", np.arange(len(order)))
        (destinations,) = self.place(order.sources, [identity], "invert")
        return self.place(destinations, vectors, "apply")

    def unapply(self, order, vectors):
        if isinstance(order, OwnerOrder):
            for key in reversed(PARTIES):
                vectors = self.one_pass(vectors, key, np.argsort(order.steps[key]))
            return vectors
        return self.place(order.sources, vectors, "unapply")

    def owner_order(self, places):
        """Row places[j] comes j-th: two random permutations, and the third that makes the composition right.

        After passes 0, 1, 2 row j is row s_0[s_1[s_2[j]]]. Server key and key - 1 get s_key.
        """
        first, second = (self.draw_permutation(key, len(places)) for key in (0, 1))
        inverse = np.argsort(first[second])
        return OwnerOrder([first, second, inverse[np.asarray(places, np.int64)]])


def dump(vector, party):
    """What party i holds, as `Party.load` takes it."""
    return tuple(to_bytes(vector.kind, vector.parts[(party + i) % 3]) for i in (0, 1))


def joined(kind, dumps):
    """The values from three parties' dumps; what two hold must be the same at both."""
    for (_, second), (first, _) in pairwise([*dumps, dumps[0]]):
        assert second == first
    return Shares(kind, [from_bytes(kind, first) for first, _ in dumps]).value()
