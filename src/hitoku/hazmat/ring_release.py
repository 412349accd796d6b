# SPDX-License-Identifier: Apache-2.0
"""Results on their way to the key's holder: they should tell the result, and nothing of how it was made."""

from __future__ import annotations

import math

from hitoku import _core
from hitoku.executors.local import cores
from hitoku.hazmat.ring_errors import RingError, ring_kernel
from hitoku.hazmat.ring_keys import PublicKey
from hitoku.hazmat.ring_parameters import Parameters
from hitoku.hazmat.ring_values import Ciphertexts

__all__ = ["hiding_bits", "release"]


def release(operand: Ciphertexts, key: PublicKey, flood_bits: int, threads: int | None = None) -> Ciphertexts:
    """The same values under fresh randomness, flooded with noise.

    A fresh encryption of zero under the holder's public key hides how the parts were made, and a flood
    hides the noise that the computation left. It is uniform in ``-2^flood_bits .. 2^flood_bits`` in every
    coefficient (of BGV times the plain modulus), with both ends half as likely, so that its mean is zero. Of
    CKKS it is an error of the result: in every slot about
    ``2^flood_bits * sqrt(N / 6) / scale``. See `hiding_bits` for what it buys. Drop to as few primes as the
    result needs first: what is left of the modulus above the flood is what a hostile input could make a
    result tell.

    Args:
        operand: results of 2 or 3 parts.
        key: the public key of who will decrypt.
        flood_bits: log2 of the flood's amplitude; as large as the result's tolerance permits.
        threads: every core that the process may use by default.

    Raises:
        RingError: the key is of other parameters, or the flood would not fit below a quarter of the modulus.
    """
    if not isinstance(operand, Ciphertexts) or not isinstance(key, PublicKey):
        raise RingError("bad-operands", "release takes Ciphertexts and a PublicKey")
    if operand.params != key.params:
        raise RingError("other-parameters")
    if not isinstance(flood_bits, int) or isinstance(flood_bits, bool) or flood_bits < 0:
        raise RingError("flood-too-wide", "flood_bits is a whole number, 0 or more")
    try:
        with ring_kernel():
            words = _core.ring_release(
                key.kernel, operand.residues, min(flood_bits, 1_000), threads or cores()
            )
    except RingError as error:
        if error.code != "flood-too-wide":
            raise
        raise RingError(
            error.code,
            f"a flood of 2^{flood_bits} does not fit below a quarter of the modulus at level "
            f"{operand.level}: at most 2^{error.row} does; keep more primes or flood less",
        ) from None
    return Ciphertexts.trusted(operand.params, words, operand.scale)


def hiding_bits(params: Parameters, flood_bits: int, noise: float, parts: int = 2) -> float:
    """What a flood buys: how near a released ciphertext is to one that depends on its value alone.

    That is minus log2 of their statistical distance (beside RLWE's hardness); `release.rs` has the argument.
    Below 40 it proves nothing: the flood then only rounds the results.

    Args:
        params: of the ciphertexts.
        flood_bits: of `release`.
        noise: the largest magnitude that the computation's noise can have in a coefficient, in integers (of
            BGV divided by the plain modulus).
        parts: of the released ciphertext.
    """
    degree = params.degree
    # What re-randomising adds, at 8 deviations: below 2^-49 a coefficient that it is more.
    own = 8 * 3.2404 * math.sqrt(4 * degree / 3 + 1)
    if parts == 3:
        own += 8 * 3.2404 * math.sqrt((4 * degree / 3 + 1) * 2 * degree / 3)
    return flood_bits + 1 - math.log2(degree * (noise + own))
