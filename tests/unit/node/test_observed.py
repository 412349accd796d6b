# SPDX-License-Identifier: Apache-2.0
"""What supervisors see of nodes: health, readiness, metrics, traces, logs; and that none of it is data."""

from __future__ import annotations

import json
import threading
from collections import namedtuple
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import StringIO
from types import SimpleNamespace
from typing import Any, ClassVar, cast

import pytest
from tests.conftest import PLANTED, QUESTION, REFUSED, fill, make_place
from tests.e2e.nodes import free_ports
from tests.unit.node.served_world import Ahead, World

from hitoku.errors import InputError, Refusal
from hitoku.node import serving
from hitoku.node.metrics import Metrics, Observed, Standing, phase_name
from hitoku.node.remote import open_remote_room
from hitoku.node.serving import NodeProcess, json_log
from hitoku.node.settings import NodeSettings
from hitoku.node.tracing import Tracing, tracing
from hitoku.transport import messages

CANARY = "canary_7f3a"
ASKED = QUESTION.replace("aircraft", CANARY)


@pytest.fixture(scope="module")
def spans():
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    return InMemorySpanExporter()


@pytest.fixture(scope="module")
def world(tmp_path_factory, spans):
    """Nodes that have answered one question and refused another."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(serving, "tracing", lambda version: Tracing(spans, version))
        made = World(fill(make_place(tmp_path_factory.mktemp("observed"))))
        try:
            room = open_remote_room(made.place.members["airport"].path)
            answer = room.ask(ASKED)
            assert CANARY in json.dumps(answer.to_dict())
            made.runs.append(answer.run)
            with pytest.raises(Refusal):
                room.ask(REFUSED)
            with pytest.raises(Refusal):  # a far side's refusal: this asker skips its own check
                room._peers.call("registry", _consent(room))
            room.status()
            yield made
        finally:
            made.close()


def _consent(room):
    return messages.ConsentRequest(
        sql=REFUSED, room=room.hash, host="host", run="ab" * 16, receivers=["airport"], protection="tokens"
    ).model_dump(mode="json")  # fmt: skip


def test_a_node_says_that_it_lives_and_whether_it_is_ready(world):
    assert world.get("host", "/health") == (200, '{"status": "ok"}\n')
    status, said = world.get("host", "/ready")
    assert (status, json.loads(said)) == (
        200,
        {"status": "ready", "checks": {"database": "ok", "rooms": "ok", "disk": "ok", "clock": "ok"}},
    )
    assert world.get("host", "/ready", port=2)[0] == 404
    for path in ("/", "/ready/", "/metrics?x", "/../health", "/READY"):
        assert world.get("host", path)[0] == 404


def test_each_thing_that_is_wrong_is_said_by_a_code(world, monkeypatch):
    def checks():
        status, said = world.get("airport", "/ready")
        return status, {name: code for name, code in json.loads(said)["checks"].items() if code != "ok"}

    assert checks() == (200, {})
    node = world.nodes["airport"]
    usage = namedtuple("usage", "total used free")
    with monkeypatch.context() as patch:
        patch.setattr("shutil.disk_usage", lambda path: usage(1, 1, 1000))
        assert checks() == (503, {"disk": "full"})
    with monkeypatch.context() as patch:
        patch.setattr(node._ready, "_problems", lambda: 1)
        assert checks() == (503, {"rooms": "unusable"})
    with monkeypatch.context() as patch:
        patch.setattr(node._ready, "_clock", Ahead())
        patch.setattr(Ahead, "off", -timedelta(days=1))
        assert checks() == (503, {"clock": "behind"})
        patch.setattr(Ahead, "off", timedelta(days=1))
        assert checks() == (200, {})
    with monkeypatch.context() as patch:

        def broken():
            raise OSError("postgresql://hitoku:PLANTED@db")

        patch.setattr(node._ready, "_store", broken)
        assert checks() == (503, {"database": "no_answer", "clock": "unknown"})
        assert "PLANTED" not in world.get("airport", "/ready")[1]


def _values(text):
    lines = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, value in lines}


def test_metrics_count_messages_runs_phases_and_refusals(world):
    from prometheus_client.parser import text_string_to_metric_families

    status, text = world.get("host", "/metrics")
    assert status == 200
    assert list(text_string_to_metric_families(text))
    assert world.get("host", "/metrics", port=2)[0] == 200
    assert world.get("host", "/health", port=2)[0] == 404
    host, registry = _values(text), _values(world.get("registry", "/metrics")[1])
    name = 'hitoku_requests_total{kind="hitoku/run-request/1",route="messages",status="200"}'
    assert host[name] == 1
    assert host['hitoku_runs_total{outcome="done",protection="tokens"}'] == 1
    assert host['hitoku_run_seconds_count{protection="tokens"}'] == 1
    assert host['hitoku_phase_seconds_count{phase="run on tokens"}'] >= 1
    assert not any('phase="other"' in name for name in host)
    assert host['hitoku_rooms{state="served"}'] == 1
    assert host['hitoku_queue_length{lane="run"}'] == 0
    assert host["hitoku_jobs"] == 0
    refused = {name: value for name, value in registry.items() if name.startswith("hitoku_refusals_total{")}
    assert list(refused.values()) == [1]


def test_traces_have_a_span_for_each_message_and_run(world, spans):
    for node in world.nodes.values():
        node._tracing._provider.force_flush()
    found = spans.get_finished_spans()
    runs = [span for span in found if span.name == "run"]
    assert [(s.attributes["hitoku.run"], s.attributes["hitoku.outcome"]) for s in runs] == [
        (world.runs[0], "done")
    ]
    assert runs[0].end_time > runs[0].start_time
    kinds = {span.attributes.get("hitoku.kind") for span in found if span.name == "message"}
    assert {"hitoku/run-request/1", "hitoku/consent-request/1", "hitoku/settle/1"} <= kinds
    assert set().union(*(span.attributes for span in found)) <= {
        "hitoku.kind", "hitoku.route", "hitoku.room", "hitoku.status", "hitoku.answer", "hitoku.received",
        "hitoku.bytes", "hitoku.run", "hitoku.protection", "hitoku.outcome",
    }  # fmt: skip


def test_no_sql_no_name_of_data_and_no_value_is_told_to_operators(world, spans):
    for node in world.nodes.values():
        node._tracing._provider.force_flush()
    told = [out.getvalue() for out in world.out.values()]
    told += [world.get(name, path)[1] for name in world.nodes for path in ("/metrics", "/ready", "/health")]
    told += [span.to_json() for span in spans.get_finished_spans()]
    words = {CANARY, PLANTED, "PLANTED-LITERAL", "SELECT", "manufacturer", "tailnum", "arr_delay", "flights",
             "planes", "dest_sealed", "BIG"}  # fmt: skip
    assert all(len(text) > 10 for text in told)
    assert {word for word in words for text in told if word in text} == set()


def test_log_lines_have_an_id_of_their_request(world):
    lines = [json.loads(line) for line in world.out["host"].getvalue().splitlines()]
    ids = [line["request"] for line in lines if line["event"] == "request"]
    assert len(ids) == len(set(ids)) > 3
    assert all(len(one) == 16 for one in ids)


def test_labels_are_from_the_code_whatever_a_member_sends():
    metrics = Metrics(lambda: Standing({"served": 1}, {"run": 0}, 0), "1.2.3")
    for n in range(2_000):
        metrics.event(
            "request", {"kind": f"hitoku/{CANARY}-{n}/1", "route": f"r{n}", "status": 200, "seconds": 1}
        )
        metrics.run(f"{CANARY}{n}", CANARY, 1)
        metrics.phase(f"joining {CANARY}{n}", 1)
        metrics.phase(f"{CANARY}{n}", 1)
        metrics.refusal(f"{CANARY} {n}")
        metrics.refusal(f"CODE_{n}")
        metrics.event("console request", {"method": f"{CANARY}{n}", "status": 200, "ms": 1})
    text = metrics.text().decode()
    assert CANARY not in text
    assert len(text.splitlines()) < 1_500
    values = _values(text)
    assert values['hitoku_requests_total{kind="other",route="other",status="200"}'] == 2_000
    assert values['hitoku_phase_seconds_count{phase="joining a table"}'] == 2_000


@pytest.mark.parametrize(
    ("name", "told"),
    [("joining planes", "joining a table"), ("read the table", "read the table"),
     ("read planes", "read a table"), ("release", "release"),
     ("releasing rows of part 3", "releasing rows"), ("secret", "other")],
)  # fmt: skip
def test_names_of_phases_lose_what_names_data(name, told):
    assert phase_name(name) == told


def test_traces_go_where_the_environment_says_or_nowhere(monkeypatch):
    assert tracing("1", {}) is None
    assert tracing("1", {"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}) is None
    assert tracing("1", {"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}) is None
    import builtins

    there = builtins.__import__

    def without(name, *more, **named):
        if name.startswith("opentelemetry.exporter"):
            raise ModuleNotFoundError(name)
        return there(name, *more, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InputError, match=r"pip install 'hitoku\[telemetry\]'"):
        tracing("1", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"})


class Collector(BaseHTTPRequestHandler):
    """Takes what is exported."""

    got: ClassVar[list[tuple[str, bytes]]] = []

    def do_POST(self):
        self.got.append((self.path, self.rfile.read(int(self.headers["content-length"]))))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


def test_traces_reach_a_collector(monkeypatch):
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    with HTTPServer(("127.0.0.1", 0), Collector) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            where = f"http://127.0.0.1:{server.server_port}"
            monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", where)
            monkeypatch.setenv("OTEL_SERVICE_NAME", "airport-node")
            made = tracing("1.2.3")
            assert made is not None
            made.run("ab" * 16, "tokens", "failed", 2.0)
            made.request({"kind": f"hitoku/{CANARY}/1", "route": "messages", "status": 200, "seconds": 0.1})
            made.close()
        finally:
            server.shutdown()
            thread.join(300)
    ((path, content),) = Collector.got
    assert path == "/v1/traces"
    assert CANARY.encode() not in content
    sent = ExportTraceServiceRequest.FromString(content).resource_spans[0]
    resource = {a.key: a.value.string_value for a in sent.resource.attributes}
    assert resource == {"service.name": "airport-node", "service.version": "1.2.3"}
    run, message = sent.scope_spans[0].spans
    assert (run.name, message.name) == ("run", "message")
    assert run.end_time_unix_nano - run.start_time_unix_nano == 2_000_000_000
    assert run.status.code == 2


def test_metrics_that_are_wanted_and_not_installed_are_said(place, monkeypatch):
    def without(*_):
        raise ModuleNotFoundError("prometheus_client")

    monkeypatch.setattr(serving, "Metrics", without)
    directory = place.members["airport"]
    base = {"listen": f"127.0.0.1:{free_ports(1)[0]}", "url": "https://a"}
    NodeSettings.made({**base, "metrics": {"listen": "127.0.0.1:9"}}, "here").write(directory.path)
    with pytest.raises(InputError, match=r"pip install 'hitoku\[console\]'"):
        NodeProcess(directory.path, json_log(StringIO())).run()


def test_counting_never_keeps_a_request_from_its_answer():
    def broken(*_):
        raise RuntimeError

    heard = StringIO()
    log = Observed(json_log(heard), cast("Any", SimpleNamespace(event=broken)), None)
    log.info("request", status=200)
    assert json.loads(heard.getvalue())["status"] == 200
