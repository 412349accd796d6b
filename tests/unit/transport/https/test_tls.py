# SPDX-License-Identifier: Apache-2.0
"""Who is let in, and who is called: the holders of the keys in the room, and nobody else."""

from __future__ import annotations

import errno
import socket
import ssl
import threading
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.transport.https.parties import LONG_AGO, Party, forged, party, pem_of, read, shake

from hitoku.errors import SecretError
from hitoku.transport.https import tls
from hitoku.transport.https.certificate import anchor, carried_key, make_certificate


@pytest.fixture
def world(tmp_path):
    return {name: party(tmp_path, name) for name in ("airport", "host", "stranger")}


def _client(who: Party, called: Party) -> ssl.SSLContext:
    return tls.client_context(who.certificate, who.key_file, called.public)


def _server(who: Party, *members: Party) -> ssl.SSLContext:
    return tls.server_context(who.certificate, who.key_file, [m.public for m in members])


def test_members_see_each_others_keys(world):
    airport, host = world["airport"], world["host"]
    outcome = shake(_client(airport, host), _server(host, airport, host))
    assert (outcome.client, outcome.server, outcome.told) == (host.public, airport.public, b"word")


def test_a_third_party_is_not_let_in(world):
    airport, host, stranger = world.values()
    outcome = shake(_client(stranger, host), _server(host, airport, host))
    assert isinstance(outcome.server, ssl.SSLCertVerificationError)
    assert outcome.told == b""


def test_a_third_party_is_not_talked_to(world):
    airport, host, stranger = world.values()
    outcome = shake(_client(airport, host), _server(stranger, airport, host))
    assert isinstance(outcome.client, ssl.SSLCertVerificationError)
    assert isinstance(outcome.server, Exception)


def test_another_member_is_not_who_was_called(world):
    airport, host, third = world.values()
    outcome = shake(_client(airport, host), _server(third, airport, host, third))
    assert isinstance(outcome.client, ssl.SSLCertVerificationError)


def test_without_a_certificate_nobody_is_let_in(world):
    airport, host, _ = world.values()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    outcome = shake(context, _server(host, airport, host))
    assert isinstance(outcome.server, ssl.SSLError)
    assert "did not return a certificate" in str(outcome.server)
    assert outcome.told == b""


@pytest.mark.parametrize("side", ["client", "server"])
def test_the_right_names_with_the_wrong_key_are_nothing(world, side):
    airport, host, stranger = world.values()
    posing = airport if side == "client" else host
    poser = stranger.shows(forged(posing.certificate.read_bytes(), stranger.key, stranger.key))
    assert read(poser.certificate.read_bytes()).subject == read(posing.certificate.read_bytes()).subject
    assert read(poser.certificate.read_bytes()).issuer == read(posing.certificate.read_bytes()).issuer
    _refused(airport, host, poser, side)


@pytest.mark.parametrize("side", ["client", "server"])
def test_a_key_that_a_member_vouches_for_is_not_the_members(world, side):
    airport, host, stranger = world.values()
    member = airport if side == "client" else host
    poser = stranger.shows(forged(member.certificate.read_bytes(), stranger.key, member.key))
    _refused(airport, host, poser, side, "does not carry the key")


@pytest.mark.parametrize("side", ["client", "server"])
def test_a_chain_below_a_members_key_is_not_the_member(world, side):
    airport, host, stranger = world.values()
    member = airport if side == "client" else host
    between = Ed25519PrivateKey.generate()
    like = member.certificate.read_bytes()
    ca = forged(like, between, member.key, ca=True, subject="between")
    poser = stranger.shows(forged(like, stranger.key, between, issuer="between") + ca)
    _refused(airport, host, poser, side)


@pytest.mark.parametrize("side", ["client", "server"])
@pytest.mark.parametrize(
    "dates",
    [
        {"since": datetime(2000, 1, 1, tzinfo=UTC), "until": LONG_AGO},
        {"since": datetime(2999, 1, 1, tzinfo=UTC)},
    ],
)
def test_a_certificate_that_has_expired_or_not_begun_is_not_ours(world, side, dates):
    # Dates are not what is trusted (the key is), but no node of ours makes such a certificate.
    airport, host, _ = world.values()
    member = airport if side == "client" else host
    old = member.shows(forged(member.certificate.read_bytes(), member.key, member.key, **dates))
    _refused(airport, host, old, side, "expired" if "until" in dates else "not yet valid")


@pytest.mark.parametrize("side", ["client", "server"])
def test_a_key_of_another_kind_is_no_members_key(world, side, tmp_path):
    airport, host, _ = world.values()
    member = airport if side == "client" else host
    key = ec.generate_private_key(ec.SECP256R1())
    (tmp_path / "ec.key").write_bytes(pem_of(key))
    (tmp_path / "ec.crt").write_bytes(forged(member.certificate.read_bytes(), key, member.key))
    poser = Party(member.key, tmp_path / "ec.key", tmp_path / "ec.crt")
    _refused(airport, host, poser, side, "does not carry the key")


def _refused(airport, host, poser, side, words="certificate verify failed"):
    if side == "client":
        outcome = shake(_client(poser, host), _server(host, airport, host))
        assert isinstance(outcome.server, ssl.SSLCertVerificationError)
        assert words in str(outcome.server)
    else:
        outcome = shake(_client(airport, host), _server(poser, airport, host))
        assert isinstance(outcome.client, ssl.SSLCertVerificationError)
        assert words in str(outcome.client)
    assert outcome.told == b""


def test_a_members_certificate_is_no_use_without_its_key(world):
    airport, host, stranger = world.values()
    with pytest.raises(SecretError, match="does not fit"):
        tls.client_context(airport.certificate, stranger.key_file, host.public)


@pytest.mark.parametrize("side", ["client", "server"])
def test_older_tls_is_not_spoken(world, side):
    airport, host, _ = world.values()
    client, server = _client(airport, host), _server(host, airport, host)
    old = client if side == "client" else server
    old.minimum_version = ssl.TLSVersion.TLSv1_2
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    outcome = shake(client, server)
    assert isinstance(outcome.client, ssl.SSLError)
    assert isinstance(outcome.server, ssl.SSLError)


def test_nothing_goes_round_a_full_handshake(world):
    airport, host, _ = world.values()
    client, server = _client(airport, host), _server(host, airport, host)
    assert server.num_tickets == 0
    for context in (client, server):
        assert context.options & ssl.OP_NO_RENEGOTIATION
        assert context.minimum_version == context.maximum_version == ssl.TLSVersion.TLSv1_3
    ours, theirs = socket.socketpair()
    late: list[object] = []

    def serve():
        with server.wrap_socket(theirs, server_side=True) as connection:
            try:
                connection.verify_client_post_handshake()  # what TLS 1.3 has left of renegotiation
            except ssl.SSLError as error:
                late.append(error)
            connection.sendall(b"word")

    thread = threading.Thread(target=serve)
    thread.start()
    with client.wrap_socket(ours) as connection:
        assert connection.recv(10) == b"word"
        assert connection.version() == "TLSv1.3"
        # A ticket, had one been sent, would be here now that something was read.
        assert connection.session is None or not connection.session.has_ticket
    thread.join()
    assert len(late) == 1


def test_the_certificate_is_a_function_of_the_key(world):
    airport, host, _ = world.values()
    assert make_certificate(airport.key) == airport.certificate.read_bytes()
    assert make_certificate(host.key) != airport.certificate.read_bytes()
    text = str(read(airport.certificate.read_bytes()))
    assert "airport" not in text


def test_a_certificate_carries_the_key_that_signed_it(world):
    airport, host, _ = world.values()
    der = read(airport.certificate.read_bytes()).public_bytes(Encoding.DER)
    assert carried_key(der) == airport.public
    vouched = forged(airport.certificate.read_bytes(), host.key, airport.key)
    assert carried_key(read(vouched).public_bytes(Encoding.DER)) is None
    assert carried_key(anchor(airport.public)) is None
    assert carried_key(None) is None
    assert carried_key(der + b"\0" * 5_000) is None
    for place in range(len(der)):
        for bit in range(8):
            changed = bytearray(der)
            changed[place] ^= 1 << bit
            assert carried_key(bytes(changed)) is None, (place, bit)


@given(st.binary(max_size=600))
def test_what_is_no_certificate_carries_no_key(content):
    assert carried_key(content) is None


def test_a_damaged_key_is_said(world, tmp_path):
    airport, host, _ = world.values()
    (tmp_path / "bad.key").write_text("no key")
    with pytest.raises(SecretError, match="damaged"):
        tls.server_context(airport.certificate, tmp_path / "bad.key", [host.public])


def test_a_connection_that_was_reset_before_its_handshake_is_closed(world, monkeypatch):
    """`ssl` would leave the socket open, for whoever collects garbage to find."""
    context = _client(world["airport"], world["host"])
    ours, theirs = socket.socketpair()
    made = []

    def gone(self):
        made.append(self)
        raise OSError(errno.ENOTCONN, "gone")

    def reset(self, *arguments):
        raise ConnectionResetError(errno.ECONNRESET, "reset")

    monkeypatch.setattr(socket.socket, "getpeername", gone)
    monkeypatch.setattr(ssl.SSLSocket, "recv", reset)
    with theirs, pytest.raises(ConnectionResetError):
        context.wrap_socket(ours)
    assert made[0].fileno() == -1
