# SPDX-License-Identifier: Apache-2.0
"""What a client must know to ask: the ring, how samples become slots, how scores come back. No weights.

What it tells of the model: the shape of inputs and scores, bounds of the inputs, how deep the circuit is (its
primes), which rotations it makes, for packed inputs which features meet in the first layer's outputs, and for
trees the bins; roughly how large weights are (the scale of the scores and the primes depend on it; exactly,
for layers whose weights are all multiples of one number), and the largest score of the calibration samples
(`largest`, `tolerance`). `circuit` is a hash over the weights: whoever guesses all of them can tell that the
guess is right. It is JSON, versioned, with a digest against accidents.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from hitoku.hazmat.ring import ParameterError, Parameters
from hitoku.inference import encoders, post
from hitoku.inference.arrays import Floats
from hitoku.inference.circuit import Program
from hitoku.inference.encoders import Encoder
from hitoku.inference.errors import ModelError
from hitoku.inference.interpreters import rotations, scales

__all__ = ["MAX_SPECIFICATION_BYTES", "ClientSpec", "Scores", "circuit_name"]

VERSION: Final = 1
MAX_SPECIFICATION_BYTES: Final = 64 << 20
_MOST_SCORES: Final = 1 << 14
_MOST_BITS: Final = 400


def circuit_name(program: Program, params: Parameters) -> bytes:
    """32 bytes that stand for a circuit in its ring."""
    ring = json.dumps([params.degree, list(params.primes), params.special]).encode()
    return hashlib.sha256(b"hitoku circuit 1\0" + ring + b"\0" + program.to_bytes()).digest()


@dataclass(frozen=True, eq=False)
class Scores:
    """How scores come back.

    Attributes:
        columns: scores of a sample.
        at: with one sample a request the slot of each score; None: one ciphertext a score, one slot a sample.
        names: of the columns; may be empty.
        post: last steps in the clear, names of `post.STEPS`.
        largest: no score of an input inside the bounds should be larger; beyond it the answer is not
        reliable.
        tolerance: the largest error of a score.
    """

    columns: int
    largest: float
    tolerance: float
    at: tuple[int, ...] | None = None
    names: tuple[str, ...] = ()
    post: tuple[str, ...] = ()

    def read(self, slots: Floats, samples: int) -> Floats:
        """Decrypted slots [ciphertexts, slots] as scores [samples, columns]."""
        if self.at is not None:
            return slots[0, list(self.at)][None, :]
        return np.ascontiguousarray(slots[:, :samples].T)


@dataclass(frozen=True, eq=False)
class ClientSpec:
    """A client specification.

    Attributes:
        name: the model's.
        circuit: 32 bytes, see `circuit_name`.
        params: the ring.
        encoder: how samples become slots.
        level: primes of the encrypted input.
        scale: its scale.
        answer_level: primes of the encrypted scores.
        answer_scale: their scale.
        answer_count: ciphertexts of the answer.
        steps: rotations that the server needs keys for.
        extra_parts: how many parts relinearising takes away at most; 0: no relinearisation key is needed.
        scores: how scores come back.
    """

    name: str
    circuit: bytes
    params: Parameters
    encoder: Encoder
    level: int
    scale: float
    answer_level: int
    answer_scale: float
    answer_count: int
    steps: tuple[int, ...]
    extra_parts: int
    scores: Scores

    @classmethod
    def of(
        cls, name: str, program: Program, params: Parameters, encoder: Encoder, scores: Scores
    ) -> ClientSpec:
        """The specification that goes with a circuit of one input and one output ``scores``."""
        at = scales.find(program, params)
        (given,), made = program.inputs.values(), program.outputs["scores"]
        return cls(
            name,
            circuit_name(program, params),
            params,
            encoder,
            program.nodes[given].level,
            at.values[given],
            program.nodes[made].level,
            at.values[made],
            program.nodes[made].count,
            rotations.find(program),
            rotations.extra_parts(program),
            scores,
        )

    def to_json(self) -> str:
        """The specification's text; the same specification gives the same text."""
        body = {
            "format": "hitoku client specification",
            "version": VERSION,
            "name": self.name,
            "circuit": self.circuit.hex(),
            "ring": {
                "degree": self.params.degree,
                "primes": list(self.params.primes),
                "special": self.params.special,
            },
            "input": {"level": self.level, "scale": self.scale},
            "encoder": {"kind": self.encoder.kind, **self.encoder.to_json()},
            "keys": {"rotations": list(self.steps), "relinearisation": self.extra_parts},
            "answer": {
                "level": self.answer_level,
                "scale": self.answer_scale,
                "count": self.answer_count,
                "columns": self.scores.columns,
                "at": None if self.scores.at is None else list(self.scores.at),
                "names": list(self.scores.names),
                "post": list(self.scores.post),
                "largest": self.scores.largest,
                "tolerance": self.scores.tolerance,
            },
        }
        return json.dumps(body | {"digest": _digest(body)}, indent=1)

    @classmethod
    def from_json(cls, text: str | bytes) -> ClientSpec:
        """Read a specification.

        Raises:
            ModelError: too large (``TOO_LARGE``), damaged (``FILE``), of another version (``FORMAT``), or a
                ring below 128 bits of security (``RING``).
        """
        where = "client specification"
        if len(text) > MAX_SPECIFICATION_BYTES:
            raise ModelError("TOO_LARGE", f"has more than {MAX_SPECIFICATION_BYTES:,} bytes", where=where)
        try:
            body = json.loads(text, parse_constant=_no_constant)
        except (ValueError, RecursionError):
            raise ModelError("FILE", "is no JSON", where=where) from None
        if not isinstance(body, dict) or body.get("format") != "hitoku client specification":
            raise ModelError("FILE", "is something else", where=where)
        if body.get("version") != VERSION:
            raise ModelError(
                "FORMAT",
                f"is of another version than {VERSION}, which is read here",
                where=where,
                remedy="use the same release of hitoku on both sides",
            )
        digest = body.pop("digest", None)
        try:
            made = _digest(body)
        except RecursionError:  # just not too deep to be read
            raise ModelError("FILE", "is nested too deep", where=where) from None
        if digest != made:
            raise ModelError(
                "FILE",
                "does not match its digest: it was changed or damaged",
                where=where,
                remedy="get it again",
            )
        return _read(body)


def _no_constant(_text: str) -> float:
    raise ValueError("not a finite number")


def _digest(body: dict[str, Any]) -> str:
    text = json.dumps(body, sort_keys=True, separators=(",", ":"))
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def _read(body: dict[str, Any]) -> ClientSpec:
    ring = _object(body, "ring")
    primes = _integers(ring, "primes", 60, 1 << 50)
    try:
        params = Parameters(
            _integer(ring, "degree", 1 << 16), tuple(primes), _integer(ring, "special", 1 << 50)
        )
    except ParameterError as error:
        raise ModelError("RING", str(error), where="client specification") from None
    given, keys, answer = _object(body, "input"), _object(body, "keys"), _object(body, "answer")
    slots = params.degree // 2
    columns = _integer(answer, "columns", _MOST_SCORES)
    at = None if answer.get("at") is None else tuple(_integers(answer, "at", _MOST_SCORES, slots))
    count = _integer(answer, "count", _MOST_SCORES)
    if (at is None and count != columns) or (at is not None and len(at) != columns):
        raise _damaged("columns")
    try:
        circuit = bytes.fromhex(_text(body, "circuit", 64))
    except ValueError:
        raise _damaged("circuit") from None
    if len(circuit) != 32 or keys.get("relinearisation") not in range(17):
        raise _damaged("circuit")
    steps = _texts(answer, "post", 16)
    post.check(steps)
    scores = Scores(
        columns,
        _number(answer, "largest"),
        _number(answer, "tolerance"),
        at,
        tuple(_texts(answer, "names", _MOST_SCORES)),
        tuple(steps),
    )
    encoder = encoders.read(_object(body, "encoder"), slots)
    level, answer_level = _integer(given, "level", 60), _integer(answer, "level", 60)
    if not (1 <= level <= params.levels and 1 <= answer_level <= params.levels):
        raise _damaged("level")
    return ClientSpec(
        _text(body, "name", 200),
        circuit,
        params,
        encoder,
        level,
        _number(given, "scale"),
        answer_level,
        _number(answer, "scale"),
        count,
        tuple(_integers(keys, "rotations", slots, slots)),
        int(keys["relinearisation"]),
        scores,
    )


def _damaged(name: str) -> ModelError:
    return ModelError("FILE", f"{name!r} is missing or damaged", where="client specification")


def _object(data: dict[str, Any], name: str) -> dict[str, Any]:
    value = data.get(name)
    if not isinstance(value, dict):
        raise _damaged(name)
    return value


def _integer(data: dict[str, Any], name: str, most: int) -> int:
    value = data.get(name)
    if type(value) is not int or not 0 < value <= most:
        raise _damaged(name)
    return value


def _integers(data: dict[str, Any], name: str, count: int, below: int) -> list[int]:
    value = data.get(name)
    if (
        not isinstance(value, list)
        or len(value) > count
        or any(type(n) is not int or not 0 <= n < below for n in value)
    ):
        raise _damaged(name)
    return value


def _number(data: dict[str, Any], name: str) -> float:
    value = data.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        raise _damaged(name)
    if not math.log2(value) < _MOST_BITS:
        raise _damaged(name)
    return float(value)


def _text(data: dict[str, Any], name: str, most: int) -> str:
    value = data.get(name)
    if not isinstance(value, str) or len(value) > most or not value.isprintable():
        raise _damaged(name)
    return value


def _texts(data: dict[str, Any], name: str, most: int) -> list[str]:
    value = data.get(name)
    if (
        not isinstance(value, list)
        or len(value) > most
        or not all(isinstance(t, str) and len(t) <= 200 and t.isprintable() for t in value)
    ):
        raise _damaged(name)
    return value
