# SPDX-License-Identifier: Apache-2.0
"""What a model's owner remembers of predictions: who had how many rows scored, charged before they are.

A run is charged in the transaction that writes its ledger entry, and the charge stays however the run ends:
an asker that makes runs fail after it learned something would otherwise ask for free. A process that was
killed leaves runs that are `taken`; they are ended, with their charge, when it starts again.
"""

from __future__ import annotations

from enum import StrEnum

import sqlalchemy as sa

from hitoku.errors import Refusal
from hitoku.ports import Clock
from hitoku.room.ledger import EntryKind
from hitoku.room.models import ServedModel
from hitoku.room.predictiontables import predictions
from hitoku.room.records import Records, replayed

__all__ = ["PredictionState", "Predictions"]


class PredictionState(StrEnum):
    """Where a prediction stands."""

    TAKEN = "taken"
    DONE = "done"
    FAILED = "failed"


class Predictions:
    """The predictions that one member's models made in one room.

    Args:
        records: what the member remembers of the room.
        clock: tells the day.
    """

    def __init__(self, records: Records, clock: Clock) -> None:
        self._records, self._clock = records, clock

    def take(self, run: str, model: ServedModel, asker: str, rows: int, request: str) -> int:
        """Charge a run, before anything is computed. Returns how many rows are left of the asker's day.

        Args:
            run: its id, once.
            model: what the room says of the model.
            asker: who asks.
            rows: how many rows it has room for.
            request: hash of the encrypted rows.

        Raises:
            Refusal: ``CONSENT_REPLAYED`` where there was a run of this id, ``MODEL_ROWS_SPENT`` where the day
                has not so many rows left. Nothing is charged then.
        """
        day = self._clock.now().date().isoformat()
        known, ledger = predictions.c, self._records.ledger
        of_run = (known.run == run) & (known.room == self._records.room)
        of_day = (
            (known.room == self._records.room)
            & (known.model == model.name)
            & (known.asker == asker)
            & (known.day == day)
        )
        with self._records.store.transaction() as connection:
            ledger.lock(connection)
            if connection.scalar(sa.select(known.run).where(of_run)) is not None:
                raise replayed()
            spent = int(connection.scalar(sa.select(sa.func.sum(known.rows)).where(of_day)) or 0)
            if spent + rows > model.rows_per_day:
                raise Refusal(
                    "MODEL_ROWS_SPENT",
                    f"model {model.name!r} scores {model.rows_per_day:,} rows a day (UTC) for {asker!r}; "
                    f"{max(0, model.rows_per_day - spent):,} are left, and this request needs {rows:,}",
                    rule=f"models.{model.name}.rows_per_day",
                    owner=model.owner,
                    remedy="ask tomorrow, ask with fewer rows, or agree on a larger number",
                )
            connection.execute(
                sa.insert(predictions),
                {
                    "run": run,
                    "room": self._records.room,
                    "model": model.name,
                    "asker": asker,
                    "day": day,
                    "rows": rows,
                    "state": str(PredictionState.TAKEN),
                },
            )
            body = {"run": run, "model": model.name, "asker": asker, "rows": rows, "request": request}
            ledger.append(connection, EntryKind.PREDICTION, {"role": "owner", **body})
        return model.rows_per_day - spent - rows

    def asked(self, run: str, model: ServedModel, rows: int, request: str) -> None:
        """As asker: record that rows are about to leave, encrypted."""
        body = {"run": run, "model": model.name, "owner": model.owner, "rows": rows, "request": request}
        with self._records.store.transaction() as connection:
            self._records.ledger.append(connection, EntryKind.PREDICTION, {"role": "asker", **body})

    def end(self, run: str, state: PredictionState) -> None:
        """Write down how a run ended; the first end stays."""
        known = predictions.c
        with self._records.store.transaction() as connection:
            connection.execute(
                sa.update(predictions)
                .where(
                    known.run == run,
                    known.room == self._records.room,
                    known.state == str(PredictionState.TAKEN),
                )
                .values(state=str(state))
            )

    def of(self, run: str) -> tuple[str, PredictionState] | None:
        """Who asked for a run, and how it stands; None where there is no such run."""
        known = predictions.c
        with self._records.store.reading() as connection:
            row = connection.execute(
                sa.select(known.asker, known.state).where(known.run == run, known.room == self._records.room)
            ).first()
        return None if row is None else (row.asker, PredictionState(row.state))

    def recover(self) -> tuple[str, ...]:
        """End what a process before this one had taken on. Returns those runs."""
        known = predictions.c
        here = (known.room == self._records.room) & (known.state == str(PredictionState.TAKEN))
        ended = sa.update(predictions).where(here).values(state=str(PredictionState.FAILED))
        with self._records.store.transaction() as connection:
            # The update says which it ended: none that began meanwhile is told of and left open.
            return tuple(connection.scalars(ended.returning(known.run)).all())
