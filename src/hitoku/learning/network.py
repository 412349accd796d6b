# SPDX-License-Identifier: Apache-2.0
"""A multi-layer perceptron in numpy: all weights in one flat vector, rectified hidden units, one logit.

With no hidden layer it is logistic regression. Weights of layer k lie as a matrix (inputs, outputs)
followed by its offsets.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Network", "Steps", "losses", "sigmoid"]

_CHUNK = 4096
Weights = NDArray[np.float32] | NDArray[np.float64]


def sigmoid(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Probabilities of logits."""
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(logits.astype(np.float64), -60.0, 60.0))))


def losses(logits: NDArray[np.floating], label: NDArray[np.uint8], positive: float) -> NDArray[np.float64]:
    """Every row's logistic loss, times `positive` where the label is 1; shape (rows,)."""
    wide = logits.astype(np.float64)
    loss = np.logaddexp(0.0, np.where(label == 1, -wide, wide))
    return np.asarray(np.where(label == 1, positive, 1.0) * loss)


@dataclass(frozen=True, slots=True)
class Steps:
    """How a member trains by itself between two averages.

    Attributes:
        epochs: passes over its rows.
        batch: rows of a step.
        rate: the learning rate.
        momentum: of the steps.
        l2: decay of weights.
        proximal: pull towards the weights it began with.
        positive: the weight of label 1.
    """

    epochs: int
    batch: int
    rate: float
    momentum: float
    l2: float
    proximal: float
    positive: float


class Network:
    """The shape of a network, and what is computed with a weight vector of it.

    Args:
        inputs: how many.
        layers: hidden units of each layer.
    """

    def __init__(self, inputs: int, layers: tuple[int, ...]) -> None:
        self.sizes = (inputs, *layers, 1)
        self.length = sum((a + 1) * b for a, b in zip(self.sizes, self.sizes[1:], strict=False))

    def parts(self, weights: Weights) -> list[tuple[Weights, Weights]]:
        """Views of each layer's matrix and offsets."""
        made, at = [], 0
        for a, b in zip(self.sizes, self.sizes[1:], strict=False):
            made.append((weights[at : at + a * b].reshape(a, b), weights[at + a * b : at + (a + 1) * b]))
            at += (a + 1) * b
        return made

    def first(self, seed: int, positive: float) -> NDArray[np.float64]:
        """Weights to begin with, the same for everybody.

        He et al. 2015 for hidden units; the last layer begins small, with the logit of the fraction
        `positive` as its offset, so that the first steps are not spent on learning how rare frauds are.
        """
        draw = np.random.Generator(np.random.PCG64(seed))
        weights = np.zeros(self.length)
        parts = self.parts(weights)
        for matrix, _ in parts[:-1]:
            matrix[:] = draw.standard_normal(matrix.shape) * np.sqrt(2.0 / matrix.shape[0])
        if len(parts) > 1:
            parts[-1][0][:] = draw.standard_normal(parts[-1][0].shape) * np.sqrt(0.1 / parts[-1][0].shape[0])
        parts[-1][1][:] = np.log(positive / (1.0 - positive))
        return weights

    def logits(self, weights: Weights, inputs: Weights) -> NDArray[np.float64]:
        """Shape (rows,)."""
        made = np.empty(len(inputs))
        parts = self.parts(weights)
        for k in range(0, len(inputs), _CHUNK):
            values = inputs[k : k + _CHUNK]
            for matrix, offset in parts[:-1]:
                values = np.maximum(values @ matrix + offset, 0)
            made[k : k + _CHUNK] = (values @ parts[-1][0] + parts[-1][1])[:, 0]
        return made

    def _forward(self, weights: Weights, inputs: Weights) -> tuple[list[Weights], NDArray[np.float64]]:
        values: list[Weights] = [inputs]
        parts = self.parts(weights)
        for matrix, offset in parts[:-1]:
            values.append(np.maximum(values[-1] @ matrix + offset, 0))
        return values, (values[-1] @ parts[-1][0] + parts[-1][1])[:, 0]

    def train(
        self,
        weights: NDArray[np.float32],
        inputs: NDArray[np.float32],
        label: NDArray[np.uint8],
        draw: np.random.Generator,
        steps: Steps,
    ) -> NDArray[np.float32]:
        """Steps of stochastic gradient descent with momentum; new weights.

        Args:
            weights: to begin with.
            inputs: shape (rows, inputs).
            label: shape (rows,).
            draw: orders the rows.
            steps: how.
        """
        begun, weights = weights, weights.copy()
        speed, gradient = np.zeros_like(weights), np.empty_like(weights)
        parts, slopes = self.parts(weights), self.parts(gradient)
        weight = np.where(label == 1, np.float32(steps.positive), np.float32(1))
        target = label.astype(np.float32)
        for _ in range(steps.epochs):
            for rows in _batches(draw.permutation(len(label)), steps.batch):
                values, logits = self._forward(weights, inputs[rows])
                delta = (1 / (1 + np.exp(-np.clip(logits, -30, 30))) - target[rows]) * weight[rows]
                back = (delta / np.float32(len(rows)))[:, None]
                for k in range(len(parts) - 1, -1, -1):
                    np.matmul(values[k].T, back, out=slopes[k][0])
                    slopes[k][1][:] = back.sum(0)
                    if k:
                        back = (back @ parts[k][0].T) * (values[k] > 0)
                gradient += steps.l2 * weights
                if steps.proximal:
                    gradient += steps.proximal * (weights - begun)
                speed *= steps.momentum
                speed += gradient
                weights -= steps.rate * speed
        return weights

    def gradient_sums(
        self,
        weights: NDArray[np.float64],
        inputs: NDArray[np.float32],
        label: NDArray[np.uint8],
        positive: float,
        chunk: int,
    ) -> tuple[NDArray[np.float64], float]:
        """The summed gradient, shape (length,), and the summed loss over all rows.

        Products are in single precision, sums over chunks of rows in double.
        """
        short = weights.astype(np.float32)
        parts = self.parts(short)
        made = np.empty(self.length, np.float32)
        slopes = self.parts(made)
        total, loss = np.zeros(self.length), 0.0
        for at in range(0, len(label), chunk):
            truth = label[at : at + chunk]
            values, logits = self._forward(short, inputs[at : at + chunk])
            loss += float(losses(logits, truth, positive).sum())
            residual: NDArray[np.float64] = (sigmoid(logits) - truth) * np.where(truth == 1, positive, 1.0)
            back: Weights = residual.astype(np.float32)[:, None]
            for k in range(len(parts) - 1, -1, -1):
                np.matmul(values[k].T, back, out=slopes[k][0])
                slopes[k][1][:] = back.sum(0)
                if k:
                    back = (back @ parts[k][0].T) * (values[k] > 0)
            total += made
        return total, loss

    def clipped_sums(
        self,
        weights: NDArray[np.float64],
        inputs: NDArray[np.float32],
        label: NDArray[np.uint8],
        positive: float,
        clip: float,
        block: int = 512,
    ) -> Iterator[NDArray[np.float64]]:
        """The sum of each block's gradients, each row's cut to the L2 norm `clip`; shape (length,).

        A row's gradient of a layer is the outer product of its inputs and its slopes, so its norm is the
        product of theirs, and no row's gradient is ever written out (Goodfellow 2015, arXiv 1510.01799).

        Weights come from outside and can be made for a row to overflow. A row whose norm is not a finite
        number counts as 0: one NaN would spoil its whole block, which no clip and no noise covers.
        """
        parts = self.parts(weights)
        for at in range(0, len(label), block):
            truth = label[at : at + block]
            values, logits = self._forward(weights, inputs[at : at + block].astype(np.float64))
            back = ((sigmoid(logits) - truth) * np.where(truth == 1, positive, 1.0))[:, None]
            backs = [back]
            for k in range(len(parts) - 1, 0, -1):
                back = (back @ parts[k][0].T) * (values[k] > 0)
                backs.append(back)
            backs.reverse()
            square = np.zeros(len(truth))
            for value, slope in zip(values, backs, strict=True):
                # 1 more for the offsets, whose input is 1.
                square += ((value * value).sum(1) + 1.0) * (slope * slope).sum(1)
            finite = np.isfinite(square)
            factor = np.minimum(1.0, clip / np.sqrt(np.maximum(np.where(finite, square, 1.0), 1e-300)))
            made = np.empty(self.length)
            for (matrix, offset), value, slope in zip(self.parts(made), values, backs, strict=True):
                cut = np.where(finite[:, None], slope, 0.0) * factor[:, None]
                np.matmul(np.where(finite[:, None], value, 0.0).T, cut, out=matrix)
                offset[:] = cut.sum(0)
            yield made


def _batches(order: NDArray[np.int64], size: int) -> Iterator[NDArray[np.int64]]:
    """Rows of each step; nearly equal batches, so that no last one is tiny."""
    count = max(1, round(len(order) / size))
    yield from (part for part in np.array_split(order, count) if len(part))
