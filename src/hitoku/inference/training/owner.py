# SPDX-License-Identifier: Apache-2.0
"""The model's owner: has the secret key, sees weights and summed gradients, and never a sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hitoku.hazmat import ring
from hitoku.inference.errors import ModelError
from hitoku.inference.training import messages, steps
from hitoku.inference.training.masking import constant
from hitoku.inference.training.steps import PROBE, Shape

__all__ = ["ModelOwner", "Round"]

Floats = NDArray[np.float64]
_PRECISION = 1e-3
"""So far off may the probe be; a refresh that is less exact is refused."""


@dataclass(frozen=True, slots=True)
class Round:
    """What the owner saw of one refresh.

    Attributes:
        samples: how many samples the trainer says it used.
        off: how far the probe was from what it must be.
        norm: of the gradient, or of the change of the weights.
    """

    samples: int
    off: float
    norm: float


class ModelOwner:
    """Owns an encrypted model; a `Refresher`.

    Args:
        shape: the model.
        rate: the learning rate.
        momentum: how much of the step before goes into the next one; the owner has it in clear, so it is
        free. decay: L2 regularisation.
        weights: where it begins; None: zeros, and small random weights for a network.
        threads: how many threads; None: every core that the process may use.

    Attributes:
        rounds: what was seen of each refresh.
        refused_off: how far off the probe was that was refused; for the owner's eyes alone.
    """

    def __init__(
        self,
        shape: Shape,
        *,
        rate: float = 0.1,
        momentum: float = 0.0,
        decay: float = 0.0,
        weights: Floats | None = None,
        threads: int | None = None,
    ) -> None:
        if not (0 < rate < 1e6 and 0 <= momentum < 1 and 0 <= decay < 1e6):
            raise ModelError(
                "VALUE", "is above 0, momentum from 0 to below 1, decay not negative", where="rate"
            )
        self.shape, self.rate, self.momentum, self.decay = shape, rate, momentum, decay
        self.threads = threads
        self._params = steps.parameters(shape)
        self._secret = ring.SecretKey.generate(self._params)
        self.rounds: list[Round] = []
        if weights is None:
            weights = np.zeros(shape.weights)
            if shape.kind == "network":
                weights = np.random.default_rng().normal(size=shape.weights)
                weights *= 0.3 * shape.bound / np.linalg.norm(weights)
        self.weights = np.asarray(weights, dtype=np.float64)
        steps.weights_of(shape, self.weights)
        self._velocity = np.zeros(shape.weights)
        self._closed = False
        self.refused_off: float | None = None

    def __repr__(self) -> str:
        return f"ModelOwner({self.shape.kind!r}, features={self.shape.features})"

    def keys(self) -> bytes:
        """Public keys for the trainer, once."""
        return messages.write_keys(
            self.shape, self._secret.public_key(), self._secret.relinearisation_key(threads=self.threads)
        )

    def send(self) -> bytes:
        """The weights, encrypted.

        Raises:
            ModelError: their norm is beyond the model's bound.
        """
        values = steps.weights_of(self.shape, self.weights)
        params = self._params
        plain = ring.encode(params, values, float(params.primes[-1]), params.levels, threads=self.threads)
        return messages.write_weights(self.shape, self._secret.encrypt(plain, threads=self.threads))

    def refresh(self, message: bytes) -> bytes:
        """Take a step with the trainer's sums, and give the new weights, encrypted.

        A gradient's step that would leave the ball of the bound ends on it (projected gradient descent).

        **Reaction attacks.** Sums are whatever the trainer sends: a weight in the probe's place, say. What is
        refused because of what was decrypted therefore is a bit about the weights or the key, so the error
        holds no decrypted number, and the first one closes this owner: R rounds tell log2(R + 1) bits at
        most. A new owner with these `weights` has a new key, and tells as much again.

        Raises:
            ModelError: the message is damaged, or of another model; the probe came back wrong
                (``PRECISION``), now or before; or the new weights are beyond the bound (``RANGE``). The
                weights stay as they were then.
        """
        if self._closed:
            raise ModelError(
                "PRECISION",
                "sums were refused before: this key answers no more",
                where="refresh",
                remedy="make a new ModelOwner with the same weights, if the trainer is still trusted",
            )
        sums, facts = messages.read_sums(self.shape, message)
        try:
            return self._stepped(sums, facts)
        except ModelError:
            self._closed = True
            raise

    def _stepped(self, sums: ring.Ciphertexts, facts: dict[str, Any]) -> bytes:
        found = constant(self._secret.decrypt(sums, threads=self.threads))
        off = abs(found[-1] - steps.probed(self.shape))
        if not off <= _PRECISION:
            self.refused_off = float(off)
            raise ModelError(
                "PRECISION",
                f"the probe came back more than {_PRECISION:g} off",
                where="refresh",
                remedy="the trainer computes something else, or a value left the modulus",
            )
        slots, n = self._params.slots, facts["samples"]
        if facts["what"] == "weights":
            new = found[:-1] * self.shape.bound
        else:
            gradient = found[:-1] * slots / n + self.decay * self.weights
            self._velocity = self.momentum * self._velocity - self.rate * gradient
            new = self.weights + self._velocity
            new *= min(1.0, self.shape.bound / max(float(np.linalg.norm(new)), 1e-12))
        steps.weights_of(self.shape, new)
        self.rounds.append(Round(n, float(off), float(np.linalg.norm(new - self.weights))))
        self.weights = new
        return self.send()

    def scores(self, message: bytes, samples: int) -> Floats:
        """Scores [samples] that a host computed with the encrypted weights.

        Raises:
            ModelError: the message is damaged, or of another model.
        """
        found = messages.read_scores(self.shape, message)
        return ring.decode(self._secret.decrypt(found, threads=self.threads))[0, :samples]

    def erase(self) -> None:
        """Wipe the secret key."""
        self._secret.erase()

    @property
    def probe(self) -> float:
        """The value that goes with the weights, which both sides know."""
        return PROBE
