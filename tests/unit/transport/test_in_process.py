# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitoku import limits
from hitoku.errors import EngineError, InputError, LimitError, PeerError, Refusal, Span
from hitoku.transport import messages, preview
from hitoku.transport.in_process import InProcessNetwork


def _pair(handler):
    network = InProcessNetwork()
    network.join("b", handler)
    return network.join("a", lambda sender, message: {"kind": "x"})


def _raise(error):
    def handler(sender, message):
        raise error

    return handler


def test_a_message_arrives_with_its_senders_name():
    peers = _pair(lambda sender, message: {"kind": "echo", "sender": sender, "was": message})
    answer = peers.call("b", {"kind": "hello", "list": (1, 2)})
    assert answer == {"kind": "echo", "sender": "a", "was": {"kind": "hello", "list": [1, 2]}}
    assert peers.me == "a"


def test_a_name_is_taken_once():
    network = InProcessNetwork()
    network.join("a", _raise(KeyError()))
    with pytest.raises(ValueError, match="there already"):
        network.join("a", _raise(KeyError()))


def test_nobody_there():
    with pytest.raises(PeerError, match="'c' cannot be reached"):
        _pair(_raise(KeyError())).call("c", {"kind": "x"})


def test_a_refusal_crosses_whole():
    refusal = Refusal(
        "NO", "m", clause="WHERE", span=Span(1, 3), rule="r", owner="b", remedy="change", params={"a": "b"}
    )
    with pytest.raises(Refusal) as caught:
        _pair(_raise(refusal)).call("b", {"kind": "x"})
    assert caught.value.to_dict() == refusal.to_dict()


def test_a_refusals_text_is_bounded_and_cannot_drive_a_terminal():
    with pytest.raises(Refusal) as caught:
        _pair(_raise(Refusal("NO", "\x1b[2J" + "x" * 10_000, params={"k": "v" * 9_000}))).call(
            "b", {"kind": "x"}
        )
    assert "\x1b" not in caught.value.message
    assert len(caught.value.message) == 4_000


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (EngineError("Conversion Error: 'Alice'", "TIMEOUT"), "ENGINE_TIMEOUT"),
        (InputError("Alice"), "INPUT"),
        (LimitError("Alice"), "LIMIT"),
        (KeyError("Alice"), "INTERNAL"),
        (ValueError("Alice"), "INTERNAL"),
    ],
)
def test_of_other_errors_only_a_code_crosses(error, code):
    with pytest.raises(PeerError, match=rf"'b' failed \({code}\)") as caught:
        _pair(_raise(error)).call("b", {"kind": "x"})
    assert "Alice" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@pytest.mark.parametrize("answer", [{}, {"kind": 3}, {"x": 1}])
def test_an_answer_without_a_kind_is_no_message(answer):
    with pytest.raises(PeerError, match="no message"):
        _pair(lambda sender, message: answer).call("b", {"kind": "x"})


@pytest.mark.parametrize(
    "answer",
    [
        {"kind": "hitoku/failed/1", "code": "lower"},
        {"kind": "hitoku/failed/1", "code": "OK", "more": "text"},
        {"kind": "hitoku/refused/1", "code": "NO"},
        {"kind": "hitoku/refused/1", "code": "NO", "message": "x" * 5_000},
    ],
)
def test_hostile_errors_are_refused(answer):
    with pytest.raises(PeerError, match="sent a message that is no"):
        _pair(lambda sender, message: answer).call("b", {"kind": "x"})


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"[]",
        b'"x"',
        b'{"kind": NaN}',
        b'{"kind": "x", "kind": "y"}',
        b'{"kind": "x", "a": Infinity}',
        b'{"kind": "x", "a": ' + b"[" * 100 + b"]" * 100 + b"}",
        b'{"kind": "x", "a": ' + b"[" * 60_000,
    ],
)
def test_bytes_that_are_no_message(content):
    with pytest.raises(PeerError, match="no message"):
        messages.decode(content, "b")


@pytest.mark.parametrize(
    ("kind", "limit"),
    [
        ("x", "MAX_CONTROL_BYTES"),
        ("hitoku/settle/1", "MAX_CONTROL_BYTES"),
        ("hitoku/consent-request/1", "MAX_CONTROL_SQL_BYTES"),
        ("hitoku/refused/1", "MAX_CONTROL_REFUSAL_BYTES"),
        ("hitoku/deliver/1", "MAX_MESSAGE_BYTES"),
        ("hitoku/run-done/1", "MAX_MESSAGE_BYTES"),
    ],
)
def test_each_kind_has_its_size(monkeypatch, kind, limit):
    for name in ("CONTROL", "CONTROL_SQL", "CONTROL_REFUSAL", "MESSAGE"):
        monkeypatch.setattr(limits, f"MAX_{name}_BYTES", 50)
    monkeypatch.setattr(limits, limit, 100)
    fits = {"a": "x" * (100 - len(messages.encode({"a": "", "kind": kind}))), "kind": kind}
    content = messages.encode(fits)
    assert len(content) == 100
    assert messages.decode(content, "b") == fits
    fits["a"] += "x"
    with pytest.raises(LimitError, match="larger than 100 "):
        messages.encode(fits)
    with pytest.raises(PeerError, match="larger than 100 "):
        messages.decode(content + b" ", "b")


def test_a_large_message_says_first_that_it_is_an_answer():
    large = b"x" * limits.MAX_CONTROL_BYTES
    late = b'{"a":"' + large + b'","kind":"hitoku/deliver/1"}'
    with pytest.raises(PeerError, match="larger"):
        messages.decode(late, "b")
    with pytest.raises(PeerError, match="no message"):  # and says it once
        messages.decode(b'{"kind":"hitoku/deliver/1","a":"' + large + b'","kind":"x"}', "b")
    assert messages.decode(b'{"kind":"hitoku/deliver/1","a":"' + large + b'"}', "b")["a"] == large.decode()


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_a_peer_error(content):
    with contextlib.suppress(PeerError):
        assert isinstance(messages.decode(content, "b")["kind"], str)


MODELS = [
    messages.ConsentRequest,
    messages.ConsentGiven,
    messages.RunRequest,
    messages.RunDone,
    messages.Lookup,
    messages.Found,
    preview.PreviewRequest,
    preview.PreviewGiven,
    messages.Deliver,
    messages.Delivered,
    messages.Refused,
    messages.Failed,
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(st.sampled_from(MODELS), st.data())
def test_any_fields_are_the_message_or_a_peer_error(model, data):
    fields = {name: data.draw(JSON) for name in model.model_fields if data.draw(st.booleans())}
    fields["kind"] = model.model_fields["kind"].default
    try:
        again = messages.read(model, json.loads(json.dumps(fields)), "b")
    except PeerError as error:
        assert str(error) == f"'b' sent a message that is no {model.__name__}"  # noqa: PT017
    else:
        assert messages.read(model, again.model_dump(mode="json"), "b") == again
