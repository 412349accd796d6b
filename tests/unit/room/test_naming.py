# SPDX-License-Identifier: Apache-2.0
"""Names and public keys: what agreements take, in one spelling each."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from hitoku import limits
from hitoku.room.naming import AgreementPart, Name, PublicKey, printable, says_nothing, valid_key

NAMES: TypeAdapter[str] = TypeAdapter(Name)
KEYS: TypeAdapter[str] = TypeAdapter(PublicKey)


def written(raw: bytes) -> str:
    return "ed25519:" + base64.b64encode(raw).decode()


@given(st.from_regex(r"[a-z][a-z0-9_]{0,20}(-[a-z0-9_]{1,10}){0,3}", fullmatch=True))
def test_names_are_taken(name: str) -> None:
    assert NAMES.validate_python(name) == name


@pytest.mark.parametrize(
    "name", ["", "A", "1a", "_a", "-a", "a-", "a--b", "a b", "a.b", "ä", "a\n", "a/b", "а", "a" * 1_000]
)
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(ValidationError, match=f"a name is 1 to {limits.MAX_NAME_CHARS}"):
        NAMES.validate_python(name)


@given(st.binary(min_size=32, max_size=32).filter(lambda raw: raw[1:31] not in (bytes(30), b"\xff" * 30)))
def test_a_key_is_taken_in_its_one_spelling(raw: bytes) -> None:
    key = written(raw)
    if raw[1:31].hex().startswith(("e8958fc2", "176a703d")):  # small order, as below
        return
    assert KEYS.validate_python(key) == key
    for other in (key[8:], key.rstrip("="), key + "=", key + "\n", key.upper(), written(raw + b"\0")):
        with pytest.raises(ValidationError, match="32 bytes in base64"):
            KEYS.validate_python(other)


def test_the_last_bits_of_a_key_are_not_free() -> None:
    """32 bytes leave two bits of the last base64 digit unused: another digit there means the same bytes."""
    key = written(bytes(range(100, 132)))
    assert key[-2] == "M"
    with pytest.raises(ValueError, match="32 bytes in base64"):
        valid_key(key[:-2] + "N=")


@pytest.mark.parametrize("sign", [0, 0x80])
@pytest.mark.parametrize("y", [0, 1, 2**255 - 20, 2**255 - 19, 2**255 - 18])
def test_points_of_small_order_are_no_keys(y: int, sign: int) -> None:
    raw = bytearray(y.to_bytes(32, "little"))
    raw[31] |= sign
    with pytest.raises(ValueError, match="anybody can sign"):
        valid_key(written(bytes(raw)))


def test_points_of_order_eight_are_no_keys() -> None:
    """Their y is found here, not copied: x^2 = -y^2 on the curve of RFC 8032, section 5.1."""
    p = 2**255 - 19
    d = -121665 * pow(121666, -1, p) % p

    def root(square: int) -> int:
        found = pow(square, (p + 3) // 8, p)
        if found * found % p != square % p:
            found = found * pow(2, (p - 1) // 4, p) % p
        return found if found * found % p == square % p else 0

    # 2 (x, y) has the y-coordinate 0 where y^2 = -x^2: d y^4 + 2 y^2 - 1 = 0.
    inner = root(1 + d)
    ys = {root((-1 + sign * inner) * pow(d, -1, p) % p) for sign in (1, -1)} - {0}
    assert ys
    for y in ys | {p - y for y in ys}:
        with pytest.raises(ValueError, match="anybody can sign"):
            valid_key(written(y.to_bytes(32, "little")))


def test_parts_know_their_fields_and_do_not_change() -> None:
    class Part(AgreementPart):
        name: Name

    part = Part(name="one")
    with pytest.raises(ValidationError):
        setattr(part, "name", "two")  # noqa: B010 - a type checker sees it too
    with pytest.raises(ValidationError):
        Part.model_validate({"name": "one", "other": 1})


def test_texts_of_one_line() -> None:
    assert printable("秘匿, one line") == "秘匿, one line"
    for text in ("a\nb", "a\x1b[31m", "a\u202eb", "\0"):
        with pytest.raises(ValueError, match="one line"):
            printable(text)


def test_what_says_nothing() -> None:
    assert all(says_nothing(value) for value in ((), "", None, 0, False))
    assert not any(says_nothing(value) for value in (("a",), "a", 1, True))
