# SPDX-License-Identifier: Apache-2.0
"""`hitoku attest verify` and `explain`: exit codes, verdicts on standard output, what was not checked."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from tests.attestation_intel import IntelWorld
from tests.attestation_pki import NOW, NitroWorld

from hitoku.attestation import roots
from hitoku.attestation.certificates import certificate
from hitoku.attestation.evidence import Kind
from hitoku.cli import attest

WORLD, NITRO = IntelWorld(), NitroWorld()
AT = NOW.strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A TDX quote with its collateral, and a document; the roots are ours."""
    monkeypatch.setattr(roots, "root", lambda _: certificate(WORLD.root.der))
    evidence = WORLD.evidence()
    (tmp_path / "quote").write_bytes(evidence.content)
    (tmp_path / "collateral").write_bytes(evidence.endorsements["collateral"])
    (tmp_path / "document").write_bytes(NITRO.document())
    with NITRO.trusted():
        yield tmp_path


def test_accepted(hitoku, files):
    code, out, err = hitoku(
        "attest", "verify", files / "quote", "--now", AT, "--endorsement", files / "collateral"
    )
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == f"accepted: tdx, as of {AT}"
    assert "  holds            2026-11-22T06:00:00Z to 2026-11-22T18:00:00Z" in lines
    assert f"  mrtd             {'07' * 48}" in lines
    assert any(line.startswith("  tcb              cpu0=3 ") for line in lines)
    assert "freshness" in out
    assert "which program it is" in out
    assert "WARNING" not in out


def test_what_was_compared_is_not_told_as_open(hitoku, files):
    code, out, _ = hitoku(
        "attest", "verify", files / "document", "--now", AT,
        "--expect", f"nonce={b'nonce'.hex()}", "--expect", f"pcr0={'01' * 48}",
    )  # fmt: skip
    assert code == 0
    assert "freshness" not in out
    assert "which program" not in out
    assert out.count("as expected") == 2


def test_refused(hitoku, files):
    code, out, err = hitoku("attest", "verify", files / "quote", "--now", AT)
    assert (code, err) == (3, "")
    assert out.startswith("refused (MISSING_ENDORSEMENT): the quote needs Intel's collateral")
    code, out, _ = hitoku("attest", "verify", files / "document", "--now", AT, "--expect", "nonce=00")
    assert code == 3
    assert out.startswith("refused (NONCE_MISMATCH): ")
    assert len(out.splitlines()) == 1


def test_json(hitoku, files):
    words = ["attest", "verify", files / "quote", "--now", AT, "--json"]
    code, out, _ = hitoku(*words, "--endorsement", files / "collateral", "--expect", "tcb.pce=11")
    said = json.loads(out)
    assert (code, said["accepted"], said["kind"], said["now"]) == (0, True, "tdx", AT)
    assert said["claims"]["tcb_status"] == "UpToDate"
    assert said["holds"] == ["2026-11-22T06:00:00Z", "2026-11-22T18:00:00Z"]
    assert said["expected"] == ["tcb.pce"]
    assert len(said["not_checked"]) == 4
    code, out, _ = hitoku(*words)
    said = json.loads(out)
    assert (code, said["accepted"], said["code"], said["now"]) == (3, False, "MISSING_ENDORSEMENT", AT)
    assert said["error"] == "Refused"


def test_endorsements_may_follow_the_file_and_unused_ones_are_named(hitoku, files):
    words = ["attest", "verify", files / "quote", files / "collateral", "--now", AT]
    code, out, _ = hitoku(*words)
    assert code == 0
    assert "not used" not in out
    code, out, _ = hitoku(*words, "--endorsement", files / "document")
    assert code == 0
    assert f"  not used         {files / 'document'}" in out.splitlines()
    assert json.loads(hitoku(*words, files / "document", "--json")[1])["unused_endorsements"] == [
        str(files / "document")
    ]


@pytest.mark.parametrize(
    "now",
    ["2026-11-22T12:00:00Z", "2026-11-22T12:00:00", "2026-11-22T21:00:00+09:00", str(int(NOW.timestamp()))],
)
def test_times(hitoku, files, now):
    code, out, _ = hitoku("attest", "verify", files / "document", "--now", now)
    assert code == 0
    assert out.startswith(f"accepted: nitro, as of {AT}")


def test_without_a_time_it_is_the_clocks(hitoku, files, monkeypatch):
    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            assert tz is UTC
            return NOW

    monkeypatch.setattr(attest, "datetime", Clock)
    assert hitoku("attest", "verify", files / "document")[0] == 0


@pytest.mark.parametrize("now", ["yesterday", "", "2026-13-01", "9" * 30, "2026-11-22T25:00:00Z"])
def test_a_time_that_is_none_is_an_input_error(hitoku, files, now):
    code, out, err = hitoku("attest", "verify", files / "document", "--now", now)
    assert (code, out) == (4, "")
    assert "--now" in err


def test_files_that_are_not_there(hitoku, files):
    for words in ((files / "none",), (files / "quote", "--endorsement", files / "none"), (files,)):
        code, out, err = hitoku("attest", "verify", *words, "--now", AT)
        assert (code, out) == (4, "")
        assert "cannot be read" in err
    assert json.loads(hitoku("attest", "verify", files / "none", "--json")[1])["error"] == "InputError"


def test_other_slips(hitoku, files):
    assert hitoku("attest", "verify")[0] == 2
    assert hitoku("attest", "verify", files / "document", "--force")[0] == 2
    code, _, err = hitoku("attest", "verify", files / "document", "--expect", "nonce")
    assert code == 4
    assert "NAME=VALUE" in err


def test_a_library_that_is_not_there_is_named(hitoku, files, monkeypatch):
    def missing(*_):
        raise ModuleNotFoundError("No module named 'cbor2'", name="cbor2")

    monkeypatch.setattr("hitoku.attestation.recognise.recognise", missing)
    code, _, err = hitoku("attest", "verify", files / "document")
    assert code == 4
    assert "hitoku[attestation]" in err


def test_control_characters_do_not_reach_the_terminal(hitoku, files):
    document = NITRO.document(module_id="i-\x1b[31m\nred")
    (files / "odd").write_bytes(document)
    code, out, _ = hitoku("attest", "verify", files / "odd", "--now", AT)
    assert code == 0
    assert "\x1b" not in out
    assert "i- [31m red" in out


def test_explain_says_that_nothing_is_verified(hitoku, files):
    code, out, err = hitoku("attest", "explain", files / "quote")
    assert (code, err) == (0, "")
    assert out.startswith("tdx: NOT VERIFIED")
    assert f"  mrtd             {'07' * 48}" in out.splitlines()
    said = json.loads(hitoku("attest", "explain", files / "document", "--json")[1])
    assert (said["verified"], said["kind"]) == (False, Kind.NITRO)
    code, out, _ = hitoku("attest", "explain", files / "collateral")
    assert code == 3
    assert out.startswith("refused (UNSUPPORTED): the file is Intel's collateral")
    assert hitoku("attest", "explain", files / "none")[0] == 4
