# SPDX-License-Identifier: Apache-2.0
"""The developer's key: a file for its owner only, and evidence that verifies."""

from __future__ import annotations

import stat

import pytest
from tests.conftest import FakeClock

from hitoku.attestation.attest.dev import DevAttester, make_key_file
from hitoku.attestation.binding import Binding
from hitoku.attestation.evidence import Kind
from hitoku.attestation.verify import verify
from hitoku.errors import SecretError

PROGRAM = "ab" * 48
BINDING = Binding(b"n" * 32, b"d" * 64)


def test_a_key_file_makes_evidence_of_its_program(tmp_path):
    path, clock = tmp_path / "dev.key", FakeClock()
    public = make_key_file(path, PROGRAM)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    attester = DevAttester.open(path, clock)
    assert (attester.kind, attester.public_key, attester.identity()) == (Kind.DEV, public, {})
    assert attester.activate(b"a credential") == b""
    claims = verify(attester.attest(BINDING, b"a key"), clock.now())
    BINDING.check(claims)
    assert claims.measurements == {"program": PROGRAM}
    assert claims.extra["key"] == public
    assert claims.made_at == clock.now()


def test_files_that_are_no_key_are_refused_and_not_quoted(tmp_path):
    for content in (
        b"",
        b"[]",
        b"{}",
        b'{"key": "AAAA", "program": "ab"}',
        b'{"key": 1, "program": 2}',
        b"\xff",
    ):
        with pytest.raises(SecretError) as caught:
            DevAttester.from_bytes(content)
        assert "AAAA" not in str(caught.value)
    make_key_file(tmp_path / "dev.key", "not a digest")
    with pytest.raises(SecretError):
        DevAttester.open(tmp_path / "dev.key")
    with pytest.raises(SecretError):
        make_key_file(tmp_path / "dev.key", PROGRAM)
    with pytest.raises(SecretError):
        DevAttester.open(tmp_path / "nowhere")
