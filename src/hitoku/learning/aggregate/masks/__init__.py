# SPDX-License-Identifier: Apache-2.0
r"""Sums under masks that cancel: the server opens the sum over one agreed set, and nothing else. Unaudited.

Two ways to a sum
    *Sessions* (`sessions`, for sums that belong together, such as a tree's): every member of a set S offers a
    fresh X25519 key that it signed. With a session's first sum the server relays all signed keys; that fixes
    S. Member u sends ``y_u = x_u + sum_{v > u} PRG(k_uv) - sum_{v < u} PRG(k_uv)`` modulo 2^64. All of S must
    answer: nothing can take off the masks of who is lost, and so no sum over a part of S ever opens. While
    nobody comes or goes a session goes on, for the next tree too; keys are offered anew after any loss.

    *Rounds* (`rounds`, for single sums): K. Bonawitz et al., "Practical Secure Aggregation for
    Privacy-Preserving Machine Learning", CCS 2017, Figure 4, with the signatures and the consistency check
    that the figure underlines for active adversaries. Each vector is under pairwise masks and one of its own;
    of every member, t others give either their share of the own mask's seed (it is in U3: its vector is in
    the sum) or of its masking key (it is lost). The sum over U3 opens whoever is lost at any step, as long as
    t remain at each.

Assumptions
    X25519 with HKDF-SHA256 gives both ends of a key agreement a secret that looks uniform to everybody else
    (gap Diffie-Hellman, HKDF a random oracle); AES-256 is a pseudorandom permutation, ChaCha20-Poly1305 an
    authenticated encryption, SHA-256 resists collisions, Ed25519 signatures cannot be forged; members'
    signing keys come from the room and not from the server; members' state is not set back (`ledger`).
    Shamir's shares need no assumption. Members that are honest here follow the protocol; the server and c
    members do not.

What masks are bound to
    A pair's secret: both public keys, plan, run, number of the session or round, and SHA-256 of all signed
    keys of the set. A stream: the index of the sum, the hash of the whole instruction with its arrays, that
    of what the task was told before (`instructions.told_state`: a model's bins, trees and splits so far)
    and, in a round, U2. Members that were told different sets, keys, instructions, weights or models have
    streams that are independent of each other: what the server adds up then is uniform.

Sessions: who learns what
    Let H be the honest members of S, as one of them was told S. Either all of H hold the same S, keys and
    instruction, or (above) two of them have streams that do not match, which nothing takes off: then whatever
    holds a vector of either is uniform. Each pair of H has a stream of its own for each index, known to
    nobody else, and an index is answered once. *Simulator*: given ``s = sum_{u in H} x_u``, draw ``|H| - 1``
    vectors uniformly and let the last make their sum right; add the masks that H shares with colluding
    members, which the adversary can compute himself. Replacing the streams of H's pairs by uniform ones, one
    pair after the other, changes the view only as far as AES-256's counter mode and the key agreement can be
    told from uniform; and after that the vectors of H are distributed as the simulator's, because the
    complete graph on H is connected: the masks are uniform among those that add up to zero. If one member of
    H does not answer,
    the others' vectors alone are simply uniform. So the server together with all but two members of S learns
    the sum of the two, which it could compute from its output, and nothing more; it can make a sum not open,
    and it can decide who is in S (of at least t).

Rounds: who learns what
    Section 6 of the paper; in short: vectors are under a pad of their own seed b_u and pads with every member
    of U2. An honest member signs one U3 in a round, and gives shares only on t signatures of that very U3,
    from then on never again. With n members of whom c collude, t signatures on each of two sets need t - c
    honest signers each, no one in both: ``2 (t - c)``, more than the n - c that there are if ``2t > n + c``.
    So at most one U3 is ever unmasked. Then, for an honest u, the adversary holds from honest members shares
    of b_u only (u in U3) or of its key only (u not in U3), and c < t shares of the other secret, which tell
    nothing. If u is lost, its own pad hides whatever it sent, also if it arrives late; if u is in U3, its
    pads with the other honest members of U3 hide all but their sum, as in a session. With fewer than t at any
    step nothing is unmasked at all. The plan prints the largest c (`Plan.colluding`, with ``t - c >= 2``); a
    colluding member knows its own vector, so c of them in a sum of t leave a sum of t - c.

More than one sum
    Sums over sets that differ in one member differ by that member's vector, whatever hides each of them.
    `hitoku.learning.aggregate.memory` has the rules that each member keeps, on its disk, against that. A
    round's vector is made among U2 and opens over U3: where they differ, the rows were drawn for another set
    than opens, and members sign no such U3 once their rows are in other sums.

What an active server can do
    Stop the run; leave members out, down to t; choose instructions that the tasks accept (each task checks
    its own against the plan); learn lengths and times. What members can do: send any vector (a value under a
    mask can be anything, so bounds hold for honest members only; the server notices sums outside of the
    bound, and votes on holdouts are the answer to the rest), or make a sum not open.

The tests compute what opens from the streams of real runs, compare views with the simulator's, and plant
faults: `tests/unit/learning/aggregate/masks/test_views.py`; servers that go wrong are in
`tests/attacks/test_learning_masks.py`.
"""

from __future__ import annotations

from hitoku.learning.aggregate.masks.member import MasksMember
from hitoku.learning.aggregate.masks.summer import MasksSummer

__all__ = ["MasksMember", "MasksSummer"]
