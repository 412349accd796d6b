# SPDX-License-Identifier: Apache-2.0
"""The client's side: keys, encrypting samples, decrypting scores. It never sees the model.

The secret key stays in this object, or in the file its owner writes `Client.secret` to. What leaves: `keys()`
once, `encrypt(x)` for every request. Both are public-key ciphertexts and keys under decision RLWE; neither is
authenticated, so send them over an authenticated channel. Decrypted scores carry noise that tells something
of the secret key to whoever sees many of them exactly: do not publish raw scores (round them first).
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike

from hitoku.hazmat import ring
from hitoku.inference import post
from hitoku.inference.arrays import Floats
from hitoku.inference.errors import ModelError
from hitoku.inference.specification import MAX_SPECIFICATION_BYTES, ClientSpec
from hitoku.inference.wire import ID_BYTES, Kind, pack, unpack

__all__ = ["Client", "read_specification"]

_REMEMBERED: Final = 4096


class Client:
    """Asks a served model.

    Args:
        spec: the server's client specification: the object, its text, or the path of ``client.json``.
        secret: a secret key that `secret` gave before; None: a new one is made.
        threads: how many threads; None: every core that the process may use.

    Raises:
        ModelError: the specification is damaged or of another version, or the secret belongs to another
        model.
    """

    def __init__(
        self,
        spec: ClientSpec | str | Path,
        secret: bytes | None = None,
        *,
        threads: int | None = None,
    ) -> None:
        self.spec = _spec(spec)
        self.threads = threads
        self._asked: OrderedDict[bytes, int] = OrderedDict()
        params = self.spec.params
        if secret is None:
            self._secret = ring.SecretKey.generate(params)
        else:
            frame = unpack(secret, Kind.SECRET, 1, 16 << 20, self.spec.circuit)
            self._secret = _read(
                lambda: ring.SecretKey.from_bytes(params, bytes(frame.sections[0])), "secret"
            )

    def __repr__(self) -> str:
        return f"Client({self.spec.name!r}, degree={self.spec.params.degree})"

    def secret(self) -> bytes:
        """The secret key as bytes, for its owner's file alone: whoever has it decrypts every request."""
        return pack(Kind.SECRET, self.spec.circuit, [self._secret.to_bytes()])

    def erase(self) -> None:
        """Wipes the secret key; nothing can be decrypted any more."""
        self._secret.erase()

    def keys(self) -> bytes:
        """The evaluation keys that the server needs: public, send them once. Each call makes new ones."""
        secret, spec = self._secret, self.spec
        parts = [secret.public_key().to_bytes(), b"", b""]
        if spec.extra_parts:
            parts[1] = secret.relinearisation_key(threads=self.threads).to_bytes()
        if spec.steps:
            parts[2] = secret.rotation_keys(spec.steps, threads=self.threads).to_bytes()
        return pack(Kind.KEYS, spec.circuit, parts)

    def encrypt(self, x: ArrayLike) -> bytes:
        """A request.

        Args:
            x: samples [n, *shape]; at most `samples_per_request` of them.

        Raises:
            ModelError: another shape or too many samples (``SHAPE``), not a finite number (``VALUE``), or a
                feature outside its declared bounds (``RANGE``); features are named, values never quoted.
        """
        spec = self.spec
        given = np.asarray(x, dtype=np.float64)
        slots = spec.encoder.encode(given)
        plain = ring.encode(spec.params, slots, spec.scale, spec.level, threads=self.threads)
        content = self._secret.encrypt(plain, threads=self.threads).to_bytes()
        number = secrets.token_bytes(ID_BYTES)
        self._asked[number] = len(given)
        while len(self._asked) > _REMEMBERED:
            self._asked.popitem(last=False)
        return pack(Kind.REQUEST, spec.circuit, [content], number)

    def decrypt(self, answer: bytes, samples: int | None = None) -> Floats:
        """The scores [samples, columns] of an answer, in the model's own unit, before its last steps.

        Args:
            answer: what the server returned.
            samples: how many samples the request had; None: as this client remembers it, else all slots.

        Raises:
            ModelError: damaged (``FILE``) or of another model (``CIRCUIT``), or scores beyond the range that
                the model was compiled for (``RANGE``): then a value inside overflowed and none can be
                trusted.
        """
        spec = self.spec
        params = spec.params
        frame = unpack(answer, Kind.ANSWER, 1, self.most_answer_bytes, spec.circuit)
        ciphertexts = _read(lambda: ring.Ciphertexts.from_bytes(params, bytes(frame.sections[0])), "answer")
        if (ciphertexts.count, ciphertexts.level) != (spec.answer_count, spec.answer_level) or not np.isclose(
            ciphertexts.scale, spec.answer_scale, rtol=1e-9
        ):
            raise ModelError("FILE", "is not of the form that the specification states", where="answer")
        slots = ring.decode(self._secret.decrypt(ciphertexts, threads=self.threads), threads=self.threads)
        if samples is None:
            samples = self._asked.get(frame.id, spec.encoder.samples)
        scores = spec.scores.read(slots, min(samples, spec.encoder.samples))
        if np.abs(scores).max(initial=0.0) > spec.scores.largest:
            raise ModelError(
                "RANGE",
                "scores are beyond what the model was compiled for: a value inside it overflowed",
                where="answer",
                remedy="compile the model with calibration samples that are like the inputs",
            )
        return scores

    def predict(self, answer: bytes, samples: int | None = None) -> Floats:
        """`decrypt`, then the model's last steps (softmax, argmax, ...): [samples, columns]."""
        return post.apply(self.spec.scores.post, self.decrypt(answer, samples))

    @property
    def most_answer_bytes(self) -> int:
        """No answer is larger."""
        spec = self.spec
        return 4096 + 2 * spec.answer_count * spec.params.levels * spec.params.degree * 8

    @property
    def most_request_bytes(self) -> int:
        """No request is larger, and encrypting one takes about as much memory."""
        spec = self.spec
        return 4096 + spec.encoder.count * spec.level * spec.params.degree * 8

    @property
    def samples_per_request(self) -> int:
        """How many samples one request holds."""
        return self.spec.encoder.samples


def _spec(spec: ClientSpec | str | Path) -> ClientSpec:
    if isinstance(spec, ClientSpec):
        return spec
    if isinstance(spec, Path) or not spec.lstrip().startswith("{"):
        return read_specification(Path(spec))
    return ClientSpec.from_json(spec)


def read_specification(path: Path) -> ClientSpec:
    """A client specification from its file.

    Raises:
        ModelError: as `ClientSpec.from_json`, or the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return ClientSpec.from_json(file.read(MAX_SPECIFICATION_BYTES + 1))
    except OSError as error:
        raise ModelError("FILE", f"cannot be read ({error.strerror})", where=f"{path}") from None


def _read(decode: Any, where: str) -> Any:
    try:
        return decode()
    except ring.RingError as error:
        raise ModelError("FILE", str(error), where=where) from None
