# SPDX-License-Identifier: Apache-2.0
"""What is released is a function of the noised whole numbers and of public things; of nothing else.

In each test both worlds get the same noised numbers, by noise that makes up for the target. Then every byte
of the answer must be the same: HAVING, window functions, ORDER BY, LIMIT, set operations, means and their
last bits, bands, the order of rows. Whatever differed would come from the exact rows past the noise.
"""

from __future__ import annotations

import random
import statistics
import time
from array import array
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import sqlglot
from sqlglot import exp

from hitoku.disclosure.cells import Cells
from hitoku.disclosure.leakage import Leakage
from hitoku.disclosure.noise import Draws
from hitoku.disclosure.noising import noised
from hitoku.disclosure.plan import plan
from hitoku.disclosure.release import release
from hitoku.ports import SystemClock
from hitoku.questions.noised import PART, answer_text, key_name

from .world import TARGET, Asked, Pair, ask, fill, noised_room, visit, without, worlds

CITIES = ["tokyo", "osaka", "kyoto", "nara", "kobe", "gifu", "mito", "tsu"]
ROWS = {
    "visits": [
        visit(TARGET, "gifu", day=3, spend=100, score=-5.0, age=120),
        *(
            visit(f"u{c}-{i}", c, day=n % 3, spend=i, score=i / 7, age=i)
            for n, c in enumerate(CITIES)
            for i in range(6 + 2 * n)
        ),
    ],
    "people": [(TARGET, "x", 1000), *((f"u{c}-{i}", "xy"[i % 2], i) for c in CITIES for i in range(6))],
    "mine": [(TARGET, "a", 1, 1.0)],
}
QUESTIONS = [
    "SELECT city, COUNT(*) AS n, SUM(spend) AS s, AVG(score) AS m FROM visits GROUP BY city",
    "SELECT city, COUNT(*) AS n FROM visits GROUP BY city HAVING COUNT(*) > 12 AND SUM(spend) > 1",
    "SELECT city, RANK() OVER (ORDER BY COUNT(*)) AS r, SUM(COUNT(*)) OVER () AS t FROM visits GROUP BY city",
    "SELECT city, LAG(COUNT(*)) OVER (ORDER BY city) AS l, COUNT(*) AS n FROM visits GROUP BY city",
    "SELECT city, COUNT(*) AS n FROM visits GROUP BY city ORDER BY n DESC LIMIT 3 OFFSET 1",
    "SELECT city, ROUND(SUM(spend) / COUNT(*), 6) AS r FROM visits GROUP BY city ORDER BY SUM(age) LIMIT 4",
    "SELECT city, COUNT(*) FROM visits GROUP BY 1 EXCEPT SELECT city, COUNT(uid) FROM visits GROUP BY city",
    "SELECT city, COUNT(*) AS n FROM visits GROUP BY city UNION ALL SELECT 'all', COUNT(*) FROM visits",
    "SELECT COUNT(*) AS n, AVG(age) AS m, SUM(score) AS s FROM visits",
    "SELECT pref, AVG(income), AVG(spend) FROM visits JOIN people ON visits.uid = people.uid GROUP BY pref",
    "SELECT AVG(spend) AS m FROM visits GROUP BY city ORDER BY m",
]
TIED = [
    "SELECT AVG(spend) AS m FROM visits GROUP BY city",
    "SELECT AVG(spend) AS m FROM visits GROUP BY city ORDER BY m LIMIT 1",
]


class Planned:
    """Noise that makes a table's figures those that were agreed on, whatever they are."""

    def __init__(self, asked: Asked, table: Any, wanted: Any) -> None:
        self._queue: list[list[int]] = []
        self.taken: list[tuple[int, int]] = []
        for n, (part, how) in enumerate(zip(asked.privacy.parts, asked.noise.parts, strict=True), 1):
            groups = len(asked.question.form.blocks[n - 1].groups)
            rows = table.filter(pc.equal(table.column(PART), n)).to_pylist()
            for place in range(len(part.figures)):
                draws = []
                for row in rows:
                    name = (n, tuple(str(row[key_name(n, i)]) for i in range(1, groups + 1)))
                    if place and how.threshold is not None and wanted(name, 0) < how.threshold:
                        continue
                    draws.append(wanted(name, place) - row[f"_hitoku_f{place + 1}"])
                self._queue.append(draws)

    def take(self, scale: int, count: int) -> array[int]:
        """The next figure's noise."""
        self.taken.append((scale, count))
        draws = self._queue.pop(0)
        assert len(draws) == count
        return array("q", draws)


def agreed(asked: Asked, seed: int, clamped: bool = False) -> Any:
    """Noised figures for any group: the same for the same name."""

    def wanted(name: tuple[int, tuple[str, ...]], place: int) -> int:
        part, how = asked.privacy.parts[name[0] - 1], asked.noise.parts[name[0] - 1]
        chance = random.Random(f"{seed} {name} {place}")
        if place == 0 and how.threshold is not None:
            return how.threshold + chance.randrange(40)
        figure = part.figures[place]
        if clamped:  # every mean is just at its upper bound, and no two counts are the same
            return figure.most * random.Random(f"{seed} {name}").randrange(20, 1_000)
        return chance.randrange(-figure.most, 40 * figure.most)

    return wanted


def everything(asked: Asked, table: Any, wanted: Any) -> bytes:
    """All that a receiver gets of these figures, bit by bit."""
    draws: Any = Planned(asked, table, wanted)
    outputs, bands = noised(table, asked.question, asked.noise, draws)
    sink = pa.BufferOutputStream()
    for given in (outputs, bands):
        if given is not None:
            with pa.ipc.new_stream(sink, given.schema) as writer:
                writer.write_table(given.combine_chunks())
    found: bytes = sink.getvalue().to_pybytes()
    return found


def shuffled(table: Any, seed: int) -> Any:
    """The same groups in another order: which one the engine meets first depends on the rows."""
    order = list(range(table.num_rows))
    random.Random(seed).shuffle(order)
    return table.take(pa.array(order, pa.int64()))


@pytest.fixture(scope="module")
def pair():
    with worlds(ROWS) as made:
        yield made


def same_release(pair: Pair, sql: str, clamped: bool = False) -> None:
    asked = ask(sql, noised_room(2, 2), 1)
    here, gone = (asked.figures(side, least_units=1) for side in pair.sides)
    assert sorted(map(str, here.to_pylist())) != sorted(map(str, gone.to_pylist())), (
        "the target is nowhere in it"
    )
    for seed in range(3):
        wanted = agreed(asked, seed, clamped)
        first = everything(asked, shuffled(here, seed), wanted)
        assert first == everything(asked, shuffled(gone, seed + 10), wanted)
        assert first != everything(asked, here, agreed(asked, seed + 100, clamped)), "noise must show"


@pytest.mark.parametrize("sql", QUESTIONS)
def test_the_answer_is_a_function_of_the_noised_numbers(pair, sql):
    same_release(pair, sql)


def meeting_order(connection: Any) -> list[str]:
    """The people u0... and the target in the order in which the engine meets them in its groups."""
    names = [TARGET, *(f"u{i}" for i in range(60))]
    asked = ask("SELECT city, COUNT(*) AS n FROM visits GROUP BY city", noised_room(), 1)
    fill(connection, {"visits": [visit(name, name) for name in names]})
    found: list[str] = asked.figures(connection, least_units=1).column(key_name(1, 1)).to_pylist()
    return found


@pytest.mark.parametrize("sql", TIED)
def test_equal_outputs_do_not_leave_in_the_order_of_the_rows(sql):
    """Means that are clamped to their bound are equal; only their bands tell which group's comes first.

    The asker picks people (by WHERE) so that the engine meets the target's group first only because of him.
    """
    with worlds({"visits": []}) as pair:
        order = meeting_order(pair.here)
        later = order[order.index(TARGET) + 1 :]
        half = len(later) // 2
        assert half > 3
        rows = {
            "visits": [
                visit(TARGET, "gifu"),
                *(visit(name, "osaka") for name in later[:half]),
                *(visit(name, "gifu") for name in later[half:]),
            ]
        }
        fill(pair.here, rows)
        fill(pair.gone, without(rows))
        asked = ask(sql, noised_room(), 1)
        here, gone = (asked.figures(side, least_units=1) for side in pair.sides)
        key = key_name(1, 1)
        assert here.column(key).to_pylist() != gone.column(key).to_pylist(), "the engine met them alike"
        wanted = agreed(asked, 1, clamped=True)
        assert everything(asked, here, wanted) == everything(asked, gone, wanted)


def test_nothing_after_the_noise_reads_a_table():
    for sql in QUESTIONS + TIED:
        asked = ask(sql, noised_room(2, 2), 1)
        widths = [part.half_widths() for part in asked.noise.parts]
        text, _ = answer_text(asked.question.form, asked.privacy, widths, widths)
        tree = sqlglot.parse_one(text, dialect="duckdb")
        inner = {cte.alias for cte in tree.find_all(exp.CTE)}
        outside = {table.name for table in tree.find_all(exp.Table)} - inner
        assert outside == {f"_hitoku_p{n}" for n in range(1, len(asked.privacy.parts) + 1)}


def test_having_order_and_limit_are_not_before_the_noise():
    """What the engine runs on the rows is the same whether a question has them or not."""
    bare = "SELECT city, COUNT(*) AS n FROM visits GROUP BY city"
    room = noised_room(2, 2)

    def text(sql: str) -> str:
        import duckdb

        asked = ask(sql, room)
        recorded: list[str] = []

        class Recorder:
            def sql(self, query: str) -> Any:
                recorded.append(query)
                return duckdb.sql("SELECT 1")

        recorder: Any = Recorder()
        asked.figures(recorder)
        return recorded[0]

    for more in (" HAVING COUNT(*) > 7", " ORDER BY n DESC LIMIT 1", " HAVING n > 7 ORDER BY city OFFSET 2"):
        assert text(bare) == text(bare + more)
    window = "SELECT city, COUNT(*) AS n, RANK() OVER (ORDER BY COUNT(*)) AS r FROM visits GROUP BY city"
    assert text(bare) == text(window)


# --- low bits ---


def test_counts_and_sums_are_whole_multiples_of_their_unit(pair):
    """Mironov 2012: the last bits of a floating-point sum tell its addends. These have none to tell."""
    asked = ask(
        "SELECT city, COUNT(*) AS n, SUM(score) AS s, SUM(spend) AS p, SUM(age) AS a FROM visits GROUP BY 1",
        noised_room(2, 2),
        1,
    )
    draws = Draws(asked.noise)
    outputs, bands = noised(asked.figures(pair.here), asked.question, asked.noise, draws)
    draws.close()
    assert outputs.num_rows
    for table in (outputs, bands):
        for name in table.column_names:
            kind = table.column(name).type
            if name.startswith("city"):
                continue
            assert pa.types.is_integer(kind) or pa.types.is_decimal(kind), f"{name} is {kind}"
    units = {"n": 0, "s": 3, "p": 2, "a": 0}
    for name, decimals in units.items():
        for value in outputs.column(name).to_pylist():
            assert Decimal(value).scaleb(decimals) == Decimal(value).scaleb(decimals).to_integral_value()


def test_the_exact_figures_are_whole_numbers_whatever_the_values(pair):
    asked = ask("SELECT SUM(score) AS s, AVG(spend) AS m, AVG(score) AS a FROM visits", noised_room(2, 2), 1)
    for side in pair.sides:
        table = asked.figures(side)
        assert all(pa.types.is_integer(table.column(name).type) for name in table.column_names)


# --- time ---


def test_the_work_hardly_depends_on_the_target(pair, capsys):
    """As many draws of noise in both worlds where groups are public; else one more a group at most.

    Times are printed and decide nothing: a room's `release.interval_seconds` is the defence.
    """
    public = ask(QUESTIONS[0], noised_room(2, 2, CITIES), 1)
    hidden = ask(QUESTIONS[0], noised_room(2, 2), 1)
    for asked in (public, hidden):
        counts, seconds = [], []
        for side in pair.sides:
            table = asked.figures(side)
            counts.append(table.num_rows)
            taken = []
            for _ in range(5):
                start = time.perf_counter()
                asked.figures(side)
                taken.append(time.perf_counter() - start)
            seconds.append(statistics.median(taken))
        assert abs(counts[0] - counts[1]) <= (0 if asked is public else asked.privacy.parts[0].max_groups)
        with capsys.disabled():
            print(f"\nseconds with the target {seconds[0]:.4f}, without {seconds[1]:.4f}")  # noqa: T201


# --- the real release ---


def test_only_fresh_noise_is_released(pair):
    """Two releases of one set of cells differ; nothing exact is in the answer but public keys."""
    asked = ask(QUESTIONS[0], noised_room(2, 2, CITIES))
    room = noised_room(2, 2, CITIES)
    made = plan(asked.question, room, ["asker"])
    cells = Cells(asked.question.hash, asked.figures(pair.here))
    answers = [
        release(
            cells,
            made,
            asked.question,
            leakage=Leakage(()),
            protection="tokens",
            run="ab" * 16,
            clock=SystemClock(),
        )
        for _ in range(2)
    ]
    assert answers[0].table != answers[1].table
    assert [row[0] for row in answers[0].fetchall()] == sorted(CITIES)
    assert answers[0].noise is not None
    assert answers[0].noise["users_noise"] == 10
    assert not any(np.array_equal(a, b) for a, b in zip(*(x.fetchall() for x in answers), strict=True))


def test_cells_without_noise_are_never_released(pair):
    from hitoku.errors import DisclosureError

    asked = ask(QUESTIONS[0], noised_room(2, 2, CITIES))
    made = plan(asked.question, noised_room(2, 2, CITIES), ["asker"])
    facts: dict[str, Any] = {
        "leakage": Leakage(()),
        "protection": "tokens",
        "run": "ab" * 16,
        "clock": SystemClock(),
    }
    cells = Cells(asked.question.hash, asked.figures(pair.here))
    for wrong in (replace(made, noise=None), replace(made, thresholds=(None,))):  # type: ignore[arg-type]
        with pytest.raises(DisclosureError):
            release(cells, wrong, asked.question, **facts)
    with pytest.raises(DisclosureError):
        release(replace(cells, applied=frozenset({"threshold"})), made, asked.question, **facts)
