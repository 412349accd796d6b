# SPDX-License-Identifier: Apache-2.0
"""Nitro's attester against a fake of the device: the kernel's side of one ioctl, over our own hierarchy."""

from __future__ import annotations

import ctypes
import errno
import struct
from pathlib import Path
from typing import Any

import cbor2
import pytest
from tests.attestation_pki import NOW, NitroWorld

from hitoku.attestation.attest import Attester
from hitoku.attestation.attest.nitro import NitroAttester
from hitoku.attestation.binding import Binding
from hitoku.attestation.evidence import Kind
from hitoku.attestation.verify import verify
from hitoku.errors import InputError

BINDING = Binding(b"n" * 32, b"d" * 64)


class Module:
    """The Nitro Security Module, as far as the kernel's driver shows it."""

    def __init__(self) -> None:
        self.world = NitroWorld()
        self.requests: list[Any] = []
        self.answer: Any = None
        self.length: int | None = None
        self.error: int | None = None

    def ioctl(self, descriptor: int, code: int, message: bytearray) -> int:
        assert descriptor > 2
        assert code == 0xC0200A00  # _IOWR(0x0A, 0, 32 bytes)
        asked, size, answered, room = struct.unpack("@PNPN", message)
        assert room == 0x3000
        if self.error is not None:
            raise OSError(self.error, "")
        self.requests.append(cbor2.loads(ctypes.string_at(asked, size)))
        content = self.respond() if self.answer is None else self.answer
        assert len(content) <= room
        ctypes.memmove(answered, content, len(content))
        message[24:32] = struct.pack("@N", len(content) if self.length is None else self.length)
        return 0

    def respond(self) -> bytes:
        fields = self.requests[-1]["Attestation"]
        return cbor2.dumps({"Attestation": {"document": self.world.document(**fields)}})


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Module:
    fake = Module()
    monkeypatch.setattr("hitoku.attestation.attest.nitro.fcntl.ioctl", fake.ioctl)
    return fake


@pytest.fixture
def attester(module: Module, tmp_path: Path) -> NitroAttester:
    (tmp_path / "nsm").touch()
    return NitroAttester(str(tmp_path / "nsm"))


def test_a_document_answers_its_binding(attester: NitroAttester, module: Module) -> None:
    evidence = attester.attest(BINDING, b"public key")
    with module.world.trusted():
        claims = verify(evidence, NOW)
    BINDING.check(claims)
    assert claims.public_key == b"public key"
    assert module.requests == [
        {"Attestation": {"user_data": b"d" * 64, "nonce": b"n" * 32, "public_key": b"public key"}}
    ]


def test_without_a_key_the_field_is_empty(attester: NitroAttester, module: Module) -> None:
    evidence = attester.attest(BINDING)
    assert module.requests[0]["Attestation"]["public_key"] is None
    with module.world.trusted():
        assert verify(evidence, NOW).public_key is None


def test_it_is_an_attester_without_credentials(attester: NitroAttester) -> None:
    one: Attester = attester
    assert (one.kind, one.identity(), one.activate(b"credential")) == (Kind.NITRO, {}, b"")


def test_without_the_device_it_says_where_it_works(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="inside a Nitro Enclave only"):
        NitroAttester(str(tmp_path / "none")).attest(BINDING)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (cbor2.dumps({"Error": "InvalidArgument"}), "refused the request .InvalidArgument"),
        (cbor2.dumps({"Attestation": {"document": "text"}}), "no attestation document"),
        (cbor2.dumps({"Attestation": {}}), "no attestation document"),
        (cbor2.dumps({"Attestation": []}), "no attestation document"),
        (cbor2.dumps("DescribeNSM"), "no attestation document"),
        (b"\xff", "not CBOR"),
        (cbor2.dumps({"Attestation": {"document": b"d"}}) + b"\x00", "not CBOR"),
    ],
)
def test_other_answers_are_errors(attester: NitroAttester, module: Module, answer: bytes, why: str) -> None:
    module.answer = answer
    with pytest.raises(InputError, match=why):
        attester.attest(BINDING)


@pytest.mark.parametrize("length", [0, 0x3001, 1 << 40])
def test_impossible_lengths_are_errors(attester: NitroAttester, module: Module, length: int) -> None:
    module.length = length
    with pytest.raises(InputError, match="impossible length"):
        attester.attest(BINDING)


def test_an_error_of_the_device_is_told(attester: NitroAttester, module: Module) -> None:
    module.error = errno.EMSGSIZE
    with pytest.raises(InputError, match="refused the request"):
        attester.attest(BINDING)


def test_what_the_device_has_no_room_for_is_not_asked(attester: NitroAttester, module: Module) -> None:
    for binding, key in ((Binding(b"n" * 513, b"d" * 64), b""), (BINDING, b"k" * 1025)):
        with pytest.raises(InputError, match="bytes"):
            attester.attest(binding, key)
    assert not module.requests
