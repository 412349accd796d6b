# SPDX-License-Identifier: Apache-2.0
"""Strict, bounded readers of CBOR and DER: what anybody may send is read in one way only, or refused.

General decoders are made for what is useful, not for what is signed: cbor2 takes bytes behind the item and
keeps the last of two equal keys, BER has many spellings of one value. Two readers who differ there can be
shown two different statements under one signature. So these take one item, whole, in its shortest spelling,
with each key once; lengths are checked against what is there before anything is read, and depth and number
are bounded.

CBOR is RFC 8949 without floats, indefinite lengths and unknown tags (its section 4.2.1 asks for the same of
deterministic encoders). DER is X.690 with single-byte tags.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from hitoku.attestation.codes import Code, Refused

__all__ = ["DEPTH", "Element", "Tagged", "cbor", "der", "der_sequence", "encode_cbor"]

DEPTH: Final = 16
"""How deep items nest at most. COSE needs 3, a certificate 7."""
_CHILDREN: Final = 4096

# --- CBOR ---


@dataclass(frozen=True, slots=True)
class Tagged:
    """A CBOR item behind a tag.

    Attributes:
        tag: its number.
        value: the item.
    """

    tag: int
    value: Any


def cbor(content: bytes, *, most: int, tags: Collection[int] = ()) -> Any:
    """Read one CBOR item that is all of the content.

    Args:
        content: from anybody.
        most: bytes that it may have.
        tags: numbers of tags that may stand in it; each comes out as `Tagged`.

    Returns:
        Whole numbers, `bytes`, `str`, `bool`, None, lists, and dictionaries with numbers, texts or bytes as
        keys.

    Raises:
        Refused: ``MALFORMED``.
    """
    if len(content) > most:
        raise _malformed(f"the CBOR is longer than {most} bytes")
    item, end = _item(content, 0, DEPTH, frozenset(tags))
    if end != len(content):
        raise _malformed("bytes stand behind the CBOR item")
    return item


def _item(content: bytes, at: int, depth: int, tags: frozenset[int]) -> tuple[Any, int]:
    if not depth:
        raise _malformed("the CBOR is nested too deep")
    major, value, at = _head(content, at)
    if major == 0:
        return value, at
    if major == 1:
        return -1 - value, at
    if major in {2, 3}:
        if value > len(content) - at:
            raise _malformed("a CBOR string is longer than what is there")
        piece, at = content[at : at + value], at + value
        return (piece if major == 2 else _text(piece)), at
    if major == 4:
        return _array(content, at, value, depth, tags)
    if major == 5:
        return _map(content, at, value, depth, tags)
    if major == 6:
        if value not in tags:
            raise _malformed("a CBOR tag that does not belong here")
        item, at = _item(content, at, depth - 1, tags)
        return Tagged(value, item), at
    try:
        return {20: False, 21: True, 22: None}[value], at
    except KeyError:
        raise _malformed("a CBOR value that is neither true, false nor null") from None


def _head(content: bytes, at: int) -> tuple[int, int, int]:
    """Major type, argument, and where the rest begins."""
    if at >= len(content):
        raise _malformed("the CBOR ends too early")
    major, value = content[at] >> 5, content[at] & 31
    at += 1
    if value < 24:
        return major, value, at
    if value > 27 or major == 7:
        raise _malformed("CBOR of indefinite length, a float, or a reserved form")
    size = 1 << (value - 24)
    if size > len(content) - at:
        raise _malformed("the CBOR ends too early")
    value = int.from_bytes(content[at : at + size], "big")
    if value < (24 if size == 1 else 1 << (4 * size)):
        raise _malformed("a CBOR number is not in its shortest form")
    return major, value, at + size


def _array(content: bytes, at: int, count: int, depth: int, tags: frozenset[int]) -> tuple[list[Any], int]:
    if count > len(content) - at:  # each item has a byte at least
        raise _malformed("a CBOR array is longer than what is there")
    items = []
    for _ in range(count):
        item, at = _item(content, at, depth - 1, tags)
        items.append(item)
    return items, at


def _map(content: bytes, at: int, count: int, depth: int, tags: frozenset[int]) -> tuple[dict[Any, Any], int]:
    if count > (len(content) - at) // 2:
        raise _malformed("a CBOR map is longer than what is there")
    entries: dict[Any, Any] = {}
    for _ in range(count):
        key, at = _item(content, at, depth - 1, tags)
        # True equals 1 in Python, so truths are no keys.
        if isinstance(key, bool) or not isinstance(key, int | str | bytes):
            raise _malformed("a CBOR key is neither a number, a text nor bytes")
        if key in entries:
            raise _malformed("a CBOR map has a key twice")
        entries[key], at = _item(content, at, depth - 1, tags)
    return entries, at


def _text(piece: bytes) -> str:
    try:
        return piece.decode()
    except UnicodeDecodeError:
        raise _malformed("a CBOR text is not UTF-8") from None


def encode_cbor(item: bytes | str | Sequence[Any] | Mapping[str, Any] | None) -> bytes:
    """Write what the formats here need, in the one spelling that `cbor` reads. Maps keep their order."""
    if item is None:
        return b"\xf6"
    if isinstance(item, bytes):
        return _encoded_head(2, len(item)) + item
    if isinstance(item, str):
        return _encoded_head(3, len(item.encode())) + item.encode()
    if isinstance(item, Mapping):
        pairs = (encode_cbor(key) + encode_cbor(value) for key, value in item.items())
        return _encoded_head(5, len(item)) + b"".join(pairs)
    return _encoded_head(4, len(item)) + b"".join(map(encode_cbor, item))


def _encoded_head(major: int, value: int) -> bytes:
    if value < 24:
        return bytes([major << 5 | value])
    size = next(s for s in range(4) if value < 1 << (8 << s))
    return bytes([major << 5 | 24 + size]) + value.to_bytes(1 << size, "big")


# --- DER ---

_BOOLEAN, _INTEGER, _BITS, _OCTETS, _OID, _SEQUENCE = 0x01, 0x02, 0x03, 0x04, 0x06, 0x30
_UTC_TIME, _GENERALIZED_TIME = 0x17, 0x18


@dataclass(frozen=True, slots=True)
class Element:
    """One DER element.

    Attributes:
        tag: the identifier octet.
        content: what it holds.
        whole: header and content, as signatures cover it.
    """

    tag: int
    content: bytes
    whole: bytes

    def children(self, tag: int = _SEQUENCE, most: int = _CHILDREN) -> tuple[Element, ...]:
        """The elements inside one of that (constructed) tag.

        Raises:
            Refused: ``MALFORMED``.
        """
        self._demand(tag)
        return der_sequence(self.content, most)

    def integer(self) -> int:
        """An INTEGER of at most 64 bytes. Raises `Refused` ``MALFORMED``."""
        self._demand(_INTEGER)
        raw = self.content
        if not 1 <= len(raw) <= 64 or (len(raw) > 1 and (raw[0], raw[1] >> 7) in {(0, 0), (255, 1)}):
            raise _malformed("a DER integer is not in its shortest form, or too long")
        return int.from_bytes(raw, "big", signed=True)

    def boolean(self) -> bool:
        """A BOOLEAN. Raises `Refused` ``MALFORMED``."""
        self._demand(_BOOLEAN)
        if self.content not in {b"\x00", b"\xff"}:
            raise _malformed("a DER truth is neither 00 nor FF")
        return self.content == b"\xff"

    def octets(self) -> bytes:
        """An OCTET STRING. Raises `Refused` ``MALFORMED``."""
        self._demand(_OCTETS)
        return self.content

    def bits(self) -> bytes:
        """A BIT STRING of whole bytes. Raises `Refused` ``MALFORMED``."""
        self._demand(_BITS)
        if not self.content or self.content[0]:
            raise _malformed("a DER bit string is not of whole bytes")
        return self.content[1:]

    def named_bits(self) -> frozenset[int]:
        """The numbers of the bits that are set in a BIT STRING. Raises `Refused` ``MALFORMED``."""
        self._demand(_BITS)
        raw = self.content[1:]
        if not self.content or self.content[0] > 7 or len(raw) > 8 or (self.content[0] and not raw):
            raise _malformed("a DER bit string is not in its form")
        if raw and raw[-1] & ((1 << self.content[0]) - 1):
            raise _malformed("a DER bit string has bits behind its end")
        return frozenset(i for i in range(8 * len(raw)) if raw[i // 8] >> (7 - i % 8) & 1)

    def oid(self) -> str:
        """An OBJECT IDENTIFIER, dotted. Raises `Refused` ``MALFORMED``."""
        self._demand(_OID)
        raw = self.content
        if not 1 <= len(raw) <= 64 or raw[-1] & 0x80:
            raise _malformed("a DER object identifier is not in its form")
        arcs, value = [], 0
        for byte in raw:
            if not value and byte == 0x80:
                raise _malformed("a DER object identifier is not in its shortest form")
            value = value << 7 | byte & 0x7F
            if not byte & 0x80:
                arcs.append(value)
                value = 0
        first = min(arcs[0] // 40, 2)
        return ".".join(map(str, (first, arcs[0] - 40 * first, *arcs[1:])))

    def time(self) -> datetime:
        """A UTCTime or GeneralizedTime in the one spelling that RFC 5280 4.1.2.5 allows, in UTC.

        Raises:
            Refused: ``MALFORMED``.
        """
        try:
            text = self.content.decode("ascii")
        except UnicodeDecodeError:
            raise _malformed("a time is not text") from None
        digits = {_UTC_TIME: 12, _GENERALIZED_TIME: 14}.get(self.tag)
        if digits is None or len(text) != digits + 1 or text[-1] != "Z" or not text[:-1].isdecimal():
            raise _malformed("a time is not in the form of RFC 5280")
        if self.tag == _UTC_TIME:
            text = ("20" if text[:2] < "50" else "19") + text
        try:
            return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
        except ValueError:
            raise _malformed("a time is not a time") from None

    def _demand(self, tag: int) -> None:
        if self.tag != tag:
            raise _malformed(f"a DER element has the tag {self.tag:#04x} in place of {tag:#04x}")


def der(content: bytes, *, most: int) -> Element:
    """Read one DER element that is all of the content.

    Args:
        content: from anybody.
        most: bytes that it may have.

    Raises:
        Refused: ``MALFORMED``.
    """
    if len(content) > most:
        raise _malformed(f"the DER is longer than {most} bytes")
    element, end = _element(content, 0)
    if end != len(content):
        raise _malformed("bytes stand behind the DER element")
    return element


def der_sequence(content: bytes, most: int = _CHILDREN) -> tuple[Element, ...]:
    """Read DER elements, one behind the other, that are all of the content.

    Raises:
        Refused: ``MALFORMED``.
    """
    elements: list[Element] = []
    at = 0
    while at < len(content):
        if len(elements) == most:
            raise _malformed(f"more than {most} DER elements stand side by side")
        element, at = _element(content, at)
        elements.append(element)
    return tuple(elements)


def _element(content: bytes, at: int) -> tuple[Element, int]:
    start = at
    if len(content) - at < 2:
        raise _malformed("the DER ends too early")
    tag, size = content[at], content[at + 1]
    at += 2
    if tag & 31 == 31:
        raise _malformed("a DER tag of several bytes")
    if size & 0x80:
        count = size & 0x7F
        if not 1 <= count <= 4 or count > len(content) - at:
            raise _malformed("a DER length is indefinite, or too long")
        size = int.from_bytes(content[at : at + count], "big")
        at += count
        if size < (0x80 if count == 1 else 1 << (8 * (count - 1))):
            raise _malformed("a DER length is not in its shortest form")
    if size > len(content) - at:
        raise _malformed("a DER element is longer than what is there")
    return Element(tag, content[at : at + size], content[start : at + size]), at + size


def _malformed(what: str) -> Refused:
    return Refused(Code.MALFORMED, what)
