# SPDX-License-Identifier: Apache-2.0
"""The ring's formats, written down a second time in plain Python: bytes, and what is expanded from seeds."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20

from hitoku import _core
from hitoku.hazmat.ring import Parameters

PARAMETERS, PUBLIC, RELINEARISATION, ROTATIONS, CIPHERTEXTS, SEEDED, PLAINTEXTS, SECRET = range(1, 9)


def header(params, kind):
    """Magic, version, kind, and the parameters in full."""
    scheme, log_n = (1 if params.scheme == "ckks" else 2), params.degree.bit_length() - 1
    out = b"HTKR" + struct.pack("<HBB", 1, kind, 0)
    out += struct.pack("<BBBBQ", scheme, log_n, params.levels, 0, params.plain_modulus or 0)
    return out + struct.pack(f"<{params.levels + 1}Q", *params.primes, params.special)


def pack(residues, primes):
    """Polynomials [..., level, N], each residue in its prime's bits, low bits first."""
    out = []
    rows = np.asarray(residues, np.uint64).reshape(-1, len(primes), np.shape(residues)[-1])
    for row in rows:
        for words, prime in zip(row, primes, strict=True):
            places = np.arange((prime - 1).bit_length(), dtype=np.uint64)
            bits = (words[:, None] >> places) & np.uint64(1)
            out.append(np.packbits(bits.astype(np.uint8).ravel(), bitorder="little").tobytes())
    return b"".join(out)


def size(primes, degree):
    """Bytes of a polynomial over these primes."""
    return sum(degree // 8 * (prime - 1).bit_length() for prime in primes)


def unpack(data, primes, degree):
    """The reverse of `pack`: uint64[polynomials, level, N]."""
    out, at = [], 0
    while at < len(data):
        for prime in primes:
            width = (prime - 1).bit_length()
            piece = np.frombuffer(data, np.uint8, degree // 8 * width, at)
            bits = np.unpackbits(piece, bitorder="little").reshape(degree, width).astype(np.uint64)
            out.append((bits << np.arange(width, dtype=np.uint64)).sum(axis=1, dtype=np.uint64))
            at += degree // 8 * width
    return np.array(out).reshape(-1, len(primes), degree)


def ciphertexts(params, residues, scale):
    """The message of ciphertexts [count, parts, level, N]."""
    count, parts, level, _ = np.shape(residues)
    front = header(params, CIPHERTEXTS) + struct.pack("<IBBHd", count, parts, level, 0, scale)
    return front + pack(residues, params.primes[:level])


def small_secret(params, data):
    """The secret's coefficients: two bits each, 2 for -1."""
    body = np.frombuffer(data[len(header(params, SECRET)) :], np.uint8)
    bits = (body[:, None] >> np.array([0, 2, 4, 6], np.uint8)) & 3
    return np.where(bits == 2, -1, bits.astype(np.int8)).ravel().astype(np.int64)


@dataclass
class Key:
    """A seeded key: `b` is uint64[polynomials, components, N]."""

    step: int
    seed: bytes
    b: np.ndarray


def keys(params, kind, data):
    """The keys of a message."""
    body = data[len(header(params, kind)) :]
    primes = params.primes if kind == PUBLIC else (*params.primes, params.special)
    polynomials = 1 if kind == PUBLIC else params.levels
    half = polynomials * size(primes, params.degree)
    out = []
    if kind == ROTATIONS:
        (count,) = struct.unpack("<I", body[:4])
        body = body[4:]
    else:
        count = 1
    for _ in range(count):
        step = 0
        if kind == ROTATIONS:
            (step,), body = struct.unpack("<I", body[:4]), body[4:]
        out.append(Key(step, body[:32], unpack(body[32 : 32 + half], primes, params.degree)))
        body = body[32 + half :]
    assert not body
    return out


# --- XChaCha20 (draft-irtf-cfrg-xchacha-03), and residues drawn from it ---


def _quarter(x, a, b, c, d):
    for one, two, three, turn in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
        x[one] = (x[one] + x[two]) & 0xFFFFFFFF
        mixed = x[three] ^ x[one]
        x[three] = (mixed << turn | mixed >> (32 - turn)) & 0xFFFFFFFF


def hchacha20(key, nonce):
    """The subkey of a key and 16 bytes of nonce."""
    x = list(
        struct.unpack("<4I", b"expand 32-byte k") + struct.unpack("<8I", key) + struct.unpack("<4I", nonce)
    )
    for _ in range(10):
        for column in range(4):
            _quarter(x, column, 4 + column, 8 + column, 12 + column)
        for column in range(4):
            _quarter(x, column, 4 + (column + 1) % 4, 8 + (column + 2) % 4, 12 + (column + 3) % 4)
    return struct.pack("<8I", *x[:4], *x[12:])


def stream(seed, label, index, count):
    """Bytes of a named stream: nonce = label, filled with zeroes to 16 bytes, and the index."""
    subkey = hchacha20(seed, label.ljust(16, b"\0"))
    algorithm = ChaCha20(subkey, bytes(8) + struct.pack("<Q", index))
    return Cipher(algorithm, mode=None).encryptor().update(bytes(count))


def expand(seed, label, index, prime, degree):
    """Residues: whole bytes each, high bits cleared, what is not below the prime passed over."""
    bits = prime.bit_length()
    width = (bits + 7) // 8
    raw = np.frombuffer(stream(seed, label, index, 2 * degree * width + 64 * width), np.uint8)
    padded = np.zeros((len(raw) // width, 8), np.uint8)
    padded[:, :width] = raw.reshape(-1, width)
    words = padded.view("<u8").ravel() & np.uint64((1 << bits) - 1)
    return words[words < prime][:degree]


def stream_number(row, component):
    return row * 64 + component


# --- arithmetic ---


def transform(params, residues, primes, forward):
    """To the transform's order or back, of residues [..., len(primes), N] of any primes of the ring."""
    out = np.empty_like(residues)
    for place, prime in enumerate(primes):
        other = next(q for q in (*params.primes, params.special) if q != prime)
        ring = Parameters(params.degree, (prime,), other)
        one = np.ascontiguousarray(residues[..., place : place + 1, :])
        out[..., place, :] = _core.ring_transform(ring.kernel, one, forward, 1)[..., 0, :]
    return out


def lifted(params, small, primes):
    """Small integers' residues in the transform's order: uint64[len(primes), N]."""
    residues = np.array([np.asarray(small, np.int64) % prime for prime in primes], np.uint64)
    return transform(params, residues, primes, True)


def times(x, y, prime):
    """Products modulo a prime, in whole numbers of any size."""
    return (np.asarray(x).astype(object) * np.asarray(y).astype(object) % prime).astype(np.uint64)


def signed(x, prime):
    """The integers nearest to zero."""
    values = np.asarray(x, np.int64)
    return np.where(values > prime // 2, values - prime, values)
