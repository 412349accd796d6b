# SPDX-License-Identifier: Apache-2.0
"""Messages of a learning run: a small JSON header and arrays of numbers, as bytes, signed once.

Layout of a packed message: ``HLW1``, the header's length (u32, little-endian), the header (JSON, padded with
spaces so that what follows begins at a multiple of 8), then each array's values, little-endian, C order,
padded with zero bytes to a multiple of 8. A signed message is ``HLS1``, four zero bytes, 64 bytes of Ed25519
signature over a domain and the SHA-256 of the packed message, and the packed message: large arrays are hashed
once by who sends and once by who receives them, never copied into text, and read in place.

An array's name may begin with how its values are protected, ``masked/``, ``encrypted/`` or ``sealed/``;
others are open. The transcript counts bytes by it, and the audit tests whether protected bytes look like it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hitoku import limits
from hitoku.errors import PeerError
from hitoku.ports import KeyStore
from hitoku.room.keys import valid_signature

__all__ = [
    "PROTECTIONS",
    "REPLY_DOMAIN",
    "REQUEST_DOMAIN",
    "Opened",
    "Signed",
    "open_signed",
    "pack",
    "protected_bytes",
    "protection",
    "seal",
    "unpack",
]

REQUEST_DOMAIN: Final = "hitoku/learning-request/1"
REPLY_DOMAIN: Final = "hitoku/learning-reply/1"
PROTECTIONS: Final = ("masked", "encrypted", "sealed", "open")

_MAGIC: Final = b"HLW1"
_SIGNED: Final = b"HLS1\0\0\0\0"
_BODY: Final = len(_SIGNED) + 64
_DTYPES: Final = {
    name: np.dtype(code)
    for name, code in {
        "u8": "<u1",
        "i8": "<i1",
        "u16": "<u2",
        "i16": "<i2",
        "u32": "<u4",
        "i32": "<i4",
        "u64": "<u8",
        "i64": "<i8",
        "f32": "<f4",
        "f64": "<f8",
    }.items()
}
_NAMES: Final = {dtype: name for name, dtype in _DTYPES.items()}


class Signed(NamedTuple):
    """A message ready to be sent, the SHA-256 of its packed form, and the signature."""

    content: bytes
    digest: bytes
    signature: bytes


class Opened(NamedTuple):
    """What a signed message says. The arrays are read-only views into its bytes."""

    header: dict[str, Any]
    arrays: dict[str, NDArray[Any]]
    digest: bytes
    signature: bytes


def protection(name: str) -> str:
    """How an array of this name is protected: one of PROTECTIONS."""
    before, slash, _ = name.partition("/")
    return before if slash and before in PROTECTIONS else "open"


def protected_bytes(arrays: Mapping[str, NDArray[Any]]) -> dict[str, int]:
    """Bytes of the arrays by protection; what there is none of is absent."""
    counted: dict[str, int] = {}
    for name, values in arrays.items():
        kind = protection(name)
        counted[kind] = counted.get(kind, 0) + values.nbytes
    return counted


def _pieces(header: Mapping[str, Any], arrays: Mapping[str, Any]) -> list[Any]:
    if len(arrays) > limits.MAX_LEARNING_ARRAYS:
        raise PeerError("a message has too many arrays")
    listed: list[tuple[str, str, list[int]]] = []
    blobs: list[Any] = []
    for name, given in arrays.items():
        values = np.frombuffer(given, np.uint8) if isinstance(given, bytes) else np.asarray(given)
        little = values.dtype.newbyteorder("<")
        kind = _NAMES.get(little)
        if kind is None or values.ndim > limits.MAX_LEARNING_DIMENSIONS:
            raise PeerError(f"array {name!r} of a message has no form that can be sent")
        shape = list(values.shape)
        values = np.ascontiguousarray(values, little)
        listed.append((name, kind, shape))
        if values.nbytes:
            blobs.append(values.reshape(-1).view(np.uint8).data)
            if values.nbytes % 8:
                blobs.append(bytes(-values.nbytes % 8))
    try:
        text = json.dumps(
            {"arrays": listed, "header": header},
            sort_keys=True,
            separators=(",", ":"),
            ensure_ascii=False,
            allow_nan=False,
        ).encode()
    except (TypeError, ValueError, RecursionError):
        raise PeerError("a message's header is not plain data") from None
    text += b" " * (-(len(_MAGIC) + 4 + len(text)) % 8)
    if len(text) > limits.MAX_LEARNING_HEADER_BYTES:
        raise PeerError("a message's header is too large")
    return [_MAGIC + len(text).to_bytes(4, "little") + text, *blobs]


def pack(header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any] | bytes]) -> bytes:
    """A message as bytes.

    Args:
        header: JSON-ready; whole numbers of any size, no infinities.
        arrays: of whole or floating-point numbers; bytes travel as uint8.

    Raises:
        PeerError: it cannot be sent: not plain data, or too large.
    """
    return b"".join(_pieces(header, arrays))


def unpack(
    content: bytes | memoryview, most: int = limits.MAX_LEARNING_MESSAGE_BYTES
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Header and arrays of a packed message; the arrays are read-only views into `content`.

    Args:
        content: what `pack` made, or anything else.
        most: how many bytes it may have.

    Raises:
        PeerError: it is no packed message, or exceeds a limit.
    """
    view = memoryview(content)
    if not 8 <= len(view) <= most or bytes(view[:4]) != _MAGIC:
        raise _malformed()
    end = 8 + int.from_bytes(view[4:8], "little")
    if end > len(view) or end - 8 > limits.MAX_LEARNING_HEADER_BYTES or end % 8:
        raise _malformed()
    try:
        text = bytes(view[8:end])
        data = json.loads(text, parse_constant=_no_constant, parse_float=_finite)
        if b"\\u" in text:
            # Halves of characters have no bytes: who writes them down (a transcript) would fail at it.
            json.dumps(data, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise _malformed() from None
    if not isinstance(data, dict) or set(data) != {"arrays", "header"}:
        raise _malformed()
    header, listed = data["header"], data["arrays"]
    if (
        not isinstance(header, dict)
        or not isinstance(listed, list)
        or len(listed) > limits.MAX_LEARNING_ARRAYS
    ):
        raise _malformed()
    arrays: dict[str, NDArray[Any]] = {}
    place = end
    for entry in listed:
        name, dtype, shape = _form(entry)
        size = dtype.itemsize
        for extent in shape:
            size *= extent
        padded = size + -size % 8
        if name in arrays or padded > len(view) - place or any(view[place + size : place + padded]):
            raise _malformed()
        values = np.frombuffer(view[place : place + size] if size else b"", dtype).reshape(shape)
        values.flags.writeable = False
        arrays[name] = values
        place += padded
    if place != len(view):
        raise _malformed()
    return header, arrays


def _form(entry: Any) -> tuple[str, np.dtype[Any], list[int]]:
    if not (isinstance(entry, list) and len(entry) == 3):
        raise _malformed()
    name, kind, shape = entry
    if not isinstance(name, str) or not isinstance(kind, str) or kind not in _DTYPES:
        raise _malformed()
    if not isinstance(shape, list) or len(shape) > limits.MAX_LEARNING_DIMENSIONS:
        raise _malformed()
    size = 1
    for extent in shape:
        if type(extent) is not int or extent < 0:
            raise _malformed()
        size *= max(extent, 1)
        if size > limits.MAX_LEARNING_MESSAGE_BYTES:
            raise _malformed()
    return name, _DTYPES[kind], shape


def seal(
    domain: str, keys: KeyStore, header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any] | bytes]
) -> Signed:
    """Pack and sign a message.

    Raises:
        PeerError: it cannot be sent.
        SecretError: the key is missing.
    """
    pieces = _pieces(header, arrays)
    hashed = hashlib.sha256()
    for piece in pieces:
        hashed.update(piece)
    digest = hashed.digest()
    signature = keys.sign(_signed(domain, digest))
    return Signed(b"".join([_SIGNED, signature, *pieces]), digest, signature)


def open_signed(
    domain: str, public: str, content: bytes, most: int = limits.MAX_LEARNING_MESSAGE_BYTES
) -> Opened:
    """Check a message's signature, then read it.

    Args:
        domain: what kind of message it is signed as.
        public: the sender's key, `ed25519:...`.
        content: what came.
        most: how many bytes it may have.

    Raises:
        PeerError: it is malformed, too large, or not signed by this key as this kind of message.
    """
    if not _BODY <= len(content) <= most or content[: len(_SIGNED)] != _SIGNED:
        raise _malformed()
    signature = content[len(_SIGNED) : _BODY]
    packed = memoryview(content)[_BODY:]
    digest = hashlib.sha256(packed).digest()
    if not valid_signature(public, _signed(domain, digest), base64.b64encode(signature).decode()):
        raise PeerError("a message of a learning run has another signature than its sender's", "SIGNATURE")
    header, arrays = unpack(packed, most)
    return Opened(header, arrays, digest, signature)


def _signed(domain: str, digest: bytes) -> bytes:
    return domain.encode() + b"\0" + digest


def _no_constant(_: str) -> None:
    raise ValueError("not a number of JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("not a number of JSON")
    return value


def _malformed() -> PeerError:
    return PeerError("a message of a learning run is malformed", "MALFORMED")
