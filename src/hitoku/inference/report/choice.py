# SPDX-License-Identifier: Apache-2.0
"""Why these parameters: what the search found, for the report. Filled by who searched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Candidate", "Choice"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """Parameters that were looked at and not taken.

    Attributes:
        degree: the ring's degree.
        prime_bits: sizes of the data primes.
        special_bits: size of the special prime.
        lost: why: a sentence.
        ms: predicted milliseconds for one sample, where it came so far.
        error: predicted error of a score, where it came so far.
    """

    degree: int
    prime_bits: Sequence[int]
    special_bits: int
    lost: str
    ms: float | None = None
    error: float | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """What decided.

    Attributes:
        binding: which constraint binds: a sentence, e.g. "the last score's precision: one bit less in
            each prime misses the tolerance".
        candidates: what else was looked at.
        reasons: further sentences.
    """

    binding: str
    candidates: Sequence[Candidate] = ()
    reasons: Sequence[str] = ()
