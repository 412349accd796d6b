# SPDX-License-Identifier: Apache-2.0
"""SPDM 1.1 measurements (DMTF DSP0274), as NVIDIA's GPUs sign them.

Evidence is the request GET_MEASUREMENTS and the response MEASUREMENTS, one behind the other. The device signs
both, so the request's nonce is what makes it fresh. Numbers are little-endian; the signature is r then s,
big-endian. NVIDIA's opaque data is a list of (type, length, value).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from hitoku.attestation.codes import Code, Refused

__all__ = ["Measured", "is_measured", "parse"]

_VERSION: Final = 0x11
_GET_MEASUREMENTS, _MEASUREMENTS = 0xE0, 0x60
_SIGNED, _ALL_BLOCKS = 0x01, 0xFF
_REQUEST: Final = 37
_SIGNATURE: Final = 96
_DMTF: Final = 1
_MOST_BYTES: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Measured:
    """What is in a request and its response; nothing here is checked.

    Attributes:
        nonce: of the request, 32 bytes.
        blocks: index -> measurement's bytes.
        opaque: type -> value of NVIDIA's own fields.
        signed: what the signature is over.
        r: of the signature, and
        s: the other half.
    """

    nonce: bytes
    blocks: Mapping[int, bytes]
    opaque: Mapping[int, bytes]
    signed: bytes
    r: int
    s: int


def is_measured(content: bytes) -> bool:
    """Whether the bytes begin as a request and a response of measurements do."""
    return (
        len(content) > _REQUEST + 8
        and content[:2] == bytes((_VERSION, _GET_MEASUREMENTS))
        and content[_REQUEST : _REQUEST + 2] == bytes((_VERSION, _MEASUREMENTS))
    )


def parse(content: bytes) -> Measured:
    """Read request and response; every byte has its place.

    Raises:
        Refused: ``MALFORMED``, or ``UNSUPPORTED`` where not all measurements were asked for, signed.
    """
    if not is_measured(content) or len(content) > _MOST_BYTES:
        raise Refused(Code.MALFORMED, "no SPDM 1.1 request for measurements with its response")
    if not content[2] & _SIGNED or content[3] != _ALL_BLOCKS:
        raise Refused(Code.UNSUPPORTED, "not all measurements were asked for, with a signature")
    count = content[_REQUEST + 4]
    start = _REQUEST + 8
    record = _part(content, start, int.from_bytes(content[start - 3 : start], "little"))
    at = start + len(record) + 32  # the response's own nonce; the request's is the challenge
    opaque = _part(content, at + 2, int.from_bytes(_part(content, at, 2), "little"))
    end = at + 2 + len(opaque)
    signature = content[end:]
    if len(signature) != _SIGNATURE:
        raise Refused(Code.MALFORMED, "the signature is not of 96 bytes, or bytes stand behind it")
    return Measured(
        nonce=content[4:36],
        blocks=_blocks(record, count),
        opaque=_opaque(opaque),
        signed=content[:end],
        r=int.from_bytes(signature[:48], "big"),
        s=int.from_bytes(signature[48:], "big"),
    )


def _blocks(record: bytes, count: int) -> dict[int, bytes]:
    blocks: dict[int, bytes] = {}
    at = 0
    while at < len(record):
        index, specification, *size = _part(record, at, 4)
        block = _part(record, at + 4, int.from_bytes(bytes(size), "little"))
        if specification != _DMTF or int.from_bytes(block[1:3], "little") != len(block) - 3:
            raise Refused(Code.MALFORMED, "a measurement is not in the form that DMTF gives it")
        if index in blocks:
            raise Refused(Code.MALFORMED, "two measurements have one index")
        blocks[index] = block[3:]
        at += 4 + len(block)
    if len(blocks) != count or not blocks:
        raise Refused(Code.MALFORMED, "there are not as many measurements as the response says")
    return blocks


def _opaque(content: bytes) -> dict[int, bytes]:
    fields: dict[int, bytes] = {}
    at = 0
    while at < len(content):
        head = _part(content, at, 4)
        kind, size = int.from_bytes(head[:2], "little"), int.from_bytes(head[2:], "little")
        if kind in fields:
            raise Refused(Code.MALFORMED, "an opaque field stands there twice")
        fields[kind] = _part(content, at + 4, size)
        at += 4 + size
    return fields


def _part(content: bytes, start: int, size: int) -> bytes:
    part = content[start : start + size]
    if len(part) != size:
        raise Refused(Code.MALFORMED, "the measurements end early")
    return part
