# SPDX-License-Identifier: Apache-2.0
"""PCR values and event logs beside a quote, read without trust: the quote's digest decides."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any, Final

from hitoku.attestation.codes import Code, Refused
from hitoku.attestation.tpm2.wire import SHA256, Reader

__all__ = ["Event", "json_of", "read_log", "read_pcrs", "replay"]

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_PCRS: Final = 24
_EVENTS: Final = 256
_WHAT: Final = 256


@dataclass(frozen=True, slots=True)
class Event:
    """What a PCR was extended with.

    Attributes:
        pcr: its number.
        digest: 32 bytes.
        what: a word for people; nothing rests on it.
    """

    pcr: int
    digest: bytes
    what: str = ""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready data."""
        return {"pcr": self.pcr, "digest": self.digest.hex(), "what": self.what}


def read_pcrs(content: bytes) -> dict[int, bytes]:
    """Values of the SHA-256 bank by number: JSON ``{"12": hex, ...}``, or what ``tpm2_quote -o`` writes.

    Raises:
        Refused: ``MALFORMED``.
    """
    if content[:4] == b"\x01\0\0\0":
        return _file_of_tpm2_tools(content)
    data = json_of(content, "`pcrs`")
    if not isinstance(data, dict):
        raise Refused(Code.MALFORMED, "`pcrs` are no object")
    names = {str(number): number for number in range(_PCRS)}
    if not data.keys() <= names.keys():
        raise Refused(Code.MALFORMED, "`pcrs` names no PCR")
    return {names[name]: _digest(value) for name, value in data.items()}


def read_log(content: bytes) -> tuple[Event, ...]:
    """An event log: a JSON array of ``{"pcr": number, "digest": hex, "what": text}``, oldest first.

    Raises:
        Refused: ``MALFORMED``.
    """
    data = json_of(content, "`log`")
    if not isinstance(data, list) or len(data) > _EVENTS:
        raise Refused(Code.MALFORMED, f"the event log is an array of at most {_EVENTS} events")
    events = []
    for event in data:
        if not isinstance(event, dict) or event.keys() != {"pcr", "digest", "what"}:
            raise Refused(Code.MALFORMED, "an event is an object of `pcr`, `digest` and `what`")
        pcr, what = event["pcr"], event["what"]
        if type(pcr) is not int or not 0 <= pcr < _PCRS or not isinstance(what, str) or len(what) > _WHAT:
            raise Refused(Code.MALFORMED, "an event's `pcr` or `what` is not valid")
        events.append(Event(pcr, _digest(event["digest"]), what))
    return tuple(events)


def replay(events: tuple[Event, ...]) -> dict[int, bytes]:
    """What PCRs hold that start at zero and are extended with these events in order."""
    values: dict[int, bytes] = {}
    for event in events:
        values[event.pcr] = hashlib.sha256(values.get(event.pcr, bytes(32)) + event.digest).digest()
    return values


def json_of(content: bytes, what: str) -> Any:
    """JSON in UTF-8 from anybody, each key once.

    Raises:
        Refused: ``MALFORMED``.
    """

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({name for name, _ in pairs}) != len(pairs):
            raise ValueError
        return dict(pairs)

    def never(_: str) -> Any:
        raise ValueError

    try:
        return json.loads(content.decode(), object_pairs_hook=once, parse_constant=never, parse_float=never)
    except (ValueError, RecursionError):  # UnicodeDecodeError and JSONDecodeError, too
        raise Refused(Code.MALFORMED, f"{what}: not JSON with each key once and whole numbers") from None


def _digest(value: object) -> bytes:
    if not isinstance(value, str) or not _DIGEST.fullmatch(value):
        raise Refused(Code.MALFORMED, "a PCR's value is 64 lower-case hexadecimal digits")
    return bytes.fromhex(value)


def _file_of_tpm2_tools(content: bytes) -> dict[int, bytes]:
    """TPML_PCR_SELECTION of 16 places and a list of TPML_DIGEST, as little-endian C lays them out."""
    file = Reader(content, "the file of PCR values")

    def little(size: int) -> int:
        return int.from_bytes(file.take(size), "little")

    count, bank, octets = little(4), little(2), little(1)
    bitmap = little(octets) if octets <= 4 else 0
    if count != 1 or bank != SHA256:
        raise Refused(Code.MALFORMED, "the file of PCR values is not of the SHA-256 bank alone")
    file.take(132 - 7 - octets)
    lists, values = little(4), []
    if lists > 3:
        raise file.refused("more values than a TPM has PCRs")
    for _ in range(lists):
        used, digests = little(4), []
        for _ in range(8):
            size = little(2)
            digests.append(file.take(64)[:size])
        values += digests[:used]
    file.end()
    numbers = [number for number in range(_PCRS) if bitmap >> number & 1]
    if len(values) != len(numbers) or any(len(value) != 32 for value in values):
        raise file.refused("not one digest of 32 bytes for each PCR")
    return dict(zip(numbers, values, strict=True))
