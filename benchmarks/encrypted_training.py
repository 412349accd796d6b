# SPDX-License-Identifier: Apache-2.0
"""Logistic regression with encrypted weights on scikit-learn's breast cancer data, beside scikit-learn's own.

A part of `inference.py`, run as a process so that its memory is its own. Owner and trainer are two objects
here; what goes between them is bytes. Prints one JSON object. Labels of the test set are used for nothing
but the score.
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

from hitoku.inference.training import EncryptedSGD, ModelOwner, Shape, steps

SEEDS = tuple(range(8, 14))
"""Splits. Rate, momentum, bound and reach were chosen by simulating in the clear on splits 0 to 7."""
ROUNDS = 16
SCALE = 0.3
"""Standardised features times this: most samples' norms are then below the clip."""


class Counting:
    """The owner, and how many bytes go to it in a round."""

    def __init__(self, owner: ModelOwner) -> None:
        self._owner, self.bytes = owner, 0

    def refresh(self, message: bytes) -> bytes:
        """Pass it on."""
        self.bytes = len(message)
        return self._owner.refresh(message)


def main(quick: bool) -> None:
    """Train and score."""
    samples, labels = load_breast_cancer(return_X_y=True)
    clear, encrypted, times, hidden, up, down = [], [], [], 0.0, 0, 0
    for seed in SEEDS[: 1 if quick else None]:
        x, tested, y, wanted = train_test_split(
            samples, labels, test_size=0.3, random_state=seed, stratify=labels
        )
        mean, deviation = x.mean(0), x.std(0)
        x, tested = (x - mean) / deviation, (tested - mean) / deviation
        clear.append(LogisticRegression(max_iter=1000).fit(x, y).score(tested, wanted))
        owner = ModelOwner(Shape("logistic", x.shape[1], bound=10.0, reach=10.0), rate=16.0, momentum=0.9)
        begun = owner.send()
        link = Counting(owner)
        trainer = EncryptedSGD(owner.keys(), begun, link)
        if not hidden:
            circuit = steps.gradient_program(owner.shape, x * SCALE, y.astype(float))
            hidden, down = steps.hidden_bits(circuit, trainer.params), len(begun)
        for _ in range(4 if quick else ROUNDS):
            start = time.perf_counter()
            trainer.partial_fit(x * SCALE, y.astype(float))
            times.append(time.perf_counter() - start)
        scores = owner.scores(trainer.scores(tested * SCALE), len(tested))
        up = link.bytes
        encrypted.append(float(((scores > 0) == wanted).mean()))
    print(
        json.dumps(
            {
                "clear": float(np.mean(clear)),
                "encrypted": float(np.mean(encrypted)),
                "splits": len(clear),
                "steps": len(times) // len(clear),
                "step_seconds": float(np.median(times)),
                "hidden_bits": hidden,
                "up": up,
                "down": down,
            }
        )
    )


if __name__ == "__main__":
    main("--quick" in sys.argv)
