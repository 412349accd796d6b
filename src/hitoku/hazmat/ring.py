# SPDX-License-Identifier: Apache-2.0
"""Computing on encrypted vectors: CKKS and BGV over polynomial rings, own arithmetic in Rust, unaudited.

A low-level door for researchers; `hitoku.inference` stands on it. Who holds the `SecretKey` encrypts and
decrypts; who holds the public keys computes on ciphertexts and learns nothing of the values, if decision RLWE
is hard for these parameters (`Parameters` refuses what the HomomorphicEncryption.org standard gives less than
128 bits) and circular security holds.

What this layer does not do: it does not hide what was computed (a result tells its key's holder about the
other operands unless it passes `release`), it does not authenticate (ciphertexts are malleable: send
them over an authenticated channel), and a CKKS decryption must not be shown to anybody who does not hold the
key (B. Li, D. Micciancio, ePrint 2020/1533).
"""

from __future__ import annotations

from hitoku.hazmat.ring_errors import ParameterError, RingError
from hitoku.hazmat.ring_fused import PointwiseProgram, Register, SparseRows, pointwise
from hitoku.hazmat.ring_keys import PublicKey, RelinearisationKey, RotationKeys, SecretKey
from hitoku.hazmat.ring_operations import (
    add,
    add_plain,
    drop,
    multiply,
    multiply_plain,
    negate,
    relinearise,
    rescale,
    rotate,
    rotate_many,
    square,
    subtract,
    subtract_plain,
)
from hitoku.hazmat.ring_parameters import MAX_BITS, Parameters, backend, find_primes, nearest_primes
from hitoku.hazmat.ring_release import hiding_bits, release
from hitoku.hazmat.ring_transform import Transform, transform
from hitoku.hazmat.ring_values import (
    Ciphertexts,
    Plaintexts,
    SeededCiphertexts,
    concatenate,
    decode,
    encode,
    expanded,
    seeded_shape,
)

__all__ = [
    "MAX_BITS",
    "Ciphertexts",
    "ParameterError",
    "Parameters",
    "Plaintexts",
    "PointwiseProgram",
    "PublicKey",
    "Register",
    "RelinearisationKey",
    "RingError",
    "RotationKeys",
    "SecretKey",
    "SeededCiphertexts",
    "SparseRows",
    "Transform",
    "add",
    "add_plain",
    "backend",
    "concatenate",
    "decode",
    "drop",
    "encode",
    "expanded",
    "find_primes",
    "hiding_bits",
    "multiply",
    "multiply_plain",
    "nearest_primes",
    "negate",
    "pointwise",
    "release",
    "relinearise",
    "rescale",
    "rotate",
    "rotate_many",
    "seeded_shape",
    "square",
    "subtract",
    "subtract_plain",
    "transform",
]
