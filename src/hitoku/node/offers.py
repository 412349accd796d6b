# SPDX-License-Identifier: Apache-2.0
"""An owner's tables, sealed for runs in enclaves: made when the run's host asks, kept while the run lasts.

Each run's tables are sealed once, under keys that this owner's broker made for them (it makes each once, so a
process that starts again does not seal other rows under an old key: the run is lost, and is asked for again).
What lies on the disk is sealed, and goes when the run is settled, or when it is too old.
"""

from __future__ import annotations

import base64
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from operator import methodcaller
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hitoku import limits
from hitoku.attestation.release import wipe
from hitoku.errors import EngineError, HitokuError, Refusal
from hitoku.node.people import settings_of
from hitoku.protections.enclave.needs import needed
from hitoku.transport.enclave import OfferedTable
from hitoku.transport.parcels import NO_SUCH_PARCEL, RUN_ENDED

if TYPE_CHECKING:
    import pyarrow as pa

    from hitoku.ask.common import Examined
    from hitoku.attestation.broker import Broker, DataKey
    from hitoku.room.agreement import Column, Room
    from hitoku.room.directory import MemberDirectory

__all__ = ["Offers"]


@dataclass(slots=True)
class _Sealing:
    """What a run's tables are at: under way, sealed, failed, or over."""

    host: str
    tables: list[OfferedTable] | None = None
    error: HitokuError | None = None
    over: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)


class Offers:
    """The sealed tables of one owner in one room. For many threads.

    Args:
        directory: the owner's.
        room: the room, verified.
        broker: makes the keys.
    """

    def __init__(self, directory: MemberDirectory, room: Room, broker: Callable[[], Broker]) -> None:
        self._directory, self._room, self._broker = directory, room, broker
        self._folder = directory.path / "enclave" / "offers"
        self._runs: dict[str, _Sealing] = {}
        self._lock = threading.Lock()
        self._places = threading.Semaphore(limits.ENCLAVE_STARTS_AT_ONCE)

    def seal(self, examined: Examined, run: str, host: str) -> list[OfferedTable] | None:
        """This owner's tables of a question for a run; None while they are being sealed.

        Raises:
            Refused: there can be no keys for that run.
            Refusal: ``RUN_ENDED``.
            HitokuError: what went wrong while they were sealed.
        """
        with self._lock:
            known = self._runs.get(run)
            if known is None:
                keys = self._keys(examined, run, host)
                known = self._runs[run] = _Sealing(host)
                threading.Thread(
                    target=self._work,
                    args=(known, examined, run, keys),
                    name=f"hitoku-seal-{run[:8]}",
                    daemon=True,
                ).start()
                return None
        if known.over:
            raise Refusal(RUN_ENDED, "the run is over")
        if known.error is not None:
            raise known.error
        return known.tables

    def knows(self, run: str) -> bool:
        """Whether tables were sealed for a run here."""
        return run in self._runs

    def parcel(self, member: str, run: str, name: str) -> Path | None:
        """The file of a sealed table; see `hitoku.transport.parcels.Shelf`.

        Raises:
            Refusal: ``NO_SUCH_PARCEL``, ``RUN_ENDED``.
        """
        known = self._runs.get(run)
        if known is None or known.host != member:
            raise Refusal(NO_SUCH_PARCEL, "there is no such parcel for that member")
        if known.over or known.error is not None:
            raise Refusal(RUN_ENDED, "the run is over")
        if known.tables is None:
            return None
        if all(offered.parcel != name for offered in known.tables):
            raise Refusal(NO_SUCH_PARCEL, "there is no such parcel for that member")
        return self._folder / run / name

    def left(self, member: str, run: str, name: str) -> None:
        """What leaves is sealed; nothing has to be kept of that."""

    def over(self, run: str) -> None:
        """The run has ended: nothing of it is given any more. May be said twice, and of any run."""
        known = self._runs.get(run)
        if known is None:
            return
        with known.lock:
            known.over = True
            shutil.rmtree(self._folder / run, ignore_errors=True)

    def _keys(self, examined: Examined, run: str, host: str) -> dict[str, DataKey]:
        me, broker = self._directory.name, self._broker()
        owned = [table.name for table in examined.question.sources if table.owner == me]
        return {table: broker.make_key(run, table, host) for table in owned}

    def _work(self, sealing: _Sealing, examined: Examined, run: str, keys: dict[str, DataKey]) -> None:
        try:
            with self._places:
                self._forget()
                made = self._sealed(sealing, examined, run, keys)
            with sealing.lock:
                if sealing.over:
                    shutil.rmtree(self._folder / run, ignore_errors=True)
                sealing.tables = made
        except HitokuError as error:
            sealing.error = error
        except Exception:  # its words may quote data
            sealing.error = EngineError("the tables could not be sealed", "INTERNAL")
        finally:
            wipe(*(key.key for key in keys.values()))

    def _sealed(
        self, sealing: _Sealing, examined: Examined, run: str, keys: dict[str, DataKey]
    ) -> list[OfferedTable]:
        from hitoku.protections.enclave.sealed_table import seal_table

        folder = self._folder / run
        folder.mkdir(parents=True, mode=0o700)
        columns, made = needed(examined.question, examined.plan), []
        for place, (table, key) in enumerate(sorted(keys.items())):
            if sealing.over:
                raise Refusal(RUN_ENDED, "the run is over")
            types, batches = self._rows(table, columns[table])
            name = f"table-{place}"
            sealed = seal_table(
                batches,
                types,
                folder / name,
                key=key.key,
                room=examined.question.room_hash,
                run=run,
                table=table,
            )
            head = base64.b64encode(sealed.head).decode()
            made.append(OfferedTable(table=table, parcel=name, chunks=sealed.chunks, head=head))
        return made

    def _rows(
        self, table: str, columns: tuple[Column, ...]
    ) -> tuple[list[tuple[str, str]], Iterator[pa.RecordBatch]]:
        """A table's rows out of its registered source: the needed columns, under their names in the room."""
        from hitoku.executors.local import Local
        from hitoku.protections.crosstab.prepare import find
        from hitoku.protections.enclave.rows import plain_type
        from hitoku.sources.uri import open_uri

        settings = settings_of(self._directory, self._room, table)
        source = open_uri(settings.source, self._directory.path)
        places = [find(source.schema, table, settings.columns.get(c.name, c.name)) for c in columns]
        types = [
            (c.name, plain_type(source.schema.field(place).type))
            for c, place in zip(columns, places, strict=True)
        ]
        return types, Local().map(methodcaller("__call__"), source.batches(places))

    def _forget(self) -> None:
        """Remove what runs have left here whose process was ended before they were settled."""
        oldest = time.time() - _KEPT_SECONDS
        for place in self._folder.iterdir() if self._folder.is_dir() else ():
            if place.name not in self._runs and place.stat().st_mtime < oldest:
                shutil.rmtree(place, ignore_errors=True)


_KEPT_SECONDS: Final = 2 * limits.RUN_SECONDS
