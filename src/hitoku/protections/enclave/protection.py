# SPDX-License-Identifier: Apache-2.0
"""The protection `enclave`: what it answers, where, what it costs. The run is in `enclosure` and `worker`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, NoReturn

from hitoku.errors import EngineError
from hitoku.protections.base import Cost, Supported, TableStats, Unsupported, host_of
from hitoku.protections.enclave.leakage import enclave_leakage
from hitoku.questions.question import OutputKind
from hitoku.room.agreement import Ability, ColumnProtection, ProtectionName, Room

if TYPE_CHECKING:
    from hitoku.disclosure.leakage import Leakage
    from hitoku.disclosure.plan import DisclosurePlan
    from hitoku.ports import Executor, Peers, Progress
    from hitoku.protections.enclave.enclosure import Enclosure
    from hitoku.questions.question import Question

__all__ = ["Enclave"]

# Measured by benchmarks/attestation.py on 2 cores: launch and evidence, then rows sealed, opened and asked.
_START_SECONDS: Final = 5.0
_ROWS_A_SECOND: Final = 2_500_000


class Enclave:
    """SQL on owners' sealed tables, in a measured program that alone opens them.

    Everything but the run works anywhere. The run makes no Cells outside the worker: its answer is sealed
    there, so `run` is never called; the host calls `enclosure`.

    Args:
        enclosure: at the host of a run, what starts and serves its worker; None anywhere else.
        certified: keeps the certificate of deletion of a run.
    """

    by_owners = False
    long = False
    sealed = True
    shared = False

    def __init__(
        self,
        enclosure: Enclosure | None = None,
        certified: Callable[[str, Mapping[str, Any]], None] = lambda _, __: None,
    ) -> None:
        self.name = ProtectionName.ENCLAVE
        self.enclosure, self.certified = enclosure, certified

    def supports(self, question: Question, room: Room) -> Supported | Unsupported:
        """Whatever the checker accepts, if the room agrees on evidence and somebody computes."""
        if ProtectionName.ENCLAVE not in room.agreement.protections:
            return Unsupported(
                "the room does not accept enclaves",
                "agree on a version that lists `enclave` in `protections`",
            )
        if room.agreement.attestation is None:
            return Unsupported(
                "the room does not say which evidence of an enclave it accepts",
                "agree on a version with `attestation`",
            )
        if not (room.agreement.able(Ability.COMPUTE) or room.agreement.able(Ability.HOST)):
            return Unsupported(
                "the room has nobody who computes", "agree on a member with the ability `compute`"
            )
        for output in question.outputs:
            if output.kind is OutputKind.LISTED and _sealed(output.sources, room):
                # On tokens it would come as ciphertext that only the holders of the secret open.
                return Unsupported(
                    f"the output {output.name} is a sealed column, and an enclave would show its values to "
                    "every receiver",
                    "leave it out, or ask on tokens",
                )
        return Supported()

    def place(self, question: Question, room: Room) -> str:
        """The member that computes; the host where none has that ability."""
        del question
        able = room.agreement.able(Ability.COMPUTE)
        return able[0].name if able else host_of(room)

    def receivers(self, question: Question, room: Room) -> tuple[str, ...]:
        """Nobody but those whom the asker names."""
        del question, room
        return ()

    def leakage(self, question: Question, room: Room) -> Leakage:
        """What each member learns from a run."""
        return enclave_leakage(question, room, self.place(question, room))

    def estimate(self, question: Question, stats: TableStats) -> Cost:
        """From public sizes; None where a table's are not known."""
        rows = [stats.rows.get(name) for name in question.tables]
        sizes = [stats.bytes.get(name) for name in question.tables]
        known = [count for count in rows if count is not None]
        sent = [size for size in sizes if size is not None]
        return Cost(
            _START_SECONDS + sum(known) / _ROWS_A_SECOND if len(known) == len(rows) else None,
            sum(sent) if len(sent) == len(sizes) else None,
        )

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
    ) -> NoReturn:
        """No Cells leave an enclave.

        Raises:
            EngineError: always.
        """
        del question, plan, peers, executor, progress
        raise EngineError("an enclave hands out no cells; its answer is sealed inside")


def _sealed(sources: tuple[tuple[str, str], ...], room: Room) -> bool:
    for name, column in sources:
        table = room.agreement.table(name)
        declared = None if table is None else table.column(column)
        if declared is not None and declared.protection is ColumnProtection.SEALED:
            return True
    return False
