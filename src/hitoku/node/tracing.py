# SPDX-License-Identifier: Apache-2.0
"""OpenTelemetry traces of a node: a span for each message of another member, and for each run; no data.

Spans carry kinds, codes, ids of rooms and runs, sizes and times. Where they go is said by the environment, as
OpenTelemetry has it (``OTEL_EXPORTER_OTLP_ENDPOINT``, ``OTEL_SERVICE_NAME``, ...); without such a variable
nothing is traced. Needs the extra ``telemetry``.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from hitoku.errors import InputError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

__all__ = ["Tracing", "tracing"]

_WANTED: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_TRACES_EXPORTER")
_RUN: Final = re.compile(r"[0-9a-f]{32}")
_KEPT: Final = ("route", "room", "status", "answer", "received", "bytes", "error")


def tracing(version: str, environment: Mapping[str, str] | None = None) -> Tracing | None:
    """What traces this node, as the environment says; None where it says nothing.

    Raises:
        InputError: it says something, and the extra is not installed.
    """
    said = os.environ if environment is None else environment
    off = said.get("OTEL_SDK_DISABLED", "").lower() == "true" or said.get("OTEL_TRACES_EXPORTER") == "none"
    if off or not any(said.get(name) for name in _WANTED):
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ModuleNotFoundError:
        raise InputError(
            "the environment asks for traces (OTEL_...), and hitoku is installed without them: install "
            "`pip install 'hitoku[telemetry]'`, or unset the variable"
        ) from None
    return Tracing(OTLPSpanExporter(), version)


class Tracing:
    """Makes spans. For many threads.

    Args:
        exporter: where they go.
        version: of hitoku.
    """

    def __init__(self, exporter: SpanExporter, version: str) -> None:
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        # The detector for processes is left out: it would tell the command line.
        resource = Resource({"service.name": "hitoku-node", "service.version": version})
        self._provider = TracerProvider(resource=resource.merge(OTELResourceDetector().detect()))
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("hitoku", version)

    def request(self, facts: Mapping[str, Any]) -> None:
        """A message of another member was answered.

        Args:
            facts: what the log is told of it; of its kind only what this node knows is kept.
        """
        from hitoku.transport.kinds import known_kinds

        kind = facts.get("kind")
        known = isinstance(kind, str) and kind in known_kinds()
        kept = {f"hitoku.{name}": facts[name] for name in _KEPT if facts.get(name) is not None}
        if kind is not None:
            kept["hitoku.kind"] = kind if known else "other"
        self._span("message", kept, float(facts.get("seconds", 0)), failed=int(facts.get("status", 0)) >= 500)

    def run(self, run: str | None, protection: str, outcome: str, seconds: float) -> None:
        """A run ended, or its request was answered and it goes on."""
        kept = {"hitoku.protection": protection, "hitoku.outcome": outcome}
        if run is not None and _RUN.fullmatch(run):
            kept["hitoku.run"] = run
        self._span("run", kept, seconds, failed=outcome == "failed")

    def close(self) -> None:
        """Send what is left, in bounded time."""
        self._provider.force_flush(2_000)
        self._provider.shutdown()

    def _span(self, name: str, kept: Mapping[str, Any], seconds: float, *, failed: bool) -> None:
        from opentelemetry.trace import SpanKind, Status, StatusCode

        now = time.time_ns()
        span = self._tracer.start_span(
            name, kind=SpanKind.SERVER, attributes=dict(kept), start_time=now - int(seconds * 1e9)
        )
        if failed:
            span.set_status(Status(StatusCode.ERROR))
        span.end(now)
