# SPDX-License-Identifier: Apache-2.0
"""Private cross statistics of two members: the grouped Diffie-Hellman join with dummies. Unaudited.

Specification: `specs/crosstab.md`, "Messages"; the two sides are `party_a` and `party_b`. ``H`` is
hash_to_ristretto255 of ``terms hash || id`` in the domain of persons, dummies or padding; alpha and beta
are the sides' masks, (s, P = sG) b's ElGamal key, all fresh each run. Every list is sorted by whole groups
before any of it is served.

====  ========  =========================================================================================
0     offers    both: sizes of groups, padded and noised, a nonce; b: P; signed. Their hash is the terms'
1     points-a  a -> b, per group of a: alpha H(x)
2     points-b  b -> a, per group of b: beta H(y), and for each sum (r G, r P + v G)
3     tags-a    b -> a, per group of a: the first 12 bytes of beta alpha H(x), sorted anew
4     cells-a   a -> b, all cells: matches - m + eta; for each sum, the matched ciphertexts plus Enc(zeta)
5     sums-b    b -> a, all cells: the sums opened, plus zeta'
====  ========  =========================================================================================

Into its group g side a puts all D = 2 m dummies of each of the group's cells, side b puts tau of each of
its cells' and D - tau random points; so a finds ``true + tau`` matches. Both end with ``true + (tau - m) +
eta`` and ``true + zeta + zeta'``.

Assumptions: both sides follow the protocol (semi-honest), decisional Diffie-Hellman in ristretto255, H a
random oracle, and independent randomness of the two machines.

Who learns what:

- b sees message 1 and 4. Message 1 is uniformly random points of public number: under DDH with H a random
  oracle, ``alpha H(x)`` for distinct x cannot be told from independent random points by one who lacks
  alpha, and sorting takes away their order. Nobody gives b anything raised with alpha that it could compare
  with its own, so b sees no match. Message 4 is a count with a's eta, and a re-randomised encryption of a
  sum with a's zeta, for every cell alike: no more than the differentially private table.
- a sees messages 2, 3 and 5. Points as above; ciphertexts are ElGamal's, hiding under DDH. Message 3 it can
  compare with what it makes of message 2: the pattern of matches between (group, shuffled) and (group,
  shuffled), that is the number per cell, which carries b's tau. It cannot tie a tag to an id of its own,
  because b sorted the tags by bytes that a cannot predict: that is why nothing leaves before its whole
  group is sorted. Of a tag's 95 bits it would take 10^9 records on each side for two different ones to meet
  by chance with probability 2^-35.
- Sizes of groups are public and noised (`Draws.padding`), and charged for. The number of persons that both
  have, of any cell or of all, is nowhere: only a's memory has ``true + tau`` and b's disk tau. Counts
  before eta are neither logged nor stored.

Not covered: see `leakage.FOLLOWS`. One who deviates can leave dummies out, encrypt values out of bounds or
use a sum twice; what a peer can send that is malformed (no point, the identity, repeated, unsorted, too few
or many) ends the run with a `PeerError`.

Crashes. All randomness of a message is drawn and stored before the first one leaves (`Draws`), the other
side's offer is pinned (`Vault.pin`), and messages are files, there whole or not at all. Taken up again, a
side serves what is there as it is, makes what is not from the same input and draws, and fetches anew what
it had not finished with. Only the re-randomisation in message 4 is fresh; it is made once, since the file
is there before any of it leaves. A side that lost its folder ends the run: nothing is drawn twice. Were it
to draw anew all the same, its offer would have another nonce; the other side asks for the offer once more
after the last message it needs (`Work.still_agreed`), so that records under two different terms, of which
none match, are never taken for an empty table.
"""

from __future__ import annotations

from collections.abc import Callable

from hitoku import limits
from hitoku.ports import Executor, KeyStore, Parcels, Progress
from hitoku.protections.crosstab.figures import Figures
from hitoku.protections.crosstab.party_a import run_a
from hitoku.protections.crosstab.party_b import receipt, run_b
from hitoku.protections.crosstab.prepared import Prepared
from hitoku.protections.crosstab.terms import Parameters, Side
from hitoku.protections.crosstab.vault import Vault, Witness
from hitoku.protections.crosstab.work import Work

__all__ = ["Party"]


class Party:
    """One side of one run, which can be taken up again with the same vault.

    Args:
        vault: the run's folder on this member's node; it serves the messages.
        parameters: the run's, equal on both sides.
        side: which side this member is.
        keys: what it signs with.
        peer_key: the other member's public key, as the room has it.
        parcels: how the other side's messages are fetched.
        executor: runs the work per record.
        progress: hears of phases.
        wait: how long to wait for each message, in seconds.
        witness: remembers, outside the vault, that the run's secrets were drawn.
    """

    def __init__(
        self,
        vault: Vault,
        parameters: Parameters,
        side: Side,
        keys: KeyStore,
        peer_key: str,
        parcels: Parcels,
        executor: Executor,
        progress: Progress,
        *,
        wait: float = limits.RUN_SECONDS,
        witness: Witness | None = None,
    ) -> None:
        self._vault, self._side, self._witness = vault, side, witness
        self._work = Work(vault, parameters, side, keys, peer_key, parcels, executor, progress, wait)

    def run(self, prepared: Callable[[], Prepared]) -> Figures:
        """Runs to the end, from wherever the run was left; then keys, noise and input are erased.

        Side b's sums (and offer) are still served afterwards, until `Vault.erase`. A run that is over gives
        the stored figures again.

        Args:
            prepared: makes the input; called only where the vault has none.

        Raises:
            PeerError: the other side does not answer, broke the protocol, or changed its offer.
            ReuseError: the mask would meet another input, or other terms or parameters.
            InputError: the input is not as the parameters say; the run has ended here, or another process
                is at it.
            LimitError: the sums cannot be opened within the limits; the message has the numbers.
        """
        with self._vault.locked():
            figures = self._vault.figures()
            if figures is None:
                rows = self._vault.begin(self._work.parameters, prepared, self._witness)
                figures = (run_a if self._side == "a" else run_b)(self._work, rows)
                # Before the sums leave: a may erase its messages as soon as it has them.
                self._vault.keep(figures)
            if self._side == "b" and not self._vault.ended:
                receipt(self._work, figures)
            self._vault.wipe()
            return figures
