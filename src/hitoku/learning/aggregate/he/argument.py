# SPDX-License-Identifier: Apache-2.0
"""Who learns what from sums under threshold encryption, and why; with the simulator of the server's view.

**Protocol.** Members S (at least the plan's threshold), one of them the leader; a server that relays and
adds.

1. Cards. For a set number that only rises, each makes an X25519 key, a threshold key, and its share b_j of
   the public key for a common a = hash(plan, run, number), and signs (plan, run, number, name, X25519 key,
   SHA-256(b_j)). All get all cards and check them against the keys of the room; the set's hash covers them
   and the leader's name, and everything below is bound to it.
2. Shares. Only now are the b_j shown. Each checks all of them against the cards and adds them up.
3. The leader draws a 32-byte group secret and seals it for each member under their pairwise secret.
4. A sum. The leader seals the instruction under a key of the group secret and the sum's number. Each member
   adds pairwise masks modulo 2^64 (X25519 + HKDF + AES-256, as in `masks`), derived from the set's hash,
   the number and the hash of the instruction and of what the task was told before
   (`instructions.told_state`), then encrypts under the joint key, and seals linear hashes of its ciphertext
   for the group. The server adds ciphertexts. Each member but the leader is given the sum's second half and
   all hashes, checks that they add up, and gives its smudged part of the decryption, once, with a sealed
   hash of it. The server adds the parts to the first half; the leader checks both halves by the hashes, and
   opens.
5. What is told is sealed under the group secret, what is answered under the pair's.

**Assumptions.** Decision RLWE at 128 bits (HomomorphicEncryption.org standard, 2018, table 1);
gap-Diffie-Hellman on X25519 with HKDF-SHA256 and HMAC-SHA256 as random oracles; AES-256 a pseudorandom
permutation, ChaCha20-Poly1305 an AEAD (RFC 8439); Ed25519 and SHA-256. The implementation is unaudited.

**A. The server alone, doing anything it likes, learns lengths (of vectors with their bound, of sealed
messages), times, the set, who refused or failed with which code, and nothing else.** Cards and shares are
RLWE samples; ciphertexts are IND-CPA under b = sum of b_j, which hides everything as long as one s_j is
unknown (G. Asharov et al., EUROCRYPT 2012, ePrint 2011/613, threshold keys; C. Mouchet et al., PoPETs
2021(4), ePrint 2020/304, protocols 1 and 3); the leader's part of a decryption is never sent. Parts s_j C1
+ f_j are RLWE samples of the public C1 with wider errors, if C1 is the sum of fresh c1_i, which look
uniform. That C1 is the sum is what the hashes are for: the check's vectors are uniform and the server
knows neither them nor the hashes, so anything else (one member's c1, a sum without a member, c1 scaled,
another sum's) passes with probability below 2^-126; without it, C1 = 2^k would have each member answer
with its key. A member answers each number once. So the simulator `simulated_view` draws everything
uniform, given lengths.

**B. The leader learns the sums and nothing else**, the other members what the leader tells them. A part of
a decryption is simulated from the sum and the other parts: uniform smudging at least 64 bits over the
certain bound of the noise (ePrint 2011/613: the smudging lemma, and the simulation of threshold
decryption); statistical distance at most 2^-65 for each opened coefficient, in a whole run of 2^30
coefficients below 2^-35, and far less for noise as it is and not as it could be.

**C. The server, the leader and other members together, doing anything they like, learn the sum over the
honest members of a set and never one member's vector**, as long as two members are honest. Threshold
encryption alone does not give this: a member may choose its c1 after the others', or send hashes that fit
a ciphertext that the server passes off, and have any single ciphertext decrypted. What stands against it
is the pairwise masks below the encryption: whatever is decrypted of one member is uniform to all that do
not hold its mask with another honest member, by the argument of `masks` (K. Bonawitz et al., CCS 2017,
sec. 4 and 6, one set without dropouts). If members were told different sets, numbers or instructions (a
real question to one, an empty one to the others), the masks do not cancel and nothing is opened. So
vectors of single members rest on two assumptions, either of which suffices against those that follow the
protocol; that the server reads no sum rests on RLWE.

**D. Members that collude with the server against the leader.** Shares are committed to before any is
shown, so that none can be chosen to cancel the others (a rogue key). With the leader honest, its s_j keeps
the sums from the server. But a member that helps the server with hashes can have it substitute
ciphertexts: sums may then be wrong, and parts of decryptions of chosen C1 may show the honest members'
keys, though not the leader's.

**Not covered.** A member can contribute anything (votes and rollback are against that, as with masks), and
can make a sum fail; shares and ciphertexts carry no proofs. The leader sees sums, and chooses what is
asked within what the tasks allow; it stays the same through a run. What two sums over different sets tell
together is bounded by `aggregate.memory`, the same as with masks. Lengths and times can tell something:
how many nodes a tree's level has, that a vote was taken.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from hitoku.hazmat.ring_threshold import Layout

__all__ = ["SERVER_SEES", "simulated_view"]

SERVER_SEES: Final = {
    "he/card": "signed: X25519 key, hash of a key share",
    "he/share": "open: key share; sealed by the leader: the group's secret",
    "he/join": "nothing new",
    "he/give": "sealed: instruction, hashes; encrypted: a member's vector",
    "he/open": "encrypted: a part of the decryption of a sum; sealed: its hash",
    "he/next": "open: what the server shall do next; sealed: what it relays",
    "he/tell": "sealed: what the leader says, and each answer",
}
"""Kinds of requests, and what the server gets to see with each."""


def _uniform(shape: Layout, random: np.random.Generator, *, second: bool) -> NDArray[np.uint8]:
    pieces = []
    for part in shape.parts:
        rows, left = [], part.coefficients
        while left > 0:
            rows.append((1 << part.log_n) if second else min(left, 1 << part.log_n))
            left -= 1 << part.log_n
        for used in rows:
            for prime in part.primes:
                width = (prime - 1).bit_length()
                residues = random.integers(0, prime, used, dtype=np.uint64)
                places = np.arange(width, dtype=np.uint64)
                pieces.append(
                    np.packbits(
                        ((residues[:, None] >> places) & np.uint64(1)).astype(np.uint8).ravel(),
                        bitorder="little",
                    )
                )
    return np.concatenate(pieces)


def simulated_view(shape: Layout, random: np.random.Generator) -> dict[str, NDArray[np.uint8]]:
    """What the server sees of one sum, drawn from its lengths alone: every member's ciphertext and part.

    Args:
        shape: the sum's layout: members, length and bound are known to the server from sizes.
        random: for tests; the argument wants a uniform source.
    """
    view: dict[str, NDArray[np.uint8]] = {}
    for member in range(shape.members):
        view[f"first {member}"] = _uniform(shape, random, second=False)
        view[f"second {member}"] = _uniform(shape, random, second=True)
        if member:
            view[f"part {member}"] = _uniform(shape, random, second=False)
    return view
