# SPDX-License-Identifier: Apache-2.0
"""Ways to a TPM that misbehaves: an InputError, and nobody waits for ever."""

from __future__ import annotations

import os
import socket
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitoku.attestation.attest.tpm import TpmAttester
from hitoku.attestation.binding import Binding
from hitoku.attestation.tpm2 import device as devices
from hitoku.attestation.tpm2.commands import Tpm, TpmError
from hitoku.attestation.tpm2.device import Descriptor, open_device
from hitoku.attestation.tpm2.wire import sized, u16, u32
from hitoku.errors import InputError


class Says:
    """A device that gives these answers, one after the other."""

    def __init__(self, *answers: bytes) -> None:
        self.answers, self.heard = list(answers), list[bytes]()

    def transmit(self, command: bytes) -> bytes:
        self.heard.append(command)
        return self.answers.pop(0)


def answer(body: bytes = b"", code: int = 0, tag: int = 0x8001) -> bytes:
    return u16(tag) + u32(10 + len(body)) + u32(code) + body


def speaking(*pieces: bytes, close: bool = False) -> Descriptor:
    """A stream whose other end sends these pieces, each in a write of its own."""
    ours, theirs = socket.socketpair()

    def talk() -> None:
        with theirs:
            theirs.recv(4096)
            for piece in pieces:
                theirs.sendall(piece)
            if not close:
                theirs.recv(1)

    threading.Thread(target=talk, daemon=True).start()
    return Descriptor(ours.detach())


def test_an_answer_in_pieces_is_put_together():
    whole = answer(b"x" * 100)
    with speaking(whole[:3], whole[3:11], whole[11:]) as device:
        assert device.transmit(b"a command") == whole


@pytest.mark.parametrize(
    "pieces",
    [
        (b"",),
        (b"\x80\x01\0\0",),
        (answer(b"x" * 9)[:15],),
        (b"\x80\x01\xff\xff\xff\xff" + bytes(4),),
        (b"\x80\x01\0\0\0\x09" + bytes(3),),
        (bytes(10),),
    ],
)
def test_a_broken_answer_is_an_error(pieces):
    with speaking(*pieces, close=True) as device, pytest.raises(InputError):
        device.transmit(b"a command")


def test_a_silent_tpm_is_not_waited_for_for_ever(monkeypatch):
    monkeypatch.setattr(devices, "_SECONDS", 0.05)
    with speaking() as device, pytest.raises(InputError, match="did not answer"):
        device.transmit(b"a command")


def test_a_character_device_is_read_at_once(tmp_path):
    place = tmp_path / "tpm"
    os.mkfifo(place)
    keep = os.open(place, os.O_RDWR)
    with open_device(place) as device:
        assert device.transmit(answer()) == answer()  # a pipe gives back what it was given
    device.close()
    os.close(keep)


def test_no_device_is_an_error(tmp_path):
    with pytest.raises(InputError, match="no TPM at"):
        open_device(tmp_path / "nothing")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        with pytest.raises(InputError, match="no TPM at"):
            open_device(tmp_path / "s")


def test_a_refusal_carries_its_code():
    with pytest.raises(TpmError) as caught:
        Tpm(Says(answer(code=0x907))).pcr_reset(12)
    assert (caught.value.response, caught.value.command) == (0x907, 0x13D)
    assert "0x907" in str(caught.value)


def test_a_busy_tpm_is_asked_again_but_not_for_ever(monkeypatch):
    monkeypatch.setattr("time.sleep", lambda _: None)
    values = u32(1) + u32(1) + u16(0x0B) + b"\x03\x00\x10\x00" + u32(1) + sized(b"\7" * 32)
    busy = [answer(code=code) for code in (0x922, 0x90A, 0x908)]
    assert Tpm(Says(*busy, answer(values))).pcr_read([12]) == {12: b"\7" * 32}
    with pytest.raises(TpmError):
        Tpm(Says(*[answer(code=0x922)] * 1000)).pcr_read([12])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        u32(1) + u32(0),
        u32(1) + u32(1) + u16(0x0C) + b"\x03\x00\x10\x00" + u32(1) + sized(bytes(32)),
        u32(1) + u32(1) + u16(0x0B) + b"\x03\x00\x20\x00" + u32(1) + sized(bytes(32)),  # another PCR
        u32(1) + u32(1) + u16(0x0B) + b"\x03\x00\x10\x00" + u32(2) + sized(bytes(32)),
        u32(1) + u32(1) + u16(0x0B) + b"\x03\x00\x00\x00" + u32(0),  # none, for ever
        u32(1) + u32(1) + u16(0x0B) + b"\x03\x00\x10\x00" + u32(1) + sized(bytes(33)),
    ],
)
def test_pcrs_that_were_not_asked_for_are_an_error(body):
    with pytest.raises(InputError):
        Tpm(Says(answer(body))).pcr_read([12])


@given(st.lists(st.binary(max_size=80), min_size=1, max_size=6))
def test_no_answer_crashes_the_attester(bodies):
    answers = [answer(body, tag=0x8002) for body in bodies]
    device = Says(*answers, *[answer(code=0x101)] * 300)
    try:
        with TpmAttester(device) as attester:
            attester.attest(Binding(bytes(32), bytes(64)))
    except InputError:
        return
    raise AssertionError("noise made evidence")


@pytest.mark.parametrize("said", [b"", b"\x80\x01", answer()[:9], answer(b"\xff\xff"), answer(b"\0\5abc")])
def test_answers_that_end_too_early_are_errors_of_the_device(said):
    with pytest.raises(InputError):
        Tpm(Says(said)).read_public(1)


def test_a_quote_that_cannot_be_read_is_an_error_of_the_device():
    pcrs = u32(1) + u32(1) + u16(0x0B) + b"\x03\xff\x10\x00" + u32(9) + sized(bytes(32)) * 9
    quote = answer(u32(5) + sized(b"abc"), tag=0x8002)
    made = answer(u32(0x80000000) + u32(6) + sized(b"1234"), tag=0x8002)
    missing, flushed = answer(code=0x18B), answer()
    device = Says(missing, made, flushed, made, answer(pcrs), quote)
    with pytest.raises(InputError, match="TPMS_ATTEST"):
        TpmAttester(device).attest(Binding(bytes(32), bytes(64)))


def test_an_empty_nv_read_ends():
    with pytest.raises(InputError, match="gives less"):
        Tpm(Says(answer(u32(2) + sized(b""), tag=0x8002))).nv_read(1, 8)
