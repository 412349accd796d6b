# SPDX-License-Identifier: Apache-2.0
"""`hitoku ledger` on a room in which one question was asked."""

from __future__ import annotations

import json

import pytest

import hitoku as package


@pytest.fixture
def asked(filled, question):
    package.open_room(filled.path, "airport").ask(question)
    return filled


def test_show_verify_prove(hitoku, asked, tmp_path):
    room = ["--room", asked.path]
    code, out, _ = hitoku("ledger", "show", *room, "--as", "registry")
    assert code == 0
    assert [line.split()[2] for line in out.splitlines()] == [
        "agreement", "question", "verdict", "reservation", "charge", "release",
    ]  # fmt: skip
    code, out, _ = hitoku("ledger", "show", *room, "--as", "registry", "--kind", "charge", "--json")
    assert json.loads(out)["kind"] == "charge"
    code, out, _ = hitoku("ledger", "verify", *room, "--as", "registry")
    assert code == 0
    assert "6 entries hold; it continues the heads kept by airport, host" in out
    code, out, _ = hitoku("ledger", "prove", "2", *room, "--as", "registry")
    assert code == 0
    proof = tmp_path / "proof.json"
    proof.write_text(out)
    code, out, _ = hitoku("ledger", "prove", "--check", proof, *room)
    assert (code, out) == (0, "entry 2 of 6 in the ledger of registry: holds\n")
    head = tmp_path / "head.json"
    head.write_text(json.dumps(json.loads(proof.read_text())["head"], separators=(",", ":"), sort_keys=True))
    code, out, _ = hitoku("ledger", "verify", *room, "--as", "registry", "--head", head, "--json")
    assert code == 0
    assert str(head) in json.loads(out)["heads"]


def test_what_does_not_hold_is_refused(hitoku, asked, tmp_path):
    room = ["--room", asked.path]
    _, out, _ = hitoku("ledger", "prove", "2", *room, "--as", "registry")
    altered = json.loads(out)
    altered["index"] = 1
    proof = tmp_path / "proof.json"
    for text in (json.dumps(altered), "{}", "[]", "no json"):
        proof.write_text(text)
        assert hitoku("ledger", "prove", "--check", proof, *room)[0] in {4, 5}
    assert hitoku("ledger", "prove", "99", *room, "--as", "registry")[0] == 5
    assert hitoku("ledger", "prove", *room)[0] == 4
    assert hitoku("ledger", "verify", *room, "--as", "nobody")[0] == 5
    head = tmp_path / "head.json"
    head.write_text("{}")
    assert hitoku("ledger", "verify", *room, "--as", "registry", "--head", head)[0] == 5


def test_a_ledger_that_was_cut_is_found_against_the_others_heads(hitoku, asked, question):
    database = asked.members["registry"].path / "state.db"
    before = database.read_bytes()
    package.open_room(asked.path, "airport").ask(question)
    database.write_bytes(before)
    code, _, err = hitoku("ledger", "verify", "--room", asked.path, "--as", "registry")
    assert code == 5
    assert "the head kept by" in err
    assert "cut or forked" in err
