# SPDX-License-Identifier: Apache-2.0
"""The server's file: the circuit with its weights, and the ring. No key, nothing of a client.

A frame (`wire`) of three sections: the ring as JSON, the circuit, and a SHA-256 over both against
accidents. The file is the model owner's own: whoever can write it decides what is computed.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hitoku.hazmat.ring import ParameterError, Parameters
from hitoku.inference.circuit import CircuitError, Program
from hitoku.inference.errors import ModelError
from hitoku.inference.specification import circuit_name
from hitoku.inference.wire import Kind, pack, unpack

__all__ = ["BUNDLE_NAME", "MAX_BUNDLE_BYTES", "Bundle", "read_bundle"]

BUNDLE_NAME: Final = "server.bundle"
MAX_BUNDLE_BYTES: Final = 4 << 30
_MOST_HEAD: Final = 1 << 20


@dataclass(frozen=True, eq=False)
class Bundle:
    """What a server needs."""

    name: str
    program: Program
    params: Parameters

    def to_bytes(self) -> bytes:
        """The file's content."""
        params = self.params
        head = json.dumps(
            {
                "name": self.name,
                "degree": params.degree,
                "primes": list(params.primes),
                "special": params.special,
            }
        ).encode()
        body = self.program.to_bytes()
        return pack(Kind.BUNDLE, circuit_name(self.program, params), [head, body, _digest(head, body)])

    @classmethod
    def from_bytes(cls, data: bytes) -> Bundle:
        """Read what `to_bytes` wrote.

        Raises:
            ModelError: it is damaged (``FILE``), too large (``TOO_LARGE``), of another version
                (``FORMAT``), or its ring gives less than 128 bits of security (``RING``).
        """
        frame = unpack(data, Kind.BUNDLE, 3, MAX_BUNDLE_BYTES)
        head, body, digest = frame.sections
        if len(head) > _MOST_HEAD or not hmac.compare_digest(digest, _digest(head, body)):
            raise ModelError(
                "FILE",
                "does not match its digest: it was changed or damaged",
                where="bundle",
                remedy="save it again",
            )
        try:
            numbers = json.loads(bytes(head))
            name = str(numbers["name"])
            params = Parameters(numbers["degree"], tuple(numbers["primes"]), numbers["special"])
            program = Program.from_bytes(bytes(body))
        except ParameterError as error:
            raise ModelError("RING", str(error), where="bundle") from None
        except CircuitError as error:
            raise ModelError("FILE", str(error), where="bundle") from None
        except (ValueError, KeyError, TypeError, RecursionError):
            raise ModelError("FILE", "has a damaged head", where="bundle") from None
        if circuit_name(program, params) != frame.circuit:
            raise ModelError("FILE", "does not hold the circuit that it names", where="bundle")
        return cls(name, program, params)


def _digest(head: bytes | memoryview, body: bytes | memoryview) -> bytes:
    made = hashlib.sha256(b"hitoku bundle 1\0" + len(head).to_bytes(8, "little"))
    made.update(head)
    made.update(body)
    return made.digest()


def read_bundle(source: bytes | str | Path | Any) -> Bundle:
    """A bundle from its bytes, its file, or the folder it is in.

    Raises:
        ModelError: as `Bundle.from_bytes`, or the file cannot be read.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        return Bundle.from_bytes(bytes(source))
    path = Path(source)
    path = path / BUNDLE_NAME if path.is_dir() else path
    try:
        if path.stat().st_size > MAX_BUNDLE_BYTES:
            raise ModelError("TOO_LARGE", f"has more than {MAX_BUNDLE_BYTES:,} bytes", where=str(path))
        return Bundle.from_bytes(path.read_bytes())
    except OSError as error:
        raise ModelError("FILE", f"cannot be read ({error.strerror})", where=str(path)) from None
