# SPDX-License-Identifier: Apache-2.0
"""The server's side: runs a circuit on requests.

It holds the model, public keys and ciphertexts; no secret key.
A client learns what it decrypts: scores with flooding noise over them, no more than the tolerance that the
model was compiled for. Whoever may ask often can still rebuild a model from its scores; limit and round.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hitoku.hazmat import ring
from hitoku.inference.bundle import Bundle, read_bundle
from hitoku.inference.circuit import CircuitError
from hitoku.inference.errors import ModelError
from hitoku.inference.interpreters import rotations
from hitoku.inference.interpreters.encrypted import Encrypted, EvaluationKeys
from hitoku.inference.plan import Plan
from hitoku.inference.specification import circuit_name
from hitoku.inference.wire import Kind, pack, unpack

__all__ = ["Admitted", "Server"]

_KEPT: Final = 4


@dataclass(frozen=True, slots=True)
class Admitted:
    """A client's evaluation keys, decoded and checked."""

    keys: EvaluationKeys


class Server:
    """Serves one model.

    Args:
        bundle: a `Plan`, the folder that `Plan.save` wrote, the path of its ``server.bundle``, or its bytes.
        threads: how many threads; None: every core that the process may use.

    Raises:
        ModelError: the bundle is damaged (``FILE``) or of another version (``FORMAT``).
    """

    def __init__(self, bundle: Plan | Bundle | bytes | str | Path, threads: int | None = None) -> None:
        if isinstance(bundle, Plan):
            bundle = bundle.bundle()
        self.bundle = bundle if isinstance(bundle, Bundle) else read_bundle(bundle)
        self.threads = threads
        self.params = self.bundle.params
        self.circuit = circuit_name(self.bundle.program, self.params)
        self._encrypted = Encrypted(self.bundle.program, self.params)
        ((self._name, index),) = self.bundle.program.inputs.items()
        self._input = self.bundle.program.nodes[index]
        self._steps = rotations.find(self.bundle.program)
        self._extra_parts = rotations.extra_parts(self.bundle.program)
        self._admitted: OrderedDict[bytes, Admitted] = OrderedDict()
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"Server({self.bundle.name!r}, degree={self.params.degree})"

    @property
    def most_request_bytes(self) -> int:
        """No request is larger."""
        node = self._input
        return 4096 + 2 * node.count * node.level * self.params.degree * 8

    @property
    def most_key_bytes(self) -> int:
        """No client's keys are larger."""
        one = 2 * (self.params.levels + 1) * self.params.levels * self.params.degree * 8
        return 65536 + (len(self._steps) + 2) * (one + 4096)

    def admit(self, keys: bytes) -> Admitted:
        """Decode and check a client's evaluation keys, once for many requests.

        Raises:
            ModelError: damaged (``FILE``), too long (``TOO_LARGE``), of another model (``CIRCUIT``), or a key
                that the circuit needs is not there (``KEYS``).
        """
        name = hashlib.sha256(keys).digest()
        with self._lock:
            known = self._admitted.get(name)
            if known is not None:
                self._admitted.move_to_end(name)
                return known
        frame = unpack(keys, Kind.KEYS, 3, self.most_key_bytes, self.circuit)
        parts, params = [bytes(s) for s in frame.sections], self.params
        public = _decoded(lambda: ring.PublicKey.from_bytes(params, parts[0]))
        relinearisation = turns = None
        if self._extra_parts:
            relinearisation = _decoded(lambda: ring.RelinearisationKey.from_bytes(params, parts[1]))
        if self._steps:
            turns = _decoded(lambda: ring.RotationKeys.from_bytes(params, parts[2]))
            if set(turns.steps) != set(self._steps):
                raise ModelError(
                    "KEYS",
                    f"hold other rotations than the {len(self._steps)} that the circuit makes",
                    where="keys",
                    remedy="make them from the server's present client.json",
                )
        elif len(parts[2]) or (len(parts[1]) and not self._extra_parts):
            raise ModelError("KEYS", "hold keys that the circuit does not need", where="keys")
        made = Admitted(EvaluationKeys(public, relinearisation, turns))
        with self._lock:
            self._admitted[name] = made
            while len(self._admitted) > _KEPT:
                self._admitted.popitem(last=False)
        return made

    def run(self, request: bytes, keys: bytes | Admitted) -> bytes:
        """The answer to a request.

        Args:
            request: what `Client.encrypt` made.
            keys: what `Client.keys` made, or better `admit` of it, once.

        Raises:
            ModelError: damaged (``FILE``), too long (``TOO_LARGE``), of another model (``CIRCUIT``), or not
                of the circuit's form (``SHAPE``, ``SCALE``, ``KEYS``).
        """
        admitted = keys if isinstance(keys, Admitted) else self.admit(keys)
        frame = unpack(request, Kind.REQUEST, 1, self.most_request_bytes, self.circuit)
        body, node = frame.sections[0], self._input
        # Before residues are unpacked: a request of another shape takes no memory.
        count, level = _decoded(lambda: ring.seeded_shape(self.params, body))
        if (count, level) != (node.count, node.level):
            raise ModelError(
                "SHAPE",
                (
                    f"holds {count} ciphertexts of {level} primes; the circuit takes "
                    f"{node.count} of {node.level}"
                ),
                where="request",
                remedy="make it with Client.encrypt from the server's client.json",
            )
        given = {self._name: _decoded(lambda: ring.expanded(self.params, body, threads=self.threads))}
        try:
            results = self._encrypted.run(given, admitted.keys, self.threads, consume=True)
        except CircuitError as error:
            raise ModelError(error.code, str(error), where="request") from None
        return pack(Kind.ANSWER, self.circuit, [results["scores"].to_bytes()], frame.id)


def _decoded(decode: Any) -> Any:
    try:
        return decode()
    except ring.RingError as error:
        raise ModelError("FILE", str(error), where="keys or request") from None
