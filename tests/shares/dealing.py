# SPDX-License-Identifier: Apache-2.0
"""Values dealt to three real parties in one process as an owner deals them; results opened for the test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tests.shares.tables import Table, decode, load, program

from hitoku.hazmat.shares import Party, as_integers, expand, run_three, split
from hitoku.ports import NoProgress
from hitoku.protections.shares.operators import execute
from hitoku.protections.shares.operators.draws import Draws
from hitoku.protections.shares.program import Branch

SEEDS = (bytes(range(32)), bytes(range(32, 64)))


def dealer(party: Party) -> Callable[[str, Any], Any]:
    """This party's two shares of each vector, in the order of calls: the same at all three."""
    labels = iter(range(2**32))

    def share(kind: str, values: Any) -> Any:
        label = next(labels)
        shares = [
            expand(kind, len(values), SEEDS[0], label),
            expand(kind, len(values), SEEDS[1], label),
            split(kind, values, *SEEDS, label),
        ]
        return party.load(kind, shares[party.index], shares[(party.index + 1) % 3])

    return share


def run_shared(
    tables: Sequence[Table], branch: Branch, draws: Callable[[int], Draws | None] = lambda index: None
) -> tuple[list[tuple[Any, ...]], list[dict[str, int]]]:
    """Rows of one branch from three real parties, and their counters before the result was opened.

    Args:
        tables: in clear.
        branch: what is computed.
        draws: each party's noise, by its number; None: its own.
    """
    whole = program(tables, branch)

    def work(party: Party) -> tuple[list[tuple[Any, ...]], dict[str, int]]:
        loaded = load(party, tables, dealer(party))
        (result,) = execute(whole, party, loaded, NoProgress(), draws(party.index))
        counters = party.counters()

        def values(vector: Any) -> list[int]:
            return as_integers(vector.kind, party.open(vector))

        return decode(result, values), counters

    results = run_three(work)
    assert results[0][0] == results[1][0] == results[2][0]
    return results[0][0], [counters for _, counters in results]
