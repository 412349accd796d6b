# SPDX-License-Identifier: Apache-2.0
"""The kernels and the second implementation agree bit for bit, and understand each other in one round."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from tests.learning import reference_masks as reference

from hitoku.errors import PeerError
from hitoku.hazmat import masks as kernel


def copied(key: kernel.MaskKey | kernel.MaskSeed, made: type) -> object:
    """The kernel's scalar in the reference: two shares of threshold 2 tell it."""
    return made.combine(key.shares(2, 3)[1:], 2)  # type: ignore[attr-defined]


@pytest.mark.parametrize("length", [0, 1, 7, 8, 9, 1000, 70_001])
def test_masks_are_the_same(length: int) -> None:
    one, two = kernel.MaskKey(), kernel.MaskKey()
    values = np.random.default_rng(length).integers(-(1 << 63), (1 << 63) - 1, length, endpoint=True)
    theirs = copied(one, reference.MaskKey)
    assert theirs.public == one.public  # type: ignore[attr-defined]
    secret, again = one.agree(two.public, b"info"), theirs.agree(two.public, b"info")  # type: ignore[attr-defined]
    assert secret.derive(b"x") == again.derive(b"x") == two.agree(one.public, b"info").derive(b"x")
    seed = kernel.MaskSeed()
    other = copied(seed, reference.MaskSeed)
    assert seed.secret(b"own").derive(b"") == other.secret(b"own").derive(b"")  # type: ignore[attr-defined]
    ours = kernel.mask(values, [(secret, 1), (seed.secret(b"own"), -1)], b"context")
    expected = reference.mask(values, [(again, 1), (other.secret(b"own"), -1)], b"context")  # type: ignore[attr-defined]
    assert ours.tobytes() == expected.tobytes()
    kernel.mask_into(ours, [(secret, -1), (seed.secret(b"own"), 1)], b"context")
    assert np.array_equal(ours.view(np.int64), values)


@pytest.mark.parametrize("shape", [(2, 2), (3, 5), (4, 5), (17, 50)], ids=str)
def test_shares_are_the_same(shape: tuple[int, int]) -> None:
    threshold, members = shape
    key = kernel.MaskKey()
    shares = key.shares(threshold, members)
    for some in itertools.islice(itertools.combinations(shares, threshold), 12):
        assert reference.MaskKey.combine(some, threshold).public == key.public
    back = kernel.MaskKey.combine(
        reference.MaskKey.combine(shares, threshold).shares(threshold, members), threshold
    )
    assert back.public == key.public
    with pytest.raises(PeerError):
        kernel.MaskKey.combine(shares[: threshold - 1], threshold)


def test_the_library_derives_as_the_standard_says() -> None:
    assert reference.extract_expand(b"secret", b"info") == reference.hkdf_by_hand(b"secret", b"info")
