# SPDX-License-Identifier: Apache-2.0
"""`hitoku ledger verify-deletion`."""

from __future__ import annotations

import json

import pytest
from tests.unit.attestation.brokers import PROGRAM, RUN, Ended, attested

from hitoku import limits


@pytest.fixture
def certificate(make, clock, tmp_path):
    """A room's certificate in a file, and the room."""
    ended = Ended(make(attested), clock)
    path = tmp_path / "certificate.json"
    path.write_text(json.dumps(ended.certificate()))
    yield path, ended.place
    ended.close()


def test_it_says_what_it_proves_and_what_not(hitoku, certificate):
    path, place = certificate
    code, out, _ = hitoku("ledger", "verify-deletion", path, "--room", place.path)
    assert code == 0
    assert f"The deletion certificate of run {RUN} holds." in out
    assert PROGRAM in out
    assert "airport: keys of flights" in out
    assert "software only" in out
    assert "read     flights: sha256:" in out
    assert "made     for airport: sha256:" in out
    shown, not_shown = out.index("It shows:"), out.index("It does not show:")
    assert shown < not_shown
    assert "no copy exists elsewhere" in out[not_shown:]
    assert "anything about hardware" in out[not_shown:]


def test_it_speaks_json(hitoku, certificate):
    path, place = certificate
    code, out, _ = hitoku("ledger", "verify-deletion", path, "--room", place.room_file, "--json")
    said = json.loads(out)
    assert (code, said["holds"], said["run"]) == (0, True, RUN)
    assert [b["broker"] for b in said["brokers"]] == ["airport", "registry"]


def test_one_that_does_not_hold_has_a_code(hitoku, certificate):
    path, place = certificate
    data = json.loads(path.read_text())
    data["statement"]["program"] = "0" * 96
    path.write_text(json.dumps(data))
    code, out, _ = hitoku("ledger", "verify-deletion", path, "--room", place.path)
    assert code == 3
    assert out.startswith("does not hold (SIGNATURE): ")
    code, out, _ = hitoku("ledger", "verify-deletion", path, "--room", place.path, "--json")
    assert (code, json.loads(out)["code"], json.loads(out)["holds"]) == (3, "SIGNATURE", False)


def test_files_that_are_none(hitoku, certificate, tmp_path, monkeypatch):
    path, place = certificate
    for content in ("x", "[" * 100_000):
        path.write_text(content)
        assert hitoku("ledger", "verify-deletion", path, "--room", place.path)[0] == 4
    path.write_text("{}")
    assert hitoku("ledger", "verify-deletion", path, "--room", place.path)[0] == 3
    assert hitoku("ledger", "verify-deletion", tmp_path / "nothing", "--room", place.path)[0] == 4
    assert hitoku("ledger", "verify-deletion", path, "--room", tmp_path / "nothing")[0] == 5
    monkeypatch.setattr(limits, "MAX_CERTIFICATE_BYTES", 1)
    code, _, err = hitoku("ledger", "verify-deletion", path, "--room", place.path)
    assert (code, "larger than 1 bytes" in err) == (4, True)
