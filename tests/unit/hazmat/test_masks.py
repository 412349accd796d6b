# SPDX-License-Identifier: Apache-2.0
"""Masks against a second implementation (`cryptography` and whole numbers), and what is refused."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import copy
import pickle
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CTR
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand
from hypothesis import given, settings
from hypothesis import strategies as st

from hitoku.errors import InputError, PeerError
from hitoku.hazmat.masks import PUBLIC_BYTES, SHARE_BYTES, MaskKey, MaskSeed, mask, mask_into

ORDER = 2**252 + 27742317777372353535851937790883648493
LOW_ORDER = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
]
scalars = st.integers(0, ORDER - 1)


def hkdf(key: bytes, info: bytes) -> bytes:
    """HKDF with no salt."""
    return HKDF(hashes.SHA256(), 32, None, info).derive(key)


def expand(key: bytes, info: bytes) -> bytes:
    return HKDFExpand(hashes.SHA256(), 32, info).derive(key)


def points(secret: int, slope: int, count: int) -> list[bytes]:
    """Shares on a line through the secret: threshold 2."""
    return [bytes([x]) + ((secret + slope * x) % ORDER).to_bytes(32, "little") for x in range(1, count + 1)]


def known(kind, secret: int):
    """A key or seed whose scalar the test knows."""
    return kind.combine(points(secret, 12345, 2), 2)


def lagrange(shares: list[bytes]) -> int:
    total = 0
    for share in shares:
        x, term = share[0], int.from_bytes(share[1:], "little")
        for other in shares:
            if other[0] != x:
                term = term * other[0] * pow(other[0] - x, -1, ORDER) % ORDER
        total += term
    return total % ORDER


def private(secret: int) -> X25519PrivateKey:
    return X25519PrivateKey.from_private_bytes(hkdf(secret.to_bytes(32, "little"), b"hitoku/mask-key/1"))


def pair_secret(secret: int, peer: bytes, info: bytes) -> bytes:
    own = private(secret)
    both = sorted([own.public_key().public_bytes_raw(), peer])
    shared = own.exchange(X25519PublicKey.from_public_bytes(peer))
    return hkdf(shared, b"hitoku/mask-secret/1" + both[0] + both[1] + info)


def stream(secret: bytes, context: bytes, length: int) -> np.ndarray:
    cipher = Cipher(AES256(expand(secret, b"hitoku/mask-stream/2" + context)), CTR(bytes(16)))
    return np.frombuffer(cipher.encryptor().update(bytes(8 * length)), dtype="<u8")


@settings(max_examples=20, deadline=None)
@given(
    secrets=st.tuples(scalars, scalars),
    info=st.binary(max_size=40),
    context=st.binary(max_size=40),
    length=st.sampled_from([0, 1, 7, 8, 9, 4095, 4096, 4097, 70_000]),
    sign=st.sampled_from([1, -1]),
    threads=st.sampled_from([1, 2]),
)
def test_keys_secrets_and_streams_are_those_of_the_second_implementation(
    secrets, info, context, length, sign, threads
):
    one, other = (known(MaskKey, secret) for secret in secrets)
    publics = [private(secret).public_key().public_bytes_raw() for secret in secrets]
    assert [one.public, other.public] == publics
    expected = pair_secret(secrets[0], publics[1], info)
    assert expected == pair_secret(secrets[1], publics[0], info)
    mine, theirs = one.agree(publics[1], info), other.agree(publics[0], info)
    assert mine.derive(context) == theirs.derive(context)
    assert mine.derive(context) == expand(expected, b"hitoku/mask-derived/1" + context)
    values = np.arange(length, dtype=np.int64) - 5
    masked = mask(values, [(mine, sign)], context, threads=threads)
    assert masked.dtype == np.uint64
    words = stream(expected, context, length)
    plain = values.view(np.uint64)
    assert np.array_equal(masked, plain + words if sign == 1 else plain - words)
    mask_into(masked, [(theirs, -sign)], context, threads=threads)
    assert np.array_equal(masked.view(np.int64), values)


@settings(max_examples=20, deadline=None)
@given(secret=scalars, info=st.binary(max_size=40))
def test_seeds_are_those_of_the_second_implementation(secret, info):
    seed = known(MaskSeed, secret)
    scalar = secret.to_bytes(32, "little")
    assert seed.commitment() == hkdf(scalar, b"hitoku/mask-commitment/1")
    expected = stream(hkdf(scalar, b"hitoku/mask-self/1" + info), b"3", 20)
    masked = mask(np.zeros(20, dtype=np.uint64), [(seed.secret(info), 1)], b"3")
    assert np.array_equal(masked, expected)


def test_pairwise_masks_cancel_and_a_missing_one_leaves_noise():
    keys = [MaskKey() for _ in range(5)]
    values = [np.arange(9_000, dtype=np.int64) * (k - 2) - 2**62 // 5 for k in range(5)]
    masked = [
        mask(
            values[k],
            [(key.agree(keys[j].public, b"set"), 1 if k < j else -1) for j in range(5) if j != k],
            b"sum 0",
        )
        for k, key in enumerate(keys)
    ]
    total = np.sum(masked, axis=0, dtype=np.uint64).view(np.int64)
    assert np.array_equal(total, np.sum(values, axis=0))
    partial = np.sum(masked[:4], axis=0, dtype=np.uint64).view(np.int64)
    difference = partial - np.sum(values[:4], axis=0)
    assert len(np.unique(difference)) == 9_000


@settings(max_examples=20, deadline=None)
@given(secret=scalars, data=st.data())
def test_shares_give_the_secret_back_in_both_implementations(secret, data):
    members = data.draw(st.integers(2, 7))
    threshold = data.draw(st.integers(2, members))
    seed = known(MaskSeed, secret)
    shares = seed.shares(threshold, members)
    assert [share[0] for share in shares] == list(range(1, members + 1))
    assert all(len(share) == SHARE_BYTES for share in shares)
    for chosen in combinations(shares, threshold):
        assert lagrange(list(chosen)) == secret
        assert MaskSeed.combine(chosen[::-1], threshold).commitment() == seed.commitment()
    assert MaskSeed.combine(shares, threshold).commitment() == seed.commitment()
    if threshold > 2:
        assert lagrange(shares[: threshold - 1]) != secret
    assert len(set(shares) & set(seed.shares(threshold, members))) == 0, "fresh coefficients"


def test_a_dropped_member_s_key_comes_back_with_its_masks():
    lost, other = MaskKey(), MaskKey()
    again = MaskKey.combine(lost.shares(3, 5)[2:], 3)
    assert again.public == lost.public
    zeros = np.zeros(100, dtype=np.int64)
    mine = mask(zeros, [(other.agree(lost.public, b"x"), 1)], b"7")
    assert not mask(mine, [(again.agree(other.public, b"x"), -1)], b"7").any()


def test_fresh_keys_and_contexts_differ():
    one, other = MaskKey(), MaskKey()
    assert len({MaskKey().public for _ in range(50)}) == 50
    zeros = np.zeros(8, dtype=np.int64)
    seen = {
        mask(zeros, [(one.agree(other.public, info), 1)], context).tobytes()
        for info in (b"", b"a", b"b")
        for context in (b"", b"a", b"b")
    }
    assert len(seen) == 9
    assert one.agree(other.public, b"").derive(b"") != one.agree(other.public, b"").derive(b"a")


@pytest.mark.parametrize("point", LOW_ORDER)
def test_public_keys_of_low_order_are_refused(point):
    for top in (0, 0x80):
        key = bytearray.fromhex(point)
        key[31] |= top
        with pytest.raises(PeerError, match="public key"):
            MaskKey().agree(bytes(key), b"")


@pytest.mark.parametrize("length", [0, 31, 33])
def test_public_keys_of_another_length_are_refused(length):
    assert length != PUBLIC_BYTES
    with pytest.raises(PeerError, match="32 bytes"):
        MaskKey().agree(bytes([9] * length), b"")


def _changed(share: bytes, place: int, byte: int) -> bytes:
    return share[:place] + bytes([byte]) + share[place + 1 :]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda shares: shares[:2], "fewer"),
        (lambda shares: [], "fewer"),
        (lambda shares: [shares[0], shares[0], shares[1]], "same number"),
        (lambda shares: [*shares[:2], shares[2][:-1]], "33 bytes"),
        (lambda shares: [*shares[:2], shares[2] + b"\0"], "33 bytes"),
        (lambda shares: [*shares[:2], _changed(shares[2], 0, 0)], "33 bytes"),
        (lambda shares: [*shares[:2], bytes([3]) + ORDER.to_bytes(32, "little")], "33 bytes"),
        (lambda shares: [*shares[:3], _changed(shares[3], 1, shares[3][1] ^ 1)], "one secret"),
        (lambda shares: shares * 100, "same number"),
    ],
    ids=["few", "none", "twice", "short", "long", "zero", "not-canonical", "uneven", "many"],
)
def test_wrong_shares_are_refused(change, words):
    shares = MaskKey().shares(3, 5)
    with pytest.raises(PeerError, match=words):
        MaskKey.combine(change(shares), 3)


@pytest.mark.parametrize(("threshold", "members"), [(0, 3), (1, 3), (4, 3), (3, 256), (-1, 3), (3, 2**70)])
def test_thresholds_have_bounds(threshold, members):
    with pytest.raises(InputError):
        MaskKey().shares(threshold, members)
    if threshold < 2:
        with pytest.raises(InputError):
            MaskKey.combine(MaskKey().shares(2, 3), threshold)


def test_wrong_vectors_signs_and_contexts_are_refused():
    secret = MaskSeed().secret(b"")
    vectors: list[Any] = [np.zeros(3), np.zeros(3, dtype=np.int32), np.zeros((3, 2), dtype=np.int64)]
    for values in vectors:
        with pytest.raises(InputError):
            mask(values, [(secret, 1)], b"")
    whole = np.zeros(6, dtype=np.uint64)
    frozen = whole.copy()
    frozen.flags.writeable = False
    arrays: list[Any] = [whole[::2], whole.view(np.int64), whole.reshape(2, 3), frozen, [1, 2]]
    for wrong in arrays:
        with pytest.raises(InputError):
            mask_into(wrong, [(secret, 1)], b"")
    for sign in (0, 2, -2, 2**70):
        with pytest.raises(InputError):
            mask(whole, [(secret, sign)], b"")
    with pytest.raises(InputError, match="context"):
        mask(whole, [(secret, 1)], bytes(65_537))
    with pytest.raises(InputError, match="context"):
        MaskSeed().secret(bytes(65_537))
    with pytest.raises(InputError, match="threads"):
        mask(whole, [(secret, 1)], b"", threads=5_000)
    assert not whole.any()


@pytest.mark.parametrize(
    "make", [MaskKey, MaskSeed, lambda: MaskSeed().secret(b"")], ids=["key", "seed", "secret"]
)
def test_secrets_are_not_pickled_copied_or_shown(make):
    secret = make()
    for way in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            way(secret)
    assert "object at" in repr(secret)
