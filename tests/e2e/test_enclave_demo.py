# SPDX-License-Identifier: Apache-2.0
"""`hitoku demo enclave`, as a newcomer runs it: three nodes, TPMs in software, and a host that cheats."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.attestation_tpm import need_swtpm

from hitoku.cli import main as cli

pytestmark = [pytest.mark.slow, pytest.mark.e2e]
OWNERS = ("airport", "registry")
MISMATCH = "MEASUREMENT_MISMATCH"


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    need_swtpm()
    place = tmp_path_factory.mktemp("demo")
    done = subprocess.run(
        [sys.executable, "-m", "hitoku.cli.main", "demo", "enclave", "--json"],
        capture_output=True, text=True, check=False, timeout=1800, cwd=place,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return place / "demo-enclave", json.loads(done.stdout), done.stderr


def test_the_answer_is_plain_duckdbs(demo):
    _, outcome, story = demo
    assert outcome["right"] is True
    assert outcome["answer"]["equal"] is True
    assert outcome["answer"]["rows"] > 5
    assert "SOFTWARE-ROOTED" in story


def test_one_byte_of_a_file_and_both_brokers_refuse(demo):
    _, outcome, _ = demo
    kinds = [file["what"].split(":")[0] for file in outcome["tampered"]["files"]]
    assert [kind.rsplit(".", 1)[1] for kind in kinds] == ["py", "py", "so"]
    for refused in (*outcome["tampered"]["files"], outcome["forged"]):
        assert refused["code"] == MISMATCH
        assert refused["ledgers"] == {owner: [MISMATCH] for owner in OWNERS}


def test_an_altered_chunk_ends_the_run_and_its_keys(demo):
    _, outcome, _ = demo
    assert outcome["altered"]["code"] == "RUN_ABORTED"
    assert outcome["altered"]["again"] == dict.fromkeys(OWNERS, "KEY_REVOKED")


def test_the_certificate_holds_and_no_key_is_released_again(demo, capsys):
    place, outcome, _ = demo
    assert outcome["deletion"]["again"] == dict.fromkeys(OWNERS, "TOMBSTONED")
    (file,) = (place / "airport" / "answers").glob("*.deletion.json")
    assert cli.run(["ledger", "verify-deletion", str(file), "--room", str(place), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["holds"] is True


def test_the_host_has_no_row_in_clear(demo):
    place, _, _ = demo
    for file in Path(place / "host").rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            assert b"MCDONNELL" not in content, file
            assert b"N14228" not in content, file


def test_nothing_of_the_installation_was_changed(demo):
    place, outcome, _ = demo
    from hitoku.attestation.launch.image import measure
    from hitoku.attestation.program import program_digest
    from hitoku.protections.enclave.starting import worker_image

    assert program_digest(measure(worker_image("swtpm"))) == outcome["program"]
    assert (place / "tampered").is_dir()
