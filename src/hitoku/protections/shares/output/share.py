# SPDX-License-Identifier: Apache-2.0
"""A server's shares of the released rows, for their receivers: it has never had the values."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from hitoku import limits
from hitoku.protections.shares.output.parts import (
    BranchHead,
    ColumnHead,
    PartHead,
    Terms,
    encode,
    too_large,
)

if TYPE_CHECKING:
    from hitoku.protections.shares.operators.loaded import BranchResult

__all__ = ["share"]


def share(
    party: Any,
    results: Sequence[BranchResult],
    *,
    run: str,
    question: str,
    plan: str,
    program: str,
    released_at: str,
) -> bytes:
    """This server's part of an answer; the same bytes go to every receiver, sealed.

    Two parts of one run together are the answer, so a part is given to nobody but the receivers.

    Args:
        party: this server's part in the kernel: its `index`, and `dump`.
        results: of all branches.
        run: the run.
        question: the question's hash.
        plan: the disclosure plan's.
        program: the program's.
        released_at: the time that all three servers say.

    Raises:
        LimitError: the answer is too large.
    """
    if (
        any(result.rows > limits.ENGINE_MAX_RESULT_ROWS for result in results)
        or any(len(result.columns) > limits.MAX_OUTPUT_COLUMNS for result in results)
        or len(results) > limits.MAX_SHARES_BRANCHES
    ):
        raise too_large()
    head = PartHead(
        index=party.index,
        salt=secrets.token_hex(32),
        terms=Terms(run=run, question=question, plan=plan, program=program, released_at=released_at),
        branches=[
            BranchHead(rows=result.rows, columns=[ColumnHead.of(c.layout) for c in result.columns])
            for result in results
        ],
    )
    return encode(head, _shares(party, results))


def _shares(party: Any, results: Sequence[BranchResult]) -> Iterator[tuple[bytes, bytes]]:
    for result in results:
        for column in result.columns:
            for vector in (*column.vectors, *(() if column.valid is None else (column.valid,))):
                yield party.dump(vector)
