# SPDX-License-Identifier: Apache-2.0
"""An owner's tables, shared for runs of three servers: made when a server asks, kept while the run lasts.

Each run's tables are shared once, and that is on record before a server gets anything of them: from then on
the run is charged, whatever becomes of it. Each server gets its own seeds alone. The third share, as large as
the columns that the question needs, lies in a parcel for the second server; it is uniformly random without
the seeds, which are in memory only. It goes when the run is settled, or when it is too old.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hitoku import limits
from hitoku.errors import EngineError, HitokuError, Refusal
from hitoku.node.alone import first
from hitoku.node.people import settings_of
from hitoku.room.jobs import Job, JobState, Part
from hitoku.room.runs import Role
from hitoku.transport.parcels import NO_SUCH_PARCEL, RUN_ENDED
from hitoku.transport.shares import OfferedShares

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from hitoku.ask.common import Examined
    from hitoku.ports import Clock, KeyStore
    from hitoku.protections.shares.upload.make import Made
    from hitoku.protections.shares.wanted import WantedTable
    from hitoku.room.agreement import Room
    from hitoku.room.directory import MemberDirectory
    from hitoku.room.jobs import Jobs
    from hitoku.room.records import Records

__all__ = ["Uploads"]

_KEPT_SECONDS: Final = 2 * limits.RUN_SECONDS
_AT_ONCE: Final = 2
_SECOND, _THIRD = 1, 2
"""The servers that get the explicit share: the second one fetches it and relays it to the third."""


@dataclass(slots=True)
class _Sharing:
    """What a run's tables are at: under way, shared, failed, or over."""

    tables: dict[str, tuple[str, Made]] | None = None
    error: HitokuError | None = None
    over: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)
    began: float = field(default_factory=time.monotonic)


class Uploads:
    """The shared tables of one owner in one room. For many threads.

    Args:
        directory: the owner's.
        room: the room, verified.
        records: what the owner remembers.
        jobs: its runs on record.
        keys: what it signs with.
        clock: the time.
    """

    def __init__(
        self,
        directory: MemberDirectory,
        room: Room,
        records: Callable[[], Records],
        jobs: Callable[[], Jobs],
        keys: Callable[[], KeyStore],
        clock: Clock,
    ) -> None:
        self._directory, self._room, self._records, self._jobs = directory, room, records, jobs
        self._keys, self._clock = keys, clock
        self._folder = directory.path / "shares" / "offers"
        self._runs: dict[str, _Sharing] = {}
        self._lock = threading.Lock()
        self._places = threading.Semaphore(_AT_ONCE)
        self._looked = False

    def share(self, examined: Examined, run: str, server: int) -> list[OfferedShares] | None:
        """What one server may have of this owner's tables of a question; None while they are being shared.

        Args:
            examined: the question, to which this owner has consented for this run.
            run: the run.
            server: the server's place among the three.

        Raises:
            Refusal: ``RUN_ENDED``.
            HitokuError: what went wrong while they were shared.
        """
        self._expire()
        with self._lock:
            known = self._runs.get(run)
            if known is None:
                self._on_record(run)
                known = self._runs[run] = _Sharing()
                threading.Thread(
                    target=self._work,
                    args=(known, examined, run),
                    name=f"hitoku-share-{run[:8]}",
                    daemon=True,
                ).start()
                return None
        if known.over:
            raise Refusal(RUN_ENDED, "the run is over")
        if known.error is not None:
            raise known.error
        if known.tables is None:
            return None
        return [self._offered(table, name, made, server) for table, (name, made) in known.tables.items()]

    def knows(self, run: str) -> bool:
        """Whether tables were shared for a run here."""
        return run in self._runs

    def parcel(self, member: str, run: str, name: str) -> Path | None:
        """The file of an explicit share; see `hitoku.transport.parcels.Shelf`.

        Raises:
            Refusal: ``NO_SUCH_PARCEL``, ``RUN_ENDED``.
        """
        self._expire()
        known = self._runs.get(run)
        part = self._room.agreement.shares
        if known is None or part is None or member != part.servers[_SECOND]:
            raise Refusal(NO_SUCH_PARCEL, "there is no such parcel for that member")
        if known.over or known.error is not None:
            raise Refusal(RUN_ENDED, "the run is over")
        if known.tables is None:
            return None
        if all(found != name for found, _ in known.tables.values()):
            raise Refusal(NO_SUCH_PARCEL, "there is no such parcel for that member")
        return self._folder / run / name

    def over(self, run: str) -> None:
        """The run has ended: nothing of it is given any more. May be said twice, and of any run."""
        known = self._runs.get(run)
        if known is None:
            return
        with known.lock:
            known.over = True
            known.tables = None
            shutil.rmtree(self._folder / run, ignore_errors=True)

    def _expire(self) -> None:
        """End runs that nobody has settled for too long: their leader may be gone for good.

        What is forgotten is on record, so nothing is shared for it again.
        """
        oldest = time.monotonic() - _KEPT_SECONDS
        with self._lock:
            found = [run for run, known in self._runs.items() if known.began < oldest]
        for run in found:
            self.over(run)
        with self._lock:
            for run in found:
                self._runs.pop(run, None)

    def _offered(self, table: str, name: str, made: Made, server: int) -> OfferedShares:
        return OfferedShares(
            table=table,
            manifest=made.manifest.model_dump_json(),
            seed_a=None if server == _SECOND else made.seed_a.hex(),
            seed_b=None if server == _THIRD else made.seed_b.hex(),
            parcel=name if server == _SECOND else None,
        )

    def _on_record(self, run: str) -> None:
        """Write down that this run has something of this owner, so that it is charged.

        Raises:
            Refusal: the run is over, or was begun by a process before this one.
        """
        jobs = self._jobs()
        if jobs.find(run) is not None:
            raise Refusal(
                RUN_ENDED,
                f"{self._directory.name!r} has shared its tables for this run already, and forgotten them",
                owner=self._directory.name,
                remedy="ask again",
            )

        def write(connection: Connection) -> None:
            jobs.add(connection, Job(run, Part.UPLOAD, self._directory.name, b"{}"), self._clock.now())
            jobs.move(connection, run, JobState.DONE)

        self._records().while_reserved(run, Role.OWNER, write)

    def _work(self, sharing: _Sharing, examined: Examined, run: str) -> None:
        folder = self._folder / run
        try:
            with self._places:
                self._forget()
                folder.mkdir(parents=True, mode=0o700)
                made = self._shared(sharing, examined, run, folder)
            with sharing.lock:
                sharing.tables = None if sharing.over else made
        except HitokuError as error:
            sharing.error = error
        except Exception:  # its words may quote data
            if os.environ.get("HITOKU_DEBUG") == "1":
                traceback.print_exc()
            sharing.error = EngineError("the tables could not be shared", "INTERNAL")
        finally:
            if sharing.over or sharing.error is not None:
                shutil.rmtree(folder, ignore_errors=True)

    def _shared(
        self, sharing: _Sharing, examined: Examined, run: str, folder: Path
    ) -> dict[str, tuple[str, Made]]:
        from hitoku.protections.base import Unsupported
        from hitoku.protections.shares.planning import draft

        question, plan, me = examined.question, examined.plan, self._directory.name
        sketch = draft(question, plan, self._room)
        if isinstance(sketch, Unsupported):
            raise Refusal("NO_PROTECTION", sketch.reason, rule="protections", remedy=sketch.remedy)
        found: dict[str, tuple[str, Made]] = {}
        for place, wanted in enumerate(w for w in sketch.tables if w.owner == me):
            if sharing.over:
                raise Refusal(RUN_ENDED, "the run is over")
            name = f"share-{place}"
            found[wanted.table] = name, self._made(wanted, examined, run, folder / name)
        return found

    def _made(self, wanted: WantedTable, examined: Examined, run: str, path: Path) -> Made:
        from hitoku.protections.shares.upload.make import Binding, make
        from hitoku.sources.uri import open_uri

        question = examined.question
        settings = settings_of(self._directory, self._room, wanted.table)
        source = open_uri(settings.source, self._directory.path)
        binding = Binding(question.room_hash, run, question.hash, examined.plan.hash)
        return make(wanted, source, settings.columns, path, binding, self._keys())

    def _forget(self) -> None:
        """Remove what runs have left here whose process was ended before they were settled, and old ones."""
        oldest = time.time() - _KEPT_SECONDS
        with self._lock:
            fresh, self._looked = not self._looked, True
            if fresh and first(self, self._folder.parent / "lock"):
                oldest = time.time() + _KEPT_SECONDS  # no process is alive that any of them could be of
            for place in self._folder.iterdir() if self._folder.is_dir() else ():
                if place.name not in self._runs and place.stat().st_mtime < oldest:
                    shutil.rmtree(place, ignore_errors=True)
