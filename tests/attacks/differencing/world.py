# SPDX-License-Identifier: Apache-2.0
"""One world twice, with a planted target and without; the asker knows everything else, and all code."""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import duckdb
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hitoku.disclosure.noise import Noise, noise_of
from hitoku.questions import check
from hitoku.questions.noised import PART, figures_text, key_name
from hitoku.questions.privacy import Privacy
from hitoku.questions.question import Question
from hitoku.room.accounting import Charge
from hitoku.room.agreement import Agreement, Room

TARGET = "t"
COLUMNS = {
    "visits": {
        "uid": "VARCHAR",
        "city": "VARCHAR",
        "day": "INTEGER",
        "spend": "DECIMAL(12,4)",
        "age": "INTEGER",
        "score": "DOUBLE",
        "big": "BIGINT",
        "seen": "TIMESTAMP",
    },
    "people": {"uid": "VARCHAR", "pref": "VARCHAR", "income": "INTEGER"},
    "mine": {"uid": "VARCHAR", "cell": "VARCHAR", "weight": "INTEGER", "ratio": "DOUBLE"},
}
OWNERS = {"visits": "city", "people": "registry", "mine": "asker"}
BOUNDS = {
    "visits": [
        {"columnName": "spend", "lower": 0, "upper": 100, "decimals": 2},
        {"columnName": "age", "lower": 0, "upper": 120},
        {"columnName": "score", "lower": -5, "upper": 5, "decimals": 3},
        {"columnName": "big", "lower": -(10**9), "upper": 10**9},
    ],
    "people": [{"columnName": "income", "lower": 0, "upper": 1000}],
}
_TYPES = {"VARCHAR": "string", "INTEGER": "int", "BIGINT": "bigint", "DOUBLE": "double"}
Rows = Mapping[str, Sequence[tuple[Any, ...]]]


def _key(number: int) -> str:
    public = Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32).public_key().public_bytes_raw()
    return "ed25519:" + base64.b64encode(public).decode()


def _columns(table: str) -> list[dict[str, Any]]:
    made = []
    for name, kind in COLUMNS[table].items():
        more = {"precision": 12, "scale": 4} if kind.startswith("DECIMAL") else {}
        kind = _TYPES.get(kind, kind.partition("(")[0].lower())
        made.append({"name": name, "type": kind, "protection": "cleartext", **more})
    return made


def _room(rules: dict[str, dict[str, Any]], **more: Any) -> Room:
    any_query: dict[str, Any] = {
        "type": "custom",
        "allowedAnalyses": ["ANY_QUERY"],
        "allowedAnalysisProviders": ["asker"],
    }
    tables: list[dict[str, Any]] = [
        {
            "name": table,
            "owner": OWNERS[table],
            "columns": _columns(table),
            "rule": any_query | rules.get(table, {}),
        }
        for table in COLUMNS
    ]
    members = [
        {"name": "asker", "key": _key(1), "abilities": ["query", "receive"]},
        {"name": "city", "key": _key(2)},
        {"name": "registry", "key": _key(3)},
    ]
    return Room(
        agreement=Agreement.model_validate(
            {
                "id": "00000000-1111-2222-3333-444444444444",
                "name": "All but one row",
                "settings": {"allow_cleartext": True},
                "members": members,
                "tables": tables,
                **more,
            }
        )
    )


def noised_room(max_rows: int = 1, max_groups: int = 1, public: Sequence[str] = ()) -> Room:
    """Visits and people want noise for the same people; `mine` is the asker's own and has none."""
    rules: dict[str, dict[str, Any]] = {}
    for table in ("visits", "people"):
        privacy: dict[str, Any] = {
            "columns": [{"name": "uid"}],
            "unit": "person",
            "maxRowsPerGroup": max_rows,
            "maxGroups": max_groups,
            "bounds": BOUNDS[table],
        }
        if public and table == "visits":
            privacy["publicValues"] = [{"columnName": "city", "values": list(public)}]
        rules[table] = {"differentialPrivacy": privacy}
    budgets = [
        {"owner": owner, "unit": "person", "epsilon": 5, "users_noise_per_query": 10}
        for owner in ("city", "registry")
    ]
    return _room(rules, budgets=budgets)


def threshold_room(minimum: int = 5, **more: Any) -> Room:
    """The same tables with aggregationThresholds and nothing else; `more` goes into the rule of visits."""
    threshold = {"identityColumns": ["uid"], "minimumIdentityCount": minimum}
    return _room(
        {
            "visits": {"aggregationThresholds": [threshold], **more},
            "people": {"aggregationThresholds": [threshold]},
        }
    )


# --- the two worlds ---


def database() -> duckdb.DuckDBPyConnection:
    """An engine as hitoku's own process sets it up, without tables."""
    connection = duckdb.connect(config={"threads": 1})
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET preserve_insertion_order = false")
    connection.execute("SET disabled_optimizers = 'type_pushdown,scalar_fn_pushdown'")
    return connection


def fill(connection: duckdb.DuckDBPyConnection, rows: Rows) -> None:
    """Put these rows, and no others, into the tables."""
    for table, columns in COLUMNS.items():
        connection.execute(
            f"CREATE OR REPLACE TABLE {table} ({', '.join(f'{c} {k}' for c, k in columns.items())})"
        )
        if rows.get(table):
            row = f"({', '.join('?' for _ in columns)})"
            values = [value for given in rows[table] for value in given]
            connection.execute(f"INSERT INTO {table} VALUES {', '.join([row] * len(rows[table]))}", values)


def without(rows: Rows, target: str = TARGET) -> Rows:
    """The world in which the target never was. The asker's own table is what the asker makes it."""
    return {t: list(r) if t == "mine" else [row for row in r if row[0] != target] for t, r in rows.items()}


@dataclass(frozen=True)
class Pair:
    """Both worlds, filled."""

    here: duckdb.DuckDBPyConnection
    gone: duckdb.DuckDBPyConnection

    @property
    def sides(self) -> tuple[duckdb.DuckDBPyConnection, duckdb.DuckDBPyConnection]:
        """With the target, then without."""
        return self.here, self.gone


@contextmanager
def worlds(rows: Rows) -> Iterator[Pair]:
    """Both worlds of these rows."""
    here, gone = database(), database()
    try:
        fill(here, rows)
        fill(gone, without(rows))
        yield Pair(here, gone)
    finally:
        here.close()
        gone.close()


def visit(uid: str | None, city: str | None = "tokyo", **more: Any) -> tuple[Any, ...]:
    """A row of visits."""
    row = {"uid": uid, "city": city, "day": 1, "spend": 10, "age": 30, "score": 1.0, "big": 5, "seen": None}
    return tuple({**row, **more}.values())


def crowd(number: int, **more: Any) -> list[tuple[Any, ...]]:
    """So many people with one visit each, all known to the asker."""
    return [visit(f"u{i}", **more) for i in range(number)]


# --- what is asked ---


@dataclass(frozen=True)
class Asked:
    """One question with noise."""

    question: Question
    privacy: Privacy
    noise: Noise
    charge: Charge

    def figures(self, connection: duckdb.DuckDBPyConnection, least_units: int | None = None) -> Any:
        """What leaves the engine in one world: exact, seen by nobody."""
        least = self.noise.parts[0].least_units if least_units is None else least_units
        return connection.sql(figures_text(self.question.form, self.privacy, least)).to_arrow_table()


def ask(sql: str, room: Room, users: int | None = None) -> Asked:
    """A checked question; with `users` less noise than any room allows, so that few runs show much."""
    question = check(sql, room, "asker")
    assert question.privacy is not None
    privacy = question.privacy if users is None else replace(question.privacy, least_noise=users)
    noise, charges = noise_of(privacy, None)
    return Asked(replace(question, privacy=privacy), privacy, noise, charges[0])


Cell = tuple[int, tuple[str, ...]]
"""A group: its branch, from 1, and its keys, bit by bit."""


def bits(value: Any) -> str:
    """A value such that two are one text only if no receiver can tell them apart."""
    return struct.pack(">d", value).hex() if isinstance(value, float) else repr(value)


def cells(table: Any, asked: Asked) -> dict[Cell, tuple[int, ...]]:
    """The figures of each group."""
    found: dict[Cell, tuple[int, ...]] = {}
    for row in table.to_pylist():
        n = int(row[PART])
        groups = asked.question.form.blocks[n - 1].groups
        cell = n, tuple(bits(row[key_name(n, i)]) for i in range(1, len(groups) + 1))
        assert cell not in found, "one group came out twice"
        figures = range(1, len(asked.privacy.parts[n - 1].figures) + 1)
        found[cell] = tuple(int(row[f"_hitoku_f{i}"]) for i in figures)
    return found


def differing(one: Iterable[Any], other: Iterable[Any]) -> int:
    """In how many places two rows of figures differ."""
    return sum(a != b for a, b in zip(one, other, strict=True))


def overruns(asked: Asked, pair: Pair) -> list[str]:
    """How the target's weight exceeds what the noise is made for; empty where it does not.

    This is the whole claim of `hitoku.questions.privacy`, read off the two worlds: one unit changes at most
    `max_groups` groups of a branch, each figure by at most `most`, and no key of any other group. Groups that
    only one world releases to the noise have exactly as many units as the smallest that is.
    """
    wrong: list[str] = []
    here, gone = (cells(asked.figures(side, least_units=1), asked) for side in pair.sides)
    for n, part in enumerate(asked.privacy.parts, 1):
        names = {cell for cell in {*here, *gone} if cell[0] == n}
        nothing = (0,) * len(part.figures)
        changed = {c: (here.get(c, nothing), gone.get(c, nothing)) for c in names}
        changed = {c: figures for c, figures in changed.items() if figures[0] != figures[1]}
        if len(changed) > part.max_groups:
            wrong.append(f"{len(changed)} groups of branch {n} change, not {part.max_groups}")
        for ours, theirs in changed.values():
            for figure, a, b in zip(part.figures, ours, theirs, strict=True):
                if abs(a - b) > figure.most:
                    wrong.append(f"{figure.kind} changes by {abs(a - b)}, not {figure.most}")
    kept_here, kept_gone = (cells(asked.figures(side), asked) for side in pair.sides)
    for cell in {*kept_here} ^ {*kept_gone}:
        part, how = asked.privacy.parts[cell[0] - 1], asked.noise.parts[cell[0] - 1]
        units = here.get(cell, gone.get(cell, (0,)))[0]
        if not part.thresholded:
            wrong.append("a public group is there in one world only")
        elif units != how.least_units:
            wrong.append(f"a group of {units} units appears, not of {how.least_units}")
    for kept in (kept_here, kept_gone):
        for cell, figures in kept.items():
            how = asked.noise.parts[cell[0] - 1]
            if how.threshold is not None and figures[0] < how.least_units:
                wrong.append(f"a group of {figures[0]} units reaches the noise")
    return wrong
