"""AWS's own sample: what its client made, we read; and our fingerprints are its."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import csv
from pathlib import Path

from hitoku.columns import decrypt, encrypt
from hitoku.room.settings import Settings


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_sample_decrypts_to_its_plain_rows(vectors, slow, tmp_path):
    summary = decrypt(vectors / "marshalled_data_sample.csv", tmp_path / "out.csv", slow.room, slow.secret)
    opened = {row["firstname"]: row for row in rows(tmp_path / "out.csv")}
    plain = rows(vectors / "data_sample_with_quotes.csv")
    assert summary.rows == len(plain) == len(opened)
    assert "state" in summary.warnings[0]
    for row in plain:
        found = opened[row["FirstName"]]
        for header in ("LastName", "Address", "City", "Title", "Level", "Notes"):
            assert found[header.lower()] == row[header]
        assert found["phonenumber_sealed"] == row["PhoneNumber"]


def test_our_fingerprints_are_the_samples(vectors, slow, tmp_path):
    settings = Settings(allow_cleartext=True, allow_duplicates=True)
    encrypt(
        vectors / "data_sample_with_quotes.csv",
        tmp_path / "enc.csv",
        vectors / "config_sample.json",
        settings,
        slow.room,
        slow.secret,
    )
    theirs = {r["firstname"]: r for r in rows(vectors / "marshalled_data_sample.csv")}
    ours = {r["firstname"]: r for r in rows(tmp_path / "enc.csv")}
    assert ours.keys() == theirs.keys()
    for name, row in ours.items():
        for header, value in row.items():
            if value.startswith("02:hmac:"):
                assert value == theirs[name][header]
            elif value.startswith("02:enc:"):
                assert len(value) == len(theirs[name][header]), "padding gives the same lengths"
            else:
                assert value == theirs[name][header]


def test_what_we_encrypt_the_slow_implementation_reads(vectors, slow, tmp_path):
    settings = Settings(allow_cleartext=True, allow_duplicates=True)
    encrypt(
        vectors / "data_sample_with_quotes.csv",
        tmp_path / "enc.csv",
        vectors / "config_sample.json",
        settings,
        slow.room,
        slow.secret,
    )
    plain = {r["FirstName"]: r for r in rows(vectors / "data_sample_with_quotes.csv")}
    for row in rows(tmp_path / "enc.csv"):
        nonces = set()
        for header in ("address", "city", "title"):
            kind, null, value, nonce = slow.unseal(row[header])
            nonces.add(nonce)
            assert (kind, null) == (1, False)
            assert value.decode() == plain[row["firstname"]][header.capitalize()]
        assert len(nonces) == 1, "the nonce is the row's"
