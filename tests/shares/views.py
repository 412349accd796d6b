# SPDX-License-Identifier: Apache-2.0
"""Simulators of what a party receives, and distinguishers that compare real views with simulated ones.

No such test proves secrecy: the arguments stand in the docstrings of `hitoku.hazmat.shares`. What these hold
is that the code sends what the arguments say: messages of sizes that depend on public values alone, that are
uniform whatever the secrets are, never repeat, and contain no other party's share; and permutations that are
uniform when they are opened. Every distinguisher must find the fault that it is for, planted in the
reference.

Each statistic is a nearly standard normal number; one above `FAR` happens less than once in 10^13 times.
"""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
from tests.shares.machines import dealt, generator
from tests.shares.reference_base import PARTIES, RINGS, WORDS, array, from_bytes, minus, plus, to_bytes, width
from tests.unit.hazmat import chance

FAR = 7.5
LANES = 16
"""Bytes of the widest element: a fault in one place of an element stays in one lane."""


# --- simulators ---


def simulated(case, party, inputs, outputs, size, rng):
    """What party number `party` receives, made from its own shares and outputs alone, and if that is exact.

    A product (`mul`, `and_`, a selection of words) gives the party its second output share, with or without
    what local steps add to it: then there are these two ways in which it may come. All other messages are
    masked by a key that it lacks: uniform bytes.
    """
    name, *_ = case.name.split()
    kinds = case.kinds
    if name not in ("mul", "and", "or") and not (name == "select" and kinds[1] in WORDS):
        return [rng.bytes(size)], False
    (made,), second = outputs, (party + 1) % 3
    share = made.parts[second]
    added = {"or": inputs, "select": inputs[2:]}.get(name, [])
    product = share
    for vector in added:
        product = minus(made.kind, product, vector.parts[second])
    return [to_bytes(made.kind, share), to_bytes(made.kind, product)], True


def simulated_opening(kind, value, own):
    """What a party receives in `open`: the value less its two shares."""
    return to_bytes(kind, minus(kind, minus(kind, array(kind, value), own[0]), own[1]))


# --- distinguishers of messages ---


def spread(data):
    """How far bytes are from uniform: frequencies of bytes in each lane, and of ones in each bit."""
    found = np.frombuffer(data, np.uint8)
    if len(found) < 256 * 8:
        return abs(ones(found))
    lanes = LANES if len(found) >= 256 * 8 * LANES else 1
    found = found[: len(found) // lanes * lanes].reshape(-1, lanes)
    even = np.full(256, 1 / 256)
    frequencies = [abs(chance.fit(np.bincount(lane, minlength=256), even)) for lane in found.T]
    return max(*frequencies, *(abs(ones((lane >> bit) & 1, 1)) for lane in found.T for bit in range(8)))


def ones(found, bits=8):
    """The number of bits that are set, as a standard normal number."""
    count = int(np.unpackbits(found).sum()) if bits == 8 else int(found.sum())
    total = max(found.size * bits, 1)  # who leads a shuffle receives nothing
    return 0.0 if not found.size else (count - total / 2) / math.sqrt(total / 4)


def differ(left, right):
    """How far the bytes of two messages are from independent: XOR and difference must be uniform."""
    a, b = (np.frombuffer(side, np.uint8) for side in (left, right))
    return max(spread((a ^ b).tobytes()), spread((a - b).tobytes()))


def two_samples(left, right):
    """How far the bytes of two messages are from one distribution."""
    a, b = (np.bincount(np.frombuffer(side, np.uint8), minlength=256).astype(float) for side in (left, right))
    used = a + b > 0
    if used.sum() < 2:
        return 0.0
    a, b = a[used], b[used]
    grow = math.sqrt(b.sum() / a.sum())
    statistic = float(((grow * a - b / grow) ** 2 / (a + b)).sum())
    return chance.normal(statistic, int(used.sum()) - 1)


def met(data, known):
    """How many 8-byte pieces of a message, at any multiple of 4 bytes, are among known words."""
    windows = [np.frombuffer(data[start:][: (len(data) - start) // 8 * 8], "<u8") for start in (0, 4)]
    return sum(int(np.isin(window, known).sum()) for window in windows)


def known_words(vectors, party=None):
    """8-byte words of the share that the party lacks and of the secret, of elements of 64 bits or more."""
    found = [np.zeros(0, np.uint64)]
    for v in vectors:
        if width(v.kind) >= 64:
            hidden = [v.value()] if party is None else [v.value(), v.parts[(party + 2) % 3]]
            found += [np.frombuffer(to_bytes(v.kind, part), "<u8") for part in hidden]
    known = np.unique(np.concatenate(found))
    return known[(known != 0) & (known != 2**64 - 1)]


def guesses(case, data, own, rows):
    """A row's secret if a message were an unmasked share: the message plus, or less, the party's own two."""
    for kind, (first, second) in zip(case.kinds, own, strict=True):
        size, mine = rows * width(kind) // 8, plus(kind, first, second)
        for start in range(0, len(data) - size + 1, size):
            message = from_bytes(kind, data[start : start + size])
            yield to_bytes(kind, plus(kind, message, mine))
            if kind in RINGS:
                yield to_bytes(kind, minus(kind, message, mine))


def suspicion(case, machine, rows=1500, seed=0):
    """The worst of many statistics on the messages of a primitive, by name; sizes must be equal exactly.

    For secrets that are all 0, all ones, and random, in two executions on the same shares each.
    """
    worst: dict[str, float] = {}

    def look(name, value):
        worst[name] = max(value, worst.get(name, 0.0))

    seen = {}
    for secret in ("zero", "ones", "random"):
        rng = generator(seed, case.name, secret)
        inputs = case.inputs(rng, rows, secret)
        seen[secret] = run = machine(case.run, inputs, 2)
        for party in PARTIES:
            one, two = run.received[party]
            own = [(v.parts[party], v.parts[(party + 1) % 3]) for v in inputs]
            fakes, exact = simulated(case, party, inputs, run.outputs[0], len(one), rng)
            look("exactly the simulated view", math.inf if exact and one not in fakes else 0)
            look("bytes", max(spread(one), spread(two)))
            look("against the simulator", two_samples(one, fakes[0]))
            look("twice", differ(one, two))
            look("words again", math.inf if met(two, pieces(one)) else 0)
            look("hidden words", math.inf if met(one + two, known_words(inputs, party)) else 0)
            for guess in guesses(case, one, own, rows):
                look("guesses", spread(guess))
    for secret in ("ones", "random"):
        for party in PARTIES:
            a, b = seen["zero"], seen[secret]
            same = a.costs[party] == b.costs[party] and lengths(a, party) == lengths(b, party)
            look("sizes, messages and rounds", 0 if same else math.inf)
            look("other secrets", two_samples(a.received[party][0], b.received[party][0]))
            if lengths(a, party) == lengths(b, party):
                look("other secrets, row by row", differ(a.received[party][0], b.received[party][0]))
    return worst


def lengths(seen, party):
    """Bytes that a party received, by execution."""
    return [len(data) for data in seen.received[party]]


def pieces(data):
    """All 8-byte words of a message at multiples of 8."""
    found = np.unique(np.frombuffer(data[: len(data) // 8 * 8], "<u8"))
    return found[(found != 0) & (found != 2**64 - 1)]


# --- distinguishers of openings ---


def opened_permutations(views, rows):
    """The permutations that were opened, from what parties received: the missing shares together are one.

    Which bytes of the views they are is searched for: three shares that add up, or two of which parties 1 and
    2 lack one each, added or XORed, in words of 1, 2 or 4 bytes. It is the same place in all executions, for
    sizes are public; other places hold permutations in all of them once in 2^1000 times.

    Args:
        views: by execution (20 or more), bytes received of parties 0, 1 and 2.
        rows: of the permutation.

    Returns:
        By place, the openings of all executions, [executions, rows].
    """
    found = []
    for word in ("<u1", "<u2", "<u4"):
        size = np.dtype(word).itemsize
        windows = []
        for party in PARTIES:
            data = np.array([np.frombuffer(view[party], np.uint8) for view in views])
            starts = range(0, data.shape[1] - rows * size + 1, min(size, 4))
            cut = [np.ascontiguousarray(data[:, at : at + rows * size]).view(word) for at in starts]
            windows.append(np.array(cut).reshape(len(cut), len(views), rows))
        a, b, c = windows
        for second in b:
            found += permutations_among(c, second, np.add)
            found += permutations_among(c, second, np.bitwise_xor)
            if size == 4:
                for first in a:
                    found += permutations_among(c, first + second, np.add)
    return found


def permutations_among(places, share, together):
    """Of shares [places, executions, rows] those that make a permutation with `share` in every execution."""
    few = together(places[:, :3], share[:3])
    places = places[(np.sort(few, axis=2) == np.arange(few.shape[2])).all(axis=(1, 2))]
    whole = together(places, share)
    return list(whole[(np.sort(whole, axis=2) == np.arange(whole.shape[2])).all(axis=(1, 2))])


def even_permutations(found, rows):
    """How far permutations are from uniform over all of them, by chi-square."""
    numbers = {places: number for number, places in enumerate(permutations(range(rows)))}
    counts = np.bincount([numbers[tuple(int(p) for p in places)] for places in found], minlength=len(numbers))
    return abs(chance.fit(counts, np.full(len(numbers), 1 / len(numbers))))


# --- the last step of a program: thresholds, then the shuffle, then what passes is opened ---


def release(engine, vectors, threshold=3, bits=8, compact_before_threshold=False):
    """Of groups (present, units): opens shuffled flags of what is released; the fault opens presence."""
    present, units = vectors
    least = engine.public(units.kind, threshold, len(units))
    if compact_before_threshold:
        flag, units = engine.shuffle([present, units])
        kept = np.flatnonzero(engine.open(flag))
        units = engine.take(units, kept)
        least = engine.public(units.kind, threshold, len(units))
        passed = engine.xor_public(engine.less(units, least, bits), 1)
    else:
        passed = engine.and_(present, engine.xor_public(engine.less(units, least, bits), 1))
    flag, units = engine.shuffle([passed, units])
    flags = engine.open(flag)
    return [engine.take(units, np.flatnonzero(flags))]


def groups(rng, released, hidden, rows):
    """Groups of which so many are released and so many are below a threshold of 3; the rest is not there."""
    present = [1] * (released + hidden) + [0] * (rows - released - hidden)
    units = [5] * released + [1] * hidden + [0] * (rows - released - hidden)
    return [dealt(rng, "u8", present), dealt(rng, "u8", units)]


class Openings:
    """An engine that notes what is opened."""

    def __init__(self, engine, noted):
        self.engine, self.noted = engine, noted

    def open(self, vector):
        """As the engine does."""
        values = self.engine.open(vector)
        self.noted.append(values.tolist())
        return values

    def __getattr__(self, name):
        return getattr(self.engine, name)
