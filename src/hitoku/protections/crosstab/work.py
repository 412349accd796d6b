# SPDX-License-Identifier: Apache-2.0
"""What both sides of a run do alike: offer, agree on terms, mask their own records, raise the other's."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from hitoku import limits
from hitoku.errors import InputError
from hitoku.hazmat import group
from hitoku.ports import Executor, KeyStore, Parcels, Progress
from hitoku.protections.crosstab.draws import Draws
from hitoku.protections.crosstab.link import Link, Order, schema_of
from hitoku.protections.crosstab.masking import Masking, Raising, secrets_of, sources
from hitoku.protections.crosstab.prepared import Prepared
from hitoku.protections.crosstab.terms import Offer, Parameters, Side, Terms, other
from hitoku.protections.crosstab.vault import Vault

__all__ = ["Raised", "Work"]


@dataclass(frozen=True, slots=True, repr=False)
class Raised:
    """A piece of the other side's records.

    Attributes:
        records: as they came.
        tags: of each.
        pieces: which groups they are of, and how many of each.
    """

    records: pa.Array
    tags: pa.Array
    pieces: list[tuple[int, int]]


class Work:
    """One side of a run, with its tools.

    Args:
        vault: the run's folder.
        parameters: the run's.
        side: which side this is.
        keys: what this member signs with.
        peer_key: the other member's public key, as the room has it.
        parcels: how messages are fetched.
        executor: runs the work per record.
        progress: hears of phases.
        wait: how long to wait for a message, in seconds.
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
        wait: float,
    ) -> None:
        if vault.side != side or vault.run != parameters.run:
            raise InputError("the folder is of another run, or of the other side")
        if vault.peer != parameters.member(other(side)):
            raise InputError("the folder is for another member")
        self.vault, self.parameters, self.side = vault, parameters, side
        self.executor, self.progress = executor, progress
        self.link = Link(vault, parameters, parcels, wait)
        self._keys, self._peer_key = keys, peer_key

    def agree(self, rows: Prepared) -> Terms:
        """Both offers, this side's served and the other's fetched, verified and pinned."""
        parameters, side = self.parameters, self.side
        padding, nonce, public = self.vault.offered()
        least = parameters.least_size(side)
        sizes = [
            count + least + more
            for count, more in zip(rows.sizes(parameters.groups(side)), padding, strict=True)
        ]
        mine = Offer.make(side, parameters, sizes, nonce, public, self._keys)
        name = f"offer-{side}"
        if not self.vault.made(name):
            column = pa.BinaryArray.from_buffers(
                pa.binary(), 1, [None, pa.py_buffer(_offsets(mine.dump())), pa.py_buffer(mine.dump())]
            )
            schema = schema_of(name, parameters)
            self.link.send(name, [pa.RecordBatch.from_arrays([column], schema=schema)])
        self.progress.phase("agreeing on the sizes")
        peer = Offer.read(self._told(), other(side), parameters, self._peer_key)
        terms = Terms(parameters, *((mine, peer) if side == "a" else (peer, mine)))
        self.vault.pin(terms)
        return terms

    def still_agreed(self) -> None:
        """Asks once more for the other side's offer, after the last message that this side's result needs.

        A side that lost its folder starts anew under other terms. What it then sends has the right form,
        matches nothing, and would be taken for a table; but its offer is another one, and was made before.

        Raises:
            PeerError: the other side's offer has changed.
        """
        self.vault.same_offer(self._told())

    def _told(self) -> bytes:
        offer: bytes = self.link.table(f"offer-{other(self.side)}", 1).column(0)[0].as_py()
        return offer

    def agreed(self) -> Terms:
        """The terms that were pinned, without asking the other side again."""
        mine = Offer.model_validate_json(self.link.own(f"offer-{self.side}").column(0)[0].as_py())
        side = other(self.side)
        peer = Offer.read(self.vault.pinned_offer(), side, self.parameters, self._peer_key)
        return Terms(self.parameters, *((mine, peer) if self.side == "a" else (peer, mine)))

    def send_points(self, terms: Terms, rows: Prepared, draws: Draws) -> None:
        """Masks all records of this side, sorts each group whole, and has the message ready to serve."""
        name = f"points-{self.side}"
        if self.vault.made(name):
            return
        sizes = terms.sizes(self.side)
        width = schema_of(name, self.parameters).field(0).type.byte_width
        sorter = group.Sorter(width, sizes, memory=limits.RECORD_SORT_BYTES, folder=self.vault.work)
        self.progress.phase("masking this side's records", terms.total(self.side))
        done = told = 0
        for domain, batches in sources(terms, self.side, rows, draws):
            masking = Masking(secrets_of(draws), domain, terms.run)
            for batch in self.executor.map(masking, batches):
                sorter.push(batch.column(0), batch.column(1))
                done += len(batch)
                # In equal steps: batch by batch, it would tell where persons end and dummies begin.
                step = done // limits.BATCH_ROWS * limits.BATCH_ROWS - told
                self.progress.advance(step)
                told += step
        self.progress.advance(done - told)
        self.link.send_records(name, self.taken(sorter, len(sizes)))

    @staticmethod
    def taken(sorter: group.Sorter, groups: int) -> Iterator[pa.Array]:
        """All records of all groups, in order."""
        for number in range(groups):
            yield from sorter.take(number)

    def raised(self, terms: Terms, draws: Draws) -> Iterator[Raised]:
        """The other side's records, each with its tag; their ciphertexts are not looked at.

        Raises:
            PeerError: a record is out of order or group, or its point is none or the identity.
        """
        peer = other(self.side)
        name = f"points-{peer}"
        width = schema_of(name, self.parameters).field(0).type.byte_width
        order = Order(terms.sizes(peer), width, group.POINT)
        under_way: deque[tuple[pa.Array, list[tuple[int, int]]]] = deque()

        def incoming() -> Iterator[pa.RecordBatch]:
            for batch in self.link.fetch(name, terms.total(peer)):
                with self.link.blamed(name):
                    pieces = order.check(batch.column(0))
                under_way.append((batch.column(0), pieces))
                yield batch

        self.progress.phase("raising the other side's points", terms.total(peer))
        results = self.executor.map(Raising(draws.mask), incoming())
        done = 0
        while True:
            with self.link.blamed(name, done):
                batch = next(results, None)
            if batch is None:
                return
            records, pieces = under_way.popleft()
            yield Raised(records, batch.column(0), pieces)
            done += len(batch)
            self.progress.advance(len(batch))


def _offsets(value: bytes) -> bytes:
    return (0).to_bytes(4, "little") + len(value).to_bytes(4, "little")
