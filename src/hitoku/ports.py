# SPDX-License-Identifier: Apache-2.0
"""What the inside of hitoku needs from outside, as Protocols.

The inside (questions, disclosure, protections, ask) never opens a socket, reads a clock or finds a
key by itself; it is handed these. Tests hand it fakes of Clock and Progress, and real ones of all others.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Clock", "Executor", "KeyStore", "NoProgress", "Parcels", "Peers", "Progress", "SystemClock"]

T = TypeVar("T")
R = TypeVar("R")


@runtime_checkable
class Peers(Protocol):
    """The other members, as this member reaches them.

    Messages are JSON objects with a `"kind"`; whoever receives one validates it before use. An
    implementation raises PeerError where the member cannot be reached, and re-raises a Refusal that
    the member answers with; no other error of the far side crosses.
    """

    @property
    def me(self) -> str:
        """The name of the member who sends."""
        ...

    def call(self, member: str, message: Mapping[str, Any]) -> dict[str, Any]:
        """Send one message and wait for its answer."""
        ...


@runtime_checkable
class Parcels(Protocol):
    """Bulk data that another member's node has ready for this member, batch by batch.

    A parcel is immutable and complete when it is there. The receiver pulls it, so nothing is sent faster than
    it is used, and after a broken connection it goes on with the next batch.
    """

    def fetch(
        self, member: str, run: str, name: str, schema: pa.Schema, rows: int, wait: float
    ) -> Iterator[pa.RecordBatch]:
        """All batches of a parcel, in order.

        Args:
            member: who made it.
            run: 32 hexadecimal digits.
            name: 1 to 32 of ``a-z``, ``0-9`` and ``-``.
            schema: of the batches, exactly: columns of fixed width, or binary.
            rows: how many there are in all batches together, exactly.
            wait: how many seconds to wait until the member has made it.

        Raises:
            PeerError: it is not there in time, is something else than that, or the run is over there; then,
                with the far side's code (``RUN_ENDED``, ``NO_SUCH_PARCEL``) in `PeerError.code`.
            ValueError: run, name, schema or rows cannot be those of a parcel.
        """
        ...


@runtime_checkable
class Executor(Protocol):
    """Runs one function over many batches, in any order, on threads or on a cluster."""

    @property
    def parallelism(self) -> int:
        """How many batches run at the same time."""
        ...

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """Apply `function` to every item; results come in the order of the items."""
        ...


@runtime_checkable
class Progress(Protocol):
    """Hears about phases of work that takes longer than a second."""

    def phase(self, name: str, total: int | None = None) -> None:
        """A new phase begins; `total` is in units of `advance`, None where it is not known."""
        ...

    def advance(self, amount: int = 1) -> None:
        """So much of the phase is done."""
        ...


class NoProgress:
    """A Progress that tells nobody."""

    def phase(self, name: str, total: int | None = None) -> None:
        """Ignore the phase."""

    def advance(self, amount: int = 1) -> None:
        """Ignore the step."""


@runtime_checkable
class Clock(Protocol):
    """The time, so that tests can set it."""

    def now(self) -> datetime:
        """The current time, with UTC as its zone."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait until so much time has passed."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The current time, with UTC as its zone."""
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        """Wait until so much time has passed."""
        time.sleep(seconds)


@runtime_checkable
class KeyStore(Protocol):
    """Where a member's keys are: files, environment, a key service; never command-line arguments."""

    def sign(self, message: bytes) -> bytes:
        """Sign with the member's Ed25519 key. Returns 64 bytes."""
        ...

    def shared_secret(self) -> bytes:
        """The secret that the owners of encrypted tables share; SecretError where there is none."""
        ...
