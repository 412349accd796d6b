# SPDX-License-Identifier: Apache-2.0
"""What owner and trainer send each other, as bytes; see `hitoku.inference.wire` for the frame."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final

from hitoku.hazmat import ring
from hitoku.inference.errors import ModelError
from hitoku.inference.training.steps import Shape, parameters
from hitoku.inference.wire import Kind, pack, unpack

__all__ = [
    "name_of",
    "read_keys",
    "read_scores",
    "read_sums",
    "read_weights",
    "write_keys",
    "write_scores",
    "write_sums",
    "write_weights",
]

_MOST_HEAD: Final = 4096
_ONE: Final = 1 << 14


def name_of(shape: Shape) -> bytes:
    """32 bytes that stand for a model's shape in its ring."""
    found = [
        shape.kind,
        shape.features,
        shape.hidden,
        shape.bound,
        shape.reach,
        list(parameters(shape).primes),
    ]
    return hashlib.sha256(b"hitoku encrypted model 1\0" + json.dumps(found).encode()).digest()


def write_keys(shape: Shape, public: ring.PublicKey, relinearisation: ring.RelinearisationKey) -> bytes:
    """The owner's public keys, and the shape they are for."""
    head = json.dumps(
        {
            "kind": shape.kind,
            "features": shape.features,
            "hidden": shape.hidden,
            "bound": shape.bound,
            "reach": shape.reach,
        }
    )
    return pack(
        Kind.TRAINING_KEYS, name_of(shape), [head.encode(), public.to_bytes(), relinearisation.to_bytes()]
    )


def read_keys(data: bytes) -> tuple[Shape, ring.PublicKey, ring.RelinearisationKey]:
    """What `write_keys` wrote.

    Raises:
        ModelError: it is damaged, too large, or of another version.
    """
    frame = unpack(data, Kind.TRAINING_KEYS, 3, 1 << 28)
    head, public, relinearisation = frame.sections
    try:
        if len(head) > _MOST_HEAD:
            raise ValueError
        shape = Shape(**json.loads(bytes(head)))
    except (ValueError, TypeError, RecursionError):
        raise ModelError("FILE", "do not say which model they are for", where="keys") from None
    if name_of(shape) != frame.circuit:
        raise ModelError("CIRCUIT", "are for another model than they say", where="keys")
    params = parameters(shape)
    return (
        shape,
        _decoded(lambda: ring.PublicKey.from_bytes(params, bytes(public)), "keys"),
        _decoded(lambda: ring.RelinearisationKey.from_bytes(params, bytes(relinearisation)), "keys"),
    )


def write_weights(shape: Shape, weights: ring.SeededCiphertexts) -> bytes:
    """Encrypted weights."""
    return pack(Kind.WEIGHTS, name_of(shape), [weights.to_bytes()])


def read_weights(shape: Shape, data: bytes) -> ring.Ciphertexts:
    """What `write_weights` wrote.

    Raises:
        ModelError: it is damaged, too large, or of another model.
    """
    params = parameters(shape)
    most = _ONE + (shape.weights + 1) * params.levels * params.degree * 8
    frame = unpack(data, Kind.WEIGHTS, 1, most, name_of(shape))
    found: ring.Ciphertexts = _decoded(lambda: ring.expanded(params, frame.sections[0]), "weights")
    if (found.count, found.level) != (shape.weights + 1, params.levels):
        raise ModelError("SHAPE", f"are {found.count} ciphertexts, not {shape.weights + 1}", where="weights")
    return found


def write_sums(shape: Shape, sums: ring.Ciphertexts, facts: dict[str, Any]) -> bytes:
    """Masked sums, and what the owner must know of them."""
    return pack(Kind.SUMS, name_of(shape), [json.dumps(facts).encode(), sums.to_bytes()])


def read_sums(shape: Shape, data: bytes) -> tuple[ring.Ciphertexts, dict[str, Any]]:
    """What `write_sums` wrote.

    Raises:
        ModelError: it is damaged, too large, or of another model.
    """
    params = parameters(shape)
    most = _ONE + 2 * (shape.weights + 1) * params.levels * params.degree * 8
    frame = unpack(data, Kind.SUMS, 2, most, name_of(shape))
    try:
        if len(frame.sections[0]) > _MOST_HEAD:
            raise ValueError
        facts = json.loads(bytes(frame.sections[0]))
        samples, what = facts["samples"], facts["what"]
        if (
            type(samples) is not int
            or not 1 <= samples <= params.slots
            or what not in {"gradient", "weights"}
        ):
            raise ValueError
    except (ValueError, TypeError, KeyError, RecursionError):
        raise ModelError("FILE", "do not say what they are", where="sums") from None
    found = _decoded(lambda: ring.Ciphertexts.from_bytes(params, bytes(frame.sections[1])), "sums")
    if (found.count, found.parts) != (shape.weights + 1, 2):
        raise ModelError("SHAPE", f"are {found.count} ciphertexts, not {shape.weights + 1}", where="sums")
    return found, {"samples": samples, "what": what}


def write_scores(shape: Shape, scores: ring.Ciphertexts) -> bytes:
    """Encrypted scores."""
    return pack(Kind.SCORES, name_of(shape), [scores.to_bytes()])


def read_scores(shape: Shape, data: bytes) -> ring.Ciphertexts:
    """What `write_scores` wrote.

    Raises:
        ModelError: it is damaged, too large, or of another model.
    """
    params = parameters(shape)
    frame = unpack(data, Kind.SCORES, 1, _ONE + 2 * params.levels * params.degree * 8, name_of(shape))
    found: ring.Ciphertexts = _decoded(
        lambda: ring.Ciphertexts.from_bytes(params, bytes(frame.sections[0])), "scores"
    )
    if (found.count, found.parts) != (1, 2):
        raise ModelError("SHAPE", "are not one ciphertext", where="scores")
    return found


def _decoded(decode: Any, where: str) -> Any:
    try:
        return decode()
    except ring.RingError as error:
        raise ModelError("FILE", str(error), where=where) from None
