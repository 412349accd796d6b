# SPDX-License-Identifier: Apache-2.0
"""Computing on secret shares among three servers: a low-level door for researchers. Unaudited.

`Party` is one of three. A vector x is split as x = x_0 + x_1 + x_2 (rings) or XOR (words), and party i holds
x_i and x_{i+1} (indices modulo 3): any two parties have everything, one has two uniformly random shares.

**Assumptions, of every function here.** At most one party is corrupted, from the start, and it follows the
program (semi-honest, static, honest majority). AES-128 in counter mode is a pseudo-random function: the
holders of share i have the key k_i in common (party i has k_i and k_{i+1}, and lacks k_{i+2}), and F(k_i)
stands for fresh output of it, never used twice. Channels between parties are private and authenticated. All
parties make the same calls with the same public arguments.

**Simulators.** "Simulator" in a docstring says how to make the view of a corrupted party i (what it
receives) from what it has anyway: its shares, its two keys, public values and what is opened. That is the
whole argument for privacy against one semi-honest party, primitive by primitive; simulators of a sequence of
calls are put together because every output is freshly shared (modular composition; Canetti, J. Cryptology
2000).
What no function here does: notice a party that computes something else. `check` compares opened values only.

**Costs** are bytes that all three parties send together, for n rows of w bytes each; constant framing is not
counted. `docs/shares-protocol.md` has them in one table, and a test compares it with the counters.
"""

from __future__ import annotations

from hitoku.hazmat.shares_errors import SharesError
from hitoku.hazmat.shares_local import Order, Vector
from hitoku.hazmat.shares_party import Party, run_three
from hitoku.hazmat.shares_values import (
    BITS,
    KINDS,
    RINGS,
    WORDS,
    as_array,
    as_integers,
    expand,
    split,
    split_permutation,
)

__all__ = [
    "BITS",
    "KINDS",
    "RINGS",
    "WORDS",
    "Order",
    "Party",
    "SharesError",
    "Vector",
    "as_array",
    "as_integers",
    "expand",
    "run_three",
    "split",
    "split_permutation",
]
