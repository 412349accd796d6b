# SPDX-License-Identifier: Apache-2.0
"""The trainer: has samples in clear, and weights that it cannot read."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hitoku.hazmat import ring
from hitoku.inference.circuit import Program
from hitoku.inference.errors import ModelError
from hitoku.inference.interpreters.encrypted import Encrypted, EvaluationKeys
from hitoku.inference.training import messages, steps
from hitoku.inference.training.masking import masked

__all__ = ["EncryptedModel", "EncryptedSGD", "Refresher"]

Floats = NDArray[np.float64]
_GRAIN = 1 << 24


class Refresher(Protocol):
    """Turns sums into new encrypted weights: the owner, here or over a connection.

    Another one may fill this place later, with a scheme that bootstraps.
    """

    def refresh(self, message: bytes) -> bytes:
        """The next weights, encrypted."""
        ...


class EncryptedModel:
    """Weights that cannot be read here, and plain samples to score with them.

    Args:
        keys: what `ModelOwner.keys` made.
        weights: what `ModelOwner.send` made.
        threads: how many threads; None: every core that the process may use.

    Raises:
        ModelError: they are damaged, or do not go together.
    """

    def __init__(self, keys: bytes, weights: bytes, *, threads: int | None = None) -> None:
        self.shape, public, relinearisation = messages.read_keys(keys)
        self.params = steps.parameters(self.shape)
        self.threads = threads
        self._keys = EvaluationKeys(public, relinearisation, None)
        self._weights = messages.read_weights(self.shape, weights)

    def scores(self, x: ArrayLike) -> bytes:
        """Encrypted scores of samples [n, features], for the owner to decrypt.

        Raises:
            ModelError: the samples do not fit.
        """
        program = steps.score_program(self.shape, np.asarray(x, dtype=np.float64))
        found = self._run(program)["scores"]
        return messages.write_scores(self.shape, found)

    def _run(self, program: Program) -> dict[str, ring.Ciphertexts]:
        return Encrypted(program, self.params).run({"w": self._weights}, self._keys, self.threads)


class EncryptedSGD(EncryptedModel):
    """Trains an encrypted model on plain samples.

    Args:
        keys: what `ModelOwner.keys` made.
        weights: what `ModelOwner.send` made.
        refresher: the owner; called once a round.
        noise_multiplier: Gaussian noise on a gradient's sums, in multiples of what one sample can add to
            them; 0: none. A round then is rho-zCDP with rho = 1 / (2 noise_multiplier^2) for whether one
            sample counts or is a row of zeros, and with 4 rho for which values one sample has (Bun and
            Steinke, ePrint 2016/816, proposition 1.6), but for a delta of 2^-37 a weight. How many samples
            there are is told exactly. **It holds for owners that keep to the protocol alone**: encrypted
            weights cannot be checked. Weights beyond the bound, or of one slot alone, make one sample's part
            as large as an owner wishes. Of logistic regression alone.
        threads: how many threads; None: every core that the process may use.

    Attributes:
        rho: the zCDP spent so far.

    Raises:
        ModelError: keys or weights are damaged, or noise is asked for where it cannot be had.
    """

    def __init__(
        self,
        keys: bytes,
        weights: bytes,
        refresher: Refresher,
        *,
        noise_multiplier: float = 0.0,
        threads: int | None = None,
    ) -> None:
        super().__init__(keys, weights, threads=threads)
        if noise_multiplier < 0 or (noise_multiplier and self.shape.kind != "logistic"):
            raise ModelError(
                "VALUE", "is 0 or more, and 0 but for logistic regression", where="noise_multiplier"
            )
        self._refresher, self._noise = refresher, noise_multiplier
        self._ready: tuple[Any, Encrypted] | None = None
        self.rho = 0.0

    def partial_fit(self, x: ArrayLike, y: ArrayLike, *, rounds: int = 1) -> EncryptedSGD:
        """Rounds of gradient descent on samples; the owner takes the steps.

        Args:
            x: samples [n, features], n at most half the ring's degree. A sample whose norm with the constant
                1 is above ``shape.clip`` is scaled down.
            y: labels [n]: 0 or 1 for logistic regression.
            rounds: how many.

        Raises:
            ModelError: samples do not fit, or the owner refuses.
        """
        given = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
        if self.shape.kind == "logistic" and not np.isin(given[1], (0.0, 1.0)).all():
            raise ModelError("VALUE", "are 0 or 1", where="labels")
        program = steps.gradient_program(self.shape, *given)
        circuit = Encrypted(program, self.params)
        worst = steps.noise_bound(self.shape, program, self.params, *given) if self._noise else 0.0
        for _ in range(rounds):
            sums = circuit.run({"w": self._weights}, self._keys, self.threads)["sums"]
            added = self._drawn(sums.scale, sums.count, worst)
            facts = {"samples": len(given[0]), "what": "gradient"}
            # Before it leaves: an owner that refuses has read it.
            if self._noise:
                self.rho += 1 / (2 * self._noise**2)
            self._send(masked(sums, added), facts)
        return self

    def fit_linear(
        self, x: ArrayLike, y: ArrayLike, *, rate: float = 0.1, steps_: int = 100, decay: float = 0.0
    ) -> EncryptedSGD:
        """Linear regression: `steps_` steps of gradient descent in one round, since they are one affine map.

        Raises:
            ModelError: samples do not fit, the steps diverge, or the owner refuses.
        """
        if self.shape.kind != "linear":
            raise ModelError("VALUE", "is for linear regression", where="fit_linear")
        given = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
        sums = self._run(steps.solved(self.shape, *given, rate, steps_, decay))["sums"]
        self._send(masked(sums), {"samples": len(given[0]), "what": "weights"})
        return self

    def _send(self, sums: ring.Ciphertexts, facts: dict[str, Any]) -> None:
        answer = self._refresher.refresh(messages.write_sums(self.shape, sums, facts))
        self._weights = messages.read_weights(self.shape, answer)

    def _drawn(self, scale: float, count: int, worst: float) -> list[int] | None:
        """Noise on the constant coefficients, drawn exactly by opendp; None where there is none."""
        if not self._noise:
            return None
        import opendp.prelude as dp

        # Opens the mechanisms of opendp that nobody outside it has vetted yet; the Gaussian is one.
        dp.enable_features("contrib")
        # A sample adds at most clip * residual to the sums, so that over the slots to the constant
        # coefficient; and it moves the circuit's noise, which is `worst` at most, in each of them. Noise is
        # drawn in grains of 2^24, since it would not fit 64 bits; what is finer than a grain lies under the
        # flooding, 2^61 wide: delta grows by 2^-37 a coefficient.
        signal = self.shape.clip * self.shape.residual * scale / self.params.slots
        one = (signal + 2 * worst * np.sqrt(count)) / _GRAIN + np.sqrt(count)
        space = dp.vector_domain(dp.atom_domain(T="i64")), dp.l2_distance(T=float)
        draw = space >> dp.m.then_gaussian(scale=float(self._noise * one))
        return [*(int(v) * _GRAIN for v in draw([0] * (count - 1))), 0]
