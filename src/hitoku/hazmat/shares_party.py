# SPDX-License-Identifier: Apache-2.0
"""One party of three, with all its operations; and three of them in this process."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, TypeVar

from numpy.typing import NDArray

from hitoku import _core
from hitoku.hazmat.shares_errors import SharesError, shares_kernel
from hitoku.hazmat.shares_local import checked_vector
from hitoku.hazmat.shares_permutations import PermutationOperations
from hitoku.hazmat.shares_values import checked_count

__all__ = ["Party", "run_three"]

Result = TypeVar("Result")


class Party(PermutationOperations):
    """One of three parties. It belongs to one thread, and fails for good when a step fails.

    Made by `Party.memory` (three parties in this process, for tests and notebooks) or around a kernel's party
    that is connected over TLS. A ``with`` block closes it.
    """

    @classmethod
    def memory(cls, record: bool = False) -> tuple[Party, Party, Party]:
        """Three parties in this process, joined by memory; use each in a thread of its own.

        Args:
            record: keep what each party receives, for `received`. Takes memory.
        """
        a, b, c = _core.SharesParty.memory(record)
        return cls(a), cls(b), cls(c)

    # --- out ---

    def open(self, a: Any) -> NDArray[Any]:
        """The values, to all three parties.

        Each party sends one of its shares to the neighbour that lacks it.

        Who learns what: all parties the values, and nothing else. Simulator: the missing share is the opened
        value less the two that the party has. Cost: 1 round, 3 n w bytes.

        Returns:
            Unsigned integers [rows]; of 128-bit kinds uint64[rows, 2], low half first (`as_integers`).

        Raises:
            SharesError: ``vector``; or the run's.
        """
        with shares_kernel():
            opened: NDArray[Any] = self._kernel.open(checked_vector(a))
        return opened

    def check(self) -> None:
        """Compares a hash of all that was opened so far between the parties.

        Who learns what: nobody anything, where the parties saw the same. It notices a party that sent
        different values to its two neighbours, not one that lied to both. Cost: 1 round, a hash to each.

        Raises:
            SharesError: ``disagree``; or the run's.
        """
        with shares_kernel():
            self._kernel.check()

    def relay(self, data: bytes | None, size: int) -> bytes:
        """Party 1 passes the owner's explicit share on to party 2; see `split`.

        Who learns what: nobody anything new; both hold that share. Party 2 must check the bytes against the
        owner's hash. Simulator: the share itself, which party 2 is to have. Cost: 1 round, `size` bytes.

        Args:
            data: at party 1 the bytes; None at the others.
            size: of the bytes; the same at all three.

        Returns:
            At party 2 the bytes, at the others nothing.

        Raises:
            SharesError: ``size``; or the run's.
        """
        count = checked_count(size, "size")
        if (data is not None) != (self.index == 1):
            raise SharesError("size", "party 1 gives the bytes, and no other party")
        if data is not None and len(data) != count:
            raise SharesError("size")
        with shares_kernel():
            return self._kernel.relay(data, count)

    # --- about the run ---

    def counters(self) -> dict[str, int]:
        """``bytes_sent``, ``bytes_received``, ``messages_sent`` and ``rounds`` so far."""
        with shares_kernel():
            return self._kernel.counters()

    def received(self) -> bytes:
        """All that this party received so far: its view, with its own shares and keys. For tests of views.

        Raises:
            SharesError: ``record``: the party was not made with ``record=True``.
        """
        with shares_kernel():
            return self._kernel.received()

    def abort(self) -> None:
        """Ends the run for all three parties; every later call says ``aborted``."""
        self._kernel.abort()

    def close(self) -> None:
        """Ends this party's part."""
        self._kernel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.abort()
        self.close()


def run_three(function: Callable[[Party], Result], record: bool = False) -> list[Result]:
    """Runs a program as three parties in three threads of this process: for tests, notebooks and studies.

    Nothing is secret here, for one process holds all the shares.

    Args:
        function: called with each party; `party.index` says which it is.
        record: as in `Party.memory`.

    Returns:
        What it returned, for parties 0, 1 and 2.

    Raises:
        Exception: what the first party to fail raised; the others are ended.
    """
    parties = Party.memory(record)
    results: list[Any] = [None, None, None]
    failures: list[BaseException] = []

    def work(party: Party) -> None:
        try:
            results[party.index] = function(party)
        except BaseException as error:
            failures.append(error)
            party.abort()

    threads = [threading.Thread(target=work, args=(party,), daemon=True) for party in parties]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for party in parties:
        party.close()
    if failures:
        ends = ("aborted", "closed")
        first = [e for e in failures if not (isinstance(e, SharesError) and e.code in ends)]
        raise (first or failures)[0]
    return results
