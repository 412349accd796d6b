# SPDX-License-Identifier: Apache-2.0
"""Messages over HTTPS between a caller and a listener that are real; only what is answered is made up."""

from __future__ import annotations

import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from tests.unit.transport.https.parties import Party, listening

from hitoku import limits
from hitoku.errors import EngineError, PeerError, Refusal, Span
from hitoku.room.canonical import agreement_hash
from hitoku.transport import messages
from hitoku.transport.https import bounds, client
from hitoku.transport.https.certificate import make_certificate
from hitoku.transport.https.client import IDEMPOTENT, HttpsNetwork, check_address
from hitoku.transport.in_process import InProcessNetwork

HEAD = {"kind": "hitoku/head-request/1", "size": 0}


def holder(place, name) -> Party:
    """A member with what its node shows."""
    directory = place.members[name]
    keys = directory.keys({})
    path = directory.path / "node.crt"
    path.write_bytes(make_certificate(keys._private()))
    return Party(keys._private(), directory.key_file, path)


def network(place, me, there=None, receiver="host", **peers) -> HttpsNetwork:
    party = holder(place, me)
    if there is not None:
        peers[receiver] = there.address
    return HttpsNetwork(me, place.agreement, peers, party.certificate, party.key_file)


def carrying(me, handler):
    """What a node answers with: the network of one process around a handler."""
    inside = InProcessNetwork()
    inside.join(me, handler)
    return lambda sender, content: inside.carry(sender, me, content)


@pytest.fixture
def host(place):
    def serve(handler, me="host", **more):
        return listening(place.agreement, me, holder(place, me), carrying(me, handler), **more)

    return serve


def _calls(place, there, me="airport", receiver="host"):
    net = network(place, me, there, receiver)
    return net, net.join(me, lambda sender, message: {"kind": "own", "sender": sender})


def test_a_message_arrives_from_whom_tls_says(place, host):
    with host(lambda sender, message: {"kind": "echo", "sender": sender, "was": message}) as there:
        for me in ("airport", "registry"):
            net, peers = _calls(place, there, me)
            with net:
                answer = peers.call("host", {**HEAD, "sender": "airport", "from": "airport", "me": "airport"})
                assert answer["sender"] == me
                assert peers.me == me
    known = [e["sender"] for e in there.heard.events if e["event"] == "request"]
    assert known == ["airport", "registry"]


def test_a_node_speaks_for_its_member_only(place, host):
    with host(lambda sender, message: {"kind": "echo"}) as there:
        net = network(place, "airport", there)
        with net, pytest.raises(PeerError, match="does not speak for 'registry'"):
            net.carry("registry", "host", messages.encode(HEAD))


def test_what_a_member_says_to_itself_stays_here(place):
    _, peers = _calls(place, None)
    assert peers.call("airport", HEAD) == {"kind": "own", "sender": "airport"}


REFUSAL = Refusal(
    "NO", "m", clause="WHERE", span=Span(1, 3), rule="r", owner="b", remedy="change", params={"a": "b"}
)


def _hearing(heard):
    def handler(sender, message):
        heard.append(message)
        return {"kind": "x"}

    return handler


def _raising(error):
    def handler(sender, message):
        raise error

    return handler


def test_a_refusal_crosses_whole(place, host):
    with host(_raising(REFUSAL)) as there:
        net, peers = _calls(place, there)
        with net, pytest.raises(Refusal) as caught:
            peers.call("host", HEAD)
    assert caught.value.to_dict() == REFUSAL.to_dict()


@pytest.mark.parametrize(
    "error", [EngineError("SECRET", "TIMEOUT"), KeyError("SECRET"), PeerError("SECRET"), REFUSAL]
)
def test_errors_cross_as_in_one_process(place, host, error):
    inside = InProcessNetwork()
    inside.join("host", _raising(error))
    near = inside.join("airport", _raising(error))
    with host(_raising(error)) as there:
        net, far = _calls(place, there)
        caught = []
        for peers in (near, far):
            with pytest.raises((PeerError, Refusal)) as one:
                peers.call("host", HEAD)
            caught.append(one.value.to_dict())
        net.close()
    assert caught[0] == caught[1]
    assert "SECRET" not in json.dumps([caught, there.heard.events])


def test_versions_are_told_to_members(place, host):
    with host(_raising(REFUSAL)) as there, network(place, "airport", there) as net:
        given = net.version("host")
    assert (given.room, given.version) == (agreement_hash(place.agreement), 1)
    assert given.protocols == [bounds.PROTOCOL]


def test_another_protocol_is_refused_in_words(place, host, monkeypatch):
    with host(_raising(REFUSAL)) as there, network(place, "airport", there) as net:
        send = net._send
        monkeypatch.setattr(net, "_send", lambda *a: _as_version(monkeypatch, "99", send, *a))
        assert net.version("host").protocols == [bounds.PROTOCOL]  # so that both can be named
        with pytest.raises(
            PeerError, match=r"runs hitoku .*, which speaks protocol 1; hitoku .* here speaks"
        ):
            net.carry("airport", "host", messages.encode(HEAD))
        monkeypatch.setattr(net, "version", lambda member: _raising(PeerError("gone"))(member, {}))
        with pytest.raises(PeerError, match="another version of the protocol"):
            net.carry("airport", "host", messages.encode(HEAD))


def _as_version(monkeypatch, version, send, *arguments):
    # The listener compares with the same constant: only the request that is built says another.
    build = httpx.Client.build_request

    def changed(self, *a, headers=None, **k):
        return build(self, *a, headers={**headers, "hitoku-protocol": version}, **k)

    with monkeypatch.context() as patch:
        patch.setattr(httpx.Client, "build_request", changed)
        return send(*arguments)


def test_who_cannot_be_reached_is_named_with_what_to_check(place, host):
    with host(_raising(REFUSAL)) as there:
        gone = there.address
    net = network(place, "airport", host=gone)
    peers = net.join("airport", _raising(REFUSAL))
    with net:
        with pytest.raises(PeerError, match=f"'host' cannot be reached at {gone}.*hitoku node serve"):
            peers.call("host", HEAD)
        with pytest.raises(PeerError, match=r"'registry'.*address is not known.*node\.toml"):
            peers.call("registry", HEAD)
        with pytest.raises(PeerError, match="'nobody' is no member"):
            peers.call("nobody", HEAD)


def test_an_address_where_another_member_answers_is_said(place, host):
    heard: list[object] = []
    with host(_hearing(heard), me="registry") as there:
        net, peers = _calls(place, there)
        with net, pytest.raises(PeerError, match="is not 'host': it does not have the key"):
            peers.call("host", HEAD)
    assert heard == []


def test_a_member_of_another_room_alone_is_told_so(place, host, tmp_path_factory):
    from tests.conftest import make_place

    other = make_place(tmp_path_factory.mktemp("other"))
    heard: list[object] = []
    with host(_hearing(heard)) as there:
        party = holder(other, "airport")
        net = HttpsNetwork(
            "airport", place.agreement, {"host": there.address}, party.certificate, party.key_file
        )
        peers = net.join("airport", _raising(REFUSAL))
        with net, pytest.raises(PeerError, match=r"'host' at .* accept this member's key"):
            peers.call("host", HEAD)
    assert heard == []


def test_proxies_and_trust_of_the_environment_are_not_used(place, host, monkeypatch):
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("SSL_CERT_FILE", os.devnull)
    with host(lambda sender, message: {"kind": "x"}) as there:
        net, peers = _calls(place, there)
        with net:
            assert peers.call("host", HEAD) == {"kind": "x"}


class Breaks:
    """A listener's answer that ends the connection the first times."""

    def __init__(self, times):
        self.left, self.seen = times, []
        self.listener: Any = None

    def __call__(self, sender, content):
        self.seen.append(content)
        if self.left:
            self.left -= 1
            for connection in list(self.listener.server_state.connections):
                connection.loop.call_soon_threadsafe(connection.abort)
            while self.listener.server_state.connections:
                threading.Event().wait(0.01)
        return b'{"kind":"x"}'


def _broken(place, kind, times):
    breaks = Breaks(times)
    with listening(place.agreement, "host", holder(place, "host"), breaks) as there:
        breaks.listener = there.listener
        net = network(place, "airport", there)
        with net:
            try:
                return net.carry("airport", "host", b'{"kind":"%s"}' % kind.encode()), breaks
            except PeerError as error:
                return error, breaks


@pytest.mark.parametrize("kind", sorted(IDEMPOTENT))
def test_an_idempotent_message_is_sent_once_more(place, kind):
    answer, breaks = _broken(place, kind, 1)
    assert answer == b'{"kind":"x"}'
    assert len(breaks.seen) == 2


def test_but_not_for_ever(place):
    answer, breaks = _broken(place, HEAD["kind"], 9)
    assert "broke before it answered" in str(answer)
    assert len(breaks.seen) == 2


@pytest.mark.parametrize(
    "kind", ["hitoku/consent-request/1", "hitoku/run-request/1", "hitoku/cancel/1", "hitoku/unheard-of/1"]
)
def test_what_counts_once_is_sent_once(place, kind):
    answer, breaks = _broken(place, kind, 1)
    assert "whether it acted on the message is not known" in str(answer)
    assert len(breaks.seen) == 1


def test_an_answer_that_grows_without_end_is_cut(place, monkeypatch):
    monkeypatch.setattr(limits, "MAX_CONTROL_REFUSAL_BYTES", 100_000)
    answer = b'{"kind":"x"' + b" " * 200_000 + b"}"
    with listening(place.agreement, "host", holder(place, "host"), lambda s, c: answer) as there:
        net, peers = _calls(place, there)
        with net, pytest.raises(PeerError, match="larger than 100000 bytes"):
            peers.call("host", HEAD)


@pytest.mark.parametrize("answer", [b"", b"{}", b"[1]", b'{"kind": 3}', b"\xff", b"[" * 100_000])
def test_answers_that_are_no_message(place, answer):
    with listening(place.agreement, "host", holder(place, "host"), lambda s, c: answer) as there:
        net, peers = _calls(place, there)
        with net, pytest.raises(PeerError, match="'host' sent"):
            peers.call("host", HEAD)


def test_many_at_once_are_not_mixed(place, host):
    with host(lambda sender, message: {"kind": "echo", "sender": sender, "n": message["n"]}) as there:
        nets = {me: _calls(place, there, me) for me in ("airport", "registry")}
        jobs = [(me, n) for n in range(25) for me in nets]
        with ThreadPoolExecutor(16) as threads:
            found = list(threads.map(lambda j: nets[j[0]][1].call("host", {**HEAD, "n": j[1]}), jobs))
        for net, _ in nets.values():
            net.close()
    assert [(f["sender"], f["n"]) for f in found] == jobs


def test_whoever_answers_too_slowly_is_given_up(place, host, monkeypatch):
    monkeypatch.setattr(bounds, "REPLY_SECONDS", 0.5)
    go_on = threading.Event()
    with host(lambda sender, message: go_on.wait(30) and {"kind": "x"}) as there:
        net, peers = _calls(place, there)
        with net, pytest.raises(PeerError, match="did not answer in time"):
            peers.call("host", HEAD)
        go_on.set()


@pytest.mark.parametrize(
    "text",
    ["http://a:1", "https://", "https://u:p@a", "https://a/b", "https://a?x=1", "a:1", "", "https://a:99999"],
)
def test_addresses_are_checked(text):
    with pytest.raises(ValueError, match="https://host:port"):
        check_address(text)


def test_addresses_that_are_fine():
    for text in ("https://a", "https://a:8443", "https://[::1]:8443/"):
        assert check_address(text) == text.rstrip("/")


def test_the_status_words_name_the_member():
    for status in (404, 408, 413, 426, 503, 500, 302):
        assert client._status("host", "https://a", status).startswith("'host' at https://a ")
