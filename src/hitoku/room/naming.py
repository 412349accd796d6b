# SPDX-License-Identifier: Apache-2.0
"""What all parts of an agreement are made of: names, public keys, and how a part reads its fields."""

from __future__ import annotations

import base64
import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict

from hitoku import limits

__all__ = ["AgreementPart", "Name", "PublicKey", "printable", "says_nothing", "valid_key"]

_NAME = re.compile(r"[a-z][a-z0-9_]*(-[a-z0-9_]+)*")
_KEY_PREFIX = "ed25519:"
# Points of small order: under such a "key" anybody can make valid signatures. The sign bit is masked.
_WEAK_KEYS = frozenset(
    bytes.fromhex(y)
    for y in (
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    )
)


def _name(value: str) -> str:
    if len(value) > limits.MAX_NAME_CHARS or not _NAME.fullmatch(value):
        raise ValueError(
            f"a name is 1 to {limits.MAX_NAME_CHARS} of a-z, 0-9, _ and - and begins with a letter"
        )
    return value


def valid_key(value: str) -> str:
    """An Ed25519 public key as agreements write it.

    Raises:
        ValueError: it is none.
    """
    try:
        raw = base64.b64decode(value.removeprefix(_KEY_PREFIX), validate=True)
    except ValueError:
        raw = b""
    # One key has one spelling, or one key could stand for two members.
    if len(raw) != 32 or value != _KEY_PREFIX + base64.b64encode(raw).decode():
        raise ValueError("a key is `ed25519:` and 32 bytes in base64")
    if raw[:31] + bytes([raw[31] & 0x7F]) in _WEAK_KEYS:
        raise ValueError("this key is no key: anybody can sign for it")
    return value


def printable(value: str) -> str:
    """A text of one line.

    Raises:
        ValueError: it is none.
    """
    if not value.isprintable():
        raise ValueError("must be printable text on one line")
    return value


Name = Annotated[str, AfterValidator(_name)]
PublicKey = Annotated[str, AfterValidator(valid_key)]


class AgreementPart(BaseModel):
    """A part of an agreement: nothing unknown in it, and nothing of it changes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def says_nothing(value: object) -> bool:
    """Whether a field is left out of the canonical form."""
    # What says nothing is not in the canonical form, so a field that is new leaves old signatures valid.
    return not value
