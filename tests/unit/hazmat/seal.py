# SPDX-License-Identifier: Apache-2.0
"""Microsoft SEAL, through TenSEAL's binding, as the oracle of the ring's tests.

Residues are carried to and from SEAL through its file format (magic 0xA15E, version 4.3), parsed and written
here. Polynomials cross in coefficient form, so that no order of a transform has to be shared.
BGV is not among the names of TenSEAL's enum; SEAL takes its number (3, `scheme_type::bgv`) all the same.
"""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import os
import struct
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

_MAGIC, _HEADER, _VERSION = 0xA15E, 16, (4, 3)
_PLAIN, _ZSTD = 0, 2
_SCHEMES = {"bfv": 1, "ckks": 2, "bgv": 3}


def module():
    """`tenseal.sealapi`, or skips; fails where everything is required."""
    try:
        import tenseal.sealapi as sealapi
    except ImportError as error:
        if os.environ.get("HITOKU_REQUIRE_ALL") == "1":
            pytest.fail(f"required, but missing: tenseal ({error})")
        pytest.skip("the ring is not compared with SEAL: tenseal is not installed (pip install tenseal)")
    return sealapi


def _unwrap(data: bytes) -> tuple[bytes, bytes]:
    """The content of SEAL's envelope at the beginning of `data`, and what follows it."""
    magic, header, _, _, packing, _, size = struct.unpack("<HBBBBHQ", data[:_HEADER])
    assert (magic, header) == (_MAGIC, _HEADER)
    body = data[_HEADER:size]
    if packing == _ZSTD:
        body = pa.CompressedInputStream(pa.BufferReader(body), "zstd").read()
    else:
        assert packing == _PLAIN
    return bytes(body), data[size:]


def _wrap(body: bytes) -> bytes:
    return struct.pack("<HBBBBHQ", _MAGIC, _HEADER, *_VERSION, _PLAIN, 0, _HEADER + len(body)) + body


def _numbers(data: bytes) -> np.ndarray:
    body, rest = _unwrap(data)
    assert not rest
    (count,) = struct.unpack("<Q", body[:8])
    return np.frombuffer(body, np.uint64, count, 8)


class Seal:
    """One context of SEAL with its keys and tools.

    Args:
        scheme: ckks, bgv or bfv.
        degree: N.
        primes: the data primes, in the order in which hitoku has them: the last is dropped first.
        special: the prime of key switching.
        plain_modulus: t of bgv and bfv.
        steps: rotations that keys are made for.
    """

    def __init__(self, scheme, degree, primes, special, plain_modulus=None, steps=()):
        self.api = api = module()
        self.scheme, self.degree, self.primes = scheme, degree, tuple(primes)
        form = api.EncryptionParameters(_SCHEMES[scheme])
        form.set_poly_modulus_degree(degree)
        form.set_coeff_modulus([api.Modulus(q) for q in (*primes, special)])
        if plain_modulus is not None:
            form.set_plain_modulus(plain_modulus)
        self.context = api.SEALContext(form, True, api.SEC_LEVEL_TYPE.TC128)
        assert self.context.parameters_set(), self.context.parameters_error_message()
        made = api.KeyGenerator(self.context)
        self.secret, self.public, self.relin = made.secret_key(), api.PublicKey(), api.RelinKeys()
        made.create_public_key(self.public)
        made.create_relin_keys(self.relin)
        self.galois = api.GaloisKeys()
        if steps:
            # By the element x -> x^e; SEAL's slots lie along the powers of 3.
            made.create_galois_keys([pow(3, step % (degree // 2), 2 * degree) for step in steps], self.galois)
        self.evaluator = api.Evaluator(self.context)
        self.encryptor = api.Encryptor(self.context, self.public)
        self.decryptor = api.Decryptor(self.context, self.secret)
        self.encoder = (api.CKKSEncoder if scheme == "ckks" else api.BatchEncoder)(self.context)

    # --- the two ends ---

    def at_level(self, level):
        """SEAL's name of the parameters with so many data primes left."""
        data = self.context.first_context_data()
        for _ in range(len(self.primes) - level):
            data = data.next_context_data()
        return data.parms_id()

    def encode(self, values, scale=None, level=None):
        plain = self.api.Plaintext()
        if self.scheme == "ckks":
            at = self.at_level(level or len(self.primes))
            self.encoder.encode([float(v) for v in values], at, float(scale), plain)
        else:
            self.encoder.encode([int(v) for v in values], plain)
        return plain

    def decode(self, plain):
        if self.scheme == "ckks":
            return np.array(self.encoder.decode_double(plain))
        return np.array(self.encoder.decode_int64(plain))

    def encrypt(self, values, scale=None, level=None):
        made = self.api.Ciphertext()
        self.encryptor.encrypt(self.encode(values, scale, level), made)
        return made

    def decrypt(self, ciphertext):
        plain = self.api.Plaintext()
        self.decryptor.decrypt(ciphertext, plain)
        return self.decode(plain)

    def do(self, name, *arguments):
        """An operation of the evaluator whose last argument is its result."""
        made = self.api.Ciphertext()
        getattr(self.evaluator, name)(*arguments, made)
        return made

    # --- residues across ---

    def _save(self, thing):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "thing"
            thing.save(str(path))
            return path.read_bytes()

    def coefficients(self, ciphertext):
        """Residues of the coefficients, uint64[parts, level, N]."""
        if ciphertext.is_ntt_form():
            ciphertext = self.do("transform_from_ntt", ciphertext)
        body, rest = _unwrap(self._save(ciphertext))
        assert not rest
        parts, degree, level = struct.unpack("<3Q", body[33:57])
        return _numbers(body[73:]).reshape(parts, level, degree)

    def correction(self, ciphertext):
        """BGV: by what the plaintext was multiplied, modulo t."""
        body, _ = _unwrap(self._save(ciphertext))
        return struct.unpack("<Q", body[65:73])[0]

    def ciphertext(self, coefficients, scale=1.0, correction=1):
        """A ciphertext of SEAL with these residues of coefficients, uint64[parts, level, N]."""
        parts, level, degree = coefficients.shape
        data = np.ascontiguousarray(coefficients, np.uint64).tobytes()
        body = struct.pack("<4Q", *self.at_level(level)) + b"\0"
        body += struct.pack("<3QdQ", parts, degree, level, scale, correction)
        body += _wrap(struct.pack("<Q", len(data) // 8) + data)
        made = self.api.Ciphertext()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "thing"
            path.write_bytes(_wrap(body))
            made.load(self.context, str(path))
        if self.scheme == "bfv" or made.is_ntt_form():  # SEAL transforms BGV while it loads
            return made
        return self.do("transform_to_ntt", made)

    def plain_coefficients(self, plain):
        """Residues of an encoded plaintext's coefficients, uint64[level, N] (ckks)."""
        one = np.zeros((2, len(self.primes), self.degree), np.uint64)
        return self.coefficients(self.do("add_plain", self._like(one, plain), plain))[0]

    def _like(self, residues, plain):
        level = plain.coeff_count() // self.degree
        residues = residues[:, :level].copy()
        residues[1, :, 0] = 1  # SEAL takes no ciphertext whose second part is zero
        return self.ciphertext(residues, plain.scale)

    def secret_coefficients(self):
        """The secret polynomial's coefficients, int8[N], each -1, 0 or 1."""
        body, _ = _unwrap(self._save(self.secret))
        count, _scale = struct.unpack("<Qd", body[32:48])
        first = _numbers(body[48:])[: self.degree]
        assert count % self.degree == 0
        level = len(self.primes)
        pair = np.zeros((2, level, self.degree), np.uint64)
        pair[1, :, 0] = 1
        held = self.ciphertext(pair)
        # The key's residues are put into a ciphertext in the transform's form, then carried as all others.
        body, _ = _unwrap(self._save(held))
        data = _numbers(body[73:]).copy().reshape(2, level, self.degree)
        data[0, 0] = first
        content = body[:73] + _wrap(struct.pack("<Q", data.size) + data.tobytes())
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "thing"
            path.write_bytes(_wrap(content))
            held.load(self.context, str(path))
        signed = self.coefficients(held)[0, 0].astype(np.int64)
        q = self.primes[0]
        out = np.where(signed > q // 2, signed - q, signed)
        assert set(np.unique(out)) <= {-1, 0, 1}
        return out.astype(np.int8)
