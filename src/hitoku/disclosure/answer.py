# SPDX-License-Identifier: Apache-2.0
"""The Answer: a released table, and everything its receiver should know about it."""

from __future__ import annotations

import base64
import datetime as dt
import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from hitoku import limits
from hitoku.disclosure.leakage import Leakage, Learned
from hitoku.errors import InputError, PeerError
from hitoku.room.canonical import canonical_json, digest

if TYPE_CHECKING:
    import pyarrow as pa
    from rich.console import Console, ConsoleOptions, RenderResult

__all__ = ["Answer", "Withheld"]


@dataclass(frozen=True, slots=True)
class Withheld:
    """What was withheld: never how many groups, and that there were any only if it tells of enough people.

    With `WHERE` an asker makes groups of one person. That such a group exists, and was withheld, would tell
    that the person is in the table and has the value asked for. So it is told only where all withheld groups
    together rest on as many distinct units as every rule demands of one row.

    Attributes:
        some: False where no rule withholds anything; True where groups were withheld that together reach
            every minimum; else None: there may or may not be some.
        thresholds: what each released row had to reach: table, column, owner, minimum.
        summary: totals over all withheld groups together, by output column; only where `some` is True and
            the room agrees to tell them.
        further: whether groups above the minimum may be withheld, too, because others would follow from them.
    """

    some: bool | None
    thresholds: tuple[tuple[str, str, str, int], ...]
    summary: tuple[tuple[str, int | float], ...] = ()
    further: bool = False

    def words(self) -> str:
        """One sentence for people."""
        if not self.thresholds:
            return "Nothing can have been withheld: no rule demands it."
        demands = " and ".join(
            f"{minimum} distinct {table}.{column} ({owner}'s rule)"
            for table, column, owner, minimum in self.thresholds
        )
        if self.some:
            others = "; ".join(f"{name} {value:,}" for name, value in self.summary)
            told = f" Together they have: {others}." if others else ""
            more = ", or would tell of one that does not" if self.further else ""
            return f"Some groups are withheld: they do not rest on at least {demands}{more}.{told}"
        return f"Groups that do not rest on at least {demands} are not shown, and not told of."

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        names = ("table", "column", "owner", "minimum")
        return {
            "some": self.some,
            "reason": self.words(),
            "thresholds": [dict(zip(names, t, strict=True)) for t in self.thresholds],
            "summary": [{"column": name, "total": value} for name, value in self.summary],
            "further": self.further,
        }


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Answer:
    """A released table. Made by `hitoku.disclosure.release` only; whoever receives one reads it.

    It speaks Arrow's PyCapsule interface: ``pyarrow.table(answer)``, ``polars.from_arrow(answer)``,
    DuckDB and pandas take it as it is.

    Attributes:
        table: the released rows, a `pyarrow.Table`.
        sql: the question in normal form.
        question: its hash.
        room: hash of the agreement it was asked under.
        run: the run's id.
        asker: who asked.
        receivers: who receives this answer.
        protection: how it was computed.
        withheld: what was withheld, and why.
        leakage: what each member learned.
        released_at: when, UTC.
        salt: random, so that the digest, which goes to owners that do not receive, tells no small answer.
        budget: what it cost of a privacy budget; None where the room has none.
        ledger: the entry in the member's ledger; None where none is kept.
        noise: how the figures were noised: mechanism, unit, standard deviations, half-widths of 95 % bands,
            the threshold for groups; None where they are exact.
        bands: a `pyarrow.Table`, row by row beside `table`, with columns ``<name>_low`` and
            ``<name>_high`` for each output that is one noised aggregate: where the exact figure (with bounded
            contributions) lies with 95 % confidence. None where nothing is noised.
        attestation: which program made it, as the owners' appraisals say: ``program``, ``evidence``,
            ``software_rooted`` (no hardware vouches for it), ``appraisals``. None where no enclave did.
        deletion: the receiver's own finding on the deletion of the run's keys: ``certified``, and ``reason``
            where it is not. No part of what was released. None where no enclave made the answer.
    """

    table: Any
    sql: str
    question: str
    room: str
    run: str
    asker: str
    receivers: tuple[str, ...]
    protection: str
    withheld: Withheld
    leakage: Leakage
    released_at: str
    salt: str
    budget: Mapping[str, Any] | None = None
    ledger: Mapping[str, Any] | None = None
    noise: Mapping[str, Any] | None = None
    bands: Any = None
    attestation: Mapping[str, Any] | None = None
    deletion: Mapping[str, Any] | None = None

    @property
    def digest(self) -> str:
        """``sha256:`` and the hash of all that was released; members' ledgers name the answer by it.

        Whoever received the answer can show that it is the one; who did not cannot guess it, for the salt.
        """
        facts = {k: v for k, v in self.to_message().items() if k not in {"budget", "ledger"}}
        return digest("hitoku/answer/1", canonical_json(facts))

    @property
    def column_names(self) -> list[str]:
        """The names of the columns, in order."""
        return list(self.table.column_names)

    @property
    def num_rows(self) -> int:
        """How many rows were released."""
        return int(self.table.num_rows)

    def __len__(self) -> int:
        return self.num_rows

    def __repr__(self) -> str:
        """Shape only; a log may print it."""
        return f"Answer({self.num_rows} rows, columns={self.column_names!r}, question={self.question!r})"

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        """Arrow's PyCapsule interface."""
        return self.table.__arrow_c_stream__(requested_schema)

    def to_arrow(self) -> pa.Table:
        """The rows as a `pyarrow.Table`."""
        return self.table

    def to_pandas(self) -> Any:
        """The rows as a pandas DataFrame.

        Raises:
            InputError: pandas is not installed.
        """
        try:
            return self.table.to_pandas()
        except ImportError:
            raise InputError("to_pandas needs pandas: pip install pandas") from None

    def fetchall(self) -> list[tuple[Any, ...]]:
        """The rows as tuples of Python values, like a database cursor."""
        columns = [column.to_pylist() for column in self.table.columns]
        return list(zip(*columns, strict=True))

    def to_dict(self) -> dict[str, Any]:
        """The answer as JSON-ready data; what `--json` prints.

        Dates and times are ISO 8601, decimals are text, numbers that are not finite the texts ``NaN``,
        ``Infinity`` and ``-Infinity``, bytes base64.
        """
        return {
            **self._facts(),
            **({} if self.deletion is None else {"deletion": dict(self.deletion)}),
            "columns": [{"name": f.name, "type": str(f.type)} for f in self.table.schema],
            "rows": _rows(self.table),
            "bands": None
            if self.bands is None
            else {"columns": self.bands.column_names, "rows": _rows(self.bands)},
        }

    def _facts(self) -> dict[str, Any]:
        return {
            "sql": self.sql,
            "question": self.question,
            "room": self.room,
            "run": self.run,
            "asker": self.asker,
            "receivers": list(self.receivers),
            "protection": self.protection,
            "withheld": self.withheld.to_dict(),
            "leakage": self.leakage.to_dict(),
            "released_at": self.released_at,
            "salt": self.salt,
            "budget": None if self.budget is None else dict(self.budget),
            "ledger": None if self.ledger is None else dict(self.ledger),
            "noise": None if self.noise is None else dict(self.noise),
            # Left out where there is none: digests and messages of other answers stay as they were.
            **({} if self.attestation is None else {"attestation": dict(self.attestation)}),
        }

    def to_message(self) -> dict[str, Any]:
        """The answer as it travels to a receiver: facts as JSON, rows as an Arrow IPC stream in base64."""
        bands = None if self.bands is None else _stream(self.bands)
        return {**self._facts(), "arrow": _stream(self.table), "bands": bands}

    @classmethod
    def from_message(cls, message: Mapping[str, Any], sender: str) -> Answer:
        """Read an answer that a host sent.

        Raises:
            PeerError: it is malformed or too large; never quotes it.
        """
        try:
            facts = dict(message)
            table = _table(facts.pop("arrow"))
            bands = facts.pop("bands")
            bands = None if bands is None else _table(bands)
            if bands is not None and bands.num_rows != table.num_rows:
                raise ValueError("bands of other rows")
            withheld, leakage = facts.pop("withheld"), facts.pop("leakage")
            texts = {
                name: _text(facts.pop(name))
                for name in ("sql", "question", "room", "run", "asker", "protection", "released_at", "salt")
            }
            answer = cls(
                table=table,
                receivers=tuple(_text(r) for r in facts.pop("receivers")),
                withheld=Withheld(
                    _flag(withheld["some"]),
                    tuple(
                        (_text(t["table"]), _text(t["column"]), _text(t["owner"]), _count(t["minimum"]))
                        for t in withheld["thresholds"]
                    ),
                    _summary(withheld.get("summary", [])),
                    _sure(withheld.get("further", False)),
                ),
                leakage=Leakage(
                    tuple(
                        Learned(
                            _text(i["member"]),
                            _text(i["code"]),
                            _text(i["words"]),
                            None if i["assumption"] is None else _text(i["assumption"]),
                        )
                        for i in leakage
                    )
                ),
                budget=_mapping(facts.pop("budget")),
                ledger=_mapping(facts.pop("ledger")),
                noise=_mapping(facts.pop("noise")),
                attestation=_mapping(facts.pop("attestation", None)),
                deletion=None,
                bands=bands,
                **texts,
            )
        except (KeyError, TypeError, ValueError, AttributeError):
            raise PeerError(f"{sender!r} sent an answer that cannot be read") from None
        if facts:
            raise PeerError(f"{sender!r} sent an answer that cannot be read")
        return answer

    def chart(self, column: str | None = None) -> dict[str, Any]:
        """A Vega-Lite specification of one column, with the noise's bands; see `hitoku.disclosure.plot`."""
        from hitoku.disclosure.plot import chart

        return chart(self, column)

    def to_svg(self, column: str | None = None) -> str:
        """The same as SVG; needs the extra ``plots``.

        Raises:
            InputError: the extra is not installed, or there is nothing to plot.
        """
        from hitoku.disclosure.plot import svg

        return svg(self, column)

    def _repr_html_(self) -> str:
        """The answer in a notebook."""
        from hitoku.disclosure.render import html

        return html(self)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The answer in a terminal."""
        from hitoku.disclosure.render import terminal

        yield from terminal(self)


def _rows(table: Any) -> list[list[Any]]:
    columns = [[_json(v) for v in column.to_pylist()] for column in table.columns]
    return [list(row) for row in zip(*columns, strict=True)]


def _stream(table: Any) -> str:
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return base64.b64encode(sink.getvalue()).decode()


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > limits.MAX_SQL_CHARS * 2:
        raise ValueError("not a text")
    return value


def _flag(value: object) -> bool | None:
    if value is not None and not isinstance(value, bool):
        raise ValueError("not a flag")
    return value


def _sure(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("not a flag")
    return value


def _mapping(value: object) -> Mapping[str, Any] | None:
    if value is not None and not isinstance(value, dict):
        raise ValueError("not a mapping")
    return value


def _table(text: object) -> Any:
    from hitoku.disclosure.incoming import read_table

    return read_table(base64.b64decode(_arrow_text(text), validate=True))  # its error is a ValueError


def _count(value: object) -> int:
    if type(value) is not int:
        raise ValueError("not a number")
    return value


def _summary(value: object) -> tuple[tuple[str, int | float], ...]:
    if not isinstance(value, list) or len(value) > limits.MAX_OUTPUT_COLUMNS:
        raise ValueError("not a summary")
    found: list[tuple[str, int | float]] = []
    for item in value:
        total = item["total"]
        whole = type(total) is int and abs(total) < 2**127
        if not whole and not (type(total) is float and math.isfinite(total)):
            raise ValueError("not a number")
        found.append((_text(item["column"]), total))
    return tuple(found)


def _arrow_text(value: object) -> str:
    if not isinstance(value, str) or len(value) > limits.MAX_MESSAGE_BYTES:
        raise ValueError("not a text")
    return value


def _json(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, dt.date | dt.time):  # a datetime is a date
        return value.isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return str(value)
