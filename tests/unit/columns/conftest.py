"""An independent, slow implementation of the file format, and the sample of AWS's client."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import base64
import hashlib
import hmac
from pathlib import Path
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

ROOM = "00000000-1111-2222-3333-444444444444"
SECRET = bytes(range(32))


def expand(info: bytes) -> bytes:
    prk = hmac.digest(ROOM.encode(), SECRET, "sha256")
    return hmac.digest(prk, info + b"\x01", "sha256")


def root() -> bytes:
    return expand(b"c3r-encryption-primary-aes-gcm-256")


def column_key(header: str) -> bytes:
    return expand(b"c3r-hmac-sha256-col-" + header.encode())


def fingerprint(key: bytes, value: bytes, type_index: int) -> str:
    mac = hmac.digest(key, value + bytes([type_index << 1]), "sha256")
    return "02:hmac:" + base64.b64encode(mac).decode()


def seal(
    value: bytes | None,
    type_index: int,
    header: str,
    nonce: bytes,
    pad_to: int | None = None,
) -> str:
    body = value or b""
    pad = 0 if pad_to is None else pad_to - len(body)
    type_byte = bytes([type_index << 1 | (value is None)])
    plain = type_byte + body + bytes(pad) + pad.to_bytes(2, "big")
    key = hashlib.sha256(root() + nonce).digest()
    iv = hashlib.sha256(header.encode() + nonce).digest()[:12]
    sealed = AESGCM(key).encrypt(iv, plain, b"02:enc:")
    return "02:enc:" + base64.b64encode(nonce + iv + sealed).decode()


def unseal(text: str) -> tuple[int, bool, bytes, bytes]:
    """Type index, null bit, metadata and value, and the nonce; checks the padding."""
    assert text.startswith("02:enc:")
    raw = base64.b64decode(text[7:], validate=True)
    key = hashlib.sha256(root() + raw[:32]).digest()
    plain = AESGCM(key).decrypt(raw[32:44], raw[44:], b"02:enc:")
    pad = int.from_bytes(plain[-2:], "big")
    body = plain[1 : len(plain) - 2 - pad]
    assert plain[len(plain) - 2 - pad : -2] == bytes(pad)
    return plain[0] >> 1, bool(plain[0] & 1), body, raw[:32]


@pytest.fixture(scope="session")
def slow() -> SimpleNamespace:
    return SimpleNamespace(
        room=ROOM,
        secret=SECRET,
        root=root,
        column_key=column_key,
        fingerprint=fingerprint,
        seal=seal,
        unseal=unseal,
    )


@pytest.fixture(scope="session")
def vectors() -> Path:
    folder = Path(__file__).resolve().parents[4] / "shared" / "vectors" / "c3r"
    if not folder.is_dir():
        pytest.skip(f"AWS's sample files are not at {folder}")
    return folder
