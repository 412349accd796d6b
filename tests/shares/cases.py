# SPDX-License-Identifier: Apache-2.0
"""Every interactive primitive as a program over loaded vectors, with secrets that views are compared on."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from tests.shares.machines import dealt, words
from tests.shares.reference_base import RINGS, WORDS, array, width


@dataclass(frozen=True)
class Case:
    """A primitive: kinds of its inputs, how many of their low bits are used, and the call.

    `uniform` is what the simulator of the primitive draws: all received bytes uniform. Where a permutation is
    opened, its shares are uniform as well, but not independent of the party's own: `opens`.
    """

    name: str
    kinds: tuple[str, ...]
    bits: tuple[int, ...]
    run: Callable[[Any, list[Any]], list[Any]]
    opens: bool = False

    def inputs(self, rng, rows, secret):
        """Dealt vectors of secrets: ``zero``, ``ones`` (all bits set) or ``random``."""
        return [
            dealt(rng, kind, secrets(rng, kind, bits, rows, secret))
            for kind, bits in zip(self.kinds, self.bits, strict=True)
        ]


def secrets(rng, kind, bits, rows, secret):
    """Values below 2 ** bits."""
    top = 2**bits - 1
    if secret == "zero":
        return array(kind, [0] * rows)
    if secret == "ones":
        return array(kind, [top] * rows)
    return array(kind, [int(v) & top for v in words(rng, kind, rows)])


def mul(engine, v):
    return [engine.mul(*v)]


def and_(engine, v):
    return [engine.and_(*v)]


def select(engine, v):
    return [engine.select(*v)]


def all_cases():
    """One or more of each primitive, narrow and wide."""
    cases = []
    for kind in RINGS:
        whole = (width(kind),) * 2
        cases += [
            Case(f"mul {kind}", (kind, kind), whole, mul),
            Case(f"bit_to_ring {kind}", ("u8",), (1,), partial(bit_to_ring, kind=kind)),
            Case(f"words_to_ring {kind}", ("u32",), (7,), partial(words_to_ring, bits=7, kind=kind)),
            Case(f"ring_to_words {kind}", (kind,), whole[:1], partial(ring_to_words, bits=19)),
            Case(f"select {kind}", ("u8", kind, kind), (1, *whole), select),
        ]
    for kind in WORDS:
        whole = (width(kind),) * 2
        cases += [
            Case(f"and {kind}", (kind, kind), whole, and_),
            Case(f"select {kind}", ("u8", kind, kind), (1, *whole), select),
        ]
    cases.append(Case("or u64", ("u64", "u64"), (64, 64), lambda e, v: [e.or_(*v)]))
    for kind, bits in (("u8", 5), ("u32", 32), ("u64", 40), ("u128", 128)):
        cases += [
            Case(f"equal {kind}", (kind, kind), (bits, bits), partial(equal, bits=bits)),
            Case(f"less {kind}", (kind, kind), (bits, bits), partial(less, bits=bits)),
        ]
    keyed = (("u16", "r64"), (2, 64))
    return [
        *cases,
        Case("shuffle", ("u64", "r128", "u64"), (64, 128, 64), lambda e, v: e.shuffle(v)),
        Case("order", ("u16",), (3,), lambda e, v: order(e, v[0], 3, []), opens=True),
        Case("apply", *keyed, lambda e, v: order(e, v[0], 2, v[1:]), opens=True),
        Case("unapply", *keyed, lambda e, v: order(e, v[0], 2, v[1:], back=True), opens=True),
    ]


def bit_to_ring(engine, v, kind):
    return [engine.bit_to_ring(v[0], kind)]


def words_to_ring(engine, v, bits, kind):
    return [engine.words_to_ring(v[0], bits, kind)]


def ring_to_words(engine, v, bits):
    return [engine.ring_to_words(v[0], bits)]


def equal(engine, v, bits):
    return [engine.equal(*v, bits)]


def less(engine, v, bits):
    return [engine.less(*v, bits)]


def order(engine, key, bits, vectors, back=False):
    """Sort, and apply or unapply to vectors."""
    made = engine.order([(key, bits)])
    if not vectors:
        return []
    return engine.unapply(made, vectors) if back else engine.apply(made, vectors)
