# SPDX-License-Identifier: Apache-2.0
"""How a client brings samples into slots: declared bounds, scaling, arrangement.

Every encoder scales a value x to (x - offset) / factor, which is in [-1, 1] for all values inside the bounds,
and refuses what is outside: beyond its bounds a circuit's values may overflow and its polynomials are wrong.
A refusal says which feature of which sample, never its value. Bounds are public: whoever gets the client
specification reads them. They come from calibration samples, widened to round numbers, or are stated.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Protocol

import numpy as np

from hitoku.inference.arrays import Floats, Shape, size_of, text_of
from hitoku.inference.errors import ModelError

__all__ = ["BatchEncoder", "Encoder", "PackedEncoder", "Scaler", "bounds_of", "read"]

MAX_FEATURES: Final = 1 << 20
MAX_SLOTS: Final = 1 << 14
MAX_CIPHERTEXTS: Final = 1 << 20


class Encoder(Protocol):
    """What a client specification needs of an encoder."""

    kind: ClassVar[str]

    @property
    def shape(self) -> Shape:
        """Of one sample."""
        ...

    @property
    def samples(self) -> int:
        """How many samples one request holds."""
        ...

    @property
    def count(self) -> int:
        """How many ciphertexts one request has."""
        ...

    def encode(self, x: Floats) -> Floats:
        """Samples [n, *shape], checked, as float64[count, slots]. Raises ModelError."""
        ...

    def to_json(self) -> dict[str, Any]:
        """As JSON-ready data, without `kind`."""
        ...


def read(data: Any, slots: int) -> Encoder:
    """The encoder of a client specification.

    Raises:
        ModelError: it is of an unknown kind (``FORMAT``) or damaged (``FILE``).
    """
    kind = data.get("kind") if isinstance(data, dict) else None
    if kind == "batch":
        return BatchEncoder(Scaler.from_json(data.get("scaler")), slots)
    if kind == "packed":
        return PackedEncoder.from_json(data, slots)
    if kind == "thermometer":
        from hitoku.inference.trees.thermometer import ThermometerEncoder

        return ThermometerEncoder.from_json(data, slots)
    raise ModelError("FORMAT", "names an encoder that is not known here", where="client specification")


@dataclass(frozen=True, eq=False)
class Scaler:
    """Bounds of every feature and the map to [-1, 1].

    Attributes:
        shape: of one sample.
        low: [features] the smallest value allowed.
        high: [features] the largest.
        factor: [features] what 1.0 stands for after scaling.
        offset: [features] what 0.0 stands for.
        names: of the features, for messages; may be empty.
    """

    shape: Shape
    low: Floats
    high: Floats
    factor: Floats
    offset: Floats
    names: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """One number a feature."""
        return size_of(self.shape)

    def numbers(self, x: Any) -> Floats:
        """Samples [n, *shape] or [n, features] as [n, features] in [-1, 1].

        Raises:
            ModelError: another shape (``SHAPE``), not a number (``VALUE``), or outside the bounds
            (``RANGE``).
        """
        values = np.asarray(x, dtype=np.float64)
        size = size_of(self.shape)
        if values.ndim < 2 or size_of(values.shape[1:]) != size or not len(values):
            raise ModelError(
                "SHAPE",
                f"takes an array of samples of {text_of(self.shape)} each, got {text_of(values.shape)}",
                where="input",
                remedy="put the samples in the first dimension, also where there is one only",
            )
        values = values.reshape(len(values), size)
        if not np.isfinite(values).all():
            raise ModelError(
                "VALUE", f"{self._first(~np.isfinite(values))} is not a finite number", where="input"
            )
        slack = 1e-9 * np.maximum(np.abs(self.low), np.abs(self.high))
        outside = (values < self.low - slack) | (values > self.high + slack)
        if outside.any():
            raise ModelError(
                "RANGE",
                f"{self._first(outside)} is outside the bounds that the model was compiled for "
                f"({int(outside.sum())} values are)",
                where="input",
                remedy="the bounds are in the client specification: clip the value, or have the model "
                "compiled with wider ones",
            )
        return np.asarray(np.clip((values - self.offset) / self.factor, -1.0, 1.0))

    def _first(self, wrong: Any) -> str:
        sample, feature = (int(index[0]) for index in np.nonzero(wrong))
        name = f" ({self.names[feature]})" if feature < len(self.names) else ""
        return f"feature {feature}{name} of sample {sample}"

    def to_json(self) -> dict[str, Any]:
        """As JSON-ready data; equal numbers are written once."""
        found: dict[str, Any] = {"shape": list(self.shape)}
        for name in ("low", "high", "factor", "offset"):
            values = getattr(self, name)
            found[name] = float(values[0]) if (values == values[0]).all() else values.tolist()
        return found | {"names": list(self.names)}

    @classmethod
    def from_json(cls, data: Any) -> Scaler:
        """Read what `to_json` wrote. Raises ModelError (``FILE``)."""
        shape = data.get("shape") if isinstance(data, dict) else None
        if (
            not isinstance(shape, list)
            or not 1 <= len(shape) <= 8
            or any(type(n) is not int or not 1 <= n <= MAX_FEATURES for n in shape)
        ):
            raise _damaged("shape")
        size = size_of(tuple(shape))
        if size > MAX_FEATURES:
            raise _damaged("shape")
        arrays = [_numbers(data.get(name), size, name) for name in ("low", "high", "factor", "offset")]
        names = data.get("names", [])
        if (
            not isinstance(names, list)
            or len(names) not in (0, size)
            or not all(isinstance(n, str) and len(n) <= 200 and n.isprintable() for n in names)
        ):
            raise _damaged("names")
        low, high, factor, offset = arrays
        if (low > high).any() or (factor <= 0).any():
            raise _damaged("bounds")
        return cls(tuple(shape), low, high, factor, offset, tuple(names))


def _numbers(data: Any, size: int, name: str) -> Floats:
    if isinstance(data, int | float) and not isinstance(data, bool):
        data = [data] * size
    if (
        not isinstance(data, list)
        or len(data) != size
        or not all(type(n) in (int, float) and abs(n) < 1e300 for n in data)
    ):
        raise _damaged(name)
    return np.array(data, dtype=np.float64)


def _damaged(name: str) -> ModelError:
    return ModelError("FILE", f"{name!r} is missing or damaged", where="client specification")


def bounds_of(low: Floats, high: Floats) -> tuple[Floats, Floats]:
    """Bounds widened to numbers of one or two digits: they tell little of the samples they come from."""
    span = np.maximum(high - low, np.maximum(np.abs(low), np.abs(high)) * 1e-3)
    span[span < 1e-290] = 1.0  # a difference too small to divide by is none
    step = 10.0 ** np.floor(np.log10(span)) / 2
    first, last = np.floor(low / step + 1e-9) * step, np.ceil(high / step - 1e-9) * step
    # Also of a feature that is the same in all samples: what it may be has to be a range to scale by.
    return first, np.where(last <= first, first + step, last)


@dataclass(frozen=True, eq=False)
class BatchEncoder:
    """One feature a ciphertext, one sample a slot."""

    kind: ClassVar[str] = "batch"
    scaler: Scaler
    slots: int

    @property
    def shape(self) -> Shape:
        """Of one sample."""
        return self.scaler.shape

    @property
    def samples(self) -> int:
        """As many as there are slots."""
        return self.slots

    @property
    def count(self) -> int:
        """As many as numbers a sample has."""
        return self.scaler.size

    def encode(self, x: Floats) -> Floats:
        """See `Encoder`."""
        values = self.scaler.numbers(x)
        if len(values) > self.slots:
            raise _too_many(len(values), self.slots)
        found = np.zeros((values.shape[1], self.slots))
        found[:, : len(values)] = values.T
        return found

    def to_json(self) -> dict[str, Any]:
        """See `Encoder`."""
        return {"scaler": self.scaler.to_json()}


@dataclass(frozen=True, eq=False)
class PackedEncoder:
    """One sample in few ciphertexts; `indices` says which feature stands in which slot, -1 a zero."""

    kind: ClassVar[str] = "packed"
    scaler: Scaler
    indices: np.ndarray[Any, np.dtype[np.int32]]
    """[ciphertexts, slots]"""

    @property
    def shape(self) -> Shape:
        """Of one sample."""
        return self.scaler.shape

    @property
    def samples(self) -> int:
        """One."""
        return 1

    @property
    def count(self) -> int:
        """How many ciphertexts."""
        return len(self.indices)

    def encode(self, x: Floats) -> Floats:
        """See `Encoder`."""
        values = self.scaler.numbers(x)
        if len(values) > 1:
            raise _too_many(len(values), 1)
        return np.asarray(np.append(values[0], 0.0)[self.indices])

    def to_json(self) -> dict[str, Any]:
        """See `Encoder`."""
        words = base64.b64encode(self.indices.astype("<i4").tobytes()).decode()
        return {"scaler": self.scaler.to_json(), "count": len(self.indices), "indices": words}

    @classmethod
    def from_json(cls, data: Any, slots: int) -> PackedEncoder:
        """Read what `to_json` wrote. Raises ModelError (``FILE``)."""
        scaler = Scaler.from_json(data.get("scaler"))
        count, words = data.get("count"), data.get("indices")
        if type(count) is not int or not 1 <= count <= 4096 or not isinstance(words, str):
            raise _damaged("indices")
        if len(words) != 4 * -(-count * slots * 4 // 3):
            raise _damaged("indices")
        try:
            raw = base64.b64decode(words, validate=True)
        except ValueError:
            raise _damaged("indices") from None
        if len(raw) != count * slots * 4:
            raise _damaged("indices")
        indices = np.frombuffer(raw, dtype="<i4").reshape(count, slots)
        if indices.min() < -1 or indices.max() >= scaler.size:
            raise _damaged("indices")
        return cls(scaler, indices.astype(np.int32))


def _too_many(found: int, most: int) -> ModelError:
    return ModelError(
        "SHAPE",
        f"a request holds {most} sample{'s' if most > 1 else ''}, got {found}",
        where="input",
        remedy="split the samples over several requests, or compile for throughput",
    )
