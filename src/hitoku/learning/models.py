# SPDX-License-Identifier: Apache-2.0
"""Files of learned models: one JSON form for every kind, hashed, read without trust, scored by its kind.

A file holds what scoring needs and nothing else: no sums of gradients or hessians, no counts of rows (these
are what reconstruction attacks on shared trees feed on; Di Gennaro et al., "TimberStrike", 2025). Numbers are
written so that reading gives back the same bits.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final, NoReturn, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from hitoku import limits
from hitoku.errors import InputError

__all__ = ["FORMAT", "KINDS", "Kind", "LearnedModel", "read_model", "score", "write_model"]

FORMAT: Final = "hitoku/learned-model/1"

KINDS: Final[dict[str, str]] = {
    "boosting": "hitoku.learning.boosting.kind",
    "linear": "hitoku.learning.network_kind",
    "perceptron": "hitoku.learning.network_kind",
}
"""Where each kind's `from_body`, `to_body` and `probabilities` are (see `Kind`)."""


class Kind(Protocol):
    """What a module has to offer for its kind of model."""

    def from_body(self, body: Mapping[str, Any], features: int) -> Any:
        """The model from its part of a file that nobody vouches for.

        Raises:
            InputError: it is no such model, or larger than the limits.
        """
        ...

    def to_body(self, content: Any) -> dict[str, Any]:
        """The model as JSON-ready data: finite numbers, texts, lists, mappings."""
        ...

    def probabilities(self, content: Any, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """The probability of label 1 for features of shape (rows, features); NaN is a missing value."""
        ...


@dataclass(frozen=True, slots=True)
class LearnedModel:
    """A model that banks learned together.

    Attributes:
        kind: a key of `KINDS`.
        name: the plan's.
        plan: the plan's hash, 64 hexadecimal digits.
        features: the names of the inputs, in order.
        content: the model itself, as its kind's module makes it.
    """

    kind: str
    name: str
    plan: str
    features: tuple[str, ...]
    content: Any


def write_model(model: LearnedModel) -> bytes:
    """The model's file: JSON with a SHA-256 of everything in it."""
    data = {
        "format": FORMAT,
        "kind": model.kind,
        "name": model.name,
        "plan": model.plan,
        "features": list(model.features),
        "model": _kind(model.kind).to_body(model.content),
    }
    return _dumped({**data, "sha256": _digest(data)})


def read_model(content: bytes) -> LearnedModel:
    """A model from its file.

    Raises:
        InputError: the file is damaged, too large, or not a learned model.
    """
    if len(content) > limits.MAX_MODEL_BYTES:
        raise InputError(f"a learned model's file has at most {limits.MAX_MODEL_BYTES} bytes")
    try:
        data = json.loads(content.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise InputError("is no learned model: not JSON") from error
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise InputError(f'is no learned model: "format" is not "{FORMAT}"')
    if set(data) != {"format", "kind", "name", "plan", "features", "model", "sha256"}:
        raise InputError("is no learned model: it has other fields than a model of this format")
    given = data.pop("sha256")
    try:
        made = _digest(data)
    except (RecursionError, ValueError) as error:
        raise InputError("is no learned model: its data are nested too deeply, or not Unicode") from error
    if given != made:
        raise InputError("the learned model was altered: its content does not have the hash it states")
    kind, body, names = data["kind"], data["model"], data["features"]
    if not isinstance(kind, str) or kind not in KINDS:
        raise InputError(f"the model's kind is not known; known are {', '.join(KINDS)}")
    if not isinstance(body, dict):
        raise InputError('a learned model\'s "model" is a mapping')
    _check_texts(data["name"], data["plan"], names)
    return LearnedModel(
        kind=kind,
        name=data["name"],
        plan=data["plan"],
        features=tuple(names),
        content=_kind(kind).from_body(body, len(names)),
    )


def score(model: LearnedModel, features: NDArray[np.float32]) -> NDArray[np.float64]:
    """The probability of label 1 of each row.

    Args:
        model: any kind.
        features: shape (rows, features), in the order of `model.features`; NaN where a value is missing.

    Raises:
        InputError: the features do not fit the model.
    """
    if features.ndim != 2 or features.shape[1] != len(model.features):
        raise InputError(f"the model takes {len(model.features)} features")
    rows = np.ascontiguousarray(features, dtype=np.float32)
    return _kind(model.kind).probabilities(model.content, rows)


def _kind(name: str) -> Kind:
    return cast(Kind, import_module(KINDS[name]))


def _check_texts(name: object, plan: object, names: object) -> None:
    if not isinstance(name, str) or not 1 <= len(name) <= limits.MAX_NAME_CHARS:
        raise InputError(f"a learned model's name has 1 to {limits.MAX_NAME_CHARS} characters")
    if not isinstance(plan, str) or len(plan) != 64 or not set(plan) <= set("0123456789abcdef"):
        raise InputError("a learned model's plan is a hash of 64 hexadecimal digits")
    if not isinstance(names, list) or not 1 <= len(names) <= limits.MAX_LEARNING_FEATURES:
        raise InputError(f"a learned model has 1 to {limits.MAX_LEARNING_FEATURES} features")
    if not all(isinstance(n, str) and 1 <= len(n) <= limits.MAX_HEADER_CHARS for n in names):
        raise InputError(f"a feature's name has 1 to {limits.MAX_HEADER_CHARS} characters")
    if len(set(names)) != len(names):
        raise InputError("a learned model's feature is named twice")


def _no_constant(_: str) -> NoReturn:
    raise ValueError("a number that is not finite")


def _dumped(data: Mapping[str, Any]) -> bytes:
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    return text.encode("utf-8")


def _digest(data: Mapping[str, Any]) -> str:
    return hashlib.sha256(FORMAT.encode() + b"\n" + _dumped(data)).hexdigest()
