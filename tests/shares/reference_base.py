# SPDX-License-Identifier: Apache-2.0
"""Shares of all three parties, keys, messages and linear steps, for `reference`."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np

PARTIES = range(3)
KINDS = ("u8", "u16", "u32", "u64", "u128", "r32", "r64", "r128")
WORDS = ("u8", "u16", "u32", "u64", "u128")
RINGS = ("r32", "r64", "r128")


def width(kind):
    return int(kind[1:])


def array(kind, values):
    """Whole numbers of a kind: the unsigned type of its width, or objects where there is none."""
    bits = width(kind)
    if bits == 128:
        if isinstance(values, np.ndarray) and values.ndim == 2:
            values = [low | high << 64 for low, high in values.tolist()]
        return np.array([int(v) % 2**128 for v in values] + [None], object)[:-1]
    if not isinstance(values, np.ndarray) or values.dtype == object:
        values = np.array([int(v) % 2**bits for v in values], np.uint64)
    return values.astype(f"uint{bits}")


def wrap(kind, values):
    """Back into the ring or word: other types than objects wrap by themselves."""
    return values & (2**128 - 1) if values.dtype == object else values


def to_bytes(kind, values):
    if values.dtype == object:
        return b"".join(int(v).to_bytes(16, "little") for v in values)
    return values.astype(f"<u{width(kind) // 8}").tobytes()


def from_bytes(kind, data):
    size = width(kind) // 8
    if size == 16:
        return array(kind, [int.from_bytes(data[i : i + 16], "little") for i in range(0, len(data), 16)])
    return np.frombuffer(data, f"<u{size}").astype(f"uint{width(kind)}")


def plus(kind, a, b):
    return a ^ b if kind in WORDS else wrap(kind, a + b)


def minus(kind, a, b):
    return a ^ b if kind in WORDS else wrap(kind, a - b)


def times(kind, a, b):
    return a & b if kind in WORDS else wrap(kind, a * b)


def zeros(kind, rows):
    return array(kind, [0] * rows)


@dataclass(frozen=True)
class Message:
    """What one party got from another."""

    step: str
    sender: int
    data: bytes


@dataclass
class Shares:
    """Share 0, 1 and 2 of a vector; party i holds shares i and i + 1."""

    kind: str
    parts: list[Any]

    def __len__(self):
        return len(self.parts[0])

    def value(self):
        """What no party knows."""
        return plus(self.kind, plus(self.kind, self.parts[0], self.parts[1]), self.parts[2])


@dataclass
class Base:
    """Keys, messages and linear steps."""

    seed: int = 0
    fault: str | None = None
    index: int = 0
    views: list[list[Message]] = field(default_factory=lambda: [[], [], []])
    opened: list[Any] = field(default_factory=list)
    rounds: int = 0
    draws: int = 0

    def stream(self, key, size):
        """Fresh output of F(k_key), which parties key and key - 1 can make."""
        self.draws += 1
        return self.keyed(key, self.draws, size)

    def keyed(self, key, draw, size):
        return hashlib.shake_128(f"{self.seed}/{key}/{draw}".encode()).digest(size)

    def random(self, key, kind, rows):
        return from_bytes(kind, self.stream(key, rows * width(kind) // 8))

    def send(self, step, sender, receiver, kind, values):
        """To a neighbour, which gets exactly this."""
        data = to_bytes(kind, values)
        self.views[receiver].append(Message(step, sender, data))
        return from_bytes(kind, data)

    def received(self, party):
        return b"".join(message.data for message in self.views[party])

    def shared(self, kind, values):
        """Fresh shares of values, as an owner makes them."""
        values = array(kind, values)
        a, b = (self.random(key, kind, len(values)) for key in (0, 1))
        return Shares(kind, [a, b, minus(kind, minus(kind, values, a), b)])

    # --- linear ---

    def public(self, kind, values, rows=None):
        values = array(
            kind, [values] * rows if rows is not None and not hasattr(values, "__len__") else values
        )
        return Shares(kind, [values, zeros(kind, len(values)), zeros(kind, len(values))])

    def each(self, function, *vectors, kind=None):
        kind = kind or vectors[0].kind
        return Shares(kind, [function(*parts) for parts in zip(*(v.parts for v in vectors), strict=True)])

    def add(self, a, b):
        return self.each(lambda x, y: plus(a.kind, x, y), a, b)

    def sub(self, a, b):
        return self.each(lambda x, y: minus(a.kind, x, y), a, b)

    xor = add

    def neg(self, a):
        return self.sub(self.public(a.kind, 0, len(a)), a)

    def constant(self, a, value):
        return value if hasattr(value, "__len__") else [value] * len(a)

    def add_public(self, a, value):
        return self.add(a, self.public(a.kind, self.constant(a, value)))

    xor_public = add_public

    def mul_public(self, a, value):
        factors = array(a.kind, self.constant(a, value))
        return self.each(lambda x: times(a.kind, x, factors), a)

    and_public = mul_public

    def shift_left(self, a, bits):
        if bits >= width(a.kind):
            return self.public(a.kind, 0, len(a))
        return self.each(lambda x: wrap(a.kind, x << (bits if x.dtype == object else x.dtype.type(bits))), a)

    def shift_right(self, a, bits):
        if bits >= width(a.kind):
            return self.public(a.kind, 0, len(a))
        return self.each(lambda x: x >> (bits if x.dtype == object else x.dtype.type(bits)), a)

    def cast(self, a, kind):
        return self.each(lambda x: array(kind, x), a, kind=kind)

    def prefix_sum(self, a):
        def running(x):
            out = x.copy()
            for row in range(1, len(x)):
                out[row] = plus(a.kind, out[row - 1 : row], x[row : row + 1])[0]
            return out

        return self.each(running, a)

    def diff(self, a):
        return self.each(lambda x: minus(a.kind, x, np.concatenate([zeros(a.kind, 1), x])[: len(x)]), a)

    def sum(self, a):
        total = self.prefix_sum(a)
        return self.slice(total, len(a) - 1, len(a)) if len(a) else self.public(a.kind, 0, 1)

    def concat(self, vectors):
        return Shares(vectors[0].kind, [np.concatenate([v.parts[i] for v in vectors]) for i in PARTIES])

    def slice(self, a, start, stop):
        return self.each(lambda x: x[start:stop], a)

    def take(self, a, places):
        return self.each(lambda x: x[np.asarray(places, np.int64)], a)

    def tile(self, a, times_):
        return self.each(lambda x: np.concatenate([x[:0], *[x] * times_]), a)

    # --- out ---

    def open(self, a, step="open"):
        """Party i lacks share i + 2, which party i + 1 holds."""
        self.rounds += 1
        for party in PARTIES:
            self.send(step, (party + 1) % 3, party, a.kind, a.parts[(party + 2) % 3])
        self.opened.append((step, a.value()))
        values = a.value()
        if values.dtype == object:
            return np.array([(v % 2**64, v >> 64) for v in values], np.uint64).reshape(-1, 2)
        return values

    def check(self):
        pass
