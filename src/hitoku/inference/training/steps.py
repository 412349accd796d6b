# SPDX-License-Identifier: Apache-2.0
"""The circuits of training and predicting with encrypted weights, for each kind of model.

Every weight is a ciphertext with that weight in all slots; samples stand in the slots of plain constants, so
a step needs no rotation. Weights come scaled to [-1, 1] by the model's declared `bound`; the last ciphertext
of the input is the *probe*, whose value both sides know: it goes through the same operations and tells the
owner, who cannot see the others' noise, how exact they were.

- logistic: z = X w; p = 1/2 + a z + b z^3, the least-squares cubic of the sigmoid on [-reach, reach]; the
  gradient's sums are of (p - y) x. Kim, Song, Wang, Xia, Jiang (JMIR Med Inform 2018;6(2):e19) use such
  polynomials.
- linear: k steps of gradient descent on a squared loss are one affine map of the weights: a plain matrix.
- network: one hidden layer with square activations, squared loss; both layers' gradients.

No value inside leaves its modulus: |x w| is at most `reach` (see `Shape.clip`), so scores, probabilities and
residuals are below 2^7, and every level has 40 bits or more above its scale; the sums' constant coefficients
are means over slots, below 2^14 times their scale. Their other coefficients may wrap: they are masked.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from hitoku.hazmat import ring
from hitoku.inference.circuit import Builder, Program
from hitoku.inference.circuit.builder import Value
from hitoku.inference.errors import ModelError

__all__ = [
    "PROBE",
    "Shape",
    "gradient_program",
    "hidden_bits",
    "noise_bound",
    "parameters",
    "score_program",
    "solved",
    "weights_of",
]

Floats = NDArray[np.float64]
Kind = Literal["logistic", "linear", "network"]

PROBE: Final = 0.25
DEGREE: Final = 1 << 14
_BITS: Final = 45
_DATA_SCALE: Final = 2.0**30
_KEPT: Final = 2
"""Primes that sums leave with."""
_FLOOD: Final = 60
_LEVELS: Final = {"logistic": 5, "linear": 2, "network": 8}
_UNIT: Final = 2.0**-24
_MOST_FEATURES: Final = 512
_MOST_HIDDEN: Final = 16


@dataclass(frozen=True, slots=True)
class Shape:
    """What owner and trainer agree on. All of it is public.

    Attributes:
        kind: ``logistic``, ``linear`` or ``network``.
        features: columns of the samples, without the constant 1 that is added for the intercept.
        hidden: of a network, how many hidden units.
        bound: the weights' Euclidean norm is never larger; the owner sees to it.
        reach: |x w| is never larger, since the trainer scales a sample down whose norm (with the constant 1)
            is above `clip` = reach / bound. Of logistic regression, the sigmoid's polynomial is right up to
            it.
    """

    kind: Kind
    features: int
    hidden: int = 0
    bound: float = 4.0
    reach: float = 8.0

    def __post_init__(self) -> None:
        """Refuse what cannot be. Raises ModelError."""
        if self.kind not in _LEVELS:
            raise ModelError("VALUE", "is logistic, linear or network", where="kind")
        if not 1 <= self.features <= _MOST_FEATURES:
            raise ModelError("VALUE", f"are 1 to {_MOST_FEATURES}", where="features")
        if (self.kind == "network") != (1 <= self.hidden <= _MOST_HIDDEN):
            raise ModelError(
                "VALUE", f"are 1 to {_MOST_HIDDEN} for a network, none otherwise", where="hidden units"
            )
        if not (0 < self.bound < 1e6 and 1 <= self.reach <= 32):
            raise ModelError("VALUE", "are above 0, the reach from 1 to 32", where="bound and reach")

    @property
    def clip(self) -> float:
        """No sample's norm is larger: by Cauchy and Schwarz, no |x w| is beyond `reach` then."""
        return self.reach / self.bound

    @property
    def residual(self) -> float:
        """|p - y| of logistic regression is never larger, for |x w| up to `reach` and labels from 0 to 1."""
        first, third = self.sigmoid
        z = np.linspace(-self.reach, self.reach, 2001)
        p = 0.5 + first * z + third * z**3
        return float(np.maximum(np.abs(p), np.abs(p - 1)).max()) * (1 + 1e-6)

    @property
    def weights(self) -> int:
        """How many weights there are."""
        inputs = self.features + 1
        return inputs if self.kind != "network" else self.hidden * inputs + self.hidden + 1

    @property
    def sigmoid(self) -> tuple[float, float]:
        """The coefficients of z and z^3 of the least-squares cubic on [-reach, reach]."""
        z = np.linspace(-self.reach, self.reach, 2001)
        basis = np.stack([z, z**3], axis=1)
        found = np.linalg.lstsq(basis, 1 / (1 + np.exp(-z)) - 0.5, rcond=None)[0]
        return float(found[0]), float(found[1])


def parameters(shape: Shape) -> ring.Parameters:
    """The ring: degree 16384, so many primes of 45 bits as the circuit is deep; 128 bits of security."""
    primes = ring.find_primes(DEGREE, [_BITS] * (_LEVELS[shape.kind] + 1))
    return ring.Parameters(DEGREE, primes[:-1], primes[-1])


def weights_of(shape: Shape, weights: Floats) -> Floats:
    """The circuit's input [weights + 1, slots]: the weights scaled, alike in all slots; then the probe.

    Raises:
        ModelError: their norm is beyond the bound (``RANGE``), or they are not as many numbers (``SHAPE``).
    """
    if weights.shape != (shape.weights,) or not np.isfinite(weights).all():
        raise ModelError("SHAPE", f"are {shape.weights} finite numbers", where="weights")
    if np.linalg.norm(weights) > shape.bound * (1 + 1e-9):
        raise ModelError(
            "RANGE",
            f"have a norm beyond {shape.bound:g}, for which the circuit was made",
            where="weights",
            remedy="take smaller steps, decay the weights, scale the features, or declare a larger bound",
        )
    column = np.append(weights / shape.bound, PROBE)
    return np.repeat(column[:, None], DEGREE // 2, axis=1)


def _samples(shape: Shape, x: Floats, y: Floats | None = None) -> tuple[Floats, Floats]:
    """Samples as constants: [features + 1, slots] with zeros where there is none, and labels [slots]."""
    slots = DEGREE // 2
    if x.ndim != 2 or x.shape[1] != shape.features or not 1 <= len(x) <= slots:
        raise ModelError(
            "SHAPE",
            f"are [1 to {slots:,}, {shape.features}] numbers",
            where="samples",
            remedy="use smaller batches",
        )
    if not np.isfinite(x).all():
        raise ModelError("VALUE", "are not finite everywhere", where="samples")
    with_one = np.column_stack([x, np.ones(len(x))])
    if shape.kind != "linear":
        norms = np.linalg.norm(with_one, axis=1)
        with_one /= np.maximum(1.0, norms / shape.clip)[:, None]
    rows = np.zeros((shape.features + 1, slots))
    rows[:, : len(x)] = with_one.T
    labels = np.zeros(slots)
    if y is not None:
        if y.shape != (len(x),) or not np.isfinite(y).all():
            raise ModelError("SHAPE", f"are {len(x)} finite numbers", where="labels")
        labels[: len(x)] = y
    return rows, labels


def _begin(shape: Shape) -> tuple[Builder, Value]:
    b = Builder(DEGREE // 2)
    scale = float(parameters(shape).primes[-1])
    return b, b.input("w", count=shape.weights + 1, scale=scale, level=_LEVELS[shape.kind], bound=1.0)


def _times(b: Builder, x: Value, values: Any, scale: float) -> Value:
    """The product with plain constants, rescaled."""
    return b.rescale(b.multiply_plain(x, values, to=scale))


def _product(b: Builder, x: Value, z: Value) -> Value:
    level = min(x.level, z.level)
    return b.rescale(b.relinearise(b.multiply(b.drop(x, level), b.drop(z, level))))


def _linear(b: Builder, w: Value, first: int, rows: Floats, scale: float) -> Value:
    """X w of the weights from `first` on: one ciphertext, a sample a slot."""
    chosen = b.take(w, range(first, first + len(rows)))
    return b.rescale(b.total(b.multiply_plain(chosen, rows, to=scale)))


def gradient_program(shape: Shape, x: Floats, y: Floats) -> Program:
    """A gradient over samples: outputs [weights + 1] whose constant coefficients are means over slots.

    Args:
        shape: the model.
        x: samples [n, features].
        y: labels [n]: 0 or 1, or numbers.

    Raises:
        ModelError: samples or labels do not fit (``SHAPE``, ``VALUE``).
    """
    rows, labels = _samples(shape, x, y)
    b, w = _begin(shape)
    scale = float(parameters(shape).primes[-1])
    probe = b.take(w, [shape.weights])
    if shape.kind == "logistic":
        outputs = _logistic(b, shape, w, probe, rows, labels, scale)
    elif shape.kind == "network":
        outputs = _network(b, shape, w, probe, rows, labels, scale)
    else:
        raise ModelError("VALUE", "is trained by `solved` steps, not by gradients", where="linear regression")
    b.output("sums", outputs, level=_KEPT, flood_bits=_FLOOD)
    return b.build()


def _logistic(
    b: Builder, shape: Shape, w: Value, probe: Value, rows: Floats, labels: Floats, scale: float
) -> Value:
    with b.layer("scores"):
        # In units of the reach: |z| <= 1 where the polynomial is right.
        z = _linear(b, w, 0, rows * (shape.bound / shape.reach), scale)
        both = b.concatenate([z, _times(b, probe, 1.0, scale)])
    first, third = shape.sigmoid
    with b.layer("sigmoid"):
        square = b.rescale(b.relinearise(b.square(both)))
        cubed = _product(b, _times(b, both, third * shape.reach**3, scale), square)
        p = b.add_plain(b.add(cubed, b.drop(_times(b, both, first * shape.reach, scale), cubed.level)), 0.5)
    with b.layer("gradient"):
        away = b.add_plain(b.take(p, [0] * len(rows)), np.repeat(-labels[None], len(rows), axis=0))
        sums = b.multiply_plain(b.drop(away, _KEPT), rows, _DATA_SCALE)
        check = b.multiply_plain(b.drop(b.take(p, [1]), _KEPT), 1.0, _DATA_SCALE)
    return b.concatenate([sums, check])


def _network(
    b: Builder, shape: Shape, w: Value, probe: Value, rows: Floats, labels: Floats, scale: float
) -> Value:
    inputs, hidden = len(rows), shape.hidden
    top = b.take(w, range(hidden * inputs, hidden * inputs + hidden))
    with b.layer("hidden"):
        z = b.concatenate([_linear(b, w, h * inputs, rows * shape.bound, scale) for h in range(hidden)])
        a = b.rescale(b.relinearise(b.square(z)))
    with b.layer("output"):
        weighed = _times(b, top, shape.bound, scale)
        out = b.total(_product(b, a, weighed))
        last = b.take(w, [hidden * inputs + hidden])
        out = b.add(out, b.drop(_times(b, last, shape.bound, scale), out.level))
        away = b.add_plain(out, -labels[None])
        # Slots without a sample have an output, too. They must not count.
        away = _times(b, away, (rows[-1] != 0).astype(np.float64), scale)
    with b.layer("gradient"):
        second = _product(b, a, away)
        back = _product(b, _product(b, weighed, away), z)
        kept = min(second.level, back.level, _KEPT)
        sums = [
            b.multiply_plain(b.drop(b.take(back, [h] * inputs), kept), 2.0 * rows, _DATA_SCALE)
            for h in range(hidden)
        ]
        sums.append(b.multiply_plain(b.drop(second, kept), 1.0, _DATA_SCALE))
        sums.append(b.multiply_plain(b.drop(away, kept), 1.0, _DATA_SCALE))
        check = probe
        for _ in range(2):
            check = b.rescale(b.relinearise(b.square(check)))
        sums.append(b.multiply_plain(b.drop(check, kept), 1.0, _DATA_SCALE))
    return b.concatenate(sums)


def probed(shape: Shape) -> float:
    """What the probe's constant coefficient must be."""
    if shape.kind == "network":
        return PROBE**4
    if shape.kind == "linear":
        return PROBE
    first, third = shape.sigmoid
    return 0.5 + first * shape.reach * PROBE + third * (shape.reach * PROBE) ** 3


def solved(shape: Shape, x: Floats, y: Floats, rate: float, steps: int, decay: float) -> Program:
    """Linear regression: `steps` steps of gradient descent on all samples, as one map of the weights.

    w <- w - rate (X'(X w - y) / n + decay w), over and over: w <- A w + c. Outputs [weights + 1].

    Raises:
        ModelError: samples do not fit, or the steps diverge (``RANGE``).
    """
    rows, labels = _samples(shape, x, y)
    n = len(x)
    with np.errstate(over="ignore", invalid="ignore"):
        gram = rows @ rows.T / n + decay * np.eye(len(rows))
        once = np.eye(len(rows)) - rate * gram
        map_, shift = np.eye(len(rows)), np.zeros(len(rows))
        for _ in range(steps):
            map_, shift = once @ map_, once @ shift + rate * (rows @ labels) / n
    if not (np.isfinite(map_).all() and np.abs(map_).max() <= 64):
        raise ModelError("RANGE", "diverge on these samples", where="the steps", remedy="a smaller rate")
    b, w = _begin(shape)
    whole = np.zeros((shape.weights + 1, shape.weights + 1), np.int64)
    whole[:-1, :-1] = np.rint(map_ / _UNIT)
    whole[-1, -1] = round(1 / _UNIT)
    moved = b.matrix(w, whole, np.append(shift / shape.bound, 0.0), _UNIT)
    b.output("sums", moved, level=_KEPT, flood_bits=_FLOOD - 6)
    return b.build()


def score_program(shape: Shape, x: Floats) -> Program:
    """Scores of plain samples under encrypted weights: one ciphertext, a sample a slot; no sigmoid.

    Raises:
        ModelError: samples do not fit.
    """
    rows, _ = _samples(shape, x)
    b, w = _begin(shape)
    scale = float(parameters(shape).primes[-1])
    if shape.kind == "network":
        inputs, hidden = len(rows), shape.hidden
        z = b.concatenate([_linear(b, w, h * inputs, rows * shape.bound, scale) for h in range(hidden)])
        a = b.rescale(b.relinearise(b.square(z)))
        top = b.take(w, range(hidden * inputs, hidden * inputs + hidden))
        out = b.total(_product(b, a, _times(b, top, shape.bound, scale)))
        last = b.take(w, [hidden * inputs + hidden])
        out = b.add(out, b.drop(_times(b, last, shape.bound, scale), out.level))
    else:
        out = _linear(b, w, 0, rows * shape.bound, scale)
    # The lowest flooding that covers a key switch's noise: the answer goes to the weights' owner.
    b.output("scores", b.drop(out, min(out.level, _KEPT)), flood_bits=20)
    return b.build()


def noise_bound(shape: Shape, program: Program, params: ring.Parameters, x: Floats, y: Floats) -> float:
    """What the circuit's noise adds to a constant coefficient at most, for weights within the bound.

    A constant coefficient is a mean over slots. In each slot the weights are taken that make the most of its
    sample. The noise depends on the samples: privacy must count it.
    """
    from hitoku.inference.interpreters import noise, ranges

    rows, _ = _samples(shape, x, y)
    norms = np.linalg.norm(rows, axis=0)
    weights = np.vstack([rows / np.where(norms > 0, norms, 1.0), np.full(rows.shape[1], PROBE)])
    (name,) = program.inputs
    found = noise.find(program, params, ranges.observed(program, {name: weights}, 1).widened(2.0))
    ((_, index),) = program.outputs.items()
    return float(found.before[index])


def hidden_bits(program: Program, params: ring.Parameters) -> float:
    """How many bits wider the flooding is than the circuit's worst noise in any slot, for typical weights."""
    from hitoku.inference.interpreters import noise, ranges

    (name,) = program.inputs
    count = program.nodes[program.inputs[name]].count
    weights = np.repeat(
        np.random.default_rng(0).uniform(-1, 1, count)[:, None] / np.sqrt(count), program.slots, axis=1
    )
    found = noise.find(program, params, ranges.observed(program, {name: weights}, 1).widened(2.0))
    ((output, index),) = program.outputs.items()
    flood = program.releases()[output].flood_bits
    return 0.0 if flood is None else flood + 1 - math.log2(found.before[index])
