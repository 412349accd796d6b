# SPDX-License-Identifier: Apache-2.0
"""The table of costs in `docs/shares-protocol.md` is what the counters say; they follow from public sizes."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hitoku.hazmat import shares

ROWS = 3 * 2**14
PAGE = Path(__file__).parents[3] / "docs/shares-protocol.md"


def zeros(e, kind, rows=ROWS):
    return e.public(kind, 0, rows)


def ordered(e, *kinds):
    """Rounds and bytes of applying, not of making the order."""
    order = e.order([(zeros(e, "u8"), 1)])
    return lambda: e.apply(order, [zeros(e, kind) for kind in kinds])


CALLS = {
    "`addends` of `r64`": lambda e: lambda: e.addends("r64", [7] * ROWS),
    "`mul` of `r64`": lambda e: lambda: e.mul(zeros(e, "r64"), zeros(e, "r64")),
    "`mul` of `r128`": lambda e: lambda: e.mul(zeros(e, "r128"), zeros(e, "r128")),
    "`and_`, `or_` of `u8`": lambda e: lambda: e.and_(zeros(e, "u8"), zeros(e, "u8")),
    "`and_`, `or_` of `u64`": lambda e: lambda: e.or_(zeros(e, "u64"), zeros(e, "u64")),
    "`equal`, 8 bits": lambda e: lambda: e.equal(zeros(e, "u8"), zeros(e, "u8"), 8),
    "`equal`, 32 bits": lambda e: lambda: e.equal(zeros(e, "u32"), zeros(e, "u32"), 32),
    "`equal`, 64 bits": lambda e: lambda: e.equal(zeros(e, "u64"), zeros(e, "u64"), 64),
    "`less`, 8 bits": lambda e: lambda: e.less(zeros(e, "u8"), zeros(e, "u8"), 8),
    "`less`, 31 bits": lambda e: lambda: e.less(zeros(e, "u32"), zeros(e, "u32"), 31),
    "`less`, 32 bits": lambda e: lambda: e.less(zeros(e, "u32"), zeros(e, "u32"), 32),
    "`less`, 63 bits": lambda e: lambda: e.less(zeros(e, "u64"), zeros(e, "u64"), 63),
    "`bit_to_ring` to `r64`": lambda e: lambda: e.bit_to_ring(zeros(e, "u8"), "r64"),
    "`words_to_ring`, 8 bits to `r64`": lambda e: lambda: e.words_to_ring(zeros(e, "u8"), 8, "r64"),
    "`words_to_ring`, 32 bits to `r64`": lambda e: lambda: e.words_to_ring(zeros(e, "u32"), 32, "r64"),
    "`ring_to_words`, 32 bits of `r64`": lambda e: lambda: e.ring_to_words(zeros(e, "r64"), 32),
    "`ring_to_words`, 64 bits of `r64`": lambda e: lambda: e.ring_to_words(zeros(e, "r64"), 64),
    "`select` of `u64`": lambda e: lambda: e.select(zeros(e, "u8"), zeros(e, "u64"), zeros(e, "u64")),
    "`select` of `r64`": lambda e: lambda: e.select(zeros(e, "u8"), zeros(e, "r64"), zeros(e, "r64")),
    "`shuffle` of one `u64`": lambda e: lambda: e.shuffle([zeros(e, "u64")]),
    "`shuffle` of `u8`, `u32` and `r64`": lambda e: (
        lambda: e.shuffle([zeros(e, kind) for kind in ("u8", "u32", "r64")])
    ),
    "`apply`, `unapply` to one `r64`": lambda e: ordered(e, "r64"),
    "`order` by 1 bit": lambda e: lambda: e.order([(zeros(e, "u8"), 1)]),
    "`order` by 2 bits": lambda e: lambda: e.order([(zeros(e, "u8"), 2)]),
    "`order` by 10 bits": lambda e: lambda: e.order([(zeros(e, "u16"), 10)]),
    "`order` by 32 bits": lambda e: lambda: e.order([(zeros(e, "u32"), 32)]),
    "`order` by 64 bits": lambda e: lambda: e.order([(zeros(e, "u64"), 64)]),
    "`open` of `u8`": lambda e: lambda: e.open(zeros(e, "u8")),
    "`open` of `r64`": lambda e: lambda: e.open(zeros(e, "r64")),
}


def costs(prepare):
    """Rounds of the party that has most, and bytes a row that all three send."""

    def program(party):
        call = prepare(party)
        before = party.counters()
        call()
        return {name: count - before[name] for name, count in party.counters().items()}

    counted = shares.run_three(program)
    assert sum(c["bytes_sent"] for c in counted) == sum(c["bytes_received"] for c in counted)
    return max(c["rounds"] for c in counted), sum(c["bytes_sent"] for c in counted) / ROWS


def line(name):
    rounds, size = costs(CALLS[name])
    return f"| {name} | {rounds} | {size:.1f} |".replace(".0 |", " |")


@pytest.mark.parametrize("name", CALLS)
def test_the_table_of_costs_is_measured(name):
    assert line(name) in PAGE.read_text().splitlines()


def test_the_table_has_no_other_lines():
    text = PAGE.read_text().split("## Costs")[1]
    assert {found[1] for found in re.finditer(r"^\| (`.*?) \| [0-9]", text, re.M)} == set(CALLS)


if __name__ == "__main__":
    print("\n".join(line(name) for name in CALLS))  # noqa: T201
