# SPDX-License-Identifier: Apache-2.0
"""The protection `tokens`: what it answers, what it costs, and the run on the host."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from hitoku.disclosure.cells import Cells
from hitoku.disclosure.leakage import Leakage
from hitoku.disclosure.margins import protected, suppressed
from hitoku.engine.process import Engine, EngineLimits
from hitoku.engine.tables import TableFile
from hitoku.protections.base import Cost, Supported, TableStats, Unsupported, host_of
from hitoku.protections.tokens.leakage import tokens_leakage
from hitoku.protections.tokens.views import engine_tables
from hitoku.questions.run import execution_sql, survey_sql
from hitoku.room.agreement import Ability, ProtectionName, Room

if TYPE_CHECKING:
    from hitoku.disclosure.plan import DisclosurePlan
    from hitoku.engine.spark import SparkEngine
    from hitoku.ports import Executor, Peers, Progress
    from hitoku.questions.question import Question

__all__ = ["Tokens"]

# Measured by benchmarks/tokens.py on 2 cores: starting the engine, then rows joined and grouped a second.
_START_SECONDS: Final = 0.35
_ROWS_A_SECOND: Final = 8_000_000


class Tokens:
    """SQL on encrypted tables. The host runs it; supports, leakage and estimate work anywhere.

    Args:
        tables: the encrypted files that the host holds, by table name. Empty anywhere else.
        bounds: what one question may use of the host.
        spark: joins and groups the tables' rows in place of the host's own engine, which does the rest. What
            Spark would not do the same way is refused (`hitoku.protections.tokens.on_spark`).
    """

    by_owners = False
    long = False
    sealed = False
    shared = False

    def __init__(
        self,
        tables: Mapping[str, TableFile] | None = None,
        bounds: EngineLimits | None = None,
        spark: SparkEngine | None = None,
    ) -> None:
        self.name = ProtectionName.TOKENS
        self._tables = dict(tables or {})
        self._engine = Engine(bounds)
        self._spark = spark

    def prepare(self) -> None:
        """Start the engine's process ahead of the question."""
        self._engine.start()

    def cancel(self) -> None:
        """End the question, from any thread, before or while it runs: `run` raises ``CANCELLED``."""
        self._engine.cancel()
        if self._spark is not None:
            self._spark.cancel()

    def close(self) -> None:
        """End an engine that was prepared and not used."""
        self._engine.close()

    def supports(self, question: Question, room: Room) -> Supported | Unsupported:
        """Whatever the checker accepts can be run on tokens, if the room accepts them and has a host."""
        del question
        if ProtectionName.TOKENS not in room.agreement.protections:
            return Unsupported("the room does not accept tokens", "agree on a version that lists `tokens`")
        if not room.agreement.able(Ability.HOST):
            return Unsupported("the room has no host", "agree on a member with the ability `host`")
        return Supported()

    def place(self, question: Question, room: Room) -> str:
        """The room's host."""
        del question
        return host_of(room)

    def receivers(self, question: Question, room: Room) -> tuple[str, ...]:
        """Nobody but those whom the asker names."""
        del question, room
        return ()

    def leakage(self, question: Question, room: Room) -> Leakage:
        """What each member learns from a run, the host included."""
        return tokens_leakage(question, room)

    def estimate(self, question: Question, stats: TableStats) -> Cost:
        """From public row counts; None where a table's is not known."""
        rows = [stats.rows.get(name) for name in question.tables]
        known = [count for count in rows if count is not None]
        if len(known) < len(rows):
            return Cost(None, 0)
        return Cost(_START_SECONDS + sum(known) / _ROWS_A_SECOND, 0)

    def feasible(self, question: Question, plan: DisclosurePlan, room: Room) -> None:
        """Nothing is known beforehand."""
        del question, plan, room

    def begin(self, question: Question, peers: Peers) -> None:
        """Nobody else takes part."""
        del question, peers

    def nothing_left(self) -> bool:
        """It is no long run."""
        return False

    def run(
        self,
        question: Question,
        plan: DisclosurePlan,
        peers: Peers,
        executor: Executor,
        progress: Progress,
    ) -> Cells:
        """Run on the host: the cells with the plan's hidden columns, no threshold applied yet.

        Raises:
            Refusal: the host runs questions on Spark, and this is none for it (``NOT_ON_SPARK``).
            InputError: a table's file is missing or not as declared.
            EngineError: the engine failed, or the question was cancelled (code ``CANCELLED``).
            LimitError: the result is too large.
            DisclosureError: the plan does not fit the question.
        """
        del peers, executor
        if self._spark is not None:
            return self._run_on(self._spark, question, plan, progress)
        survey = survey_sql(question, plan)
        execution_sql(question, plan)  # a plan that does not fit is refused before anything starts
        tables = engine_tables(question, self._tables)
        applied: set[str] = {"rounding"} if plan.round_counts > 1 else set()
        withheld = None
        with self._engine as engine:
            progress.phase("start engine")
            engine.start()
            if protected(question, plan):
                counted = None
                if survey is not None:
                    progress.phase("count related groups", 100)
                    counted = engine.run(tables, survey, progress.advance)
                    engine.close()
                    engine.start()
                withheld = suppressed(question, plan, counted)
                applied.add("suppression")
            sql = execution_sql(question, plan, withheld)
            progress.phase("run on tokens", 100)
            table = engine.run(tables, sql, progress.advance)
        return Cells(question.hash, table, frozenset(applied))

    def _run_on(
        self, spark: SparkEngine, question: Question, plan: DisclosurePlan, progress: Progress
    ) -> Cells:
        """Run with the rows' part on Spark."""
        from hitoku.protections.tokens.on_spark import OnSpark

        split = OnSpark(question, plan)  # what it cannot do is refused before anything starts
        tables = engine_tables(question, self._tables)
        applied: set[str] = {"rounding"} if plan.round_counts > 1 else set()
        with self._engine as engine:
            progress.phase("join and group on Spark")
            with split.computed(spark, tables) as groups:
                progress.phase("finish on tokens", 100)
                table = engine.run(groups, split.sql, progress.advance)
        return Cells(question.hash, table, frozenset(applied))
