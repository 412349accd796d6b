# SPDX-License-Identifier: Apache-2.0
"""What a node tells Prometheus: how much it does, how long that takes, what it refuses; no data.

Labels are kinds of messages, codes of refusals, names of protections and of phases of work, each from a list
that the code knows; anything else is counted as ``other``. So nothing that a member or user writes can become
a label: no SQL, no name of a table, column or member, no value; and their number is bounded. What is spent of
budgets is not told either, only how often one refused.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from hitoku.transport.https.app import Log

if TYPE_CHECKING:
    from hitoku.node.tracing import Tracing

__all__ = ["Meter", "Metrics", "Observed", "Standing", "phase_name"]

_ROUTES: Final = frozenset({"messages", "version", "parcels", "join"})
_PROTECTIONS: Final = frozenset({"tokens", "crosstab", "shares", "enclave", "inference"})
_OUTCOMES: Final = frozenset({"done", "going", "refused", "failed", "cancelled"})
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})
_CODE: Final = re.compile(r"[A-Z][A-Z0-9_]{1,47}")
_CODES: Final = 512
"""How many codes of refusals are told apart at most."""

_PHASES: Final = frozenset(
    {
        "adding noise",
        "adding up groups",
        "agreeing on the sizes",
        "attesting",
        "begin",
        "count related groups",
        "delete the keys",
        "filter rows",
        "finish on tokens",
        "join and group on Spark",
        "join the other servers",
        "leaving out what a unit has too many of",
        "load",
        "masking this side's records",
        "matching and adding up",
        "one row a person",
        "opening the sums",
        "owners share their tables",
        "raising the other side's points",
        "read the table",
        "release",
        "run in the enclave",
        "run on tokens",
        "start engine",
        "start the enclave",
        "taking the tags",
        "waiting for the cells",
        "waiting for the sums",
    }
)
_NAMED: Final = {
    "joining ": "joining a table",
    "share ": "share a table",
    "read ": "read a table",
    "compute the columns of ": "compute columns",
    "releasing rows of part ": "releasing rows",
}
"""Phases whose names go on with a table's name or a number, which is left out."""

_SECONDS: Final = (0.005, 0.02, 0.1, 0.5, 1, 2, 5, 10, 30, 60, 300, 1_800, 7_200)


def phase_name(name: str) -> str:
    """A phase's name without whatever is not from the list."""
    if name in _PHASES:
        return name
    return next((told for begins, told in _NAMED.items() if name.startswith(begins)), "other")


@cache
def _kinds() -> frozenset[str]:
    """The kinds of messages that this node knows."""
    from hitoku.transport.kinds import known_kinds

    return known_kinds()


@dataclass(frozen=True, slots=True)
class Standing:
    """How a node stands at this moment.

    Attributes:
        rooms: how many rooms there are, by state: ``served``, ``waiting``, ``unusable``.
        queued: how many messages are being answered or wait for it, by lane.
        runs: how many runs that outlive their request are under way.
    """

    rooms: Mapping[str, int]
    queued: Mapping[str, int]
    runs: int


class Metrics:
    """The metrics of one node. For many threads.

    Args:
        standing: how the node stands; asked for when somebody looks.

    Raises:
        ModuleNotFoundError: `prometheus_client` is not installed.
    """

    content_type: Final = "text/plain; version=0.0.4; charset=utf-8"

    def __init__(self, standing: Callable[[], Standing], version: str) -> None:
        from prometheus_client import (
            CollectorRegistry,
            Counter,
            Gauge,
            GCCollector,
            Histogram,
            ProcessCollector,
        )

        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)
        Gauge("hitoku_info", "What runs here.", ["version"], registry=registry).labels(version).set(1)
        self._requests = Counter(
            "hitoku_requests", "Requests of other members.", ["route", "kind", "status"], registry=registry
        )
        self._request_seconds = Histogram(
            "hitoku_request_seconds", "Until a request of another member was answered.", ["route", "kind"],
            buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self._bytes = Counter(
            "hitoku_bytes", "Bytes of messages and parcels.", ["direction"], registry=registry
        )
        self._runs = Counter(
            "hitoku_runs", "Runs that began here for an asker, by how they ended.", ["protection", "outcome"],
            registry=registry,
        )  # fmt: skip
        self._run_seconds = Histogram(
            "hitoku_run_seconds", "How long runs took.", ["protection"], buckets=_SECONDS, registry=registry
        )
        self._phases = Histogram(
            "hitoku_phase_seconds", "How long phases of runs took.", ["phase"], buckets=_SECONDS,
            registry=registry,
        )  # fmt: skip
        self._refusals = Counter(
            "hitoku_refusals",
            "What this node refused to other members, by code.",
            ["code"],
            registry=registry,
        )
        self._console = Counter(
            "hitoku_console_requests", "Requests of the console's users.", ["method", "status"],
            registry=registry,
        )  # fmt: skip
        self._console_seconds = Histogram(
            "hitoku_console_request_seconds", "Until a request of a user was answered.", ["method"],
            buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self._questions = Counter(
            "hitoku_console_questions", "Questions of the console's users, by how they ended.", ["outcome"],
            registry=registry,
        )  # fmt: skip
        self._library = Counter(
            "hitoku_library_warnings", "Warnings and errors of libraries; see the log.", registry=registry
        )
        self._codes: set[str] = set()
        self._lock = threading.Lock()
        registry.register(_Standing(standing))

    def text(self) -> bytes:
        """Everything, as Prometheus reads it."""
        from prometheus_client import generate_latest

        return bytes(generate_latest(self._registry))

    def event(self, event: str, facts: Mapping[str, Any]) -> None:
        """Count what the log hears."""
        if event == "request":
            route = _one_of(facts.get("route"), _ROUTES)
            kind = "none" if facts.get("kind") is None else _one_of(facts["kind"], _kinds())
            self._requests.labels(route, kind, str(int(facts.get("status", 0)))).inc()
            if "seconds" in facts:
                self._request_seconds.labels(route, kind).observe(float(facts["seconds"]))
            self._bytes.labels("received").inc(int(facts.get("received", 0)))
            self._bytes.labels("sent").inc(int(facts.get("bytes", 0)))
        elif event == "library":
            self._library.inc()
        elif event == "console request":
            method = _one_of(facts.get("method"), _METHODS)
            self._console.labels(method, str(int(facts.get("status", 0)))).inc()
            if "ms" in facts:
                self._console_seconds.labels(method).observe(float(facts["ms"]) / 1_000)
        elif event == "console ask ended":
            self._questions.labels(_one_of(facts.get("state"), _OUTCOMES)).inc()

    def run(self, protection: str, outcome: str, seconds: float) -> None:
        """A run ended, or goes on after its request did (``going``)."""
        protection, outcome = _one_of(protection, _PROTECTIONS), _one_of(outcome, _OUTCOMES)
        self._runs.labels(protection, outcome).inc()
        if outcome != "going":
            self._run_seconds.labels(protection).observe(seconds)

    def refusal(self, code: str) -> None:
        """This node refused something to another member."""
        with self._lock:
            known = code in self._codes or (len(self._codes) < _CODES and _CODE.fullmatch(code) is not None)
            if known:
                self._codes.add(code)
        self._refusals.labels(code if known else "other").inc()

    def phase(self, name: str, seconds: float) -> None:
        """A phase of a run ended."""
        self._phases.labels(phase_name(name)).observe(seconds)


class _Standing:
    """Tells the registry how the node stands, when somebody looks."""

    def __init__(self, standing: Callable[[], Standing]) -> None:
        self._standing = standing

    def collect(self) -> Iterable[Any]:
        from prometheus_client.core import GaugeMetricFamily

        now = self._standing()
        for name, text, label, values in (
            ("hitoku_rooms", "Rooms of node.toml, by whether they are served.", "state", now.rooms),
            ("hitoku_queue_length", "Messages that are being answered or wait for it.", "lane", now.queued),
        ):
            family = GaugeMetricFamily(name, text, labels=[label])
            for value, count in values.items():
                family.add_metric([value], count)
            yield family
        yield GaugeMetricFamily("hitoku_jobs", "Long runs that are under way.", value=now.runs)


class Meter:
    """Measures the phases of a room's runs, and their ends. A Progress (see `hitoku.ports`).

    Each thread has a run of its own, or none.

    Args:
        metrics: where it goes; nowhere if None.
        tracing: where spans go; nowhere if None.
    """

    def __init__(self, metrics: Metrics | None, tracing: Tracing | None) -> None:
        self._metrics, self._tracing = metrics, tracing
        self._now = threading.local()

    def phase(self, name: str, total: int | None = None) -> None:
        """A new phase begins in this thread; the one before it has ended."""
        del total
        self._end_phase()
        self._now.phase = name, time.monotonic()

    def advance(self, amount: int = 1) -> None:
        """Nothing is told of that."""

    def refused(self, code: str) -> None:
        """Something was refused to another member."""
        if self._metrics is not None:
            self._metrics.refusal(code)

    def ended(self, run: str | None, protection: str, outcome: str, seconds: float) -> None:
        """This thread's run ended, or goes on elsewhere.

        Args:
            run: its id.
            protection: how it was computed.
            outcome: ``done``, ``going``, ``refused``, ``failed`` or ``cancelled``.
            seconds: how long it took.
        """
        self._end_phase()
        if self._metrics is not None:
            self._metrics.run(protection, outcome, seconds)
        if self._tracing is not None:
            self._tracing.run(run, _one_of(protection, _PROTECTIONS), _one_of(outcome, _OUTCOMES), seconds)

    def _end_phase(self) -> None:
        now = getattr(self._now, "phase", None)
        self._now.phase = None
        if now is not None and self._metrics is not None:
            self._metrics.phase(now[0], time.monotonic() - now[1])


class Observed:
    """A Log that is also counted and traced.

    Args:
        log: where it is written.
        metrics: what counts; nothing if None.
        tracing: what traces; nothing if None.
    """

    def __init__(self, log: Log, metrics: Metrics | None, tracing: Tracing | None) -> None:
        self._log, self._metrics, self._tracing = log, metrics, tracing

    def info(self, event: str, **facts: Any) -> Any:
        """Something happened."""
        with suppress(Exception):  # what is only counted never keeps a request from its answer
            if self._metrics is not None:
                self._metrics.event(event, facts)
            if self._tracing is not None and event == "request":
                self._tracing.request(facts)
        return self._log.info(event, **facts)


def _one_of(value: object, known: frozenset[str]) -> str:
    return value if isinstance(value, str) and value in known else "other"
