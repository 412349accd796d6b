# SPDX-License-Identifier: Apache-2.0
"""The channel between host and worker: kinds, bounds, times, ends."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitoku.protections.enclave.frames import Broken, Channel, Kind


@pytest.fixture
def ends() -> Iterator[tuple[Channel, Channel, socket.socket]]:
    """Both ends, and the socket of the second."""
    ours, theirs = socket.socketpair()
    one, other = Channel(ours), Channel(theirs)
    yield one, other, theirs
    one.close()
    other.close()


@given(st.sampled_from(list(Kind)), st.binary(max_size=200_000))
def test_a_frame_comes_as_it_was_sent(kind: Kind, content: bytes) -> None:
    ours, theirs = socket.socketpair()
    one, other = Channel(ours), Channel(theirs)
    sender = threading.Thread(target=one.send, args=(kind, content))
    sender.start()
    assert other.receive({kind: len(content)}, 10) == (kind, bytearray(content))
    sender.join()
    one.close()
    other.close()


def test_another_kind_is_not_taken(ends: tuple[Channel, Channel, socket.socket]) -> None:
    one, other, _ = ends
    one.send(Kind.RESULT, b"x")
    with pytest.raises(Broken, match="out of turn"):
        other.receive({Kind.DONE: 10}, 10)


def test_a_frame_that_is_too_long_is_not_read(ends: tuple[Channel, Channel, socket.socket]) -> None:
    one, other, raw = ends
    one.send(Kind.CHUNK, b"four")
    with pytest.raises(Broken, match="too long"):
        other.receive({Kind.CHUNK: 3}, 10)
    assert raw.recv(10) == b"four"  # not a byte of it was taken


def test_an_announced_length_is_bounded_before_anything_is_allocated(
    ends: tuple[Channel, Channel, socket.socket],
) -> None:
    one, other, _ = ends
    one._connection.sendall((2**60).to_bytes(8, "big") + Kind.CHUNK.value)
    with pytest.raises(Broken, match="too long"):
        other.receive({Kind.CHUNK: 1_000_000}, 10)


def test_a_letter_that_is_no_kind_is_not_taken(ends: tuple[Channel, Channel, socket.socket]) -> None:
    one, other, _ = ends
    one._connection.sendall(bytes(8) + b"?")
    with pytest.raises(Broken, match="out of turn"):
        other.receive(dict.fromkeys(Kind, 10), 10)


@pytest.mark.parametrize("content", [b"", b"\0" * 5, bytes(7) + b"\x09s" + b"abc"])
def test_a_frame_that_breaks_off_is_none(content: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours:
        ours.sendall(content)
    with pytest.raises(Broken, match="gone"):
        Channel(theirs).receive({Kind.CHUNK: 100}, 10)
    theirs.close()


def test_who_does_not_answer_is_not_waited_for(ends: tuple[Channel, Channel, socket.socket]) -> None:
    one, other, _ = ends
    with pytest.raises(Broken, match="in time"):
        other.receive({Kind.CHUNK: 10}, 0.01)
    one._connection.sendall(bytes(7) + b"\x09s" + b"abc")
    with pytest.raises(Broken, match="in time"):
        other.receive({Kind.CHUNK: 10}, 0.05)


def test_a_closed_channel_ends_who_waits(ends: tuple[Channel, Channel, socket.socket]) -> None:
    one, other, _ = ends
    found: list[Broken] = []

    def wait() -> None:
        with pytest.raises(Broken) as caught:
            other.receive({Kind.CHUNK: 10})
        found.append(caught.value)

    thread = threading.Thread(target=wait)
    thread.start()
    one.close()
    thread.join(300)
    assert found
    with pytest.raises(Broken):
        other.send(Kind.PHASE, b"x" * 1_000_000)
