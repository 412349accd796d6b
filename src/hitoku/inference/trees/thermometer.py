# SPDX-License-Identifier: Apache-2.0
"""How a client of a forest fills ciphertexts: the bits of `bits.Thermometer`, for many samples or for one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from hitoku.inference.arrays import Floats, Shape
from hitoku.inference.errors import ModelError
from hitoku.inference.trees.bits import Thermometer
from hitoku.inference.trees.placement import arrangement

__all__ = ["ThermometerEncoder"]


@dataclass(frozen=True, eq=False)
class ThermometerEncoder:
    """Samples to slots (see `inference.encoders.Encoder`).

    Attributes:
        bits: what the bits are.
        slots: of a ciphertext.
        layout: ``batch``: one bit a ciphertext, one sample a slot; ``packed``: all bits of one sample in
            the public arrangement of `placement`.
    """

    kind: ClassVar[str] = "thermometer"
    bits: Thermometer
    slots: int
    layout: Literal["batch", "packed"]

    @property
    def shape(self) -> Shape:
        """Of one sample."""
        return (self.bits.features,)

    @property
    def samples(self) -> int:
        """How many samples one request holds."""
        return self.slots if self.layout == "batch" else 1

    @cached_property
    def _order(self) -> NDArray[np.int64]:
        return arrangement(self.bits.bits, self.slots)

    @property
    def count(self) -> int:
        """How many ciphertexts one request has."""
        return self.bits.bits if self.layout == "batch" else len(self._order)

    def encode(self, x: Any) -> Floats:
        """Samples [n, features] as float64[count, slots].

        Raises:
            ModelError: too many samples or another shape (``SHAPE``), or values that the model does not take
                (``VALUE``); features are named, values never quoted.
        """
        values = np.asarray(x)
        if values.ndim != 2 or not 1 <= len(values) <= self.samples:
            raise ModelError(
                "SHAPE",
                f"a request holds 1 to {self.samples} samples, in the rows of an array",
                where="input",
                remedy="split the samples over several requests",
            )
        bits = self.bits.encode(values)
        if self.layout == "packed":
            return np.asarray(bits[0][self._order], dtype=np.float64)
        found = np.zeros((self.count, self.slots))
        found[:, : len(bits)] = bits.T
        return found

    def to_json(self) -> dict[str, Any]:
        """As JSON-ready data, without `kind`."""
        return {"layout": self.layout, "bits": self.bits.to_dict()}

    @classmethod
    def from_json(cls, data: Any, slots: int) -> ThermometerEncoder:
        """Read what `to_json` wrote.

        Raises:
            ModelError: it is damaged (``FORMAT``) or past a limit (``TOO_LARGE``).
        """
        layout = data.get("layout") if isinstance(data, dict) else None
        if layout not in ("batch", "packed") or not isinstance(data.get("bits"), dict):
            raise ModelError("FORMAT", "is no thermometer encoder", where="encoder")
        return cls(Thermometer.from_dict(data["bits"]), slots, layout)
