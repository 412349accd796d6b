# SPDX-License-Identifier: Apache-2.0
"""A software TPM of one's own: reached by nobody else where it is private, and gone afterwards."""

from __future__ import annotations

import os
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.attestation_tpm import need_swtpm

from hitoku.attestation import swtpm
from hitoku.attestation.attest.tpm import TpmAttester, extend_program, read_pcrs
from hitoku.attestation.binding import Binding
from hitoku.attestation.codes import Code, Refused
from hitoku.attestation.swtpm import SwTpm
from hitoku.attestation.verify import verify
from hitoku.errors import InputError

BINDING = Binding(b"n" * 32, b"d" * 64)


def test_a_private_one_has_no_socket_and_ends_with_its_channel():
    need_swtpm()
    with SwTpm(private=True, certificate=False) as tpm:
        assert tpm.path is None
        assert not [p for p in tpm.state.parent.rglob("*") if p.is_socket()]
        descriptor = tpm.descriptor()
        assert os.get_inheritable(descriptor) is False
        os.close(descriptor)
        folder, process = tpm.state.parent, tpm.process_id
    assert not folder.exists()
    assert process is not None
    assert not Path(f"/proc/{process}").exists()
    for use in (tpm.connect, lambda: tpm.state):
        with pytest.raises(InputError):
            use()
    tpm.stop()


def test_one_with_a_path_is_for_its_owner_only():
    need_swtpm()
    with SwTpm(certificate=False) as tpm:
        assert tpm.path is not None
        assert tpm.path.stat().st_mode & 0o777 == 0o600
        assert tpm.path.parent.stat().st_mode & 0o777 == 0o700
        with pytest.raises(InputError, match="not private"):
            tpm.descriptor()
        with tpm.connect() as first:
            assert read_pcrs(first)
        with tpm.connect() as second:
            assert read_pcrs(second)


def test_several_have_one_authority(tmp_path):
    need_swtpm()
    roots = set()
    for _ in range(2):
        with (
            SwTpm(private=True, authority=tmp_path / "ca") as tpm,
            tpm.connect() as device,
            TpmAttester(device, chain=tpm.chain) as attester,
        ):
            roots.add(verify(attester.attest(BINDING), datetime.now(UTC)).extra["ek_root"])
    assert len(roots) == 1


def test_switched_off_without_warning_it_starts_at_zero_and_is_not_safe():
    need_swtpm()
    with SwTpm(private=True, certificate=False) as tpm:
        with tpm.connect() as device:
            extend_program(device, b"\1" * 32)
        tpm.halt()
        tpm.resume()
        with tpm.connect() as device, TpmAttester(device) as attester:
            assert read_pcrs(device)[12] == bytes(32)
            with pytest.raises(Refused) as caught:
                verify(attester.attest(BINDING), datetime.now(UTC))
            assert caught.value.code is Code.POLICY


@pytest.mark.parametrize("program", ["swtpm", "swtpm_setup", "swtpm_localca"])
def test_each_program_that_is_missing_is_named(monkeypatch, program):
    monkeypatch.setattr(shutil, "which", lambda name, **_: None if name == program else name)
    assert str(swtpm.missing()).startswith(f"{program} is")
    assert (swtpm.missing(certificate=False) is None) == (program != "swtpm")


def test_what_is_missing_is_named(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    assert "swtpm is not installed" in str(swtpm.missing())
    with pytest.raises(InputError, match="swtpm is not installed"):
        SwTpm().start()


def test_a_set_up_that_fails_leaves_nothing(monkeypatch, tmp_path):
    need_swtpm()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(
        swtpm, "_found", lambda program: "/bin/false" if program == "swtpm_setup" else program
    )
    with pytest.raises(InputError, match="swtpm_setup failed"):
        SwTpm().start()
    assert not list(tmp_path.iterdir())
