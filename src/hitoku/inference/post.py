# SPDX-License-Identifier: Apache-2.0
"""The last steps of a prediction, which the client does in the clear on the scores it has decrypted.

None of them needs anything of the model. Where a model ends in one of them, the scores before it are what is
computed on encrypted inputs: a client that sees them learns what the step would have taken away (softmax:
one common summand; argmax: the scores themselves). Who serves a model can round scores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hitoku.inference.errors import ModelError

__all__ = ["STEPS", "apply", "check"]


def _softmax(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _log_softmax(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    moved = scores - scores.max(axis=1, keepdims=True)
    return np.asarray(moved - np.log(np.exp(moved).sum(axis=1, keepdims=True)))


def _argmax(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """One score decides by its sign."""
    best = (scores[:, 0] > 0) if scores.shape[1] == 1 else scores.argmax(axis=1)
    return np.asarray(best, dtype=np.float64)[:, None]


def _share(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each row divided by its sum; a row of zeros becomes equal shares, as scikit-learn has it."""
    total = values.sum(axis=1, keepdims=True)
    equal = np.full_like(values, 1 / values.shape[1])
    return np.asarray(np.divide(values, total, out=equal, where=total != 0))


STEPS: Final[dict[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]]] = {
    "argmax": _argmax,
    "complement": lambda p: np.hstack([1.0 - p, p]),
    "exp": lambda scores: np.exp(np.minimum(scores, 700.0)),
    "log_softmax": _log_softmax,
    "share": _share,
    "sigmoid": lambda scores: np.asarray(0.5 * (1.0 + np.tanh(0.5 * scores))),
    "softmax": _softmax,
    "tanh": lambda scores: np.tanh(scores),
}
"""[batch, columns] to the same rows. ``complement``: one probability p becomes two columns, 1 - p and p."""


def check(steps: Iterable[str]) -> None:
    """Raises ModelError where a step is not known."""
    for step in steps:
        if step not in STEPS:
            raise ModelError("FORMAT", "is not a known last step", where=f'post "{step}"')


def apply(steps: Iterable[str], scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scores [batch, out] after the steps, [batch, columns].

    Raises:
        ModelError: a step that is not known.
    """
    found = scores
    for step in steps:
        check([step])
        found = STEPS[step](found)
    return found
