# SPDX-License-Identifier: Apache-2.0
"""Networks and linear models as parts of a model's file, and their scores (see `hitoku.learning.models`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hitoku import limits
from hitoku.errors import InputError
from hitoku.learning.network import Network, sigmoid
from hitoku.learning.scaling import Scaling

__all__ = ["NetworkModel", "from_body", "probabilities", "to_body"]

_MOST_LAYERS: Final = 6
_MOST_UNITS: Final = 1024
_CHUNK: Final = 1 << 15


@dataclass(frozen=True, slots=True, eq=False)
class NetworkModel:
    """What scoring needs.

    Attributes:
        scaling: of the inputs.
        layers: hidden units of each layer; () for a linear model.
        weights: flat, as `Network.parts` cuts them.
    """

    scaling: Scaling
    layers: tuple[int, ...]
    weights: NDArray[np.float64]

    @property
    def network(self) -> Network:
        """The shape."""
        return Network(self.scaling.inputs, self.layers)


def from_body(body: Mapping[str, Any], features: int) -> NetworkModel:
    """The model from its part of a file that nobody vouches for.

    Raises:
        InputError: it is no such model, or larger than the limits.
    """
    if set(body) != {"scaling", "layers", "weights"}:
        raise InputError("a network has a scaling, layers and weights")
    scaling = Scaling.from_body(body["scaling"], features)
    layers, weights = body["layers"], body["weights"]
    if (
        not isinstance(layers, list)
        or len(layers) > _MOST_LAYERS
        or not all(type(units) is int and 1 <= units <= _MOST_UNITS for units in layers)
    ):
        raise InputError(f"a network has at most {_MOST_LAYERS} layers of 1 to {_MOST_UNITS} units")
    length = Network(scaling.inputs, tuple(layers)).length
    if not isinstance(weights, list) or len(weights) != length or length > limits.MAX_MODEL_VALUES:
        raise InputError("a network of these layers has another number of weights")
    if not all(type(weight) in (int, float) for weight in weights):
        raise InputError("a network's weights are numbers")
    try:
        made = np.array(weights, np.float64)
    except OverflowError as error:
        raise InputError("a network's weights are numbers") from error
    return NetworkModel(scaling, tuple(layers), made)


def to_body(content: NetworkModel) -> dict[str, Any]:
    """The model as JSON-ready data."""
    return {
        "scaling": content.scaling.to_body(),
        "layers": list(content.layers),
        "weights": content.weights.tolist(),
    }


def probabilities(content: NetworkModel, features: NDArray[np.float32]) -> NDArray[np.float64]:
    """The probability of label 1 of each row; NaN is a missing value."""
    network, made = content.network, np.empty(len(features))
    for k in range(0, len(features), _CHUNK):
        inputs = content.scaling.apply(features[k : k + _CHUNK])
        made[k : k + _CHUNK] = sigmoid(network.logits(content.weights, inputs.astype(np.float64)))
    return made
