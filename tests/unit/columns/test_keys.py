# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import base64

import pytest

from hitoku.columns.keys import Keys, read_secret
from hitoku.errors import InputError, SecretError

SECRET = bytes(range(32))
TEXT = base64.b64encode(SECRET).decode()


def test_keys_are_those_of_the_format(slow):
    keys = Keys.derive(slow.secret, slow.room.upper())
    assert keys.root == slow.root()
    assert keys.fingerprint("state") == slow.column_key("state")
    assert Keys.derive(slow.secret, slow.room, shared=True).fingerprint("state") == slow.root()
    assert "root" not in repr(keys)


def test_our_variable_wins_over_awss():
    other = base64.b64encode(b"x" * 40).decode()
    assert read_secret({"HITOKU_SHARED_SECRET": TEXT, "C3R_SHARED_SECRET": other}) == SECRET
    assert read_secret({"C3R_SHARED_SECRET": other}) == b"x" * 40


@pytest.mark.parametrize("text", ["not base64!", TEXT[:20], "", "é" * 50, TEXT[:-1]])
def test_a_bad_secret_is_named_and_never_shown(text):
    with pytest.raises(SecretError) as caught:
        read_secret({"C3R_SHARED_SECRET": text})
    assert "C3R_SHARED_SECRET" in str(caught.value)
    assert not text or text not in str(caught.value)
    assert caught.value.__cause__ is None


def test_no_secret_and_no_uuid():
    with pytest.raises(SecretError, match="HITOKU_SHARED_SECRET"):
        read_secret({})
    with pytest.raises(InputError, match="UUID"):
        Keys.derive(SECRET, "room one")
    with pytest.raises(SecretError, match="32"):
        Keys.derive(b"short", "00000000-1111-2222-3333-444444444444")
