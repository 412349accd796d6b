# SPDX-License-Identifier: Apache-2.0
"""Febrl's records as the demo writes them: all of them, with their gaps, and the true pairs apart."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import duckdb
import pytest

from hitoku.demo.people import febrl
from hitoku.demo.people.febrl import write_febrl
from hitoku.errors import InputError


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return write_febrl(tmp_path_factory.mktemp("febrl"))


def ask(query: str, *parameters: object) -> list[tuple[Any, ...]]:
    return duckdb.execute(query, list(parameters)).fetchall()


def test_all_records_are_there_with_their_gaps(made):
    query = "SELECT count(*), count(DISTINCT rec_id), count(*) - count(surname) FROM read_parquet(?)"
    assert ask(query, str(made.clinic)) == [(5000, 5000, 48)]
    assert ask(query, str(made.insurer)) == [(5000, 5000, 102)]
    query = "SELECT given_name, surname, soc_sec_id FROM read_parquet(?) WHERE rec_id = 'rec-1070-org'"
    assert ask(query, str(made.clinic)) == [("michaela", "neumann", "5304218")]


def test_the_true_pairs_are_apart_from_what_the_identifiers_say(made):
    assert (made.pairs, made.same_id) == (5000, 4561)
    query = (
        "SELECT count(*), count(*) FILTER (a.soc_sec_id = b.soc_sec_id) FROM read_parquet(?) l "
        "JOIN read_parquet(?) a ON a.rec_id = l.clinic_rec_id "
        "JOIN read_parquet(?) b ON b.rec_id = l.insurer_rec_id"
    )
    assert ask(query, str(made.links), str(made.clinic), str(made.insurer)) == [(5000, 4561)]


def test_the_dimensions_are_of_the_declared_values(made):
    regions = {row[0] for row in ask("SELECT DISTINCT region FROM read_parquet(?)", str(made.clinic))}
    assert regions == set(febrl.REGIONS)
    bands = {row[0] for row in ask("SELECT DISTINCT age_band FROM read_parquet(?)", str(made.insurer))}
    assert bands <= set(febrl.AGE_BANDS)
    assert {"30s", "90s", "other"} <= bands
    [(low, high, mean)] = ask(
        "SELECT min(claims), max(claims), avg(claims) FROM read_parquet(?)", str(made.insurer)
    )
    assert low == 0
    assert 8 <= high <= febrl.MOST_CLAIMS
    assert mean == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(
    ("born", "band"),
    [
        ("19991231", "0s"),
        ("19900101", "0s"),
        ("19891231", "10s"),
        ("19000101", "90s"),
        ("", "other"),
        ("20050101", "other"),
        ("1970010", "other"),
        ("19x00101", "other"),
    ],
)
def test_age_bands(born, band):
    assert febrl._age_band(born) == band


def test_the_same_seed_gives_the_same_bytes(made, tmp_path):
    again = write_febrl(tmp_path / "again")
    assert again.insurer.read_bytes() == made.insurer.read_bytes()
    other = write_febrl(tmp_path / "other", seed=2)
    assert other.insurer.read_bytes() != made.insurer.read_bytes()
    assert other.clinic.read_bytes() == made.clinic.read_bytes()


def test_a_file_that_is_there_stays(made):
    with pytest.raises(InputError, match="is there already"):
        write_febrl(made.clinic.parent)


def test_nothing_heavy_is_imported(tmp_path):
    code = (
        "import sys; from pathlib import Path; from hitoku.demo.people.febrl import write_febrl; "
        f"write_febrl(Path({str(tmp_path)!r})); "
        "sys.exit(any(m in sys.modules for m in ('pandas', 'recordlinkage', 'scipy', 'sklearn')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=300).returncode == 0


class TestDamaged:
    @pytest.fixture
    def place(self, tmp_path, monkeypatch):
        class Spec:
            submodule_search_locations = (str(tmp_path),)

        monkeypatch.setattr(febrl, "find_spec", lambda _: Spec)
        folder = tmp_path / "datasets" / "febrl"
        folder.mkdir(parents=True)
        header = ", ".join(febrl._COLUMNS)
        for name, kind in (("a", "org"), ("b", "dup-0")):
            rows = [f"rec-{n}-{kind}, a, b, 1, c, d, e, 2000, nsw, 19700101, {n}" for n in range(3)]
            (folder / f"dataset4{name}.csv").write_text("\n".join([header, *rows]) + "\n")
        return folder

    def write(self, place, old, new):
        file = place / "dataset4b.csv"
        file.write_text(file.read_text().replace(old, new))
        return write_febrl(place / "out")

    def test_sound_is_read(self, place):
        assert self.write(place, "x", "x").same_id == 3

    @pytest.mark.parametrize(
        ("old", "new", "words"),
        [
            ("rec-2-dup-0", "rec-9-dup-0", "do not come in pairs"),
            ("rec-2-dup-0", "number 2", "not named"),
            ("soc_sec_id", "social", "is not the table"),
            (", 19700101, 1", "", "is not the table"),
            ("nsw", "nsw, more", "is not the table"),
            ("nsw", '"ns"w', "cannot be read"),
        ],
    )
    def test_damage_is_told(self, place, old, new, words):
        with pytest.raises(InputError, match=words):
            self.write(place, old, new)
        assert not (place / "out").exists()

    def test_missing_is_told(self, place, monkeypatch):
        (place / "dataset4a.csv").unlink()
        with pytest.raises(InputError, match="cannot be read"):
            write_febrl(place / "out")
        monkeypatch.setattr(febrl, "find_spec", lambda _: None)
        with pytest.raises(InputError, match="EXTRAS=febrl"):
            write_febrl(place / "out")
